//! One model hears, thinks and speaks: it is told what the stages would be asked, and everything anew when it was lost.

use bytes::Bytes;
use engine::ask::{
    DuplexCommand, DuplexItem, DuplexUsage, Finish, LlmMessage, LlmUsage, ToolRunner,
};
use engine::session::{DuplexNews, Input, LlmNews, Policy, SttNews, Upstream};
use serde_json::json;
use wire::realtime::{ErrorBody, SessionKind};

use crate::ladder;
use crate::tools::tool;
use crate::world::{World, policy};

fn world() -> World {
    let policy = Policy {
        upstream: Upstream::Duplex,
        tools: vec![
            tool("look_up", ToolRunner::Detached),
            tool("end_call", ToolRunner::EndCall),
        ],
        ..policy()
    };
    let mut world = World::with(SessionKind::Realtime, policy);
    world.input(Input::Duplex(DuplexNews::Ready));
    world
}

fn kinds(world: &World) -> Vec<&'static str> {
    let kind = |command: &DuplexCommand| match command {
        DuplexCommand::Configure(_) => "configure",
        DuplexCommand::Audio(_) => "audio",
        DuplexCommand::Commit(_) => "commit",
        DuplexCommand::Discard => "discard",
        DuplexCommand::Add(_) => "add",
        DuplexCommand::Reply(..) => "reply",
        DuplexCommand::Cancel(_) => "cancel",
        DuplexCommand::Heard { .. } => "heard",
    };
    let mut kinds: Vec<_> = world.told.iter().map(kind).collect();
    kinds.dedup();
    kinds
}

/// The answer that was asked for last.
fn reply(world: &World) -> u64 {
    let last = world.told.iter().rev().find_map(|command| match command {
        DuplexCommand::Reply(id, _) => Some(*id),
        _ => None,
    });
    last.unwrap()
}

fn say(world: &mut World, id: u64, words: &str, ms: usize) {
    world.input(Input::Llm(id, LlmNews::Text(words.to_owned())));
    let audio = Bytes::from(vec![1; ms * 48]);
    world.input(Input::Duplex(DuplexNews::Audio { reply: id, audio }));
}

fn done(world: &mut World, id: u64) {
    let usage = DuplexUsage {
        text: LlmUsage {
            input_tokens: 10,
            cached_tokens: 2,
            output_tokens: 3,
        },
        audio: LlmUsage {
            input_tokens: 40,
            cached_tokens: 5,
            output_tokens: 60,
        },
    };
    world.input(Input::Duplex(DuplexNews::Done {
        reply: id,
        finish: Finish::Stop,
        usage,
    }));
}

/// The answer that was asked for last comes, and is heard whole.
fn assert_answers(world: &mut World) {
    let id = reply(world);
    say(world, id, "Here again.", 500);
    done(world, id);
    assert_eq!(transcript(world), "Here again.");
}

fn lose(world: &mut World) {
    let error = ErrorBody::server("provider_unavailable", "gone");
    world.input(Input::Duplex(DuplexNews::Lost(error.into())));
}

