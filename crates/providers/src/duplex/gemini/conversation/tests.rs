use engine::ask::{DuplexItem, DuplexOptions, LlmMessage};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use wire::realtime::{AudioFormat, session::ToolChoice};

use super::*;
use crate::{
    Vendor,
    duplex::{gemini::setup::Model, live::Live},
    ws::Connector,
};

fn conversation() -> (Conversation, Out) {
    let vendor = Vendor::new("acme", "http://127.0.0.1:1/v1beta".parse().unwrap());
    let connector = Connector::new(&vendor, Vec::new()).unwrap();
    let inner = crate::duplex::gemini::Inner {
        live: Live::new(connector, vendor.limits, vendor.base_url.clone()),
        model: Model::new("gemini-3.8-live", None),
        name: "acme".into(),
    };
    let options = DuplexOptions {
        session: "sess_1".to_owned(),
        instructions: String::new(),
        voice: "Kore".to_owned(),
        speed: 1.0,
        input_format: AudioFormat::PCM,
        output_format: AudioFormat::PCM,
        language: None,
        tools: Vec::new(),
        tool_choice: ToolChoice::Auto,
        max_tokens: None,
    };
    let events = mpsc::channel(1).0;
    let mut conversation = Conversation::new(inner.into(), options, Vec::new(), events);
    assert_eq!(conversation.begin().len(), 1);
    let mut out = Out::default();
    hear(&mut conversation, &mut out, &json!({ "setupComplete": {} }));
    assert_eq!(out.tell.pop_front(), Some(DuplexEvent::Ready));
    (conversation, out)
}

fn hear(conversation: &mut Conversation, out: &mut Out, message: &Value) {
    conversation.take(&message.to_string(), out).unwrap();
}

fn content(conversation: &mut Conversation, out: &mut Out, content: &Value) {
    hear(conversation, out, &json!({ "serverContent": content }));
}

fn ask(conversation: &mut Conversation, out: &mut Out, reply: u64) {
    conversation.obey(DuplexCommand::Reply(reply, Box::default()), out);
}

fn told(out: &mut Out) -> Vec<DuplexEvent> {
    std::mem::take(&mut out.tell).into()
}

fn text(reply: u64, text: &str) -> DuplexEvent {
    DuplexEvent::Text {
        reply,
        text: text.to_owned(),
    }
}

/// Messages in the shapes of <https://ai.google.dev/api/live>; the models of the third generation put several fields
/// into one.
#[test]
fn a_documented_turn_is_read() {
    let (mut conversation, mut out) = conversation();
    let audio = bytes::Bytes::from_static(&[0; 960]);
    conversation.obey(DuplexCommand::Audio(audio), &mut out);
    conversation.obey(DuplexCommand::Commit(4), &mut out);
    ask(&mut conversation, &mut out, 7);
    let documented = [
        r#"{"sessionResumptionUpdate":{"newHandle":"h","resumable":true}}"#,
        r#"{"serverContent":{"inputTranscription":{"text":" How are"}}}"#,
        r#"{"serverContent":{"inputTranscription":{"text":" you?"}}}"#,
        r#"{"serverContent":{"modelTurn":{"parts":[{"text":"**Greeting**","thought":true}]}}}"#,
        r#"{"serverContent":{"modelTurn":{"parts":[{"inlineData":{"mimeType":"audio/pcm;rate=24000","data":"AAEC"}}]},
            "outputTranscription":{"text":"Fine"}}}"#,
        r#"{"serverContent":{"modelTurn":{"parts":[{"inlineData":{"mimeType":"audio/pcm;rate=24000","data":"Aw=="}}]}}}"#,
        r#"{"serverContent":{"generationComplete":true}}"#,
        r#"{"serverContent":{"turnComplete":true},"usageMetadata":{"promptTokenCount":132,"responseTokenCount":111,
            "thoughtsTokenCount":10,"totalTokenCount":253,"promptTokensDetails":[{"modality":"TEXT","tokenCount":119},
            {"modality":"AUDIO","tokenCount":13}],"responseTokensDetails":[{"modality":"AUDIO","tokenCount":91}]}}"#,
    ];
    for message in documented {
        conversation.take(message, &mut out).unwrap();
    }
    let (reply, finish) = (7, Finish::Stop);
    let mut usage = engine::ask::DuplexUsage::default();
    usage.text.input_tokens = 119;
    usage.text.output_tokens = 30;
    usage.audio.input_tokens = 13;
    usage.audio.output_tokens = 91;
    let audio = |bytes: &'static [u8]| DuplexEvent::Audio {
        reply,
        audio: bytes::Bytes::from_static(bytes),
    };
    let expected = [
        audio(&[0, 1]),
        text(7, "Fine"),
        audio(&[2, 3]),
        DuplexEvent::Transcript {
            utterance: 4,
            text: "How are you?".to_owned(),
        },
        DuplexEvent::Done {
            reply,
            finish,
            usage,
        },
    ];
    assert_eq!(told(&mut out), expected);
}

