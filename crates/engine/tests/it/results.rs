//! What functions of the server return: read once, at the right time, within the context, and forgotten with its answer.

use engine::ask::{LlmMessage, ToolRunner};
use engine::session::Policy;
use serde_json::json;
use wire::realtime::SessionKind;

use crate::ladder;
use crate::tools::{ask, kind, tool, transcript, world};
use crate::world::{Answer, World, policy};

#[test]
fn a_long_result_is_cut_before_the_model_reads_it() {
    let mut world = world();
    world
        .answers
        .extend([Answer::Call("look_up", "{}"), Answer::Say("Long.")]);
    ask(&mut world, "look it up");
    world.pass(300);
    world.returns(&"ä".repeat(50_000));
    world.settle();
    let Some(LlmMessage::ToolOutput { output, .. }) = world.asked[1].messages.last() else {
        panic!("{:?}", world.asked[1].messages.last())
    };
    assert!(output.len() < 17 * 1024 && output.ends_with("(cut off)"));
}

/// A caller has spoken into the answer that waits for a function, and was answered; `last` is what comes next.
fn interrupted(last: &'static str) -> World {
    let mut world = world();
    world.answers.extend([
        Answer::Call("look_up", "{}"),
        Answer::Say("Yes, I am still here."),
        Answer::Say(last),
    ]);
    ask(&mut world, "book it");
    world.pass(300);
    world.speak(400);
    world.silence(900);
    world.settle();
    world
}

#[test]
fn a_result_that_comes_after_an_interruption_is_told() {
    let mut world = interrupted("It is booked.");
    let read = &world.asked[1].messages;
    let told = read.iter().any(|message| {
        matches!(message, LlmMessage::ToolOutput { output, .. } if output.contains("do not call it again"))
    });
    assert!(told, "{read:?}");
    world.returns("booked");
    world.settle();
    ladder::check(&world);
    assert_eq!(transcript(&world), "It is booked.");
    let read = &world.asked[2].messages;
    assert!(read.iter().any(
        |message| matches!(message, LlmMessage::ToolOutput { output, .. } if output == "booked")
    ));
}

#[test]
fn a_result_that_comes_into_a_noise_is_told_behind_it() {
    let mut world = interrupted("It is booked.");
    world.transcripts.extend([Ok("")]);
    world.speak(200);
    world.returns("booked");
    assert_eq!(world.asked.len(), 2);
    world.silence(900);
    world.settle();
    ladder::check(&world);
    assert_eq!(transcript(&world), "It is booked.");
    assert_eq!(world.asked.len(), 3);
}

#[test]
fn a_result_that_comes_into_a_question_is_told_with_its_answer() {
    let mut world = interrupted("It is booked, and it is noon.");
    world.speak(400);
    world.returns("booked");
    world.silence(900);
    world.settle();
    world.pass(5_000);
    assert_eq!(world.asked.len(), 3);
    assert!(world.asked[2].messages.iter().any(
        |message| matches!(message, LlmMessage::ToolOutput { output, .. } if output == "booked")
    ));
}

#[test]
fn what_the_client_deletes_takes_the_calls_behind_it_along() {
    let mut world = world();
    world
        .answers
        .extend([Answer::Call("look_up", "{}"), Answer::Say("Found.")]);
    ask(&mut world, "look it up");
    world.pass(300);
    world.returns("secret number");
    world.settle();
    let answer = world.last("response.done")["response"]["output"][0]["id"].clone();
    world.client(json!({"type": "conversation.item.delete", "item_id": answer}));
    ask(&mut world, "again");
    world.settle();
    let kinds: Vec<&str> = world.asked[2].messages.iter().map(kind).collect();
    assert_eq!(kinds, ["system", "user", "user"]);
}

#[test]
fn results_make_room_for_themselves_in_the_context() {
    let mut world = World::with(
        SessionKind::Realtime,
        Policy {
            tools: vec![tool("look_up", ToolRunner::Detached)],
            context_tokens: 1_000,
            ..policy()
        },
    );
    for _ in 0..10 {
        world.client(
            json!({"type": "conversation.item.create", "item": {"type": "message",
            "role": "user", "content": [{"type": "input_text", "text": "word ".repeat(60)}]}}),
        );
    }
    world
        .answers
        .extend([Answer::Call("look_up", "{}"), Answer::Say("Found.")]);
    ask(&mut world, "look it up");
    world.pass(300);
    world.returns(&"x".repeat(50_000));
    world.settle();
    let letters = |message: &LlmMessage| match message {
        LlmMessage::System(text) | LlmMessage::Assistant(text) | LlmMessage::User { text, .. } => {
            text.len()
        }
        LlmMessage::ToolCall { arguments, .. } => arguments.len(),
        LlmMessage::ToolOutput { output, .. } => output.len(),
    };
    let read: usize = world.asked[1].messages.iter().map(letters).sum();
    assert!(read < 4 * 1_000, "{read}");
}
