//! Telephone carriers at the door: their questions, their reports, and their media streams.
//! Mounted by `http::router`; what carriers say is in `wire::telephony`, what a call does in `engine::call`.
//! Never believes a carrier that has not proved itself, and never decides what is said in a call.
//!
//! | who asks | answered by |
//! |---|---|
//! | a carrier, what to do with a call | `answer` |
//! | a carrier, telling how a call stands | `status` |
//! | a carrier, about a caller who is passed on | `transfer` |
//! | a carrier's media stream | `upgrade`, which hands it to `opening`, `bind` and `line` in turn |
//! | a LeadFlip deployment | `leadflip` |

pub mod addresses;
mod answer;
mod bind;
mod door;
mod leadflip;
mod line;
mod lines;
mod opening;
mod parameters;
mod status;
mod transfer;
pub mod trust;
mod upgrade;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::{any, get, post};
use wire::rest::calls::leadflip::Health;

use crate::App;

/// How a carrier's sound is coded, in the words of the audio library.
pub(crate) const fn linear(format: wire::telephony::Format) -> engine::audio::Format {
    line::carrier_format(format)
}

/// Routes of the telephone on the main address.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/telephony/{carrier}", get(upgrade::upgrade))
        .route(
            "/telephony/{carrier}/answer",
            get(answer::answer).post(answer::answer),
        )
        .route(
            "/telephony/{carrier}/after",
            get(answer::after).post(answer::after),
        )
        .route(
            "/telephony/{carrier}/status",
            get(status::status).post(status::status),
        )
        .merge(transfer::routes())
        .route(
            "/api/twiml/call/{id}",
            get(leadflip::twiml).post(leadflip::twiml),
        )
        .route("/api/webhooks/twilio/status", post(leadflip::webhook))
}

/// Routes of an address that is the telephone's own, as the LeadFlip bridge has it: its health, and streams at any path.
pub fn bridge_routes() -> Router<Arc<App>> {
    routes()
        .route("/health", get(health))
        .fallback(any(upgrade::upgrade_anywhere))
}

/// `GET /health` of the bridge.
async fn health(State(app): State<Arc<App>>) -> axum::Json<Health> {
    let uptime = app.clock.now().saturating_duration_since(app.started);
    let calls = u64::try_from(app.phone.live.count()).unwrap_or(u64::MAX);
    axum::Json(Health::healthy(calls, uptime.as_secs_f64()))
}
