//! Questions that must not get lost: behind a noise, behind another response, behind a stale guess.

use engine::session::{Input, Mark, SttNews};
use serde_json::{Value, json};

use crate::ladder;
use crate::world::{Answer, World};

fn statuses(world: &World) -> Vec<Value> {
    world
        .log
        .iter()
        .filter_map(|(_, e)| serde_json::to_value(e).ok())
        .filter(|e| e["type"] == "response.done")
        .map(|e| e["response"]["status"].clone())
        .collect()
}

fn classify(world: &mut World) {
    world.client(
        json!({"type": "response.create", "response": {"conversation": "none", "input": [],
        "output_modalities": ["text"]}}),
    );
}

fn question_then_noise() -> World {
    let mut world = World::new();
    world
        .transcripts
        .extend([Ok("What is the time?"), Ok(" "), Ok(" ")]);
    world
}

#[test]
fn an_out_of_band_response_leaves_the_turn_its_answer() {
    let mut world = World::new();
    world.latency.stt = 900;
    world.speak(600);
    world.silence(600);
    assert_eq!(world.count("input_audio_buffer.committed"), 1);
    classify(&mut world);
    world.silence(2000);
    world.settle();
    ladder::check(&world);
    assert_eq!(world.count("response.created"), 2);
    let last = world.last("response.done")["response"].clone();
    assert!(last["conversation_id"].is_string(), "{last}");
}

#[test]
fn an_out_of_band_response_leaves_a_turn_that_waits_for_its_answer() {
    let mut world = World::new();
    let detection = json!({"type": "server_vad", "interrupt_response": false});
    world.update(json!({"audio": {"input": {"turn_detection": detection}}}));
    world.answers.push_back(Answer::Endless);
    world.latency.token = 60;
    world.speak(800);
    world.silence(800);
    world.speak(500);
    world.silence(700);
    assert_eq!(world.count("input_audio_buffer.committed"), 2);
    classify(&mut world);
    world.silence(8000);
    world.settle();
    ladder::check(&world);
    assert_eq!(world.count("response.done"), 3, "two turns and the label");
}

#[test]
fn an_out_of_band_response_does_not_stop_the_clock_of_a_silent_caller() {
    let mut world = World::new();
    let detection = json!({"type": "server_vad", "idle_timeout_ms": 5000});
    world.update(json!({"audio": {"input": {"turn_detection": detection}}}));
    world.answers.push_back(Answer::Say("Short answer."));
    world.speak(600);
    world.silence(2000);
    assert_eq!(world.count("response.done"), 1);
    classify(&mut world);
    world.silence(7000);
    world.settle();
    ladder::check(&world);
    assert_eq!(world.count("input_audio_buffer.timeout_triggered"), 1);
}

#[test]
fn what_does_not_change_the_question_keeps_the_prepared_answer() {
    let mut world = World::new();
    world.speak(600);
    world.silence(300);
    assert_eq!(world.asked.len(), 1, "prepared in the pause");
    classify(&mut world);
    world.client(json!({"type": "conversation.item.retrieve", "item_id": "item_none"}));
    world.client(json!({"type": "response.cancel", "response_id": "resp_none"}));
    world.silence(1500);
    world.settle();
    ladder::check(&world);
    assert_eq!(world.asked.len(), 2, "the answer and the label");
    let dropped = |(_, mark): &(u64, Mark)| *mark == Mark::SpeculationDropped;
    assert!(!world.marks.iter().any(dropped));
}

#[test]
fn a_noise_before_the_answer_begins_does_not_lose_the_question() {
    let mut world = question_then_noise();
    world.latency.stt = 900;
    world.speak(800);
    world.silence(600);
    world.speak(200);
    world.silence(3000);
    world.settle();
    ladder::check(&world);
    assert_eq!(world.count("input_audio_buffer.committed"), 2);
    assert_eq!(statuses(&world), ["completed"]);
    let context = format!("{:?}", world.asked[0].messages);
    assert!(context.contains("What is the time?"), "{context}");
}

