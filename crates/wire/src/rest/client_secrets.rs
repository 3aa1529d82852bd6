//! `POST /v1/realtime/client_secrets` (spec/realtime §2.2).
//! Read and answered by the gateway, which makes and stores the secret.
//! Never makes a secret itself: randomness and clocks are the gateway's.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::realtime::client::schema::SessionRequestSchema;
use crate::realtime::decode::fields::At;
use crate::realtime::decode::{DecodeError, session_update};
use crate::realtime::session::{SessionSchema, SessionUpdate};
use crate::realtime::{ErrorBody, Session};

/// How long a secret may be valid for starting connections, in seconds.
pub const LIFETIME_S: RangeInclusive<u32> = 10..=7_200;

/// How long a secret is valid when the client does not say, in seconds.
pub const DEFAULT_LIFETIME_S: u32 = 600;

/// When a secret expires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExpiresAfter {
    /// Always `created_at`.
    pub anchor: String,
    /// 10 to 7,200 seconds, 600 when absent.
    pub seconds: Option<u32>,
}

/// The request body as documented; [`decode`] reads and checks it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClientSecretRequest {
    /// When the secret expires.
    pub expires_after: Option<ExpiresAfter>,
    /// A realtime or transcription session request, as in `session.update`.
    #[schema(value_type = Option<SessionRequestSchema>)]
    pub session: Option<Value>,
}

/// A checked request for a client secret.
#[derive(Debug, Clone, PartialEq)]
pub struct NewClientSecret {
    /// Validity in seconds, within [`LIFETIME_S`].
    pub lifetime_s: u32,
    /// The session the secret carries.
    pub session: Option<SessionUpdate>,
}

/// Reads and checks the request body. The errors are those of `session.update`, with the path of
/// the parameter (`session.audio.input.format`, `expires_after.seconds`).
pub fn decode(body: &Value) -> Result<NewClientSecret, DecodeError> {
    let fields = At::new(body, "").object().map_err(|_| {
        ErrorBody::invalid("invalid_value", "The request body must be a JSON object.")
    })?;
    fields.only(&[&["expires_after", "session"]])?;
    let lifetime_s = fields.read("expires_after", |at| {
        let after = at.object()?;
        after.only(&[&["anchor", "seconds"]])?;
        after.read("anchor", |at| at.choice(&[("created_at", ())]))?;
        after.read("seconds", |at| at.integer_in(LIFETIME_S))
    })?;
    let session = match fields.get("session") {
        Some(at) => Some(session_update(at.value, &at.path)?),
        None => None,
    };
    Ok(NewClientSecret {
        lifetime_s: lifetime_s.flatten().unwrap_or(DEFAULT_LIFETIME_S),
        session,
    })
}

/// The answer: the secret, shown once, and the session it carries.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ClientSecretResponse {
    /// `ek_…`; stands in for an API key when a connection starts.
    pub value: String,
    /// Unix seconds until when connections may be started with it.
    pub expires_at: i64,
    /// The full effective session.
    #[schema(value_type = SessionSchema)]
    pub session: Session,
}
