//! Cartesia's `GET /tts/websocket`, as its documentation describes it, and `GET /voices`.
//! Refuses whatever breaks the contract: fields that change within a context, inputs for one that has expired.

use std::{collections::HashMap, time::Duration};

use axum::{
    Json,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use engine::audio::b64;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::wire::{KEY, Line, Manners, Said, check, header};

/// Length of a character of speech.
const MS_PER_CHAR: usize = 50;
/// A context expires so long after its last audio.
const EXPIRY: Duration = Duration::from_secs(1);

pub(crate) const MANNERS: Manners = Manners {
    admit,
    talk: |line| Box::pin(talk(line)),
    answer: |_, request| check(&request, "/voices", || refuse(StatusCode::NOT_FOUND)),
};

fn refuse(status: StatusCode) -> Response {
    (status, Json(json!({ "error": "refused" }))).into_response()
}

fn admit(_uri: &Uri, headers: &HeaderMap) -> Result<(), Box<Response>> {
    if header(headers, "x-api-key") != Some(KEY) {
        return Err(Box::new(refuse(StatusCode::UNAUTHORIZED)));
    }
    if header(headers, "cartesia-version") != Some("2025-04-16") {
        return Err(Box::new(refuse(StatusCode::BAD_REQUEST)));
    }
    Ok(())
}

struct Context {
    fields: Value,
    waiting: String,
    flushes: u32,
    last: Instant,
}

async fn talk(mut line: Line) {
    let mut contexts: HashMap<String, Context> = HashMap::new();
    loop {
        let said = match line.hear().await {
            Said::Text(said) => said,
            Said::Binary(_) => {
                line.world.offend("a binary message");
                continue;
            }
            Said::Gone => return,
        };
        let id = said["context_id"].as_str().unwrap_or_default().to_owned();
        if said["cancel"] == true {
            contexts.remove(&id);
            continue;
        }
        if let Err(problem) = take(&mut line, &mut contexts, &id, &said).await {
            line.world.offend(problem);
            let error = json!({
                "type": "error", "done": true, "error": problem, "status_code": 400, "context_id": id
            });
            line.say(&error).await;
        }
    }
}

async fn take(
    line: &mut Line,
    contexts: &mut HashMap<String, Context>,
    id: &str,
    said: &Value,
) -> Result<(), &'static str> {
    let fields = json!([
        said["model_id"],
        said["voice"],
        said["output_format"],
        said["generation_config"],
        said["max_buffer_delay_ms"]
    ]);
    let format = &said["output_format"];
    let rate = format["sample_rate"].as_u64().unwrap_or(0) as usize;
    if id.is_empty()
        || said["model_id"] != "sonic-3"
        || format["encoding"] != "pcm_s16le"
        || format["container"] != "raw"
        || ![8_000, 16_000, 22_050, 24_000, 44_100, 48_000].contains(&rate)
        || said["voice"]["id"].as_str().is_none_or(|id| id.len() != 36)
    {
        return Err("a request that is not complete");
    }
    let context = contexts.entry(id.to_owned()).or_insert(Context {
        fields: fields.clone(),
        waiting: String::new(),
        flushes: 0,
        last: Instant::now(),
    });
    if context.fields != fields {
        return Err("fields change within a context");
    }
    if context.last.elapsed() > EXPIRY {
        return Err("the context has expired");
    }
    context.waiting += said["transcript"].as_str().ok_or("no transcript")?;
    let ends = said["continue"] != true;
    if said["flush"] == true || ends {
        let speed = said["generation_config"]["speed"].as_f64().unwrap_or(1.0);
        let text = std::mem::take(&mut context.waiting);
        let chars = text.trim().chars().count();
        if chars > 0 {
            let words = text.trim().to_owned();
            line.world.with(|seen| seen.spoken.push(words));
        }
        let samples = ((chars * rate * MS_PER_CHAR / 1000) as f64 / speed) as usize;
        // in cuts that do not respect samples
        for cut in vec![1_u8; samples * 2].chunks(4_801) {
            let mut data = String::new();
            b64::encode(cut, &mut data);
            let chunk = json!({
                "type": "chunk", "data": data, "done": false, "status_code": 206, "step_time": 1.5,
                "context_id": id
            });
            line.say(&chunk).await;
        }
        context.last = Instant::now();
    }
    if ends {
        contexts.remove(id);
        let done = json!({ "type": "done", "done": true, "status_code": 206, "context_id": id });
        line.say(&done).await;
    } else if said["flush"] == true {
        context.flushes += 1;
        let done = json!({
            "type": "flush_done", "done": false, "flush_done": true, "flush_id": context.flushes,
            "status_code": 206, "context_id": id
        });
        line.say(&done).await;
    }
    Ok(())
}
