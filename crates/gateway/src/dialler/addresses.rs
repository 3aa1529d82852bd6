//! The addresses that a carrier is given with a call: where it asks what to do, where it reports.
//! Used by the dialler; the telephone edge answers there.
//! Never holds a key: what binds an address to its call is a token that proves itself.

use wire::telephony::Dialect;

use super::CallKey;
use crate::App;
use crate::edge::telephony::trust::token;

/// How long a carrier may come back to the address of a call, in s: a call rings, lasts an hour, and is reported about late.
const LIFETIME_S: u64 = 6 * 3600;

/// Where `carrier` asks what to do with `call`.
pub(super) fn answer(app: &App, base: &str, carrier: Dialect, call: &CallKey) -> String {
    of_call(app, &format!("{base}/telephony/{carrier}/answer"), call)
}

/// Where `carrier` reports about `call`.
pub(super) fn status(app: &App, base: &str, carrier: Dialect, call: &CallKey) -> String {
    of_call(app, &format!("{base}/telephony/{carrier}/status"), call)
}

fn of_call(app: &App, address: &str, call: &CallKey) -> String {
    let expires_s = app.clock.unix_s().unsigned_abs() + LIFETIME_S;
    let nonce = app.seed().to_le_bytes();
    let token = token::mint(&app.dialler.token_key, call.named(), expires_s, nonce);
    let attempt = call.attempt.to_string();
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query
        .append_pair("tenant", &call.tenant)
        .append_pair("call", &call.id)
        .append_pair("attempt", &attempt)
        .append_pair(token::PARAMETER, &token);
    format!("{address}?{}", query.finish())
}
