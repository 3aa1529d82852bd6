//! Clients of chat rooms that say much at once, and then leave or do not read.

use futures_util::SinkExt as _;
use serde_json::json;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::room_guest::{Guest, customer, helper, token, with_rooms};
use crate::world::World;

/// Messages said in one breath; fewer than wait for their turn.
const AT_ONCE: usize = 24;

#[tokio::test]
async fn what_was_said_before_a_client_left_is_said() {
    let world = World::start(with_rooms).await;
    let mut bob = Guest::enter(&world, &helper("bob", "c"), "").await;
    let mut ann = Guest::enter(&world, &customer("ann", "c"), "").await;
    for number in 0..AT_ONCE {
        let message = json!({ "type": "message", "content": number.to_string(), "role": "USER" });
        let message = Message::text(message.to_string());
        ann.socket.feed(message).await.unwrap();
    }
    // in the same breath
    ann.socket.close(None).await.unwrap();
    let expected: Vec<String> = (0..AT_ONCE).map(|number| number.to_string()).collect();
    let last = expected.last().unwrap();
    assert_eq!(bob.words_until(last).await, expected);
}

/// A client whose system keeps little of what it does not read.
async fn idle(world: &World, user: &str) -> WebSocketStream<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(world.server().address).await.unwrap();
    let url = world.url(&format!("/chat?token={}", token(&customer(user, "c"))));
    let request = url.replacen("http", "ws", 1).into_client_request().unwrap();
    client_async(request, stream).await.unwrap().0
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_no_transaction() {
    let world = World::start(|config| {
        with_rooms(config);
        config.chat.messages_per_minute = 0;
    })
    .await;
    let mut ann = Guest::enter(&world, &customer("ann", "c"), "").await;
    let filler = "x".repeat(15_000);
    for number in 0..40 {
        ann.say(&format!("{number} {filler}"), "USER").await;
        ann.next().await;
    }
    // each asks for much and says something behind it, again and again, and reads nothing
    let mut idlers = Vec::new();
    for number in 0..8 {
        let mut idler = idle(&world, &format!("idle{number}")).await;
        for turn in 0..14 {
            let history = json!({ "type": "history", "limit": 40 });
            let message =
                json!({ "type": "message", "content": format!("{number} {turn}"), "role": "USER" });
            for message in [history, message] {
                idler
                    .feed(Message::text(message.to_string()))
                    .await
                    .unwrap();
            }
        }
        idler.flush().await.unwrap();
        idlers.push(idler);
    }
    // in another room, somebody speaks for as long as they are waited for, and is heard every time
    let mut eve = Guest::enter(&world, &customer("eve", "d"), "").await;
    for number in 0..60 {
        eve.say(&number.to_string(), "USER").await;
        let heard = eve.next().await;
        assert_eq!(heard["data"]["content"], number.to_string(), "{heard}");
    }
    drop(idlers);
}
