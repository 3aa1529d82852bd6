//! What the fakes of speech-to-speech vendors do alike: accept, remember what was said, play their script.
//! Started by the fakes of this folder; asked by their tests. Other crates' tests take the whole folder in by its path.
//! Knows no protocol. Speech is text in the shape of sound: each word has 100 ms, silence behind its letters.

pub(crate) mod gemini_live;
mod openai_ladder;
pub(crate) mod openai_realtime;

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
        Request, State as Extract, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket},
    },
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    serve::ListenerExt as _,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, time::sleep};

pub(crate) const KEY: &str = "sk-upstream-0123456789";
/// Length of a word of speech.
pub(crate) const WORD_MS: usize = 100;

/// How an answer goes on behind its last word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum End {
    #[default]
    Complete,
    /// Nothing more comes until somebody interrupts it.
    Silence,
    /// The connection breaks.
    Break,
    /// The session has lasted too long, says the server, and closes.
    Expire,
    /// What follows is no JSON.
    Garbage,
    /// The server fails.
    Fail,
    /// The limit on tokens is reached.
    Length,
}

/// What is answered to a turn of the user.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Answer {
    pub(crate) words: &'static str,
    /// A function with its arguments, called behind the words.
    pub(crate) call: Option<(&'static str, &'static str)>,
    /// What is answered to its output.
    pub(crate) then: &'static str,
    pub(crate) end: End,
}

pub(crate) fn answer(words: &'static str) -> Answer {
    Answer {
        words,
        ..Answer::default()
    }
}

/// Part of a conversation as the server remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) id: String,
    pub(crate) who: &'static str,
    pub(crate) words: String,
}

/// How a fake treats those whom it lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Manner {
    #[default]
    Kind,
    /// Nothing at all is answered.
    Mute,
    /// Every second something is said that is no answer.
    Noisy,
    /// The key is refused behind the handshake, where the vendor does that.
    Distrustful,
}

/// What a fake has seen, and what it is to do.
#[derive(Default)]
pub(crate) struct State {
    /// Handshakes are answered with this.
    pub(crate) status: Option<u16>,
    pub(crate) manner: Manner,
    /// By how many turns of the user the conversation holds; the last one is for all that follow.
    pub(crate) script: Vec<Answer>,
    /// What breaks a connection when it begins an answer, once each.
    pub(crate) breaks: VecDeque<End>,
    /// They break it in its middle and not behind its last word.
    pub(crate) midway: bool,
    pub(crate) handshakes: Vec<String>,
    /// Messages over all connections.
    pub(crate) messages: Vec<Value>,
    /// Settings of each connection, as they are now.
    pub(crate) settings: Vec<Value>,
    /// One conversation per connection.
    pub(crate) conversations: Vec<Vec<Said>>,
    /// Audio of the caller over all connections.
    pub(crate) heard: Vec<u8>,
    /// Connections that the client has closed or dropped.
    pub(crate) hung_up: usize,
    pub(crate) offences: Vec<String>,
}

/// Shared by all connections of a fake.
pub(crate) struct World {
    state: Mutex<State>,
    happened: watch::Sender<u64>,
    dialect: Dialect,
}

impl World {
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state.lock().unwrap());
        self.happened.send_modify(|count| *count += 1);
        result
    }

    pub(crate) fn offend(&self, what: impl Into<String>) {
        let what = what.into();
        self.with(|state| state.offences.push(what));
    }
}

type Talk = fn(Line) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// What makes a vendor out of the above.
#[derive(Clone, Copy)]
pub(crate) struct Dialect {
    /// What the base address has behind the server's.
    pub(crate) base: &'static str,
    /// Refuses a handshake that breaks the contract.
    pub(crate) admit: fn(&Uri, &HeaderMap) -> Result<(), Box<Response>>,
    pub(crate) talk: Talk,
}

/// A fake on a socket of its own.
pub(crate) struct Upstream {
    pub(crate) base_url: String,
    pub(crate) world: Arc<World>,
}

impl Upstream {
    pub(crate) async fn start(dialect: Dialect) -> Self {
        let world = Arc::new(World {
            state: Mutex::default(),
            happened: watch::Sender::new(0),
            dialect,
        });
        let router = Router::new().fallback(serve).with_state(Arc::clone(&world));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}{}", listener.local_addr().unwrap(), dialect.base);
        // a clock that jumps does not wait for Nagle
        let listener = listener.tap_io(|socket| socket.set_nodelay(true).unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { base_url, world }
    }

    pub(crate) fn plays(&self, script: &[Answer]) {
        self.world.with(|state| state.script = script.to_vec());
    }

    /// Returns when `done` holds.
    pub(crate) async fn until(&self, done: impl Fn(&State) -> bool) {
        let mut happened = self.world.happened.subscribe();
        while !done(&self.world.state.lock().unwrap()) {
            happened.changed().await.unwrap();
        }
    }

    /// Nothing broke the contract.
    pub(crate) fn is_content(&self) {
        let offences = self.world.with(|state| state.offences.clone());
        assert!(offences.is_empty(), "{offences:?}");
    }

    pub(crate) fn handshakes(&self) -> usize {
        self.world.with(|state| state.handshakes.len())
    }

    pub(crate) fn messages(&self) -> Vec<Value> {
        self.world.with(|state| state.messages.clone())
    }

    /// Settings of the newest connection.
    pub(crate) fn settings(&self) -> Value {
        self.world
            .with(|state| state.settings.last().cloned().unwrap())
    }

    /// What the newest connection believes was said: `user: hello`, `assistant: hi`.
    pub(crate) fn conversation(&self) -> Vec<String> {
        let conversations = self.world.with(|state| state.conversations.clone());
        let newest = conversations.last().cloned().unwrap_or_default();
        let lines = newest
            .iter()
            .map(|said| format!("{}: {}", said.who, said.words));
        lines.collect()
    }
}

