//! Manual turns, buffers and their errors.

use serde_json::json;
use wire::realtime::SessionKind;
use wire::realtime::client::ClientAction;

use crate::ladder;
use crate::world::{World, policy};

fn manual() -> World {
    let mut world = World::new();
    world.update(json!({"audio": {"input": {"turn_detection": null,
        "transcription": {"model": "whisper-1"}}}}));
    world
}

#[test]
fn a_manual_turn_is_committed_transcribed_and_not_answered() {
    let mut world = manual();
    world.speak(400);
    world.silence(400);
    assert_eq!(
        world.types(2),
        Vec::<&str>::new(),
        "no speech events without turn detection"
    );
    world.client(json!({"type": "input_audio_buffer.commit"}));
    world.settle();
    ladder::check(&world);
    assert_eq!(
        world.types(2),
        [
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            "conversation.item.input_audio_transcription.delta",
            "conversation.item.input_audio_transcription.completed",
        ]
    );
    let completed = world.last("conversation.item.input_audio_transcription.completed");
    assert_eq!(
        completed["usage"],
        json!({"type": "duration", "seconds": 1.0})
    );
    world.client(json!({"type": "response.create"}));
    world.settle();
    assert_eq!(
        world.last("response.done")["response"]["status"],
        "completed"
    );
}

#[test]
fn a_response_waits_for_the_transcript_it_must_read() {
    let mut world = manual();
    world.latency.stt = 700;
    world.speak(400);
    world.client(json!({"type": "input_audio_buffer.commit"}));
    world.client(json!({"type": "response.create"}));
    world.pass(600);
    assert!(world.count("response.created") == 1 && world.asked.is_empty());
    world.settle();
    ladder::check(&world);
    assert!(format!("{:?}", world.asked[0].messages).contains("hello there."));
}

#[test]
fn committing_nothing_is_refused_with_the_length_of_what_there_is() {
    let mut world = manual();
    world.action(ClientAction::AudioCommit);
    let error = world.last_error();
    assert_eq!(error["code"], "input_audio_buffer_commit_empty");
    assert_eq!(error["event_id"], "evt");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .ends_with("only has 0.00ms of audio.")
    );
    world.speak(60);
    world.action(ClientAction::AudioCommit);
    assert!(
        world.last_error()["message"]
            .as_str()
            .unwrap()
            .contains("60.00ms")
    );
    world.speak(60);
    world.action(ClientAction::AudioCommit);
    assert_eq!(
        world.count("input_audio_buffer.committed"),
        1,
        "120 ms in all are enough"
    );
}

#[test]
fn clearing_is_never_an_error_and_forgets_what_was_said() {
    let mut world = manual();
    world.client(json!({"type": "input_audio_buffer.clear"}));
    world.speak(400);
    world.client(json!({"type": "input_audio_buffer.clear"}));
    assert_eq!(world.count("input_audio_buffer.cleared"), 2);
    world.action(ClientAction::AudioCommit);
    assert_eq!(
        world.last_error()["code"],
        "input_audio_buffer_commit_empty"
    );
}

#[test]
fn a_commit_with_detection_on_closes_the_turn_early_and_creates_no_response() {
    let mut world = World::new();
    world.speak(600);
    world.client(json!({"type": "input_audio_buffer.commit"}));
    world.silence(1500);
    world.settle();
    ladder::check(&world);
    assert_eq!(world.count("input_audio_buffer.committed"), 1);
    assert_eq!(world.count("response.created"), 0);
    let started = world.last("input_audio_buffer.speech_started")["item_id"].clone();
    assert_eq!(
        world.last("input_audio_buffer.committed")["item_id"],
        started
    );
}

