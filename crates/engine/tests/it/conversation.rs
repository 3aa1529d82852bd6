//! Scripted conversations: how people really talk, and what the engine makes of it.

use serde_json::json;

use crate::ladder;
use crate::world::{Answer, World};

const VAD_TURN: [&str; 20] = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio_transcript.delta",
    "response.output_audio.delta",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
    "rate_limits.updated",
    "",
    "",
];

#[test]
fn a_spoken_turn_is_answered_in_the_order_of_the_hosted_service() {
    let mut world = World::new();
    world.silence(400);
    world.speak(1000);
    world.silence(2000);
    world.settle();
    ladder::check(&world);
    assert_eq!(world.types(1), VAD_TURN[..18]);
    assert_eq!(
        world.last("response.done")["response"]["status"],
        "completed"
    );
    let started = world.last("input_audio_buffer.speech_started");
    let at = started["audio_start_ms"].as_u64().unwrap();
    assert!(
        (60..=140).contains(&at),
        "400 ms of silence less 300 ms of padding, got {at}"
    );
}

#[test]
fn the_reply_is_ready_when_the_silence_has_proved_itself() {
    let mut world = World::new();
    world.silence(200);
    world.speak(800);
    let speech_end = world.now;
    world.silence(1500);
    world.settle();
    let stopped = world.time_of("input_audio_buffer.speech_stopped").unwrap();
    let audio = world.time_of("response.output_audio.delta").unwrap();
    assert!(
        stopped - speech_end <= 540,
        "the hold is 500 ms, took {}",
        stopped - speech_end
    );
    assert_eq!(
        audio, stopped,
        "transcript, tokens and first clause were made during the hold"
    );
    assert_eq!(world.asked.len(), 1, "and were asked for once");
}

#[test]
fn a_false_start_is_discarded_without_a_trace() {
    let mut world = World::new();
    world
        .transcripts
        .push_back(Ok("I would like to book a table for two."));
    world.silence(200);
    world.speak(600);
    // long enough for the first clause to be ready, too short to end the turn
    world.silence(400);
    assert!(world.asked.len() == 1 && world.count("response.created") == 0);
    world.speak(600);
    world.silence(1500);
    world.settle();
    ladder::check(&world);
    assert_eq!(world.asked.len(), 2, "the second pause asked anew");
    assert_eq!(world.count("response.created"), 1);
    assert_eq!(
        world.count("conversation.item.added"),
        2,
        "one user item, one reply"
    );
    assert_eq!(world.count("input_audio_buffer.speech_started"), 1);
}

#[test]
fn a_click_is_not_speech() {
    let mut world = World::new();
    world.silence(300);
    world.speak(20);
    world.silence(1500);
    assert_eq!(world.types(0), ["session.created"]);
}

#[test]
fn a_cough_is_a_turn_without_an_answer() {
    let mut world = World::new();
    world.update(json!({"audio": {"input": {"transcription": {"model": "whisper-1"}}}}));
    world.transcripts.push_back(Ok(" "));
    world.silence(300);
    world.speak(200);
    world.silence(1500);
    world.settle();
    ladder::check(&world);
    assert_eq!(
        world.count("conversation.item.input_audio_transcription.completed"),
        1
    );
    assert_eq!(world.count("response.created"), 0);
}

