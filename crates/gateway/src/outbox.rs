//! Working off the outbox: whatever was put in together with a change is done here, at least once, by one server at a time.
//! Started by `jobs`; each kind of work is a file of this folder or of the module that it belongs to.
//! Never gives up a piece of work silently: what has failed for good stays, dead, and is counted and logged.
//!
//! Who wants something done writes a [`store::NewEffect`] in the transaction of its change and calls [`Outbox::wake`]; who does
//! it implements [`Work`] and is listed in `works`.

mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use store::{AfterFailure, Effect, Retries};
use tokio::sync::watch;

pub(crate) use self::webhooks::DELIVERY;
pub use self::webhooks::{announcement, message_effect};

use crate::auth::chain;
use crate::observe::EffectResult;
use crate::{App, dialler, recording};

/// Between two looks while nothing is found: what other servers put in, and what is due again, waits so long at most.
const IDLE: Duration = Duration::from_secs(5);
/// After a failure of the database.
const AFTER_TROUBLE: Duration = Duration::from_secs(10);
/// A piece of work is another's to do when it was not done so long after it was claimed.
const LEASE: TimeDelta = TimeDelta::seconds(120);
/// No piece of work goes on for so long; less than the lease, so that no two do it.
const LIMIT: Duration = Duration::from_secs(100);

/// Why a piece of work was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// What was tried and what happened: kept with the work and logged, so nothing personal.
    pub problem: String,
    /// What becomes of it.
    pub next: Next,
}

/// What becomes of work that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It is tried again as the work's own rules say.
    Again,
    /// It is tried again, not before this.
    NotBefore(DateTime<Utc>),
    /// It will never succeed.
    Never,
}

impl Failed {
    /// It may succeed another time.
    pub fn again(problem: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            next: Next::Again,
        }
    }

    /// It will never succeed.
    pub fn never(problem: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            next: Next::Never,
        }
    }
}

impl From<store::StoreError> for Failed {
    fn from(error: store::StoreError) -> Self {
        Self::again(chain(&error))
    }
}

/// A kind of work.
#[async_trait]
pub trait Work: Send + Sync {
    /// Names it in the outbox.
    fn topic(&self) -> &'static str;

    /// How often and when it is tried again.
    fn retries(&self) -> Retries;

    /// Pieces that are done at the same time by one server.
    fn at_once(&self) -> u32 {
        8
    }

    /// Does one piece. It may have been done before, by somebody who could not say so any more.
    async fn run(&self, app: &Arc<App>, effect: &Effect) -> Result<(), Failed>;
}

/// All kinds.
fn works() -> Vec<Arc<dyn Work>> {
    vec![
        Arc::new(webhooks::FanOut),
        Arc::new(webhooks::Delivery),
        Arc::new(dialler::summary::Summary),
        Arc::new(dialler::tables::Tables),
        Arc::new(recording::Expiry),
    ]
}

/// Wakes those who work the outbox off.
#[derive(Debug, Clone, Default)]
pub struct Outbox {
    put: watch::Sender<u64>,
}

impl Outbox {
    /// Something was put in: it is looked for now and not a little later.
    pub fn wake(&self) {
        self.put.send_modify(|count| *count += 1);
    }
}

/// Starts one loop for each kind of work.
pub(crate) fn start(app: &Arc<App>) {
    for work in works() {
        app.lifecycle.spawn(work_off(Arc::clone(app), work));
    }
}

async fn work_off(app: Arc<App>, work: Arc<dyn Work>) {
    let mut put = app.outbox.put.subscribe();
    let owner: Arc<str> = wire::ids::Ids::seeded(app.seed()).next("worker").into();
    // each in a task of its own: one that is not polled for a moment would keep the connection that it has to the database
    let mut running = FuturesUnordered::new();
    while !app.lifecycle.stopping() {
        put.mark_unchanged();
        let free = (work.at_once() as usize).saturating_sub(running.len());
        let pause = match claim(&app, &*work, &owner, free).await {
            Ok(claimed) => {
                for effect in claimed {
                    let (app, work) = (Arc::clone(&app), Arc::clone(&work));
                    let (lifecycle, owner) = (app.lifecycle.clone(), Arc::clone(&owner));
                    let piece = async move { one(&app, &*work, &owner, effect).await };
                    running.push(lifecycle.spawn(piece));
                }
                IDLE
            }
            Err(error) => {
                let error = chain(&error);
                tracing::warn!(topic = work.topic(), error, "cannot work the outbox off");
                AFTER_TROUBLE
            }
        };
        let has_room = running.len() < work.at_once() as usize;
        tokio::select! {
            () = app.lifecycle.soft().cancelled() => break,
            // one that is done makes room for another, however long the rest take
            Some(_) = running.next(), if !running.is_empty() => {}
            _ = put.changed(), if has_room => {}
            () = tokio::time::sleep(pause), if has_room => {}
        }
    }
    while running.next().await.is_some() {}
}

/// Claims what is due of one kind, as much as there is room for.
async fn claim(
    app: &App,
    work: &dyn Work,
    owner: &str,
    free: usize,
) -> Result<Vec<Effect>, store::StoreError> {
    let free = u32::try_from(free).unwrap_or(u32::MAX);
    if free == 0 {
        return Ok(Vec::new());
    }
    let now = app.clock.utc();
    let claim = (work.topic(), owner);
    app.store
        .sql
        .claim_effects(claim, now, now + LEASE, free)
        .await
}

/// Does one piece and says what became of it.
async fn one(app: &Arc<App>, work: &dyn Work, owner: &str, effect: Effect) {
    let done = match tokio::time::timeout(LIMIT, work.run(app, &effect)).await {
        Ok(done) => done,
        Err(_) => Err(Failed::again(format!(
            "not done within {} s",
            LIMIT.as_secs()
        ))),
    };
    let topic = work.topic();
    let now = app.clock.utc();
    let sql = &app.store.sql;
    let Err(failed) = done else {
        app.metrics.outgoing().worked(topic, EffectResult::Done);
        if let Err(error) = sql.effect_done(&effect, owner, now).await {
            let error = chain(&error);
            tracing::warn!(
                topic,
                effect = effect.id,
                error,
                "done, and it cannot be noted: it will be done again"
            );
        }
        return;
    };
    let retries = match failed.next {
        Next::Again => work.retries(),
        Next::NotBefore(at) => {
            let usual = work.retries();
            let first = (at - now).max(usual.pause(effect.tries));
            Retries {
                first,
                longest: first,
                tries: usual.tries,
            }
        }
        Next::Never => Retries {
            tries: 0,
            ..work.retries()
        },
    };
    let noted = sql.effect_failed((&effect, owner), &failed.problem, now, retries);
    let result = match noted.await {
        Ok(AfterFailure::Again(_)) => EffectResult::Failed,
        Ok(AfterFailure::Dead) => EffectResult::Dead,
        Ok(AfterFailure::NotOurs) => return,
        Err(error) => {
            let error = chain(&error);
            tracing::warn!(
                topic,
                effect = effect.id,
                error,
                "failed, and it cannot be noted"
            );
            EffectResult::Failed
        }
    };
    app.metrics.outgoing().worked(topic, result);
    let problem = failed.problem.as_str();
    if result == EffectResult::Dead {
        tracing::error!(
            topic,
            effect = effect.id,
            tries = effect.tries,
            problem,
            "given up"
        );
    } else {
        tracing::warn!(
            topic,
            effect = effect.id,
            tries = effect.tries,
            problem,
            "failed"
        );
    }
}
