//! From the journal into the database, in order, again and again until it is there.
//! Run by the gateway as one task for the life of the process.
//! Never gives an entry up because the database is away; one that it refuses for good is set aside and counted, and those of a
//! tenant whose key cannot be had wait by themselves.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};

use super::held::Held;
use super::part::{self, Outcome, Refused};
use super::reader::{ReadError, Reader};
use super::{Job, Numbers};
use crate::Sql;
use crate::seal::KeyError;
use crate::sql::items::Entry;

/// Between two attempts: the first, and the longest.
const AGAIN_FIRST: Duration = Duration::from_millis(100);
const AGAIN_LONGEST: Duration = Duration::from_secs(5);
/// Tenants that are written at the same time: a share of the connections that leaves others theirs.
const WRITERS: usize = 4;

/// A tenant's changes, and what became of them.
type Written = (String, Vec<Entry>, Outcome);

/// Brings the journal to the database.
#[derive(Debug)]
pub struct Delivery {
    reader: Reader,
    held: Held,
    jobs: mpsc::WeakSender<Job>,
    numbers: Arc<Numbers>,
    folder: PathBuf,
}

impl Delivery {
    pub(super) fn new(
        (reader, held): (Reader, Held),
        jobs: mpsc::WeakSender<Job>,
        numbers: Arc<Numbers>,
        folder: PathBuf,
    ) -> Self {
        Self {
            reader,
            held,
            jobs,
            numbers,
            folder,
        }
    }

    /// Delivers until every [`super::Journal`] is dropped, or until `stop`: then what is there is delivered if the
    /// database takes it, and stays in the journal for the next start if it does not.
    pub async fn run(mut self, sql: Sql, stop: impl Future<Output = ()> + Send) {
        let mut stop = pin!(stop);
        let mut stopping = false;
        let mut failures = 0;
        self.held.begin(&sql);
        loop {
            match self.step(&sql, failures).await {
                Ok(true) => {
                    failures = 0;
                    self.numbers.set_failing(None);
                }
                Ok(false) => {
                    // until there is something to deliver, nothing fails
                    self.numbers.set_failing(None);
                    if self.reader.is_worth_rolling() {
                        self.roll().await;
                    }
                    if stopping {
                        return;
                    }
                    tokio::select! {
                        more = self.reader.more() => if !more {
                            break;
                        },
                        () = self.held.tried() => {}
                        () = &mut stop => stopping = true,
                    }
                }
                Err(reason) => {
                    if failures == 0 {
                        tracing::warn!(reason, "what was said waits in the journal");
                    }
                    self.numbers.set_failing(Some(&reason));
                    let failed = &self.numbers.attempts_failed;
                    failed.fetch_add(1, Ordering::Relaxed);
                    if stopping {
                        return;
                    }
                    tokio::select! {
                        () = tokio::time::sleep(pause(failures)) => {}
                        () = &mut stop => stopping = true,
                    }
                    failures += 1;
                }
            }
        }
        if let Err(error) = self.reader.close().await {
            tracing::warn!(%error, "cannot remove a journal that is delivered");
        }
    }

    /// Delivers a batch of what waited for a key and one of what is new; false when there is neither.
    async fn step(&mut self, sql: &Sql, failures: u32) -> Result<bool, String> {
        // what is wrong with one tenant's line is no reason to keep what is new
        let held = self.step_held(sql, failures).await;
        let fresh = self.step_fresh(sql, failures).await?;
        Ok(held? || fresh)
    }

    async fn step_held(&mut self, sql: &Sql, failures: u32) -> Result<bool, String> {
        let Some(batch) = self.held.next(sql).await else {
            return Ok(false);
        };
        let tenant = &batch.entries[0].session.tenant;
        match part::write(sql, tenant, &batch.entries, failures).await {
            Outcome::Written(refused) => {
                self.set_aside(&batch.entries, &refused)?;
                self.held.done(batch);
            }
            Outcome::Keyless(_) => self.held.later(sql, batch),
            Outcome::Failed(reason) => {
                self.held.later(sql, batch);
                return Err(reason);
            }
        }
        Ok(true)
    }

    async fn step_fresh(&mut self, sql: &Sql, failures: u32) -> Result<bool, String> {
        let next = match self.reader.next().await {
            Err(ReadError::Damaged) => {
                self.roll().await;
                self.reader.next().await
            }
            next => next,
        };
        let next = next.map_err(|error| error.to_string())?;
        let Some(mut batch) = next else {
            return Ok(false);
        };
        let entries = std::mem::take(&mut batch.entries);
        let held = match self.deliver(sql, entries, failures).await {
            Ok(held) => held,
            Err(reason) => {
                self.reader.not_done(&batch);
                return Err(reason);
            }
        };
        let noted = self.reader.done(&batch, held).await;
        noted.map_err(|error| format!("cannot note what is delivered: {error}"))?;
        Ok(true)
    }

