//! From the journal into the database, in order, again and again until it is there.
//! Run by the gateway as one task for the life of the process.
//! Never gives an entry up because the database is away; one that it refuses for good is set aside and counted.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::reader::{Batch, ReadError, Reader};
use super::{Job, Numbers};
use crate::sql::items::Entry;
use crate::{Sql, StoreError};

/// Between two attempts: the first, and the longest.
const AGAIN_FIRST: Duration = Duration::from_millis(100);
const AGAIN_LONGEST: Duration = Duration::from_secs(5);
/// Attempts before a refusal counts as one for good.
const TRIES: u32 = 3;

/// Brings the journal to the database.
#[derive(Debug)]
pub struct Delivery {
    reader: Reader,
    jobs: mpsc::WeakSender<Job>,
    numbers: Arc<Numbers>,
    folder: PathBuf,
}

impl Delivery {
    pub(super) const fn new(
        reader: Reader,
        jobs: mpsc::WeakSender<Job>,
        numbers: Arc<Numbers>,
        folder: PathBuf,
    ) -> Self {
        Self {
            reader,
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

    /// Delivers one batch; false when there is none.
    async fn step(&mut self, sql: &Sql, failures: u32) -> Result<bool, String> {
        let next = match self.reader.next().await {
            Err(ReadError::Damaged) => {
                self.roll().await;
                self.reader.next().await
            }
            next => next,
        };
        let next = next.map_err(|error| error.to_string())?;
        let Some(batch) = next else {
            return Ok(false);
        };
        if let Err(reason) = self.deliver(sql, &batch, failures).await {
            self.reader.not_done(&batch);
            return Err(reason);
        }
        let noted = self.reader.done(&batch).await;
        noted.map_err(|error| format!("cannot note what is delivered: {error}"))?;
        Ok(true)
    }

    async fn deliver(&self, sql: &Sql, batch: &Batch, failures: u32) -> Result<(), String> {
        let mut tenants: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
        for entry in &batch.entries {
            let of_tenant = tenants.entry(&entry.session.tenant).or_default();
            of_tenant.push(entry);
        }
        for (tenant, entries) in tenants {
            match sql.write_changes(tenant, &entries).await {
                Ok(()) => {}
                Err(error) if failures >= TRIES && is_refusal(&error) => {
                    self.one_by_one(sql, tenant, &entries).await?;
                }
                Err(error) => return Err(told(&error)),
            }
        }
        Ok(())
    }

    /// Finds the entries that the database refuses and sets them aside, so that the others arrive.
    async fn one_by_one(&self, sql: &Sql, tenant: &str, entries: &[&Entry]) -> Result<(), String> {
        for entry in entries {
            match sql.write_changes(tenant, &[entry]).await {
                Ok(()) => {}
                Err(error) if is_refusal(&error) => self.set_aside(entry, &told(&error))?,
                Err(error) => return Err(told(&error)),
            }
        }
        Ok(())
    }

    /// Writes which change it was, and nothing that was said.
    fn set_aside(&self, entry: &Entry, reason: &str) -> Result<(), String> {
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

/// Whether the database understood and will refuse the same again.
fn is_refusal(error: &StoreError) -> bool {
    let StoreError::Query { source, .. } = error else {
        return false;
    };
    match source.as_database_error() {
        // of PostgreSQL: data that does not fit, a rule that it breaks. SQLite's codes are numbers: 19 is a broken rule
        Some(said) => said.code().is_some_and(|code| {
            code.starts_with("22") && code.len() == 5
                || code.starts_with("23") && code.len() == 5
                || code.parse::<u32>().is_ok_and(|code| code & 0xff == 19)
        }),
        None => matches!(source, sqlx::Error::Encode(_)),
    }
}

fn told(error: &StoreError) -> String {
    use std::error::Error as _;
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text
}
