//! Both databases have the same tables, and every wall of PostgreSQL stands.

use std::path::Path;

use store::{Settings, Sql};

use crate::backend::as_application;
use crate::postgres::{Database, OWNER, SUPERUSER, Server};

fn migrations(database: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("migrations")
        .join(database);
    let files = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

async fn migrated() -> Database<'static> {
    let database = Server::shared().database(OWNER);
    let sql = Sql::open(&as_application(&database)).await.unwrap();
    let now = chrono::DateTime::from_timestamp(1_795_000_000, 0).unwrap();
    sql.make_months(now, 1).await.unwrap();
    sql.make_usage_months(now, 1).await.unwrap();
    database
}

#[test]
fn migrations_have_the_same_numbers_and_names() {
    let names = migrations("sqlite");
    assert!(!names.is_empty());
    assert_eq!(names, migrations("postgres"));
}

#[tokio::test]
async fn tables_have_the_same_columns() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("antiphon.db").display());
    Sql::open(&Settings::at(&url)).await.unwrap();
    let hand = sqlx::SqlitePool::connect(&url).await.unwrap();
    let columns: Vec<String> = sqlx::query_scalar(
        "SELECT t.name || '.' || c.name || CASE WHEN c.\"notnull\" THEN '' ELSE ' nullable' END \
         FROM sqlite_schema t JOIN pragma_table_info(t.name) c \
         WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND t.name <> '_sqlx_migrations' \
         ORDER BY t.name, c.cid",
    )
    .fetch_all(&hand)
    .await
    .unwrap();
    assert!(
        columns.contains(&"api_keys.revoked_at nullable".to_owned()),
        "{columns:?}"
    );
    let there = migrated()
        .await
        .psql(
            SUPERUSER,
            "SELECT table_name || '.' || column_name || \
             CASE is_nullable WHEN 'NO' THEN '' ELSE ' nullable' END \
             FROM information_schema.columns \
             WHERE table_schema = 'public' AND table_name <> '_sqlx_migrations' \
             AND is_generated = 'NEVER' \
             AND NOT (SELECT relispartition FROM pg_class WHERE oid = to_regclass(table_name)) \
             ORDER BY table_name COLLATE \"C\", ordinal_position",
        )
        .unwrap();
    assert_eq!(columns, there.lines().collect::<Vec<_>>());
}

#[tokio::test]
async fn times_documents_and_bytes_have_types_of_their_own() {
    let types = migrated()
        .await
        .psql(
            SUPERUSER,
            "SELECT DISTINCT data_type FROM information_schema.columns \
             WHERE table_schema = 'public' AND table_name <> '_sqlx_migrations' \
             AND is_generated = 'NEVER' \
             AND (column_name LIKE '%\\_at' OR column_name IN ('spec', 'scopes', 'value', 'settings', 'content', 'details')) \
             ORDER BY data_type",
        )
        .unwrap();
    assert_eq!(types, "bytea\njsonb\ntimestamp with time zone");
}

#[tokio::test]
async fn every_table_with_a_tenant_has_a_forced_policy() {
    let database = migrated().await;
    let walled = database
        .psql(
            SUPERUSER,
            "SELECT DISTINCT tablename FROM pg_policies JOIN pg_class ON relname = tablename \
             WHERE schemaname = 'public' AND relrowsecurity AND relforcerowsecurity \
             AND qual LIKE '%antiphon.tenant%' ORDER BY tablename",
        )
        .unwrap();
    let of_tenants = database
        .psql(
            SUPERUSER,
            "SELECT DISTINCT table_name FROM information_schema.columns WHERE table_schema = 'public' \
             AND (column_name = 'tenant' OR table_name = 'tenants') ORDER BY table_name",
        )
        .unwrap();
    assert!(of_tenants.contains("api_keys"), "{of_tenants}");
    // partitions have walls of their own: eight parts of two months, and what holds them
    assert_eq!(of_tenants.matches("conversation_items").count(), 1 + 8 + 16);
    // and the table `usage_logs`
    assert_eq!(of_tenants.matches("usage").count(), 1 + 8 + 16 + 1);
    assert_eq!(walled, of_tenants);
}