fn transcript(world: &World) -> String {
    let done = world.last("response.done");
    let content = &done["response"]["output"][0]["content"][0];
    content["transcript"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn history(world: &World) -> Vec<String> {
    let (_, history) = world.joined.last().unwrap();
    let line = |item: &DuplexItem| match item {
        DuplexItem::Speech(audio) => format!("speech of {} ms", audio.len() / 48),
        DuplexItem::Message(LlmMessage::User { text, .. }) => format!("user: {text}"),
        DuplexItem::Message(LlmMessage::Assistant(text)) => format!("assistant: {text}"),
        DuplexItem::Message(LlmMessage::System(_)) => "system".to_owned(),
        DuplexItem::Message(LlmMessage::ToolCall { name, .. }) => format!("call: {name}"),
        DuplexItem::Message(LlmMessage::ToolOutput { output, .. }) => format!("output: {output}"),
    };
    history.iter().map(line).collect()
}

#[test]
fn a_turn_is_decided_here_and_answered_there_before_its_words_are_known() {
    let mut world = world();
    assert_eq!(world.joined.len(), 1);
    assert_eq!(world.joined[0].0.instructions, "Be brief.");
    world.speak(600);
    world.silence(700);
    assert_eq!(kinds(&world), ["audio", "commit", "reply"]);
    let sent: usize = world
        .told
        .iter()
        .map(|command| match command {
            DuplexCommand::Audio(audio) => audio.len(),
            _ => 0,
        })
        .sum();
    // with the padding before and the silence that ended it, as it came
    assert!((1_000..1_600).contains(&(sent / 48)), "{sent}");
    let id = reply(&world);
    say(&mut world, id, "Yes, ", 300);
    say(&mut world, id, "I can.", 400);
    let utterance = world
        .told
        .iter()
        .find_map(|command| match command {
            DuplexCommand::Commit(id) => Some(*id),
            _ => None,
        })
        .unwrap();
    let words = SttNews::Final {
        text: "Can you?".to_owned(),
        audio_ms: 0,
        logprobs: Vec::new(),
    };
    world.input(Input::Stt(utterance, words));
    done(&mut world, id);
    ladder::check(&world);
    assert_eq!(transcript(&world), "Yes, I can.");
    let usage = &world.last("response.done")["response"]["usage"];
    assert_eq!(usage["input_token_details"]["audio_tokens"], 40);
    assert_eq!(usage["input_token_details"]["cached_tokens"], 7);
    assert_eq!(usage["output_token_details"]["audio_tokens"], 60);
    assert!(world.asked.is_empty() && world.spoken.is_empty());
}

#[test]
fn an_interruption_cancels_and_tells_how_much_was_heard() {
    let mut world = world();
    world.client(json!({"type": "response.create"}));
    let id = reply(&world);
    say(
        &mut world,
        id,
        "One two three four five six seven eight nine ten.",
        3_000,
    );
    world.silence(1_000);
    world.told.clear();
    world.speak(400);
    assert_eq!(kinds(&world)[..2], ["cancel", "heard"]);
    let heard = world.told.iter().find_map(|command| match command {
        DuplexCommand::Heard {
            reply,
            audio_ms,
            text,
        } => Some((*reply, *audio_ms, text.clone())),
        _ => None,
    });
    let (of, ms, text) = heard.unwrap();
    assert_eq!(of, id);
    assert!((1_000..1_400).contains(&ms), "{ms}");
    assert!(
        text.starts_with("One two") && !text.contains("ten"),
        "{text}"
    );
    ladder::check(&world);
    // what still comes of it is not heard
    let from = world.log.len();
    say(&mut world, id, "eleven", 500);
    done(&mut world, id);
    assert!(
        !world
            .types(from)
            .iter()
            .any(|kind| kind.starts_with("response.output"))
    );
}

#[test]
fn a_lost_connection_is_made_again_with_everything_that_was_said() {
    let mut world = world();
    world.client(
        json!({"type": "conversation.item.create", "item": {"type": "message",
        "role": "user", "content": [{"type": "input_text", "text": "Count."}]}}),
    );
    world.client(json!({"type": "response.create"}));
    let first = reply(&world);
    say(&mut world, first, "One two three. ", 1_000);
    done(&mut world, first);
    world.pass(2_000);
    // in the middle of an utterance
    world.speak(400);
    lose(&mut world);
    assert_eq!(
        history(&world),
        ["user: Count.", "assistant: One two three."]
    );
    assert_eq!(world.joined.len(), 2);
    let begun = world.told.len();
    world.input(Input::Duplex(DuplexNews::Ready));
    world.silence(700);
    let sent: usize = world.told[begun - 1..]
        .iter()
        .map(|command| match command {
            DuplexCommand::Audio(audio) => audio.len() / 48,
            _ => 0,
        })
        .sum();
    assert!(
        sent > 900,
        "the utterance is told from its beginning: {sent} ms"
    );
    // before its words are known it is lost again, while the answer is awaited
    lose(&mut world);
    let lines = history(&world);
    assert!(lines[2].starts_with("speech of"), "{lines:?}");
    world.input(Input::Duplex(DuplexNews::Ready));
    let second = reply(&world);
    say(&mut world, second, "Four five six. ", 1_000);
    done(&mut world, second);
    ladder::check(&world);
    assert_eq!(transcript(&world).trim(), "Four five six.");
    assert_eq!(world.count("error"), 0);
}

#[test]
fn an_answer_that_broke_is_neither_repeated_nor_shortened() {
    // once the model goes on, once it begins again
    for continues in [true, false] {
        let mut world = world();
        // how fast it speaks is known from an answer before
        world.client(json!({"type": "response.create"}));
        let id = reply(&world);
        say(&mut world, id, "aaaa bbbb cccc dddd. ", 2_100);
        done(&mut world, id);
        world.client(json!({"type": "response.create"}));
        let id = reply(&world);
        say(&mut world, id, "one1 two2 six3 ", 1_500);
        lose(&mut world);
        assert_eq!(
            history(&world)[1..],
            ["assistant: one1 two2 six3", "system"]
        );
        world.input(Input::Duplex(DuplexNews::Ready));
        assert_eq!(reply(&world), id);
        if !continues {
            say(&mut world, id, "one1 two2 six3 ", 1_500);
        }
        say(&mut world, id, "for4 ", 500);
        say(&mut world, id, "fiv5.", 500);
        done(&mut world, id);
        ladder::check(&world);
        assert_eq!(
            transcript(&world),
            "one1 two2 six3 for4 fiv5.",
            "{continues}"
        );
        let usage_ms: usize = world
            .log
            .iter()
            .filter_map(|(_, event)| match event {
                wire::realtime::ServerEvent::OutputAudioDelta { delta, .. } => {
                    Some(delta.0.len() / 48)
                }
                _ => None,
            })
            .sum();
        let heard = usage_ms - 2_100;
        assert!((2_000..=2_500).contains(&heard), "{continues}: {heard}");
    }
}

#[test]
fn a_model_that_cannot_be_reached_is_told_once_and_asked_again_when_it_is_needed() {
    let policy = Policy {
        upstream: Upstream::Duplex,
        ..policy()
    };
    let mut world = World::with(SessionKind::Realtime, policy);
    lose(&mut world);
    assert_eq!(world.last_error()["code"], "llm_degraded");
    assert_eq!(world.joined.len(), 1);
    world.client(json!({"type": "response.create"}));
    assert_eq!(world.joined.len(), 2);
    lose(&mut world);
    assert_eq!(world.last("response.done")["response"]["status"], "failed");
    assert_eq!(world.count("error"), 1);
    world.client(json!({"type": "response.create"}));
    world.input(Input::Duplex(DuplexNews::Ready));
    assert_answers(&mut world);
}

#[test]
fn changed_settings_and_a_changed_past_are_told() {
    let mut world = world();
    world.update(json!({"instructions": "Be kind."}));
    assert_eq!(kinds(&world), ["configure"]);
    world.update(json!({"instructions": "Be kind."}));
    assert_eq!(world.told.len(), 1);
    world.client(
        json!({"type": "conversation.item.create", "item": {"type": "message", "id": "item_a",
        "role": "user", "content": [{"type": "input_text", "text": "Forget this."}]}}),
    );
    assert_eq!(kinds(&world), ["configure", "add"]);
    world.client(json!({"type": "conversation.item.delete", "item_id": "item_a"}));
    assert_eq!(world.joined.len(), 2);
    assert!(history(&world).is_empty());
    assert_eq!(world.joined[1].0.instructions, "Be kind.");
}

fn call(world: &mut World, id: u64, name: &str, arguments: &str) {
    let call = LlmNews::ToolCall {
        call_id: format!("call_{name}"),
        name: name.to_owned(),
    };
    world.input(Input::Llm(id, call));
    let arguments = LlmNews::ToolArguments(arguments.to_owned());
    world.input(Input::Llm(id, arguments));
}

fn replies(world: &World) -> usize {
    let asked = |command: &&DuplexCommand| matches!(command, DuplexCommand::Reply(..));
    world.told.iter().filter(asked).count()
}

#[test]
fn a_call_that_broke_off_is_made_once() {
    let mut world = world();
    world.client(json!({"type": "response.create"}));
    let id = reply(&world);
    call(&mut world, id, "look_up", "{\"q\":");
    lose(&mut world);
    world.input(Input::Duplex(DuplexNews::Ready));
    assert_eq!(reply(&world), id);
    call(&mut world, id, "look_up", "{\"q\":1}");
    done(&mut world, id);
    assert_eq!(world.running.len(), 1);
    assert_eq!(world.running[0].1.arguments, "{\"q\":1}");
    // the connection is lost while it runs: nothing is asked before its result is there
    lose(&mut world);
    let asked = replies(&world);
    world.input(Input::Duplex(DuplexNews::Ready));
    assert_eq!((replies(&world), world.running.len()), (asked, 1));
    world.returns("found");
    assert_eq!(replies(&world), asked + 1);
    say(&mut world, id, "Here it is.", 500);
    done(&mut world, id);
    ladder::check(&world);
    assert_eq!(transcript(&world), "Here it is.");
}

#[test]
fn a_call_of_the_clients_that_broke_off_fails_and_is_not_continued() {
    let mut world = world();
    let function = json!({"type": "function", "name": "first", "parameters": {"type": "object"}});
    world.update(json!({"tools": [function]}));
    world.client(json!({"type": "response.create"}));
    let id = reply(&world);
    call(&mut world, id, "first", "{\"q\":");
    lose(&mut world);
    world.input(Input::Duplex(DuplexNews::Ready));
    ladder::check(&world);
    let done = world.last("response.done");
    assert_eq!(done["response"]["status"], "failed");
    assert_eq!(done["response"]["output"][0]["status"], "incomplete");
    assert_eq!(world.count("response.function_call_arguments.done"), 0);
    assert_eq!(replies(&world), 1);
    // and the next one is answered
    world.client(json!({"type": "response.create"}));
    assert_answers(&mut world);
}

#[test]
fn words_that_a_lost_connection_would_have_written_down_are_not_awaited_for_ever() {
    // lost behind the commit, and away when it comes
    for (ready, error) in [(true, "provider_unavailable"), (false, "provider_down")] {
        let mut world = world();
        world.update(json!({"audio": {"input": {
            "turn_detection": null, "transcription": {"model": "any"}}}}));
        if !ready {
            lose(&mut world);
        }
        let frame = world.tone(200, 9000.0);
        world.input(Input::Audio(frame));
        if !ready {
            let gone = ErrorBody::server(error, "gone");
            world.input(Input::Duplex(DuplexNews::Lost(gone.into())));
        }
        world.client(json!({"type": "input_audio_buffer.commit"}));
        if ready {
            lose(&mut world);
            world.input(Input::Duplex(DuplexNews::Ready));
        }
        let failed = "conversation.item.input_audio_transcription.failed";
        assert_eq!(world.count(failed), 1, "{ready}");
        assert!(!world.session.is_replying());
        // a changed past is told as soon as nothing is under way
        let joined = world.joined.len();
        let item = world.last("conversation.item.added")["item"]["id"].clone();
        world.client(json!({"type": "conversation.item.delete", "item_id": item}));
        assert_eq!(world.joined.len(), joined + usize::from(ready), "{ready}");
    }
}

#[test]
fn a_vendor_that_lets_nobody_stay_is_not_asked_without_end() {
    let mut world = world();
    world.client(json!({"type": "response.create"}));
    for _ in 0..10 {
        lose(&mut world);
        world.input(Input::Duplex(DuplexNews::Ready));
    }
    assert_eq!(world.last("response.done")["response"]["status"], "failed");
    assert_eq!(world.last_error()["code"], "llm_degraded");
    assert!(world.joined.len() <= 4, "{}", world.joined.len());
    // the caller's audio alone does not make it try at every frame
    lose(&mut world);
    let joined = world.joined.len();
    for _ in 0..50 {
        world.speak(20);
        lose(&mut world);
    }
    assert!(world.joined.len() <= joined + 1, "{}", world.joined.len());
    // and when somebody waits for an answer it is asked at once
    world.silence(700);
    assert!(world.joined.len() > joined);
    world.input(Input::Duplex(DuplexNews::Ready));
    assert_answers(&mut world);
}

#[test]
fn a_connection_that_closes_while_nobody_needs_it_is_no_failure() {
    let mut world = world();
    for _ in 0..10 {
        lose(&mut world);
        world.input(Input::Duplex(DuplexNews::Ready));
        world.pass(600_000 / 20);
    }
    assert_eq!(world.count("error"), 0);
    world.client(json!({"type": "response.create"}));
    world.input(Input::Duplex(DuplexNews::Ready));
    assert_answers(&mut world);
}

#[test]
fn a_farewell_is_spoken_by_the_model_before_the_call_ends() {
    let mut world = world();
    world.client(json!({"type": "response.create"}));
    let id = reply(&world);
    call(
        &mut world,
        id,
        "end_call",
        "{\"farewell\":\"Goodbye then.\"}",
    );
    done(&mut world, id);
    assert_eq!((reply(&world), replies(&world)), (id, 2));
    assert_eq!(world.count("response.done"), 0);
    let told = world.told.iter().any(|command| {
        matches!(command, DuplexCommand::Add(DuplexItem::Message(LlmMessage::ToolOutput {
            output, ..
        })) if output.contains("Goodbye then."))
    });
    assert!(told);
    say(&mut world, id, "Goodbye then.", 700);
    done(&mut world, id);
    ladder::check(&world);
    assert_eq!(transcript(&world), "Goodbye then.");
    world.pass(5_000);
    assert_eq!(world.closed, Some((1000, "call_ended".to_owned())));
}
