//! What was heard: queued speech, truncation in every format, offsets, odd bytes.

use engine::session::Input;
use serde_json::{Value, json};

use crate::ladder;
use crate::world::{Answer, World};

fn ask(world: &mut World, response: Value) {
    world.client(json!({"type": "response.create", "response": response}));
}

fn retrieved(world: &mut World, id: &Value) -> Value {
    world.client(json!({"type": "conversation.item.retrieve", "item_id": id}));
    world.last("conversation.item.retrieved")["item"]["content"][0].clone()
}

fn audio_of(part: &Value) -> Vec<u8> {
    let audio: wire::realtime::AudioBytes = serde_json::from_value(part["audio"].clone()).unwrap();
    audio.0.to_vec()
}

fn manual(world: &mut World) {
    world.update(json!({"audio": {"input": {"turn_detection": null}}}));
}

#[test]
fn speech_cuts_the_answer_being_heard_and_the_one_queued_behind_it() {
    let mut world = World::new();
    world
        .answers
        .extend([Answer::Endless, Answer::Say("The second answer, queued.")]);
    ask(&mut world, json!({}));
    world.settle();
    ask(&mut world, json!({}));
    world.settle();
    assert_eq!(world.count("response.done"), 2);
    world.silence(1500);
    world.speak(600);
    world.silence(1500);
    world.settle();
    ladder::check(&world);
    let context = format!("{:?}", world.asked.last().unwrap().messages);
    assert!(context.contains("One more"), "{context}");
    assert!(!context.contains("Six more"), "{context}");
    assert!(!context.contains("queued"), "{context}");
}

#[test]
fn a_client_that_ran_out_of_audio_has_heard_no_more_than_it_got() {
    let mut world = World::new();
    world.answers.push_back(Answer::Say(
        "Short sentence number one is here. The second sentence of this answer takes a while.",
    ));
    ask(&mut world, json!({}));
    while world.spoken.is_empty() {
        world.pass(5);
    }
    world.latency.tts = 6000;
    world.settle();
    assert_eq!(world.count("response.done"), 1);
    world.speak(600);
    world.silence(1500);
    world.settle();
    let context = format!("{:?}", world.asked.last().unwrap().messages);
    assert!(
        context.contains("Short sentence number one is"),
        "{context}"
    );
    assert!(!context.contains("takes a while"), "{context}");
}

#[test]
fn truncation_counts_in_the_format_of_the_response() {
    let mut world = World::new();
    let format = json!({"type": "audio/pcmu"});
    ask(&mut world, json!({"audio": {"output": {"format": format}}}));
    world.settle();
    let id = world.last("response.done")["response"]["output"][0]["id"].clone();
    world.client(
        json!({"type": "conversation.item.truncate", "item_id": id, "content_index": 0,
        "audio_end_ms": 500}),
    );
    let part = retrieved(&mut world, &id);
    assert_eq!(audio_of(&part).len(), 500 * 8);
}

#[test]
fn a_written_reply_cannot_be_truncated_while_it_runs() {
    let mut world = World::new();
    world.update(json!({"output_modalities": ["text"]}));
    world.answers.push_back(Answer::Endless);
    ask(&mut world, json!({}));
    world.pass(300);
    let id = world.last("response.output_item.added")["item"]["id"].clone();
    world.client(
        json!({"type": "conversation.item.truncate", "item_id": id, "content_index": 0,
        "audio_end_ms": 0}),
    );
    assert_eq!(world.last_error()["code"], "unsupported_content_type");
    world.settle();
    ladder::check(&world);
    let part = retrieved(&mut world, &id);
    assert!(
        part["text"].as_str().unwrap().contains("Six more"),
        "{part}"
    );
}

#[test]
fn speech_times_count_the_audio_that_nobody_watched() {
    let mut world = World::new();
    manual(&mut world);
    world.speak(3000);
    world.client(json!({"type": "input_audio_buffer.commit"}));
    world.update(json!({"audio": {"input": {"turn_detection": {"type": "server_vad"}}}}));
    world.silence(400);
    world.speak(800);
    world.silence(800);
    let start = world.last("input_audio_buffer.speech_started")["audio_start_ms"].clone();
    let end = world.last("input_audio_buffer.speech_stopped")["audio_end_ms"].clone();
    let near = |value: &Value, ms: u64| value.as_u64().unwrap().abs_diff(ms) <= 40;
    assert!(near(&start, 3000 + 400 - 300), "{start}");
    assert!(near(&end, 3000 + 400 + 800 + 500), "{end}");
}

#[test]
fn half_a_sample_belongs_to_the_next_turn() {
    let mut world = World::new();
    manual(&mut world);
    let audio = world.tone(400, 9000.0);
    let mut ids = Vec::new();
    for part in [audio.slice(..9601), audio.slice(9601..)] {
        world.input(Input::Audio(part));
        world.client(json!({"type": "input_audio_buffer.commit"}));
        ids.push(world.last("input_audio_buffer.committed")["item_id"].clone());
    }
    world.settle();
    let turns: Vec<_> = ids
        .iter()
        .map(|id| audio_of(&retrieved(&mut world, id)))
        .collect();
    assert_eq!(turns[0].len(), 9600);
    assert_eq!(turns.concat(), audio);
}

#[test]
fn after_a_clear_the_next_byte_begins_a_sample() {
    let mut world = World::new();
    world.input(Input::Audio(vec![0; 481].into()));
    world.client(json!({"type": "input_audio_buffer.clear"}));
    // too soft to be speech, but noise when its bytes are read the wrong way round
    let soft = world.tone(1000, 100.0);
    world.input(Input::Audio(soft));
    assert_eq!(world.count("input_audio_buffer.speech_started"), 0);
}

#[test]
fn a_draining_server_waits_for_a_caller_who_is_speaking() {
    let mut world = World::new();
    world.silence(300);
    assert!(!world.session.is_replying());
    world.speak(300);
    assert!(world.session.is_replying(), "he is speaking");
    while world.count("response.done") == 0 {
        assert!(world.session.is_replying(), "at {} ms", world.now);
        world.silence(20);
    }
    world.settle();
    assert!(!world.session.is_replying());
    ask(&mut world, json!({"conversation": "none"}));
    assert!(world.session.is_replying(), "out of band");
    world.settle();
    assert!(!world.session.is_replying());
}

#[test]
fn a_draining_server_does_not_wait_for_what_only_a_client_can_end() {
    let mut world = World::new();
    manual(&mut world);
    world.speak(600);
    assert!(!world.session.is_replying());
    let mut world = World::new();
    let detection = json!({"type": "server_vad", "create_response": false});
    world.update(json!({"audio": {"input": {"turn_detection": detection}}}));
    world.speak(600);
    assert!(!world.session.is_replying());
}
