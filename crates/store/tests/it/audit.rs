//! The audit log: every change writes an entry, and whatever is done to the entries shows; on every database.

use chrono::{DateTime, Utc};
use serde_json::json;
use store::{Act, Chain, Fault, NewApiKey, Sql};

use crate::backend::{Backend, Kind, act};

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000 + second, 123_456_789).unwrap()
}

async fn make_key(sql: &Sql, id: &str, act: &Act) {
    let key = NewApiKey {
        id,
        tenant: "default",
        project: "default",
        name: "laptop",
        scopes: &[],
        hash: "$argon2id$…",
        created_at: at(0),
        expires_at: None,
    };
    sql.create_key(&key, act).await.unwrap();
}

async fn four_entries(sql: &Sql) {
    for number in 1..=4 {
        make_key(sql, &format!("k{number}"), &act(at(number))).await;
    }
}

async fn verdict(sql: &Sql) -> Chain {
    sql.verify_audit("default").await.unwrap()
}

/// Does `sql` by hand where the log cannot defend itself, the triggers taken away.
async fn tamper(on: &Backend, change: &'static str) {
    let disarm: &[&'static str] = match on.kind {
        Kind::Postgres(_) => &["ALTER TABLE audit_log DISABLE TRIGGER append_only"],
        Kind::Memory | Kind::File => &[
            "DROP TRIGGER audit_log_is_never_changed",
            "DROP TRIGGER audit_log_is_never_deleted",
        ],
    };
    for statement in disarm {
        on.by_hand(statement).await.unwrap();
    }
    on.by_hand(change).await.unwrap();
}

async fn who_did_what_is_read_back_newest_first(on: Backend) {
    let sql = &on.sql;
    let whole = Act {
        at: at(7),
        actor: "default/k0".to_owned(),
        action: "key.create",
        resource: "k1".to_owned(),
        before: None,
        after: Some(json!({ "name": "laptop", "z": 1.0, "a": [] })),
        ip: Some("2001:db8::1".to_owned()),
        request_id: Some("req_1".to_owned()),
    };
    make_key(sql, "k1", &whole).await;
    make_key(sql, "k2", &act(at(8))).await;
    let entries = sql.audit_entries("default", None, 9).await.unwrap();
    assert_eq!(entries.iter().map(|e| e.seq).collect::<Vec<_>>(), [2, 1]);
    let first = &entries[1];
    assert_eq!(
        (first.actor.as_str(), first.action.as_str()),
        ("default/k0", "key.create")
    );
    assert_eq!(
        first.after_state.as_deref(),
        Some(r#"{"a":[],"name":"laptop","z":1.0}"#)
    );
    assert_eq!(first.before_state, None);
    assert_eq!(first.ip.as_deref(), Some("2001:db8::1"));
    assert_eq!(first.request_id.as_deref(), Some("req_1"));
    assert_eq!(first.at.timestamp_micros(), at(7).timestamp_micros());
    assert_eq!(entries[0].previous, first.hash);

    let page = sql.audit_entries("default", Some(2), 1).await.unwrap();
    assert_eq!(page, entries[1..]);
    assert!(
        sql.audit_entries("other", None, 9)
            .await
            .unwrap()
            .is_empty()
    );
    let whole = Chain {
        entries: 2,
        head: entries[0].hash.clone(),
        fault: None,
    };
    assert_eq!(verdict(sql).await, whole);
    assert_eq!(sql.verify_audit("other").await.unwrap().entries, 0);
    assert_eq!(sql.audited_tenants().await.unwrap(), ["default"]);
}

async fn a_change_that_is_undone_leaves_no_entry(on: Backend) {
    let sql = &on.sql;
    four_entries(sql).await;
    let key = NewApiKey {
        id: "k1",
        tenant: "default",
        project: "default",
        name: "again",
        scopes: &[],
        hash: "",
        created_at: at(0),
        expires_at: None,
    };
    assert!(sql.create_key(&key, &act(at(9))).await.is_err());
    assert!(
        !sql.revoke_key("default", "none", &act(at(9)))
            .await
            .unwrap()
    );
    assert_eq!(verdict(sql).await.entries, 4);
}

async fn many_at_once_make_one_chain(on: Backend) {
    let mut making = tokio::task::JoinSet::new();
    for number in 0..20 {
        let sql = on.sql.clone();
        making.spawn(async move { make_key(&sql, &format!("k{number}"), &act(at(number))).await });
    }
    making.join_all().await;
    let chain = verdict(&on.sql).await;
    assert_eq!((chain.entries, chain.fault), (20, None));
}

async fn an_entry_is_neither_changed_nor_removed(on: Backend) {
    four_entries(&on.sql).await;
    if matches!(on.kind, Kind::Memory) {
        // nobody else reaches it
        return;
    }
    for change in [
        "UPDATE audit_log SET actor = 'nobody'",
        "DELETE FROM audit_log WHERE seq = 2",
    ] {
        let refused = on.by_hand(change).await.unwrap_err();
        assert!(refused.contains("append-only"), "{refused}");
    }
    assert_eq!(verdict(&on.sql).await.fault, None);
}

async fn an_entry_that_was_changed_shows(on: Backend) {
    four_entries(&on.sql).await;
    if matches!(on.kind, Kind::Memory) {
        return;
    }
    tamper(&on, "UPDATE audit_log SET actor = 'nobody' WHERE seq = 3").await;
    let found = verdict(&on.sql).await;
    assert_eq!((found.entries, found.fault), (2, Some(Fault::Changed(3))));
}

async fn an_entry_that_was_removed_shows(on: Backend) {
    four_entries(&on.sql).await;
    if matches!(on.kind, Kind::Memory) {
        return;
    }
    tamper(&on, "DELETE FROM audit_log WHERE seq = 2").await;
    assert_eq!(verdict(&on.sql).await.fault, Some(Fault::Missing(2)));
}

async fn an_end_that_was_cut_off_shows(on: Backend) {
    four_entries(&on.sql).await;
    if matches!(on.kind, Kind::Memory) {
        return;
    }
    tamper(&on, "DELETE FROM audit_log WHERE seq > 2").await;
    assert_eq!(verdict(&on.sql).await.fault, Some(Fault::Cut(2)));
    on.by_hand("DELETE FROM audit_heads").await.unwrap();
    assert_eq!(verdict(&on.sql).await.fault, Some(Fault::Cut(2)));
}

stories!(
    who_did_what_is_read_back_newest_first,
    a_change_that_is_undone_leaves_no_entry,
    many_at_once_make_one_chain,
    an_entry_is_neither_changed_nor_removed,
    an_entry_that_was_changed_shows,
    an_entry_that_was_removed_shows,
    an_end_that_was_cut_off_shows,
);
