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
use crate::auth::{Administrator, DEFAULT_TENANT};
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
        (status = 400, description = "It is no number, or the carrier is not known here, or the account is none that the tenant may use"),
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
    let place = by.principal.place();
    let account = account(&app, place.tenant, carrier, settings.account.as_deref())?;
    let taken = || {
        ApiError::new(
            StatusCode::CONFLICT,
            "number_taken",
            "This number cannot be had: it is in use already.",
        )
    };
    let telephony = &app.config.telephony;
    // whose call to it is is written in the configuration
    let configured = telephony.number(number.as_str()).is_some()
        || (telephony.is_shown(number.as_str()) && place.tenant != DEFAULT_TENANT);
    if configured {
        return Err(taken());
    }
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
        account,
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

/// The account that a number of `tenant` is with: a tenant cannot have calls of an account that it was not given.
///
/// # Errors
/// 400.
fn account(
    app: &App,
    tenant: &str,
    carrier: Dialect,
    named: Option<&str>,
) -> Result<String, ApiError> {
    let known = app.config.telephony.accounts_with(carrier);
    let own: Vec<&str> = known
        .filter(|(_, account)| account.serves(tenant))
        .map(|(name, _)| name)
        .collect();
    let wrong = |message| Err(ApiError::invalid_value("account", message));
    match (named, own.as_slice()) {
        (Some(named), own) if own.contains(&named) => Ok(named.to_owned()),
        (Some(_), _) => wrong(
            "The server has no account of this name with this carrier that this tenant may use; see telephony.accounts.NAME.tenants.",
        ),
        (None, [only]) => Ok((*only).to_owned()),
        // the operator's numbers may be with any
        (None, _) if tenant == DEFAULT_TENANT => Ok(String::new()),
        (None, []) => wrong(
            "The server has no account with this carrier that this tenant may use; see telephony.accounts.NAME.tenants.",
        ),
        (None, _) => wrong(
            "There are several accounts with this carrier: name the one that the number is with.",
        ),
    }
}
