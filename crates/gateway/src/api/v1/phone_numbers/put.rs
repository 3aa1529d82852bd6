//! `PUT /v1/phone_numbers/{number}`.
//! Called when a number gets an agent, or another one.
//! Never gives a number to two tenants.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use store::Line;
use wire::rest::calls::{PhoneNumber, PhoneNumberSettings};
use wire::telephony::Dialect;

use super::{number, shown, unreadable};
use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json};

/// Give a telephone number an agent.
#[utoipa::path(
    put,
    path = "/v1/phone_numbers/{number}",
    tag = "calls",
    params(("number" = String, Path, description = "In international form: `+14155550100`")),
    request_body = PhoneNumberSettings,
    responses(
        (status = 200, description = "Calls to it are answered so from now on", body = PhoneNumber),
        (status = 400, description = "It is no number, or the carrier or the account is not known here"),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
        (status = 404, description = "There is no such agent"),
        (status = 409, description = "The number cannot be had"),
    )
)]
pub(crate) async fn put(
    by: Administrator,
    State(app): State<Arc<App>>,
    Path(text): Path<String>,
    Json(settings): Json<PhoneNumberSettings>,
) -> Result<Json<PhoneNumber>, ApiError> {
    let number = number(&text)?;
    let carrier = Dialect::named(&settings.provider).ok_or_else(|| {
        let known = Dialect::ALL.map(Dialect::name).join(", ");
        ApiError::invalid_value(
            "provider",
            format!("There is no such carrier; there are {known}."),
        )
    })?;
    if let Some(account) = &settings.account {
        let telephony = &app.config.telephony;
        let known = telephony.accounts_with(carrier);
        if !known.into_iter().any(|(name, _)| name == account) {
            return Err(ApiError::invalid_value(
                "account",
                "The server has no account of this name with this carrier; leave it out for any.",
            ));
        }
    }
    let taken = || {
        ApiError::new(
            StatusCode::CONFLICT,
            "number_taken",
            "This number cannot be had: it is in use already.",
        )
    };
    if app.config.telephony.number(number.as_str()).is_some() {
        return Err(taken());
    }
    let place = by.principal.place();
    app.agents.find(place, &settings.agent).await?;
    let sql = &app.store.sql;
    let now = app.clock.utc();
    let before = sql.find_line(place.tenant, number.as_str()).await;
    let before = before.map_err(unreadable)?;
    let line = Line {
        number: number.as_str().to_owned(),
        tenant: place.tenant.to_owned(),
        project: place.project.to_owned(),
        agent: settings.agent,
        provider: settings.provider,
        account: settings.account.unwrap_or_default(),
        created_at: before.map_or(now, |before| before.created_at),
        updated_at: now,
    };
    if !sql.put_line(&line).await.map_err(unreadable)? {
        return Err(taken());
    }
    tracing::info!(
        tenant = line.tenant,
        agent = line.agent,
        by = by.actor.name,
        "a telephone number was given an agent"
    );
    Ok(Json(shown(line)))
}
