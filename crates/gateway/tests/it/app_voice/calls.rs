//! Calls: what an app says and hears from `session_start` to `session_end`.

use engine::audio::wav;
use serde_json::json;

use super::app::{App, server, sound, start, token};
use crate::world::World;

/// What the caller says, which says what is answered.
const WORDS: &str = "say: Good morning to you. I am well, thank you. And how are you today?";

async fn talking(words: &str) -> World {
    server(|config| config.scripted.transcripts = vec![words.to_owned()]).await
}

#[tokio::test]
async fn a_call_goes_through_its_phases_and_speaks_both_dialects() {
    let world = talking(WORDS).await;
    let mut app = App::call(&world, "u1").await;
    let partial = app.speak_and_pause().await;
    assert_eq!(partial["text"], WORDS);
    app.until("ai_response_complete").await;
    app.until("status").await;
    app.turn().await;
    app.until("status").await;
    let statuses = [
        "listening",
        "transcribing",
        "thinking",
        "speaking",
        "listening",
    ];
    assert_eq!(app.statuses()[..5], statuses);
    assert_eq!(app.statuses()[5..], statuses[1..]);
    let kinds = app.kinds();
    for kind in [
        "connected",
        "session_started",
        "audio_received",
        "partial_transcript",
        "final_transcript",
        "ai_thinking",
        "ai_response_chunk",
        "tts_audio",
        "audio_chunk",
        "ai_response_complete",
    ] {
        assert!(kinds.contains(&kind), "{kind} in {kinds:?}");
    }
    let transcript = app.all("final_transcript")[0];
    assert_eq!(transcript["text"], WORDS);
    let confidence = transcript["confidence"].as_f64().unwrap();
    assert!((0.9..1.0).contains(&confidence), "{confidence}");
    let complete = app.all("ai_response_complete")[0];
    assert_eq!(complete["text"], WORDS.strip_prefix("say: ").unwrap());
    assert_eq!(complete["interrupted"], false);
    // deltas add up, and each has what was said so far
    let mut so_far = String::new();
    for chunk in app.all("ai_response_chunk") {
        so_far += chunk["text"].as_str().unwrap();
        assert_eq!(chunk["fullText"], so_far);
        if complete["text"] == so_far {
            // the next one begins anew
            so_far.clear();
        }
    }
    assert!(so_far.is_empty(), "both answers are whole: {so_far}");
    let spoken = app.all("tts_audio");
    let chunks = app.all("audio_chunk");
    assert_eq!(spoken.len(), chunks.len());
    assert!(spoken.len() >= 4, "several sentences in two answers");
    let mut index = 0;
    for (at, (spoken, chunk)) in spoken.iter().zip(&chunks).enumerate() {
        assert_eq!(spoken["audio"], chunk["audio"]);
        // over the whole call, while the other begins anew in every answer
        assert_eq!(chunk["sentenceIndex"], at);
        if spoken["index"] == 0 {
            index = 0;
        }
        assert_eq!(spoken["index"], index);
        index += 1;
    }
    let said: Vec<_> = spoken.iter().filter_map(|it| it["text"].as_str()).collect();
    assert_eq!(said[0], "Good morning to you.");
    let restarts = spoken.iter().filter(|it| it["index"] == 0).count();
    assert_eq!(restarts, 2);
}

#[tokio::test]
async fn an_app_that_reads_one_dialect_gets_one_in_the_packing_it_asks_for() {
    let world = talking(WORDS).await;
    for (messages, format, other) in [
        ("tts_audio", "wav", "audio_chunk"),
        ("audio_chunk", "pcm", "tts_audio"),
        ("tts_audio", "mp3", "audio_chunk"),
    ] {
        let mut app = App::open(&world).await;
        let mut wanted = start(&token(&world, "u1", 600));
        wanted["audioMessages"] = json!(messages);
        wanted["audioFormat"] = json!(format);
        app.send(&wanted).await;
        let started = app.until("session_started").await;
        assert_eq!(
            (&started["status"], &started["audioFormat"]),
            (&json!("ready"), &json!(format))
        );
        app.turn().await;
        assert!(app.all(other).is_empty(), "{messages}");
        let all = app.all(messages);
        assert!(all.iter().all(|it| it["format"] == format), "{all:?}");
        let first = sound(all[0]);
        match format {
            "wav" => {
                let read = wav::read(&first, 10_000_000).unwrap();
                assert_eq!(read.rate.hz(), 24_000);
                // 60 ms a character, as scripted voices speak
                assert_eq!(read.samples.len(), "Good morning to you.".len() * 60 * 24);
            }
            "mp3" => assert_eq!((first[0], first[1] & 0xE0), (0xFF, 0xE0)),
            _ => assert!(
                first.len().is_multiple_of(2) && first.len() <= 9_600,
                "bare samples as they come"
            ),
        }
        app.hang_up().await;
    }
}

#[tokio::test]
async fn frames_of_any_legal_size_are_heard_and_others_are_refused_by_name() {
    let world = talking("say: Yes.").await;
    let mut app = App::call(&world, "u1").await;
    for frame_bytes in [1023, 2048, 3200, 8192, 102_400] {
        app.speak_in(frame_bytes).await;
        let complete = app.until("ai_response_complete").await;
        assert_eq!(complete["text"], "Yes.", "{frame_bytes}");
    }
    for (size, code) in [
        (0, "CHUNK_TOO_SMALL"),
        (99, "CHUNK_TOO_SMALL"),
        (102_401, "CHUNK_TOO_LARGE"),
        (1 << 20, "CHUNK_TOO_LARGE"),
    ] {
        app.send_sound(&vec![0; size]).await;
        let error = app.until("error").await;
        assert_eq!(error["code"], code);
        let limit = if size < 100 {
            "(min: 100)"
        } else {
            "(max: 102400)"
        };
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains(&format!("{size} bytes")) && message.contains(limit),
            "{message}"
        );
    }
    assert_eq!(app.turn().await["text"], "Yes.", "the call goes on");
}

