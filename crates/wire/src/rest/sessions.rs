//! The beta routes `POST /v1/realtime/sessions` and `/v1/realtime/transcription_sessions`.
//! Read and answered by the gateway; the flat shape is translated here, once.
//! Never used by GA clients: they have `client_secrets`.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::realtime::decode::{DecodeError, session_update};
use crate::realtime::session::{SessionKind, SessionUpdate};
use crate::realtime::{Session, beta};

/// How long a beta client secret is valid, in seconds (spec/realtime §2.2).
pub const LIFETIME_S: u32 = 60;

/// The secret inside a beta session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BetaClientSecret {
    /// `ek_…`.
    pub value: String,
    /// Unix seconds.
    pub expires_at: i64,
}

/// The answer: the flat session and its secret.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct BetaSession {
    /// The session in the flat shape.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub session: Value,
    /// What a browser connects with.
    pub client_secret: BetaClientSecret,
}

/// Reads and checks a flat session request. The errors name the flat parameter
/// (`turn_detection.threshold`).
pub fn decode(body: Value, kind: SessionKind) -> Result<SessionUpdate, DecodeError> {
    let session = beta::session_to_ga(body, kind);
    session_update(&session, "session").map_err(|refused| {
        let mut error = beta::flat_error(refused.error);
        if let Some(param) = error.param.take() {
            let bare = param.strip_prefix("session.").unwrap_or(&param);
            error.message = error.message.replacen(&param, bare, 1);
            error.param = Some(bare.to_owned());
        }
        error.into()
    })
}

impl BetaSession {
    /// The flat shape of `session` with this secret. Fails only when the session does not serialise,
    /// which would be a defect of ours.
    pub fn new(session: &Session, client_secret: BetaClientSecret) -> serde_json::Result<Self> {
        // through text, because a `Value` made from the session would widen every f32
        let session: Value = serde_json::from_str(&serde_json::to_string(session)?)?;
        Ok(Self {
            session: beta::session_to_beta(session),
            client_secret,
        })
    }
}
