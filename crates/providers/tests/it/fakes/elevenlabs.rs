//! `ElevenLabs`' `stream-input`, as its documentation describes it, and `GET /v1/models`.
//! Refuses whatever breaks the contract: a first message that is no space, text without one at its end, text behind
//! the end, silence beyond the timeout that was asked for.

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use engine::audio::b64;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::wire::{KEY, Line, Manners, Said, check, header, query};

/// Length of a character of speech.
const MS_PER_CHAR: usize = 50;

pub(crate) const MANNERS: Manners = Manners {
    admit,
    talk: |line| Box::pin(talk(line)),
    answer: |_, request| {
        let unknown = || refuse(StatusCode::NOT_FOUND, "not_found");
        check(&request, "/v1/models", unknown)
    },
};

fn refuse(status: StatusCode, word: &str) -> Response {
    let body = json!({ "detail": { "status": word, "message": "refused" } });
    (status, Json(body)).into_response()
}

fn admit(uri: &Uri, headers: &HeaderMap) -> Result<(), Box<Response>> {
    if header(headers, "xi-api-key") != Some(KEY) {
        return Err(Box::new(refuse(
            StatusCode::UNAUTHORIZED,
            "invalid_api_key",
        )));
    }
    if uri.path() == "/v1/models" {
        return Ok(());
    }
    let parts: Vec<&str> = uri.path().split('/').collect();
    let [_, "v1", "text-to-speech", voice, "stream-input"] = parts[..] else {
        return Err(Box::new(refuse(StatusCode::NOT_FOUND, "not_found")));
    };
    let format = query(uri, "output_format").unwrap_or_default();
    let known = ["pcm_8000", "pcm_16000", "pcm_24000"].contains(&format.as_str());
    let timeout = query(uri, "inactivity_timeout").and_then(|text| text.parse::<u64>().ok());
    if voice.len() != 20 || !known || timeout.is_none_or(|seconds| seconds > 180) {
        return Err(Box::new(refuse(
            StatusCode::BAD_REQUEST,
            "invalid_parameters",
        )));
    }
    Ok(())
}

async fn fail(mut line: Line, word: &str) {
    line.world.offend(word);
    line.say(&json!({ "message": "refused", "error": word, "code": 1008 }))
        .await;
    line.close(1008, "refused").await;
}

async fn talk(mut line: Line) {
    let rate: usize = line.query("output_format").unwrap()[4..].parse().unwrap();
    let patience: u64 = line.query("inactivity_timeout").unwrap().parse().unwrap();
    let mut speed = 1.0;
    let mut begun = false;
    let mut waiting = String::new();
    loop {
        let said = match timeout(Duration::from_secs(patience), line.hear()).await {
            Ok(Said::Text(said)) => said,
            Ok(Said::Binary(_)) => return fail(line, "invalid_input_message").await,
            Ok(Said::Gone) => return,
            Err(_) => {
                let late =
                    json!({ "message": "m", "error": "input_timeout_exceeded", "code": 1008 });
                line.say(&late).await;
                return line.close(1008, "Have not received a new text input").await;
            }
        };
        let Some(text) = said["text"].as_str() else {
            return fail(line, "invalid_input_message").await;
        };
        if !begun {
            if text != " " {
                return fail(line, "invalid_first_message").await;
            }
            begun = true;
            speed = said["voice_settings"]["speed"].as_f64().unwrap_or(1.0);
            if !(0.7..=1.2).contains(&speed) {
                return fail(line, "invalid_voice_settings").await;
            }
            continue;
        }
        if !text.is_empty() && !text.ends_with(' ') {
            return fail(line, "text_without_space").await;
        }
        waiting.push_str(text);
        let ends = text.is_empty();
        if ends || said["flush"] == true {
            speak(&mut line, &waiting, (rate as f64 / speed) as usize).await;
            waiting.clear();
        }
        if ends {
            line.say(&json!({ "audio": null, "isFinal": true })).await;
            line.world.with(|seen| seen.closed.push(1000));
            return line.close(1000, "").await;
        }
    }
}

/// Speaks in chunks with the characters they are of.
async fn speak(line: &mut Line, text: &str, rate: usize) {
    if !text.is_empty() {
        let words = text.trim().to_owned();
        line.world.with(|seen| seen.spoken.push(words));
    }
    let chars: Vec<char> = text.chars().collect();
    for chunk in chars.chunks(7) {
        let spoken = chunk.iter().filter(|c| !c.is_whitespace()).count();
        // halves of samples stay together: every chunk is a whole
        let samples = spoken * rate * MS_PER_CHAR / 1000;
        let mut audio = String::new();
        b64::encode(&vec![1_u8; samples * 2], &mut audio);
        let chars: Vec<Value> = chunk.iter().map(|c| json!(c.to_string())).collect();
        let alignment = json!({ "chars": chars, "charStartTimesMs": [], "charsDurationsMs": [] });
        line.say(&json!({ "audio": audio, "isFinal": null, "alignment": alignment }))
            .await;
    }
}
