//! Who answers at the voice socket: what users may ask for, what a client secret has stored, and a survey that is gone on with.

use serde_json::{Value, json};

use super::app::{App, server, start, token};
use crate::polled::mixed;
use crate::world::World;

async fn make_agent(world: &World, agent: &Value) {
    let made = world.post("/v1/agents", agent).send().await.unwrap();
    assert_eq!(made.status(), 201);
}

#[tokio::test]
async fn a_user_has_the_models_that_the_operator_offers() {
    let world = server(|config| config.voice.models = vec!["agent:ann".to_owned()]).await;
    for name in ["ann", "boss"] {
        make_agent(
            &world,
            &json!({ "name": name, "instructions": "Be brief." }),
        )
        .await;
    }
    let ask = |token: String, model: &str| {
        let mut first = start(&token);
        first["model"] = json!(model);
        first
    };
    for model in ["agent:boss", "agent:nobody", "another-pipeline"] {
        let mut app = App::open(&world).await;
        app.send(&ask(token(&world, "u1", 60), model)).await;
        let error = app.until("error").await;
        assert_eq!(error["code"], "INVALID_SESSION");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("voice.models"), "{message}");
        assert_eq!(app.until_closed().await.0, 4003);
    }
    for (token, model) in [
        (token(&world, "u1", 60), "agent:ann"),
        (token(&world, "u1", 60), "scripted"),
        // whoever has a key runs the app
        (crate::world::KEY.to_owned(), "agent:boss"),
    ] {
        let mut app = App::open(&world).await;
        app.send(&ask(token, model)).await;
        app.until("session_started").await;
    }
}

#[tokio::test]
async fn a_client_secret_s_session_is_the_one_that_was_stored_with_it() {
    let world = World::start(|_| {}).await;
    make_agent(
        &world,
        &json!({ "name": "ann", "instructions": "Be brief." }),
    )
    .await;
    let body = json!({ "session": { "type": "realtime", "model": "agent:ann" } });
    let secret = async || {
        let made = world.post("/v1/realtime/client_secrets", &body).send();
        let made: Value = made.await.unwrap().json().await.unwrap();
        made["value"].as_str().unwrap().to_owned()
    };
    let mut app = App::open(&world).await;
    app.send(&start(&secret().await)).await;
    app.until("session_started").await;
    let late = secret().await;
    let gone = world
        .request(reqwest::Method::DELETE, "/v1/agents/ann")
        .send()
        .await
        .unwrap();
    assert!(gone.status().is_success());
    let mut app = App::open(&world).await;
    app.send(&start(&late)).await;
    let error = app.until("error").await;
    assert_eq!(error["code"], "INVALID_SESSION");
    assert!(
        error["message"].as_str().unwrap().contains("ann"),
        "{error}"
    );
}

/// The answer to the first thing that is said, behind a greeting.
async fn first_answer(world: &World, user: &str) -> (String, String) {
    let mut app = App::call_in(world, user, "c1").await;
    app.speak().await;
    let answer = loop {
        let complete = app.until("ai_response_complete").await;
        let text = complete["text"].as_str().unwrap().to_owned();
        if text.starts_with("Thank you") || text.starts_with("I did not get that") {
            break text;
        }
    };
    let session = app.session_id();
    app.hang_up().await;
    (answer, session)
}

#[tokio::test]
async fn a_spoken_survey_begins_anew_in_a_conversation_that_goes_on() {
    let world = server(|config| {
        config.voice.model = Some("agent:pollster".to_owned());
        config.scripted.transcripts = vec!["Yes, I do.".to_owned()];
    })
    .await;
    let new = json!({ "id": "poll", "name": "Poll", "questions": mixed() });
    let made = world.post("/v1/surveys", &new).send().await.unwrap();
    assert_eq!(made.status(), 201);
    make_agent(&world, &json!({ "name": "pollster", "survey": "poll" })).await;
    let (answer, session) = first_answer(&world, "u1").await;
    assert!(answer.contains("Which colour?"), "{answer}");
    let sql = &world.app().store.sql;
    crate::redis_servers::until("what was said is kept", || async {
        let said = sql.voice_messages("default", &session).await.unwrap();
        said.iter().any(|line| line.role == "user")
    })
    .await;
    // what was answered in another session is no answer to the first question of this one
    let (again, _) = first_answer(&world, "u1").await;
    assert_eq!(again, answer);
}
