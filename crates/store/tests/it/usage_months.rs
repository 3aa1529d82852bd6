//! Usage in the months of PostgreSQL: what was there before moves over, walls stand, a bill reads the months it is about.

use std::path::Path;

use chrono::{DateTime, Utc};
use sqlx::migrate::Migrator;
use sqlx::{Connection as _, PgConnection};
use store::{PrunedUsage, Sql, UsageGroup};

use crate::backend::as_application;
use crate::conversations::{session, write};
use crate::postgres::{APPLICATION, Database, OWNER, SUPERUSER, Server};
use crate::usage::{piece, used};

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
             WHERE relname ~ '^usage_h0_.*[0-9]$' AND relkind = 'r'",
        )
        .unwrap()
}

/// A piece of work of `tenant` on that day.
async fn work(sql: &Sql, tenant: &str, number: u64, date: &str) {
    let mut piece = piece(number, "a");
    piece.at = day(date);
    write(sql, &[used(&session(tenant, "sess_1"), piece)]).await;
}

#[tokio::test]
async fn what_was_used_before_there_were_months_moves_over() {
    let database = Server::shared().database(OWNER);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/postgres");
    let mut before = Migrator::new(folder).await.unwrap();
    before
        .migrations
        .to_mut()
        .retain(|migration| migration.version < 23);
    let mut owner = PgConnection::connect(&database.url(OWNER)).await.unwrap();
    before.run_direct(None, &mut owner, false).await.unwrap();
    owner.close().await.unwrap();
    let insert = "INSERT INTO usage SELECT tenant, 'sess_1', 'run-a', number, 'default', \
         timestamptz '2026-01-31 23:59:59Z' + make_interval(secs => number * 86400), 1, 'resp_1', 'llm', 'openai', 'a', \
         'gpt', 'main', '1', 1, 2, 3, 100, 5, 10, 7, 8, 9, 10, 11, number = 1, 2500000 \
         FROM generate_series(0, 59) AS number, (VALUES ('acme'), ('rival')) AS tenants (tenant)";
    database.psql(SUPERUSER, insert).unwrap();
    let sums = "SELECT tenant, count(*), sum(input_tokens), sum(cost_pico), min(at), max(at), max(response), \
         count(*) FILTER (WHERE estimated) FROM usage GROUP BY tenant ORDER BY tenant";
    let there = database.psql(SUPERUSER, sums).unwrap();

    let sql = Sql::open(&as_application(&database)).await.unwrap();
    assert_eq!(database.psql(SUPERUSER, sums).unwrap(), there);
    assert_eq!(there.lines().count(), 2, "{there}");
    assert_eq!(
        months(&database),
        "usage_h0_2026_01 usage_h0_2026_02 usage_h0_2026_03"
    );
    assert_eq!(
        database
            .psql(SUPERUSER, "SELECT to_regclass('usage_whole') IS NULL")
            .unwrap(),
        "t"
    );
    let pieces = sql.session_usage("acme", "sess_1").await.unwrap();
    assert_eq!(pieces.len(), 60);
    // a piece that a journal brings once more is known, although its key has grown
    let mut again = piece(0, "a");
    again.at = "2026-01-31T23:59:59Z".parse().unwrap();
    write(&sql, &[used(&session("acme", "sess_1"), again)]).await;
    assert_eq!(sql.session_usage("acme", "sess_1").await.unwrap().len(), 60);
}

#[tokio::test]
async fn months_are_made_when_they_are_needed_and_dropped_when_they_are_over() {
    let (database, sql) = opened().await;
    assert_eq!(
        sql.make_usage_months(day("2026-11-30"), 2).await.unwrap(),
        24
    );
    assert_eq!(
        sql.make_usage_months(day("2026-11-01"), 2).await.unwrap(),
        0
    );
    assert!(sql.make_usage_months(day("2026-11-30"), 25).await.is_err());
    for (number, date) in ["2025-08-31", "2025-10-02", "2025-10-20", "2026-11-20"]
        .into_iter()
        .enumerate()
    {
        work(&sql, "acme", number as u64, date).await;
        work(&sql, "rival", number as u64, date).await;
    }
    assert_eq!(
        months(&database),
        "usage_h0_2025_08 usage_h0_2025_10 usage_h0_2026_11 usage_h0_2026_12 usage_h0_2027_01"
    );
    // August is over, of October a part
    let pruned = sql.prune_usage(day("2025-10-10")).await.unwrap();
    assert_eq!((pruned.pieces, pruned.partitions), (2, 8));
    let again = sql.prune_usage(day("2025-10-10")).await.unwrap();
    assert_eq!(again, PrunedUsage::default());
    let always = (day("2020-01-01"), day("2030-01-01"));
    let sums = sql.usage_sums(None, always, UsageGroup::Tenant).await;
    let sums = sums.unwrap();
    assert_eq!(sums.len(), 2);
    assert!(sums.iter().all(|sum| sum.units.input_tokens == 200));
    assert!(!months(&database).contains("2025_08"));
}

#[tokio::test]
async fn the_first_and_the_last_moment_of_a_month_are_in_it() {
    let (database, sql) = opened().await;
    for (number, moment) in ["2026-11-01T00:00:00Z", "2026-11-30T23:59:59.999999Z"]
        .into_iter()
        .enumerate()
    {
        let mut piece = piece(number as u64, "a");
        piece.at = moment.parse().unwrap();
        write(&sql, &[used(&session("acme", "sess_1"), piece)]).await;
    }
    assert_eq!(months(&database), "usage_h0_2026_11");
}

#[tokio::test]
async fn a_bill_reads_the_months_it_is_about() {
    let (database, sql) = opened().await;
    sql.make_usage_months(day("2026-01-01"), 11).await.unwrap();
    let plan = database
        .psql(
            APPLICATION,
            "BEGIN; SET LOCAL antiphon.tenant = 'acme'; \
             EXPLAIN (COSTS OFF) SELECT sum(cost_pico) FROM usage \
             WHERE tenant = 'acme' AND at >= '2026-10-20Z' AND at < '2026-11-20Z'; COMMIT",
        )
        .unwrap();
    assert!(
        plan.contains("2026_10") && plan.contains("2026_11"),
        "{plan}"
    );
    assert_eq!(plan.matches("on usage_h").count(), 2, "{plan}");
}

#[tokio::test]
async fn a_part_asked_by_its_name_shows_nothing_and_maintenance_changes_nothing() {
    let (database, sql) = opened().await;
    work(&sql, "acme", 1, "2026-11-20").await;
    let full = database
        .psql(SUPERUSER, "SELECT tableoid::regclass FROM usage")
        .unwrap();
    let count = format!("SELECT count(*) FROM {full}");
    assert_eq!(database.psql(SUPERUSER, &count).unwrap(), "1");
    assert_eq!(database.psql(OWNER, &count).unwrap(), "0");
    let refused = database.psql(APPLICATION, &count).unwrap_err();
    assert!(refused.contains("permission denied"), "{refused}");
    let asked = |sql: &str| {
        let text = format!("BEGIN; SET LOCAL antiphon.maintenance = 'on'; {sql}; COMMIT");
        database.psql(APPLICATION, &text).unwrap()
    };
    assert_eq!(asked("SELECT count(*) FROM usage"), "1");
    let gone = "WITH done AS (DELETE FROM usage RETURNING 1) SELECT count(*) FROM done";
    assert_eq!(asked(gone), "0");
    assert_eq!(
        database
            .psql(APPLICATION, "SELECT count(*) FROM usage")
            .unwrap(),
        "0"
    );
}
