//! `AssemblyAI`'s `GET /v3/ws` and `GET /v3/token`, as its documentation describes them.
//! Refuses whatever breaks the contract: messages that are too short or too long, audio that
//! comes too fast, parameters that are missing.
//! Transcribes the numbers that the samples are, so that lost, doubled and disordered audio shows.

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    deepgram::{samples, transcript},
    wire::{KEY, Line, Manners, Said, check, header, query},
};

/// How far audio may be ahead of real time; the documentation names no number.
const TOLERANCE: Duration = Duration::from_secs(31);

pub(crate) const MANNERS: Manners = Manners {
    admit,
    talk: |line| Box::pin(talk(line)),
    answer: |_, request| check(&request, "/v3/token", || refuse(StatusCode::NOT_FOUND)),
};

fn refuse(status: StatusCode) -> Response {
    (status, Json(json!({ "error": "refused" }))).into_response()
}

fn admit(uri: &Uri, headers: &HeaderMap) -> Result<(), Box<Response>> {
    if header(headers, "authorization") != Some(KEY) {
        return Err(Box::new(refuse(StatusCode::UNAUTHORIZED)));
    }
    if uri.path() == "/v3/token" && query(uri, "expires_in_seconds").is_none() {
        return Err(Box::new(refuse(StatusCode::BAD_REQUEST)));
    }
    let model = query(uri, "speech_model").unwrap_or_default();
    let fits = query(uri, "sample_rate").as_deref() == Some("16000")
        && query(uri, "encoding").as_deref() == Some("pcm_s16le")
        && model.starts_with("universal-streaming-");
    if uri.path() == "/v3/ws" && !fits {
        return Err(Box::new(refuse(StatusCode::BAD_REQUEST)));
    }
    Ok(())
}

fn turn(order: u64, from: usize, heard: &[i16], ends: bool) -> Value {
    let text = transcript(&heard[from..]);
    let (start, end) = (from / 16, heard.len() / 16);
    let words = json!([{ "start": start, "end": end, "text": text, "confidence": 0.9, "word_is_final": ends }]);
    json!({
        "type": "Turn", "turn_order": order, "turn_is_formatted": false, "end_of_turn": ends,
        "transcript": if ends { text.as_str() } else { "" }, "end_of_turn_confidence": 0.2,
        "words": words, "utterance": ""
    })
}

async fn talk(mut line: Line) {
    let mut heard: Vec<i16> = Vec::new();
    let mut settled = 0;
    let mut order = 0;
    let opened = Instant::now();
    line.say(&json!({ "type": "Begin", "id": "i", "expires_at": 1_759_796_682 }))
        .await;
    loop {
        match line.hear().await {
            Said::Binary(bytes) => {
                let ms = bytes.len() / 32;
                let (sent, taken) = ((heard.len() / 16 + ms) as u64, opened.elapsed());
                let problem = if !(50..=1_000).contains(&ms) || bytes.len() % 2 != 0 {
                    Some(format!("Input duration violation: {ms} ms."))
                } else if Duration::from_millis(sent) > taken + TOLERANCE {
                    Some(format!(
                        "Audio Transmission Rate Exceeded: Received {sent} ms audio in {taken:?}"
                    ))
                } else {
                    None
                };
                if let Some(problem) = &problem {
                    line.world.offend(problem);
                    let error = json!({ "type": "Error", "error_code": 3007, "error": problem });
                    line.say(&error).await;
                    return line.close(3007, problem).await;
                }
                heard.extend(samples(&bytes));
                // of silence nothing is said
                if heard[settled..].iter().any(|sample| *sample != 0) {
                    line.say(&turn(order, settled, &heard, false)).await;
                }
            }
            Said::Text(text) => match text["type"].as_str() {
                Some("ForceEndpoint") => {
                    if heard[settled..].iter().any(|sample| *sample != 0) {
                        line.say(&turn(order, settled, &heard, true)).await;
                        order += 1;
                    }
                    settled = heard.len();
                }
                Some("Terminate") => {
                    let seconds = heard.len() / 16_000;
                    let end = json!({ "type": "Termination", "audio_duration_seconds": seconds });
                    line.say(&end).await;
                    line.world.with(|seen| seen.closed.push(1000));
                    return line.close(1000, "").await;
                }
                _ => line.world.offend(format!("unknown message {text}")),
            },
            Said::Gone => return,
        }
    }
}