#[test]
fn behind_an_interruption_the_next_turn_begins_even_if_the_last_was_not_ended() {
    for ended in [true, false] {
        let (mut conversation, mut out) = conversation();
        ask(&mut conversation, &mut out, 1);
        content(
            &mut conversation,
            &mut out,
            &json!({ "outputTranscription": { "text": "old" } }),
        );
        conversation.obey(DuplexCommand::Cancel(1), &mut out);
        content(
            &mut conversation,
            &mut out,
            &json!({ "outputTranscription": { "text": "late" } }),
        );
        ask(&mut conversation, &mut out, 2);
        content(
            &mut conversation,
            &mut out,
            &json!({ "outputTranscription": { "text": "later" } }),
        );
        content(&mut conversation, &mut out, &json!({ "interrupted": true }));
        if ended {
            content(
                &mut conversation,
                &mut out,
                &json!({ "turnComplete": true }),
            );
        }
        content(
            &mut conversation,
            &mut out,
            &json!({ "outputTranscription": { "text": "new" } }),
        );
        content(
            &mut conversation,
            &mut out,
            &json!({ "turnComplete": true }),
        );
        let told = told(&mut out);
        assert_eq!(told[0], text(1, "old"));
        assert!(matches!(told[1], DuplexEvent::Done { reply: 1, .. }));
        assert_eq!(told[2], text(2, "new"));
        assert!(matches!(told[3], DuplexEvent::Done { reply: 2, .. }));
        assert_eq!(told.len(), 4);
    }
}

/// The end of a turn, with what it cost.
fn turn_complete(conversation: &mut Conversation, out: &mut Out, tokens: u32) {
    let end = json!({ "serverContent": { "turnComplete": true },
        "usageMetadata": { "promptTokenCount": tokens } });
    hear(conversation, out, &end);
}

#[test]
fn counts_that_come_late_are_not_told_twice() {
    let words = json!({ "outputTranscription": { "text": "x" } });
    // whether anything had come of the first answer, so that its listener could estimate it
    for (came, expected) in [(true, 7), (false, 17)] {
        let (mut conversation, mut out) = conversation();
        ask(&mut conversation, &mut out, 1);
        if came {
            content(&mut conversation, &mut out, &words);
        }
        conversation.obey(DuplexCommand::Cancel(1), &mut out);
        ask(&mut conversation, &mut out, 2);
        content(&mut conversation, &mut out, &json!({ "interrupted": true }));
        turn_complete(&mut conversation, &mut out, 10);
        content(&mut conversation, &mut out, &words);
        turn_complete(&mut conversation, &mut out, 7);
        // and of one that is cancelled before the server has told its end, whatever was before
        ask(&mut conversation, &mut out, 3);
        conversation.obey(DuplexCommand::Cancel(3), &mut out);
        turn_complete(&mut conversation, &mut out, 5);
        let usages: Vec<u32> = told(&mut out)
            .iter()
            .filter_map(|event| match event {
                DuplexEvent::Done { usage, .. } => Some(usage.text.input_tokens),
                _ => None,
            })
            .collect();
        assert_eq!(usages, [0, expected, 5]);
    }
}

#[test]
fn an_end_that_crossed_the_next_question_is_that_of_the_last_turn() {
    let (mut conversation, mut out) = conversation();
    ask(&mut conversation, &mut out, 1);
    conversation.obey(DuplexCommand::Cancel(1), &mut out);
    ask(&mut conversation, &mut out, 2);
    content(
        &mut conversation,
        &mut out,
        &json!({ "turnComplete": true }),
    );
    content(
        &mut conversation,
        &mut out,
        &json!({ "outputTranscription": { "text": "new" } }),
    );
    content(
        &mut conversation,
        &mut out,
        &json!({ "turnComplete": true }),
    );
    let told = told(&mut out);
    assert!(matches!(told[0], DuplexEvent::Done { reply: 1, .. }));
    assert_eq!(told[1], text(2, "new"));
    assert!(matches!(told[2], DuplexEvent::Done { reply: 2, .. }));
}

