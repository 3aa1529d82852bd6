//! `GET /v1/admin/audit`.
//! Called by whoever wants to know who did what.
//! Never shows another tenant's log.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;
use wire::rest::audit::{AuditEntry as Shown, AuditList};

use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json, Query};

/// Entries in one answer, unless fewer are asked for.
const PAGE: u32 = 100;

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// Another tenant, for operators.
    tenant: Option<String>,
    /// Only those older than this `seq`.
    before: Option<i64>,
    /// How many, 1 to 100.
    limit: Option<u32>,
}

/// List what administrators did.
#[utoipa::path(
    get,
    path = "/v1/admin/audit",
    tag = "admin",
    params(Page),
    responses(
        (status = 200, description = "Entries, newest first", body = AuditList),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
        (status = 404, description = "There is no such tenant"),
    )
)]
pub(crate) async fn list(
    by: Administrator,
    State(app): State<Arc<App>>,
    Query(page): Query<Page>,
) -> Result<Json<AuditList>, ApiError> {
    let tenant = by.tenant_or_deleted(&app, page.tenant.as_deref()).await?;
    let limit = page.limit.unwrap_or(PAGE).clamp(1, PAGE);
    let entries = app.store.sql.audit_entries(&tenant, page.before, limit + 1);
    let mut entries = entries.await?;
    let has_more = entries.len() > limit as usize;
    entries.truncate(limit as usize);
    Ok(Json(AuditList {
        object: "list",
        data: entries.into_iter().map(shown).collect(),
        has_more,
    }))
}

fn shown(entry: store::AuditEntry) -> Shown {
    // what is no JSON any more was not written by us; verification says so
    let json = |text: Option<String>| {
        text.map_or(Value::Null, |text| {
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        })
    };
    Shown {
        object: "audit_entry",
        seq: entry.seq,
        at: entry.at.timestamp_micros() as f64 / 1e6,
        actor: entry.actor,
        action: entry.action,
        resource: entry.resource,
        before: json(entry.before_state),
        after: json(entry.after_state),
        ip: entry.ip,
        request_id: entry.request_id,
        hash: entry.hash,
    }
}
