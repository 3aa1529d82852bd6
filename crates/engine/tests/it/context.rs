//! What the model reads: how much of a long conversation, and what of it.

use engine::ask::LlmMessage;
use engine::session::Policy;
use serde_json::json;
use wire::realtime::SessionKind;

use crate::ladder;
use crate::world::{Answer, World, policy};

fn turns(world: &mut World, count: usize) {
    for turn in 0..count {
        let text = format!("question {turn} {}", "word ".repeat(12));
        world.client(
            json!({"type": "conversation.item.create", "item": {"id": format!("q{turn}"),
            "type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}}),
        );
        world.client(json!({"type": "response.create"}));
        world.settle();
    }
    ladder::check(world);
}

fn with(policy: Policy) -> World {
    let mut world = World::with(SessionKind::Realtime, policy);
    world.update(json!({"output_modalities": ["text"]}));
    world
}

fn cuts(world: &World) -> usize {
    world
        .asked
        .windows(2)
        .filter(|pair| !pair[1].messages.starts_with(&pair[0].messages))
        .count()
}

#[test]
fn a_retention_ratio_leaves_the_prompt_alone_until_the_limit_is_reached_again() {
    let limited = Policy {
        context_tokens: 400,
        ..policy()
    };
    let mut world = with(limited.clone());
    world.update(json!({"truncation": {"type": "retention_ratio", "retention_ratio": 0.5}}));
    turns(&mut world, 40);
    let by_ratio = cuts(&world);
    assert!((3..=8).contains(&by_ratio), "{by_ratio} cuts in 40 turns");
    let head = LlmMessage::System("Be brief.".to_owned());
    assert!(world.asked.iter().all(|asked| asked.messages[0] == head));
    let mut world = with(limited);
    turns(&mut world, 40);
    assert!(cuts(&world) > 20, "auto keeps as much as fits");
}

#[test]
fn a_limit_after_the_instructions_is_kept() {
    let mut world = with(policy());
    world.update(
        json!({"truncation": {"type": "retention_ratio", "retention_ratio": 0.8,
        "token_limits": {"post_instructions": 100}}}),
    );
    turns(&mut world, 12);
    // a turn is 20 estimated tokens of question and 10 of answer
    let longest = world.asked.iter().map(|asked| asked.messages.len()).max();
    assert!(longest.is_some_and(|n| (4..=8).contains(&n)), "{longest:?}");
}

#[test]
fn the_cut_moves_on_when_its_item_is_deleted() {
    let mut world = with(Policy {
        context_tokens: 400,
        ..policy()
    });
    world.update(json!({"truncation": {"type": "retention_ratio", "retention_ratio": 0.55}}));
    turns(&mut world, 13);
    let before = world.asked.last().unwrap().messages.clone();
    let LlmMessage::User { text, .. } = &before[1] else {
        panic!("a question leads: {before:?}");
    };
    let number = text.split(' ').nth(1).unwrap();
    assert_ne!(number, "0", "something was cut");
    world.client(json!({"type": "conversation.item.delete", "item_id": format!("q{number}")}));
    world.client(json!({"type": "response.create"}));
    world.settle();
    let after = &world.asked.last().unwrap().messages;
    assert_eq!(after[1], before[2]);
}

#[test]
fn the_oldest_items_are_forgotten_whoever_made_them() {
    let mut world = with(Policy {
        max_items: 6,
        ..policy()
    });
    turns(&mut world, 10);
    let messages = &world.asked.last().unwrap().messages;
    assert!(messages.len() <= 7, "{messages:?}");
    for (id, kept) in [("q0", false), ("q6", false), ("q9", true)] {
        let before = world.count("conversation.item.retrieved");
        world.client(json!({"type": "conversation.item.retrieve", "item_id": id}));
        let found = world.count("conversation.item.retrieved") > before;
        assert_eq!(found, kept, "{id}");
    }
    assert_eq!(world.last_error()["code"], "item_retrieve_invalid_item_id");
}

#[test]
fn what_the_token_limit_cut_off_is_incomplete_and_a_cut_call_was_never_made() {
    for answer in [
        Answer::Cut("I was about to"),
        Answer::CutCall("weather", "{\"city\":\"Pa"),
    ] {
        let mut world = World::new();
        world.answers.push_back(answer);
        world.client(json!({"type": "response.create"}));
        world.settle();
        ladder::check(&world);
        let response = world.last("response.done")["response"].clone();
        assert_eq!(response["status"], "incomplete");
        assert_eq!(response["output"][0]["status"], "incomplete");
        assert_eq!(
            world.last("conversation.item.done")["item"]["status"],
            "incomplete"
        );
        assert_eq!(world.count("response.function_call_arguments.done"), 0);
        world.client(json!({"type": "response.create"}));
        let context = format!("{:?}", world.asked[1].messages);
        assert!(!context.contains("ToolCall"), "{context}");
    }
}

#[test]
fn audio_inside_a_response_is_refused_and_a_reference_to_it_waits_for_its_words() {
    let mut world = World::new();
    world.transcripts.push_back(Ok("spoken in an item"));
    world.latency.stt = 500;
    let audio = serde_json::to_value(wire::realtime::AudioBytes(world.tone(600, 9000.0))).unwrap();
    let item = json!({"type": "message", "role": "user",
        "content": [{"type": "input_audio", "audio": audio}]});
    world.client(json!({"type": "response.create", "event_id": "evt",
        "response": {"conversation": "none", "input": [item]}}));
    let error = world.last_error();
    assert_eq!(
        (&error["code"], &error["param"], &error["event_id"]),
        (
            &json!("invalid_value"),
            &json!("response.input"),
            &json!("evt")
        )
    );
    assert_eq!(world.count("response.created"), 0);
    let mut item = item;
    item["id"] = json!("said");
    world.client(json!({"type": "conversation.item.create", "item": item}));
    let reference = json!({"type": "item_reference", "id": "said"});
    world.client(json!({"type": "response.create",
        "response": {"conversation": "none", "input": [reference]}}));
    assert!(world.asked.is_empty());
    world.settle();
    ladder::check(&world);
    assert!(format!("{:?}", world.asked[0].messages).contains("spoken in an item"));
}

#[test]
fn the_speed_changes_between_turns_only() {
    let mut world = World::new();
    world.client(json!({"type": "response.create"}));
    world.update(json!({"audio": {"output": {"speed": 1.2}}}));
    let error = world.last_error();
    assert_eq!(error["param"], "session.audio.output.speed");
    world.update(json!({"instructions": "x", "audio": {"output": {"speed": 1.0}}}));
    assert_eq!(
        world.last("session.updated")["session"]["instructions"],
        "x"
    );
    world.settle();
    world.update(json!({"audio": {"output": {"speed": 1.25}}}));
    assert_eq!(
        world.last("session.updated")["session"]["audio"]["output"]["speed"],
        1.25
    );
}
