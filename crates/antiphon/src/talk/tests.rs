//! Addresses, keys, sound, and conversations replayed from events.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    conversation::{Conversation, Stages, Step},
    *,
};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn play(events: &[(u64, Value)]) -> Conversation {
    let mut conversation = Conversation::default();
    conversation.speech_sent(ms(1000));
    for (at, event) in events {
        let expected = match event["type"].as_str().unwrap() {
            "input_audio_buffer.speech_started" => Step::SpokenOver,
            "response.created" => Step::Began,
            _ => Step::On,
        };
        assert_eq!(conversation.on(event, ms(*at)), expected, "{event}");
    }
    conversation
}

fn delta(bytes: &[u8]) -> Value {
    use base64::Engine as _;
    let delta = base64::engine::general_purpose::STANDARD.encode(bytes);
    json!({"type": "response.output_audio.delta", "item_id": "item_1", "delta": delta})
}

fn turn(shift: u64) -> Vec<(u64, Value)> {
    let heard = "conversation.item.input_audio_transcription.completed";
    vec![
        (
            100 + shift,
            json!({"type": "input_audio_buffer.speech_started"}),
        ),
        (
            1500 + shift,
            json!({"type": "input_audio_buffer.speech_stopped"}),
        ),
        (1501 + shift, json!({"type": "response.created"})),
        (
            1550 + shift,
            json!({"type": heard, "transcript": "What time is it?"}),
        ),
        (
            1600 + shift,
            json!({"type": "response.output_audio_transcript.delta", "delta": "Tea "}),
        ),
        (1650 + shift, delta(&[1, 0, 255])),
        (1660 + shift, delta(&[255, 2, 0])),
        (
            1700 + shift,
            json!({"type": "response.output_audio_transcript.delta", "delta": "time."}),
        ),
        (
            1800 + shift,
            json!({"type": "response.done", "response": {"status": "completed"}}),
        ),
    ]
}

#[test]
fn a_turn_is_over_when_it_is_answered_and_transcribed() {
    let events = turn(0);
    for end in 0..events.len() {
        assert!(!play(&events[..end]).is_over(), "{end}");
    }
    let conversation = play(&events);
    assert!(conversation.is_over());
    assert_eq!(conversation.heard, ["What time is it?"]);
    assert_eq!(conversation.said, "Tea time.");
    assert_eq!(
        conversation.answer,
        [1, -1, 2],
        "a sample may be split between two deltas"
    );
    assert_eq!(conversation.item.as_deref(), Some("item_1"));
    let stages = Stages {
        speech_end: Some(ms(1000)),
        turn_decided: Some(ms(1500)),
        transcript: Some(ms(1550)),
        response: Some(ms(1501)),
        first_text: Some(ms(1600)),
        first_audio: Some(ms(1650)),
        done: Some(ms(1800)),
    };
    assert_eq!(conversation.stages, stages);
}

#[test]
fn a_late_transcript_is_waited_for() {
    let mut events = turn(0);
    let transcript = events.remove(3);
    assert!(!play(&events).is_over());
    events.push(transcript);
    assert!(play(&events).is_over());
}

#[test]
fn an_answer_that_was_spoken_over_does_not_count() {
    let mut events = turn(0);
    events.pop();
    events.push((1810, json!({"type": "input_audio_buffer.speech_started"})));
    events.push((
        1820,
        json!({"type": "response.done", "response": {"status": "cancelled"}}),
    ));
    assert!(!play(&events).is_over());
    events.extend(turn(2000));
    let conversation = play(&events);
    assert!(conversation.is_over());
    assert_eq!(conversation.heard.len(), 2);
    assert_eq!(
        conversation.said, "Tea time.",
        "only the last answer is kept"
    );
    assert_eq!(conversation.stages.first_audio, Some(ms(3650)));
}

#[test]
fn what_the_server_refuses_is_said_in_its_words() {
    let mut conversation = Conversation::default();
    let error =
        json!({"type": "error", "error": {"message": "no such voice", "code": "bad_voice"}});
    let step = conversation.on(&error, ms(0));
    assert_eq!(step, Step::Refused("no such voice (bad_voice)".into()));
    let failed = json!({"type": "response.done", "response": {
        "status": "failed", "status_details": {"error": {"message": "the model is away"}}}});
    assert_eq!(
        conversation.on(&failed, ms(0)),
        Step::Refused("the model is away".into())
    );
}

#[test]
fn the_report_shows_words_and_waterfall() {
    let mut out = Vec::new();
    report(&play(&turn(0)), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    for line in [
        "you   What time is it?",
        "agent Tea time.",
        "turn decided          500  -------------------------",
        "first audio           650  ---------------------------------",
        "answer complete       800  ----------------------------------------",
        "answer lasts 0.0 s",
    ] {
        assert!(text.lines().any(|it| it == line), "{line} in\n{text}");
    }
}

#[test]
fn an_address_leads_to_the_realtime_endpoint() {
    let of = |url: &str| {
        address(Some(&Url::parse(url).unwrap()), "", "m")
            .map(|url| url.to_string())
            .ok()
    };
    let home = address(None, "0.0.0.0:8080", "gpt-realtime").unwrap();
    assert_eq!(
        home.as_str(),
        "ws://127.0.0.1:8080/v1/realtime?model=gpt-realtime"
    );
    assert_eq!(
        of("https://host").unwrap(),
        "wss://host/v1/realtime?model=m"
    );
    assert_eq!(
        of("ws://host:1/own/path?model=x").unwrap(),
        "ws://host:1/own/path?model=x"
    );
    assert_eq!(of("ftp://host"), None);
}

#[test]
fn the_end_of_speech_is_found_before_the_silence() {
    let mut samples = vec![8000; 2400];
    samples.extend(vec![3; 24_000]);
    assert_eq!(speech_end(&samples), 2400);
    assert_eq!(speech_end(&[0; 100]), 100);
}

#[test]
fn a_recording_of_another_rate_is_resampled() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.wav");
    fs::write(&path, wav::write(&vec![0; 8000], SampleRate::HZ_8K)).unwrap();
    let length = read(&path).unwrap().len();
    assert!((23_900..=24_500).contains(&length), "{length}");
    let error = format!("{:#}", read(&dir.path().join("b.wav")).unwrap_err());
    assert!(
        error.contains("cannot read") && error.contains("b.wav"),
        "{error}"
    );
}
