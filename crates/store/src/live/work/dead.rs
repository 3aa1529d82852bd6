//! Dead letters: jobs that nobody could do, kept for seven days so that somebody can look at them.
//! Used by `antiphon dlq`.
//! Never shows what was said in a job: only who asked, when, and why it failed.

use std::sync::LazyLock;

use super::{Queue, WorkError, number, script, text};
use crate::live::link::{Away, Script};

static LETTERS: LazyLock<Script> = script!("letters");
static REOPEN: LazyLock<Script> = script!("reopen");
static DROP: LazyLock<Script> = script!("drop");

/// A job that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Its place among the dead letters; begins with the Unix time in ms.
    pub id: String,
    /// The job.
    pub job: String,
    /// Whose session.
    pub tenant: String,
    /// The session.
    pub session: String,
    /// What it belonged to within it.
    pub correlation: String,
    /// Why the last try failed.
    pub reason: String,
    /// How often it was tried.
    pub tries: String,
    /// Whether it can be tried again: what it was asked and told is still there.
    pub kept: bool,
}

impl Queue {
    /// The newest dead letters, at most `count`.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn letters(&self, count: u32) -> Result<Vec<Letter>, Away> {
        let found: Vec<Vec<String>> = self.run(&LETTERS, &[number(count)]).await?;
        let letters = found.into_iter().filter_map(|fields| {
            let mut fields = fields.into_iter();
            let mut next = || fields.next();
            Some(Letter {
                id: next()?,
                job: next()?,
                tenant: next()?,
                session: next()?,
                correlation: next()?,
                reason: next()?,
                tries: next()?,
                kept: next()? == "1",
            })
        });
        Ok(letters.collect())
    }

    /// Queues the job of letter `id` again; its answers go to `listener`. The letter stays until it is dropped. The job.
    ///
    /// # Errors
    /// [`WorkError::Gone`] when there is no such letter, or not all that the job was told, [`WorkError::Away`].
    pub async fn reopen(&self, id: &str, listener: &str) -> Result<String, WorkError> {
        let arguments = [text(id), text(listener), number(self.limits().job_ms)];
        let job: String = self.run(&REOPEN, &arguments).await?;
        match job.as_str() {
            "" | "-" => Err(WorkError::Gone),
            _ => Ok(job),
        }
    }

    /// Throws letter `id` away; whether there was one.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn drop_letter(&self, id: &str) -> Result<bool, Away> {
        let dropped: i64 = self.run(&DROP, &[text(id)]).await?;
        Ok(dropped != 0)
    }
}
