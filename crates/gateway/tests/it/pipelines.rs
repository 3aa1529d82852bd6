//! Pipelines of the operator's choice: who answers under which name, who takes over, whose key opens nothing.

use axum::Router;
use axum::http::StatusCode;
use futures_util::StreamExt as _;
use gateway::Config;
use gateway::config::{NamedPipeline, Provider, Secret};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::caller::Caller;
use crate::mind;
use crate::tools::on_this_machine;
use crate::world::{KEY, World};

const WRONG: &str = "sk-this-is-not-the-key";

fn add(config: &mut Config, name: &str, llm: &[&str]) {
    let list = |entries: &[&str]| entries.iter().map(|entry| (*entry).to_owned()).collect();
    let pipeline = NamedPipeline {
        stt: list(&["scripted"]),
        llm: list(llm),
        tts: list(&["scripted"]),
        ..NamedPipeline::default()
    };
    config.pipelines.insert(name.to_owned(), pipeline);
}

fn vendor(base_url: &str, api_key: Option<&str>) -> Provider {
    Provider {
        kind: Some("openai".to_owned()),
        base_url: Some(base_url.to_owned()),
        api_key: api_key.map(Secret::new),
        ..Provider::default()
    }
}

/// A vendor whom no key pleases.
async fn unpleasable() -> String {
    let refuse = || async {
        let error = json!({ "error": { "code": "invalid_api_key", "message": format!("bad key {WRONG}") } });
        (StatusCode::UNAUTHORIZED, axum::Json(error))
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/v1", listener.local_addr().unwrap());
    let router = Router::new().fallback(refuse);
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// The first event of a connection, and the close code where it ends there.
pub(crate) async fn first_event(world: &World, model: &str) -> Value {
    let path = format!("/v1/realtime?model={model}");
    let url = world.url(&path).replacen("http", "ws", 1);
    let mut request = url.into_client_request().unwrap();
    let key = format!("Bearer {KEY}").parse().unwrap();
    request.headers_mut().insert("authorization", key);
    let (mut socket, _) = connect_async(request).await.unwrap();
    let Some(Ok(Message::Text(text))) = socket.next().await else {
        panic!("no event")
    };
    serde_json::from_str(&text).unwrap()
}

fn text_only() -> Value {
    json!({ "type": "realtime", "output_modalities": ["text"],
        "audio": { "input": { "turn_detection": null } } })
}

/// What is answered in text to `words`.
async fn said(world: &World, model: &str, words: &str) -> String {
    let path = format!("/v1/realtime?model={model}");
    let mut caller = Caller::call(world, &path, &text_only()).await;
    let content = json!([{ "type": "input_text", "text": words }]);
    let item = json!({ "type": "message", "role": "user", "content": content });
    caller
        .send(&json!({ "type": "conversation.item.create", "item": item }))
        .await;
    caller.send(&json!({ "type": "response.create" })).await;
    let done = caller.until("response.done").await;
    let text = &done["response"]["output"][0]["content"][0]["text"];
    text.as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_pipeline_answers_under_its_name_and_as_the_default() {
    let address = mind::start().await;
    let world = World::start(|config| {
        config
            .providers
            .insert("mind".to_owned(), vendor(&address, None));
        add(config, "main", &["mind/some-model"]);
        add(config, "second", &["scripted"]);
        config.pipeline.name = "main".to_owned();
    })
    .await;
    for model in ["main", "gpt-realtime", "antiphon"] {
        assert_eq!(said(&world, model, "hello").await, mind::SHORT, "{model}");
    }
    assert_ne!(said(&world, "second", "hello").await, mind::SHORT);
    let models: Value = world
        .get("/v1/models")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let ids: Vec<&str> = models["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].as_str().unwrap())
        .collect();
    assert!(ids.contains(&"main") && ids.contains(&"second"), "{ids:?}");

    let refused = first_event(&world, "third").await;
    assert_eq!(refused["error"]["code"], "invalid_model");
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("main") && message.contains("second"),
        "{message}"
    );
}

#[tokio::test]
async fn whoever_is_away_is_replaced_and_metrics_show_it() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/v1", nobody.local_addr().unwrap());
    drop(nobody);
    let world = World::start(|config| {
        config
            .providers
            .insert("away".to_owned(), vendor(&address, None));
        add(config, "main", &["away", "scripted"]);
        config.pipeline.name = "main".to_owned();
    })
    .await;
    for _ in 0..6 {
        assert!(said(&world, "main", "hello").await.contains("hello"));
    }
    let metrics = world
        .get("/metrics")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    for line in [
        "antiphon_provider_failovers_total{stage=\"llm\",from=\"away\",to=\"scripted\"} 5",
        "antiphon_provider_resting{stage=\"llm\",provider=\"away\"} 1",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line} is missing in\n{metrics}"
        );
    }
}

#[tokio::test]
async fn a_wrong_key_is_told_before_the_session_begins_and_never_shown() {
    let address = unpleasable().await;
    let world = World::start(|config| {
        let wrong = vendor(&address, Some(WRONG));
        config.providers.insert("acme".to_owned(), wrong);
        add(config, "paid", &["acme/large"]);
        add(config, "safe", &["acme/large", "scripted"]);
    })
    .await;
    let refused = first_event(&world, "paid").await;
    assert_eq!(refused["type"], "error");
    assert_eq!(refused["error"]["code"], "provider_unauthorized");
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("acme") && message.contains("providers.acme.api_key"),
        "{message}"
    );
    assert!(!refused.to_string().contains("sk-"), "{refused}");
    // where somebody else can answer, somebody else does
    assert_eq!(first_event(&world, "safe").await["type"], "session.created");
    assert!(said(&world, "safe", "hello").await.contains("hello"));
}

#[tokio::test]
async fn an_agent_whose_model_takes_no_key_is_refused_before_its_servers_are_asked() {
    let address = unpleasable().await;
    let world = World::start(|config| {
        on_this_machine(config);
        let wrong = vendor(&address, Some(WRONG));
        config.providers.insert("acme".to_owned(), wrong);
        add(config, "paid", &["acme/large"]);
    })
    .await;
    let server = json!({ "type": "mcp", "server_label": "books", "server_url": address });
    let body = json!({ "name": "ann", "pipeline": "paid", "tools": [server] });
    let made = world.post("/v1/agents", &body).send().await.unwrap();
    assert_eq!(made.status().as_u16(), 201);
    let body = json!({ "model": "agent:ann", "messages": [{ "role": "user", "content": "hi" }] });
    let refused = world.post("/v1/chat/completions", &body).send();
    let refused: Value = refused.await.unwrap().json().await.unwrap();
    assert_eq!(
        refused["error"]["code"], "provider_unauthorized",
        "{refused}"
    );
    let metrics = world.get("/metrics").send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(
        !metrics.contains("antiphon_mcp_listings_total{"),
        "{metrics}"
    );
}