#[test]
fn all_calls_of_a_turn_are_answered_at_once() {
    let (mut conversation, mut out) = conversation();
    ask(&mut conversation, &mut out, 1);
    let calls = json!([{ "id": "a", "name": "f", "args": { "x": 1 } }, { "id": "b", "name": "g" }]);
    hear(
        &mut conversation,
        &mut out,
        &json!({ "toolCall": { "functionCalls": calls } }),
    );
    assert_eq!(told(&mut out).len(), 5);
    assert!(conversation.patience().is_none() && !conversation.is_quiet());
    out.say.clear();
    let output = LlmMessage::ToolOutput {
        call_id: "a".to_owned(),
        output: "yes".to_owned(),
    };
    conversation.obey(DuplexCommand::Add(DuplexItem::Message(output)), &mut out);
    ask(&mut conversation, &mut out, 2);
    let sent: Value = serde_json::from_str(&out.say[0]).unwrap();
    let responses = json!([
        { "id": "a", "name": "f", "response": { "output": "yes" } },
        { "id": "b", "name": "g", "response": { "error": "there is no result" } },
    ]);
    assert_eq!(sent["toolResponse"]["functionResponses"], responses);
    assert_eq!(out.say.len(), 1);
}

#[test]
fn whoever_has_to_leave_waits_for_the_end_of_the_answer() {
    let (mut conversation, mut out) = conversation();
    ask(&mut conversation, &mut out, 1);
    hear(
        &mut conversation,
        &mut out,
        &json!({ "goAway": { "timeLeft": "50s" } }),
    );
    assert!(conversation.leaves(Duration::ZERO).is_none() && !conversation.waits());
    content(
        &mut conversation,
        &mut out,
        &json!({ "turnComplete": true }),
    );
    let error = conversation.leaves(Duration::ZERO).unwrap();
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(conversation.waits());
}

#[test]
fn an_answer_that_plays_on_is_waited_for_as_long_as_that_takes() {
    let (mut conversation, mut out) = conversation();
    ask(&mut conversation, &mut out, 1);
    let silence = conversation.patience().unwrap();
    let mut data = String::new();
    engine::audio::b64::encode(&vec![0; 48_000], &mut data);
    let blob = json!({ "mimeType": "audio/pcm;rate=24000", "data": data });
    content(
        &mut conversation,
        &mut out,
        &json!({ "modelTurn": { "parts": [{ "inlineData": blob }] } }),
    );
    assert_eq!(conversation.patience(), Some(silence));
    content(
        &mut conversation,
        &mut out,
        &json!({ "generationComplete": true }),
    );
    assert_eq!(
        conversation.patience(),
        Some(silence + Duration::from_secs(1))
    );
}

#[test]
fn a_turn_says_why_it_ended() {
    for (reason, expected) in [
        ("MALFORMED_FUNCTION_CALL", None),
        ("RESPONSE_REJECTED", Some(Finish::ContentFilter)),
        ("PROHIBITED_INPUT_CONTENT", Some(Finish::ContentFilter)),
        ("NEED_MORE_INPUT", Some(Finish::Stop)),
    ] {
        let (mut conversation, mut out) = conversation();
        ask(&mut conversation, &mut out, 1);
        let end = json!({ "turnComplete": true, "turnCompleteReason": reason });
        let end = json!({ "serverContent": end, "usageMetadata": { "promptTokenCount": 9 } });
        hear(&mut conversation, &mut out, &end);
        match (told(&mut out).pop(), expected) {
            (Some(DuplexEvent::Done { finish, .. }), Some(expected)) => {
                assert_eq!(finish, expected);
            }
            (Some(DuplexEvent::Failed { usage, .. }), None) => {
                assert_eq!(usage.text.input_tokens, 9);
            }
            other => panic!("{reason}: {other:?}"),
        }
    }
}

