//! The tables of PostgreSQL and the role that works on them, looked at once at every start.
//! Called by [`super::Server::open`].
//! Never lets a role in for which row-level security does not count.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Connection as _, PgConnection};

use crate::StoreError;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// What the application role may do.
const GRANTS: &str = include_str!("grants.sql");

/// Any number that nothing else locks: processes that start together grant one after the other.
const GRANT_LOCK: i64 = 0x616e_7469_7068_6f6e;

/// Makes sure that `application` connects as a role that row-level security binds and that the tables are up to date.
/// They are changed by `owner`, or else by the application itself where it may.
pub(super) async fn prepare(
    application: &mut PgConnection,
    owner: Option<PgConnection>,
) -> Result<(), StoreError> {
    let (role, unbound): (String, bool) = sqlx::query_as(
        "SELECT rolname::text, rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user",
    )
    .fetch_one(&mut *application)
    .await
    .map_err(StoreError::query("read the role"))?;
    if unbound {
        return Err(StoreError::Role { role });
    }
    if let Some(mut owner) = owner {
        migrate(&mut owner).await?;
        grant(&mut owner, &role)
            .await
            .map_err(StoreError::query("grant the tables to the application"))?;
        let _ = owner.close().await;
        return Ok(());
    }
    let may_create: Option<bool> =
        sqlx::query_scalar("SELECT has_schema_privilege(current_schema(), 'CREATE')")
            .fetch_one(&mut *application)
            .await
            .map_err(StoreError::query("read the privileges"))?;
    if may_create == Some(true) {
        migrate(application).await
    } else {
        check(application, role).await
    }
}

async fn migrate(connection: &mut PgConnection) -> Result<(), StoreError> {
    // another process may be at it, and a big table takes its time
    sqlx::query("SELECT set_config('statement_timeout', '0', false)")
        .execute(&mut *connection)
        .await
        .map_err(StoreError::query("lift the time limit of migrations"))?;
    MIGRATIONS
        .run_direct(None, connection, false)
        .await
        .map_err(StoreError::Migrate)
}

async fn grant(owner: &mut PgConnection, role: &str) -> Result<(), sqlx::Error> {
    let mut transaction = owner.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1), set_config('antiphon.role', $2, true)")
        .bind(GRANT_LOCK)
        .bind(role)
        .execute(&mut *transaction)
        .await?;
    sqlx::raw_sql(GRANTS).execute(&mut *transaction).await?;
    transaction.commit().await
}

/// Whether the tables are those that this build knows, for a role that may not change them.
async fn check(connection: &mut PgConnection, role: String) -> Result<(), StoreError> {
    let applied: Result<Vec<(i64, Vec<u8>)>, _> =
        sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations WHERE success")
            .fetch_all(connection)
            .await;
    let Ok(applied) = applied else {
        return Err(StoreError::Behind { role });
    };
    for migration in MIGRATIONS.iter() {
        let version = migration.version;
        match applied.iter().find(|(known, _)| *known == version) {
            None => return Err(StoreError::Behind { role }),
            Some((_, checksum)) if *checksum != migration.checksum.as_ref() => {
                return Err(StoreError::Migrate(MigrateError::VersionMismatch(version)));
            }
            Some(_) => {}
        }
    }
    let unknown = |(version, _): &&(i64, Vec<u8>)| !MIGRATIONS.version_exists(*version);
    match applied.iter().find(unknown) {
        Some((version, _)) => Err(StoreError::Migrate(MigrateError::VersionMissing(*version))),
        None => Ok(()),
    }
}
