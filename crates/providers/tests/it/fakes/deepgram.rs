//! Deepgram, as its documentation describes it: `GET /v1/listen`, `GET /v1/speak`, `GET /v1/auth/token`.
//! Refuses whatever breaks the contract, closes with `NET-0001` after 10 s of silence, and counts.
//! Transcribes the numbers that the samples are, so that lost, doubled and disordered audio shows.

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::wire::{KEY, Line, Manners, Said, check, header, query};

/// Silence after which Deepgram closes (<https://developers.deepgram.com/docs/audio-keep-alive>).
const PATIENCE: Duration = Duration::from_secs(10);
/// Samples of a character of speech: 50 ms at any rate.
const MS_PER_CHAR: usize = 50;
/// Samples of which a final result is made unasked: 5 s.
const SEGMENT: usize = 80_000;
/// Flushes in a minute (<https://developers.deepgram.com/docs/tts-ws-flush>).
const FLUSHES: usize = 20;

pub(crate) const MANNERS: Manners = Manners {
    admit,
    talk: |line| {
        Box::pin(async move {
            if line.uri.path() == "/v1/listen" {
                listen(line).await;
            } else {
                speak(line).await;
            }
        })
    },
    answer: |_, request| {
        let unknown = || refuse(StatusCode::NOT_FOUND, "NOT_FOUND");
        check(&request, "/v1/auth/token", unknown)
    },
};

fn refuse(status: StatusCode, code: &str) -> Response {
    let body = json!({ "err_code": code, "err_msg": "refused", "request_id": "r" });
    (status, Json(body)).into_response()
}

fn admit(uri: &Uri, headers: &HeaderMap) -> Result<(), Box<Response>> {
    if header(headers, "authorization") != Some(&format!("Token {KEY}")) {
        return Err(Box::new(refuse(StatusCode::UNAUTHORIZED, "INVALID_AUTH")));
    }
    let expected: &[(&str, &[&str])] = match uri.path() {
        "/v1/listen" => &[
            ("encoding", &["linear16"]),
            ("sample_rate", &["16000"]),
            ("channels", &["1"]),
            ("interim_results", &["true"]),
            ("smart_format", &["true"]),
        ],
        "/v1/speak" => &[
            ("encoding", &["linear16"]),
            ("sample_rate", &["8000", "16000", "24000", "32000", "48000"]),
        ],
        _ => return Ok(()),
    };
    let fits = |(name, values): &(&str, &[&str])| {
        query(uri, name).is_some_and(|value| values.contains(&value.as_str()))
    };
    if expected.iter().all(fits) && query(uri, "model").is_some() {
        Ok(())
    } else {
        Err(Box::new(refuse(
            StatusCode::BAD_REQUEST,
            "INVALID_QUERY_PARAMETER",
        )))
    }
}

/// What is said in samples that count up: `1-400`, and `1-200,301-400` where some are missing. Zero is silence.
pub(crate) fn transcript(samples: &[i16]) -> String {
    let mut runs: Vec<(i16, i16)> = Vec::new();
    for sample in samples.iter().copied().filter(|sample| *sample != 0) {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(sample) => *last = sample,
            _ => runs.push((sample, sample)),
        }
    }
    let runs: Vec<String> = runs
        .iter()
        .map(|(first, last)| format!("{first}-{last}"))
        .collect();
    runs.join(",")
}

pub(crate) fn samples(bytes: &[u8]) -> Vec<i16> {
    let pairs = bytes.chunks_exact(2);
    pairs
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}

