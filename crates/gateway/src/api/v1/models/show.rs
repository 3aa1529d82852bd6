//! `GET /v1/models/{id}`.
//! Called by SDKs that check a name before they use it.
//! Never waits for models to load.

use std::sync::Arc;

use axum::extract::{Path, State};
use wire::rest::models::Model;

use super::{agent_model, model};
use crate::App;
use crate::agents;
use crate::auth::Caller;
use crate::http::{ApiError, Json};

/// Show one model.
#[utoipa::path(
    get,
    path = "/v1/models/{id}",
    tag = "models",
    params(("id" = String, Path, description = "Model name")),
    responses(
        (status = 200, description = "The model", body = Model),
        (status = 401, description = "No usable key"),
        (status = 404, description = "No model has this name"),
        (status = 500, description = "What is stored of the agent cannot be read; the message says what to do"),
        (status = 503, description = "The models are still being loaded"),
    )
)]
pub(crate) async fn show(
    Caller(principal): Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Model>, ApiError> {
    if let Some(name) = agents::named(&id) {
        let agent = app.agents.find(principal.place(), name).await?;
        return Ok(Json(agent_model(&agent.name)));
    }
    let catalog = app.catalog.get()?;
    let found = catalog.models().into_iter().find(|info| info.id == id);
    found
        .map(|info| Json(model(info)))
        .ok_or_else(|| ApiError::model_not_found(&id, &catalog))
}
