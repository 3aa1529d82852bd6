//! Placing calls: what waits in the queue is taken when it is due, looked at once more, and dialled once an attempt.
//! Started by `jobs`; the routes that take calls in ask it for its rules.
//! Never dials what a rule forbids, never dials an attempt twice, and never faster than the carrier's account allows.
//!
//! | what | where |
//! |---|---|
//! | taking a call in | `intake` |
//! | taking what is due, at the account's pace | here |
//! | the last look at a call, and the dial | `place` |
//! | attempts of which nobody knows what became | `lost` |
//! | what follows an attempt: another, or the end | `after` |
//! | a machine has answered | `machine` |
//! | somebody hangs up while it rings | `stop` |
//! | what it came to | `summary`, for LeadFlip's pages `tables` |
//! | how it is shown and told | `view`, `announce` |

pub mod after;
pub mod announce;
pub mod intake;
mod lost;
pub mod machine;
mod place;
pub(crate) mod stop;
pub mod summary;
pub mod tables;
pub mod view;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use engine::call::gate::Rules;
use engine::call::retry::Ladder;
use providers::carrier::{ANSWER_LIMIT, Account, Carrier};
use secrecy::SecretString;
use store::{Lease, Pace};
use tokio::sync::watch;
use wire::telephony::Dialect;

pub use crate::calls::{CallKey, Details};

use crate::App;
use crate::auth::chain;
use crate::config::{CarrierAccount, Config, Secret};

/// Between two looks at the queue: an account may place one call a second.
const EVERY: Duration = Duration::from_secs(1);
/// Between two looks while nothing is due.
const IDLE: Duration = Duration::from_secs(3);
/// After a failure of the database.
const AFTER_TROUBLE: Duration = Duration::from_secs(10);
/// Whoever has claimed a call dials it within this time; longer than a carrier may take to answer.
const LEASE: TimeDelta = TimeDelta::seconds(60);
/// Calls that are claimed at a time.
const AT_ONCE: u32 = 20;

/// What the dialler works with.
#[derive(Debug)]
pub struct Dialler {
    /// The accounts that can place calls, by name.
    carriers: BTreeMap<String, Line>,
    /// What a call has to pass.
    pub rules: Rules,
    /// What is tried again.
    pub ladder: Ladder,
    /// The account of calls that name none.
    default: Option<String>,
    put: watch::Sender<u64>,
}

/// An account that can place calls.
#[derive(Debug)]
pub struct Line {
    /// Its carrier.
    pub carrier: Carrier,
    /// The number that is shown where a call names none.
    pub number: Option<String>,
    /// Calls within a second.
    per_second: u32,
    /// The flow that Exotel connects a call with.
    flow: Option<String>,
}

impl Dialler {
    /// The accounts of `config` that can place calls, reached through `http`.
    pub fn open(config: &Config, http: &reqwest::Client) -> Self {
        let accounts = config.telephony.accounts.iter();
        let carriers: BTreeMap<String, Line> = accounts
            .filter_map(|(name, own)| Some((name.clone(), line(name, own, http)?)))
            .collect();
        let only = carriers.keys().next().filter(|_| carriers.len() == 1);
        let default = config.dialling.account.clone().or_else(|| only.cloned());
        Self {
            default: default.filter(|name| carriers.contains_key(name)),
            carriers,
            rules: config.dialling.rules(),
            ladder: config.dialling.ladder(),
            put: watch::Sender::default(),
        }
    }

    /// The account of this name, if it can place calls.
    pub fn line(&self, account: &str) -> Option<&Line> {
        self.carriers.get(account)
    }

    /// The account of calls that name none, and its name.
    pub fn default_line(&self) -> Option<(&str, &Line)> {
        let name = self.default.as_deref()?;
        Some((name, self.carriers.get(name)?))
    }

    /// The account whose own number is `number`, and its name.
    pub fn line_of(&self, number: &str) -> Option<(&str, &Line)> {
        let mut lines = self.carriers.iter();
        let found = lines.find(|(_, line)| line.number.as_deref() == Some(number));
        found.map(|(name, line)| (name.as_str(), line))
    }

