//! The audio routes of OpenAI: `POST /v1/audio/speech`, `POST /v1/audio/transcriptions`, `GET /v1/models`.
//! Refuses whatever breaks the documented contract; speaks and transcribes by counting.
//! The text to speak, and the model to transcribe with, choose how it misbehaves.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Multipart, State},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::ListenerExt as _,
};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
};

use super::{
    deepgram::{samples, transcript},
    wire::{KEY, header as value_of, refusal},
};

/// Bytes of a character of speech: 50 ms of 24 kHz.
const BYTES_PER_CHAR: usize = 2_400;

/// What has been seen.
#[derive(Default, Clone)]
pub(crate) struct Seen {
    /// Bodies of speech requests, in the order of their arrival.
    pub(crate) speeches: Vec<Value>,
    /// Fields of transcription requests but the file, and the samples in it.
    pub(crate) recordings: Vec<(Value, usize)>,
    /// Answers that were dropped before their end.
    pub(crate) given_up: usize,
    pub(crate) checks: usize,
}

pub(crate) struct OpenAiAudio {
    pub(crate) base_url: String,
    world: Arc<World>,
}

#[derive(Default)]
struct World {
    seen: Mutex<Seen>,
    happened: watch::Sender<u64>,
    release: Notify,
}

type Shared = Arc<World>;

impl World {
    fn note(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().unwrap());
        self.happened.send_modify(|count| *count += 1);
    }
}

impl OpenAiAudio {
    pub(crate) async fn start() -> Self {
        let world = Shared::default();
        let router = Router::new()
            .route("/v1/audio/speech", post(speech))
            .route("/v1/audio/transcriptions", post(transcriptions))
            .route("/v1/models", get(models))
            .with_state(Arc::clone(&world));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        // a clock that jumps does not wait for Nagle
        let listener = listener.tap_io(|socket| socket.set_nodelay(true).unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { base_url, world }
    }

    pub(crate) fn seen(&self) -> Seen {
        self.world.seen.lock().unwrap().clone()
    }

    /// Returns when `done` holds.
    pub(crate) async fn until(&self, done: impl Fn(&Seen) -> bool) {
        let mut happened = self.world.happened.subscribe();
        while !done(&self.world.seen.lock().unwrap()) {
            happened.changed().await.unwrap();
        }
    }

    /// Lets an answer that waits for it go on, or break.
    pub(crate) fn release(&self) {
        self.world.release.notify_one();
    }
}

fn authorized(headers: &HeaderMap) -> bool {
    value_of(headers, "authorization") == Some(&format!("Bearer {KEY}"))
}

async fn models(State(world): State<Shared>, headers: HeaderMap) -> Response {
    world.note(|seen| seen.checks += 1);
    if !authorized(&headers) {
        return refusal(401);
    }
    Json(json!({ "object": "list", "data": [] })).into_response()
}

/// A status in the words chooses the answer: `401`, `429`, …
fn status_in(text: &str) -> Option<u16> {
    let number = text.strip_prefix("status ")?;
    number.parse().ok()
}

async fn speech(State(world): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    if !authorized(&headers) {
        return refusal(401);
    }
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return refusal(400);
    };
    world.note(|seen| seen.speeches.push(body.clone()));
    let known = |key: &str, values: &[&str]| values.contains(&body[key].as_str().unwrap_or("?"));
    let (Some(input), true, true) = (
        body["input"].as_str().filter(|input| !input.is_empty()),
        known("response_format", &["pcm"]),
        known("model", &["gpt-4o-mini-tts", "kokoro"]),
    ) else {
        return refusal(400);
    };
    let speed = body["speed"].as_f64().unwrap_or(1.0);
    if !(0.25..=4.0).contains(&speed) || body["voice"].as_str().is_none_or(str::is_empty) {
        return refusal(400);
    }
    if let Some(status) = status_in(input) {
        return refusal(status);
    }
    let bytes = (input.chars().count() as f64 / speed) as usize * BYTES_PER_CHAR;
    // cuts that do not respect samples
    let cuts: Vec<Vec<u8>> = vec![1_u8; bytes]
        .chunks(4_801)
        .map(<[u8]>::to_vec)
        .collect();
    let cuts = stream::iter(cuts);
    match input {
        "stall" => std::future::pending().await,
        "stall midway" => audio(Body::from_stream(
            cuts.take(2)
                .map(Ok::<_, Infallible>)
                .chain(stream::pending()),
        )),
        "close midway" => {
            let wait = Arc::clone(&world);
            let end = stream::once(async move {
                wait.release.notified().await;
                Err(std::io::Error::other("cut"))
            });
            audio(Body::from_stream(cuts.take(2).map(Ok).chain(end)))
        }
        "endless" => endless(world),
        "a page" => ([(header::CONTENT_TYPE, "text/html")], "<html>").into_response(),
        "a file" => audio(Body::from("RIFF\x24\x00\x00\x00WAVEfmt ")),
        _ => audio(Body::from_stream(cuts.map(Ok::<_, Infallible>))),
    }
}

