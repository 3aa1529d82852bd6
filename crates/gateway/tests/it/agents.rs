//! Agents: made over REST or found in files, asked for by name on every channel, changed without a restart.

use gateway::audit::Actor;
use gateway::auth::{NewKey, Scope, Scopes};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::pipelines::first_event;
use crate::world::World;

async fn json_of(response: reqwest::Response) -> Value {
    response.json().await.unwrap()
}

async fn make(world: &World, body: &Value) -> (StatusCode, Value) {
    let response = world.post("/v1/agents", body).send().await.unwrap();
    (response.status(), json_of(response).await)
}

/// What an agent answers to `words`, in text, and the session's first event.
async fn said(world: &World, agent: &str, words: &str) -> (String, Value) {
    let path = format!("/v1/realtime?model=agent:{agent}");
    let text = json!({ "type": "realtime", "output_modalities": ["text"] });
    let mut caller = Caller::call(world, &path, &text).await;
    let created = caller.events[0].clone();
    caller.write(words).await;
    let done = caller.until("response.done").await;
    let text = &done["response"]["output"][0]["content"][0]["text"];
    (text.as_str().unwrap_or_default().to_owned(), created)
}

#[tokio::test]
async fn an_agent_is_made_asked_changed_and_removed() {
    let world = World::start(|_| {}).await;
    let (status, made) = make(
        &world,
        &json!({ "name": "ann", "instructions": "say: I am Ann.", "voice": "coral",
            "turn_detection": { "type": "semantic_vad", "eagerness": "high" } }),
    )
    .await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert_eq!(
        (&made["object"], &made["source"]),
        (&json!("agent"), &json!("api"))
    );
    let (answer, created) = said(&world, "ann", "who are you?").await;
    assert_eq!(answer, "I am Ann.");
    let session = &created["session"];
    assert_eq!(session["model"], "agent:ann");
    assert_eq!(session["audio"]["output"]["voice"], "coral");
    assert_eq!(
        session["audio"]["input"]["turn_detection"]["eagerness"],
        "high"
    );

    // a change counts for the next session, and only where it was made
    let change = json!({ "instructions": "say: I am Ann, changed.", "voice": null });
    let changed = world.post("/v1/agents/ann", &change).send().await.unwrap();
    assert_eq!(changed.status(), StatusCode::OK);
    let changed = json_of(changed).await;
    assert_eq!(changed["voice"], Value::Null);
    assert_eq!(changed["turn_detection"]["eagerness"], "high");
    let (answer, _) = said(&world, "ann", "who are you?").await;
    assert_eq!(answer, "I am Ann, changed.");

    let listed = json_of(world.get("/v1/agents").send().await.unwrap()).await;
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    let models = world
        .get("/v1/models")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(models.contains("agent:ann"), "{models}");
    let model = world.get("/v1/models/agent:ann").send().await.unwrap();
    assert_eq!(model.status(), StatusCode::OK);

    let taken = make(&world, &json!({ "name": "ann" })).await;
    assert_eq!(
        (taken.0, &taken.1["error"]["code"]),
        (StatusCode::CONFLICT, &json!("agent_exists"))
    );
    let gone = world
        .request(Method::DELETE, "/v1/agents/ann")
        .send()
        .await
        .unwrap();
    assert_eq!(json_of(gone).await["deleted"], true);
    let missing = world.get("/v1/agents/ann").send().await.unwrap();
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert_eq!(json_of(missing).await["error"]["code"], "agent_not_found");
}

