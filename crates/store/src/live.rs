//! Short-lived state: in the memory of this process, or in Redis for all gateways of an installation.
//! Used by the gateway: client secrets by `auth`, the limiter before work is done, the health by `/ready`;
//! work for workers by the remote providers and the workers; live sessions and letters by whoever holds or continues one;
//! facts about keys by `auth`; chat rooms by their edge; codes and dialogues by the text survey.
//! Never grows without bound, and never reads a clock: time is an argument, or that of Redis.

pub mod facts;
pub mod leases;
pub mod limiter;
pub mod link;
pub mod post;
pub mod rooms;
mod sealing;
pub mod secrets;
pub mod sessions;
pub mod surveys;
pub mod work;

pub use facts::Facts;
pub use leases::Leases;
pub use limiter::Limiter;
pub use link::{AddressError, Health, Link};
pub use post::{Letters, Post};
pub use rooms::{RoomLimits, Rooms};
pub use secrets::{ClientSecret, Secrets};
pub use sessions::Sessions;
pub use surveys::Surveys;
pub use work::{Queue, WorkError, WorkKind, WorkLimits};

use self::sealing::Sealer;
use crate::seal::KeySource;

/// Session configurations kept for client secrets, in bytes of JSON: 100,000 ordinary ones of 600 bytes.
const CLIENT_SECRET_BYTES: usize = 64 * 1024 * 1024;
/// Text of live sessions kept in memory, in bytes: 1,000 long conversations, or 10,000 short ones.
const SESSION_BYTES: usize = 64 * 1024 * 1024;

/// Where short-lived state is, and how much of it there may be.
#[derive(Debug, Clone)]
pub struct LiveOptions {
    /// Address of Redis; this process's memory without one.
    pub redis_url: Option<String>,
    /// What keys in Redis begin with.
    pub namespace: String,
    /// Bounds the client secrets kept at the same time.
    pub max_client_secrets: usize,
    /// What this process gives of each limit while Redis is away, in per cent.
    pub share_percent: u64,
    /// What wraps the keys that seal live sessions and what is known of keys in Redis; plain without.
    pub keys: Option<KeySource>,
    /// How much of each chat room is kept.
    pub rooms: RoomLimits,
}

impl LiveOptions {
    /// State of this process alone.
    pub fn memory(max_client_secrets: usize) -> Self {
        Self {
            redis_url: None,
            namespace: "antiphon".to_owned(),
            max_client_secrets,
            share_percent: 100,
            keys: None,
            rooms: RoomLimits::default(),
        }
    }
}

/// Short-lived state; clones share it.
#[derive(Debug, Clone)]
pub struct Live {
    /// Ephemeral client secrets.
    pub secrets: Secrets,
    /// Who may have how much.
    pub limiter: Limiter,
    /// Live sessions.
    pub sessions: Sessions,
    /// Letters between gateways.
    pub post: Post,
    /// What was told in chat rooms.
    pub rooms: Rooms,
    /// How many conversations run.
    pub leases: Leases,
    /// What the database says of keys and tenants.
    pub facts: Facts,
    /// Codes and dialogues of the text survey, where there is a Redis.
    surveys: Option<surveys::Shared>,
    link: Option<Link>,
}

impl Live {
    /// Opens the state. A Redis that does not answer is sought in the background.
    ///
    /// # Errors
    /// [`AddressError`].
    pub async fn open(options: &LiveOptions) -> Result<Self, AddressError> {
        let limit = options.max_client_secrets;
        let Some(url) = &options.redis_url else {
            return Ok(Self {
                secrets: Secrets::memory(limit, CLIENT_SECRET_BYTES),
                limiter: Limiter::memory(),
                sessions: Sessions::memory(SESSION_BYTES),
                post: Post::none(),
                rooms: Rooms::memory(options.rooms),
                leases: Leases::memory(),
                facts: Facts::none(),
                surveys: None,
                link: None,
            });
        };
        let link = Link::open(url, &options.namespace).await?;
        let sealer = Sealer::new(options.keys.clone());
        Ok(Self {
            secrets: Secrets::redis(link.clone(), limit, CLIENT_SECRET_BYTES),
            limiter: Limiter::redis(link.clone(), options.share_percent),
            sessions: Sessions::redis(link.clone(), sealer.clone()),
            post: Post::redis(link.clone()),
            rooms: Rooms::redis(link.clone(), options.rooms),
            leases: Leases::redis(link.clone(), options.share_percent),
            facts: Facts::redis(link.clone(), sealer.clone()),
            surveys: Some(surveys::Shared::new(link.clone(), sealer)),
            link: Some(link),
        })
    }

    /// The connection to Redis, where there is one.
    pub fn link(&self) -> Option<&Link> {
        self.link.as_ref()
    }
}
