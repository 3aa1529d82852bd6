//! Keys: made, found, listed, revoked, touched; on every database.

use chrono::{DateTime, TimeDelta, Utc};
use store::{NewApiKey, Rotation, Sql, StoreError, TenantStatus};

use crate::backend::{Backend, Kind, act, make_tenant};

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_760_000_000 + second, 123_456_000).unwrap()
}

async fn create(sql: &Sql, id: &str, tenant: &str, second: i64) {
    let scopes = vec!["realtime:connect".to_owned()];
    let key = NewApiKey {
        id,
        tenant,
        project: "default",
        name: "laptop",
        scopes: &scopes,
        hash: "$argon2id$…",
        created_at: at(second),
        expires_at: None,
    };
    sql.create_key(&key, &act(at(second))).await.unwrap();
}

/// Whether a key and its tenant let anybody in.
async fn is_active(sql: &Sql, id: &str, now: DateTime<Utc>) -> bool {
    let standing = sql.key_standing(id, now).await.unwrap();
    standing.is_some_and(|standing| standing.key_works && standing.status == TenantStatus::Active)
}

async fn a_rotated_key_ends_when_it_was_told_to_and_both_or_none_are_changed(on: Backend) {
    let sql = &on.sql;
    make_tenant(sql, "acme", at(-1)).await;
    create(sql, "old", "acme", 0).await;
    let scopes = vec!["realtime:connect".to_owned()];
    let rotation = |tenant: &'static str, new: &'static str, grace: i64| Rotation {
        old: "old",
        old_ends_at: at(10 + grace),
        new: NewApiKey {
            id: new,
            tenant,
            project: "default",
            name: "laptop",
            scopes: &scopes,
            hash: "$argon2id$…",
            created_at: at(10),
            expires_at: None,
        },
    };
    // nobody rotates what is another's
    assert!(
        !sql.rotate_key(&rotation("other", "n0", 5), &act(at(10)))
            .await
            .unwrap()
    );
    assert_eq!(sql.find_key("n0").await.unwrap(), None);
    assert!(
        sql.rotate_key(&rotation("acme", "n1", 60), &act(at(10)))
            .await
            .unwrap()
    );
    let ends = |key: Option<store::ApiKey>| key.unwrap().expires_at;
    assert_eq!(ends(sql.find_key("old").await.unwrap()), Some(at(70)));
    // a second rotation brings the end nearer and never puts it off
    assert!(
        sql.rotate_key(&rotation("acme", "n2", 30), &act(at(10)))
            .await
            .unwrap()
    );
    assert!(
        sql.rotate_key(&rotation("acme", "n3", 90), &act(at(10)))
            .await
            .unwrap()
    );
    assert_eq!(ends(sql.find_key("old").await.unwrap()), Some(at(40)));
    assert!(is_active(sql, "old", at(39)).await);
    assert!(!is_active(sql, "old", at(40)).await);
    assert!(is_active(sql, "n1", at(4000)).await);
    assert_eq!(sql.count_active_keys("acme", at(39)).await.unwrap(), 5);
    assert_eq!(sql.count_active_keys("acme", at(40)).await.unwrap(), 4);
    assert_eq!(sql.count_active_keys("other", at(40)).await.unwrap(), 0);
    // the new id is taken: the old key keeps its end
    let taken = sql
        .rotate_key(&rotation("acme", "n1", 0), &act(at(10)))
        .await;
    assert!(matches!(taken, Err(StoreError::Query { .. })));
    assert_eq!(ends(sql.find_key("old").await.unwrap()), Some(at(40)));
    // what has ended or was revoked is not rotated
    let late = Rotation {
        new: NewApiKey {
            created_at: at(40),
            ..rotation("acme", "n4", 0).new
        },
        ..rotation("acme", "n4", 100)
    };
    assert!(!sql.rotate_key(&late, &act(at(40))).await.unwrap());
    sql.close().await;
}

