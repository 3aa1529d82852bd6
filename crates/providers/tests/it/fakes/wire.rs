//! What the fakes of WebSocket vendors do alike: accept, count, record, misbehave on demand.
//! Started by the fakes of this folder; asked by their tests.
//! Knows no vendor.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Body,
    extract::{
        Request, State, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket},
    },
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    serve::ListenerExt as _,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, time::sleep};

pub(crate) const KEY: &str = "sk-speech-0123456789";

/// How a fake misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Fault {
    #[default]
    None,
    /// Every handshake and request is answered with this status.
    Status(u16),
    /// Nothing is answered to what is said.
    Stall,
    /// Text that is not JSON is sent as soon as something is said.
    Garbage,
    /// The connection breaks after this many messages of the client, once.
    Break(usize),
    /// The connection breaks after this many messages of the client, every time.
    AlwaysBreak(usize),
    /// The connection is closed in the middle of the first speech.
    CloseMidway,
    /// Every second something is said that is no answer, and nothing else.
    Noise,
    /// The connection is closed with this code and reason as soon as it is open.
    Close(u16, &'static str),
}

/// What a fake has seen, as its tests ask for it.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) fault: Fault,
    /// Handshakes that were accepted: path and query.
    pub(crate) handshakes: Vec<String>,
    /// JSON texts in the order of their arrival, over all connections.
    pub(crate) texts: Vec<Value>,
    /// Bytes of each binary message, over all connections.
    pub(crate) binaries: Vec<usize>,
    /// How connections ended: the client's close code, or 1006.
    pub(crate) closed: Vec<u16>,
    /// What broke the contract.
    pub(crate) offences: Vec<String>,
}

/// Shared by all connections of a fake.
pub(crate) struct World {
    seen: Mutex<Seen>,
    /// Counts up with everything that happens.
    happened: watch::Sender<u64>,
}

impl World {
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut Seen) -> T) -> T {
        let result = change(&mut self.seen.lock().unwrap());
        self.happened.send_modify(|count| *count += 1);
        result
    }

    /// Returns when `done` holds.
    pub(crate) async fn until(&self, done: impl Fn(&Seen) -> bool) {
        let mut happened = self.happened.subscribe();
        while !done(&self.seen.lock().unwrap()) {
            happened.changed().await.unwrap();
        }
    }

    pub(crate) fn offend(&self, what: impl Into<String>) {
        let what = what.into();
        self.with(|seen| seen.offences.push(what));
    }
}

/// What a client does to a connection.
pub(crate) enum Said {
    Text(Value),
    Binary(Vec<u8>),
    Gone,
}

/// One connection to a fake.
pub(crate) struct Line {
    socket: WebSocket,
    pub(crate) world: Arc<World>,
    pub(crate) uri: Uri,
    messages: usize,
}