#[tokio::test]
async fn every_tenth_frame_is_receipted() {
    let world = talking("say: Yes.").await;
    let mut app = App::call(&world, "u1").await;
    for _ in 0..25 {
        app.send_sound(&[0; 2048]).await;
    }
    app.send(&json!({ "type": "ping" })).await;
    app.until("pong").await;
    let receipts: Vec<_> = app.all("audio_received");
    let counted: Vec<_> = receipts
        .iter()
        .map(|it| it["totalChunks"].clone())
        .collect();
    assert_eq!(counted, [10, 20]);
    assert!(receipts.iter().all(|it| it["size"] == 2048));
}

#[tokio::test]
async fn who_is_muted_is_not_heard_and_what_was_begun_is_answered() {
    let world = talking("say: Yes.").await;
    let mut app = App::call(&world, "u1").await;
    // muted in the middle of a sentence, with no silence behind it
    let spoken = super::app::speech();
    for frame in spoken[..40_960].chunks(4096) {
        app.send_sound(frame).await;
    }
    app.until("status").await;
    app.send(&json!({ "type": "mute" })).await;
    let complete = app.until("ai_response_complete").await;
    assert_eq!(complete["text"], "Yes.");
    let muted = app.all("status");
    assert!(muted.iter().any(|it| it["muted"] == true), "{muted:?}");
    let turns = app.all("final_transcript").len();
    app.speak().await;
    app.send(&json!({ "type": "ping" })).await;
    app.until("pong").await;
    assert_eq!(app.all("final_transcript").len(), turns);
    app.send(&json!({ "type": "unmute" })).await;
    app.turn().await;
    // a guess may be answered before its transcript is final
    while app.all("final_transcript").len() == turns {
        app.until("final_transcript").await;
    }
}

#[tokio::test]
async fn an_interruption_ends_the_answer_and_the_call_goes_on() {
    let world = server(|config| {
        config.scripted.transcripts = vec!["long".to_owned(), "say: Yes.".to_owned()];
        config.scripted.speech_pace_percent = 400;
    })
    .await;
    let mut app = App::call(&world, "u1").await;
    app.speak().await;
    app.until("tts_audio").await;
    app.send(&json!({ "type": "interrupt" })).await;
    let complete = app.until("ai_response_complete").await;
    assert_eq!(complete["interrupted"], true);
    assert_eq!(app.until("status").await["status"], "listening");
    let complete = app.turn().await;
    assert_eq!(
        (complete["text"].as_str(), &complete["interrupted"]),
        (Some("Yes."), &json!(false))
    );
    // when nobody speaks there is nothing to interrupt, and nothing is said about it
    app.send(&json!({ "type": "interrupt" })).await;
    app.send(&json!({ "type": "ping" })).await;
    app.until("pong").await;
}

#[tokio::test]
async fn who_speaks_over_an_answer_ends_it() {
    let world = server(|config| {
        config.scripted.transcripts = vec!["long".to_owned(), "say: Yes.".to_owned()];
        config.scripted.speech_pace_percent = 100;
    })
    .await;
    let mut app = App::call(&world, "u1").await;
    app.speak().await;
    app.until("tts_audio").await;
    app.speak().await;
    let complete = app.until("ai_response_complete").await;
    assert_eq!(complete["interrupted"], true);
    assert_eq!(app.until("ai_response_complete").await["text"], "Yes.");
}

#[tokio::test]
async fn a_session_that_is_ended_says_what_it_came_to() {
    let world = talking(WORDS).await;
    let mut app = App::call(&world, "u1").await;
    app.turn().await;
    app.send(&json!({ "type": "session_end" })).await;
    let end = app.until("session_end").await;
    let metrics = &end["metrics"];
    assert!(metrics["sttDuration"].as_u64().unwrap() > 1000, "{end}");
    for name in ["llmLatency", "ttsLatency", "totalLatency"] {
        assert!(metrics[name].is_u64(), "{end}");
    }
    assert!(
        end["duration"].as_u64().is_some() && end["cost"].as_f64().unwrap() > 0.0,
        "{end}"
    );
    let closed = app.until_closed().await;
    assert_eq!(closed, (1000, "Session ended".to_owned()));
}

#[tokio::test]
async fn failures_of_a_stage_are_named_and_the_call_goes_on() {
    for (words, code, begins) in [
        ("fail llm", "LLM_ERROR", "AI error: "),
        ("fail stt", "STT_ERROR", "STT error: "),
        ("fail tts", "TTS_ERROR", "TTS error: "),
    ] {
        let world = server(|config| {
            config.scripted.transcripts = vec![words.to_owned(), "say: Yes.".to_owned()];
            config.sessions.apology = String::new();
            config.sessions.unheard = String::new();
        })
        .await;
        let mut app = App::call(&world, "u1").await;
        app.speak().await;
        let error = app.until("error").await;
        assert_eq!(error["code"], code, "{words}: {error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with(begins), "{message}");
        // whatever else is said of the failure, the next turn is answered
        app.speak().await;
        loop {
            let complete = app.until_quietly("ai_response_complete").await;
            if complete["text"] == "Yes." {
                break;
            }
        }
    }
}
