//! `GET /v1/models`.
//! Called by SDKs and by people who wonder which names work.
//! Never waits for models to load.

use std::sync::Arc;

use axum::extract::State;
use wire::rest::models::ModelList;

use super::{agent_model, model};
use crate::App;
use crate::auth::Caller;
use crate::http::{ApiError, Json};

/// List the model names that requests may use.
#[utoipa::path(
    get,
    path = "/v1/models",
    tag = "models",
    responses(
        (status = 200, description = "All models", body = ModelList),
        (status = 401, description = "No usable key"),
        (status = 503, description = "The models are still being loaded"),
    )
)]
pub(crate) async fn list(
    Caller(principal): Caller,
    State(app): State<Arc<App>>,
) -> Result<Json<ModelList>, ApiError> {
    let catalog = app.catalog.get()?;
    let agents = app.agents.names(principal.place()).await?;
    let models = catalog.models().into_iter().map(model);
    let agents = agents.iter().map(|name| agent_model(name));
    Ok(Json(ModelList::new(models.chain(agents).collect())))
}
