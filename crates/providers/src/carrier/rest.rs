//! One request to a carrier and its answer, within a limit, as JSON.
//! Used by the files of the carriers.
//! Never reads more of an answer than a carrier has reason to send, and never shows the address: numbers may stand in it.

use std::time::Duration;

use reqwest::RequestBuilder;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio::time::timeout;
use url::Url;

use super::{Carrier, CarrierError, Trouble};

/// Longest answer that is read, in bytes: a list of 50 calls.
const ANSWER_BYTES: usize = 512 * 1024;
/// Longest wait that a carrier may ask for.
const LONGEST_WAIT: Duration = Duration::from_hours(1);
/// Characters of an error code that are passed on.
const CODE: usize = 48;

/// An answer.
pub(super) struct Answer {
    /// Its status.
    pub(super) status: u16,
    /// Its body, null when there is none.
    pub(super) body: Value,
    retry_after: Option<Duration>,
}

/// What a carrier's own error code means, where it says more than the status.
pub(super) type Codes = fn(status: u16, body: &Value) -> (Option<String>, Option<Trouble>);

impl Carrier {
    /// The address of what `segments` name below the base address.
    pub(super) fn address(&self, segments: &[&str]) -> Result<Url, CarrierError> {
        let mut address = self.base.clone();
        match address.path_segments_mut() {
            Ok(mut path) => {
                path.pop_if_empty().extend(segments);
            }
            Err(()) => {
                return Err(CarrierError::new(
                    self.account.carrier,
                    Trouble::Rejected,
                    "the base address is no address of the web",
                ));
            }
        }
        Ok(address)
    }

    /// The account's name and secret, or those of its API key.
    pub(super) fn basic(&self) -> (&str, &str) {
        match &self.account.api_key {
            Some((name, secret)) => (name, secret.expose_secret()),
            None => (&self.account.id, self.account.secret.expose_secret()),
        }
    }

    /// Sends `request` and reads the answer, whatever its status.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Answer, CarrierError> {
        let carrier = self.account.carrier;
        let fail = |trouble, message: &str| CarrierError::new(carrier, trouble, message);
        let asking = async {
            let mut response = request.send().await.map_err(|error| {
                if error.is_connect() {
                    fail(Trouble::Unavailable, "the carrier could not be reached")
                } else if error.is_builder() {
                    fail(Trouble::Rejected, "the request cannot be sent")
                } else {
                    fail(Trouble::Unavailable, "the connection broke").uncertain()
                }
            })?;
            let status = response.status().as_u16();
            let told = response.headers().get("retry-after");
            let seconds = told.and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
            let mut body = Vec::new();
            loop {
                match response.chunk().await {
                    Ok(Some(more)) if body.len() + more.len() <= ANSWER_BYTES => {
                        body.extend_from_slice(&more);
                    }
                    Ok(Some(_)) => {
                        let message = "the answer is longer than any that the carrier documents";
                        return Err(fail(Trouble::Protocol, message).uncertain());
                    }
                    Ok(None) => break,
                    Err(_) => {
                        let message = "the connection broke within the answer";
                        return Err(fail(Trouble::Unavailable, message).uncertain());
                    }
                }
            }
            Ok(Answer {
                status,
                body: serde_json::from_slice(&body).unwrap_or(Value::Null),
                retry_after: seconds.map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT)),
            })
        };
        timeout(self.account.limit, asking)
            .await
            .unwrap_or_else(|_| {
                let limit = self.account.limit.as_millis();
                let message = format!("no answer within {limit} ms");
                Err(fail(Trouble::Timeout, &message).uncertain())
            })
    }

    /// Sends `request`; an answer that is no success is an error, as its status and the carrier's `codes` say.
    pub(super) async fn ask(
        &self,
        request: RequestBuilder,
        codes: Codes,
    ) -> Result<Value, CarrierError> {
        let answer = self.send(request).await?;
        if (200..300).contains(&answer.status) {
            Ok(answer.body)
        } else {
            Err(self.refusal(&answer, codes))
        }
    }

    /// What an answer that is no success asks for.
    pub(super) fn refusal(&self, answer: &Answer, codes: Codes) -> CarrierError {
        let (code, meaning) = codes(answer.status, &answer.body);
        let by_status = match answer.status {
            401 | 403 => Trouble::Unauthorized,
            404 | 410 => Trouble::Gone,
            408 | 504 => Trouble::Timeout,
            429 => Trouble::RateLimited,
            400..=499 => Trouble::Rejected,
            500..=599 => Trouble::Unavailable,
            _ => Trouble::Protocol,
        };
        let mut message = format!("it answered {}", answer.status);
        if let Some(code) = code {
            // a word or a number, never a sentence: sentences quote the number
            let word = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
            message.push_str(" with ");
            message.extend(code.chars().take_while(word).take(CODE));
        }
        let error = CarrierError::new(self.account.carrier, meaning.unwrap_or(by_status), message)
            .after(answer.retry_after);
        // an error of the carrier's own may have come after the call was placed
        if answer.status >= 500 || answer.status < 400 {
            error.uncertain()
        } else {
            error
        }
    }

    /// The text of `pointer` in an answer that must have it.
    pub(super) fn text(&self, body: &Value, pointer: &str) -> Result<String, CarrierError> {
        let text = body.pointer(pointer).and_then(Value::as_str);
        let good = text.filter(|text| !text.is_empty() && text.len() <= 256);
        good.map(str::to_owned).ok_or_else(|| {
            let message = "the answer does not name the call";
            CarrierError::new(self.account.carrier, Trouble::Protocol, message).uncertain()
        })
    }
}

/// What `code` is, as text.
pub(super) fn code_text(code: &Value) -> Option<String> {
    match code {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