fn audio(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "audio/pcm")], body).into_response()
}

/// Speaks until the client goes away, and counts that it did.
fn endless(world: Shared) -> Response {
    struct Tell(Shared);
    impl Drop for Tell {
        fn drop(&mut self) {
            self.0.note(|seen| seen.given_up += 1);
        }
    }
    let tell = Tell(world);
    let chunks = stream::repeat_with(move || {
        let _held = &tell;
        Ok::<_, Infallible>(vec![1_u8; 4_800])
    });
    audio(Body::from_stream(chunks.then(|chunk| async {
        tokio::task::yield_now().await;
        chunk
    })))
}

async fn transcriptions(
    State(world): State<Shared>,
    headers: HeaderMap,
    mut form: Multipart,
) -> Response {
    if !authorized(&headers) {
        return refusal(401);
    }
    let mut fields = json!({});
    let mut heard = None;
    while let Ok(Some(field)) = form.next_field().await {
        let name = field.name().unwrap_or_default().to_owned();
        if name == "file" {
            let named = field.file_name().is_some_and(|name| name == "audio.wav");
            let bytes = field.bytes().await.unwrap();
            if !named || !bytes.starts_with(b"RIFF") || bytes[24..28] != 16_000_u32.to_le_bytes() {
                return refusal(400);
            }
            heard = Some(samples(&bytes[44..]));
        } else {
            fields[name] = json!(field.text().await.unwrap());
        }
    }
    let (Some(heard), Some(model)) = (heard, fields["model"].as_str()) else {
        return refusal(400);
    };
    world.note(|seen| seen.recordings.push((fields.clone(), heard.len())));
    if let Some(status) = status_in(model) {
        return refusal(status);
    }
    let text = transcript(&heard);
    match model {
        "stall" => {
            struct Tell(Shared);
            impl Drop for Tell {
                fn drop(&mut self) {
                    self.0.note(|seen| seen.given_up += 1);
                }
            }
            let _tell = Tell(world);
            std::future::pending().await
        }
        "gpt-4o-mini-transcribe" if fields["stream"] == "true" => {
            let (first, second) = text.split_at(text.len() / 2);
            let mut events = String::new();
            for delta in [first, second] {
                let event = json!({ "type": "transcript.text.delta", "delta": delta });
                events += &format!("event: transcript.text.delta\ndata: {event}\n\n");
            }
            let done = json!({ "type": "transcript.text.done", "text": text });
            events += &format!("event: transcript.text.done\ndata: {done}\n\n");
            sse(Body::from(events))
        }
        "cut" => sse(Body::from(
            "data: {\"type\":\"transcript.text.delta\",\"delta\":\"1-\"}\n\n",
        )),
        "stall midway" => sse(Body::from_stream(
            stream::iter([Ok::<_, Infallible>(
                "data: {\"type\":\"transcript.text.delta\",\"delta\":\"1-\"}\n\n",
            )])
            .chain(stream::pending()),
        )),
        "garbage" => sse(Body::from("data: <html>\n\n")),
        "a page" => ([(header::CONTENT_TYPE, "text/html")], "<html>").into_response(),
        "not a transcript" => Json(json!({ "result": text })).into_response(),
        // servers that know no streaming read over the field
        _ => Json(json!({ "text": text })).into_response(),
    }
}

fn sse(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}
