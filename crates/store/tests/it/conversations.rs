//! What was said: in order, once, by tenant, as long as its tenant wants it; on every database.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use store::{Change, Entry, Pruned, Retention, SessionKey, Sql};

use crate::backend::Backend;

pub(crate) fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000 + second, 123_456_789).unwrap()
}

pub(crate) fn session(tenant: &str, id: &str) -> SessionKey {
    SessionKey::new(tenant, id, at(0))
}

pub(crate) fn begun(session: &SessionKey, revision: i64, settings: &str) -> Entry {
    let change = Change::Settings {
        project: "default".to_owned(),
        model: "scripted".to_owned(),
        settings: settings.to_owned(),
    };
    Entry {
        session: session.clone(),
        revision,
        change,
    }
}

pub(crate) fn put(session: &SessionKey, revision: i64, item: &str, position: i64) -> Entry {
    let change = Change::Put {
        item: item.to_owned(),
        position,
        created_at: at(revision),
        content: format!(r#"{{"said":"{item} {revision}"}}"#),
    };
    Entry {
        session: session.clone(),
        revision,
        change,
    }
}

fn removed(session: &SessionKey, revision: i64, item: &str) -> Entry {
    let change = Change::Removed {
        item: item.to_owned(),
    };
    Entry {
        session: session.clone(),
        revision,
        change,
    }
}

pub(crate) async fn write(sql: &Sql, entries: &[Entry]) {
    let tenant = &entries[0].session.tenant;
    let entries: Vec<_> = entries.iter().collect();
    sql.write_changes(tenant, &entries).await.unwrap();
}

pub(crate) async fn said(sql: &Sql, session: &SessionKey, limit: u32) -> Vec<String> {
    let items = sql.last_items(session, limit).await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    items.iter().map(|item| text(&item.content)).collect()
}

async fn the_last_items_come_in_the_order_of_the_conversation(on: Backend) {
    let sql = &on.sql;
    let one = session("acme", "sess_1");
    let other = session("acme", "sess_2");
    write(sql, &[begun(&one, 1, "{}"), begun(&other, 1, "{}")]).await;
    let mut entries: Vec<_> = (0..150)
        .map(|n| put(&one, n + 2, &format!("item_{n}"), n * 10))
        .collect();
    entries.push(put(&other, 2, "item_0", 5));
    // put between two that are there
    entries.push(put(&one, 152, "item_between", 1485));
    write(sql, &entries).await;

    let items = sql.last_items(&one, 100).await.unwrap();
    assert_eq!(items.len(), 100);
    let last: Vec<_> = items.iter().map(|item| &*item.id).rev().take(3).collect();
    assert_eq!(last, ["item_149", "item_between", "item_148"]);
    assert_eq!(items[0].id, "item_51");
    assert_eq!((items[99].revision, items[99].position), (151, 1490));
    let created = items[99].created_at - at(151);
    assert!(created.abs() < TimeDelta::microseconds(1), "{created}");
    assert_eq!(said(sql, &other, 100).await, [r#"{"said":"item_0 2"}"#]);
    assert!(said(sql, &one, 0).await.is_empty());
}

async fn what_is_written_again_changes_nothing_and_the_later_change_counts(on: Backend) {
    let sql = &on.sql;
    let here = session("acme", "sess_1");
    let told = [
        begun(&here, 1, r#"{"voice":"a"}"#),
        put(&here, 2, "item_a", 1),
        put(&here, 3, "item_b", 2),
        put(&here, 4, "item_a", 1),
        begun(&here, 5, r#"{"voice":"b"}"#),
        removed(&here, 6, "item_b"),
    ];
    for _ in 0..3 {
        write(sql, &told).await;
        assert_eq!(said(sql, &here, 9).await, [r#"{"said":"item_a 4"}"#]);
        let stored = sql.find_session("acme", "sess_1").await.unwrap().unwrap();
        assert_eq!(stored.settings, br#"{"voice":"b"}"#);
        assert_eq!((stored.revision, &*stored.model), (5, "scripted"));
        assert_eq!(stored.started_at, here.started_at());
    }
    // what comes late is older than what is there
    write(sql, &told[..2]).await;
    assert_eq!(said(sql, &here, 9).await, [r#"{"said":"item_a 4"}"#]);
    let ended = |revision, outcome: &str| Entry {
        session: here.clone(),
        revision,
        change: Change::Ended {
            at: at(60),
            outcome: outcome.to_owned(),
        },
    };
    write(sql, &[ended(7, "client_closed"), ended(2, "failed")]).await;
    let stored = sql.find_session("acme", "sess_1").await.unwrap().unwrap();
    assert_eq!(stored.outcome.as_deref(), Some("client_closed"));
    assert!(stored.ended_at.is_some());
}

async fn a_deleted_session_takes_its_items_along_and_gets_no_new_ones(on: Backend) {
    let sql = &on.sql;
    let here = session("acme", "sess_1");
    let told = [begun(&here, 1, "{}"), put(&here, 2, "item_a", 1)];
    write(sql, &told).await;
    // nobody deletes what is another's
    assert!(!sql.delete_session("rival", "sess_1").await.unwrap());
    assert_eq!(said(sql, &here, 9).await.len(), 1);
    assert!(sql.delete_session("acme", "sess_1").await.unwrap());
    assert!(!sql.delete_session("acme", "sess_1").await.unwrap());
    assert!(said(sql, &here, 9).await.is_empty());
    assert_eq!(sql.find_session("acme", "sess_1").await.unwrap(), None);
    write(sql, &[put(&here, 3, "item_b", 2)]).await;
    assert!(said(sql, &here, 9).await.is_empty());
}

async fn a_tenant_has_its_own_sessions(on: Backend) {
    let sql = &on.sql;
    for tenant in ["acme", "rival"] {
        let here = session(tenant, "sess_1");
        write(sql, &[begun(&here, 1, tenant), put(&here, 2, tenant, 1)]).await;
    }
    for tenant in ["acme", "rival"] {
        let stored = sql.find_session(tenant, "sess_1").await.unwrap().unwrap();
        assert_eq!(stored.settings, tenant.as_bytes());
        let here = said(sql, &session(tenant, "sess_1"), 9).await;
        assert_eq!(here, [format!(r#"{{"said":"{tenant} 2"}}"#)]);
    }
    assert_eq!(sql.find_session("nobody", "sess_1").await.unwrap(), None);
    assert_eq!(sql.find_session("acme", "sess\0_1").await.unwrap(), None);
}

async fn a_batch_is_written_as_a_whole_or_not_at_all(on: Backend) {
    let sql = &on.sql;
    let here = session("acme", "sess_1");
    write(sql, &[begun(&here, 1, "{}")]).await;
    on.by_hand("CREATE UNIQUE INDEX one_of_a_model ON sessions (model)")
        .await
        .unwrap();
    let (fits, does_not) = (
        put(&here, 2, "item_a", 1),
        begun(&session("acme", "sess_2"), 1, "{}"),
    );
    let refused = sql.write_changes("acme", &[&fits, &does_not]).await;
    assert!(refused.is_err());
    assert!(said(sql, &here, 9).await.is_empty());
}

// not in memory, where nobody can reach in by hand; a file runs the same statements
#[tokio::test]
async fn a_batch_is_whole_in_a_file() {
    a_batch_is_written_as_a_whole_or_not_at_all(Backend::in_a_file().await).await;
}

#[tokio::test]
async fn a_batch_is_whole_in_postgres() {
    a_batch_is_written_as_a_whole_or_not_at_all(Backend::in_postgres().await).await;
}

async fn each_tenant_keeps_what_was_said_for_as_long_as_it_wants(on: Backend) {
    let sql = &on.sql;
    let now = at(0);
    let ages = [
        ("acme", 20),
        ("acme", 40),
        ("brief", 20),
        ("brief", 40),
        ("long", 40),
        ("long", 300),
        ("long", 400),
    ];
    for (tenant, days) in ages {
        let id = format!("sess_{days}");
        let here = SessionKey::new(tenant, id, now - TimeDelta::days(days));
        write(sql, &[begun(&here, 1, "{}"), put(&here, 2, "item_a", 1)]).await;
    }
    let retention = Retention {
        days: 30,
        tenants: BTreeMap::from([("brief".to_owned(), 10), ("long".to_owned(), 365)]),
    };
    let pruned = sql.prune(&retention, now).await.unwrap();
    assert_eq!(pruned.sessions, 4);
    for (tenant, days) in ages {
        let id = format!("sess_{days}");
        let kept = sql.find_session(tenant, &id).await.unwrap().is_some();
        let key = SessionKey::new(tenant, id, now - TimeDelta::days(days));
        let items = said(sql, &key, 9).await.len();
        let expected = matches!((tenant, days), ("acme", 20) | ("long", 40 | 300));
        assert_eq!(kept, expected, "{tenant} {days}");
        assert_eq!(items, usize::from(expected), "{tenant} {days}");
    }
    assert_eq!(sql.prune(&retention, now).await.unwrap(), Pruned::default());
}

async fn pruning_looks_at_more_sessions_than_one_page(on: Backend) {
    let sql = &on.sql;
    let now = at(0);
    let old = now - TimeDelta::days(60);
    let entries: Vec<_> = (0..1100)
        .map(|n| begun(&SessionKey::new("acme", format!("sess_{n}"), old), 1, "{}"))
        .collect();
    write(sql, &entries).await;
    let kept = SessionKey::new("long", "sess_0", old);
    write(sql, &[begun(&kept, 1, "{}")]).await;
    let retention = Retention {
        days: 30,
        tenants: BTreeMap::from([("long".to_owned(), 90)]),
    };
    assert_eq!(sql.prune(&retention, now).await.unwrap().sessions, 1100);
    assert!(sql.find_session("long", "sess_0").await.unwrap().is_some());
}

stories!(
    the_last_items_come_in_the_order_of_the_conversation,
    what_is_written_again_changes_nothing_and_the_later_change_counts,
    a_deleted_session_takes_its_items_along_and_gets_no_new_ones,
    a_tenant_has_its_own_sessions,
    each_tenant_keeps_what_was_said_for_as_long_as_it_wants,
    pruning_looks_at_more_sessions_than_one_page,
);