    /// A call was put in: it is looked for now and not a little later.
    pub fn wake(&self) {
        self.put.send_modify(|count| *count += 1);
    }
}

/// The account, where it has what a call is placed with.
fn line(name: &str, own: &CarrierAccount, http: &reqwest::Client) -> Option<Line> {
    let dialect = own
        .dialect(name)
        .filter(|dialect| *dialect != Dialect::AudioHook)?;
    let secret = |secret: &Secret| SecretString::from(secret.reveal());
    let api_key = own
        .api_key_id
        .clone()
        .zip(own.api_secret.as_ref().map(secret));
    let account = Account {
        carrier: dialect,
        id: own.account_id.clone()?,
        secret: secret(own.auth_token.as_ref()?),
        api_key,
        space: own.space_url.clone(),
        base_url: own.base_url.as_deref().and_then(|url| url.parse().ok()),
        limit: ANSWER_LIMIT,
    };
    match Carrier::new(account, http.clone()) {
        Ok(carrier) => Some(Line {
            carrier,
            number: own.number.clone(),
            per_second: own.calls_per_second,
            flow: own.flow_url.clone(),
        }),
        Err(error) => {
            tracing::warn!(account = name, %error, "the account cannot place calls");
            None
        }
    }
}

/// Starts one loop for each account, and one for attempts that were lost.
pub(crate) fn start(app: &Arc<App>) {
    if !app.config.dialling.enabled || app.dialler.carriers.is_empty() {
        return;
    }
    for account in app.dialler.carriers.keys() {
        app.lifecycle
            .spawn(work_off(Arc::clone(app), account.clone()));
    }
    app.lifecycle.spawn(lost::run(Arc::clone(app)));
}

async fn work_off(app: Arc<App>, account: String) {
    let mut put = app.dialler.put.subscribe();
    let owner = wire::ids::Ids::seeded(app.seed()).next("dialler");
    while !app.lifecycle.stopping() {
        put.mark_unchanged();
        let pause = match round(&app, &account, &owner).await {
            Ok(0) => IDLE,
            Ok(_) => EVERY,
            Err(error) => {
                tracing::warn!(account, error = %chain(&error), "cannot take calls that are due");
                AFTER_TROUBLE
            }
        };
        tokio::select! {
            () = app.lifecycle.soft().cancelled() => return,
            _ = put.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Takes what is due on one account, and dials it; how many calls that were.
async fn round(app: &Arc<App>, account: &str, owner: &str) -> Result<usize, store::StoreError> {
    let Some(line) = app.dialler.line(account) else {
        return Ok(0);
    };
    // whoever is rung has to find a place here, or on another server that has one
    let free = u32::try_from(app.phone.live.free()).unwrap_or(u32::MAX);
    if free == 0 || app.lifecycle.stopping() {
        return Ok(0);
    }
    let now = app.clock.utc();
    let pace = Pace {
        calls: line.per_second,
        within: TimeDelta::seconds(1),
    };
    let lease = Lease {
        owner,
        now,
        until: now + LEASE,
        limit: AT_ONCE.min(free),
    };
    let claimed = app.store.sql.claim_calls(account, pace, lease).await?;
    let count = claimed.len();
    for call in claimed {
        let (app, owner) = (Arc::clone(app), owner.to_owned());
        let lifecycle = app.lifecycle.clone();
        // a carrier that takes its time keeps nobody else waiting; the lease bounds how many there are
        lifecycle.spawn(async move {
            if let Err(error) = Box::pin(place::place(&app, &call, &owner)).await {
                let error = chain(&error);
                tracing::warn!(
                    call = call.id,
                    error,
                    "a call could not be placed: it is taken again when its lease is over"
                );
            }
            app.outbox.wake();
        });
    }
    Ok(count)
}

/// What names an attempt for a carrier.
fn correlation(key: &CallKey) -> String {
    format!("{}.{}.{}", key.tenant, key.id, key.attempt)
}

/// Any number.
fn chance(app: &App) -> u64 {
    wire::ids::Ids::seeded(app.seed()).next_u64()
}