#[tokio::test]
async fn an_agent_that_cannot_be_is_refused_with_the_field() {
    let world = World::start(|_| {}).await;
    let http = |change: Value| {
        let mut tool = json!({ "type": "http", "name": "look", "url": "https://example.org/look" });
        tool.as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        json!({ "name": "x", "tools": [tool] })
    };
    for (body, param) in [
        (json!({ "name": "no spaces" }), "name"),
        (json!({ "name": "x", "pipeline": "nowhere" }), "pipeline"),
        (json!({ "name": "x", "voice": 7 }), ""),
        (
            json!({ "name": "x", "turn_detection": { "type": "telepathy" } }),
            "turn_detection.type",
        ),
        (http(json!({ "url": "ftp://example.org" })), "tools[0].url"),
        (http(json!({ "url": "https://{host}/" })), "tools[0].url"),
        (
            http(json!({ "url": "https://ann:pass@example.org/" })),
            "tools[0].url",
        ),
        (http(json!({ "secret": "(hidden)" })), "tools[0].secret"),
        (
            http(json!({ "headers": { "x-key": "(hidden)" } })),
            "tools[0].headers.x-key",
        ),
        (
            http(json!({ "filler_after_ms": 60_001 })),
            "tools[0].filler_after_ms",
        ),
        (
            json!({ "name": "x", "limits": { "max_duration_s": 0 } }),
            "limits.max_duration_s",
        ),
        (json!({ "name": "x", "voice": " " }), "voice"),
        (
            json!({ "name": "x", "voice": "nobody-has-this-voice" }),
            "voice",
        ),
        (json!({ "name": "x", "language": "" }), "language"),
        (
            json!({ "name": "x", "language": "x".repeat(65) }),
            "language",
        ),
        (
            http(json!({ "url": "http://127.0.0.1:9/" })),
            "tools[0].url",
        ),
        (
            http(json!({ "url": "http://[::ffff:169.254.169.254]/" })),
            "tools[0].url",
        ),
        (http(json!({ "name": "no spaces" })), "tools[0].name"),
        (
            http(json!({ "parameters": { "type": "nothing" } })),
            "tools[0].parameters",
        ),
        (
            http(json!({ "headers": { "bad header": "x" } })),
            "tools[0].headers",
        ),
        (http(json!({ "timeout_ms": 0 })), "tools[0].timeout_ms"),
        (
            json!({ "name": "x", "tools": [{ "type": "end_call" }, { "type": "end_call" }] }),
            "tools[1].name",
        ),
        (
            json!({ "name": "x", "tools": [{ "type": "reason", "pipeline": "nowhere" }] }),
            "tools[0].pipeline",
        ),
    ] {
        let (status, refused) = make(&world, &body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body} {refused}");
        let told = refused["error"]["param"].as_str().unwrap_or_default();
        assert_eq!(told, param, "{refused}");
    }
    let listed = json_of(world.get("/v1/agents").send().await.unwrap()).await;
    assert_eq!(listed["data"], json!([]));
}

#[tokio::test]
async fn secrets_are_kept_and_never_shown() {
    let world = World::start(|_| {}).await;
    let tool = json!({ "type": "http", "name": "look", "url": "https://example.org/look",
        "secret": "whsec_c2VjcmV0", "headers": { "x-key": "s3cret" } });
    let (_, made) = make(&world, &json!({ "name": "ann", "tools": [tool] })).await;
    assert_eq!(made["tools"][0]["secret"], "(hidden)");
    assert_eq!(made["tools"][0]["headers"]["x-key"], "(hidden)");
    // what was read is written back: the secret is still the old one
    let mut tools = made["tools"].clone();
    tools[0]["description"] = json!("Looks.");
    let change = json!({ "tools": tools });
    let changed = world.post("/v1/agents/ann", &change).send().await.unwrap();
    assert_eq!(changed.status(), StatusCode::OK);
    let here = store::Place {
        tenant: "default",
        project: "default",
    };
    let stored = world.app().agents.find(here, "ann").await.unwrap();
    let stored = serde_json::to_value(&stored.spec).unwrap();
    assert_eq!(stored["tools"][0]["secret"], "whsec_c2VjcmV0");
    assert_eq!(stored["tools"][0]["description"], "Looks.");

    // the whole agent as it was read, with another path on the same server
    let mut whole = json_of(world.get("/v1/agents/ann").send().await.unwrap()).await;
    whole["tools"][0]["url"] = json!("https://example.org:443/elsewhere");
    let changed = world.post("/v1/agents/ann", &whole).send().await.unwrap();
    assert_eq!(changed.status(), StatusCode::OK);
    // a secret does not go to another server without being sent again
    for address in ["https://evil.example/look", "http://example.org/look"] {
        whole["tools"][0]["url"] = json!(address);
        let refused = world.post("/v1/agents/ann", &whole).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
        let refused = json_of(refused).await;
        assert_eq!(refused["error"]["param"], "tools[0].headers.x-key");
    }
    let renamed = world.post("/v1/agents/ann", &json!({ "name": "eve" }));
    let renamed = json_of(renamed.send().await.unwrap()).await;
    assert_eq!(renamed["error"]["param"], "name");
}

