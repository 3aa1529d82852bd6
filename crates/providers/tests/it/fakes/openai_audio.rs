//! The audio routes of OpenAI: `POST /v1/audio/speech`, `POST /v1/audio/transcriptions`, `GET /v1/models`.
//! Refuses whatever breaks the documented contract; speaks and transcribes by counting.
//! The text to speak, and the model to transcribe with, choose what only this vendor does.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Json,
    body::{Body, to_bytes},
    extract::{FromRequest as _, Multipart, Request},
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::{
    Fault,
    deepgram::{samples, transcript},
    wire::{EACH, KEY, Manners, World, header as value_of, refusal},
};

/// Bytes of a character of speech: 50 ms of 24 kHz.
const BYTES_PER_CHAR: usize = 2_400;
/// Bytes of a cut, which does not respect samples: a bit more than 100 ms.
const CUT: usize = 4_801;

pub(crate) const MANNERS: Manners = Manners {
    admit: |_, headers| {
        let right = value_of(headers, "authorization") == Some(&format!("Bearer {KEY}"));
        right.then_some(()).ok_or_else(|| Box::new(refusal(401)))
    },
    // nothing here is a WebSocket
    talk: |_| Box::pin(std::future::ready(())),
    answer: |world, request| {
        Box::pin(async move {
            match request.uri().path() {
                "/v1/audio/speech" => speech(world, request).await,
                "/v1/audio/transcriptions" => transcriptions(world, request).await,
                "/v1/models" => Json(json!({ "object": "list", "data": [] })).into_response(),
                _ => refusal(404),
            }
        })
    },
};

/// Counts an answer that is dropped before its end.
struct Tell(Arc<World>);

impl Drop for Tell {
    fn drop(&mut self) {
        self.0.with(|seen| seen.given_up += 1);
    }
}

async fn speech(world: Arc<World>, request: Request) -> Response {
    let body = to_bytes(request.into_body(), 100_000).await.unwrap();
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return refusal(400);
    };
    world.with(|seen| seen.speeches.push(body.clone()));
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
    world.with(|seen| seen.spoken.push(input.to_owned()));
    let sound = vec![1_u8; (input.chars().count() as f64 / speed) as usize * BYTES_PER_CHAR];
    match (input, world.fault()) {
        (_, Some(Fault::StallBefore)) => std::future::pending().await,
        (_, Some(Fault::Garbage)) => page(),
        ("endless", _) => endless(world),
        ("a file", _) => audio(Body::from("RIFF\x24\x00\x00\x00WAVEfmt ")),
        (_, fault) => {
            let faulty = fault.and_then(|fault| fault.body(&sound, CUT, (CUT, EACH)));
            audio(faulty.unwrap_or_else(|| {
                let cuts: Vec<_> = sound.chunks(CUT).map(<[u8]>::to_vec).collect();
                Body::from_stream(stream::iter(cuts).map(Ok::<_, Infallible>))
            }))
        }
    }
}

fn page() -> Response {
    ([(header::CONTENT_TYPE, "text/html")], "<html>").into_response()
}

fn audio(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "audio/pcm")], body).into_response()
}

/// Speaks until the client goes away, and counts that it did.
fn endless(world: Arc<World>) -> Response {
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

async fn transcriptions(world: Arc<World>, request: Request) -> Response {
    let mut form = Multipart::from_request(request, &()).await.unwrap();
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
    world.with(|seen| seen.recordings.push((fields.clone(), heard.len())));
    let text = transcript(&heard);
    match (model, world.fault()) {
        (_, Some(Fault::StallBefore)) => {
            let _tell = Tell(world);
            std::future::pending().await
        }
        (_, Some(Fault::Garbage)) => sse(Body::from("data: <html>\n\n")),
        ("gpt-4o-mini-transcribe", fault) if fields["stream"] == "true" => {
            let (first, second) = text.split_at(text.len() / 2);
            let mut events = String::new();
            for delta in [first, second] {
                let event = json!({ "type": "transcript.text.delta", "delta": delta });
                events += &format!("event: transcript.text.delta\ndata: {event}\n\n");
            }
            let middle = events.len();
            let done = json!({ "type": "transcript.text.done", "text": text });
            events += &format!("event: transcript.text.done\ndata: {done}\n\n");
            let faulty = fault.and_then(|fault| fault.body(events.as_bytes(), middle, (16, EACH)));
            sse(faulty.unwrap_or_else(|| Body::from(events)))
        }
        ("cut", _) => sse(Body::from(
            "data: {\"type\":\"transcript.text.delta\",\"delta\":\"1-\"}\n\n",
        )),
        ("a page", _) => page(),
        ("not a transcript", _) => Json(json!({ "result": text })).into_response(),
        // servers that know no streaming read over the field
        _ => Json(json!({ "text": text })).into_response(),
    }
}

fn sse(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}
