//! Limits of whoever pays, and the caller's bytes: what is told, what is refused, and what goes on all the same.

use engine::guard::Standing;
use engine::session::{Input, Limit, Limits, Policy};
use serde_json::{Value, json};
use wire::realtime::{ServerEvent, SessionKind};

use crate::ladder;
use crate::world::{Answer, World, policy};

fn limit(limit: u64, remaining: u64, wait_ms: u64) -> Limit {
    let standing = Standing {
        remaining,
        reset_ms: 60_000,
        wait_ms,
    };
    Limit { limit, standing }
}

fn tell(world: &mut World, limits: Limits) {
    world.input(Input::Limits(Box::new(limits)));
}

fn tokens(limit_: u64, remaining: u64, wait_ms: u64) -> Limits {
    Limits {
        tokens: Some(limit(limit_, remaining, wait_ms)),
        ..Limits::default()
    }
}

fn audio(remaining: u64) -> Limits {
    Limits {
        audio_s: Some(limit(
            600,
            remaining,
            if remaining == 0 { 30_000 } else { 0 },
        )),
        ..Limits::default()
    }
}

/// Asks for an answer in text, and gives the response.
fn answered(world: &mut World) -> Value {
    world.client(json!({"type": "response.create", "response": {"output_modalities": ["text"]}}));
    world.settle();
    ladder::check(world);
    world.last("response.done")["response"].clone()
}

fn updates(world: &World) -> usize {
    let told = world.log.iter();
    told.filter(|(_, event)| matches!(event, ServerEvent::RateLimitsUpdated { .. }))
        .count()
}

#[test]
fn the_tightest_limit_is_reported_and_what_is_used_is_taken_off() {
    let mut world = World::new();
    let limits = |limit_, remaining| Limits {
        requests: Some(limit(100, 97, 0)),
        ..tokens(limit_, remaining, 0)
    };
    tell(&mut world, limits(1000, 600));
    assert_eq!(updates(&world), 0, "nobody asked");
    answered(&mut world);
    let reported = world.last("rate_limits.updated")["rate_limits"].clone();
    let shown = |at: usize| {
        let entry = &reported[at];
        (&entry["name"], &entry["limit"], &entry["remaining"])
    };
    assert_eq!(shown(0), (&json!("requests"), &json!(100), &json!(97)));
    // the pretended model reads 20 tokens and writes 8
    assert_eq!(shown(1), (&json!("tokens"), &json!(1000), &json!(572)));
    assert!(reported.get(2).is_none());
    tell(&mut world, limits(1000, 570));
    assert_eq!(updates(&world), 1, "the same limits");
    tell(&mut world, limits(5000, 4570));
    assert_eq!(updates(&world), 2, "other limits are told at once");
    tell(&mut world, Limits::default());
    assert_eq!(updates(&world), 3, "none as well");
    let reported = world.last("rate_limits.updated")["rate_limits"].clone();
    assert_eq!(reported[0]["limit"], 1_000_000, "the session's own is left");
}

#[test]
fn tokens_that_are_used_up_refuse_a_response_until_there_are_some() {
    let mut world = World::new();
    tell(&mut world, tokens(1000, 0, 10_000));
    let response = answered(&mut world);
    assert_eq!(response["status"], "failed");
    let error = &response["status_details"]["error"];
    assert_eq!(error["code"], "rate_limit_exceeded");
    assert!(world.asked.is_empty(), "nobody was asked");
    world.pass(10_000);
    assert_eq!(answered(&mut world)["status"], "completed");
}

#[test]
fn a_question_that_was_refused_fails_without_an_apology() {
    let mut world = World::new();
    world.answers.push_back(Answer::Refuse);
    world.client(json!({"type": "response.create"}));
    world.settle();
    ladder::check(&world);
    let response = world.last("response.done")["response"].clone();
    assert_eq!(
        response["status_details"]["error"]["code"],
        "rate_limit_exceeded"
    );
    assert!(world.spoken.is_empty());
    assert!(
        !world
            .marks
            .iter()
            .any(|(_, mark)| matches!(mark, engine::session::Mark::Missing { .. }))
    );
    assert_eq!(answered(&mut world)["status"], "completed");
}

#[test]
fn a_guess_that_was_refused_is_asked_again_in_the_open() {
    let mut world = World::new();
    world.answers.push_back(Answer::Refuse);
    world.speak(1000);
    world.silence(1500);
    world.settle();
    ladder::check(&world);
    assert_eq!(world.asked.len(), 2);
    assert!(world.asked[0].speculative && !world.asked[1].speculative);
    assert_eq!(
        world.last("response.done")["response"]["status"],
        "completed"
    );
}

#[test]
fn the_audio_of_a_day_is_warned_of_and_then_refused() {
    let mut world = World::new();
    tell(&mut world, audio(200));
    assert_eq!(updates(&world), 0);
    tell(&mut world, audio(120));
    assert_eq!(updates(&world), 1, "80 % are used");
    tell(&mut world, audio(60));
    assert_eq!(updates(&world), 1, "once");
    let reported = world.last("rate_limits.updated")["rate_limits"].clone();
    assert_eq!(
        (&reported[1]["name"], &reported[1]["remaining"]),
        (&json!("audio_seconds"), &json!(120))
    );
    tell(&mut world, audio(0));
    assert_eq!(updates(&world), 2);
    let response = answered(&mut world);
    assert_eq!(
        response["status_details"]["error"]["code"],
        "quota_exceeded"
    );
    assert!(world.closed.is_none());
    world.pass(30_000);
    assert_eq!(answered(&mut world)["status"], "completed");
}

#[test]
fn who_only_wants_to_be_transcribed_is_refused_the_audio_itself() {
    let mut world = World::with(SessionKind::Transcription, policy());
    tell(&mut world, audio(0));
    world.speak(20);
    assert_eq!(world.last("error")["error"]["code"], "quota_exceeded");
    tell(&mut world, audio(300));
    let errors = world.types(0).len();
    world.speak(20);
    assert_eq!(world.types(0).len(), errors);
}

#[test]
fn audio_beyond_the_limit_is_refused_and_the_rest_goes_on() {
    let frame = 960;
    let mut world = World::with(
        SessionKind::Realtime,
        Policy {
            bytes_per_minute: 3 * frame,
            ..policy()
        },
    );
    world.speak(60);
    assert!(!world.types(0).contains(&"error"));
    world.speak(20);
    let error = world.last("error")["error"].clone();
    assert_eq!(
        (&error["code"], &error["param"], &error["type"]),
        (
            &json!("rate_limit_exceeded"),
            &json!("audio"),
            &json!("invalid_request_error")
        )
    );
    assert_eq!(answered(&mut world)["status"], "completed");
    // two windows later everything may be had again
    world.pass(120_000);
    let from = world.log.len();
    world.speak(60);
    assert!(!world.types(from).contains(&"error"));
    // 0 is no limit
    let mut world = World::with(
        SessionKind::Realtime,
        Policy {
            bytes_per_minute: 0,
            ..policy()
        },
    );
    world.speak(1000);
    assert!(!world.types(0).contains(&"error"));
}