async fn listen(mut line: Line) {
    let mut heard: Vec<i16> = Vec::new();
    let mut settled = 0;
    let mut alive = Instant::now();
    let results = |from: usize, heard: &[i16], is_final: bool, from_finalize: bool| {
        json!({
            "type": "Results", "channel_index": [0, 1],
            "start": from as f64 / 16_000.0, "duration": (heard.len() - from) as f64 / 16_000.0,
            "is_final": is_final, "speech_final": false, "from_finalize": from_finalize,
            "channel": { "alternatives": [
                { "transcript": transcript(&heard[from..]), "confidence": 0.98, "words": [] }
            ] },
        })
    };
    loop {
        let Ok(said) = timeout_at(alive + PATIENCE, line.hear()).await else {
            let reason = "NET-0001: Deepgram did not receive audio data or a text message";
            line.world.with(|seen| seen.closed.push(1011));
            return line.close(1011, reason).await;
        };
        match said {
            Said::Binary(bytes) if bytes.len() % 2 == 0 && !bytes.is_empty() => {
                alive = Instant::now();
                heard.extend(samples(&bytes));
                // long speech is settled bit by bit without being asked for
                let settles = heard.len() - settled >= SEGMENT;
                line.say(&results(settled, &heard, settles, false)).await;
                if settles {
                    settled = heard.len();
                }
            }
            Said::Binary(bytes) => line.world.offend(format!("{} bytes of audio", bytes.len())),
            Said::Text(text) => match text["type"].as_str() {
                Some("KeepAlive") => alive = Instant::now(),
                Some("Finalize") if settled < heard.len() => {
                    line.say(&results(settled, &heard, true, true)).await;
                    settled = heard.len();
                }
                // nothing is left to be finalized, and nothing is said of it
                Some("Finalize") => {}
                Some("CloseStream") => {
                    let metadata = json!({ "type": "Metadata", "duration": 0.0, "channels": 1 });
                    line.say(&metadata).await;
                    line.world.with(|seen| seen.closed.push(1000));
                    return line.close(1000, "").await;
                }
                _ => line.world.offend(format!("unknown message {text}")),
            },
            Said::Gone => return,
        }
    }
}

async fn speak(mut line: Line) {
    let rate: usize = line.query("sample_rate").unwrap().parse().unwrap();
    let speed = line
        .query("speed")
        .map_or(1.0, |speed| speed.parse().unwrap());
    if !(0.7..=1.5).contains(&speed) {
        return line.close(1008, "DATA-0000: invalid speed").await;
    }
    let metadata = json!({ "type": "Metadata", "request_id": "r", "model_name": "aura" });
    line.say(&metadata).await;
    let mut text = String::new();
    let mut sequence = 0;
    let mut flushes: Vec<Instant> = Vec::new();
    loop {
        let said = match line.hear().await {
            Said::Text(said) => said,
            Said::Binary(_) => {
                line.world.offend("binary messages mean nothing to a voice");
                continue;
            }
            Said::Gone => return,
        };
        match said["type"].as_str() {
            Some("Speak") => match said["text"].as_str() {
                Some(more) if !more.is_empty() => text.push_str(more),
                _ => line.world.offend("nothing to speak"),
            },
            Some("Flush") => {
                flushes.retain(|at| at.elapsed() < Duration::from_mins(1));
                if flushes.len() == FLUSHES {
                    line.world.offend("too many flushes");
                    let warning =
                        json!({ "type": "Warning", "code": "FLUSH_LIMIT", "description": "d" });
                    line.say(&warning).await;
                    continue;
                }
                flushes.push(Instant::now());
                let words = text.trim().to_owned();
                line.world.with(|seen| seen.spoken.push(words));
                let natural = text.trim().chars().count() * rate * MS_PER_CHAR / 1000;
                let samples = (natural as f64 / speed) as usize;
                // in cuts that do not respect samples
                for cut in vec![1_u8; samples * 2].chunks(4_801) {
                    line.play(cut.to_vec()).await;
                }
                text.clear();
                line.say(&json!({ "type": "Flushed", "sequence_id": sequence }))
                    .await;
                sequence += 1;
            }
            Some("Clear") => {
                text.clear();
                line.say(&json!({ "type": "Cleared", "sequence_id": sequence }))
                    .await;
            }
            Some("Close") => {
                line.world.with(|seen| seen.closed.push(1000));
                return line.close(1000, "").await;
            }
            _ => line.world.offend(format!("unknown message {said}")),
        }
    }
}
