//! PostgreSQL: a bounded pool whose every transaction says whose rows it may see.
//! Opened by [`super::Sql::open`]; the modules of the tables come here through `work!`.
//! Never waits without a limit, and never shows a password.

mod schema;

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool, Postgres, Transaction};
use tokio::time::timeout;

use super::settings::{Settings, check_address};
use super::{Access, Scope};
use crate::StoreError;

/// How long `/ready` waits: who asks it gives up soon.
const PING_WITHIN: Duration = Duration::from_secs(2);

/// What the network may add before a server that has not answered is given up.
const GRACE: Duration = Duration::from_secs(1);

/// What the server shows of our connections, unless the address names something else.
const APPLICATION: &str = "antiphon";

/// Any number that nothing else locks: diallers claim one after the other, so that a carrier's pace is kept exactly.
const DIALLER_LOCK: i64 = 0x616e_7469_6469_616c;

/// A server and our connections to it.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pool: PgPool,
    /// Host, port and database, for messages.
    name: Arc<str>,
    acquire_within: Duration,
    statement_within: Duration,
}

impl Server {
    /// Connects, brings the tables up to date and makes sure that row-level security holds for us.
    pub(super) async fn open(settings: &Settings) -> Result<Self, StoreError> {
        let address = Address::parse(&settings.url, settings.statement_within)?;
        let mut connection = address.connect(settings.acquire_within).await?;
        let owner = match &settings.owner_url {
            Some(url) => {
                let owner = Address::parse(url, settings.statement_within)?;
                Some(owner.connect(settings.acquire_within).await?)
            }
            None => None,
        };
        schema::prepare(&mut connection, owner).await?;
        // it has done its work; a failed farewell changes nothing
        let _ = connection.close().await;
        let (acquire_within, statement_within) =
            (settings.acquire_within, settings.statement_within);
        let pool = PgPoolOptions::new()
            .max_connections(settings.max_connections)
            .acquire_timeout(acquire_within)
            .after_release(move |connection, _| {
                Box::pin(async move {
                    // a caller who gave up has left an answer on the way; one that never comes must not keep the
                    // connection out of the pool until the system gives up, a quarter of an hour later
                    let answered = timeout(statement_within, connection.ping()).await;
                    answered
                        .map_err(|_| sqlx::Error::PoolTimedOut)?
                        .map(|()| true)
                })
            })
            .connect_lazy_with(address.options);
        Ok(Self {
            pool,
            name: address.name,
            acquire_within,
            statement_within,
        })
    }

    /// A transaction that sees what `scope` names. READ COMMITTED whatever the server's default is: what is read under
    /// a lock must be what its last holder wrote.
    pub(super) async fn begin(
        &self,
        access: Access,
        scope: Scope<'_>,
    ) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        let begin = match access {
            Access::Read => "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY",
            Access::Write => "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
        };
        let mut transaction = self.pool.begin_with(begin).await?;
        let set = match scope {
            Scope::Installation => return Ok(transaction),
            Scope::Tenant(tenant) => {
                sqlx::query("SELECT set_config('antiphon.tenant', $1, true)").bind(tenant)
            }
            Scope::Operator(tenant) => sqlx::query(
                "SELECT set_config('antiphon.operator', 'on', true), \
                 set_config('antiphon.tenant', $1, true)",
            )
            .bind(tenant.unwrap_or_default()),
            Scope::Maintenance => {
                sqlx::query("SELECT set_config('antiphon.maintenance', 'on', true)")
            }
            Scope::Outbox => sqlx::query("SELECT set_config('antiphon.outbox', 'on', true)"),
            Scope::Dialler => sqlx::query(
                "SELECT set_config('antiphon.dialler', 'on', true), pg_advisory_xact_lock($1)",
            )
            .bind(DIALLER_LOCK),
            Scope::Alone(tenant, name) => sqlx::query(
                "SELECT set_config('antiphon.tenant', $1, true), \
                 pg_advisory_xact_lock(hashtextextended('alone ' || $1 || ' ' || $2, 0))",
            )
            .bind(tenant)
            .bind(name),
            Scope::Line(number) => {
                sqlx::query("SELECT set_config('antiphon.line', $1, true)").bind(number)
            }
            Scope::Key(id) => sqlx::query("SELECT set_config('antiphon.key', $1, true)").bind(id),
            Scope::Project(place) => sqlx::query(
                "SELECT set_config('antiphon.tenant', $1, true), \
                 pg_advisory_xact_lock(hashtextextended($1 || ' ' || $2, 0))",
            )
            .bind(place.tenant)
            .bind(place.project),
        };
        set.execute(&mut *transaction).await?;
        Ok(transaction)
    }

    /// Does `work`, which ends in time or is given up.
    pub(super) async fn within<T>(
        &self,
        action: &'static str,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, StoreError> {
        // the server ends a slow statement itself; this is for a server that is gone without a word
        let limit = self.acquire_within + self.statement_within + GRACE;
        match timeout(limit, work).await {
            Ok(done) => done.map_err(|error| match lost(&error) {
                Some(reason) => self.unreachable(reason),
                None => StoreError::Query {
                    action,
                    source: error,
                },
            }),
            Err(_) => Err(self.unreachable(silence(limit))),
        }
    }

    /// Asks for an answer.
    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        let ping = sqlx::query("SELECT 1").execute(&self.pool);
        let ping = self.within("reach the database", ping);
        let answered = timeout(PING_WITHIN, ping).await;
        answered
            .map_err(|_| self.unreachable(silence(PING_WITHIN)))?
            .map(drop)
    }

    /// Version, place and role.
    pub(super) async fn describe(&self) -> Result<String, StoreError> {
        let asked = sqlx::query_as("SELECT current_setting('server_version'), current_user::text")
            .fetch_one(&self.pool);
        let (version, role): (String, String) = self.within("reach the database", asked).await?;
        Ok(format!("PostgreSQL {version} at {} as {role}", self.name))
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    fn unreachable(&self, reason: String) -> StoreError {
        StoreError::Unreachable {
            server: self.name.to_string(),
            reason,
        }
    }
}

