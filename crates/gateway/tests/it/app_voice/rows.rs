//! The rows of sessions: written as they happen, every column, and read again when a conversation goes on.

use serde_json::{Value, json};
use store::Sql;
use store::{VoiceSession, VoiceUsage};

use super::app::{App, server, start, token};
use crate::redis_servers::until;

/// Prices of the original's formula, per unit.
const STT_MINUTE: f64 = 0.0043;

async fn written(sql: &Sql, session: &str) -> (VoiceSession, VoiceUsage) {
    until("the session is stored to its end", || async {
        let found = sql.voice_session("default", session).await.unwrap();
        found.is_some_and(|(row, _)| row.end_time.is_some())
    })
    .await;
    sql.voice_session("default", session)
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn a_session_leaves_its_rows_with_every_column_filled() {
    let world = server(|config| {
        config.scripted.transcripts = vec!["say: Good morning to you. I am well.".to_owned()];
    })
    .await;
    let mut app = App::call_in(&world, "u1", "c1").await;
    app.turn().await;
    let session = app.session_id();
    let sql = world.app().store.sql.clone();
    // while it runs: what was said and what it cost are there already
    until("the turn is stored", || async {
        let said = sql.voice_messages("default", &session).await.unwrap();
        let row = sql.voice_session("default", &session).await.unwrap();
        said.len() == 2
            && row.is_some_and(|(row, _)| row.total_micros > 0 && row.end_time.is_none())
    })
    .await;
    app.turn().await;
    app.hang_up().await;
    let (row, usage) = written(&sql, &session).await;
    assert_eq!(
        (row.user_id.as_str(), row.conversation_id.as_deref()),
        ("u1", Some("c1"))
    );
    assert_eq!((row.status.as_str(), row.error_count), ("ended", 0));
    assert!(row.session.starts_with("sess_"));
    assert_eq!(row.stt_requests, 2);
    // true time: two utterances of 1.8 s and the silence around them
    assert!((2_000..9_000).contains(&row.stt_duration_ms), "{row:?}");
    assert!(
        row.llm_tokens_input > 0 && row.llm_tokens_output > 0,
        "{row:?}"
    );
    let characters = row.tts_characters / 2;
    assert!(
        (30..=31).contains(&characters),
        "both sentences, twice: {row:?}"
    );
    assert!(row.total_latency_ms >= row.llm_latency_ms, "{row:?}");
    assert!(
        row.duration_ms > 0 && row.end_time.unwrap() >= row.start_time,
        "{row:?}"
    );
    let by_formula = row.stt_duration_ms as f64 / 60_000.0 * STT_MINUTE
        + row.llm_tokens_input as f64 / 1e6 * 0.25
        + row.llm_tokens_output as f64 / 1e6 * 1.25
        + row.tts_characters as f64 / 1e6 * 15.0;
    assert!(
        (row.total_micros as f64 / 1e6 - by_formula).abs() < 2e-6,
        "{by_formula} {row:?}"
    );
    let parts = row.stt_micros + row.llm_micros + row.tts_micros;
    assert!((row.total_micros - parts).abs() <= 2, "{row:?}");
    let client: Value = serde_json::from_str(&row.client_info).unwrap();
    assert!(client.get("user_agent").is_some());
    assert_eq!(
        usage.tokens_used,
        row.llm_tokens_input + row.llm_tokens_output
    );
    assert_eq!(
        (usage.cost_micros, usage.tier.as_str()),
        (row.total_micros, "enterprise")
    );
    let metadata: Value = serde_json::from_str(&usage.metadata).unwrap();
    assert_eq!(metadata["stt_duration_ms"], row.stt_duration_ms);
    assert_eq!(metadata["conversation_id"], "c1");
    let said = sql.voice_messages("default", &session).await.unwrap();
    let roles: Vec<_> = said.iter().map(|it| it.role.as_str()).collect();
    assert_eq!(roles, ["user", "assistant", "user", "assistant"]);
    assert_eq!(said[1].content, "Good morning to you. I am well.");
    let metadata: Value = serde_json::from_str(&said[0].metadata).unwrap();
    assert_eq!(
        (&metadata["voice_call"], &metadata["session_id"]),
        (&json!(true), &json!(session))
    );
    assert!(metadata["confidence"].as_f64().unwrap() > 0.9, "{metadata}");
}

#[tokio::test]
async fn a_conversation_goes_on_where_it_was_and_is_nobody_else_s() {
    let world = server(|config| {
        config.scripted.transcripts = vec!["say: The code is seven.".to_owned()];
    })
    .await;
    let mut app = App::call_in(&world, "u1", "c1").await;
    app.turn().await;
    let session = app.session_id();
    app.hang_up().await;
    written(&world.app().store.sql, &session).await;
    let mut app = App::call_in(&world, "u1", "c1").await;
    app.turn().await;
    let again = app.session_id();
    app.hang_up().await;
    // what is read before the second turn is the first one as well
    let (row, _) = written(&world.app().store.sql, &again).await;
    let (first, _) = written(&world.app().store.sql, &session).await;
    assert!(
        row.llm_tokens_input > first.llm_tokens_input,
        "{row:?} {first:?}"
    );
    let mut stranger = App::open(&world).await;
    let mut wanted = start(&token(&world, "u2", 60));
    wanted["conversationId"] = json!("c1");
    stranger.send(&wanted).await;
    let error = stranger.until("error").await;
    assert_eq!(error["message"], "Conversation not found");
    assert_eq!(stranger.until_closed().await.0, 4003);
}
