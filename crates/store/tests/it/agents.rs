//! Agents by project: made, found, changed without losing anybody's change, removed.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use store::{Creation, Place, Sql, StoreError, StoredAgent};

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
    sql.create_agent(place, &agent, MANY).await.unwrap()
}

#[tokio::test]
async fn agents_live_in_their_project() {
    let sql = Sql::open("sqlite::memory:").await.unwrap();
    let spec = json!({ "greeting": "Hello." });
    assert_eq!(
        create(&sql, HERE, ("ann", &spec), at(0)).await,
        Creation::Done
    );
    assert_eq!(
        create(&sql, HERE, ("ann", &json!({})), at(1)).await,
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
        assert!(!sql.delete_agent(elsewhere, "ann").await.unwrap());
        assert!(sql.list_agents(elsewhere).await.unwrap().is_empty());
        assert_eq!(
            create(&sql, elsewhere, ("ann", &json!({})), at(2)).await,
            Creation::Done
        );
    }
    assert_eq!(
        create(&sql, HERE, ("Bob", &json!({})), at(3)).await,
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
    assert!(sql.delete_agent(HERE, "ann").await.unwrap());
    assert!(!sql.delete_agent(HERE, "ann").await.unwrap());
}

#[tokio::test]
async fn of_two_changes_to_the_same_agent_one_is_told_to_look_again() {
    let sql = Sql::open("sqlite::memory:").await.unwrap();
    create(&sql, HERE, ("ann", &json!({ "voice": "a" })), at(0)).await;
    let seen = sql.find_agent(HERE, "ann").await.unwrap().unwrap();
    assert!(
        sql.update_agent(HERE, &seen, &json!({ "voice": "b" }), at(0))
            .await
            .unwrap()
    );
    assert!(
        !sql.update_agent(HERE, &seen, &json!({ "voice": "c" }), at(0))
            .await
            .unwrap()
    );
    let now = sql.find_agent(HERE, "ann").await.unwrap().unwrap();
    assert_eq!(now.spec, json!({ "voice": "b" }));
}

#[tokio::test]
async fn a_row_that_cannot_be_read_does_not_take_the_others_away_and_can_be_removed() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("antiphon.db").display());
    let sql = Sql::open(&url).await.unwrap();
    for name in ["ann", "bob", "eve"] {
        let spec = json!({ "greeting": name });
        assert_eq!(
            create(&sql, HERE, (name, &spec), at(0)).await,
            Creation::Done
        );
    }
    let hand = sqlx::SqlitePool::connect(&url).await.unwrap();
    for statement in [
        "UPDATE agents SET spec = '{\"greeting\":' WHERE name = 'ann'",
        "UPDATE agents SET created_at = 'yesterday' WHERE name = 'eve'",
    ] {
        sqlx::query(statement).execute(&hand).await.unwrap();
    }
    hand.close().await;
    let listed = sql.list_agents(HERE).await.unwrap();
    let [ann, bob, eve] = listed.as_slice() else {
        panic!("{listed:?}");
    };
    assert_eq!(bob.as_ref().unwrap().name, "bob");
    let is_of = |row: &Result<_, StoreError>, wanted: &str| matches!(row, Err(StoreError::Unreadable { name, .. }) if name == wanted);
    assert!(is_of(ann, "ann") && is_of(eve, "eve"), "{listed:?}");
    let found = sql.find_agent(HERE, "ann").await.map(Option::unwrap);
    assert!(is_of(&found, "ann"), "{found:?}");
    assert!(sql.delete_agent(HERE, "ann").await.unwrap());
    assert_eq!(sql.find_agent(HERE, "ann").await.unwrap(), None);
}

#[tokio::test]
async fn a_project_has_so_many_agents_and_no_more() {
    let sql = Sql::open("sqlite::memory:").await.unwrap();
    let spec = json!({});
    for n in 0..MANY {
        let name = format!("agent_{n}");
        assert_eq!(
            create(&sql, HERE, (&name, &spec), at(0)).await,
            Creation::Done
        );
    }
    assert_eq!(
        create(&sql, HERE, ("ann", &spec), at(1)).await,
        Creation::Full
    );
    // whoever meant one that is there is told so
    assert_eq!(
        create(&sql, HERE, ("agent_0", &spec), at(1)).await,
        Creation::Taken
    );
    let elsewhere = Place {
        tenant: "rival",
        ..HERE
    };
    assert_eq!(
        create(&sql, elsewhere, ("ann", &spec), at(1)).await,
        Creation::Done
    );
    assert_eq!(sql.agent_names(elsewhere, MANY).await.unwrap(), ["ann"]);
    let names = sql.agent_names(HERE, 2).await.unwrap();
    assert_eq!(names, ["agent_0", "agent_1"]);
    assert!(sql.delete_agent(HERE, "agent_7").await.unwrap());
    assert_eq!(
        create(&sql, HERE, ("ann", &spec), at(2)).await,
        Creation::Done
    );
}
