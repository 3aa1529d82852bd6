//! Telling somebody's server what happened: one signed message to one address, in the way of Standard Webhooks
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).
//! Used by the gateway's outbox.
//! Never reaches an address inside the operator's network, never follows a redirect, and never tries twice by itself.

use std::time::Duration;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use secrecy::SecretString;
use tokio::time::timeout;
use url::Url;

use crate::tools::signature;
use crate::tools::{Outbound, OutboundError};

/// Bytes of a secret that we make; the scheme wants 24 to 64.
const SECRET_BYTES: usize = 32;
/// Longest wait that a receiver may ask for.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// A message that is to be sent.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// Names it for good: a receiver that has this id has the message.
    pub id: &'a str,
    /// When it is sent, in Unix seconds.
    pub unix_s: i64,
    /// JSON.
    pub body: &'a str,
}

/// Why a message did not arrive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// The address may not be asked.
    #[error(transparent)]
    Address(#[from] OutboundError),
    /// Nobody took it.
    #[error("{0}")]
    Transport(&'static str),
    /// It was answered with something else than a success.
    #[error("the endpoint answered {status}")]
    Status {
        /// The status.
        status: u16,
        /// When the receiver wants to be asked again.
        retry_after: Option<Duration>,
    },
}

impl DeliveryError {
    /// Whether the receiver says that it wants nothing more, ever (410 Gone).
    pub const fn is_farewell(&self) -> bool {
        matches!(self, Self::Status { status: 410, .. })
    }

    /// When the receiver wants to be asked again, if it says.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// A fresh secret, `whsec_…`.
///
/// # Errors
/// When the system gives no random numbers.
pub fn new_secret() -> Result<SecretString, aws_lc_rs::error::Unspecified> {
    let mut bytes = [0; SECRET_BYTES];
    rand::fill(&mut bytes)?;
    Ok(format!("whsec_{}", STANDARD.encode(bytes)).into())
}

/// Sends `message` to `address`, signed with each of `secrets`: while a secret is being replaced there are two. A receiver
/// has taken it when it answers 2xx within `limit`.
///
/// # Errors
/// [`DeliveryError`]; nobody knows whether what was not answered was taken.
pub async fn deliver(
    outbound: &Outbound,
    address: &Url,
    message: Message<'_>,
    secrets: &[SecretString],
    limit: Duration,
) -> Result<(), DeliveryError> {
    outbound.check(address)?;
    let Message { id, unix_s, body } = message;
    let signatures = secrets
        .iter()
        .map(|secret| signature::sign(secret, id, unix_s, body.as_bytes()));
    let signatures: Vec<String> = signatures.collect();
    let request = outbound
        .client()
        .post(address.clone())
        .header(CONTENT_TYPE, "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", unix_s.to_string())
        .header("webhook-signature", signatures.join(" "))
        .body(body.to_owned());
    let sent = timeout(limit, request.send()).await;
    let sent = sent.map_err(|_| DeliveryError::Transport("no answer within the limit"))?;
    let response = sent.map_err(|error| {
        DeliveryError::Transport(if error.is_connect() {
            "the endpoint cannot be reached, or is not a public address"
        } else {
            "the connection broke"
        })
    })?;
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let told = response.headers().get(RETRY_AFTER);
    let seconds = told.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    Err(DeliveryError::Status {
        status: status.as_u16(),
        retry_after: seconds.map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT)),
    })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn secrets_differ_and_are_as_long_as_the_scheme_wants() {
        let (one, other) = (new_secret().unwrap(), new_secret().unwrap());
        assert_ne!(one.expose_secret(), other.expose_secret());
        let text = one.expose_secret().strip_prefix("whsec_").unwrap();
        assert_eq!(STANDARD.decode(text).unwrap().len(), SECRET_BYTES);
    }

    #[tokio::test]
    async fn an_address_inside_is_not_asked() {
        let outbound = Outbound::new(&[]).unwrap();
        let message = Message {
            id: "evt_1",
            unix_s: 0,
            body: "{}",
        };
        for inside in ["http://127.0.0.1:9/", "http://localhost:9/"] {
            let address = Url::parse(inside).unwrap();
            let limit = Duration::from_secs(5);
            let refused = deliver(&outbound, &address, message, &[], limit).await;
            assert!(refused.is_err(), "{inside}");
        }
    }
}
