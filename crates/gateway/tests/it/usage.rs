//! What a conversation used and what that costs: by turn, by provider, in all; never nothing where a price is missing.

use std::collections::BTreeMap;

use gateway::audit::Actor;
use gateway::auth::{NewKey, Scope, Scopes};
use gateway::config::{NamedPipeline, Provider};
use reqwest::Method;
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::mind;
use crate::world::World;

/// A server whose default pipeline thinks with this entry, behind which `mind` answers.
async fn world(entry: &str) -> World {
    let address = mind::start().await;
    World::start(|config| {
        let provider = Provider {
            kind: Some("openai".to_owned()),
            base_url: Some(address),
            ..Provider::default()
        };
        let name = entry.split('/').next().unwrap();
        config.providers = BTreeMap::from([(name.to_owned(), provider)]);
        let pipeline = NamedPipeline {
            stt: vec!["scripted".to_owned()],
            llm: vec![entry.to_owned()],
            tts: vec!["scripted".to_owned()],
            ..NamedPipeline::default()
        };
        config.pipelines.insert("main".to_owned(), pipeline);
        config.pipeline.name = "main".to_owned();
    })
    .await
}

async fn usage(world: &World, session: &str) -> Value {
    let path = format!("/v1/sessions/{session}/usage");
    world.get(&path).send().await.unwrap().json().await.unwrap()
}

/// Characters of its answer that are spoken: all but the spaces between its three pieces.
fn aloud() -> usize {
    mind::SHORT.chars().count() - 2
}

fn spoken() -> Value {
    json!({ "type": "realtime", "audio": { "input": { "turn_detection": null } } })
}

/// Asks by voice, and waits for the answer's end; the response's id.
async fn ask(caller: &mut Caller) -> String {
    caller.append(&vec![0; 24_000]).await;
    caller
        .send(&json!({ "type": "input_audio_buffer.commit" }))
        .await;
    caller.send(&json!({ "type": "response.create" })).await;
    let done = caller.until("response.done").await;
    done["response"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_conversation_is_counted_by_turn_and_by_provider() {
    let world = world("openai/gpt-4o-mini").await;
    let mut caller = Caller::call(&world, "/v1/realtime?model=main", &spoken()).await;
    let session = caller.session_id().to_owned();
    let first = ask(&mut caller).await;
    let second = ask(&mut caller).await;
    let seen = usage(&world, &session).await;
    assert_eq!(seen["object"], "session.usage");
    assert_eq!(
        (&seen["model"], &seen["pipeline"]),
        (&json!("main"), &json!("main"))
    );
    // 0.15 and 0.60 dollars a million
    let language = &seen["providers"][0];
    assert_eq!(language["provider"], "openai", "{seen}");
    assert_eq!(language["model"], "gpt-4o-mini");
    assert_eq!(language["units"]["input_tokens"], 2 * mind::READ);
    assert_eq!(language["units"]["output_tokens"], 2 * mind::WRITTEN);
    assert_eq!(language["units"]["estimated"], false);
    let pico = 2 * (mind::READ * 150_000 + mind::WRITTEN * 600_000);
    let cost = (pico + 500_000) / 1_000_000;
    assert_eq!(seen["cost_micro_dollars"], cost);
    let stages: Vec<&str> = seen["providers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["stage"].as_str().unwrap())
        .collect();
    assert_eq!(stages, ["llm", "stt", "tts"]);
    let heard = seen["units"]["audio_ms"].as_u64().unwrap();
    assert!((1_980..=2_000).contains(&heard), "{heard}");
    assert_eq!(seen["units"]["characters"], 2 * aloud(), "{seen}");
    let turns = seen["turns"].as_array().unwrap();
    assert_eq!(turns.len(), 2, "{seen}");
    assert_eq!(turns[0]["response_id"], json!(first));
    assert_eq!(turns[1]["response_id"], json!(second));
    for turn in turns {
        assert_eq!(turn["units"]["input_tokens"], mind::READ);
        let heard = turn["units"]["audio_ms"].as_u64().unwrap();
        assert!((990..=1_000).contains(&heard), "{heard}");
        assert_eq!(turn["units"]["characters"], aloud());
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
        format!(
            "antiphon_provider_units_total{{stage=\"llm\",provider=\"openai\",unit=\"output_tokens\"}} {}",
            2 * mind::WRITTEN
        ),
        format!(
            "antiphon_provider_units_total{{stage=\"stt\",provider=\"scripted\",unit=\"audio_ms\"}} {heard}"
        ),
    ] {
        assert!(metrics.contains(&line), "{line}\n{metrics}");
    }

    // it is still known after the session, and nobody else sees it
    caller.hang_up().await;
    assert_eq!(usage(&world, &session).await["cost_micro_dollars"], cost);
    let path = format!("/v1/sessions/{session}/usage");
    let refused = world.anonymous(Method::GET, &path).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    let missing = world
        .get("/v1/sessions/sess_nobody/usage")
        .send()
        .await
        .unwrap();
    assert_eq!(missing.status(), 404);
}

#[tokio::test]
async fn a_model_without_a_price_makes_the_cost_null() {
    let world = world("mine/some-model").await;
    let mut caller = Caller::call(&world, "/v1/realtime?model=main", &spoken()).await;
    let session = caller.session_id().to_owned();
    ask(&mut caller).await;
    let seen = usage(&world, &session).await;
    assert_eq!(seen["cost_micro_dollars"], Value::Null);
    assert_eq!(seen["turns"][0]["cost_micro_dollars"], Value::Null);
    let known = seen["providers"].as_array().unwrap().iter();
    let costs: Vec<&Value> = known.map(|line| &line["cost_micro_dollars"]).collect();
    assert_eq!(costs, [&Value::Null, &json!(0), &json!(0)], "{seen}");
    let metrics = world
        .get("/metrics")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let line = "antiphon_provider_unpriced_total{stage=\"llm\",provider=\"mine\"} 1";
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn a_key_that_only_pays_may_read_usage_and_one_that_only_administers_may_not() {
    let world = world("openai/gpt-4o-mini").await;
    let caller = Caller::call(&world, "/v1/realtime?model=main", &spoken()).await;
    let path = format!("/v1/sessions/{}/usage", caller.session_id());
    for (scope, status) in [(Scope::BillingRead, 200), (Scope::TenantAdmin, 403)] {
        let new = NewKey {
            tenant: "default".to_owned(),
            project: "default".to_owned(),
            name: "books".to_owned(),
            scopes: [scope].into_iter().collect::<Scopes>(),
            expires_at: None,
        };
        let key = world
            .app()
            .keys
            .create(&new, &Actor::command_line())
            .await
            .unwrap()
            .text;
        let read = world
            .anonymous(Method::GET, &path)
            .bearer_auth(key.reveal());
        assert_eq!(read.send().await.unwrap().status(), status);
    }
}
