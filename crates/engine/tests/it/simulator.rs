//! Thousands of calls by dice: speech, silence, client events and provider news in any order,
//! late, twice or never. Every log must keep the ladder; no call may leave anything open.

use engine::session::{Input, LlmNews, Policy, SttNews, TtsNews};
use serde_json::json;
use wire::ids::Ids;
use wire::realtime::SessionKind;

use crate::ladder;
use crate::world::{Answer, World, policy};

struct Dice(Ids);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0.next_u64() % sides
    }
}

fn client_event(world: &mut World, dice: &mut Dice) {
    let item = world
        .log
        .iter()
        .rev()
        .filter_map(|(_, e)| serde_json::to_value(e).ok())
        .find_map(|e| e["item"]["id"].as_str().map(str::to_owned))
        .unwrap_or_else(|| "item_none".to_owned());
    let event = match dice.roll(14) {
        0 => json!({"type": "response.create"}),
        1 => json!({"type": "response.create", "response": {"conversation": "none",
            "output_modalities": ["text"], "input": []}}),
        2 => json!({"type": "response.cancel"}),
        3 => json!({"type": "input_audio_buffer.commit"}),
        4 => json!({"type": "input_audio_buffer.clear"}),
        5 => json!({"type": "conversation.item.delete", "item_id": item}),
        6 => json!({"type": "conversation.item.retrieve", "item_id": item}),
        7 => json!({"type": "conversation.item.truncate", "item_id": item, "content_index": 0,
            "audio_end_ms": dice.roll(3000)}),
        8 => json!({"type": "conversation.item.create", "previous_item_id": item, "item":
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]}}),
        9 => json!({"type": "session.update", "session": {"type": "realtime", "audio": {"input":
            {"turn_detection": null}}}}),
        10 => json!({"type": "session.update", "session": {"type": "realtime", "audio": {"input":
            {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}}}}),
        11 => json!({"type": "session.update", "session": {"type": "realtime", "audio": {"input":
            {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5000,
            "interrupt_response": dice.roll(2) == 0}}}}}),
        12 => json!({"type": "session.update", "session": {"type": "realtime",
            "output_modalities": [if dice.roll(2) == 0 { "text" } else { "audio" }]}}),
        _ => json!({"type": "session.update", "session": {"type": "realtime", "audio": {"input":
            {"format": {"type": (["audio/pcm", "audio/pcmu"][dice.roll(2) as usize])}}}}}),
    };
    let event = if event["session"]["audio"]["input"]["format"]["type"] == "audio/pcm" {
        json!({"type": "session.update", "session": {"type": "realtime", "audio": {"input":
            {"format": {"type": "audio/pcm", "rate": 24000}}}}})
    } else {
        event
    };
    world.client(event);
}

/// News that no provider would send now: late, doubled, for the wrong reply.
fn stray_news(world: &mut World, dice: &mut Dice) {
    let id = dice.roll(40);
    let input = match dice.roll(5) {
        0 => Input::Stt(id, SttNews::Partial("stray".to_owned())),
        1 => Input::Stt(id, SttNews::EndOfTurn(0.9)),
        2 => Input::Llm(id, LlmNews::Text("stray ".to_owned())),
        3 => Input::Tts(id, TtsNews::PieceDone(dice.roll(4) as u32)),
        _ => Input::Tts(
            id,
            TtsNews::Audio {
                index: dice.roll(4) as u32,
                rate_hz: 24_000,
                samples: vec![0; 240].into(),
            },
        ),
    };
    world.input(input);
}

fn answer(dice: &mut Dice) -> Answer {
    match dice.roll(10) {
        0 => Answer::Call("look", "{\"a\":1}"),
        1 => Answer::CallBoth,
        2 => Answer::SayThenCall("One moment please. "),
        3 => Answer::Fail,
        4 => Answer::FailMidway("I begin and "),
        5 => Answer::Endless,
        6 => Answer::Cut("too short"),
        7 => Answer::Say(""),
        8 => Answer::CutCall("look", "{\"a\":"),
        _ => Answer::Say("Fine, thank you. And you?"),
    }
}

fn one_call(seed: u64) {
    let mut dice = Dice(Ids::seeded(u128::from(seed)));
    let limits = Policy {
        max_items: 40,
        speculate: dice.roll(4) != 0,
        context_tokens: [200, 8000][dice.roll(2) as usize],
        ..policy()
    };
    let mut world = World::with(SessionKind::Realtime, limits);
    world.end_of_turn = [None, Some(0.9), Some(0.2)][dice.roll(3) as usize];
    world.latency.stt = dice.roll(400);
    world.latency.first_token = dice.roll(600);
    world.latency.token = dice.roll(40);
    world.latency.tts = dice.roll(300);
    if dice.roll(2) == 0 {
        world.update(
            json!({"truncation": {"type": "retention_ratio", "retention_ratio": 0.6,
            "token_limits": {"post_instructions": 150}}}),
        );
    }
    for _ in 0..12 {
        let heard = [Ok("Hello."), Ok("well"), Ok(""), Err(())][dice.roll(4) as usize];
        world.transcripts.push_back(heard);
        let next = answer(&mut dice);
        world.answers.push_back(next);
    }
    for _ in 0..40 {
        match dice.roll(8) {
            0..=2 => {
                let ms = 40 + dice.roll(900);
                world.speak(ms);
            }
            3 | 4 => {
                let ms = 40 + dice.roll(900);
                world.silence(ms);
            }
            5 => {
                let ms = dice.roll(2000);
                world.pass(ms);
            }
            6 => stray_news(&mut world, &mut dice),
            _ => client_event(&mut world, &mut dice),
        }
    }
    world.update(json!({"audio": {"input": {"turn_detection": null}}}));
    world.settle();
    world.pass(30_000);
    world.settle();
    ladder::check(&world);
    let open = world.count("response.created") - world.count("response.done");
    assert_eq!(open, 0, "seed {seed}: a response was left open");
    let waits = world.session.is_replying();
    assert!(!waits, "seed {seed}: a drain would wait for ever");
}

#[test]
fn any_call_keeps_the_ladder_and_ends_clean() {
    for seed in 0..1500 {
        let result = std::panic::catch_unwind(|| one_call(seed));
        if let Err(cause) = result {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(cause);
        }
    }
}
