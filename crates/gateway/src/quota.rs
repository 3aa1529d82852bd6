//! How much a caller may have beyond requests: conversations at the same time, tokens, minutes of audio.
//! Asked by the edges before a conversation begins, by the routes that ask providers, and while they work.
//! Never drops anybody who is in: what is used up refuses the next conversation, response or request.

mod levels;
pub(crate) mod purse;
mod tab;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use chrono::TimeDelta;
use engine::ask::LlmRequest;
use store::StoreError;
use store::live::leases::Room;
use store::live::limiter::{Decider, Demand, LevelKind, Measure};
use store::live::{Leases, Limiter};
use tokio::runtime::Handle;

use crate::App;
use crate::auth::rates::whose;
use crate::auth::{Allowance, AuthError, Principal, Scopes};
use crate::clock::Clock;
use crate::config::Config;
use crate::http::ApiError;
use crate::metering::Attached;
use crate::observe::{Event, Metrics};
use crate::registry::{Active, Owned};

use self::levels::Who;
pub use self::tab::Tab;
pub(crate) use self::tab::told;
use self::tab::{House, Reserved, Shared};

/// Whoever finds all places taken comes again after this.
const FULL: TimeDelta = TimeDelta::seconds(30);
/// Whoever has used up the day's audio comes again after this: what was used a day ago counts no more.
const USED_UP: TimeDelta = TimeDelta::minutes(15);

/// The tabs of running conversations, by tenant.
#[derive(Debug)]
pub struct Quotas {
    house: House,
    leases: Leases,
    open: Mutex<HashMap<Box<str>, Vec<Weak<Shared>>>>,
}

impl Quotas {
    /// Limits that are kept by `limiter` and `leases`. Called inside a runtime, in which they are counted.
    pub(crate) fn new(limiter: Limiter, leases: Leases, clock: Clock, metrics: Metrics) -> Self {
        let runtime = Handle::current();
        Self {
            house: House {
                limiter,
                clock,
                metrics,
                runtime,
            },
            leases,
            open: Mutex::default(),
        }
    }

    /// The tab of a conversation that begins.
    pub fn open(&self, config: &Config, who: &Principal, active: &Owned) -> Tab {
        let whose = Who::from(who);
        let levels = levels::levels(config, &whose);
        let tab = Tab::new(self.house.clone(), whose, levels, active.lease_number());
        let mut open = self.lock();
        let tabs = open.entry(who.tenant.as_str().into()).or_default();
        tabs.push(Arc::downgrade(&tab.shared));
        drop(open);
        tab
    }

    /// The tab of a request, where anything of it is limited.
    fn request(&self, config: &Config, who: &Principal) -> Option<Tab> {
        let who = Who::from(who);
        let levels = levels::levels(config, &who);
        let counts = levels
            .iter()
            .any(|level| level.tokens.is_some() || level.audio_s.is_some());
        counts.then(|| Tab::new(self.house.clone(), who, levels, None))
    }

    /// The plan or the limits of `tenant` may have changed: what they are now counts for its conversations.
    pub(crate) fn change(&self, config: &Config, tenant: &str, allowance: &Allowance) {
        let tabs = self.lock().get(tenant).cloned().unwrap_or_default();
        for shared in tabs.iter().filter_map(Weak::upgrade) {
            let who = shared.who.allowed(allowance);
            if let Some(lease) = shared.lease {
                self.leases.amend(lease, &levels::rooms(config, &who));
            }
            Tab { shared }.change(levels::levels(config, &who));
        }
    }

