//! Agents by project: made, found, changed without losing anybody's change, removed.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use store::{Creation, Place, Sql, StoreError, StoredAgent};
use tokio::task::JoinSet;

use crate::backend::{Backend, Kind, act};

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000 + second, 0).unwrap()
}

const HERE: Place<'_> = Place {
    tenant: "acme",
    project: "default",
};

/// More than any story here makes.
const MANY: u32 = 10;

async fn create(
    sql: &Sql,
    place: Place<'_>,
    (name, spec): (&str, &Value),
    at: DateTime<Utc>,
) -> Creation {
    let agent = StoredAgent {
        name: name.to_owned(),
        spec: spec.clone(),
        created_at: at,
        updated_at: at,
    };
    sql.create_agent(place, &agent, MANY, &act(at))
        .await
        .unwrap()
}

async fn agents_live_in_their_project(on: Backend) {
    let sql = &on.sql;
    let spec = json!({ "greeting": "Hello." });
    assert_eq!(
        create(sql, HERE, ("ann", &spec), at(0)).await,
        Creation::Done
    );
    assert_eq!(
        create(sql, HERE, ("ann", &json!({})), at(1)).await,
        Creation::Taken
    );
    let found = sql.find_agent(HERE, "ann").await.unwrap().unwrap();
    assert_eq!(
        (found.spec, found.created_at, found.updated_at),
        (spec, at(0), at(0))
    );
    for elsewhere in [
        Place {
            tenant: "rival",
            ..HERE
        },
        Place {
            project: "other",
            ..HERE
        },
    ] {
        assert_eq!(sql.find_agent(elsewhere, "ann").await.unwrap(), None);
        assert!(
            !sql.delete_agent(elsewhere, "ann", &act(at(0)))
                .await
                .unwrap()
        );
        assert!(sql.list_agents(elsewhere).await.unwrap().is_empty());
        assert_eq!(
            create(sql, elsewhere, ("ann", &json!({})), at(2)).await,
            Creation::Done
        );
    }
    assert_eq!(
        create(sql, HERE, ("Bob", &json!({})), at(3)).await,
        Creation::Done
    );
    let names: Vec<String> = sql
        .list_agents(HERE)
        .await
        .unwrap()
        .into_iter()
        .map(|agent| agent.unwrap().name)
        .collect();
    assert_eq!(names, ["Bob", "ann"]);
    assert!(sql.delete_agent(HERE, "ann", &act(at(0))).await.unwrap());
    assert!(!sql.delete_agent(HERE, "ann", &act(at(0))).await.unwrap());
}

async fn of_two_changes_to_the_same_agent_one_is_told_to_look_again(on: Backend) {
    let sql = &on.sql;
    create(sql, HERE, ("ann", &json!({ "voice": "a" })), at(0)).await;
    let seen = sql.find_agent(HERE, "ann").await.unwrap().unwrap();
    assert!(
        sql.update_agent(HERE, &seen, &json!({ "voice": "b" }), &act(at(0)))
            .await
            .unwrap()
    );
    assert!(
        !sql.update_agent(HERE, &seen, &json!({ "voice": "c" }), &act(at(0)))
            .await
            .unwrap()
    );
    let now = sql.find_agent(HERE, "ann").await.unwrap().unwrap();
    assert_eq!(now.spec, json!({ "voice": "b" }));
}

async fn a_row_that_cannot_be_read_does_not_take_the_others_away_and_can_be_removed(on: Backend) {
    let sql = &on.sql;
    for name in ["ann", "bob", "eve"] {
        let spec = json!({ "greeting": name });
        assert_eq!(
            create(sql, HERE, (name, &spec), at(0)).await,
            Creation::Done
        );
    }
    let statements = [
        "UPDATE agents SET spec = '{\"greeting\":' WHERE name = 'ann'",
        "UPDATE agents SET created_at = 'infinity' WHERE name = 'eve'",
    ];
    match on.kind {
        // no other process sees it, so there is no hand that could spoil it
        Kind::Memory => return,
        Kind::File => {
            for statement in statements {
                on.by_hand(statement).await.unwrap();
            }
        }
        Kind::Postgres(_) => {
            // its types let no such row in, not even by hand
            for statement in statements {
                on.by_hand(statement).await.unwrap_err();
            }
            assert!(
                sql.list_agents(HERE)
                    .await
                    .unwrap()
                    .iter()
                    .all(Result::is_ok)
            );
            return;
        }
    }
    let listed = sql.list_agents(HERE).await.unwrap();
    let [ann, bob, eve] = listed.as_slice() else {
        panic!("{listed:?}");
    };
    assert_eq!(bob.as_ref().unwrap().name, "bob");
    let is_of = |row: &Result<_, StoreError>, wanted: &str| matches!(row, Err(StoreError::Unreadable { name, .. }) if name == wanted);
    assert!(is_of(ann, "ann") && is_of(eve, "eve"), "{listed:?}");
    let found = sql.find_agent(HERE, "ann").await.map(Option::unwrap);
    assert!(is_of(&found, "ann"), "{found:?}");
    assert!(sql.delete_agent(HERE, "ann", &act(at(0))).await.unwrap());
    assert_eq!(sql.find_agent(HERE, "ann").await.unwrap(), None);
}

