//! Responses: ladders, cancellation, calls, limits, failures.

use serde_json::json;
use wire::realtime::SessionKind;
use wire::realtime::client::ClientAction;

use crate::ladder;
use crate::world::{Answer, World, policy};

fn ask(world: &mut World, response: serde_json::Value) {
    world.client(json!({"type": "response.create", "response": response}));
}

fn say(world: &mut World, text: &str) {
    world.client(
        json!({"type": "conversation.item.create", "item": {"type": "message",
        "role": "user", "content": [{"type": "input_text", "text": text}]}}),
    );
}

#[test]
fn the_text_ladder_is_the_recorded_one() {
    let mut world = World::new();
    world.update(json!({"output_modalities": ["text"]}));
    say(&mut world, "hi");
    let from = world.log.len();
    ask(&mut world, json!({}));
    world.settle();
    ladder::check(&world);
    assert_eq!(
        world.types(from),
        [
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
            "rate_limits.updated",
        ]
    );
    let done = world.last("response.done");
    let output = &done["response"]["output"][0];
    assert_eq!(
        output["content"],
        json!([{"type": "output_text", "text": "Yes, I can. It is done."}])
    );
    let usage = &done["response"]["usage"];
    assert_eq!(usage["input_token_details"]["cached_tokens"], 5);
    assert_eq!(usage["total_tokens"], 28);
}

#[test]
fn a_call_is_streamed_and_its_output_answered() {
    let mut world = World::new();
    world.answers.extend([
        Answer::Call("weather", "{\"city\":\"Paris\"}"),
        Answer::Say("Sunny."),
    ]);
    say(&mut world, "weather?");
    let from = world.log.len();
    ask(&mut world, json!({}));
    world.settle();
    assert_eq!(
        world.types(from),
        [
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
            "rate_limits.updated",
        ]
    );
    let call = world.last("response.function_call_arguments.done");
    assert_eq!(
        (&call["name"], &call["arguments"]),
        (&json!("weather"), &json!("{\"city\":\"Paris\"}"))
    );
    let call_id = call["call_id"].as_str().unwrap();
    assert!(call_id.len() <= 32);
    world.client(json!({"type": "conversation.item.create", "item":
        {"type": "function_call_output", "call_id": call_id, "output": "25"}}));
    ask(&mut world, json!({}));
    world.settle();
    ladder::check(&world);
    let context = format!("{:?}", world.asked[1].messages);
    assert!(
        context.contains("ToolCall") && context.contains("ToolOutput"),
        "{context}"
    );
    assert_eq!(
        world.last("response.done")["response"]["status"],
        "completed"
    );
}

#[test]
fn several_calls_and_words_before_a_call_keep_their_order() {
    let mut world = World::new();
    world.answers.extend([
        Answer::CallBoth,
        Answer::SayThenCall("Let me look that up. "),
    ]);
    ask(&mut world, json!({}));
    world.settle();
    let output = world.last("response.done")["response"]["output"].clone();
    let names: Vec<_> = output
        .as_array()
        .unwrap()
        .iter()
        .map(|o| o["name"].clone())
        .collect();
    assert_eq!(names, ["first", "second"]);
    ask(&mut world, json!({}));
    world.settle();
    ladder::check(&world);
    let output = world.last("response.done")["response"]["output"].clone();
    assert_eq!(output[0]["content"][0]["type"], "output_audio");
    assert_eq!(output[1]["type"], "function_call");
}

