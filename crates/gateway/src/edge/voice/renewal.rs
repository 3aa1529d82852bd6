//! Until when the app's token lets a call go on, and how it gets longer.
//! Held by the writer of a connection.
//! Never lets another user go on with a call.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;
use wire::voice::SessionStart;

use super::identity::{self, Guest};
use crate::App;
use crate::auth::jwt::LEEWAY;
use crate::clock::Clock;

/// How long a writer waits at most before it looks again.
const LOOK_AGAIN: Duration = Duration::from_hours(1);

/// The token's time.
pub(super) struct Renewal {
    app: Arc<App>,
    user: String,
    tenant: String,
    expires_at: Option<DateTime<Utc>>,
}

impl Renewal {
    pub(super) fn new(app: Arc<App>, guest: &Guest) -> Self {
        Self {
            app,
            user: guest.user.clone(),
            tenant: guest.principal.tenant.clone(),
            expires_at: guest.expires_at,
        }
    }

    /// When to look whether the token is over.
    pub(super) fn deadline(&self, clock: &Clock) -> Instant {
        let left = self.end().map(|end| (end - clock.utc()).to_std());
        let left = match left {
            None => LOOK_AGAIN,
            // over already
            Some(Err(_)) => Duration::ZERO,
            Some(Ok(left)) => left.min(LOOK_AGAIN),
        };
        Instant::now() + left
    }

    /// Whether it is.
    pub(super) fn is_over(&self, clock: &Clock) -> bool {
        self.end().is_some_and(|end| clock.utc() >= end)
    }

    fn end(&self) -> Option<DateTime<Utc>> {
        // the clocks of whoever issued it may be behind
        let leeway: TimeDelta = LEEWAY;
        self.expires_at.map(|end| end + leeway)
    }

    /// The app shows a token again; why it cannot.
    pub(super) async fn renew(&mut self, start: SessionStart) -> Result<(), &'static str> {
        const RUNNING: &str = "A session has begun on this connection already";
        let (Some(token), Some(_)) = (start.auth_token, self.expires_at) else {
            return Err(RUNNING);
        };
        let guest = identity::user(&self.app, &token).await;
        let guest = guest.map_err(
            |_| "A session has begun on this connection already, and the token is not valid",
        )?;
        if guest.user != self.user || guest.principal.tenant != self.tenant {
            return Err("A session of another user has begun on this connection already");
        }
        self.expires_at = guest.expires_at;
        Ok(())
    }
}
