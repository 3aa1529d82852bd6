//! OpenAI Realtime: what is particular to it.

use std::time::Duration;

use engine::ask::{DuplexCommand, DuplexOptions, DuplexReply, Finish, LlmMessage};
use providers::{Kind, ports::DuplexEvent};
use serde_json::{Value, json};
use tokio::time::advance;
use wire::realtime::{AudioFormat, session::ToolChoice};

use super::{Call, Ended, OPENAI, options, pcm, user};
use crate::fakes::upstream::{Answer, End, Upstream, answer, speech};

/// Messages of this type, in order.
fn said(fake: &Upstream, kind: &str) -> Vec<Value> {
    let messages = fake.messages();
    let of_kind = |message: &Value| message["type"] == kind;
    messages.into_iter().filter(of_kind).collect()
}

#[tokio::test]
async fn the_settings_are_those_of_the_session() {
    let call = Call::begin(&OPENAI, &[]).await;
    let handshake = call.fake.world.with(|state| state.handshakes[0].clone());
    assert_eq!(handshake, "/v1/realtime?model=gpt-realtime-2.1");
    let settings = call.fake.settings();
    let audio = json!({
        "input": {
            "format": { "type": "audio/pcm", "rate": 24000 },
            "transcription": { "model": "gpt-4o-mini-transcribe", "language": "en" },
            "turn_detection": null,
        },
        "output": { "format": { "type": "audio/pcm", "rate": 24000 }, "voice": "verse", "speed": 1.0 },
    });
    assert_eq!(settings["audio"], audio);
    assert_eq!(settings["instructions"], "Be brief.");
    assert_eq!(settings["output_modalities"], json!(["audio"]));
    assert_eq!(settings["max_output_tokens"], "inf");
    assert_eq!(settings["tools"][0]["name"], "weather");
    call.fake.is_content();
}

#[tokio::test]
async fn telephones_are_passed_through() {
    for (format, silence) in [(AudioFormat::Pcmu, 0xff), (AudioFormat::Pcma, 0xd5)] {
        let options = DuplexOptions {
            input_format: format,
            output_format: format,
            ..options()
        };
        let mut call = Call::with(&OPENAI, &[answer("good day")], options, Vec::new()).await;
        let sound = speech("hello hello", 8, silence);
        call.speak(1, &sound).await;
        call.ask(1).await;
        let heard = call.rest(1).await;
        assert_eq!(heard.audio, speech("good day", 8, silence));
        assert_eq!(call.fake.world.with(|state| state.heard.clone()), sound);
        // shorter than what can be committed: filled up with the format's own silence
        call.speak(2, &sound[..80]).await;
        call.ask(2).await;
        call.rest(2).await;
        let heard = call.fake.world.with(|state| state.heard.clone());
        assert!(heard.ends_with(&[silence; 720]));
        call.fake.is_content();
    }
}

#[tokio::test]
async fn what_was_not_heard_is_cut_from_the_conversation() {
    let endless = Answer {
        words: "one two three four five",
        end: End::Silence,
        ..Answer::default()
    };
    let mut call = Call::begin(&OPENAI, &[endless, answer("fine")]).await;
    call.speak(1, &pcm("count")).await;
    call.ask(1).await;
    call.until(1, "one two three four five").await;
    call.tell(DuplexCommand::Cancel(1)).await;
    let heard = |audio_ms| DuplexCommand::Heard {
        reply: 1,
        audio_ms,
        text: "one two".to_owned(),
    };
    call.tell(heard(230)).await;
    assert_eq!(call.rest(1).await.finish(), Finish::Stop);
    assert_eq!(call.turn(2, "stop").await.finish(), Finish::Stop);
    let lines = [
        "user: count",
        "assistant: one two",
        "user: stop",
        "assistant: fine",
    ];
    assert_eq!(call.fake.conversation(), lines);
    // more than came of it is as much as came of it
    let reply = 2;
    let beyond = DuplexCommand::Heard {
        reply,
        audio_ms: 10_000,
        text: "fine".to_owned(),
    };
    call.tell(beyond).await;
    call.fake
        .until(|state| {
            let cut = |message: &&Value| message["type"] == "conversation.item.truncate";
            state.messages.iter().filter(cut).count() == 2
        })
        .await;
    assert_eq!(
        said(&call.fake, "conversation.item.truncate")[1]["audio_end_ms"],
        100
    );
    assert_eq!(call.turn(3, "and now").await.text.trim(), "fine");
    call.fake.is_content();
}