#[test]
fn what_is_no_message_is_nonsense_and_what_is_unknown_is_not() {
    let (mut conversation, mut out) = conversation();
    for text in ["", "7", "<html>", r#"{"serverContent":7}"#] {
        let error = conversation.take(text, &mut out).unwrap_err();
        assert_eq!(error.kind, Kind::Protocol, "{text}");
    }
    let strange = json!({ "voiceActivity": {}, "serverContent": { "groundingMetadata": {} } });
    assert_eq!(
        conversation.take(&strange.to_string(), &mut out),
        Ok(Taken::Aside)
    );
    let error = json!({ "error": { "code": 429, "status": "RESOURCE_EXHAUSTED" } });
    let refused = conversation.take(&error.to_string(), &mut out).unwrap_err();
    assert_eq!(refused.kind, Kind::RateLimited);
}

/// What the session may do, and what the server may say, in any order.
fn step(conversation: &mut Conversation, book: &mut Book, choice: u8) {
    let mut out = Out::default();
    let blob = json!({ "mimeType": "audio/pcm;rate=24000", "data": "AAAA" });
    let command = match choice % 16 {
        0 => DuplexCommand::Audio(bytes::Bytes::from_static(&[0; 960])),
        1 => DuplexCommand::Commit(1),
        2 => DuplexCommand::Discard,
        3 if book.under_way.is_none() => {
            book.asked += 1;
            book.under_way = Some(book.asked);
            DuplexCommand::Reply(book.asked, Box::default())
        }
        4 => {
            let Some(reply) = book.under_way.take() else {
                return;
            };
            book.cancelled.insert(reply);
            DuplexCommand::Cancel(reply)
        }
        5 => DuplexCommand::Add(DuplexItem::Message(LlmMessage::ToolOutput {
            call_id: "a".to_owned(),
            output: "yes".to_owned(),
        })),
        6 => DuplexCommand::Heard {
            reply: book.asked,
            audio_ms: 1,
            text: "a".to_owned(),
        },
        said => {
            let message = match said {
                7 => {
                    json!({ "serverContent": { "modelTurn": { "parts": [{ "inlineData": blob }] } } })
                }
                8 => json!({ "serverContent": { "outputTranscription": { "text": "x" } } }),
                9 => json!({ "serverContent": { "inputTranscription": { "text": "x" } } }),
                10 => json!({ "serverContent": { "generationComplete": true } }),
                11 => json!({ "serverContent": { "turnComplete": true } }),
                12 => json!({ "serverContent": { "interrupted": true } }),
                13 => json!({ "toolCall": { "functionCalls": [{ "id": "a", "name": "f" }] } }),
                14 => json!({ "toolCallCancellation": { "ids": ["a"] } }),
                _ => json!({ "usageMetadata": { "promptTokenCount": 1 } }),
            };
            hear(conversation, &mut out, &message);
            return book.check(&out);
        }
    };
    conversation.obey(command, &mut out);
    book.check(&out);
}

/// What the session knows of its answers, and the server of the caller's activity.
#[derive(Default)]
struct Book {
    asked: u64,
    under_way: Option<u64>,
    cancelled: std::collections::HashSet<u64>,
    ended: std::collections::HashSet<u64>,
    active: bool,
}

impl Book {
    fn check(&mut self, out: &Out) {
        for event in &out.tell {
            match event {
                DuplexEvent::Text { reply, .. } | DuplexEvent::Audio { reply, .. } => {
                    assert!(!self.ended.contains(reply) && !self.cancelled.contains(reply));
                }
                DuplexEvent::Done { reply, .. } | DuplexEvent::Failed { reply, .. } => {
                    assert!(self.ended.insert(*reply), "ended twice");
                    self.under_way = self.under_way.filter(|under_way| under_way != reply);
                }
                _ => {}
            }
        }
        for said in &out.say {
            let input = serde_json::from_str::<Value>(said).unwrap()["realtimeInput"].take();
            if input["activityStart"].is_object() {
                assert!(!std::mem::replace(&mut self.active, true), "begun twice");
            } else if input["activityEnd"].is_object() {
                assert!(
                    std::mem::replace(&mut self.active, false),
                    "ended without a beginning"
                );
            } else {
                assert!(input["audio"].is_null() || self.active, "audio of nobody");
            }
        }
    }
}

proptest::proptest! {
    #[test]
    fn an_answer_ends_once_whatever_the_order(choices: Vec<u8>) {
        let (mut conversation, _) = conversation();
        let mut book = Book::default();
        for choice in choices {
            step(&mut conversation, &mut book, choice);
        }
        // what is owed is never forgotten
        assert_eq!(book.under_way.is_some(), conversation.patience().is_some());
    }
}
