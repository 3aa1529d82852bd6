//! The second wall around telephone calls: raw SQL as the application role.

use store::{Line, NewCallEvent, Sql};

use crate::backend::as_application;
use crate::call_queue::{at, due};
use crate::postgres::{APPLICATION, Database, OWNER, Server};

/// Tables of calls and of the people in them.
const TABLES: [&str; 7] = [
    "calls",
    "call_attempts",
    "call_events",
    "recordings",
    "do_not_call",
    "consents",
    "phone_numbers",
];

/// A database in which `acme` and `rival` have a row in each of these tables.
async fn two_tenants() -> Database<'static> {
    let database = Server::shared().database(OWNER);
    let sql = Sql::open(&as_application(&database)).await.unwrap();
    for (tenant, number) in [("acme", "+14155550100"), ("rival", "+14155550101")] {
        sql.create_call(tenant, &due("call_1", 0), &[])
            .await
            .unwrap();
        let event = NewCallEvent::new("edge", "dtmf", at(1));
        sql.add_call_event((tenant, "call_1"), event).await.unwrap();
        let callee = sql.callee(number).await.unwrap();
        sql.add_do_not_call(tenant, &callee, ("api", "{}"), at(1))
            .await
            .unwrap();
        let line = Line {
            number: number.to_owned(),
            tenant: tenant.to_owned(),
            project: "default".to_owned(),
            agent: "ann".to_owned(),
            provider: "twilio".to_owned(),
            account: "main".to_owned(),
            created_at: at(0),
            updated_at: at(0),
        };
        assert!(sql.put_line(&line).await.unwrap());
    }
    sql.close().await;
    for tenant in ["acme", "rival"] {
        let rows = format!(
            "INSERT INTO call_attempts (tenant, call, attempt, account, state, dialed_at) \
             VALUES ('{tenant}', 'call_1', 1, 'main', 'dialing', now()); \
             INSERT INTO recordings VALUES ('{tenant}', 'rec', 'call_1', 'audio/wav', 2, 1, 1, '', now(), NULL); \
             INSERT INTO consents VALUES ('{tenant}', 'x', 'ai_call', 'api', '', now(), NULL, NULL)"
        );
        with(&database, &format!("antiphon.tenant = '{tenant}'"), &rows).unwrap();
    }
    database
}

/// Runs `sql` as the application in a transaction that has named `setting`.
fn with(database: &Database<'_>, setting: &str, sql: &str) -> Result<String, String> {
    let sql = format!("BEGIN; SET LOCAL {setting}; {sql}; COMMIT");
    database.psql(APPLICATION, &sql)
}

#[tokio::test]
async fn a_tenant_sees_and_changes_its_own_calls_only() {
    let database = two_tenants().await;
    for table in TABLES {
        let read = format!("SELECT DISTINCT tenant FROM {table}");
        assert_eq!(database.psql(APPLICATION, &read).unwrap(), "", "{table}");
        let seen = with(&database, "antiphon.tenant = 'acme'", &read);
        assert_eq!(seen.unwrap(), "acme", "{table}");
    }
    let moved = with(
        &database,
        "antiphon.tenant = 'acme'",
        "UPDATE phone_numbers SET tenant = 'rival'",
    );
    assert!(moved.unwrap_err().contains("row-level security"));
    for written in [
        "UPDATE call_events SET kind = 'x'",
        "DELETE FROM call_events",
    ] {
        let refused = with(&database, "antiphon.tenant = 'acme'", written);
        assert!(
            refused.unwrap_err().contains("permission denied"),
            "{written}"
        );
    }
}

#[tokio::test]
async fn the_dialler_sees_calls_and_nothing_else() {
    let database = two_tenants().await;
    for table in TABLES {
        let count = format!("SELECT count(*) FROM {table}");
        let seen = with(&database, "antiphon.dialler = 'on'", &count).unwrap();
        assert_eq!(seen, if table == "calls" { "2" } else { "0" }, "{table}");
    }
    // it claims rows, and neither makes nor removes any
    let gone = "WITH gone AS (DELETE FROM calls RETURNING 1) SELECT count(*) FROM gone";
    assert_eq!(
        with(&database, "antiphon.dialler = 'on'", gone).unwrap(),
        "0"
    );
    let made = "INSERT INTO calls (tenant, id, project, provider, direction, state, attempt_number, details, \
         created_at, updated_at, version) \
         VALUES ('acme', 'x', 'p', 't', 'outbound', 'queued', 1, '', now(), now(), 0)";
    let refused = with(&database, "antiphon.dialler = 'on'", made);
    assert!(refused.unwrap_err().contains("row-level security"));
}

#[tokio::test]
async fn who_names_a_number_reads_that_row_and_changes_nothing() {
    let database = two_tenants().await;
    let by_line = |sql: &str| with(&database, "antiphon.line = '+14155550100'", sql);
    assert_eq!(by_line("SELECT tenant FROM phone_numbers").unwrap(), "acme");
    assert_eq!(by_line("SELECT count(*) FROM calls").unwrap(), "0");
    let changed = "WITH done AS (UPDATE phone_numbers SET agent = 'eve' RETURNING 1) SELECT count(*) FROM done";
    assert_eq!(by_line(changed).unwrap(), "0");
}
