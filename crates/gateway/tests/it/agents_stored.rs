//! Agents as the database has them: rows that cannot be read, and as many as there may be.

use chrono::DateTime;
use gateway::audit::Actor;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use store::{Creation, Place, StoredAgent};

use crate::pipelines::first_event;
use crate::world::World;

/// Somebody at the command line does something now.
fn act(at: chrono::DateTime<chrono::Utc>) -> store::Act {
    Actor::command_line().act(at, "agent.create", "agent")
}

const HERE: Place<'_> = Place {
    tenant: "default",
    project: "default",
};

/// Puts an agent into the database as another version of this server might have.
async fn stored(world: &World, name: &str, spec: &Value) {
    let at = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
    let agent = StoredAgent {
        name: name.to_owned(),
        spec: spec.clone(),
        created_at: at,
        updated_at: at,
    };
    let sql = &world.app().store.sql;
    let made = sql
        .create_agent(HERE, &agent, 1000, &act(agent.created_at))
        .await
        .unwrap();
    assert_eq!(made, Creation::Done);
}

async fn get(world: &World, path: &str) -> (StatusCode, Value) {
    let response = world.get(path).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

#[tokio::test]
async fn an_agent_that_cannot_be_read_leaves_the_others_alone_and_says_what_to_do() {
    let world = World::start(|_| {}).await;
    stored(&world, "old", &json!({ "telepathy": true })).await;
    stored(&world, "ann", &json!({ "instructions": "say: I am Ann." })).await;
    let (status, models) = get(&world, "/v1/models").await;
    assert_eq!(status, StatusCode::OK, "{models}");
    assert!(models.to_string().contains("agent:ann"), "{models}");
    let (status, agents) = get(&world, "/v1/agents").await;
    assert_eq!(status, StatusCode::OK, "{agents}");
    let [ann] = agents["data"].as_array().unwrap().as_slice() else {
        panic!("{agents}");
    };
    assert_eq!(ann["name"], "ann");

    let told = |error: &Value| {
        assert_eq!(error["code"], "agent_unreadable", "{error}");
        assert_eq!(error["type"], "server_error", "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("Agent 'old'"), "{error}");
        assert!(message.contains("DELETE /v1/agents/old"), "{error}");
    };
    for path in ["/v1/agents/old", "/v1/models/agent:old"] {
        let (status, answer) = get(&world, path).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{answer}");
        told(&answer["error"]);
    }
    told(&first_event(&world, "agent:old").await["error"]);
    let gone = world.request(Method::DELETE, "/v1/agents/old").send();
    assert_eq!(gone.await.unwrap().status(), StatusCode::OK);
    let made = world.post("/v1/agents", &json!({ "name": "old" })).send();
    assert_eq!(made.await.unwrap().status(), StatusCode::CREATED);
}

#[tokio::test]
async fn a_project_that_is_full_takes_no_agent_more_and_names_some_of_those_it_has() {
    let world = World::start(|_| {}).await;
    for n in 0..1000 {
        stored(&world, &format!("agent_{n:03}"), &json!({})).await;
    }
    let refused = world.post("/v1/agents", &json!({ "name": "ann" })).send();
    let refused = refused.await.unwrap();
    assert_eq!(refused.status(), StatusCode::CONFLICT);
    let error = refused.json::<Value>().await.unwrap()["error"].take();
    assert_eq!(error["code"], "too_many_agents");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("1000") && message.contains("DELETE"),
        "{message}"
    );
    let (_, models) = get(&world, "/v1/models").await;
    assert_eq!(models.to_string().matches("agent:").count(), 1000);

    let refused = first_event(&world, "agent:ann").await;
    assert_eq!(refused["error"]["code"], "agent_not_found");
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("agent_000, "), "{message}");
    assert!(message.contains("agent_019 and 980 more"), "{message}");
    assert!(!message.contains("agent_020"), "{message}");
    let gone = world.request(Method::DELETE, "/v1/agents/agent_500").send();
    assert_eq!(gone.await.unwrap().status(), StatusCode::OK);
    let made = world.post("/v1/agents", &json!({ "name": "ann" })).send();
    assert_eq!(made.await.unwrap().status(), StatusCode::CREATED);
}