#[tokio::test]
async fn an_answer_may_read_something_else() {
    let mut call = Call::begin(&OPENAI, &[answer("in the conversation")]).await;
    let wanted = DuplexReply {
        turn: 1,
        instructions: Some("Sum it up.".to_owned()),
        tools: Some(Vec::new()),
        tool_choice: Some(ToolChoice::None),
        max_tokens: Some(50),
        text_only: true,
        apart: Some(vec![
            LlmMessage::System("A summary.".to_owned()),
            user("all of it"),
        ]),
    };
    call.speak(1, &pcm("hello")).await;
    call.ask(1).await;
    call.ask_for(2, wanted).await;
    let (mut conversation, mut apart) = (String::new(), String::new());
    for _ in 0..2 {
        loop {
            match call.event().await {
                DuplexEvent::Text { reply: 1, text } => conversation.push_str(&text),
                DuplexEvent::Text { reply: 2, text } => apart.push_str(&text),
                DuplexEvent::Done { .. } => break,
                DuplexEvent::Audio { reply, .. } => assert_eq!(reply, 1),
                _ => {}
            }
        }
    }
    assert_eq!(conversation.trim(), "in the conversation");
    assert_eq!(apart.trim(), "apart from that");
    assert_eq!(call.fake.conversation().len(), 2);
    let asked = &said(&call.fake, "response.create")[1]["response"];
    assert_eq!(asked["conversation"], "none");
    assert_eq!(asked["instructions"], "Sum it up.");
    assert_eq!(asked["tools"], json!([]));
    assert_eq!(asked["tool_choice"], "none");
    assert_eq!(asked["max_output_tokens"], 50);
    assert_eq!(asked["input"][1]["content"][0]["text"], "all of it");
    call.fake.is_content();
}

#[tokio::test]
async fn only_what_has_changed_is_told() {
    let mut call = Call::begin(&OPENAI, &[answer("hello")]).await;
    call.tell(DuplexCommand::Configure(Box::new(options())))
        .await;
    assert_eq!(call.turn(1, "hi").await.finish(), Finish::Stop);
    let louder = DuplexOptions {
        instructions: "Be loud.".to_owned(),
        // too late: it has spoken
        voice: "cedar".to_owned(),
        speed: 1.2,
        ..options()
    };
    call.tell(DuplexCommand::Configure(Box::new(louder))).await;
    assert_eq!(call.turn(2, "hi again").await.finish(), Finish::Stop);
    let updates = said(&call.fake, "session.update");
    assert_eq!(updates.len(), 2);
    let changed = json!({ "type": "realtime", "instructions": "Be loud.",
        "audio": { "output": { "speed": 1.2 } } });
    assert_eq!(updates[1]["session"], changed);
    call.fake.is_content();
}

#[tokio::test]
async fn how_an_answer_ended_is_told() {
    let ends = |end| Answer {
        words: "so far",
        end,
        ..Answer::default()
    };
    let mut call = Call::begin(
        &OPENAI,
        &[ends(End::Length), ends(End::Fail), answer("well")],
    )
    .await;
    assert_eq!(call.turn(1, "one").await.finish(), Finish::Length);
    let failed = call.turn(2, "two").await;
    assert!(
        matches!(&failed.ended, Some(Ended::Failed(error)) if error.kind == Kind::Unavailable),
        "{failed:?}"
    );
    assert_eq!(call.turn(3, "three").await.text.trim(), "well");
    call.fake.is_content();
}

#[tokio::test]
async fn words_that_do_not_come_are_told() {
    let mut call = Call::begin(&OPENAI, &[answer("pardon")]).await;
    let heard = call.turn(1, "mumble mumble").await;
    assert_eq!(heard.text.trim(), "pardon");
    assert!(matches!(&heard.transcripts[..], [(1, Err(_))]), "{heard:?}");
}

#[tokio::test]
async fn a_discarded_utterance_is_not_heard() {
    let mut call = Call::begin(&OPENAI, &[answer("yes")]).await;
    call.tell(DuplexCommand::Audio(pcm("never mind this").into()))
        .await;
    call.tell(DuplexCommand::Discard).await;
    let heard = call.turn(1, "but this").await;
    assert_eq!(heard.transcripts, [(1, Ok("but this".to_owned()))]);
    // and without a sound there is nothing to discard
    call.tell(DuplexCommand::Discard).await;
    call.turn(2, "and that").await;
    assert_eq!(said(&call.fake, "input_audio_buffer.clear").len(), 1);
    call.fake.is_content();
}

#[tokio::test(start_paused = true)]
async fn a_session_is_left_before_its_hour_is_over() {
    let mut call = Call::begin(&OPENAI, &[answer("yes")]).await;
    call.turn(1, "hello").await;
    for _ in 0..58 * 60 {
        advance(Duration::from_secs(1)).await;
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
    let event = call.event().await;
    assert!(
        matches!(&event, DuplexEvent::Lost(error) if error.kind == Kind::Unavailable),
        "{event:?}"
    );
}
