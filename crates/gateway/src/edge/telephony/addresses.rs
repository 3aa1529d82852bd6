//! The addresses that carriers are given: where they ask what to do with a call, where they report, where they stream to.
//! Used by the answer documents and by whoever dials.
//! Never holds a key: what binds an address to its call is a token that proves itself.

use wire::telephony::Dialect;

use super::trust::token::{self, Purpose};
use crate::App;
use crate::calls::CallKey;

/// How long a carrier may come back to the address of a call, in s: a call rings, lasts an hour, and is reported about late.
const LIFETIME_S: u64 = 6 * 3600;

/// What a carrier's addresses begin with, without a slash at the end: `telephony.external_url`, or `origin` where that is
/// not set and a carrier has just asked us there.
pub fn base<'a>(app: &'a App, origin: &'a str) -> &'a str {
    let configured = app.config.telephony.external_url.as_deref();
    configured.unwrap_or(origin).trim_end_matches('/')
}

/// Where `carrier` asks what to do with `call`.
pub fn answer(app: &App, base: &str, carrier: Dialect, call: &CallKey) -> String {
    of_call(app, &format!("{base}/telephony/{carrier}/answer"), call)
}

/// Where `carrier` asks what to do with `call` once its stream is over.
pub fn after(app: &App, base: &str, carrier: Dialect, call: &CallKey) -> String {
    of_call(app, &format!("{base}/telephony/{carrier}/after"), call)
}

/// Where `carrier` reports about `call`.
pub fn status(app: &App, base: &str, carrier: Dialect, call: &CallKey) -> String {
    of_call(app, &format!("{base}/telephony/{carrier}/status"), call)
}

/// Where `carrier` streams to.
pub fn stream(app: &App, base: &str, carrier: Dialect) -> String {
    if let Some(configured) = &app.config.telephony.stream_url {
        return configured.clone();
    }
    let (scheme, host) = base.split_once("://").unwrap_or(("http", base));
    let scheme = if scheme == "https" { "wss" } else { "ws" };
    format!("{scheme}://{host}/telephony/{carrier}")
}

fn of_call(app: &App, address: &str, call: &CallKey) -> String {
    let token = minted(app, Purpose::Address, call, LIFETIME_S);
    let attempt = call.attempt.to_string();
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query
        .append_pair("tenant", &call.tenant)
        .append_pair("call", &call.id)
        .append_pair("attempt", &attempt)
        .append_pair(token::PARAMETER, &token);
    format!("{address}?{}", query.finish())
}

/// A token for a stream of `call` that lasts for so many seconds.
pub(super) fn mint(app: &App, call: &CallKey, lifetime_s: u64) -> String {
    minted(app, Purpose::Stream, call, lifetime_s)
}

fn minted(app: &App, purpose: Purpose, call: &CallKey, lifetime_s: u64) -> String {
    let expires_s = app.clock.unix_s().unsigned_abs() + lifetime_s;
    let nonce = app.seed().to_le_bytes();
    let named = (purpose, call.tenant.as_str(), call.id.as_str());
    token::mint(&app.phone.token_key, named, call.attempt, expires_s, nonce)
}

/// The call that an address of ours names, when its token is right.
pub(super) fn named(app: &App, query: &str) -> Option<CallKey> {
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    let get = |name: &str| {
        let found = pairs.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    };
    let (tenant, id, proof) = (get("tenant")?, get("call")?, get(token::PARAMETER)?);
    let now_s = app.clock.unix_s().unsigned_abs();
    // carriers come back to an address: its nonce is not used up
    let named = (Purpose::Address, tenant, id);
    let proof = token::check(&app.phone.token_key, named, proof, now_s).ok()?;
    Some(CallKey {
        tenant: tenant.to_owned(),
        id: id.to_owned(),
        attempt: proof.attempt,
    })
}