/// Where a server is, with everything a connection starts with.
struct Address {
    options: PgConnectOptions,
    name: Arc<str>,
}

impl Address {
    fn parse(url: &str, statement_within: Duration) -> Result<Self, StoreError> {
        check_address(url).map_err(StoreError::Address)?;
        let mut options = PgConnectOptions::from_str(url)
            .map_err(|_| StoreError::Address("an address that the driver can read"))?;
        if options.get_application_name().is_none() {
            options = options.application_name(APPLICATION);
        }
        let limit = statement_within.as_millis();
        let options = options.options([
            ("statement_timeout", limit.to_string()),
            // a caller who stopped in the middle keeps nobody waiting for his locks
            ("idle_in_transaction_session_timeout", limit.to_string()),
            ("client_min_messages", "warning".to_owned()),
        ]);
        let host = options.get_socket().map_or_else(
            || options.get_host().to_owned(),
            |socket| socket.display().to_string(),
        );
        let name = format!(
            "{host}:{}, database {}",
            options.get_port(),
            options.get_database().unwrap_or(options.get_username())
        );
        Ok(Self {
            options,
            name: name.into(),
        })
    }

    /// One connection, outside the pool, which would keep the reason of a failure to itself.
    async fn connect(&self, within: Duration) -> Result<PgConnection, StoreError> {
        let reason = match timeout(within, PgConnection::connect_with(&self.options)).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => lost(&error).unwrap_or_else(|| said(&error)),
            Err(_) => silence(within),
        };
        Err(StoreError::Unreachable {
            server: self.name.to_string(),
            reason,
        })
    }
}

fn silence(limit: Duration) -> String {
    format!("no answer within {} ms", limit.as_millis())
}

/// Why there is no connection, if that is what `error` says. What a statement did wrong is no such reason.
fn lost(error: &sqlx::Error) -> Option<String> {
    match error {
        sqlx::Error::Io(error) => Some(error.to_string()),
        sqlx::Error::Tls(error) => Some(format!("TLS: {error}")),
        sqlx::Error::PoolTimedOut => Some("no connection in time".to_owned()),
        sqlx::Error::PoolClosed => Some("this server has closed its connections".to_owned()),
        sqlx::Error::Database(said) => {
            let code = said.code().unwrap_or_default();
            // refused, wrong password, too many connections, shutting down or starting up
            let lost = ["08", "28", "53300", "57P"];
            lost.iter()
                .any(|class| code.starts_with(class))
                .then(|| said.message().to_owned())
        }
        _ => None,
    }
}

fn said(error: &sqlx::Error) -> String {
    error
        .as_database_error()
        .map_or_else(|| error.to_string(), |error| error.message().to_owned())
}
