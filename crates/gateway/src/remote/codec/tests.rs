//! What one side writes the other side reads; what nobody wrote is nothing.

use engine::ask::{LlmMessage, LlmRequest, SpeakOptions, SttOptions};
use serde_json::json;

use super::*;

fn error() -> ProviderError {
    ProviderError {
        explanation: Some("no such voice".to_owned()),
        retry_after: Some(Duration::from_millis(250)),
        ..ProviderError::new("kokoro", Kind::RateLimited, "it refused")
    }
}

#[test]
fn answers_are_read_as_they_were_given() {
    for event in [
        SttEvent::Partial {
            text: "héllo".to_owned(),
        },
        SttEvent::EndOfTurn { probability: 0.25 },
        SttEvent::Final {
            text: "hello".to_owned(),
            audio_ms: 1200,
            logprobs: vec![("he".to_owned(), -0.5)],
        },
        SttEvent::Failed(error()),
    ] {
        assert_eq!(stt_event(&stt_answer(&event)), Some(event));
    }
    for event in [
        TtsEvent::Audio {
            index: 7,
            rate_hz: 24_000,
            samples: [0, -1, i16::MIN, i16::MAX].into(),
        },
        TtsEvent::PieceDone { index: 7 },
        TtsEvent::Another(Box::new(engine::ask::AnotherVoice {
            from: "kokoro".to_owned(),
            to: "piper".to_owned(),
            reason: "provider_unavailable".to_owned(),
        })),
        TtsEvent::Failed(error()),
    ] {
        assert_eq!(tts_event(&tts_answer(&event)), Some(event));
    }
    for event in [
        LlmEvent::Text(" a".to_owned()),
        LlmEvent::ToolCall {
            call_id: "c1".to_owned(),
            name: "look_up".to_owned(),
        },
        LlmEvent::ToolArguments("{\"a\":".to_owned()),
        LlmEvent::Done {
            finish: Finish::Length,
            usage: LlmUsage {
                input_tokens: 3,
                cached_tokens: 2,
                output_tokens: 1,
            },
        },
        LlmEvent::Failed(error()),
    ] {
        assert_eq!(llm_event(&llm_answer(&event)), Some(event));
    }
}

#[test]
fn sound_travels_as_raw_bytes_and_neighbours_together() {
    let sound = |samples: &[i16]| SttCommand::Audio(samples.into());
    let messages = stt_commands(&[
        sound(&[1, -2]),
        sound(&[3]),
        SttCommand::Pause,
        sound(&[4]),
        SttCommand::Resume,
        SttCommand::End,
    ]);
    assert_eq!(messages[0].data.as_ref(), [1, 0, 0xfe, 0xff, 3, 0]);
    let read: Vec<String> = messages
        .iter()
        .map(|it| format!("{:?}", stt_command(it).unwrap()))
        .collect();
    assert_eq!(
        read,
        ["Audio([1, -2, 3])", "Pause", "Audio([4])", "Resume", "End"]
    );
}

#[test]
fn requests_are_read_as_they_were_asked() {
    let request = LlmRequest {
        session: "sess_1".to_owned(),
        turn: 3,
        messages: vec![
            LlmMessage::System("be brief".to_owned()),
            LlmMessage::User {
                text: "hi".to_owned(),
                images: vec!["data:image/png;base64,AA==".to_owned()],
            },
            LlmMessage::ToolOutput {
                call_id: "c1".to_owned(),
                output: "4".to_owned(),
            },
        ],
        tools: serde_json::from_value(json!([
            { "type": "function", "name": "f", "parameters": { "type": "object" } }
        ]))
        .unwrap(),
        temperature: Some(0.0),
        reasoning_effort: Some(json!("low")),
        ..LlmRequest::default()
    };
    let read: LlmRequest = serde_json::from_slice(&json(&request)).unwrap();
    assert_eq!(read, request);
    let options = SpeakOptions {
        session: "sess_1".to_owned(),
        turn: 1,
        voice: "alloy".to_owned(),
        speed: 1.1,
        preferred_rate_hz: 24_000,
    };
    let read: SpeakOptions = serde_json::from_slice(&json(&options)).unwrap();
    assert_eq!(read, options);
    let options = SttOptions {
        language: Some("en".to_owned()),
        judge_turn: true,
        ..SttOptions::default()
    };
    let read: SttOptions = serde_json::from_slice(&json(&options)).unwrap();
    assert_eq!(read, options);
}

#[test]
fn what_nobody_wrote_is_nothing() {
    for (kind, data) in [
        ("audio", vec![1, 2, 3]),
        ("done", vec![1]),
        ("failed", b"{".to_vec()),
        ("unknown", Vec::new()),
        ("end", Vec::new()),
    ] {
        let message = Message::new(kind, data);
        assert_eq!(tts_event(&message), None, "{kind}");
        assert_eq!(llm_event(&message), None, "{kind}");
    }
}

#[test]
fn every_kind_of_work_has_a_stage_of_its_own_and_speech_to_speech_has_no_worker() {
    for kind in WorkKind::ALL {
        assert_eq!(kind_of(stage_of(kind)), Some(kind));
    }
    assert_eq!(kind_of(Stage::Duplex), None);
}
