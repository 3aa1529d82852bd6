//! Live sessions: who holds them, and what another gateway needs to go on with them.
//! Written by the gateway that holds a session, read by the one to which its client comes back.
//! Never keeps audio, and never lets a gateway write that does not hold the session any more.
//!
//! A session is a head (its settings), a state, its last [`ITEMS_MAX`] items and, once its client has gone, the events
//! that the client has not seen. All of it is text of the gateway's making, sealed in Redis where there are keys. Each
//! taking over counts the hold up by one; what an earlier hold writes is refused. So a gateway that was thought dead does no
//! harm when it wakes up.

mod memory;
mod redis;

use std::sync::Arc;

use chrono::{DateTime, Utc};

use self::memory::Memory;
use self::redis::Shared;
use super::link::{Away, Link};
use super::sealing::{Sealer, Sealing};
use crate::seal::KeyError;

/// Items kept of a session, the last ones (spec/platform R9.5).
pub const ITEMS_MAX: usize = 100;
/// A session that nobody writes to is forgotten after so long, in s (DESIGN §3.7).
pub const KEPT_S: i64 = 3600;
/// A holder that gives no sign of life for so long counts as dead, in s (DESIGN §3.7).
pub const ALIVE_S: i64 = 30;
/// Longest id that is looked for, in bytes.
const ID_MAX: usize = 128;

/// Why the live sessions cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionsError {
    /// Redis does not answer.
    #[error(transparent)]
    Away(#[from] Away),
    /// What is kept cannot be sealed or opened.
    #[error("cannot use the keys of live sessions: {0}")]
    Keys(#[from] KeyError),
    /// Others take it over faster than it can be read.
    #[error("a session is written anew again and again while it is taken over")]
    Contended,
}

/// A gateway's hold of a session: whoever has the highest number has it.
#[derive(Debug, Clone)]
pub struct Hold {
    /// Whose session.
    pub tenant: String,
    /// `sess_…`.
    pub id: String,
    /// 1 for the gateway that began it, one more for each that took it over.
    pub number: u64,
    /// What the session was written whole with.
    sealing: Option<Arc<Sealing>>,
}

impl Hold {
    /// The hold of the gateway that begins a session.
    pub fn first(tenant: impl Into<String>, id: impl Into<String>) -> Self {
        Self {
            tenant: tenant.into(),
            id: id.into(),
            number: 1,
            sealing: None,
        }
    }
}

/// An item, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveItem {
    /// `item_…`.
    pub id: String,
    /// Items are in the order of this number; below 2^53, either sign.
    pub position: i64,
    /// The item, as the gateway writes it.
    pub content: String,
}

/// What happened to a session; absent parts stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// What does not change often.
    pub head: Option<String>,
    /// What does.
    pub state: Option<String>,
    /// Items that are new or different.
    pub put: Vec<LiveItem>,
    /// Items that are gone.
    pub removed: Vec<String>,
    /// Its client has gone; these are the events that the client has not seen. Its holder has let go of it.
    pub parted: Option<String>,
}

/// Whether a holder's word counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It did.
    Done,
    /// Another gateway holds the session now.
    Lost,
    /// Nobody knows the session: Redis was restarted, or memory is full. It has to be written whole.
    Absent,
}

/// How a session is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    /// By a gateway that gave a sign of life within [`ALIVE_S`].
    Alive,
    /// By nobody: its client has gone.
    Parted,
    /// By a gateway that gives no sign of life.
    Silent,
}

/// Who holds a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// The session's project.
    pub project: String,
    /// The gateway.
    pub node: String,
    /// How.
    pub holding: Holding,
}

/// What is kept of a session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kept {
    /// What does not change often.
    pub head: String,
    /// What does.
    pub state: String,
    /// The last items, oldest first.
    pub items: Vec<LiveItem>,
    /// Events that the client has not seen; `None` where the last holder did not get to say.
    pub parted: Option<String>,
}

/// The live sessions; clones share them.
#[derive(Debug, Clone)]
pub enum Sessions {
    /// Of this process.
    Memory(Memory),
    /// Of all gateways.
    Redis(Shared),
}

impl Sessions {
    /// In this process, at most `limit_bytes` bytes of text together.
    pub fn memory(limit_bytes: usize) -> Self {
        Self::Memory(Memory::new(limit_bytes))
    }

