//! A part of the pipeline is missing: the client is told once, the caller is not left in silence, and it comes back.

use engine::ask::AnotherVoice;
use engine::session::{Input, Mark, Part, TtsNews};
use serde_json::json;
use wire::realtime::extra::ExtraEvents;
use wire::realtime::{ErrorBody, ServerEvent};

use crate::ladder;
use crate::world::{Answer, World};

fn ask(world: &mut World, words: &str) {
    world.client(
        json!({"type": "conversation.item.create", "item": {"type": "message",
        "role": "user", "content": [{"type": "input_text", "text": words}]}}),
    );
    world.client(json!({"type": "response.create"}));
}

fn errors(world: &World, code: &str) -> usize {
    let is = |event: &ServerEvent| matches!(event, ServerEvent::Error { error } if error.code.as_deref() == Some(code));
    world.log.iter().filter(|(_, event)| is(event)).count()
}

fn changes(world: &World) -> Vec<(Part, bool)> {
    let marks = world.marks.iter().filter_map(|(_, mark)| match mark {
        Mark::Missing { part, missing } => Some((*part, *missing)),
        _ => None,
    });
    marks.collect()
}

fn response(world: &World) -> serde_json::Value {
    world.last("response.done")["response"].clone()
}

fn transcript(world: &World) -> String {
    let content = &response(world)["output"][0]["content"][0];
    content["transcript"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn without_a_language_model_the_caller_hears_an_apology_and_his_own_words() {
    let mut world = World::new();
    for _ in 0..2 {
        world.answers.push_back(Answer::Fail);
        ask(&mut world, "When do you open?");
        world.settle();
        ladder::check(&world);
        assert_eq!(
            transcript(&world),
            "I am sorry, I cannot think clearly right now. You said: When do you open?"
        );
        // heard as an apology, told as what it is
        assert_eq!(response(&world)["status"], "failed");
        assert_eq!(
            response(&world)["status_details"]["error"]["code"],
            "provider_unavailable"
        );
    }
    assert!(world.spoken.join(" ").contains("I am sorry,"));
    assert_eq!(errors(&world, "llm_degraded"), 1);
    ask(&mut world, "When do you open?");
    world.settle();
    assert_eq!(response(&world)["status"], "completed");
    assert_eq!(
        changes(&world),
        [(Part::Language, true), (Part::Language, false)]
    );
    // the next time it fails is another time
    world.answers.push_back(Answer::Fail);
    ask(&mut world, "And now?");
    world.settle();
    assert_eq!(errors(&world, "llm_degraded"), 2);
}

#[test]
fn nobody_apologises_in_writing_or_beside_the_conversation_or_in_the_middle_of_an_answer() {
    let mut world = World::new();
    world
        .answers
        .push_back(Answer::FailMidway("This is as far as I get. And "));
    ask(&mut world, "Go on.");
    world.settle();
    assert!(!transcript(&world).contains("sorry"));
    world.answers.push_back(Answer::Fail);
    world.client(json!({"type": "response.create", "response": {"conversation": "none"}}));
    world.settle();
    assert_eq!(response(&world)["output"], json!([]));
    world.update(json!({"output_modalities": ["text"]}));
    world.answers.push_back(Answer::Fail);
    ask(&mut world, "Write.");
    world.settle();
    assert_eq!(response(&world)["output"], json!([]));
    assert_eq!(response(&world)["status"], "failed");
}

#[test]
fn an_answer_that_fails_behind_a_slow_function_is_apologised_for() {
    let mut world = crate::tools::world();
    world
        .answers
        .extend([Answer::Call("look_up", "{}"), Answer::Fail]);
    ask(&mut world, "Look it up.");
    world.pass(4_000);
    world.returns("found");
    world.settle();
    ladder::check(&world);
    assert_eq!(
        transcript(&world),
        "One moment, please. I am sorry, I cannot think clearly right now. You said: Look it up."
    );
    assert_eq!(response(&world)["status"], "failed");
}

/// The voice of the response that is running fails.
fn lose_voice(world: &mut World) {
    let error = ErrorBody::server("provider_timeout", "no voice");
    let id = world.speaking.last().copied().unwrap();
    world.input(Input::Tts(id, TtsNews::Failed(error.into())));
}

#[test]
fn without_a_voice_responses_are_their_transcript_until_it_is_back() {
    let mut world = World::new();
    for when in [200, 400] {
        let from = world.log.len();
        world.answers.push_back(Answer::Endless);
        ask(&mut world, "Tell me everything.");
        world.pass(when);
        lose_voice(&mut world);
        world.settle();
        ladder::check(&world);
        assert_eq!(response(&world)["status"], "completed");
        let deltas = world.log[from..]
            .iter()
            .filter_map(|(_, event)| match event {
                ServerEvent::OutputTranscriptDelta { delta, .. } => Some(delta.as_str()),
                _ => None,
            });
        assert_eq!(deltas.collect::<String>(), transcript(&world));
        assert!(transcript(&world).ends_with("Six more sentences for you to hear now."));
    }
    assert_eq!(errors(&world, "tts_degraded"), 2);
    assert_eq!(
        changes(&world)[..3],
        [
            (Part::Voice, true),
            (Part::Voice, false),
            (Part::Voice, true)
        ]
    );
    ask(&mut world, "Speak.");
    world.settle();
    assert!(world.count("response.output_audio.delta") > 0);
    assert_eq!(changes(&world).last(), Some(&(Part::Voice, false)));
}

/// Another voice takes over in the response that is running.
fn change_voice(world: &mut World, to: &str) {
    let id = world.speaking.last().copied().unwrap();
    let voice = AnotherVoice {
        from: "af_heart".to_owned(),
        to: to.to_owned(),
        reason: "provider_unavailable".to_owned(),
    };
    world.input(Input::Tts(id, TtsNews::Another(voice.into())));
}

#[test]
fn who_asks_for_it_is_told_once_a_response_that_another_voice_speaks() {
    for asked in ["", "tts.degraded"] {
        let mut world = World::new();
        world.session.tell_also(ExtraEvents::parse(asked).unwrap());
        for round in 1..=2 {
            world.answers.push_back(Answer::Endless);
            ask(&mut world, "Tell me everything.");
            world.pass(200);
            change_voice(&mut world, "joe");
            world.pass(200);
            change_voice(&mut world, "amy");
            world.settle();
            ladder::check(&world);
            assert_eq!(response(&world)["status"], "completed");
            let told: Vec<_> = world
                .log
                .iter()
                .filter_map(|(_, event)| match event {
                    ServerEvent::TtsDegraded {
                        response_id,
                        from,
                        to,
                        reason,
                        ..
                    } => Some((response_id, from.as_str(), to.as_str(), reason.as_str())),
                    _ => None,
                })
                .collect();
            if asked.is_empty() {
                assert!(told.is_empty());
                continue;
            }
            assert_eq!(told.len(), round);
            let (of, from, to, reason) = told[round - 1];
            assert_eq!(response(&world)["id"], of.as_str());
            assert_eq!(
                (from, to, reason),
                ("af_heart", "joe", "provider_unavailable")
            );
        }
        assert_eq!(errors(&world, "tts_degraded"), 0);
    }
}

#[test]
fn what_was_read_instead_of_heard_stays_in_the_conversation() {
    let mut world = World::new();
    ask(&mut world, "Tell me.");
    world.pass(140);
    lose_voice(&mut world);
    world.settle();
    world.speak(400);
    world.silence(900);
    world.settle();
    let read = format!("{:?}", world.asked.last().unwrap().messages);
    assert!(read.contains("Yes, I can. It is done."), "{read}");
}

#[test]
fn without_ears_the_caller_is_told_and_the_client_asked_to_write() {
    let mut world = World::new();
    for _ in 0..2 {
        world.transcripts.push_back(Err(()));
        world.speak(400);
        world.silence(900);
        world.settle();
        ladder::check(&world);
        assert_eq!(
            transcript(&world),
            "I am sorry, I could not hear you. Please try again."
        );
    }
    assert!(world.asked.is_empty());
    assert_eq!(errors(&world, "stt_degraded"), 1);
    ask(&mut world, "I write instead.");
    world.settle();
    assert_eq!(response(&world)["status"], "completed");
    world.speak(400);
    world.silence(900);
    world.settle();
    assert_eq!(changes(&world), [(Part::Ears, true), (Part::Ears, false)]);
}

#[test]
fn everything_may_be_missing_at_once() {
    let mut world = World::new();
    world.answers.push_back(Answer::Fail);
    ask(&mut world, "Anybody there?");
    world.pass(81);
    lose_voice(&mut world);
    world.settle();
    ladder::check(&world);
    assert!(transcript(&world).contains("You said: Anybody there?"));
    assert_eq!(response(&world)["status"], "failed");
    assert_eq!(
        errors(&world, "llm_degraded") + errors(&world, "tts_degraded"),
        2
    );
}
