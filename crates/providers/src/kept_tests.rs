use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::mpsc,
};

use super::*;
use crate::{Kind, Vendor};

#[derive(Debug, Default)]
struct Plain;

impl Line for Plain {
    const KEEP_ALIVE: Option<(Duration, &'static str)> = Some((Duration::from_secs(4), "alive"));
}

fn kept(base_url: &str) -> (Kept<Plain>, Url) {
    let vendor = Vendor::new("acme", base_url.parse().unwrap());
    let connector = Connector::new(&vendor, Vec::new()).unwrap();
    (Kept::new(connector), vendor.base_url)
}

/// A server that accepts every connection and drops those whose number (from 0) is to be dropped; it tells of each.
async fn server(dropped: &'static [usize]) -> (String, mpsc::Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let (tell, told) = mpsc::channel(16);
    tokio::spawn(async move {
        let mut sockets = Vec::new();
        for number in 0.. {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let read = socket.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..read]).into_owned();
            let key = request
                .lines()
                .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
                .unwrap();
            let accept =
                tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            socket.write_all(answer.as_bytes()).await.unwrap();
            if !dropped.contains(&number) {
                sockets.push(socket);
            }
            tell.send(number).await.unwrap();
        }
    });
    (address, told)
}

#[tokio::test]
async fn a_session_gets_its_own_connection_back() {
    let (address, mut told) = server(&[]).await;
    let (kept, address) = kept(&address);
    kept.prepare("a", address.clone());
    kept.prepare("a", address.clone());
    let held = kept.take("a", &address).await.unwrap();
    assert_eq!(told.recv().await, Some(0));
    // while it is in use, another is opened; so is one for another session or address
    let second = kept.take("a", &address).await.unwrap();
    assert_eq!(told.recv().await, Some(1));
    kept.put("a", held);
    drop(second);
    kept.take("b", &address).await.unwrap();
    assert_eq!(told.recv().await, Some(2));
    kept.take("a", &address).await.unwrap();
    let mut elsewhere = address.clone();
    elsewhere.set_query(Some("voice=other"));
    kept.prepare("a", elsewhere);
    assert_eq!(told.recv().await, Some(3));
    kept.take("a", &address).await.unwrap();
    assert_eq!(told.recv().await, Some(4));
    assert!(told.try_recv().is_err());
}

#[tokio::test]
async fn a_connection_that_broke_while_it_waited_is_replaced() {
    let (address, mut told) = server(&[0]).await;
    let (kept, address) = kept(&address);
    kept.prepare("a", address.clone());
    assert_eq!(told.recv().await, Some(0));
    let gone = || kept.0.slots().by_session.is_empty();
    while !gone() {
        tokio::task::yield_now().await;
    }
    kept.take("a", &address).await.unwrap();
    assert_eq!(told.recv().await, Some(1));
}

#[tokio::test]
async fn what_belongs_to_no_session_is_not_kept() {
    let (address, mut told) = server(&[]).await;
    let (kept, address) = kept(&address);
    kept.prepare("", address.clone());
    let held = kept.take("", &address).await.unwrap();
    assert_eq!(told.recv().await, Some(0));
    kept.put("", held);
    assert!(kept.0.slots().by_session.is_empty());
}

#[tokio::test]
async fn a_connection_that_cannot_be_prepared_is_asked_for_again() {
    let (kept, address) = kept("http://127.0.0.1:1/");
    kept.prepare("a", address.clone());
    let error = kept.take("a", &address).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(kept.0.slots().by_session.is_empty());
}

#[tokio::test]
async fn the_oldest_of_too_many_gives_way() {
    let (kept, address) = kept("http://127.0.0.1:1/");
    let mut duties: Vec<Duty<Plain>> = (0..=KEPT)
        .map(|number| kept.0.add(&number.to_string(), address.clone()))
        .collect();
    assert_eq!(kept.0.slots().by_session.len(), KEPT);
    let oldest = duties.remove(0);
    assert!(!kept.0.forget(&oldest));
    assert!(oldest.recall.await.is_err());
    assert!(duties.iter().all(|duty| kept.0.forget(duty)));
}