    /// Forgets conversations that have ended.
    pub(crate) fn sweep(&self) {
        let mut open = self.lock();
        open.retain(|_, tabs| {
            tabs.retain(|tab| tab.strong_count() > 0);
            !tabs.is_empty()
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Vec<Weak<Shared>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one more conversation of `who`, here and among those of all servers.
///
/// # Errors
/// 429 `concurrent_limit_exceeded` and `quota_exceeded`; no place is taken then.
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
    audio(app, who).await?;
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

/// Whether a conversation of `tenant` could begin here now; how long to wait where it could not. Takes no place.
///
/// # Errors
/// [`StoreError`] when the tenant cannot be looked up.
pub(crate) async fn has_room(
    app: &App,
    tenant: &str,
    project: &str,
) -> Result<Result<(), TimeDelta>, StoreError> {
    let allowance = match app.keys.allowance_of(tenant).await {
        Ok(allowance) => allowance,
        Err(AuthError::Store(error)) => return Err(error),
        // whoever was suspended a moment ago
        Err(_) => return Ok(Err(FULL)),
    };
    let who = Principal {
        tenant: tenant.to_owned(),
        project: project.to_owned(),
        key_id: "telephone".to_owned(),
        scopes: Scopes::full(),
        allowance,
        stored_session: None,
    };
    let most = levels::sessions_of_tenant(&app.config, &who.allowance);
    let leases = &app.store.live.leases;
    let is_full = |room: Room| leases.here(room.kind, &room.id) >= room.places;
    let taken = app.sessions.of_tenant(tenant) as u64;
    if (most > 0 && taken >= most)
        || app.sessions.is_full()
        || levels::rooms(&app.config, &(&who).into())
            .into_iter()
            .any(is_full)
    {
        return Ok(Err(FULL));
    }
    Ok(audio(app, &who).await.map_err(|_| USED_UP))
}

/// Whether `who` has audio left today.
async fn audio(app: &App, who: &Principal) -> Result<(), ApiError> {
    let mut levels = levels::levels(&app.config, &who.into());
    levels.retain(|level| level.audio_s.is_some());
    if levels.is_empty() {
        return Ok(());
    }
    let house = &app.quotas.house;
    let now_ms = house.now_ms();
    let tally = house
        .limiter
        .count(&levels, Demand::default(), now_ms)
        .await;
    house.note(tally.decider);
    let used_up = tally
        .left
        .iter()
        .find(|left| left.measure == Measure::Audio && left.standing.remaining == 0);
    let Some(left) = used_up else {
        return Ok(());
    };
    app.metrics.emit(&Event::LimitReached {
        level: left.kind.name(),
        measure: left.measure.name(),
        tenant: &who.tenant,
    });
    let wait_s = left.standing.wait_ms.div_ceil(1000).max(1);
    Err(ApiError::quota_exceeded(left.limit / 60, wait_s))
}

/// Lets a request that makes sound of text or text of sound begin; what it uses is counted under the name `account`.
///
/// # Errors
/// 429 `quota_exceeded`.
pub(crate) async fn sound(
    app: &App,
    who: &Principal,
    account: &str,
) -> Result<Option<Attached>, ApiError> {
    audio(app, who).await?;
    let tab = app.quotas.request(&app.config, who);
    Ok(tab.map(|tab| app.meter.attach(account, tab)))
}

/// A question over REST, while it is being answered; tokens are counted as they were used.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// Given back first, so that what comes later still counts.
    _reserved: Option<Reserved>,
    _attached: Option<Attached>,
}

/// Reserves the tokens of a question.
///
/// # Errors
/// 429 `token_limit_exceeded`.
pub(crate) async fn question(
    app: &App,
    who: &Principal,
    question: &LlmRequest,
) -> Result<Asked, ApiError> {
    let Some(tab) = app.quotas.request(&app.config, who) else {
        return Ok(Asked::default());
    };
    let reserved = tab.reserve(question.estimated_tokens()).await;
    let reserved = reserved.map_err(|refused| {
        ApiError::tokens_exceeded(whose(refused.kind), refused.limit, tab::wait_s(&refused))
    })?;
    Ok(Asked {
        _reserved: reserved,
        _attached: Some(app.meter.attach(&question.session, tab)),
    })
}
