//! The scripted providers: the suite, then delays on a paused clock and the script's failures.

use std::{sync::Arc, time::Duration};

use engine::ask::{Finish, LlmRequest, SpeakOptions, SttOptions};
use providers::{
    Kind,
    ports::{Llm as _, LlmEvent, Piece, Stt as _, SttCommand, SttEvent, Tts as _, TtsEvent},
    scripted::{RATE_HZ, ScriptedConfig, ScriptedLlm, ScriptedStt, ScriptedTts},
};
use serde_json::json;
use tokio::time::Instant;
use wire::realtime::session::{Tool, ToolChoice};

use crate::conformance::{self, answer, ask, speak_options, speech, stt_options};

fn stt(config: ScriptedConfig) -> ScriptedStt {
    ScriptedStt::new(Arc::new(config))
}

fn llm(config: ScriptedConfig) -> ScriptedLlm {
    ScriptedLlm::new(Arc::new(config))
}

fn tts(config: ScriptedConfig) -> ScriptedTts {
    ScriptedTts::new(Arc::new(config))
}

fn silence(ms: usize) -> Arc<[i16]> {
    vec![0; ms * 16].into()
}

#[tokio::test(start_paused = true)]
async fn the_suite_passes() {
    let slow = || ScriptedConfig {
        stt_ms: 50,
        first_token_ms: 300,
        token_ms: 20,
        tts_ms: 100,
        ..ScriptedConfig::default()
    };
    for config in [ScriptedConfig::default(), slow()] {
        let text =
            conformance::stt_answers_pause_and_end(&stt(config.clone()), silence(1200)).await;
        assert_eq!(text, "This is utterance 1 and it took 1.2 seconds.");
        conformance::stt_keeps_what_it_said_at_the_pause(&stt(config.clone()), silence(900)).await;
        conformance::stt_tells_nothing_from_given_up(&stt(config.clone())).await;
        conformance::llm_answers(&llm(config.clone())).await;
        conformance::llm_keeps_to_the_limit(&llm(config.clone())).await;
        conformance::tts_speaks_in_order(&tts(config.clone())).await;
        conformance::tts_knows_voices_and_speed(&tts(config)).await;
    }
}