async fn serve(
    Extract(world): Extract<Arc<World>>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
    request: Request<Body>,
) -> Response {
    let uri = request.uri().clone();
    if let Some(status) = world.with(|state| state.status) {
        return refusal(status, "refused");
    }
    if let Err(refused) = (world.dialect.admit)(&uri, request.headers()) {
        return *refused;
    }
    let Ok(upgrade) = upgrade else {
        return Json(json!({ "data": [], "models": [] })).into_response();
    };
    upgrade.on_upgrade(move |socket| {
        let number = world.with(|state| {
            state.handshakes.push(uri.to_string());
            state.conversations.push(Vec::new());
            state.settings.push(Value::Null);
            state.conversations.len() - 1
        });
        let talk = world.dialect.talk;
        talk(Line {
            socket,
            world,
            number,
        })
    })
}

/// A refusal that quotes part of a key, as real ones do.
pub(crate) fn refusal(status: u16, code: &str) -> Response {
    let code_of = StatusCode::from_u16(status).unwrap();
    let body = json!({ "error": { "message": "refused for sk-up***89", "code": code } });
    let retry = [(header::RETRY_AFTER, "3")];
    if status == 429 {
        (code_of, retry, Json(body)).into_response()
    } else {
        (code_of, Json(body)).into_response()
    }
}

pub(crate) fn header_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// One connection to a fake.
pub(crate) struct Line {
    socket: WebSocket,
    pub(crate) world: Arc<World>,
    number: usize,
}

impl Line {
    /// The next message of the client; `None` when it has gone.
    pub(crate) async fn hear(&mut self) -> Option<Value> {
        loop {
            let noisy = self.world.with(|state| state.manner) == Manner::Noisy;
            let received = tokio::select! {
                biased;
                received = self.socket.recv() => received,
                () = sleep(Duration::from_secs(1)), if noisy => {
                    self.say_raw(r#"{"type":"noise"}"#).await;
                    continue;
                }
            };
            match received {
                Some(Ok(Message::Text(text))) => {
                    let Ok(value) = serde_json::from_str::<Value>(text.as_str()) else {
                        self.world.offend(format!("not JSON: {text}"));
                        continue;
                    };
                    self.world.with(|state| state.messages.push(value.clone()));
                    return Some(value);
                }
                Some(Ok(Message::Binary(_))) => self.world.offend("a binary message"),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => {
                    self.world.with(|state| state.hung_up += 1);
                    return None;
                }
            }
        }
    }

    fn is_mute(&self) -> bool {
        self.world.with(|state| state.manner == Manner::Mute)
    }

    pub(crate) async fn say(&mut self, value: &Value) {
        if !self.is_mute() {
            self.say_raw(&value.to_string()).await;
        }
    }

    /// One vendor sends its text in binary frames.
    pub(crate) async fn say_in_binary(&mut self, value: &Value) {
        if !self.is_mute() {
            let bytes = value.to_string().into_bytes();
            let _ = self.socket.send(Message::Binary(bytes.into())).await;
        }
    }

    pub(crate) async fn say_raw(&mut self, text: &str) {
        let _ = self.socket.send(Message::Text(text.into())).await;
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

    pub(crate) fn conversation<T>(&self, change: impl FnOnce(&mut Vec<Said>) -> T) -> T {
        let number = self.number;
        self.world
            .with(|state| change(&mut state.conversations[number]))
    }

    pub(crate) fn settings<T>(&self, change: impl FnOnce(&mut Value) -> T) -> T {
        let number = self.number;
        self.world.with(|state| change(&mut state.settings[number]))
    }

    pub(crate) fn remember(&self, id: impl Into<String>, who: &'static str, words: &str) {
        let (id, words) = (id.into(), words.to_owned());
        self.conversation(|said| said.push(Said { id, who, words }));
    }

    /// What the script has for the conversation as it is now.
    pub(crate) fn scripted(&self) -> Answer {
        let (turns, behind_output) = self.conversation(|said| {
            let turns = said.iter().filter(|said| said.who == "user").count();
            (turns, said.last().is_some_and(|last| last.who == "output"))
        });
        let (script, broken, midway) = self
            .world
            .with(|state| (state.script.clone(), state.breaks.pop_front(), state.midway));
        let place = turns.saturating_sub(1).min(script.len().saturating_sub(1));
        let mut scripted = script.get(place).copied().unwrap_or(answer("all is well"));
        if behind_output {
            scripted = answer(scripted.then);
        }
        if broken.is_some() && midway {
            let half = scripted.words.len() / 2;
            let middle = scripted.words[half..]
                .find(' ')
                .map_or(half, |at| half + at);
            scripted.words = &scripted.words[..middle];
        }
        scripted.end = broken.unwrap_or(scripted.end);
        scripted
    }
}

/// A sound that is these words: 100 ms each, in a format with so many bytes per ms and this silence.
pub(crate) fn speech(words: &str, bytes_per_ms: usize, silence: u8) -> Vec<u8> {
    let length = WORD_MS * bytes_per_ms;
    let words = words.split_whitespace().flat_map(|word| {
        let mut sound = format!("{word} ").into_bytes();
        assert!(sound.len() <= length, "a long word");
        sound.resize(length, silence);
        sound
    });
    words.collect()
}

/// The words in a sound.
pub(crate) fn words(sound: &[u8]) -> String {
    let letters = sound
        .iter()
        .filter(|byte| byte.is_ascii_graphic() || **byte == b' ');
    let text: String = letters.map(|byte| char::from(*byte)).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
