//! The partitions of PostgreSQL: made ahead, walled, found by the planner, dropped with their month.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use store::{Retention, SessionKey, Sql};

use crate::backend::as_application;
use crate::conversations::{begun, put, said, write};
use crate::postgres::{APPLICATION, Database, OWNER, SUPERUSER, Server};

fn day(year_month_day: &str) -> DateTime<Utc> {
    format!("{year_month_day}T12:00:00Z").parse().unwrap()
}

async fn opened() -> (Database<'static>, Sql) {
    let database = Server::shared().database(OWNER);
    let sql = Sql::open(&as_application(&database)).await.unwrap();
    (database, sql)
}

fn months(database: &Database<'_>) -> String {
    database
        .psql(
            SUPERUSER,
            "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class \
             WHERE relname ~ '^conversation_items_h0_.*[0-9]$' AND relkind = 'r'",
        )
        .unwrap()
}

const KEEP_A_MONTH: Retention = Retention {
    days: 30,
    tenants: BTreeMap::new(),
};

#[tokio::test]
async fn months_are_made_ahead_once_by_whoever_comes_first() {
    let (database, sql) = opened().await;
    let mut making = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let sql = sql.clone();
        making.spawn(async move { sql.make_months(day("2026-11-30"), 2).await.unwrap() });
    }
    let made: u32 = making.join_all().await.iter().sum();
    assert_eq!(made, 3 * 8);
    assert_eq!(
        months(&database),
        "conversation_items_h0_2026_11 conversation_items_h0_2026_12 conversation_items_h0_2027_01"
    );
    assert!(sql.make_months(day("2026-11-30"), 25).await.is_err());
}

#[tokio::test]
async fn a_month_that_is_not_there_is_made_when_something_was_said_in_it() {
    let (database, sql) = opened().await;
    assert_eq!(months(&database), "");
    let here = SessionKey::new("acme", "sess_1", day("2024-02-29"));
    write(&sql, &[begun(&here, 1, "{}"), put(&here, 2, "item_a", 1)]).await;
    assert_eq!(said(&sql, &here, 9).await.len(), 1);
    assert_eq!(months(&database), "conversation_items_h0_2024_02");
}

#[tokio::test]
async fn the_first_and_the_last_moment_of_a_month_are_in_it() {
    let (database, sql) = opened().await;
    for moment in ["2026-11-01T00:00:00Z", "2026-11-30T23:59:59.999999Z"] {
        let here = SessionKey::new("acme", moment, moment.parse().unwrap());
        write(&sql, &[begun(&here, 1, "{}"), put(&here, 2, "item_a", 1)]).await;
        assert_eq!(said(&sql, &here, 9).await.len(), 1);
    }
    assert_eq!(months(&database), "conversation_items_h0_2026_11");
}

#[tokio::test]
async fn expired_months_are_dropped_and_no_other() {
    let (database, sql) = opened().await;
    let now = day("2026-11-20");
    sql.make_months(day("2026-08-01"), 5).await.unwrap();
    for date in ["2026-08-15", "2026-09-15", "2026-10-15", "2026-10-25"] {
        let here = SessionKey::new("acme", date, day(date));
        write(&sql, &[begun(&here, 1, "{}"), put(&here, 2, "item_a", 1)]).await;
    }
    let pruned = sql.prune(&KEEP_A_MONTH, now).await.unwrap();
    // August and September are over for everybody; of October one session is left
    assert_eq!((pruned.sessions, pruned.partitions), (3, 16));
    assert_eq!(
        months(&database),
        "conversation_items_h0_2026_10 conversation_items_h0_2026_11 \
         conversation_items_h0_2026_12 conversation_items_h0_2027_01"
    );
    let kept = SessionKey::new("acme", "2026-10-25", day("2026-10-25"));
    assert_eq!(said(&sql, &kept, 9).await.len(), 1);

    // a tenant that keeps longer keeps the month, but nobody else's rows in it
    let forever = SessionKey::new("long", "sess_1", day("2026-09-15"));
    write(
        &sql,
        &[begun(&forever, 1, "{}"), put(&forever, 2, "item_a", 1)],
    )
    .await;
    let retention = Retention {
        days: 30,
        tenants: BTreeMap::from([("long".to_owned(), 365)]),
    };
    let pruned = sql
        .prune(&retention, now + TimeDelta::days(10))
        .await
        .unwrap();
    assert_eq!((pruned.sessions, pruned.partitions), (1, 8));
    assert_eq!(said(&sql, &forever, 9).await.len(), 1);
    assert!(said(&sql, &kept, 9).await.is_empty());
}