#[tokio::test]
async fn transcripts_come_in_turn_and_start_over() {
    let transcripts = vec!["One.".to_owned(), "and then…".to_owned()];
    let ears = stt(ScriptedConfig {
        transcripts,
        ..ScriptedConfig::default()
    });
    for (expected, over) in [("One.", true), ("and then…", false), ("One.", true)] {
        let mut stream = ears.open(stt_options()).await.unwrap();
        for command in [
            SttCommand::Audio(silence(400)),
            SttCommand::Pause,
            SttCommand::End,
        ] {
            stream.commands.send(command).await.unwrap();
        }
        let mut last = None;
        while let Some(event) = stream.events.recv().await {
            if let SttEvent::EndOfTurn { probability } = event {
                assert_eq!(probability > 0.5, over, "{expected}");
            }
            last = Some(event);
        }
        assert!(matches!(last, Some(SttEvent::Final { text, .. }) if text == expected));
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_hides_the_time_that_transcription_takes() {
    let ears = stt(ScriptedConfig {
        stt_ms: 200,
        ..ScriptedConfig::default()
    });
    let mut stream = ears.open(stt_options()).await.unwrap();
    stream
        .commands
        .send(SttCommand::Audio(silence(500)))
        .await
        .unwrap();
    stream.commands.send(SttCommand::Pause).await.unwrap();
    let paused = Instant::now();
    // the stream hears of the pause before time goes on
    while stream.commands.capacity() < stream.commands.max_capacity() {
        tokio::task::yield_now().await;
    }
    // the silence of the pause goes on arriving, and delays nothing
    for _ in 0..5 {
        let audio = SttCommand::Audio(silence(20));
        stream.commands.send(audio).await.unwrap();
        tokio::time::advance(Duration::from_millis(20)).await;
    }
    assert!(matches!(
        stream.events.recv().await,
        Some(SttEvent::Partial { .. })
    ));
    assert_eq!(paused.elapsed(), Duration::from_millis(200));
    assert!(matches!(
        stream.events.recv().await,
        Some(SttEvent::EndOfTurn { .. })
    ));
    stream.commands.send(SttCommand::End).await.unwrap();
    assert!(matches!(
        stream.events.recv().await,
        Some(SttEvent::Final { .. })
    ));
    assert_eq!(paused.elapsed(), Duration::from_millis(200));
}

#[tokio::test]
async fn a_prompt_steers_the_transcript() {
    let ears = stt(ScriptedConfig::default());
    let prompted = |prompt: &str| SttOptions {
        prompt: Some(prompt.to_owned()),
        logprobs: true,
        ..stt_options()
    };
    let said = providers::transcribe_once(&ears, silence(800), prompted("say: Turn left."))
        .await
        .unwrap();
    assert_eq!(said.text, "Turn left.");
    assert_eq!((said.segments.len(), said.segments[0].end_ms), (1, 800));
    assert_eq!(said.logprobs.len(), 2);
    let failed = providers::transcribe_once(&ears, silence(800), prompted("fail stt"))
        .await
        .unwrap_err();
    assert_eq!(failed.kind, Kind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn tokens_come_at_the_configured_pace() {
    let config = ScriptedConfig {
        first_token_ms: 300,
        token_ms: 20,
        ..ScriptedConfig::default()
    };
    for (text, expected_ms) in [
        ("say: one two three", 340),
        ("slowly 500 say: one two three", 1300),
    ] {
        let start = Instant::now();
        answer(&llm(config.clone()), ask(text)).await.unwrap();
        assert_eq!(
            start.elapsed(),
            Duration::from_millis(expected_ms),
            "{text}"
        );
    }
}

#[tokio::test]
async fn functions_are_called_with_valid_arguments() {
    let function = |name: &str| Tool::Function {
        name: name.to_owned(),
        description: None,
        parameters: Some(json!({
            "type": "object", "properties": { "n": { "type": "integer" } }, "required": ["n"]
        })),
    };
    let request = LlmRequest {
        tools: vec![function("first"), function("second")],
        tool_choice: ToolChoice::Required,
        ..ask("call second and first")
    };
    let brain = llm(ScriptedConfig::default());
    let calls = answer(&brain, request).await.unwrap().calls;
    let names: Vec<&str> = calls.iter().map(|(_, name, _)| name.as_str()).collect();
    assert_eq!(names, ["second", "first"]);
    assert_ne!(calls[0].0, calls[1].0);
    for (_, _, arguments) in &calls {
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(arguments).unwrap(),
            json!({ "n": 1 })
        );
    }
}

#[tokio::test]
async fn failures_come_where_they_were_asked_for() {
    let brain = llm(ScriptedConfig::default());
    assert_eq!(
        answer(&brain, ask("fail llm")).await.unwrap_err().kind,
        Kind::Unavailable
    );
    let midway = answer(&brain, ask("fail llm midway")).await.unwrap();
    assert!(!midway.text.is_empty());
    assert_eq!(midway.failure().kind, Kind::Unavailable);

    let mut stream = tts(ScriptedConfig::default())
        .open(speak_options("alloy"))
        .await
        .unwrap();
    let text = answer(&brain, ask("fail tts")).await.unwrap().text;
    stream.pieces.send(Piece { index: 0, text }).await.unwrap();
    assert!(matches!(
        stream.events.recv().await,
        Some(TtsEvent::Failed(_))
    ));
    assert_eq!(stream.events.recv().await, None);
}

#[tokio::test]
async fn usage_counts_words() {
    let (finish, usage) = answer(&llm(ScriptedConfig::default()), ask("say: one two"))
        .await
        .unwrap()
        .done();
    assert_eq!(finish, Finish::Stop);
    // "Answer briefly." and the three words of the question
    assert_eq!(
        (usage.input_tokens, usage.cached_tokens, usage.output_tokens),
        (5, 0, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn speech_lasts_as_long_as_its_text_and_comes_at_the_configured_pace() {
    let text = ["ten chars."];
    let at_once = speech(
        &tts(ScriptedConfig::default()),
        speak_options("alloy"),
        &text,
    )
    .await;
    assert_eq!(at_once.pieces, [600 * RATE_HZ as usize / 1000]);
    let config = ScriptedConfig {
        speech_pace_percent: 200,
        tts_ms: 100,
        ..ScriptedConfig::default()
    };
    let start = Instant::now();
    speech(&tts(config), speak_options("alloy"), &text).await;
    assert_eq!(start.elapsed(), Duration::from_millis(100 + 300));
}

#[tokio::test]
async fn the_same_words_sound_the_same_and_voices_differ() {
    async fn samples(voice: &str) -> Vec<i16> {
        let voices = tts(ScriptedConfig::default());
        let options = SpeakOptions {
            speed: 1.0,
            ..speak_options(voice)
        };
        let mut stream = voices.open(options).await.unwrap();
        stream
            .pieces
            .send(Piece {
                index: 0,
                text: "hum".to_owned(),
            })
            .await
            .unwrap();
        drop(stream.pieces);
        let mut all = Vec::new();
        while let Some(event) = stream.events.recv().await {
            if let TtsEvent::Audio { samples, .. } = event {
                all.extend_from_slice(&samples);
            }
        }
        all
    }
    let alloy = samples("alloy").await;
    assert_eq!(alloy, samples("alloy").await);
    assert_ne!(alloy, samples("verse").await);
    let loudest = alloy
        .iter()
        .map(|sample| sample.unsigned_abs())
        .max()
        .unwrap();
    assert!((4_000..12_000).contains(&loudest), "{loudest}");
    assert!(
        alloy[0].abs() < 100 && alloy[alloy.len() - 1].abs() < 100,
        "the tone clicks"
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_stops_listening_stops_the_answer() {
    let brain = llm(ScriptedConfig {
        token_ms: 1000,
        ..ScriptedConfig::default()
    });
    let tasks = tokio::runtime::Handle::current().metrics();
    let mut stream = brain.ask(ask("long")).await.unwrap();
    assert!(matches!(
        stream.events.recv().await,
        Some(LlmEvent::Text(_))
    ));
    assert_eq!(tasks.num_alive_tasks(), 1);
    let start = Instant::now();
    drop(stream);
    while tasks.num_alive_tasks() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
}