#[test]
fn a_long_pause_inside_a_sentence_is_waited_out() {
    let mut world = World::new();
    world.update(json!({"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}));
    world.transcripts.push_back(Ok("my number is five five"));
    world.end_of_turn = Some(0.1);
    world.silence(200);
    world.speak(900);
    world.silence(1800);
    assert_eq!(
        world.count("input_audio_buffer.speech_stopped"),
        0,
        "he is still thinking"
    );
    assert!(
        world.asked.is_empty(),
        "nothing is prepared for half a sentence"
    );
    world.speak(700);
    world.end_of_turn = Some(0.95);
    world.silence(900);
    world.settle();
    ladder::check(&world);
    assert_eq!(world.count("input_audio_buffer.speech_stopped"), 1);
    assert_eq!(world.count("response.done"), 1);
    let stopped = world.last("input_audio_buffer.speech_stopped")["audio_end_ms"]
        .as_u64()
        .unwrap();
    assert!(
        stopped <= 200 + 900 + 1800 + 700 + 300,
        "a finished sentence is answered soon: {stopped}"
    );
}

#[test]
fn eagerness_bounds_the_wait_for_a_speaker_who_never_finishes() {
    for (eagerness, limit) in [("low", 8000), ("auto", 4000), ("high", 2000)] {
        let mut world = World::new();
        let detection = json!({"type": "semantic_vad", "eagerness": eagerness});
        world.update(json!({"audio": {"input": {"turn_detection": detection}}}));
        world.transcripts.push_back(Ok("and then"));
        world.end_of_turn = Some(0.05);
        world.speak(600);
        world.silence(limit - 100);
        assert_eq!(
            world.count("input_audio_buffer.committed"),
            0,
            "{eagerness}"
        );
        world.silence(300);
        assert_eq!(
            world.count("input_audio_buffer.committed"),
            1,
            "{eagerness}"
        );
    }
}

#[test]
fn without_a_turn_model_the_transcript_decides() {
    let mut world = World::new();
    world.update(json!({"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}));
    world.transcripts.push_back(Ok("what time is it?"));
    world.speak(800);
    world.silence(400);
    assert_eq!(world.count("input_audio_buffer.committed"), 1);
}

#[test]
fn barge_in_stops_the_reply_and_remembers_what_was_heard() {
    let mut world = World::new();
    world.answers.push_back(Answer::Endless);
    world.latency.token = 60;
    world.speak(800);
    world.silence(1600);
    let playing_since = world.time_of("response.output_audio.delta").unwrap();
    assert_eq!(world.count("response.done"), 0, "still talking");
    let began = world.now;
    world.speak(400);
    ladder::check(&world);
    let done = world.last("response.done");
    assert_eq!(done["response"]["status"], "cancelled");
    assert_eq!(
        done["response"]["status_details"]["reason"],
        "turn_detected"
    );
    let stopped_at = world.time_of("response.done").unwrap();
    assert!(
        stopped_at - began <= 100,
        "64 ms of speech are enough, took {}",
        stopped_at - began
    );
    let last_audio = world
        .log
        .iter()
        .rev()
        .find(|(_, e)| e.type_name() == "response.output_audio.delta");
    assert!(last_audio.unwrap().0 <= stopped_at);
    // the next question shows the model only what had been played by then
    world.silence(1500);
    world.settle();
    ladder::check(&world);
    let heard_ms = stopped_at - playing_since;
    let context = format!("{:?}", world.asked.last().unwrap().messages);
    assert!(context.contains("One more"), "{context}");
    assert!(
        !context.contains("Six more"),
        "after {heard_ms} ms nobody heard the end: {context}"
    );
}

#[test]
fn barge_in_after_the_last_event_still_cuts_what_is_being_played() {
    let mut world = World::new();
    world.answers.push_back(Answer::Say(
        "The first sentence of the answer is this one. The second sentence nobody will hear.",
    ));
    world.speak(800);
    world.silence(1900);
    world.settle();
    assert_eq!(
        world.last("response.done")["response"]["status"],
        "completed"
    );
    world.speak(600);
    world.silence(1500);
    world.settle();
    ladder::check(&world);
    let context = format!("{:?}", world.asked.last().unwrap().messages);
    assert!(context.contains("The first"), "{context}");
    assert!(!context.contains("nobody will hear"), "{context}");
}

#[test]
fn a_backchannel_does_not_interrupt_under_semantic_vad() {
    let mut world = World::new();
    world.update(json!({"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}));
    world.end_of_turn = Some(0.9);
    world.answers.push_back(Answer::Endless);
    world.latency.token = 60;
    world.speak(800);
    world.silence(1400);
    assert!(world.count("response.output_audio.delta") > 0 && world.count("response.done") == 0);
    let before = world.log.len();
    world.speak(320);
    world.silence(600);
    let speech = world
        .types(before)
        .iter()
        .filter(|t| t.contains("speech"))
        .count();
    assert_eq!(speech, 0, "mm-hm is not a turn");
    world.speak(900);
    ladder::check(&world);
    assert_eq!(
        world.last("response.done")["response"]["status"],
        "cancelled",
        "a real sentence is"
    );
}

#[test]
fn a_backchannel_interrupts_under_server_vad_as_the_protocol_says() {
    let mut world = World::new();
    world.answers.push_back(Answer::Endless);
    world.latency.token = 60;
    world.speak(800);
    world.silence(1600);
    world.speak(320);
    assert_eq!(
        world.last("response.done")["response"]["status"],
        "cancelled"
    );
}

#[test]
fn overlapping_speech_with_interruption_off_is_answered_afterwards() {
    let mut world = World::new();
    let detection = json!({"type": "server_vad", "interrupt_response": false});
    world.update(json!({"audio": {"input": {"turn_detection": detection}}}));
    world.answers.push_back(Answer::Endless);
    world.latency.token = 60;
    world.speak(800);
    world.silence(1000);
    world.speak(500);
    world.silence(1200);
    world.settle();
    world.silence(6000);
    world.settle();
    ladder::check(&world);
    let statuses: Vec<_> = world
        .log
        .iter()
        .filter_map(|(_, e)| serde_json::to_value(e).ok())
        .filter(|e| e["type"] == "response.done")
        .map(|e| e["response"]["status"].clone())
        .collect();
    assert_eq!(statuses, ["completed", "completed"]);
}

#[test]
fn speech_before_the_answer_begins_is_answered_together() {
    let mut world = World::new();
    world.latency.stt = 900;
    world
        .transcripts
        .extend([Ok("I want a pizza."), Ok("With olives.")]);
    world.speak(800);
    world.silence(600);
    assert_eq!(world.count("input_audio_buffer.committed"), 1);
    world.speak(700);
    world.silence(4000);
    world.settle();
    ladder::check(&world);
    assert_eq!(world.count("response.created"), 1);
    let context = format!("{:?}", world.asked.last().unwrap().messages);
    assert!(
        context.contains("pizza") && context.contains("olives"),
        "{context}"
    );
}

#[test]
fn the_four_combinations_of_the_turn_flags() {
    for (create, interrupt) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut world = World::new();
        let detection = json!({"type": "server_vad", "create_response": create,
            "interrupt_response": interrupt});
        world.update(json!({"audio": {"input": {"turn_detection": detection}}}));
        world.answers.push_back(Answer::Endless);
        world.latency.token = 60;
        world.speak(600);
        world.silence(900);
        assert_eq!(world.count("response.created"), usize::from(create));
        if !create {
            world.client(json!({"type": "response.create"}));
            world.pass(500);
        }
        world.speak(300);
        let cancelled = world.count("response.done") == 1;
        assert_eq!(
            cancelled, interrupt,
            "create {create} interrupt {interrupt}"
        );
        world.silence(8000);
        world.settle();
        ladder::check(&world);
    }
}

#[test]
fn silence_after_the_reply_has_been_heard_makes_the_assistant_speak_up() {
    let mut world = World::new();
    let detection = json!({"type": "server_vad", "idle_timeout_ms": 5000});
    world.update(json!({"audio": {"input": {"turn_detection": detection}}}));
    world.answers.push_back(Answer::Say(
        "This answer takes a while to be played to the caller.",
    ));
    world.speak(600);
    world.silence(1000);
    world.settle();
    let done = world.time_of("response.done").unwrap();
    let played: usize = world
        .spoken
        .iter()
        .map(|text| (text.len() * 60 / 100 + 1) * 100)
        .sum();
    world.silence(played as u64 + 4000 - (world.now - done));
    assert_eq!(
        world.count("input_audio_buffer.timeout_triggered"),
        0,
        "still within the playback"
    );
    world.silence(1500);
    world.settle();
    ladder::check(&world);
    assert_eq!(world.count("input_audio_buffer.timeout_triggered"), 1);
    assert_eq!(world.count("response.created"), 2);
}
