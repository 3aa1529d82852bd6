//! Agents by project: made, found, changed without losing anybody's change, removed.

use chrono::{DateTime, Utc};
use serde_json::json;
use store::{Place, Sql};

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000 + second, 0).unwrap()
}

const HERE: Place<'_> = Place {
    tenant: "acme",
    project: "default",
};

#[tokio::test]
async fn agents_live_in_their_project() {
    let sql = Sql::open("sqlite::memory:").await.unwrap();
    let spec = json!({ "greeting": "Hello." });
    assert!(sql.create_agent(HERE, "ann", &spec, at(0)).await.unwrap());
    assert!(
        !sql.create_agent(HERE, "ann", &json!({}), at(1))
            .await
            .unwrap()
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
        assert!(
            sql.create_agent(elsewhere, "ann", &json!({}), at(2))
                .await
                .unwrap()
        );
    }
    assert!(
        sql.create_agent(HERE, "Bob", &json!({}), at(3))
            .await
            .unwrap()
    );
    let names: Vec<String> = sql
        .list_agents(HERE)
        .await
        .unwrap()
        .into_iter()
        .map(|agent| agent.name)
        .collect();
    assert_eq!(names, ["Bob", "ann"]);
    assert!(sql.delete_agent(HERE, "ann").await.unwrap());
    assert!(!sql.delete_agent(HERE, "ann").await.unwrap());
}

#[tokio::test]
async fn of_two_changes_to_the_same_agent_one_is_told_to_look_again() {
    let sql = Sql::open("sqlite::memory:").await.unwrap();
    sql.create_agent(HERE, "ann", &json!({ "voice": "a" }), at(0))
        .await
        .unwrap();
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
