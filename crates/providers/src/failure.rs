//! Tells what a failed request asks of whoever must act.
//! Used by every vendor that is reached over HTTP, and by the readers of their answers.
//! Never repeats what a refused key looked like, and keeps apart what may quote the prompt.

use std::time::Duration;

use reqwest::{Response, StatusCode, header::HeaderMap};
use serde_json::Value;

use crate::{Kind, ProviderError, http};

/// Characters of the server's explanation that are passed on to the client.
const EXPLANATION: usize = 200;
/// Characters of the server's error code that are passed on; real ones are words such as `context_length_exceeded`.
const CODE: usize = 64;
/// Longest wait that a server may ask for.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// A connection that could not be made or broke.
pub(crate) fn of_transport(provider: &str, error: &reqwest::Error) -> ProviderError {
    // the address may carry a key in its query and is left out
    let (kind, message) = if error.is_timeout() {
        (Kind::Timeout, "the connection timed out")
    } else if error.is_connect() {
        (Kind::Unavailable, "the server could not be reached")
    } else {
        (Kind::Unavailable, "the connection broke")
    };
    ProviderError::new(provider.to_owned(), kind, message)
}

/// Silence beyond a limit.
pub(crate) fn silent(provider: &str, what: &str, limit: Duration) -> ProviderError {
    ProviderError::new(
        provider.to_owned(),
        Kind::Timeout,
        format!("{what} within {} ms", limit.as_millis()),
    )
}

/// An answer with an error status.
pub(crate) async fn of_answer(provider: &str, response: Response) -> ProviderError {
    let status = response.status();
    let told = retry_after(response.headers());
    let body = http::error_body(response).await;
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    // one server wraps the object into a list, one calls it `detail`, another has it at the top
    let error = [&body["error"], &body[0]["error"], &body["detail"], &body]
        .into_iter()
        .find(|candidate| candidate.is_object() || candidate.is_string())
        .unwrap_or(&Value::Null);
    let message = format!("the server answered {}", status.as_u16());
    let described = describe(provider, kind(status, error), message, error);
    ProviderError {
        retry_after: told.or(described.retry_after),
        ..described
    }
}

/// An error that is told on an open connection: an object with a `code` or a `type`.
pub(crate) fn of_event(provider: &str, error: &Value) -> ProviderError {
    let message = "the server answered an error".to_owned();
    describe(provider, error_kind(error), message, error)
}

fn describe(provider: &str, kind: Kind, mut message: String, error: &Value) -> ProviderError {
    let code = ["code", "type", "status", "err_code"]
        .into_iter()
        .find_map(|key| error[key].as_str());
    if let Some(code) = code {
        // a word, never a sentence: the message is logged
        let word = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        message.push_str(" with ");
        message.extend(code.chars().take_while(word).take(CODE));
    }
    // only where the developer can act on it: a refused key is quoted in part by some servers
    let explanation = ["message", "err_msg"]
        .into_iter()
        .find_map(|key| error[key].as_str())
        .or_else(|| error.as_str())
        .filter(|_| kind == Kind::Rejected)
        .map(|text| {
            let printable = text.chars().filter(|c| !c.is_control());
            printable.take(EXPLANATION).collect()
        });
    ProviderError {
        explanation,
        retry_after: retry_delay(error),
        ..ProviderError::new(provider.to_owned(), kind, message)
    }
}

fn kind(status: StatusCode, error: &Value) -> Kind {
    match status.as_u16() {
        401..=403 => Kind::Unauthorized,
        400 if reason(error).contains("api_key") => Kind::Unauthorized,
        // money that ran out does not come back by waiting
        429 if error_kind(error) == Kind::Unauthorized => Kind::Unauthorized,
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
    wait(seconds)
}

/// Google's `RetryInfo` (<https://cloud.google.com/apis/design/errors#error_details>): seconds and an `s`.
fn retry_delay(error: &Value) -> Option<Duration> {
    let details = error["details"].as_array()?;
    let delay = details
        .iter()
        .find_map(|detail| detail["retryDelay"].as_str())?;
    wait(delay.strip_suffix('s')?.parse().ok()?)
}

fn wait(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds)
        .ok()
        .map(|wait| wait.min(LONGEST_WAIT))
}

/// The reason behind a status, in small letters: Google's `ErrorInfo` (same page), or Anthropic's `error_code`
/// (<https://platform.claude.com/docs/en/api/errors>).
fn reason(error: &Value) -> String {
    let details = &error["details"];
    let mut listed = details.as_array().into_iter().flatten();
    let reason = listed
        .find_map(|detail| detail["reason"].as_str())
        .or_else(|| details["error_code"].as_str());
    reason.unwrap_or_default().to_ascii_lowercase()
}

/// What an error object asks for, by its `code` (a word or a status) or `type`.
pub(crate) fn error_kind(error: &Value) -> Kind {
    let word = |key: &str| error[key].as_str().unwrap_or_default().to_ascii_lowercase();
    let words = format!("{} {} {}", word("code"), word("type"), reason(error));
    let has = |part: &str| words.contains(part);
    match error["code"].as_u64() {
        _ if has("api_key") || has("spend_limit") || has("billing") => Kind::Unauthorized,
        Some(401 | 403) => Kind::Unauthorized,
        Some(429) => Kind::RateLimited,
        Some(400 | 404 | 413 | 422) => Kind::Rejected,
        _ if has("quota") || has("auth") || has("permission") => Kind::Unauthorized,
        _ if has("rate_limit") => Kind::RateLimited,
        _ if has("overload") || has("capacity") => Kind::Overloaded,
        _ if has("invalid") || has("not_found") || has("context_length") => Kind::Rejected,
        _ => Kind::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reason_behind_the_status_decides() {
        let key = json!({ "code": 400, "status": "INVALID_ARGUMENT", "details": [
            { "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID" }
        ] });
        let spent = json!({ "type": "rate_limit_error", "details": {
            "error_code": "enforced_spend_limit_reached"
        } });
        for (status, error, expected) in [
            (400, &key, Kind::Unauthorized),
            (
                400,
                &json!({ "code": 400, "status": "INVALID_ARGUMENT" }),
                Kind::Rejected,
            ),
            (429, &spent, Kind::Unauthorized),
            (
                429,
                &json!({ "type": "rate_limit_error" }),
                Kind::RateLimited,
            ),
            (
                429,
                &json!({ "code": 429, "status": "RESOURCE_EXHAUSTED" }),
                Kind::RateLimited,
            ),
            (402, &json!({ "type": "billing_error" }), Kind::Unauthorized),
            (
                529,
                &json!({ "type": "overloaded_error" }),
                Kind::Overloaded,
            ),
            (
                503,
                &json!({ "code": 503, "status": "UNAVAILABLE" }),
                Kind::Unavailable,
            ),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(kind(status, error), expected, "{status} {error}");
        }
    }

    #[test]
    fn a_delay_in_the_body_is_read() {
        let told =
            json!({ "details": [{ "reason": "RATE_LIMIT_EXCEEDED" }, { "retryDelay": "34.5s" }] });
        assert_eq!(retry_delay(&told), Some(Duration::from_millis(34_500)));
        for other in [json!({}), json!({ "details": [{ "retryDelay": "soon" }] })] {
            assert_eq!(retry_delay(&other), None, "{other}");
        }
    }
}
