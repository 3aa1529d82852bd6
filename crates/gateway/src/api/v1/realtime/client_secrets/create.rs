//! `POST /v1/realtime/client_secrets`.
//! Called by application servers on behalf of a browser.
//! Never shows a secret twice.

use std::sync::Arc;

use axum::extract::State;
use serde_json::Value;
use wire::rest::client_secrets::{ClientSecretRequest, ClientSecretResponse, decode};

use super::super::prepare;
use crate::App;
use crate::auth::{Caller, ephemeral};
use crate::http::{ApiError, Json};

/// Make a client secret: it starts one realtime connection with the session configuration it carries.
#[utoipa::path(
    post,
    path = "/v1/realtime/client_secrets",
    tag = "realtime",
    request_body = ClientSecretRequest,
    responses(
        (status = 200, description = "The secret, shown once, and the session it will start", body = ClientSecretResponse),
        (status = 400, description = "A setting is invalid; `param` names it"),
        (status = 401, description = "No usable key"),
    )
)]
pub(in crate::api::v1) async fn create(
    Caller(who): Caller,
    State(app): State<Arc<App>>,
    Json(body): Json<Value>,
) -> Result<Json<ClientSecretResponse>, ApiError> {
    let wanted = decode(&body)?;
    let update = wanted.session.unwrap_or_default();
    let prepared = prepare(&app, body.get("session").cloned(), &update)?;
    let secret = ephemeral::mint(&app, &who, prepared.stored, wanted.lifetime_s).await?;
    Ok(Json(ClientSecretResponse {
        value: secret.value.reveal().to_owned(),
        expires_at: secret.expires_at,
        session: prepared.session,
    }))
}