    /// In Redis, sealed by `sealer`.
    pub(super) fn redis(link: Link, sealer: Sealer) -> Self {
        Self::Redis(Shared::new(link, sealer))
    }

    /// Writes a session of `project` whole for the gateway `node`: one that begins, was taken over, or is
    /// [`Heard::Absent`]. `now` is the time, here as below.
    ///
    /// # Errors
    /// [`SessionsError`].
    pub async fn begin(
        &self,
        hold: &mut Hold,
        (project, node): (&str, &str),
        kept: &Kept,
        now: DateTime<Utc>,
    ) -> Result<Heard, SessionsError> {
        match self {
            Self::Memory(memory) => Ok(memory.begin(hold, (project, node), kept, now.timestamp())),
            Self::Redis(shared) => shared.begin(hold, (project, node), kept).await,
        }
    }

    /// Writes what changed; a sign of life as well.
    ///
    /// # Errors
    /// [`SessionsError`].
    pub async fn write(
        &self,
        hold: &Hold,
        changes: &Changes,
        now: DateTime<Utc>,
    ) -> Result<Heard, SessionsError> {
        match self {
            Self::Memory(memory) => Ok(memory.write(hold, changes, now.timestamp())),
            Self::Redis(shared) => shared.write(hold, changes).await,
        }
    }

    /// A sign of life.
    ///
    /// # Errors
    /// [`SessionsError::Away`].
    pub async fn beat(&self, hold: &Hold, now: DateTime<Utc>) -> Result<Heard, SessionsError> {
        self.write(hold, &Changes::default(), now).await
    }

    /// Forgets a session that has come to its end.
    ///
    /// # Errors
    /// [`SessionsError::Away`].
    pub async fn end(&self, hold: &Hold) -> Result<(), SessionsError> {
        match self {
            Self::Memory(memory) => memory.end(hold),
            Self::Redis(shared) => shared.end(hold).await?,
        }
        Ok(())
    }

    /// Forgets every session of `tenant`, and says how many there were. A holder that lives on writes its own anew: call it
    /// again once the conversations have ended.
    ///
    /// # Errors
    /// [`SessionsError::Away`].
    pub async fn forget(&self, tenant: &str) -> Result<u64, SessionsError> {
        match self {
            Self::Memory(memory) => Ok(memory.forget(tenant)),
            Self::Redis(shared) => shared.forget(tenant).await,
        }
    }

    /// Who holds the session `id` of `tenant`; `None` when there is none.
    ///
    /// # Errors
    /// [`SessionsError::Away`].
    pub async fn find(
        &self,
        tenant: &str,
        id: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<Presence>, SessionsError> {
        if !is_id(id) {
            return Ok(None);
        }
        match self {
            Self::Memory(memory) => Ok(memory.find(tenant, id, now.timestamp())),
            Self::Redis(shared) => shared.find(tenant, id).await,
        }
    }

    /// Takes the session `id` of `tenant` and `project` over for `node`: from now on what its last holder writes is
    /// refused. `None` when there is none, or not in this project. The caller writes it whole next ([`Self::begin`]).
    /// One that cannot be opened here stays as it is.
    ///
    /// # Errors
    /// [`SessionsError`].
    pub async fn claim(
        &self,
        (tenant, project): (&str, &str),
        id: &str,
        node: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<(Hold, Kept)>, SessionsError> {
        if !is_id(id) {
            return Ok(None);
        }
        let hold = |number| Hold {
            number,
            ..Hold::first(tenant, id)
        };
        let claimed = match self {
            Self::Memory(memory) => memory.claim((tenant, project), id, node, now.timestamp()),
            Self::Redis(shared) => shared.claim((tenant, project), id, node).await?,
        };
        Ok(claimed.map(|(number, kept)| (hold(number), kept)))
    }

    /// Forgets what nobody has written to for long. Redis does so by itself.
    pub fn purge(&self, now: DateTime<Utc>) {
        if let Self::Memory(memory) = self {
            memory.purge(now.timestamp());
        }
    }
}

/// Whether a session can be called so: an id comes from whoever wants to go on.
fn is_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !id.is_empty() && id.len() <= ID_MAX && id.bytes().all(plain)
}
