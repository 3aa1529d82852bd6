//! Tells what a failed request asks of whoever must act.
//! Used by the request and by the reader of its answer.
//! Never repeats what a refused key looked like, and keeps apart what may quote the prompt.

use std::time::Duration;

use reqwest::{Response, StatusCode, header::HeaderMap};
use serde_json::Value;

use super::{NAME, chunk};
use crate::{Kind, ProviderError, http};

/// Characters of the server's explanation that are passed on to the client.
const EXPLANATION: usize = 200;
/// Characters of the server's error code that are passed on; real ones are words such as `context_length_exceeded`.
const CODE: usize = 64;
/// Longest wait that a server may ask for.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// A connection that could not be made or broke.
pub(super) fn of_transport(error: &reqwest::Error) -> ProviderError {
    // the address may carry a key in its query and is left out
    let (kind, message) = if error.is_timeout() {
        (Kind::Timeout, "the connection timed out")
    } else if error.is_connect() {
        (Kind::Unavailable, "the server could not be reached")
    } else {
        (Kind::Unavailable, "the connection broke")
    };
    ProviderError::new(NAME, kind, message)
}

/// Silence beyond a limit.
pub(super) fn silent(what: &str, limit: Duration) -> ProviderError {
    ProviderError::new(
        NAME,
        Kind::Timeout,
        format!("{what} within {} ms", limit.as_millis()),
    )
}

/// An answer with an error status.
pub(super) async fn of_answer(response: Response) -> ProviderError {
    let status = response.status();
    let retry_after = retry_after(response.headers());
    let body = http::error_body(response).await;
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    // one server wraps the object into a list, another has it at the top
    let error = [&body["error"], &body[0]["error"], &body]
        .into_iter()
        .find(|candidate| candidate.is_object() || candidate.is_string())
        .unwrap_or(&Value::Null);
    let kind = kind(status, error);
    let mut message = format!("the server answered {}", status.as_u16());
    if let Some(code) = error["code"].as_str().or_else(|| error["type"].as_str()) {
        // a word, never a sentence: the message is logged
        let word = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        message.push_str(" with ");
        message.extend(code.chars().take_while(word).take(CODE));
    }
    // only where the developer can act on it: a refused key is quoted in part by some servers
    let explanation = error["message"]
        .as_str()
        .or_else(|| error.as_str())
        .filter(|_| kind == Kind::Rejected)
        .map(|text| {
            let printable = text.chars().filter(|c| !c.is_control());
            printable.take(EXPLANATION).collect()
        });
    ProviderError {
        explanation,
        retry_after,
        ..ProviderError::new(NAME, kind, message)
    }
}

fn kind(status: StatusCode, error: &Value) -> Kind {
    match status.as_u16() {
        401..=403 => Kind::Unauthorized,
        // money that ran out does not come back by waiting
        429 if chunk::error_kind(error) == Kind::Unauthorized => Kind::Unauthorized,
        429 => Kind::RateLimited,
        529 => Kind::Overloaded,
        408 | 504 => Kind::Timeout,
        409 | 425 | 500..=599 => Kind::Unavailable,
        400..=499 => Kind::Rejected,
        _ => Kind::Protocol,
    }
}

/// `retry-after-ms`, or `Retry-After` in seconds (RFC 9110 §10.2.3); dates are read over, for this
/// crate has no clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let seconds = number("retry-after-ms")
        .map(|ms| ms / 1000.0)
        .or_else(|| number("retry-after"))?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .map(|wait| wait.min(LONGEST_WAIT))
}
