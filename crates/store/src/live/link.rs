//! The connection to Redis: one server, Sentinel or Cluster, which nobody else has to know.
//! Used by the limiter, the client secrets and the work for workers; opened by [`super::Live`].
//! Never waits for a Redis that is known to be away, never sends anything twice, never shows the address.
//!
//! The client library could reconnect and retry by itself. It may not: a `take` whose answer was lost may have been
//! carried out, and asking again would count it twice. So the first failure puts the connection aside, everybody is
//! told [`Away`] at once, and one task seeks Redis until it takes writes again.

mod address;
mod waiting;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::SentinelClient;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, FromRedisValue, RedisResult, ToRedisArgs,
    cmd,
};
use tokio::sync::Mutex as AsyncMutex;

pub use self::address::AddressError;
use self::address::Target;
pub(super) use self::waiting::{BLOCK_MS, Waiting};

/// Hash tag of the limits: all of them in one slot, so that one script decides on several.
pub(super) const LIMITS: &str = "limits";
/// Hash tag of the client secrets: what they take together is counted beside them.
pub(super) const SECRETS: &str = "secrets";

/// Hash tags of the work for workers: one queue and all its jobs in one slot, so that a job is answered in one step.
pub(super) const WORK: [&str; 3] = ["work:stt", "work:tts", "work:llm"];

/// A server that answers does so in a fraction of this; a caller waits no longer before a local decision.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);
/// Time to open a connection, or to ask Sentinel where.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// Longest search for a connection: several sentinels or nodes may have to be tried.
const SEEK_WITHIN: Duration = Duration::from_secs(4);
/// Commands on their way at the same time, per connection.
const CONCURRENCY: usize = 4096;
/// Between two attempts to find Redis again: the first, and the longest.
const SEEK_FIRST: Duration = Duration::from_millis(50);
const SEEK_LONGEST: Duration = Duration::from_secs(1);

/// Redis does not answer, or not in time; what was asked may or may not have been done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("redis does not answer")]
pub struct Away;

/// How the connection is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Redis answers.
    Here,
    /// It does not; the text says what went wrong, without its address.
    Away(Arc<str>),
}

/// A script that runs inside Redis as one step.
#[derive(Debug)]
pub(super) struct Script {
    code: &'static str,
    hash: String,
}

impl Script {
    pub(super) fn new(code: &'static str) -> Self {
        let hash = redis::Script::new(code).get_hash().to_owned();
        Self { code, hash }
    }

    fn call<A: ToRedisArgs>(&self, verb: &str, keys: &[String], arguments: &[A]) -> Cmd {
        let mut call = cmd(verb);
        call.arg(if verb == "EVAL" {
            self.code
        } else {
            &self.hash
        });
        call.arg(keys.len()).arg(keys);
        for argument in arguments {
            call.arg(argument);
        }
        call
    }
}

#[derive(Clone)]
enum Connection {
    Node(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    async fn send<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        match self {
            Self::Node(connection) => command.query_async(connection).await,
            Self::Cluster(connection) => command.query_async(connection).await,
        }
    }

    /// Runs a script by its hash, and by its text on a server that does not know it yet.
    async fn run<T: FromRedisValue, A: ToRedisArgs>(
        &mut self,
        script: &Script,
        keys: &[String],
        arguments: &[A],
    ) -> RedisResult<T> {
        match self.send(&script.call("EVALSHA", keys, arguments)).await {
            // a server that does not know the script has done nothing
            Err(error) if error.code() == Some("NOSCRIPT") => {
                self.send(&script.call("EVAL", keys, arguments)).await
            }
            answer => answer,
        }
    }
}

/// How a connection is made.
enum Way {
    Node(Box<Client>),
    Sentinel(Box<AsyncMutex<SentinelClient>>),
    /// With its nodes as they are configured, for those who talk to one of them.
    Cluster(Box<ClusterClient>, Vec<ConnectionInfo>),
}

impl Way {
    fn new(target: Target) -> RedisResult<Self> {
        Ok(match target {
            Target::Node(info) => Self::Node(Box::new(Client::open(*info)?)),
            Target::Sentinel(sentinel) => {
                Self::Sentinel(Box::new(AsyncMutex::new(sentinel.open()?)))
            }
            Target::Cluster(nodes) => {
                let builder = ClusterClient::builder(nodes.clone())
                    .retries(1)
                    .connection_timeout(CONNECT_WITHIN)
                    .response_timeout(ANSWER_WITHIN)
                    // of all attempts at one command, also of those that wait
                    .overall_response_timeout(Some(SEEK_WITHIN))
                    .connection_concurrency_limit(CONCURRENCY);
                Self::Cluster(Box::new(builder.build()?), nodes)
            }
        })
    }

    async fn connect(&self) -> RedisResult<Connection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_WITHIN))
            .set_response_timeout(Some(ANSWER_WITHIN))
            .set_concurrency_limit(CONCURRENCY);
        Ok(match self {
            Self::Node(client) => Connection::Node(
                client
                    .get_multiplexed_async_connection_with_config(&config)
                    .await?,
            ),
            Self::Sentinel(client) => {
                let mut client = client.lock().await;
                Connection::Node(client.get_async_connection_with_config(&config).await?)
            }
            Self::Cluster(client, _) => Connection::Cluster(client.get_async_connection().await?),
        })
    }
}

