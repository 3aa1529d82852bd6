//! Calls of an app that a speech-to-speech model holds: heard, answered, paid for as all others.

use gateway::config::{NamedPipeline, Provider, Secret};

use super::app::{App, server, sound};
use crate::redis_servers::until;
use crate::upstream::{Upstream, answer, openai_realtime};
use crate::world::World;

/// A server whose apps talk to `fake`.
async fn world(fake: &Upstream, change: impl FnOnce(&mut gateway::Config)) -> World {
    server(|config| {
        let provider = Provider {
            kind: Some("openai_realtime".to_owned()),
            base_url: Some(fake.base_url.clone()),
            api_key: Some(Secret::new(crate::upstream::KEY)),
            ..Provider::default()
        };
        config
            .providers
            .insert("openai-realtime".to_owned(), provider);
        let pipeline = NamedPipeline {
            duplex: vec!["openai-realtime".to_owned()],
            ..NamedPipeline::default()
        };
        config.pipelines.insert("live".to_owned(), pipeline);
        config.voice.model = Some("live".to_owned());
        change(config);
    })
    .await
}

#[tokio::test]
async fn a_model_that_hears_and_speaks_holds_the_call() {
    let fake = openai_realtime::start().await;
    fake.plays(&[answer("we open at nine"), answer("you are welcome")]);
    let world = world(&fake, |_| {}).await;
    let mut app = App::call_in(&world, "u1", "c1").await;
    for words in ["we open at nine", "you are welcome"] {
        let complete = app.turn().await;
        // as the model says it, with a space behind each word
        assert_eq!(complete["text"].as_str().unwrap().trim(), words);
    }
    // the sound of it, in both dialects, in order over the whole call
    let spoken = app.all("tts_audio");
    let chunks = app.all("audio_chunk");
    assert_eq!(spoken.len(), chunks.len());
    assert!(spoken.len() >= 2, "{:?}", app.kinds());
    for (at, (spoken, chunk)) in spoken.iter().zip(&chunks).enumerate() {
        assert_eq!(chunk["sentenceIndex"], at);
        assert_eq!(spoken["audio"], chunk["audio"]);
        assert!(!sound(chunk).is_empty());
    }
    // it has heard what was said: the caller's sound at the rate that it takes
    let heard = fake.world.with(|state| state.heard.len());
    let said = super::app::speech().len() / 2 * 3;
    assert!(
        heard > said / 2,
        "{heard} bytes of {said} and as much again"
    );
    let session = app.session_id();
    app.hang_up().await;
    let sql = &world.app().store.sql;
    until("the rows are written", || async {
        let row = sql.voice_session("default", &session).await.unwrap();
        let said = sql.voice_messages("default", &session).await.unwrap();
        row.is_some_and(|(row, _)| row.end_time.is_some() && row.total_micros > 0)
            && said.iter().filter(|it| it.role == "assistant").count() == 2
    })
    .await;
    fake.is_content();
}

#[tokio::test]
async fn a_call_that_a_model_holds_by_itself_ends_with_its_budget() {
    let fake = openai_realtime::start().await;
    fake.plays(&[
        answer("one"),
        answer("two"),
        answer("three"),
        answer("four"),
    ]);
    let world = world(&fake, |config| config.voice.session_budget_cents = 1).await;
    let mut app = App::call(&world, "u1").await;
    let mut turns = 0;
    let closed = loop {
        app.speak().await;
        let message = app.until_either("ai_response_complete", "error").await;
        if message["type"] == "error" {
            assert_eq!(message["code"], "BUDGET_EXCEEDED", "{message}");
            break app.until_closed().await;
        }
        turns += 1;
        assert!(turns < 4, "{:?}", app.kinds());
    };
    assert_eq!(closed, (4009, "Budget exceeded".to_owned()));
}