#[test]
fn a_full_buffer_refuses_more_and_keeps_what_it_has() {
    let mut world = World::with(
        SessionKind::Realtime,
        engine::session::Policy {
            max_buffer_bytes: 48_000,
            ..policy()
        },
    );
    world.update(json!({"audio": {"input": {"turn_detection": null}}}));
    world.speak(1000);
    world.speak(20);
    assert_eq!(world.last_error()["code"], "input_audio_buffer_full");
    world.action(ClientAction::AudioCommit);
    assert_eq!(world.count("input_audio_buffer.committed"), 1);
}

#[test]
fn an_utterance_without_end_is_committed_at_the_limit() {
    let mut world = World::with(
        SessionKind::Realtime,
        engine::session::Policy {
            max_utterance_ms: 3000,
            ..policy()
        },
    );
    world.speak(3500);
    assert_eq!(world.count("input_audio_buffer.committed"), 1);
}

#[test]
fn a_failed_transcription_is_told_and_the_session_goes_on() {
    let mut world = manual();
    world.transcripts.push_back(Err(()));
    world.speak(400);
    world.client(json!({"type": "input_audio_buffer.commit"}));
    world.client(json!({"type": "response.create"}));
    world.settle();
    ladder::check(&world);
    let failed = world.last("conversation.item.input_audio_transcription.failed");
    assert_eq!(failed["error"]["code"], "provider_unavailable");
    assert_eq!(world.last("response.done")["response"]["status"], "failed");
    world.speak(400);
    world.client(json!({"type": "input_audio_buffer.commit"}));
    world.client(json!({"type": "response.create"}));
    world.settle();
    assert_eq!(
        world.last("response.done")["response"]["status"],
        "completed"
    );
}

#[test]
fn a_transcription_session_listens_and_never_answers() {
    let mut world = World::with(SessionKind::Transcription, policy());
    assert_eq!(
        world.last("session.created")["session"]["object"],
        "realtime.transcription_session"
    );
    world.speak(700);
    world.silence(1200);
    world.settle();
    ladder::check(&world);
    assert_eq!(
        world.types(1),
        [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            "conversation.item.input_audio_transcription.delta",
            "conversation.item.input_audio_transcription.completed",
        ]
    );
    world.action(ClientAction::ResponseCreate(Box::default()));
    assert_eq!(world.last_error()["code"], "invalid_value");
    world.update(json!({"instructions": "x"}));
    assert!(
        world.last_error()["message"]
            .as_str()
            .unwrap()
            .contains("is not allowed")
    );
}

#[test]
fn tiny_appends_and_one_big_append_find_the_same_speech() {
    let offsets = |chunk: usize| {
        let mut world = World::new();
        let mut audio = Vec::new();
        for (ms, amplitude) in [
            (500, 0.0),
            (900, 9000.0),
            (1200, 0.0),
            (700, 9000.0),
            (800, 0.0),
        ] {
            audio.extend_from_slice(&world.tone(ms, amplitude));
        }
        for piece in audio.chunks(chunk) {
            world.input(engine::session::Input::Audio(piece.to_vec().into()));
        }
        let found: Vec<_> = world
            .log
            .iter()
            .filter_map(|(_, e)| serde_json::to_value(e).ok())
            .filter_map(|e| e["audio_start_ms"].as_u64().or(e["audio_end_ms"].as_u64()))
            .collect();
        assert_eq!(found.len(), 4);
        found
    };
    let whole = offsets(usize::MAX);
    for chunk in [480, 481, 1, 960, 7777] {
        assert_eq!(offsets(chunk), whole, "appends of {chunk} bytes");
    }
}

#[test]
fn the_session_ends_at_its_limit_with_the_hosted_words() {
    let mut world = World::with(
        SessionKind::Realtime,
        engine::session::Policy {
            max_duration_ms: 3_600_000,
            ..policy()
        },
    );
    world.pass(3_600_000);
    assert_eq!(world.last_error()["code"], "session_expired");
    let (code, reason) = world.closed.clone().unwrap();
    assert_eq!(
        (code, reason.as_str()),
        (1001, "Your session hit the maximum duration of 60 minutes.")
    );
    assert_eq!(world.session.next_deadline(), None);
}
