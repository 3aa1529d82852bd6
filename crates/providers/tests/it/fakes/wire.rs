//! What the fakes of speech vendors do alike: accept, count, record, misbehave on demand.
//! Started by the fakes of this folder; asked by their tests.
//! Knows no vendor.

use std::{
    collections::VecDeque,
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
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use super::fault::{self, Fault, Faults};

pub(crate) const KEY: &str = "sk-speech-0123456789";

/// How a fake of this kind misbehaves, until it is told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mischief {
    /// As every fake does. `StallMidway` and `CloseMidway` take effect behind the first transcript or the first sound,
    /// `Garbage` as soon as anything is said, and of a trickle there is a message every [`EACH`], but never a last one.
    Fault(Fault),
    /// Every handshake and request is answered with this status.
    Status(u16),
    /// The connection breaks after this many messages of the client, once.
    Break(usize),
    /// The connection breaks after this many messages of the client, every time.
    AlwaysBreak(usize),
    /// Every second something is said that is no answer, and nothing else.
    Noise,
    /// The connection is closed with this code and reason as soon as it is open.
    Close(u16, &'static str),
}

impl From<Fault> for Mischief {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// What trickles comes so far apart: less than anybody waits, and far slower than anybody speaks.
pub(super) const EACH: Duration = Duration::from_secs(4);

/// What a fake has seen, as its tests ask for it.
#[derive(Default)]
pub(crate) struct Seen {
    mischief: Option<Mischief>,
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
    /// What was spoken, piece by piece, to its end or not.
    pub(crate) spoken: Vec<String>,
    /// Bodies of speech requests, in the order of their arrival.
    pub(crate) speeches: Vec<Value>,
    /// Fields of transcription requests but the file, and the samples in it.
    pub(crate) recordings: Vec<(Value, usize)>,
    /// Answers that were dropped before their end.
    pub(crate) given_up: usize,
    /// How often anybody asked whether the key is right.
    pub(crate) checks: usize,
}

/// Shared by all connections of a fake.
pub(crate) struct World {
    seen: Mutex<Seen>,
    /// Counts up with everything that happens.
    happened: watch::Sender<u64>,
    faults: Faults,
}

impl World {
    pub(super) fn mischief(&self) -> Option<Mischief> {
        self.seen.lock().unwrap().mischief
    }

    /// The fault that every fake knows, if it is one.
    pub(super) fn fault(&self) -> Option<Fault> {
        match self.mischief() {
            Some(Mischief::Fault(fault)) => Some(fault),
            _ => None,
        }
    }

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
    /// Whether anything of interest has been said.
    begun: bool,
    /// What trickles, and when the next of it is due.
    drops: VecDeque<Message>,
    next_drop: Instant,
}

impl Line {
    /// The next thing the client says; faults that concern the whole connection are played here.
    pub(crate) async fn hear(&mut self) -> Said {
        let received = loop {
            let noise = self.world.mischief() == Some(Mischief::Noise);
            tokio::select! {
                biased;
                () = sleep_until(self.next_drop), if !self.drops.is_empty() => self.drip().await,
                received = self.socket.recv() => break received,
                () = sleep(Duration::from_secs(1)), if noise => {
                    self.send(text(r#"{"type":"Noise"}"#)).await;
                }
            }
        };
        let message = match received {
            Some(Ok(message)) => message,
            Some(Err(_)) | None => Message::Close(None),
        };
        self.messages += 1;
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
        match self.world.mischief() {
            Some(Mischief::Break(after) | Mischief::AlwaysBreak(after))
                if self.messages >= after =>
            {
                self.world.with(|seen| {
                    if matches!(seen.mischief, Some(Mischief::Break(_))) {
                        seen.mischief = None;
                    }
                    seen.closed.push(0);
                });
                Said::Gone
            }
            Some(Mischief::Fault(Fault::Garbage)) => {
                self.send(text("<html>502 Bad Gateway</html>")).await;
                said
            }
            _ => said,
        }
    }

    /// Says a drop; the last one again and again where it is not the end of anything.
    async fn drip(&mut self) {
        self.next_drop += EACH;
        let drop = match &self.drops.make_contiguous()[..] {
            [last @ Message::Text(_)] => last.clone(),
            _ => self.drops.pop_front().unwrap(),
        };
        self.send(drop).await;
    }

    pub(crate) async fn say(&mut self, value: &Value) {
        let heard = matches!(value["type"].as_str(), Some("Results" | "Turn"));
        let spoken = value["data"].is_string() || value["audio"].is_string();
        let is_last = value["is_final"] == true || value["end_of_turn"] == true;
        if !(is_last && self.world.fault() == Some(Fault::Trickle)) {
            self.tell(text(&value.to_string()), heard || spoken).await;
        }
    }

    pub(crate) async fn play(&mut self, bytes: Vec<u8>) {
        self.tell(Message::Binary(bytes.into()), true).await;
    }

    /// Sends what the faults let through; some take effect behind the first message of interest.
    async fn tell(&mut self, message: Message, interesting: bool) {
        match self.world.mischief() {
            Some(Mischief::Noise | Mischief::Fault(Fault::StallBefore)) => {}
            Some(Mischief::Fault(Fault::StallMidway)) if self.begun => {}
            Some(Mischief::Fault(Fault::Trickle)) if interesting || !self.drops.is_empty() => {
                if self.drops.is_empty() {
                    self.next_drop = Instant::now();
                }
                self.drops.push_back(message);
            }
            mischief => {
                self.begun |= interesting;
                self.send(message).await;
                if interesting && mischief == Some(Fault::CloseMidway.into()) {
                    self.send(Message::Close(None)).await;
                }
            }
        }
    }

    async fn send(&mut self, message: Message) {
        // the client may have gone away meanwhile
        let _ = self.socket.send(message).await;
    }

    /// Closes as vendors do, with a code and a reason.
    pub(crate) async fn close(mut self, code: u16, reason: &str) {
        let frame = CloseFrame {
            code,
            reason: reason.into(),
        };
        self.send(Message::Close(Some(frame))).await;
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

type Coming<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What makes a vendor out of the above.
#[derive(Clone, Copy)]
pub(crate) struct Manners {
    /// Refuses a handshake that breaks the contract, or a request that is no handshake.
    pub(crate) admit: fn(&Uri, &HeaderMap) -> Result<(), Box<Response>>,
    pub(crate) talk: fn(Line) -> Coming<()>,
    /// Answers what is no handshake.
    pub(crate) answer: fn(Arc<World>, Request<Body>) -> Coming<Response>,
}

/// A fake on a socket of its own.
pub(crate) struct Fake {
    pub(crate) base_url: String,
    pub(crate) world: Arc<World>,
}

impl Fake {
    pub(crate) async fn start(manners: Manners) -> Self {
        let (faults, door) = fault::switch().await;
        let base_url = format!("http://{}", door.address());
        let world = Arc::new(World {
            seen: Mutex::default(),
            happened: watch::Sender::new(0),
            faults,
        });
        let router = Router::new()
            .fallback(serve)
            .with_state((manners, Arc::clone(&world)));
        tokio::spawn(async move { axum::serve(door, router).await });
        Self { base_url, world }
    }

    pub(crate) async fn misbehave(&self, mischief: impl Into<Mischief>) {
        let mischief = mischief.into();
        self.world.with(|seen| seen.mischief = Some(mischief));
        self.world.faults.always(self.world.fault()).await;
    }

    pub(crate) async fn behave(&self) {
        self.world.with(|seen| seen.mischief = None);
        self.world.faults.always(None).await;
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
    let status = match world.mischief() {
        Some(Mischief::Status(status)) => Some(status),
        Some(Mischief::Fault(fault)) => fault.refusal().map(|refused| refused.status),
        _ => None,
    };
    if let Some(status) = status {
        return refusal(status);
    }
    if let Err(refused) = (manners.admit)(&uri, request.headers()) {
        return *refused;
    }
    let Ok(upgrade) = upgrade else {
        world.with(|seen| seen.checks += usize::from(request.method() == Method::GET));
        return (manners.answer)(world, request).await;
    };
    world.with(|seen| seen.handshakes.push(uri.to_string()));
    upgrade.on_upgrade(move |socket| {
        let line = Line {
            socket,
            world,
            uri,
            messages: 0,
            begun: false,
            drops: VecDeque::new(),
            next_drop: Instant::now(),
        };
        match line.world.mischief() {
            Some(Mischief::Close(code, reason)) => Box::pin(line.close(code, reason)),
            _ => (manners.talk)(line),
        }
    })
}

/// What a vendor answers to the question whether the key is right, and to no other.
pub(super) fn check(
    request: &Request<Body>,
    path: &str,
    refuse: fn() -> Response,
) -> Coming<Response> {
    let answer = if request.uri().path() == path {
        Json(json!({})).into_response()
    } else {
        refuse()
    };
    Box::pin(std::future::ready(answer))
}

fn text(text: &str) -> Message {
    Message::Text(text.into())
}

pub(crate) fn refusal(status: u16) -> Response {
    let code = StatusCode::from_u16(status).unwrap();
    let body = json!({ "error": { "message": "refused for sk-sp***ey", "code": "refused" } });
    let retry = [(header::RETRY_AFTER, "2")];
    if status == 429 {
        (code, retry, Json(body)).into_response()
    } else {
        (code, Json(body)).into_response()
    }
}

pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