#[test]
fn a_second_response_is_refused_and_names_the_first() {
    let mut world = World::new();
    ask(&mut world, json!({}));
    let running = world.last("response.created")["response"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    world.action(ClientAction::ResponseCreate(Box::default()));
    let error = world.last_error();
    assert_eq!(error["code"], "conversation_already_has_active_response");
    assert!(error["message"].as_str().unwrap().contains(&running));
    world.settle();
    ladder::check(&world);
    assert_eq!(world.count("response.done"), 1);
}

#[test]
fn cancelling_closes_what_is_open_and_stops_the_work() {
    let mut world = World::new();
    world.answers.push_back(Answer::Endless);
    ask(&mut world, json!({}));
    world.pass(300);
    assert!(world.count("response.output_audio.delta") > 0);
    world.client(json!({"type": "response.cancel"}));
    world.settle();
    ladder::check(&world);
    let done = world.last("response.done");
    assert_eq!(
        done["response"]["status_details"]["reason"],
        "client_cancelled"
    );
    assert_eq!(done["response"]["output"][0]["status"], "incomplete");
    world.action(ClientAction::ResponseCancel { response_id: None });
    assert_eq!(world.last_error()["code"], "response_cancel_not_active");
    assert_eq!(
        world.last_error()["message"],
        "Cancellation failed: no active response found"
    );
}

#[test]
fn a_response_cancelled_before_its_first_word_has_no_output() {
    let mut world = World::new();
    ask(&mut world, json!({}));
    world.client(json!({"type": "response.cancel"}));
    world.settle();
    ladder::check(&world);
    assert_eq!(world.last("response.done")["response"]["output"], json!([]));
}

#[test]
fn cancelling_with_a_wrong_id_harms_nobody() {
    let mut world = World::new();
    ask(&mut world, json!({}));
    world.client(json!({"type": "response.cancel", "response_id": "resp_other"}));
    assert_eq!(world.last_error()["code"], "response_cancel_not_active");
    world.settle();
    assert_eq!(
        world.last("response.done")["response"]["status"],
        "completed"
    );
}

#[test]
fn out_of_band_responses_run_beside_and_leave_no_trace() {
    let mut world = World::new();
    say(&mut world, "remember this");
    ask(&mut world, json!({}));
    let from = world.log.len();
    let input = json!([{"type": "message", "role": "user",
        "content": [{"type": "input_text", "text": "classify"}]}]);
    ask(
        &mut world,
        json!({"conversation": "none", "input": input, "output_modalities": ["text"],
        "metadata": {"topic": "label"}, "instructions": "Label it."}),
    );
    world.settle();
    ladder::check(&world);
    let context = format!("{:?}", world.asked[1].messages);
    assert!(context.contains("classify") && context.contains("Label it."));
    assert!(
        !context.contains("remember this"),
        "`input` replaces the conversation"
    );
    let created = &world.log[from].1;
    let created = serde_json::to_value(created).unwrap();
    assert_eq!(created["response"]["metadata"], json!({"topic": "label"}));
    assert_eq!(created["response"]["conversation_id"], json!(null));
    assert_eq!(world.count("response.done"), 2);
    assert_eq!(
        world.count("conversation.item.added"),
        2,
        "the question and the default reply"
    );
}

#[test]
fn too_many_parallel_responses_are_refused() {
    let mut world = World::new();
    for _ in 0..12 {
        ask(&mut world, json!({"conversation": "none"}));
    }
    assert_eq!(world.last_error()["code"], "too_many_responses");
    world.settle();
    assert_eq!(world.count("response.done"), 9);
}

#[test]
fn an_unknown_reference_is_refused() {
    let mut world = World::new();
    ask(
        &mut world,
        json!({"input": [{"type": "item_reference", "id": "item_nowhere"}]}),
    );
    assert_eq!(world.last_error()["param"], "response.input");
    assert_eq!(world.count("response.created"), 0);
}

#[test]
fn running_out_of_tokens_is_incomplete() {
    let mut world = World::new();
    world.answers.push_back(Answer::Cut("I was about to"));
    ask(&mut world, json!({"max_output_tokens": 4}));
    assert_eq!(world.asked[0].max_tokens, Some(4));
    world.settle();
    ladder::check(&world);
    let response = world.last("response.done")["response"].clone();
    assert_eq!(response["status"], "incomplete");
    assert_eq!(response["status_details"]["reason"], "max_output_tokens");
}

#[test]
fn a_failure_before_or_amid_the_reply_ends_it_as_failed() {
    for answer in [
        Answer::Fail,
        Answer::FailMidway("This is as far as I get. And "),
    ] {
        let mut world = World::new();
        world.answers.push_back(answer);
        ask(&mut world, json!({}));
        world.settle();
        ladder::check(&world);
        let response = world.last("response.done")["response"].clone();
        assert_eq!(response["status"], "failed");
        assert_eq!(response["status_details"]["error"]["type"], "server_error");
        ask(&mut world, json!({}));
        world.settle();
        assert_eq!(
            world.last("response.done")["response"]["status"],
            "completed"
        );
    }
}

#[test]
fn a_failed_guess_is_asked_again_in_the_open() {
    let mut world = World::new();
    world.answers.push_back(Answer::Fail);
    world.speak(600);
    world.silence(1500);
    world.settle();
    ladder::check(&world);
    assert_eq!(world.count("response.created"), 1);
    assert_eq!(
        world.last("response.done")["response"]["status"],
        "completed"
    );
}

#[test]
fn tokens_per_minute_are_reported_and_enforced() {
    let mut world = World::with(
        SessionKind::Realtime,
        engine::session::Policy {
            tokens_per_minute: 30,
            ..policy()
        },
    );
    world.update(json!({"output_modalities": ["text"]}));
    ask(&mut world, json!({}));
    world.settle();
    assert_eq!(
        world.last("rate_limits.updated")["rate_limits"][0]["remaining"],
        2
    );
    ask(&mut world, json!({}));
    world.settle();
    ask(&mut world, json!({}));
    let response = world.last("response.done")["response"].clone();
    assert_eq!(
        response["status_details"]["error"]["code"],
        "rate_limit_exceeded"
    );
    world.pass(60_000);
    ask(&mut world, json!({}));
    world.settle();
    assert_eq!(
        world.last("response.done")["response"]["status"],
        "completed"
    );
}

#[test]
fn a_context_that_may_not_be_cut_fails_the_response() {
    let mut world = World::with(
        SessionKind::Realtime,
        engine::session::Policy {
            context_tokens: 50,
            ..policy()
        },
    );
    world.update(json!({"truncation": "disabled"}));
    say(&mut world, &"word ".repeat(100));
    ask(&mut world, json!({}));
    let response = world.last("response.done")["response"].clone();
    assert_eq!(
        response["status_details"]["error"]["code"],
        "context_length_exceeded"
    );
}

#[test]
fn no_delta_is_longer_than_a_fifth_of_a_second() {
    let mut world = World::new();
    world.answers.push_back(Answer::Endless);
    ask(&mut world, json!({}));
    world.settle();
    let mut samples = 0;
    for (_, event) in &world.log {
        if let wire::realtime::ServerEvent::OutputAudioDelta { delta, .. } = event {
            assert!(delta.0.len() <= 9600 && delta.0.len() % 2 == 0);
            samples += delta.0.len() / 2;
        }
    }
    let spoken: usize = world
        .spoken
        .iter()
        .map(|text| (text.len() * 60 / 100 + 1) * 2400)
        .sum();
    assert_eq!(samples, spoken, "every sample once");
}

#[test]
fn providers_are_told_what_a_session_will_ask_of_them() {
    let mut world = World::new();
    assert_eq!(world.prepared, Some(("alloy".to_owned(), 24_000)));
    let output = json!({ "voice": "cedar", "format": { "type": "audio/pcmu" } });
    world.update(json!({ "audio": { "output": output } }));
    assert_eq!(world.prepared, Some(("cedar".to_owned(), 8000)));
    // where nothing will be spoken, no voice gets ready
    world.update(json!({ "output_modalities": ["text"] }));
    assert_eq!(world.prepared, None);
}
