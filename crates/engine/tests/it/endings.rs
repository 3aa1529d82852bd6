//! The first words and the last: greetings that come once, farewells that are heard, calls that end.

use engine::ask::LlmMessage;
use engine::session::Policy;
use serde_json::json;
use wire::realtime::SessionKind;

use crate::ladder;
use crate::tools::{ask, transcript, world};
use crate::world::{Answer, World, policy};

#[test]
fn the_call_ends_when_the_farewell_was_heard() {
    for (answer, farewell) in [
        (
            Answer::Call("end_call", "{\"farewell\":\"Goodbye then.\"}"),
            "Goodbye then.",
        ),
        (Answer::Call("end_call", "{}"), ""),
    ] {
        let mut world = world();
        world.answers.push_back(answer);
        ask(&mut world, "bye");
        world.settle();
        assert_eq!(world.spoken.concat(), farewell);
        let done = world.last("response.done");
        assert_eq!(done["response"]["status"], "completed");
        if !farewell.is_empty() {
            assert_eq!(world.closed, None);
        }
        world.pass(5_000);
        assert_eq!(world.closed, Some((1000, "call_ended".to_owned())));
    }
}

#[test]
fn a_caller_who_speaks_into_the_farewell_keeps_the_line() {
    let mut world = world();
    let farewell = "{\"farewell\":\"Goodbye then, and have a very nice day, wherever you are.\"}";
    world.answers.push_back(Answer::Call("end_call", farewell));
    ask(&mut world, "bye");
    world.settle();
    world.speak(400);
    world.silence(900);
    world.settle();
    world.pass(5_000);
    assert_eq!(world.closed, None);
    assert_eq!(
        world.last("response.done")["response"]["status"],
        "completed"
    );
    // nor does a cough much later end what has become a conversation again
    world.transcripts.extend([Ok("")]);
    world.speak(200);
    world.silence(900);
    world.settle();
    world.pass(8_000);
    assert_eq!(world.closed, None);
}

#[test]
fn a_greeting_comes_first_and_in_the_clients_format() {
    let greeted = Policy {
        greeting: Some("Hello, this is Ann.".to_owned()),
        ..policy()
    };
    let mut world = World::with(SessionKind::Realtime, greeted.clone());
    world.pass(100);
    assert_eq!(world.count("response.created"), 0);
    world.update(json!({"audio": {"output": {"format": {"type": "audio/pcmu"}}}}));
    world.pass(60);
    world.settle();
    ladder::check(&world);
    assert_eq!(transcript(&world), "Hello, this is Ann.");
    let format = &world.last("response.created")["response"]["audio"]["output"]["format"];
    assert_eq!(format["type"], "audio/pcmu");
    assert!(world.asked.is_empty());
    // the model knows what was said, and it is said once
    ask(&mut world, "hi");
    world.settle();
    world.update(json!({"instructions": "Be kind."}));
    world.settle();
    assert_eq!(world.count("response.created"), 2);
    assert!(
        world.asked[0]
            .messages
            .contains(&LlmMessage::Assistant("Hello, this is Ann.".to_owned()))
    );

    // a client that sends no settings is greeted all the same; one that speaks first is not
    let mut silent = World::with(SessionKind::Realtime, greeted.clone());
    silent.pass(400);
    assert_eq!(silent.count("response.created"), 1);
    let mut quick = World::with(SessionKind::Realtime, greeted);
    ask(&mut quick, "hi");
    quick.settle();
    quick.pass(400);
    assert_eq!(quick.count("response.created"), 1);
}

#[test]
fn a_farewell_is_said_although_something_was_said_before_another_call() {
    let mut world = world();
    let farewell = "{\"farewell\":\"Goodbye then.\"}";
    world.answers.extend([
        Answer::SayThenCall("Let me see."),
        Answer::Call("end_call", farewell),
    ]);
    ask(&mut world, "look it up and go");
    world.pass(300);
    world.returns("found");
    world.settle();
    assert_eq!(transcript(&world), "Let me see. Goodbye then.");
}

#[test]
fn a_cough_into_the_farewell_does_not_keep_the_line_open_for_ever() {
    for when in [10, 900] {
        let mut world = world();
        let farewell =
            "{\"farewell\":\"Goodbye then, and have a very nice day, wherever you are.\"}";
        world.answers.push_back(Answer::Call("end_call", farewell));
        world.transcripts.extend([Ok("")]);
        ask(&mut world, "bye");
        world.pass(200 + when);
        world.speak(200);
        world.silence(900);
        world.settle();
        world.pass(8_000);
        assert_eq!(
            world.closed,
            Some((1000, "call_ended".to_owned())),
            "{when}"
        );
    }
}

#[test]
fn a_noise_does_not_swallow_the_greeting() {
    let greeted = Policy {
        greeting: Some("Hello, this is Ann.".to_owned()),
        ..policy()
    };
    let mut world = World::with(SessionKind::Realtime, greeted.clone());
    world.transcripts.extend([Ok("")]);
    world.speak(200);
    world.silence(900);
    world.settle();
    world.pass(100);
    world.settle();
    assert_eq!(transcript(&world), "Hello, this is Ann.");

    // a client that asks by itself right away is answered and not greeted
    let mut world = World::with(SessionKind::Realtime, greeted);
    world.update(json!({"output_modalities": ["text"]}));
    ask(&mut world, "hi");
    world.pass(1_000);
    world.settle();
    assert_eq!(world.count("response.created"), 1);
    assert_eq!(world.count("error"), 0);
}
