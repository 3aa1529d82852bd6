//! `GET /v1/usage`.
//! Called by whoever pays, and by whoever runs the installation for all who pay.
//! Never shows another tenant's numbers to anybody but the operator.

use std::sync::Arc;

use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use engine::meter::Cost;
use serde::Deserialize;
use store::{UsageGroup, UsageSum};
use utoipa::IntoParams;
use wire::rest::usage::{UsageLine, UsageList};

use crate::App;
use crate::auth::Accountant;
use crate::auth::extract::no_such_tenant;
use crate::http::{ApiError, Json, Query};
use crate::metering::shown;

/// Time that is summed up where nobody says.
const USUALLY: TimeDelta = TimeDelta::days(30);

/// Which usage, and how it is summed up.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// From this moment on, in Unix seconds; 30 days before `to` where absent.
    from: Option<i64>,
    /// Until before this moment, in Unix seconds; now where absent.
    to: Option<i64>,
    /// `model` (stage, provider and model; where absent), `project`, or `tenant`.
    group_by: Option<String>,
    /// Another tenant, for operators. Operators who name none and group by `tenant` see every tenant.
    tenant: Option<String>,
}

/// Sum up what was used.
#[utoipa::path(
    get,
    path = "/v1/usage",
    tag = "usage",
    params(Wanted),
    responses(
        (status = 200, body = UsageList, description = "Units and cost of sessions and of requests over REST, by group. A request counts for the tenant and the project of its key, and is stored under a name of its own, `req_…`, in the place of a session's"),
        (status = 400, description = "A parameter is invalid; `param` names it"),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key may not read bills"),
        (status = 404, description = "There is no such tenant"),
    )
)]
pub(crate) async fn list(
    Accountant(principal): Accountant,
    State(app): State<Arc<App>>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<UsageList>, ApiError> {
    let group = group(wanted.group_by.as_deref())?;
    let to = moment("to", wanted.to)?.unwrap_or_else(|| app.clock.utc());
    let from = moment("from", wanted.from)?.unwrap_or(to - USUALLY);
    if from > to {
        let message = "`from` is after `to`.".to_owned();
        return Err(ApiError::invalid_value("from", message));
    }
    let named = wanted.tenant.filter(|named| *named != principal.tenant);
    let operator = principal.is_operator();
    let tenant = match named {
        Some(named) => {
            // also of a tenant that is gone: its bill is not
            let known = operator && app.store.sql.find_tenant(&named).await?.is_some();
            Some(
                known
                    .then_some(named.clone())
                    .ok_or_else(|| no_such_tenant(&named))?,
            )
        }
        None if operator && group == UsageGroup::Tenant => None,
        None => Some(principal.tenant.clone()),
    };
    let sums = app
        .store
        .sql
        .usage_sums(tenant.as_deref(), (from, to), group);
    let sums = sums.await?;
    Ok(Json(UsageList {
        object: "list",
        from: from.timestamp(),
        to: to.timestamp(),
        data: sums.into_iter().map(line).collect(),
    }))
}

fn group(wanted: Option<&str>) -> Result<UsageGroup, ApiError> {
    match wanted {
        None | Some("model") => Ok(UsageGroup::Model),
        Some("project") => Ok(UsageGroup::Project),
        Some("tenant") => Ok(UsageGroup::Tenant),
        Some(_) => {
            let message = "Usage is grouped by one of model, project, tenant.".to_owned();
            Err(ApiError::invalid_value("group_by", message))
        }
    }
}

fn moment(name: &str, unix_s: Option<i64>) -> Result<Option<DateTime<Utc>>, ApiError> {
    let Some(unix_s) = unix_s else {
        return Ok(None);
    };
    // what PostgreSQL and people can show: to the end of the year 9999
    let known = (0..=253_402_300_799).contains(&unix_s);
    let moment = DateTime::from_timestamp(unix_s, 0).filter(|_| known);
    moment.map(Some).ok_or_else(|| {
        let message = "A moment is a number of Unix seconds.".to_owned();
        ApiError::invalid_value(name, message)
    })
}

fn line(sum: UsageSum) -> UsageLine {
    let named = |name: String| (!name.is_empty()).then_some(name);
    UsageLine {
        tenant: sum.tenant,
        project: named(sum.project),
        stage: named(sum.stage),
        provider: named(sum.provider),
        model: named(sum.model),
        units: shown(&sum.units),
        cost_micro_dollars: sum.cost.map(Cost::micro_dollars),
    }
}
