//! What goes wrong on the way, whoever the vendor is. The table is in the folder's `mod.rs`.
//! Set by tests through [`super::Fake`]; applied to each question in its order.
//! Knows bytes and connections, no protocol.

use std::{collections::VecDeque, net::SocketAddr, sync::Mutex, time::Duration};

use axum::{
    body::Body,
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use futures_util::{StreamExt as _, stream};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::{Refusal, refusal};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Refuse,
    Unauthorized,
    RateLimited,
    Broken,
    StallBefore,
    StallMidway,
    CloseMidway,
    Garbage,
    Trickle,
}

impl Fault {
    pub(crate) const ALL: [Self; 9] = [
        Self::Refuse,
        Self::Unauthorized,
        Self::RateLimited,
        Self::Broken,
        Self::StallBefore,
        Self::StallMidway,
        Self::CloseMidway,
        Self::Garbage,
        Self::Trickle,
    ];

    pub(super) fn refusal(self) -> Option<Refusal> {
        match self {
            Self::Unauthorized => Some(wrong_key()),
            Self::RateLimited => Some(rate_limit()),
            Self::Broken => Some(refusal(500, "server_error", "The server had an error")),
            _ => None,
        }
    }

    /// What becomes of an answer whose second word ends at `middle`; a trickle has so many bytes each time.
    pub(super) fn body(
        self,
        answer: &[u8],
        middle: usize,
        (drop, each): (usize, Duration),
    ) -> Option<Body> {
        let half = answer[..middle].to_vec();
        let begun = stream::once(async { Ok(half) });
        match self {
            Self::StallMidway => Some(Body::from_stream(
                begun.chain(stream::pending::<std::io::Result<Vec<u8>>>()),
            )),
            Self::CloseMidway => {
                let end = stream::once(async {
                    // what was said leaves the machine while nothing more is to be written
                    for _ in 0..16 {
                        tokio::task::yield_now().await;
                    }
                    Err(std::io::Error::other("closed"))
                });
                Some(Body::from_stream(begun.chain(end)))
            }
            Self::Garbage => {
                let noise = b"data: \xff\xfe\x00{]\"\n\n\n".to_vec();
                let noise = stream::once(async { Ok::<_, std::io::Error>(noise) });
                Some(Body::from_stream(begun.chain(noise)))
            }
            Self::Trickle => {
                let drops: Vec<Vec<u8>> = answer.chunks(drop).map(<[u8]>::to_vec).collect();
                let tick = tokio::time::interval(each);
                let drops =
                    stream::unfold((drops.into_iter(), tick), |(mut drops, mut tick)| async {
                        tick.tick().await;
                        let drop = drops.next()?;
                        Some((Ok::<_, std::io::Error>(drop), (drops, tick)))
                    });
                Some(Body::from_stream(drops))
            }
            _ => None,
        }
    }
}

pub(super) fn wrong_key() -> Refusal {
    let message = "Incorrect API key provided: sk-wr***ng.";
    refusal(401, "invalid_api_key", message)
}

pub(super) fn rate_limit() -> Refusal {
    refusal(429, "rate_limit_exceeded", "Rate limit reached")
}

/// The faults to come.
pub(super) struct Faults {
    planned: Mutex<Planned>,
    /// Whether clients are to be let in.
    open: watch::Sender<bool>,
    /// Whether they are.
    listens: watch::Receiver<bool>,
}

#[derive(Default)]
struct Planned {
    next: VecDeque<Fault>,
    always: Option<Fault>,
}

impl Faults {
    pub(super) fn next(&self, fault: Fault) {
        assert_ne!(
            fault,
            Fault::Refuse,
            "a refusal is for all: use fault_always"
        );
        self.planned.lock().unwrap().next.push_back(fault);
    }

    pub(super) async fn always(&self, fault: Option<Fault>) {
        self.planned.lock().unwrap().always = fault;
        let open = fault != Some(Fault::Refuse);
        self.open.send_replace(open);
        let mut listens = self.listens.clone();
        listens.wait_for(|listens| *listens == open).await.unwrap();
    }

    /// The fault of a question that arrived.
    pub(super) fn take(&self) -> Option<Fault> {
        let mut planned = self.planned.lock().unwrap();
        let planned = &mut *planned;
        planned.next.pop_front().or(planned.always)
    }
}

/// A listener that can be taken away, and its switch.
pub(super) async fn switch() -> (Faults, Door) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (open, is_open) = watch::channel(true);
    let (listening, listens) = watch::channel(true);
    let faults = Faults {
        planned: Mutex::default(),
        open,
        listens,
    };
    let door = Door {
        address,
        listener: Some(listener),
        is_open,
        listening,
    };
    (faults, door)
}

/// Where clients come in.
pub(super) struct Door {
    address: SocketAddr,
    listener: Option<TcpListener>,
    is_open: watch::Receiver<bool>,
    listening: watch::Sender<bool>,
}

impl Door {
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Listener for Door {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            if !*self.is_open.borrow_and_update() {
                self.listener = None;
                self.listening.send_replace(false);
                if self.is_open.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
                continue;
            }
            let listener = match self.listener.take() {
                Some(listener) => listener,
                None => TcpListener::bind(self.address).await.unwrap(),
            };
            let listener = self.listener.insert(listener);
            self.listening.send_replace(true);
            tokio::select! {
                accepted = Listener::accept(listener) => {
                    // a clock that jumps does not wait for Nagle
                    accepted.0.set_nodelay(true).unwrap();
                    return accepted;
                }
                changed = self.is_open.changed() => if changed.is_err() {
                    std::future::pending::<()>().await;
                },
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// The other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

impl Connected<IncomingStream<'_, Door>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        Self(*stream.remote_addr())
    }
}