enum State {
    Here {
        connection: Connection,
        /// Tells this connection from those before it, whose failures come late.
        number: u64,
    },
    Away(Arc<str>),
}

struct Inner {
    way: Way,
    namespace: String,
    state: Mutex<State>,
}

/// The connection of one process; clones share it.
#[derive(Clone)]
pub struct Link {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Link").field(&self.health()).finish()
    }
}

impl Link {
    /// Connects to the Redis at `url` (`redis://`, `rediss://`, `redis+sentinel://HOST:PORT,…/SERVICE`,
    /// `redis+cluster://HOST:PORT,…`); keys begin with `{namespace`. If it does not answer, it is sought in the background.
    ///
    /// # Errors
    /// [`AddressError`] when `url` is none.
    pub async fn open(url: &str, namespace: &str) -> Result<Self, AddressError> {
        let way = Way::new(url.parse()?).map_err(|_| AddressError::Unusable)?;
        let inner = Inner {
            way,
            namespace: namespace.to_owned(),
            state: Mutex::new(State::Away("not connected yet".into())),
        };
        let link = Self {
            inner: Arc::new(inner),
        };
        if let Err(reason) = link.inner.find(0).await {
            link.inner.lose(&reason);
            tokio::spawn(seek(Arc::downgrade(&link.inner), 1));
        }
        Ok(link)
    }

    /// Whether `url` is an address that [`Self::open`] takes; opens nothing.
    ///
    /// # Errors
    /// [`AddressError`] when it is none.
    pub fn check(url: &str) -> Result<(), AddressError> {
        url.parse::<Target>().map(drop)
    }

    /// Whether Redis answered the last time it was asked.
    pub fn health(&self) -> Health {
        match &*self.inner.lock() {
            State::Here { .. } => Health::Here,
            State::Away(reason) => Health::Away(Arc::clone(reason)),
        }
    }

    /// Asks Redis for a sign of life.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn ping(&self) -> Result<(), Away> {
        let (mut connection, number) = self.connection()?;
        let sign: RedisResult<String> = connection.send(&cmd("PING")).await;
        sign.map(drop).map_err(|error| self.lost(number, &error))
    }

    /// The full name of `key` in the slot of `tag`.
    pub(super) fn key(&self, tag: &str, key: &str) -> String {
        format!("{{{}:{tag}}}:{key}", self.inner.namespace)
    }

    /// Runs `script` on `keys`, which are all of one slot.
    pub(super) async fn run<T: FromRedisValue, A: ToRedisArgs>(
        &self,
        script: &Script,
        keys: &[String],
        arguments: &[A],
    ) -> Result<T, Away> {
        let (mut connection, number) = self.connection()?;
        // the library bounds one attempt; on a cluster it follows redirections, each of which is another
        let answer = tokio::time::timeout(
            ANSWER_WITHIN * 2,
            Box::pin(connection.run(script, keys, arguments)),
        );
        match answer.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.lost(number, &error)),
            Err(late) => Err(self.lost(number, &late)),
        }
    }

    fn connection(&self) -> Result<(Connection, u64), Away> {
        match &*self.inner.lock() {
            State::Here { connection, number } => Ok((connection.clone(), *number)),
            State::Away(_) => Err(Away),
        }
    }

    /// Puts connection `number` aside, unless another has taken its place, and begins to seek.
    fn lost(&self, number: u64, error: &dyn std::fmt::Display) -> Away {
        let reason = error.to_string();
        let ours = matches!(&*self.inner.lock(), State::Here { number: n, .. } if *n == number);
        if ours && self.inner.lose(&reason) {
            tokio::spawn(seek(Arc::downgrade(&self.inner), number + 1));
        }
        Away
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that Redis is away; says whether that is news.
    fn lose(&self, reason: &str) -> bool {
        let mut state = self.lock();
        let news = matches!(*state, State::Here { .. });
        if news {
            tracing::warn!(
                reason,
                "redis does not answer: limits are kept by this process, client secrets and workers do not work"
            );
        }
        *state = State::Away(reason.into());
        news
    }

    /// Connects, and makes sure that what is at the other end takes writes in the slots we use.
    async fn find(&self, number: u64) -> Result<(), String> {
        let found = async {
            let mut connection = self.way.connect().await?;
            for tag in [LIMITS, SECRETS].into_iter().chain(WORK) {
                let key = format!("{{{}:{tag}}}:seek", self.namespace);
                let mut mark = cmd("SET");
                mark.arg(key).arg(1).arg("PX").arg(1000);
                connection.send::<()>(&mark).await?;
            }
            RedisResult::Ok(connection)
        };
        let found = tokio::time::timeout(SEEK_WITHIN, Box::pin(found)).await;
        let connection = found
            .map_err(|late| late.to_string())?
            .map_err(|error| error.to_string())?;
        *self.lock() = State::Here { connection, number };
        tracing::info!("redis answers");
        Ok(())
    }
}

/// Tries to find Redis again until it is there or nobody is interested any more.
async fn seek(inner: Weak<Inner>, number: u64) {
    let mut pause = SEEK_FIRST;
    loop {
        tokio::time::sleep(pause).await;
        let Some(inner) = inner.upgrade() else {
            return;
        };
        match inner.find(number).await {
            Ok(()) => return,
            Err(reason) => inner.lose(&reason),
        };
        pause = (pause * 2).min(SEEK_LONGEST);
    }
}