#[tokio::test]
async fn only_keys_that_administer_may_see_and_change_agents() {
    let world = World::start(|_| {}).await;
    make(&world, &json!({ "name": "ann" })).await;
    let new = NewKey {
        tenant: "default".to_owned(),
        project: "default".to_owned(),
        name: "browser".to_owned(),
        scopes: [Scope::RealtimeConnect].into_iter().collect::<Scopes>(),
        expires_at: None,
    };
    let key = world
        .app()
        .keys
        .create(&new, &Actor::command_line())
        .await
        .unwrap()
        .text;
    let refused = [
        (Method::POST, "/v1/agents"),
        (Method::POST, "/v1/agents/ann"),
        (Method::DELETE, "/v1/agents/ann"),
    ];
    for (method, path) in refused {
        let request = world
            .anonymous(method.clone(), path)
            .bearer_auth(key.reveal());
        let answer = request
            .json(&json!({ "name": "eve" }))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{method} {path}");
    }
    // instructions are not everybody's business either; names are
    for (path, status) in [
        ("/v1/agents", StatusCode::FORBIDDEN),
        ("/v1/agents/ann", StatusCode::FORBIDDEN),
        ("/v1/models/agent:ann", StatusCode::OK),
    ] {
        let shown = world.anonymous(Method::GET, path).bearer_auth(key.reveal());
        assert_eq!(shown.send().await.unwrap().status(), status, "{path}");
    }
    let new = NewKey {
        scopes: [Scope::TenantAdmin].into_iter().collect::<Scopes>(),
        ..new
    };
    let key = world
        .app()
        .keys
        .create(&new, &Actor::command_line())
        .await
        .unwrap()
        .text;
    let shown = world
        .anonymous(Method::GET, "/v1/agents/ann")
        .bearer_auth(key.reveal());
    assert_eq!(shown.send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn an_agent_in_a_file_answers_and_a_saved_file_counts_at_once() {
    let world = World::start(|config| {
        let dir = config.agents_dir();
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("bob.toml"), "instructions = \"say: I am Bob.\"").unwrap();
    })
    .await;
    assert_eq!(said(&world, "bob", "who?").await.0, "I am Bob.");
    let file = world.app().config.agents_dir().join("bob.toml");
    std::fs::write(&file, "instructions = \"say: I am Bob, saved again.\"").unwrap();
    // file systems tell times coarsely
    let opened = std::fs::File::options().write(true).open(&file).unwrap();
    let saved = opened.metadata().unwrap().modified().unwrap();
    let later = saved + std::time::Duration::from_secs(5);
    opened.set_modified(later).unwrap();
    assert_eq!(
        said(&world, "bob", "who?").await.0,
        "I am Bob, saved again."
    );
    let change = json!({ "voice": "coral" });
    let refused = world.post("/v1/agents/bob", &change).send().await.unwrap();
    assert_eq!(json_of(refused).await["error"]["code"], "agent_in_file");
    // a project's own agent comes before a file's
    let (status, _) = make(
        &world,
        &json!({ "name": "bob", "instructions": "say: I am another Bob." }),
    )
    .await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(said(&world, "bob", "who?").await.0, "I am another Bob.");
}

#[tokio::test]
async fn a_broken_file_keeps_the_server_from_starting_and_names_itself() {
    let folder = tempfile::tempdir().unwrap();
    let config = crate::world::config(&folder);
    let dir = config.agents_dir();
    std::fs::create_dir_all(&dir).unwrap();
    for (text, told) in [
        ("instruction = 1", "instruction"),
        ("turn_detection = { type = \"telepathy\" }", "telepathy"),
    ] {
        std::fs::write(dir.join("bob.toml"), text).unwrap();
        let refused = gateway::Server::start(config.clone()).await.unwrap_err();
        assert!(refused.is_bad_configuration());
        let source = std::error::Error::source(&refused).unwrap().to_string();
        assert!(
            source.contains("bob.toml") && source.contains(told),
            "{source}"
        );
    }
}

#[tokio::test]
async fn an_unknown_agent_is_refused_with_those_there_are() {
    let world = World::start(|_| {}).await;
    let refused = first_event(&world, "agent:eve").await;
    assert_eq!(refused["error"]["code"], "agent_not_found");
    assert!(
        refused["error"]["message"]
            .as_str()
            .unwrap()
            .contains("POST /v1/agents")
    );
    make(&world, &json!({ "name": "ann" })).await;
    let refused = first_event(&world, "agent:eve").await;
    assert!(
        refused["error"]["message"]
            .as_str()
            .unwrap()
            .contains("there are ann"),
        "{refused}"
    );
    let body = json!({ "model": "agent:eve", "messages": [{ "role": "user", "content": "hi" }] });
    let refused = world
        .post("/v1/chat/completions", &body)
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_agent_greets_first_and_its_conversation_has_its_own_limit() {
    let world = World::start(|_| {}).await;
    make(
        &world,
        &json!({ "name": "ann", "greeting": "Hello, this is Ann.", "limits": { "max_duration_s": 120 },
            "turn_detection": "none", "language": "de" }),
    )
    .await;
    let session = json!({ "type": "realtime" });
    let mut caller = Caller::call(&world, "/v1/realtime?model=agent:ann", &session).await;
    let done = caller.until("response.done").await;
    let content = &done["response"]["output"][0]["content"][0];
    assert_eq!(content["transcript"], "Hello, this is Ann.");
    assert!(!caller.heard(&done["response"]["id"]).is_empty());
    let created = &caller.events[0]["session"];
    assert_eq!(created["audio"]["input"]["turn_detection"], Value::Null);
    let left = created["expires_at"].as_i64().unwrap() - world.app().clock.unix_s();
    assert!((100..=120).contains(&left), "{left}");
}

#[tokio::test]
async fn a_client_secret_can_be_made_for_an_agent() {
    let world = World::start(|_| {}).await;
    make(
        &world,
        &json!({ "name": "ann", "instructions": "say: I am Ann." }),
    )
    .await;
    let body = json!({ "session": { "type": "realtime", "model": "agent:ann", "output_modalities": ["text"] } });
    let secret = world
        .post("/v1/realtime/client_secrets", &body)
        .send()
        .await
        .unwrap();
    let secret = json_of(secret).await;
    let value = secret["value"].as_str().unwrap();
    let mut caller = Caller::call_with(
        &world,
        "/v1/realtime",
        value,
        &json!({ "type": "realtime" }),
    )
    .await;
    caller.write("who?").await;
    let done = caller.until("response.done").await;
    assert_eq!(
        done["response"]["output"][0]["content"][0]["text"],
        "I am Ann."
    );
}

#[tokio::test]
async fn an_agent_answers_chat_completions() {
    let world = World::start(|_| {}).await;
    make(
        &world,
        &json!({ "name": "ann", "instructions": "say: I am Ann." }),
    )
    .await;
    let body = json!({ "model": "agent:ann", "messages": [{ "role": "user", "content": "who?" }] });
    let answer = world
        .post("/v1/chat/completions", &body)
        .send()
        .await
        .unwrap();
    let answer = json_of(answer).await;
    assert_eq!(
        answer["choices"][0]["message"]["content"], "I am Ann.",
        "{answer}"
    );
    assert_eq!(answer["model"], "agent:ann");
}