impl Line {
    /// The next thing the client says; faults that concern the whole connection are played here.
    pub(crate) async fn hear(&mut self) -> Said {
        let received = loop {
            let noise = self.world.with(|seen| seen.fault) == Fault::Noise;
            tokio::select! {
                biased;
                received = self.socket.recv() => break received,
                () = sleep(Duration::from_secs(1)), if noise => {
                    self.say_raw(r#"{"type":"Noise"}"#).await;
                }
            }
        };
        let message = match received {
            Some(Ok(message)) => message,
            Some(Err(_)) | None => Message::Close(None),
        };
        self.messages += 1;
        let fault = self.world.with(|seen| seen.fault);
        let said = match message {
            Message::Text(text) => {
                let value = serde_json::from_str::<Value>(text.as_str()).unwrap_or_else(|_| {
                    self.world.offend(format!("not JSON: {text}"));
                    Value::Null
                });
                self.world.with(|seen| seen.texts.push(value.clone()));
                Said::Text(value)
            }
            Message::Binary(bytes) => {
                self.world.with(|seen| seen.binaries.push(bytes.len()));
                Said::Binary(bytes.to_vec())
            }
            Message::Ping(_) | Message::Pong(_) => return Box::pin(self.hear()).await,
            Message::Close(frame) => {
                let code = frame.map_or(1006, |frame| frame.code);
                self.world.with(|seen| seen.closed.push(code));
                return Said::Gone;
            }
        };
        match fault {
            Fault::Break(after) | Fault::AlwaysBreak(after) if self.messages >= after => {
                self.world.with(|seen| {
                    if matches!(seen.fault, Fault::Break(_)) {
                        seen.fault = Fault::None;
                    }
                    seen.closed.push(0);
                });
                Said::Gone
            }
            Fault::Garbage => {
                self.say_raw("<html>502 Bad Gateway</html>").await;
                said
            }
            _ => said,
        }
    }

    pub(crate) async fn say(&mut self, value: &Value) {
        if self.answers() {
            self.say_raw(&value.to_string()).await;
            if value["data"].is_string() || value["audio"].is_string() {
                self.close_midway().await;
            }
        }
    }

    fn answers(&self) -> bool {
        let fault = self.world.with(|seen| seen.fault);
        !matches!(fault, Fault::Stall | Fault::Noise)
    }

    async fn close_midway(&mut self) {
        if self.world.with(|seen| seen.fault) == Fault::CloseMidway {
            let _ = self.socket.send(Message::Close(None)).await;
        }
    }

    async fn say_raw(&mut self, text: &str) {
        let _ = self.socket.send(Message::Text(text.into())).await;
    }

    pub(crate) async fn play(&mut self, bytes: Vec<u8>) {
        if self.answers() {
            let _ = self.socket.send(Message::Binary(bytes.into())).await;
            self.close_midway().await;
        }
    }

    /// Closes as vendors do, with a code and a reason.
    pub(crate) async fn close(mut self, code: u16, reason: &str) {
        let frame = CloseFrame {
            code,
            reason: reason.into(),
        };
        let _ = self.socket.send(Message::Close(Some(frame))).await;
        while let Some(Ok(_)) = self.socket.recv().await {}
    }

    pub(crate) fn query(&self, name: &str) -> Option<String> {
        query(&self.uri, name)
    }
}

pub(crate) fn query(uri: &Uri, name: &str) -> Option<String> {
    let address = url::Url::parse(&format!("http://fake{uri}")).unwrap();
    let mut pairs = address.query_pairs();
    pairs
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

type Talk = fn(Line) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// What makes a vendor out of the above.
#[derive(Clone, Copy)]
pub(crate) struct Manners {
    /// Refuses a handshake that breaks the contract, or a request that is no handshake.
    pub(crate) admit: fn(&Uri, &HeaderMap) -> Result<(), Box<Response>>,
    pub(crate) talk: Talk,
    /// Answers what is no handshake.
    pub(crate) answer: fn(&Uri) -> Response,
}

/// A fake on a socket of its own.
pub(crate) struct Fake {
    pub(crate) base_url: String,
    pub(crate) world: Arc<World>,
}

impl Fake {
    pub(crate) async fn start(manners: Manners) -> Self {
        let world = Arc::new(World {
            seen: Mutex::default(),
            happened: watch::Sender::new(0),
        });
        let router = Router::new()
            .fallback(serve)
            .with_state((manners, Arc::clone(&world)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        // a clock that jumps does not wait for Nagle
        let listener = listener.tap_io(|socket| socket.set_nodelay(true).unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { base_url, world }
    }

    pub(crate) fn misbehave(&self, fault: Fault) {
        self.world.with(|seen| seen.fault = fault);
    }

    /// Nothing broke the contract.
    pub(crate) fn is_content(&self) {
        let offences = self.world.with(|seen| seen.offences.clone());
        assert!(offences.is_empty(), "{offences:?}");
    }

    pub(crate) fn handshakes(&self) -> usize {
        self.world.with(|seen| seen.handshakes.len())
    }

    pub(crate) fn texts(&self) -> Vec<Value> {
        self.world.with(|seen| seen.texts.clone())
    }

    /// How often the client said something of this `type`.
    pub(crate) fn count(&self, kind: &str) -> usize {
        let texts = self.texts();
        texts.iter().filter(|text| text["type"] == kind).count()
    }
}

async fn serve(
    State((manners, world)): State<(Manners, Arc<World>)>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
    request: Request<Body>,
) -> Response {
    let uri = request.uri().clone();
    if let Fault::Status(status) = world.with(|seen| seen.fault) {
        return refusal(status);
    }
    if let Err(refused) = (manners.admit)(&uri, request.headers()) {
        return *refused;
    }
    let Ok(upgrade) = upgrade else {
        return (manners.answer)(&uri);
    };
    world.with(|seen| seen.handshakes.push(uri.to_string()));
    upgrade.on_upgrade(move |socket| {
        let line = Line {
            socket,
            world,
            uri,
            messages: 0,
        };
        match line.world.with(|seen| seen.fault) {
            Fault::Close(code, reason) => Box::pin(line.close(code, reason)),
            _ => (manners.talk)(line),
        }
    })
}

pub(crate) fn refusal(status: u16) -> Response {
    let code = StatusCode::from_u16(status).unwrap();
    let body = json!({ "error": { "message": "refused for sk-sp***ey", "code": "refused" } });
    let retry = [(header::RETRY_AFTER, "3")];
    if status == 429 {
        (code, retry, Json(body)).into_response()
    } else {
        (code, Json(body)).into_response()
    }
}

pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
