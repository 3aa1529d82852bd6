//! Telephone calls as the server knows them: which run here, what is told of each, how each ends once.
//! Used by the telephone edge, by whoever dials, by the REST routes and by the sweep.
//! Never touches a socket and never decides what is said in a call.
//!
//! | question | answer |
//! |---|---|
//! | which calls run on this server, and how is one told to end? | [`live`] |
//! | what becomes of a carrier's report about a call? | [`progress`] |
//! | how is what happens in a call written down, and dealt with once? | [`book`] |
//! | what is kept sealed of a call? | [`details`] |
//! | how is a caller passed on? | [`transfer`] |
//! | how does the carrier's side of a call end? | [`leg`] |
//! | how many watch calls? | [`watchers`] |

pub mod book;
pub mod details;
pub mod leg;
pub mod live;
pub mod progress;
pub mod transfer;
pub mod watchers;

use aws_lc_rs::hmac;
use store::Sql;

pub use book::{Book, Ending, Entry};
pub use details::Details;
pub use live::{LiveCalls, Order, Place, Refusal};

use crate::auth::AuthError;

/// Name of the key that binds media streams to calls, among the installation's values.
const TOKEN_VALUE: &str = "call_token";

/// Which call, and which attempt at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallKey {
    /// Whose it is.
    pub tenant: String,
    /// Names it among the tenant's.
    pub id: String,
    /// The attempt, from 1.
    pub attempt: i64,
}

impl CallKey {
    /// As the store wants it.
    pub fn named(&self) -> (&str, &str) {
        (&self.tenant, &self.id)
    }

    /// The same, with the attempt.
    pub fn at_attempt(&self) -> (&str, &str, i64) {
        (&self.tenant, &self.id, self.attempt)
    }

    /// The attempt as the engine counts it.
    pub fn engine_attempt(&self) -> u32 {
        u32::try_from(self.attempt).unwrap_or(1)
    }
}

/// The telephone of one server.
#[derive(Debug)]
pub struct Phone {
    /// Calls running here.
    pub live: LiveCalls,
    /// Makes and checks the tokens that bind a stream to its call; the same on all servers of an installation.
    pub token_key: hmac::Key,
    /// Who watches calls.
    pub watchers: watchers::Watchers,
}

impl Phone {
    /// At most `limit` calls at once.
    ///
    /// # Errors
    /// [`AuthError::Store`], or [`AuthError::Hashing`] when the system gives no randomness.
    pub async fn open(sql: &Sql, limit: usize) -> Result<Self, AuthError> {
        let mut fresh = [0; 32];
        aws_lc_rs::rand::fill(&mut fresh).map_err(|_| AuthError::Hashing)?;
        let key = sql.installation_value(TOKEN_VALUE, &fresh).await?;
        Ok(Self {
            live: LiveCalls::new(limit),
            token_key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            watchers: watchers::Watchers::default(),
        })
    }
}
