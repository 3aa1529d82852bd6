//! The second wall: raw SQL as the application role, as a handler with a forgotten WHERE would send it.

use chrono::{DateTime, Utc};
use serde_json::json;
use store::{Creation, NewApiKey, Place, SessionKey, Sql, StoredAgent};

use crate::backend::{act, as_application};
use crate::conversations::{begun, put, write};
use crate::postgres::{APPLICATION, Database, OWNER, SUPERUSER, Server};

fn at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).unwrap()
}

/// A database in which `acme` and `rival` have a key, an agent and a session with an item each.
async fn two_tenants() -> Database<'static> {
    let database = Server::shared().database(OWNER);
    let sql = Sql::open(&as_application(&database)).await.unwrap();
    for tenant in ["acme", "rival"] {
        let key = NewApiKey {
            id: &format!("key_of_{tenant}"),
            tenant,
            project: "default",
            name: "laptop",
            scopes: &[],
            hash: "$argon2id$…",
            created_at: at(),
            expires_at: None,
        };
        sql.create_key(&key, &act(key.created_at)).await.unwrap();
        let agent = StoredAgent {
            name: "ann".to_owned(),
            spec: json!({}),
            created_at: at(),
            updated_at: at(),
        };
        let place = Place {
            tenant,
            project: "default",
        };
        let made = sql
            .create_agent(place, &agent, 1, &act(at()))
            .await
            .unwrap();
        assert_eq!(made, Creation::Done);
        let here = SessionKey::new(tenant, "sess_1", at());
        write(&sql, &[begun(&here, 1, "{}"), put(&here, 2, "item_a", 1)]).await;
    }
    sql.close().await;
    database
}

/// Runs `sql` as `role` in a transaction that has named `setting`.
fn with(database: &Database<'_>, role: &str, setting: &str, sql: &str) -> Result<String, String> {
    database.psql(role, &format!("BEGIN; SET LOCAL {setting}; {sql}; COMMIT"))
}

#[tokio::test]
async fn without_a_tenant_nothing_is_there() {
    let database = two_tenants().await;
    // the owner of the tables no less than the application
    for role in [APPLICATION, OWNER] {
        for table in ["api_keys", "agents", "sessions", "conversation_items"] {
            let count = format!("SELECT count(*) FROM {table}");
            assert_eq!(database.psql(role, &count).unwrap(), "0", "{role} {table}");
            let empty = with(&database, role, "antiphon.tenant = ''", &count);
            assert_eq!(empty.unwrap(), "0", "{role} {table}");
        }
        let changed =
            "WITH done AS (UPDATE agents SET spec = '[]' RETURNING 1) SELECT count(*) FROM done";
        assert_eq!(database.psql(role, changed).unwrap(), "0", "{role}");
        let gone = "WITH done AS (DELETE FROM agents RETURNING 1) SELECT count(*) FROM done";
        assert_eq!(database.psql(role, gone).unwrap(), "0", "{role}");
    }
    let all = database.psql(SUPERUSER, "SELECT count(*) FROM agents");
    assert_eq!(all.unwrap(), "2");
}

#[tokio::test]
async fn a_tenant_reads_its_own_rows_only() {
    let database = two_tenants().await;
    for table in ["api_keys", "agents", "sessions", "conversation_items"] {
        let read = |sql: &str| {
            let sql = sql.replace("TABLE", table);
            with(&database, APPLICATION, "antiphon.tenant = 'acme'", &sql).unwrap()
        };
        assert_eq!(read("SELECT tenant FROM TABLE"), "acme");
        assert_eq!(read("SELECT tenant FROM TABLE WHERE tenant = 'rival'"), "");
        let aside = "SELECT count(*) FROM TABLE a LEFT JOIN TABLE b ON b.tenant <> a.tenant WHERE b.tenant IS NOT NULL";
        assert_eq!(read(aside), "0");
    }
}

#[tokio::test]
async fn a_tenant_changes_and_removes_its_own_rows_only() {
    let database = two_tenants().await;
    let as_acme = |sql: &str| with(&database, APPLICATION, "antiphon.tenant = 'acme'", sql);
    let as_superuser = |sql: &str| database.psql(SUPERUSER, sql).unwrap();

    as_acme("UPDATE api_keys SET name = 'taken'; UPDATE agents SET spec = '[1]'").unwrap();
    let changed = as_superuser("SELECT tenant FROM api_keys WHERE name = 'taken'");
    assert_eq!(changed, "acme");
    let changed = as_superuser("SELECT tenant FROM agents WHERE spec = '[1]'");
    assert_eq!(changed, "acme");

    for row_of_another in [
        "INSERT INTO agents VALUES ('rival', 'default', 'eve', '{}', now(), now())",
        "INSERT INTO api_keys VALUES ('k9', 'rival', 'eve', '[]', '', now())",
        "UPDATE agents SET tenant = 'rival', name = 'eve'",
        "UPDATE api_keys SET tenant = 'rival'",
        "INSERT INTO agents VALUES ('acme', 'default', 'ann', '{}', now(), now()) \
         ON CONFLICT (tenant, project, name) DO UPDATE SET tenant = 'rival'",
    ] {
        let refused = as_acme(row_of_another).unwrap_err();
        assert!(
            refused.contains("row-level security"),
            "{row_of_another}: {refused}"
        );
    }

    as_acme("DELETE FROM agents").unwrap();
    assert_eq!(as_superuser("SELECT tenant FROM agents"), "rival");
}

#[tokio::test]
async fn who_names_a_key_reads_that_row_and_changes_nothing() {
    let database = two_tenants().await;
    let with_key = |sql: &str| with(&database, APPLICATION, "antiphon.key = 'key_of_acme'", sql);
    assert_eq!(with_key("SELECT id FROM api_keys").unwrap(), "key_of_acme");
    assert_eq!(with_key("SELECT name FROM agents").unwrap(), "");
    let changed = "WITH done AS (UPDATE api_keys SET revoked_at = NULL RETURNING 1) SELECT count(*) FROM done";
    assert_eq!(with_key(changed).unwrap(), "0");
    let refused = with_key("INSERT INTO api_keys VALUES ('k9', 'acme', '', '[]', '', now())");
    assert!(refused.unwrap_err().contains("row-level security"));
}

#[tokio::test]
async fn the_application_cannot_take_the_wall_down() {
    let database = two_tenants().await;
    for (attempt, complaint) in [
        (
            "ALTER TABLE agents DISABLE ROW LEVEL SECURITY",
            "must be owner",
        ),
        ("DROP POLICY of_the_tenant ON agents", "must be owner"),
        ("SET ROLE antiphon_owner", "permission denied"),
        ("TRUNCATE agents", "permission denied"),
        ("DELETE FROM api_keys", "permission denied"),
        ("TRUNCATE conversation_items", "permission denied"),
        ("DROP TABLE conversation_items_h0", "must be owner"),
        ("UPDATE installation SET value = ''", "permission denied"),
        ("DELETE FROM _sqlx_migrations", "permission denied"),
        ("CREATE TABLE mine (id int)", "permission denied"),
        (
            "SET row_security = off; SELECT * FROM agents",
            "row-level security",
        ),
    ] {
        let refused = database.psql(APPLICATION, attempt).unwrap_err();
        assert!(refused.contains(complaint), "{attempt}: {refused}");
    }
}
