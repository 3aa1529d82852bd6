//! `GET /v1/calls/{id}`.
//! Called by whoever looks after calls.
//! Never shows another tenant's.

use std::sync::Arc;

use axum::extract::{Path, State};
use wire::rest::calls::transcript::CallWithTurns;
use wire::rest::calls::webhook::CallTurn;

use super::{found, shown, unreadable};
use crate::App;
use crate::auth::Caller;
use crate::http::{ApiError, Json};

/// Show a call and what was said in it.
#[utoipa::path(
    get,
    path = "/v1/calls/{id}",
    tag = "calls",
    params(("id" = String, Path, description = "The call's id")),
    responses(
        (status = 200, description = "The call, with the turns that were heard so far", body = CallWithTurns),
        (status = 401, description = "No usable key"),
        (status = 404, description = "There is no such call"),
    )
)]
pub(crate) async fn show(
    Caller(principal): Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<CallWithTurns>, ApiError> {
    let stored = found(&app, &principal.tenant, &id).await?;
    let call = shown(&stored);
    let turns = app.store.sql.call_turns(&principal.tenant, &id).await;
    let turns = turns.map_err(unreadable)?.into_iter().map(|turn| CallTurn {
        seq: turn.seq,
        role: turn.role,
        text: String::from_utf8_lossy(&turn.content).into_owned(),
        started_ms: turn.started_ms,
        ended_ms: turn.ended_ms,
        interrupted: turn.interrupted,
    });
    Ok(Json(CallWithTurns {
        call,
        turns: turns.collect(),
    }))
}