#[tokio::test]
async fn the_last_items_are_read_from_one_partition_by_its_index() {
    let (database, sql) = opened().await;
    sql.make_months(day("2026-01-01"), 11).await.unwrap();
    let plan = database
        .psql(
            APPLICATION,
            "BEGIN; SET LOCAL antiphon.tenant = 'acme'; SET LOCAL enable_seqscan = off; \
             SET LOCAL enable_bitmapscan = off; \
             EXPLAIN (COSTS OFF) SELECT id, position, revision, created_at, content FROM conversation_items \
             WHERE tenant = 'acme' AND session_at = '2026-11-20 12:00:00Z' AND session = 'sess_1' \
             ORDER BY position DESC, id DESC LIMIT 100; COMMIT",
        )
        .unwrap();
    assert!(plan.contains("Index Scan Backward"), "{plan}");
    assert!(plan.contains("2026_11"), "{plan}");
    assert!(!plan.contains("Append") && !plan.contains("Sort"), "{plan}");
}

#[tokio::test]
async fn a_partition_asked_by_its_name_shows_nothing() {
    let (database, sql) = opened().await;
    let here = SessionKey::new("acme", "sess_1", day("2026-11-20"));
    write(&sql, &[begun(&here, 1, "{}"), put(&here, 2, "item_a", 1)]).await;
    let full = database
        .psql(
            SUPERUSER,
            "SELECT tableoid::regclass FROM conversation_items",
        )
        .unwrap();
    let count = format!("SELECT count(*) FROM {full}");
    assert_eq!(database.psql(SUPERUSER, &count).unwrap(), "1");
    assert_eq!(database.psql(OWNER, &count).unwrap(), "0");
    let refused = database.psql(APPLICATION, &count).unwrap_err();
    assert!(refused.contains("permission denied"), "{refused}");
    // work of maintenance sees who talked when, and not what was said; and it changes nothing
    let asked = |sql: &str| {
        database.psql(
            APPLICATION,
            &format!("BEGIN; SET LOCAL antiphon.maintenance = 'on'; {sql}; COMMIT"),
        )
    };
    assert_eq!(asked("SELECT count(*) FROM sessions").unwrap(), "1");
    assert_eq!(
        asked("SELECT count(*) FROM conversation_items").unwrap(),
        "0"
    );
    let gone = "WITH done AS (DELETE FROM sessions RETURNING 1) SELECT count(*) FROM done";
    assert_eq!(asked(gone).unwrap(), "0");
}

#[tokio::test]
async fn the_functions_of_the_owner_do_their_work_and_no_other() {
    let (database, sql) = opened().await;
    sql.make_months(day("2026-11-20"), 0).await.unwrap();
    // tables of the caller are not taken for those of the owner
    let trick = "CREATE TEMP TABLE sessions (started_at timestamptz); \
                 SELECT antiphon_drop_months('2026-11-25', '2026-11-25')";
    assert_eq!(database.psql(APPLICATION, trick).unwrap(), "0");
    let refused = database.psql(APPLICATION, "SELECT antiphon_wall('sessions')");
    assert!(refused.unwrap_err().contains("permission denied"));
}