#[test]
fn a_noise_that_is_understood_before_the_question_does_not_lose_it() {
    let mut world = question_then_noise();
    world.latency.stt = 4000;
    world.speak(800);
    world.silence(600);
    world.latency.stt = 60;
    world.speak(200);
    world.silence(5000);
    world.settle();
    ladder::check(&world);
    assert_eq!(statuses(&world), ["completed"]);
}

#[test]
fn a_noise_before_the_first_word_of_the_answer_only_delays_it() {
    for (first_token, tts) in [(1500, 70), (80, 5000)] {
        let mut world = question_then_noise();
        world
            .answers
            .push_back(Answer::Say("Words that nobody heard. "));
        world.latency.first_token = first_token;
        world.latency.tts = tts;
        world.speak(800);
        world.silence(800);
        assert_eq!(world.count("response.created"), 1);
        assert_eq!(world.count("response.output_audio.delta"), 0);
        world.speak(200);
        world.silence(3000);
        world.settle();
        ladder::check(&world);
        assert_eq!(statuses(&world), ["cancelled", "completed"]);
        let context = format!("{:?}", world.asked.last().unwrap().messages);
        assert!(!context.contains("nobody heard"), "{context}");
    }
}

#[test]
fn several_noises_delay_the_answer_and_do_not_multiply_it() {
    let mut world = question_then_noise();
    world.latency.stt = 900;
    world.speak(800);
    world.silence(600);
    world.speak(200);
    world.silence(600);
    world.speak(200);
    world.silence(4000);
    world.settle();
    ladder::check(&world);
    assert_eq!(world.count("input_audio_buffer.committed"), 3);
    assert_eq!(statuses(&world), ["completed"]);
}

#[test]
fn noises_alone_are_not_answered() {
    let mut world = World::new();
    world.transcripts.extend([Ok(""), Ok(" ")]);
    world.latency.stt = 900;
    world.speak(300);
    world.silence(600);
    world.speak(200);
    world.silence(4000);
    world.settle();
    ladder::check(&world);
    assert_eq!(world.count("response.created"), 0);
}

#[test]
fn an_answer_of_which_something_was_heard_is_not_given_twice() {
    let mut world = question_then_noise();
    world.answers.push_back(Answer::Endless);
    world.latency.token = 60;
    world.speak(800);
    world.silence(2500);
    assert_eq!(world.count("response.done"), 0, "still talking");
    world.speak(200);
    world.silence(3000);
    world.settle();
    ladder::check(&world);
    assert_eq!(world.count("response.created"), 1);
}

#[test]
fn news_of_an_earlier_pause_do_not_end_the_turn() {
    for stale in [
        SttNews::EndOfTurn(0.99),
        SttNews::Partial("That is all.".to_owned()),
    ] {
        let mut world = World::new();
        world.update(json!({"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}));
        world.transcripts.push_back(Ok("and then"));
        world.latency.stt = 1500;
        world.speak(400);
        world.input(Input::Stt(1, stale));
        world.speak(200);
        world.silence(700);
        assert_eq!(world.count("input_audio_buffer.committed"), 0);
        assert!(world.asked.is_empty());
    }
}

#[test]
fn a_transcript_that_changes_in_the_pause_prepares_another_answer() {
    let mut world = World::new();
    world.speak(600);
    world.silence(200);
    assert_eq!(world.asked.len(), 1);
    let better = SttNews::Partial("hello there, friend.".to_owned());
    world.input(Input::Stt(1, better));
    world.silence(1500);
    world.settle();
    ladder::check(&world);
    assert_eq!(world.asked.len(), 2);
    let context = format!("{:?}", world.asked[1].messages);
    assert!(context.contains("friend"), "{context}");
    assert_eq!(statuses(&world), ["completed"]);
}

#[test]
fn a_prepared_answer_counts_the_callers_audio() {
    let mut world = World::new();
    world.speak(1000);
    world.silence(1500);
    world.settle();
    let usage = world.last("response.done")["response"]["usage"].clone();
    let tokens = usage["input_token_details"]["audio_tokens"]
        .as_u64()
        .unwrap();
    assert!((10..=20).contains(&tokens), "one for 100 ms: {usage}");
}