async fn a_project_has_so_many_agents_and_no_more(on: Backend) {
    let sql = &on.sql;
    let spec = json!({});
    for n in 0..MANY {
        let name = format!("agent_{n}");
        assert_eq!(
            create(sql, HERE, (&name, &spec), at(0)).await,
            Creation::Done
        );
    }
    assert_eq!(
        create(sql, HERE, ("ann", &spec), at(1)).await,
        Creation::Full
    );
    // whoever meant one that is there is told so
    assert_eq!(
        create(sql, HERE, ("agent_0", &spec), at(1)).await,
        Creation::Taken
    );
    let elsewhere = Place {
        tenant: "rival",
        ..HERE
    };
    assert_eq!(
        create(sql, elsewhere, ("ann", &spec), at(1)).await,
        Creation::Done
    );
    assert_eq!(sql.agent_names(elsewhere, MANY).await.unwrap(), ["ann"]);
    let names = sql.agent_names(HERE, 2).await.unwrap();
    assert_eq!(names, ["agent_0", "agent_1"]);
    assert!(
        sql.delete_agent(HERE, "agent_7", &act(at(0)))
            .await
            .unwrap()
    );
    assert_eq!(
        create(sql, HERE, ("ann", &spec), at(2)).await,
        Creation::Done
    );
}

async fn many_who_create_at_once_do_not_exceed_the_limit(on: Backend) {
    let mut creating = JoinSet::new();
    for number in 0..4 * MANY {
        // half of them through another process's connections
        let sql = match number % 2 {
            0 => None,
            _ if number < 8 => on.opened_again().await,
            _ => None,
        };
        let sql = sql.unwrap_or_else(|| on.sql.clone());
        creating.spawn(async move {
            let name = format!("agent_{number}");
            create(&sql, HERE, (&name, &json!({})), at(0)).await
        });
    }
    let outcomes = creating.join_all().await;
    let done = outcomes.iter().filter(|one| **one == Creation::Done);
    assert_eq!(done.count(), MANY as usize, "{outcomes:?}");
    let names = on.sql.agent_names(HERE, 4 * MANY).await.unwrap();
    assert_eq!(names.len(), MANY as usize);
}

async fn of_many_who_change_the_same_agent_at_once_one_does(on: Backend) {
    create(&on.sql, HERE, ("ann", &json!({})), at(0)).await;
    let seen = on.sql.find_agent(HERE, "ann").await.unwrap().unwrap();
    let mut changing = JoinSet::new();
    for number in 0..MANY {
        let (sql, seen) = (on.sql.clone(), seen.clone());
        changing.spawn(async move {
            let spec = json!({ "voice": number });
            let changed = sql.update_agent(HERE, &seen, &spec, &act(at(1))).await;
            changed.unwrap()
        });
    }
    let changed = changing.join_all().await;
    assert_eq!(changed.iter().filter(|changed| **changed).count(), 1);
}

/// Numbers, nesting, order and letters that a database might bend.
async fn what_is_stored_comes_back_as_it_was(on: Backend) {
    let sql = &on.sql;
    let spec = json!({
        "z": [1.0, 1e-9, 1e100, 0.1, -0.0, 18_446_744_073_709_551_615_u64, null, true, {}],
        "a": "\u{1}\u{7f}\u{fffd}\u{1f600} \\u0000 '; DROP TABLE agents; --",
        "": { "": [] },
    });
    let micro = DateTime::from_timestamp_micros(1_795_000_000_123_457).unwrap();
    create(sql, HERE, ("ann", &spec), micro).await;
    let found = sql.find_agent(HERE, "ann").await.unwrap().unwrap();
    assert_eq!(found.spec, spec);
    assert_eq!(found.created_at, micro);
    // what was read is what an update compares with
    let changed = sql
        .update_agent(HERE, &found, &json!({}), &act(micro))
        .await;
    assert!(changed.unwrap());
}

async fn a_text_with_the_one_character_that_not_every_database_stores_is_refused(on: Backend) {
    let sql = &on.sql;
    for spec in [json!("\0"), json!([{ "a": "b\0" }]), json!({ "\0": 1 })] {
        let agent = StoredAgent {
            name: "ann".to_owned(),
            spec: spec.clone(),
            created_at: at(0),
            updated_at: at(0),
        };
        let refused = sql.create_agent(HERE, &agent, MANY, &act(at(0))).await;
        assert!(matches!(refused, Err(StoreError::Nul)), "{refused:?}");
        let refused = sql.update_agent(HERE, &agent, &spec, &act(at(1))).await;
        assert!(matches!(refused, Err(StoreError::Nul)), "{refused:?}");
    }
    // a name that cannot be is a name of nobody
    assert_eq!(sql.find_agent(HERE, "a\0").await.unwrap(), None);
    assert!(!sql.delete_agent(HERE, "a\0", &act(at(0))).await.unwrap());
}

stories!(
    agents_live_in_their_project,
    of_two_changes_to_the_same_agent_one_is_told_to_look_again,
    a_row_that_cannot_be_read_does_not_take_the_others_away_and_can_be_removed,
    a_project_has_so_many_agents_and_no_more,
    many_who_create_at_once_do_not_exceed_the_limit,
    of_many_who_change_the_same_agent_at_once_one_does,
    what_is_stored_comes_back_as_it_was,
    a_text_with_the_one_character_that_not_every_database_stores_is_refused,
);
