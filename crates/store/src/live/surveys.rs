//! What the text survey knows for minutes: codes that were mailed, and dialogues whose clients may come back.
//! Used by `gateway::survey`; in Redis for all gateways of an installation, in the database where there is none, so that
//! a restart loses nothing in either case.
//! Never holds a code or an address in the open, and never lets a code be tried more often than its attempts.

mod redis;

use chrono::{DateTime, Utc};

pub(super) use self::redis::Shared;
use super::Live;
use crate::sql::Sql;
use crate::{StoreError, hex};

/// A code that was mailed, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewCode {
    /// Print of the mailbox.
    pub(crate) mailbox: String,
    /// Print of the code and the mailbox.
    pub(crate) code: String,
    /// Until when it counts.
    pub(crate) expires_at: DateTime<Utc>,
}

/// The last code that was mailed to a mailbox and still counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mailed {
    /// When it was mailed.
    pub created_at: DateTime<Utc>,
    /// Until when it counts.
    pub expires_at: DateTime<Utc>,
}

/// Whether a code was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// It was, and counts no more.
    Right,
    /// It was not; some code of the mailbox may be tried so often.
    Wrong {
        /// At least once.
        left: u32,
    },
    /// It was not, and none of the mailbox counts any more.
    Burned,
    /// None counts.
    None,
}

/// A dialogue whose client has come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Who has the highest may write.
    pub version: i64,
    /// The dialogue as JSON: personal.
    pub content: String,
}

/// Where a code was sent to, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent<'a> {
    /// The mailbox, in one spelling.
    pub mailbox: &'a str,
    /// The code.
    pub code: &'a str,
}

/// A dialogue that is kept, by whoever holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    id: String,
    version: i64,
}

/// Codes and dialogues of one tenant's surveys; clones share them.
#[derive(Debug, Clone)]
pub struct Surveys {
    sql: Sql,
    shared: Option<Shared>,
}

impl Surveys {
    /// In the Redis of `live`, else in the database.
    pub fn new(sql: Sql, live: &Live) -> Self {
        Self {
            sql,
            shared: live.surveys.clone(),
        }
    }

    /// Keeps a code until `expires_at`. Of those of a mailbox the last three count.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_code(
        &self,
        tenant: &str,
        sent: Sent<'_>,
        (now, expires_at): (DateTime<Utc>, DateTime<Utc>),
    ) -> Result<(), StoreError> {
        let (mailbox, code) = self.prints(sent).await?;
        let new = NewCode {
            mailbox,
            code,
            expires_at,
        };
        match &self.shared {
            Some(shared) => shared.put_code(tenant, &new, now).await,
            None => self.sql.put_survey_code(tenant, &new, now).await,
        }
    }

    /// The last code of a mailbox that still counts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn find_code(
        &self,
        tenant: &str,
        mailbox: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<Mailed>, StoreError> {
        let mailbox = self.mailbox(mailbox).await?;
        match &self.shared {
            Some(shared) => shared.find_code(tenant, &mailbox, now).await,
            None => self.sql.find_survey_code(tenant, &mailbox, now).await,
        }
    }

    /// Tries a code. A wrong one counts against every code of the mailbox; after `attempts` wrong ones a code counts no more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn check_code(
        &self,
        tenant: &str,
        sent: Sent<'_>,
        attempts: u32,
        now: DateTime<Utc>,
    ) -> Result<Checked, StoreError> {
        let (mailbox, code) = self.prints(sent).await?;
        let guess = (&*mailbox, &*code);
        match &self.shared {
            Some(shared) => shared.check_code(tenant, guess, attempts, now).await,
            None => {
                self.sql
                    .check_survey_code(tenant, guess, attempts, now)
                    .await
            }
        }
    }

    /// Forgets a code that could not be mailed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn withdraw_code(&self, tenant: &str, sent: Sent<'_>) -> Result<(), StoreError> {
        let (mailbox, code) = self.prints(sent).await?;
        match &self.shared {
            Some(shared) => shared.withdraw_code(tenant, (&mailbox, &code)).await,
            None => {
                self.sql
                    .withdraw_survey_code(tenant, (&mailbox, &code))
                    .await
            }
        }
    }

    /// The hold of a dialogue that begins, whose client has `secret` to come back with.
    pub fn begin(&self, secret: &str) -> Held {
        Held {
            id: digest(secret),
            version: 1,
        }
    }

    /// Keeps where a dialogue stands until `expires_at`; false when its client has come back elsewhere.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep(
        &self,
        tenant: &str,
        held: &Held,
        content: &str,
        times: (DateTime<Utc>, DateTime<Utc>),
    ) -> Result<bool, StoreError> {
        match &self.shared {
            Some(shared) => {
                let (now, expires_at) = times;
                let ttl_ms = (expires_at - now).num_milliseconds();
                shared
                    .keep(tenant, (&held.id, held.version), content, ttl_ms)
                    .await
            }
            None => {
                self.sql
                    .keep_survey_dialogue(tenant, (&held.id, held.version), content, times)
                    .await
            }
        }
    }

    /// Takes the dialogue over whose client shows `secret`, from whoever has it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take(
        &self,
        tenant: &str,
        secret: &str,
        times: (DateTime<Utc>, DateTime<Utc>),
    ) -> Result<Option<(Held, Progress)>, StoreError> {
        let id = digest(secret);
        let taken = match &self.shared {
            Some(shared) => {
                let (now, expires_at) = times;
                let ttl_ms = (expires_at - now).num_milliseconds();
                shared.take(tenant, &id, ttl_ms).await?
            }
            None => self.sql.take_survey_dialogue(tenant, &id, times).await?,
        };
        Ok(taken.map(|progress| {
            let version = progress.version;
            (Held { id, version }, progress)
        }))
    }

    /// Forgets a dialogue that is over, unless its client has come back elsewhere.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget(&self, tenant: &str, held: &Held) -> Result<(), StoreError> {
        match &self.shared {
            Some(shared) => shared.forget(tenant, (&held.id, held.version)).await,
            None => {
                self.sql
                    .forget_survey_dialogue(tenant, &held.id, held.version)
                    .await
            }
        }
    }

    async fn mailbox(&self, mailbox: &str) -> Result<String, StoreError> {
        self.sql.print(&format!("mailbox:{mailbox}")).await
    }

    async fn prints(&self, sent: Sent<'_>) -> Result<(String, String), StoreError> {
        let code = format!("code:{}:{}", sent.mailbox, sent.code);
        Ok((
            self.mailbox(sent.mailbox).await?,
            self.sql.print(&code).await?,
        ))
    }
}

/// What is kept is found by the SHA-256 of the secret, as client secrets are.
fn digest(secret: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, secret.as_bytes());
    hex(digest.as_ref())
}