    /// Brings `entries` to the database, each tenant's in a transaction of its own, and says how many wait for a key.
    async fn deliver(
        &mut self,
        sql: &Sql,
        entries: Vec<Entry>,
        failures: u32,
    ) -> Result<u64, String> {
        let mut tenants: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
        for entry in entries {
            if let Some(of_tenant) = tenants.get_mut(&entry.session.tenant) {
                of_tenant.push(entry);
            } else {
                tenants.insert(entry.session.tenant.clone(), vec![entry]);
            }
        }
        let (behind, free): (Vec<_>, Vec<_>) = tenants
            .into_iter()
            .partition(|(tenant, _)| self.held.has(tenant));
        let mut written = write_all(sql, free, failures).await;
        if let Some(reason) = written.iter_mut().find_map(|(.., outcome)| match outcome {
            Outcome::Failed(reason) => Some(std::mem::take(reason)),
            _ => None,
        }) {
            return Err(reason);
        }
        // only now: whoever comes again because of another tenant's failure would be noted twice
        let mut held = 0;
        for (tenant, entries, outcome) in written {
            match outcome {
                Outcome::Written(refused) => self.set_aside(&entries, &refused)?,
                Outcome::Failed(reason) => return Err(reason),
                Outcome::Keyless(reason) => {
                    tracing::error!(tenant, %reason, "changes of a tenant wait for its key");
                    self.held.hold(sql, &tenant, &entries).await?;
                    held += entries.len() as u64;
                }
            }
        }
        for (tenant, entries) in behind {
            self.held.hold(sql, &tenant, &entries).await?;
            held += entries.len() as u64;
        }
        Ok(held)
    }

    fn set_aside(&self, entries: &[Entry], refused: &[Refused]) -> Result<(), String> {
        for refused in refused {
            self.note_refused(&entries[refused.at], &refused.reason)?;
        }
        Ok(())
    }

    /// Writes which change it was, and nothing that was said.
    fn note_refused(&self, entry: &Entry, reason: &str) -> Result<(), String> {
        let line = serde_json::json!({
            "tenant": entry.session.tenant,
            "session": entry.session.id,
            "revision": entry.revision,
            "reason": reason,
        });
        let kept = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.folder.join("rejected.log"))
            .and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
        kept.map_err(|error| format!("cannot set an entry aside: {error}"))?;
        self.numbers.rejected.fetch_add(1, Ordering::Relaxed);
        tracing::error!(
            session = entry.session.id,
            revision = entry.revision,
            reason,
            "the database refuses a change for good"
        );
        Ok(())
    }

    async fn roll(&self) {
        let Some(jobs) = self.jobs.upgrade() else {
            return;
        };
        let (done, rolled) = oneshot::channel();
        if jobs.send(Job::Roll(done)).await.is_ok() {
            let _ = rolled.await;
        }
    }
}

fn pause(failures: u32) -> Duration {
    AGAIN_FIRST
        .saturating_mul(1 << failures.min(10))
        .min(AGAIN_LONGEST)
}

/// Writes the parts of several tenants, a few at the same time: first those whose keys are open. Once whoever keeps the keys
/// has been waited for in vain, the others of this batch do not wait for him.
async fn write_all(sql: &Sql, mut parts: Vec<(String, Vec<Entry>)>, failures: u32) -> Vec<Written> {
    let needs_keeper = |(tenant, entries): &(String, Vec<Entry>)| {
        !sql.has_key(tenant) && entries.iter().any(Entry::is_sealed)
    };
    parts.sort_by_cached_key(needs_keeper);
    let (mut writing, mut done) = (JoinSet::new(), Vec::new());
    let mut silent = None;
    for part in parts {
        if writing.len() >= WRITERS {
            done.extend(writing.join_next().await.map(whole));
            silent = silent.or_else(|| done.last().and_then(silence));
        }
        if let Some(silence) = silent.clone().filter(|_| needs_keeper(&part)) {
            let (tenant, entries) = part;
            done.push((tenant, entries, Outcome::Keyless(silence)));
            continue;
        }
        let sql = sql.clone();
        writing.spawn(async move {
            let (tenant, entries) = part;
            let outcome = part::write(&sql, &tenant, &entries, failures).await;
            (tenant, entries, outcome)
        });
    }
    // not `join_all`: it goes down with a writer that does
    while let Some(written) = writing.join_next().await {
        done.push(whole(written));
    }
    done
}

/// What became of a part whose writer may have gone down.
fn whole(written: Result<Written, JoinError>) -> Written {
    written.unwrap_or_else(|error| {
        let outcome = Outcome::Failed(format!("a delivery broke off: {error}"));
        (String::new(), Vec::new(), outcome)
    })
}

fn silence((.., outcome): &Written) -> Option<KeyError> {
    match outcome {
        Outcome::Keyless(error @ KeyError::Silent(_)) => Some(error.clone()),
        _ => None,
    }
}
