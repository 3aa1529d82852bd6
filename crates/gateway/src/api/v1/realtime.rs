//! Secrets with which a browser starts a session, in the current and in the beta shape.
//! Mounted by `v1`; web pages of any origin may ask, but only servers have the key to.
//! Never starts a session: the socket does.

pub(super) mod client_secrets {
    //! `ek_…` secrets.
    pub(in crate::api::v1) mod create;
}
pub(super) mod sessions {
    //! Beta sessions.
    pub(in crate::api::v1) mod create;
}
pub(super) mod transcription_sessions {
    //! Beta transcription sessions.
    pub(in crate::api::v1) mod create;
}

use engine::session::settings::{self, Template};
use serde_json::{Map, Value};
use wire::ids::Ids;
use wire::realtime::{Session, SessionKind, SessionUpdate, beta};
use wire::rest::sessions::{BetaClientSecret, BetaSession, LIFETIME_S, decode};

use crate::App;
use crate::agents;
use crate::auth::{Principal, ephemeral};
use crate::http::{ApiError, Json};

/// Model of a session whose maker named none; every SDK knows it.
const DEFAULT_MODEL: &str = "gpt-realtime";

/// A session that does not run yet: what it will be, and what is stored until then.
struct Prepared {
    /// The whole effective session, for the answer.
    session: Session,
    /// The request in the current shape, with type and model filled in; the socket decodes it again.
    stored: Value,
}

/// Works out what session `requested` (decoded as `update`) leads to.
///
/// # Errors
/// A server that is stopping, a model that nobody serves, or settings that the engine refuses.
fn prepare(
    app: &App,
    requested: Option<Value>,
    update: &SessionUpdate,
) -> Result<Prepared, ApiError> {
    if app.lifecycle.stopping() {
        // the secret would be gone with this process
        return Err(ApiError::shutting_down());
    }
    let mut stored = match requested {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    };
    let kind = update.kind.unwrap_or_default();
    let kind_name = match kind {
        SessionKind::Realtime => "realtime",
        SessionKind::Transcription => "transcription",
    };
    stored.insert("type".to_owned(), kind_name.into());
    let mut model = String::new();
    if kind == SessionKind::Realtime {
        model = update
            .model
            .clone()
            .unwrap_or_else(|| DEFAULT_MODEL.to_owned());
        // while the models are loading nobody knows, and an agent may be made later; the socket asks again
        let of_agent = agents::named(&model).is_some();
        if let Some(catalog) = app.catalog().filter(|_| !of_agent) {
            let Some(pipeline) = catalog.pipeline(&model) else {
                return Err(ApiError {
                    param: Some("session.model".to_owned()),
                    ..ApiError::model_not_found(&model, &catalog)
                });
            };
            if let Some(voice) = &update.voice {
                let known = pipeline.voice_names();
                settings::check_voice(voice, known.as_deref(), "session.audio.output.voice")?;
            }
        }
        stored.insert("model".to_owned(), model.as_str().into());
    }
    let defaults = &app.config.sessions;
    let template = Template {
        id: Ids::seeded(app.seed()).next("sess"),
        kind,
        model,
        instructions: defaults.instructions.clone(),
        voice: defaults.voice.clone(),
        // the session has not begun: the hosted service writes 0 as well (spec/realtime §2.2)
        expires_at: 0,
    };
    let session = settings::effective(template, update)?;
    Ok(Prepared {
        session,
        stored: Value::Object(stored),
    })
}

/// The answer of both beta routes: the flat session that `body` asks for, and a secret to start it.
///
/// # Errors
/// A setting that is invalid, or whatever [`prepare`] refuses.
async fn beta_session(
    app: &App,
    who: &Principal,
    body: Value,
    kind: SessionKind,
) -> Result<Json<BetaSession>, ApiError> {
    let update = decode(body.clone(), kind)?;
    let prepared = prepare(app, Some(beta::session_to_ga(body, kind)), &update)?;
    let secret = ephemeral::mint(app, who, prepared.stored, LIFETIME_S).await?;
    let client_secret = BetaClientSecret {
        value: secret.value.reveal().to_owned(),
        expires_at: secret.expires_at,
    };
    BetaSession::new(&prepared.session, client_secret)
        .map(Json)
        .map_err(|_| ApiError::internal())
}