async fn keys_are_made_found_listed_touched_and_revoked(on: Backend) {
    let sql = &on.sql;
    assert_eq!(sql.find_key("none").await.unwrap(), None);
    create(sql, "k2", "default", 2).await;
    create(sql, "k1", "default", 1).await;
    create(sql, "k3", "other", 0).await;

    let found = sql.find_key("k1").await.unwrap().unwrap();
    assert_eq!(
        (found.tenant.as_str(), found.name.as_str()),
        ("default", "laptop")
    );
    assert_eq!(found.scopes, ["realtime:connect"]);
    assert_eq!(found.created_at, at(1));
    assert_eq!((found.last_used_at, found.revoked_at), (None, None));

    let ids = |keys: Vec<store::ApiKey>| keys.into_iter().map(|key| key.id).collect::<Vec<_>>();
    assert_eq!(ids(sql.list_keys("default").await.unwrap()), ["k1", "k2"]);
    assert_eq!(ids(sql.list_keys("other").await.unwrap()), ["k3"]);

    sql.touch_key("other", "k1", at(50)).await.unwrap();
    sql.touch_key("default", "k1", at(60)).await.unwrap();
    assert_eq!(
        sql.find_key("k1").await.unwrap().unwrap().last_used_at,
        Some(at(60))
    );

    assert!(is_active(sql, "k1", at(70)).await);
    assert!(
        !sql.revoke_key("other", "k1", &act(at(61))).await.unwrap(),
        "another tenant's key"
    );
    assert!(sql.revoke_key("default", "k1", &act(at(61))).await.unwrap());
    assert!(
        !sql.revoke_key("default", "k1", &act(at(62))).await.unwrap(),
        "revoked already"
    );
    assert!(!is_active(sql, "k1", at(70)).await);
    assert_eq!(
        sql.find_key("k1").await.unwrap().unwrap().revoked_at,
        Some(at(61))
    );

    let again = NewApiKey {
        id: "k1",
        tenant: "default",
        project: "default",
        name: "again",
        scopes: &[],
        hash: "",
        created_at: at(0) + TimeDelta::seconds(9),
        expires_at: None,
    };
    let twice = sql.create_key(&again, &act(at(9))).await;
    assert!(matches!(
        twice,
        Err(StoreError::Query {
            action: "create a key",
            ..
        })
    ));

    // what a failed statement did is undone, and the next one works
    create(sql, "k4", "default", 3).await;
    sql.ping().await.unwrap();
    sql.close().await;
    assert!(sql.ping().await.is_err());
}

async fn an_installation_value_is_written_once(on: Backend) {
    let sql = &on.sql;
    let first = sql.installation_value("checksum", &[1, 2]).await.unwrap();
    let second = sql.installation_value("checksum", &[3, 4]).await.unwrap();
    assert_eq!(
        (first.as_slice(), second.as_slice()),
        (&[1_u8, 2][..], &[1_u8, 2][..])
    );
}

async fn processes_that_start_together_agree_on_a_value(on: Backend) {
    let mut starting = tokio::task::JoinSet::new();
    for number in 0..16_u8 {
        let sql = on.opened_again().await.unwrap_or_else(|| on.sql.clone());
        starting.spawn(async move { sql.installation_value("checksum", &[number]).await.unwrap() });
    }
    let mut values = starting.join_all().await;
    values.dedup();
    assert_eq!(values.len(), 1, "{values:?}");
}

async fn another_process_sees_what_was_written_and_a_restart_keeps_it(on: Backend) {
    let Some(command_line) = on.opened_again().await else {
        return assert!(matches!(on.kind, Kind::Memory));
    };
    create(&command_line, "k1", "default", 1).await;
    assert!(is_active(&on.sql, "k1", at(70)).await);
    let revoked = command_line.revoke_key("default", "k1", &act(at(2))).await;
    assert!(revoked.unwrap());
    assert!(!is_active(&on.sql, "k1", at(70)).await);
    on.sql.close().await;
    command_line.close().await;
    let again = on.opened_again().await.unwrap();
    let kept = again.find_key("k1").await.unwrap().unwrap();
    assert_eq!((kept.created_at, kept.revoked_at), (at(1), Some(at(2))));
}

stories!(
    a_rotated_key_ends_when_it_was_told_to_and_both_or_none_are_changed,
    keys_are_made_found_listed_touched_and_revoked,
    an_installation_value_is_written_once,
    processes_that_start_together_agree_on_a_value,
    another_process_sees_what_was_written_and_a_restart_keeps_it,
);
