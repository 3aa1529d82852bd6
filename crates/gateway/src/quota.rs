//! How much a caller may have beyond requests: conversations at the same time, tokens, minutes of audio.
//! Asked by the edges before a conversation begins, by the routes that ask providers, and while they work.
//! Never drops anybody who is in: what is used up refuses the next conversation, response or request.

mod levels;

use store::live::limiter::{Decider, LevelKind};

use crate::App;
use crate::auth::Principal;
use crate::auth::rates::whose;
use crate::http::ApiError;
use crate::observe::Event;
use crate::registry::{Active, Owned};

/// The place of one more conversation of `who`, here and among those of all servers.
///
/// # Errors
/// 429 `concurrent_limit_exceeded`; no place is taken then.
pub(crate) async fn place(app: &App, who: &Principal, active: Active) -> Result<Owned, ApiError> {
    let refused = |kind: LevelKind, places| {
        app.metrics.emit(&Event::LimitReached {
            level: kind.name(),
            measure: "sessions",
            tenant: &who.tenant,
        });
        ApiError::too_many_sessions_of(whose(kind), places)
    };
    // a tenant whose conversations here are too many already costs nobody a question
    let most = levels::sessions_of_tenant(&app.config, &who.allowance);
    let active = active
        .of(&who.tenant, most)
        .ok_or_else(|| refused(LevelKind::Tenant, most))?;
    let rooms = levels::rooms(&app.config, &who.into());
    let entry = app.store.live.leases.enter(&rooms).await;
    if entry.decider == Decider::Degraded {
        app.metrics.decided_locally();
    }
    let lease = entry
        .outcome
        .map_err(|full| refused(full.kind, full.places))?;
    Ok(active.leased(lease))
}
