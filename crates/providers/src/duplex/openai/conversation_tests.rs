use engine::ask::LlmMessage;
use wire::realtime::{AudioFormat, session::ToolChoice};

use super::*;
use crate::duplex::openai::write::Voices;

fn conversation() -> (Conversation, Out) {
    let voices = Voices {
        own: None,
        only_hosted: true,
    };
    let options = DuplexOptions {
        session: "sess_1".to_owned(),
        instructions: String::new(),
        voice: "marin".to_owned(),
        speed: 1.0,
        input_format: AudioFormat::PCM,
        output_format: AudioFormat::PCM,
        language: None,
        tools: Vec::new(),
        tool_choice: ToolChoice::Auto,
        max_tokens: None,
    };
    let mut conversation = Conversation::new("acme".into(), voices, options, Vec::new());
    assert_eq!(conversation.begin().len(), 1);
    let mut out = Out::default();
    hear(
        &mut conversation,
        &mut out,
        &json!({ "type": "session.updated" }),
    );
    assert_eq!(out.tell.pop_front(), Some(DuplexEvent::Ready));
    (conversation, out)
}

fn hear(conversation: &mut Conversation, out: &mut Out, event: &Value) {
    conversation.take(&event.to_string(), out).unwrap();
}

fn ask(conversation: &mut Conversation, out: &mut Out, reply: ReplyId) {
    conversation.obey(DuplexCommand::Reply(reply, Box::default()), out);
}

/// The types of what is said.
fn said(out: &mut Out) -> Vec<String> {
    let said = std::mem::take(&mut out.say);
    let kind = |text: String| -> Value { serde_json::from_str(&text).unwrap() };
    let kinds = said.into_iter().map(kind);
    kinds
        .map(|event| event["type"].as_str().unwrap().to_owned())
        .collect()
}

/// `response.done` and what comes before it, as recorded of the hosted service (spec/realtime §1.8 and §1.11).
#[test]
fn a_recorded_answer_is_read() {
    let (mut conversation, mut out) = conversation();
    ask(&mut conversation, &mut out, 7);
    out.say.clear();
    let ids = r#""event_id":"event_1","response_id":"resp_1","item_id":"item_1","output_index":0,"content_index":0"#;
    let recorded = [
        r#"{"type":"response.created","event_id":"event_1","response":{"object":"realtime.response","id":"resp_1",
            "status":"in_progress","status_details":null,"output":[],"conversation_id":"conv_1",
            "output_modalities":["audio"],"max_output_tokens":"inf","usage":null,"metadata":{"reply":"7"}}}"#.to_owned(),
        r#"{"type":"response.output_item.added","event_id":"event_1","response_id":"resp_1","output_index":0,
            "item":{"id":"item_1","type":"message","status":"in_progress","role":"assistant","content":[]}}"#.to_owned(),
        format!(r#"{{"type":"response.content_part.added",{ids},"part":{{"type":"audio","transcript":""}}}}"#),
        format!(r#"{{"type":"response.output_audio_transcript.delta",{ids},"delta":"Hi","obfuscation":"x1"}}"#),
        format!(r#"{{"type":"response.output_audio.delta",{ids},"delta":"AAEC"}}"#),
        format!(r#"{{"type":"response.output_audio.delta",{ids},"delta":"Aw=="}}"#),
        format!(r#"{{"type":"response.output_audio.done",{ids}}}"#),
        r#"{"type":"response.output_item.added","event_id":"event_1","response_id":"resp_1","output_index":1,
            "item":{"id":"item_2","type":"function_call","status":"in_progress","name":"hang_up","call_id":"call_1",
            "arguments":""}}"#.to_owned(),
        r#"{"type":"response.output_item.done","event_id":"event_1","response_id":"resp_1","output_index":1,
            "item":{"id":"item_2","type":"function_call","status":"completed","name":"hang_up","call_id":"call_1",
            "arguments":"{}"}}"#.to_owned(),
        r#"{"type":"response.done","event_id":"event_1","response":{"object":"realtime.response","id":"resp_1",
            "status":"completed","status_details":null,"usage":{"total_tokens":253,"input_tokens":132,
            "output_tokens":121,"input_token_details":{"text_tokens":119,"audio_tokens":13,"image_tokens":0,
            "cached_tokens":64,"cached_tokens_details":{"text_tokens":64,"audio_tokens":0,"image_tokens":0}},
            "output_token_details":{"text_tokens":30,"audio_tokens":91}}}}"#.to_owned(),
        r#"{"type":"rate_limits.updated","event_id":"event_1","rate_limits":[{"name":"tokens","limit":1,"remaining":1,
            "reset_seconds":0.1}]}"#.to_owned(),
    ];
    for event in recorded {
        conversation.take(&event, &mut out).unwrap();
    }
    let (reply, finish) = (7, Finish::Stop);
    let mut usage = engine::ask::DuplexUsage::default();
    usage.text.input_tokens = 119;
    usage.text.cached_tokens = 64;
    usage.text.output_tokens = 30;
    usage.audio.input_tokens = 13;
    usage.audio.output_tokens = 91;
    let told = [
        DuplexEvent::Text {
            reply,
            text: "Hi".to_owned(),
        },
        DuplexEvent::Audio {
            reply,
            audio: Bytes::from_static(&[0, 1]),
        },
        DuplexEvent::Audio {
            reply,
            audio: Bytes::from_static(&[2, 3]),
        },
        DuplexEvent::ToolCall {
            reply,
            call_id: "call_1".to_owned(),
            name: "hang_up".to_owned(),
        },
        DuplexEvent::ToolArguments {
            reply,
            json: "{}".to_owned(),
        },
        DuplexEvent::Done {
            reply,
            finish,
            usage,
        },
    ];
    assert_eq!(out.tell, told);
    assert!(out.say.is_empty() && conversation.patience().is_none());
}

#[test]
fn a_second_answer_waits_for_the_end_of_the_first() {
    let (mut conversation, mut out) = conversation();
    ask(&mut conversation, &mut out, 1);
    assert_eq!(said(&mut out), ["response.create"]);
    // cancelled before the server has begun it: hit when it has an id
    conversation.obey(DuplexCommand::Cancel(1), &mut out);
    ask(&mut conversation, &mut out, 2);
    assert!(said(&mut out).is_empty() && conversation.waits());
    let response = json!({ "id": "resp_1", "metadata": { "reply": "1" } });
    hear(
        &mut conversation,
        &mut out,
        &json!({ "type": "response.created", "response": response }),
    );
    assert_eq!(said(&mut out), ["response.cancel"]);
    let late =
        json!({ "type": "response.output_text.delta", "response_id": "resp_1", "delta": "x" });
    hear(&mut conversation, &mut out, &late);
    let response = json!({ "id": "resp_1", "status": "cancelled" });
    hear(
        &mut conversation,
        &mut out,
        &json!({ "type": "response.done", "response": response }),
    );
    assert!(matches!(
        out.tell.pop_front(),
        Some(DuplexEvent::Done { reply: 1, .. })
    ));
    assert!(out.tell.is_empty() && !conversation.waits());
    assert_eq!(said(&mut out), ["response.create"]);
}

#[test]
fn a_question_that_came_too_early_is_asked_again() {
    let (mut conversation, mut out) = conversation();
    ask(&mut conversation, &mut out, 1);
    out.say.clear();
    let error = json!({ "type": "invalid_request_error", "event_id": "reply-1",
        "code": "conversation_already_has_active_response", "message": "in progress: resp_0" });
    hear(
        &mut conversation,
        &mut out,
        &json!({ "type": "error", "error": error }),
    );
    assert!(said(&mut out).is_empty() && conversation.waits());
    let response = json!({ "id": "resp_0", "status": "completed" });
    hear(
        &mut conversation,
        &mut out,
        &json!({ "type": "response.done", "response": response }),
    );
    assert_eq!(said(&mut out), ["response.create"]);
    assert!(out.tell.is_empty() && !conversation.waits());
}

/// The server refuses the question that was asked as its `number`th.
fn refuse(conversation: &mut Conversation, out: &mut Out, number: u64, code: &str) {
    let error = json!({ "type": "invalid_request_error", "event_id": format!("reply-{number}"),
        "code": code, "message": "m" });
    hear(
        conversation,
        out,
        &json!({ "type": "error", "error": error }),
    );
}

/// The reply that the only message asks for.
fn asked_for(out: &mut Out) -> ReplyId {
    let said = std::mem::take(&mut out.say);
    assert_eq!(said.len(), 1, "{said:?}");
    let event: Value = serde_json::from_str(&said[0]).unwrap();
    assert_eq!(event["type"], "response.create");
    let number = event["response"]["metadata"]["reply"].as_str();
    number.unwrap().parse().unwrap()
}

#[test]
fn what_failed_has_been_paid_for_as_well() {
    let (mut conversation, mut out) = conversation();
    ask(&mut conversation, &mut out, 1);
    let response = json!({ "id": "resp_1", "status": "failed", "metadata": { "reply": "1" },
        "status_details": { "type": "failed", "error": { "type": "server_error", "code": null } },
        "usage": { "input_tokens": 12, "output_tokens": 3 } });
    let done = json!({ "type": "response.done", "response": response });
    hear(&mut conversation, &mut out, &done);
    let told = out.tell.pop_front();
    let Some(DuplexEvent::Failed {
        reply: 1, usage, ..
    }) = told
    else {
        panic!("{told:?}")
    };
    assert_eq!((usage.text.input_tokens, usage.text.output_tokens), (12, 3));
}

#[test]
fn what_waits_is_asked_when_what_it_waits_for_is_refused() {
    let (mut conversation, mut out) = conversation();
    ask(&mut conversation, &mut out, 1);
    ask(&mut conversation, &mut out, 2);
    assert_eq!(asked_for(&mut out), 1);
    assert!(conversation.waits());
    refuse(&mut conversation, &mut out, 1, "invalid_value");
    assert!(matches!(
        out.tell.pop_front(),
        Some(DuplexEvent::Failed { reply: 1, .. })
    ));
    assert_eq!(asked_for(&mut out), 2);
    assert!(!conversation.waits());
}

#[test]
fn a_question_that_came_too_early_does_not_displace_one_that_waits() {
    let (mut conversation, mut out) = conversation();
    ask(&mut conversation, &mut out, 1);
    ask(&mut conversation, &mut out, 2);
    out.say.clear();
    let code = "conversation_already_has_active_response";
    refuse(&mut conversation, &mut out, 1, code);
    assert!(out.say.is_empty() && out.tell.is_empty());
    // in the order in which they came, each behind the end of the one before it
    for (ended, next) in [("resp_0", Some(1)), ("resp_1", Some(2)), ("resp_2", None)] {
        assert_eq!(conversation.waits(), next.is_some(), "{ended}");
        let response = json!({ "id": ended, "status": "completed" });
        let done = json!({ "type": "response.done", "response": response });
        hear(&mut conversation, &mut out, &done);
        if let Some(next) = next {
            assert_eq!(asked_for(&mut out), next);
            let metadata = json!({ "reply": next.to_string() });
            let response = json!({ "id": format!("resp_{next}"), "metadata": metadata });
            let created = json!({ "type": "response.created", "response": response });
            hear(&mut conversation, &mut out, &created);
        }
    }
    let ended: Vec<_> = std::mem::take(&mut out.tell).into();
    assert!(
        matches!(
            ended[..],
            [
                DuplexEvent::Done { reply: 1, .. },
                DuplexEvent::Done { reply: 2, .. }
            ]
        ),
        "{ended:?}"
    );
}

#[test]
fn refusals_hang_nothing() {
    let (mut conversation, mut out) = conversation();
    let refuse = |conversation: &mut Conversation, code: &str, event_id: Option<&str>| {
        let error = json!({ "type": "invalid_request_error", "code": code, "event_id": event_id, "message": "m" });
        let mut out = Out::default();
        let event = json!({ "type": "error", "error": error });
        let taken = conversation.take(&event.to_string(), &mut out);
        taken
            .map(|_| out.tell.pop_front())
            .map_err(|error| error.kind)
    };
    // what nothing hangs on
    assert_eq!(
        refuse(&mut conversation, "response_cancel_not_active", None),
        Ok(None)
    );
    assert_eq!(
        refuse(&mut conversation, "item_truncate_invalid_item_id", None),
        Ok(None)
    );
    // an utterance
    for event_id in [Some("commit-5"), None] {
        let audio = Bytes::from_static(&[0; 9600]);
        conversation.obey(DuplexCommand::Audio(audio), &mut out);
        conversation.obey(DuplexCommand::Commit(5), &mut out);
        let told = refuse(
            &mut conversation,
            "input_audio_buffer_commit_empty",
            event_id,
        )
        .unwrap();
        assert!(
            matches!(
                told,
                Some(DuplexEvent::TranscriptFailed { utterance: 5, .. })
            ),
            "{told:?}"
        );
    }
    // an answer
    ask(&mut conversation, &mut out, 3);
    let told = refuse(&mut conversation, "invalid_value", Some("reply-1")).unwrap();
    let Some(DuplexEvent::Failed {
        reply: 3, error, ..
    }) = told
    else {
        panic!("{told:?}")
    };
    assert_eq!(error.kind, Kind::Rejected);
    assert_eq!(conversation.patience(), None);
    // and the whole conversation
    assert_eq!(
        refuse(&mut conversation, "session_expired", None),
        Err(Kind::Unavailable)
    );
    assert_eq!(
        refuse(&mut conversation, "insufficient_quota", None),
        Err(Kind::Unauthorized)
    );
    assert_eq!(
        refuse(&mut conversation, "invalid_api_key", None),
        Err(Kind::Unauthorized)
    );
}

#[test]
fn what_is_no_event_is_nonsense_and_what_is_unknown_is_not() {
    let (mut conversation, mut out) = conversation();
    for text in ["", "[]", "{}", "<html>", r#"{"type":7}"#] {
        let error = conversation.take(text, &mut out).unwrap_err();
        assert_eq!(error.kind, Kind::Protocol, "{text}");
    }
    let strange = json!({ "type": "conversation.item.mused", "item": null, "response": [1] });
    assert_eq!(
        conversation.take(&strange.to_string(), &mut out),
        Ok(Taken::Aside)
    );
    ask(&mut conversation, &mut out, 1);
    hear(
        &mut conversation,
        &mut out,
        &json!({ "type": "response.created", "response": { "id": "r" } }),
    );
    let broken = json!({ "type": "response.output_audio.delta", "response_id": "r", "delta": "!" });
    assert_eq!(
        conversation
            .take(&broken.to_string(), &mut out)
            .unwrap_err()
            .kind,
        Kind::Protocol
    );
}

#[test]
fn a_history_follows_the_settings() {
    let (conversation, _) = conversation();
    let history = vec![
        DuplexItem::Message(LlmMessage::Assistant("hello".to_owned())),
        DuplexItem::Speech(Bytes::from_static(&[0; 96])),
    ];
    let (name, voices, options) = (conversation.name, conversation.voices, conversation.options);
    let mut again = Conversation::new(name, voices, options, history);
    let begin = again.begin();
    assert_eq!(begin.len(), 3);
    assert!(begin[0].contains("session.update") && begin[2].contains("input_audio"));
}

/// What the session may do, and what the server may say, in any order.
fn step(conversation: &mut Conversation, book: &mut Book, choice: u8) {
    let mut out = Out::default();
    let last = book.asked;
    let response = json!({ "id": format!("resp_{last}"), "status": "completed",
        "metadata": { "reply": last.to_string() } });
    let delta = |kind: &str| {
        json!({ "type": kind, "response_id": format!("resp_{last}"), "item_id": "item_1",
            "delta": "AAAA", "item": { "id": "item_1", "type": "message" } })
    };
    let event = match choice % 14 {
        0 => {
            let audio = Bytes::from_static(&[0; 960]);
            return conversation.obey(DuplexCommand::Audio(audio), &mut out);
        }
        1 => return conversation.obey(DuplexCommand::Commit(1), &mut out),
        2 => return conversation.obey(DuplexCommand::Discard, &mut out),
        3 if book.under_way.is_none() && !conversation.waits() => {
            book.asked += 1;
            book.under_way = Some(book.asked);
            ask(conversation, &mut out, book.asked);
            return book.check(&out);
        }
        4 if !conversation.waits() => {
            if let Some(reply) = book.under_way.take() {
                book.cancelled.insert(reply);
                conversation.obey(DuplexCommand::Cancel(reply), &mut out);
            }
            return book.check(&out);
        }
        5 => json!({ "type": "response.created", "response": response }),
        6 => json!({ "type": "response.done", "response": response }),
        7 => delta("response.output_item.added"),
        8 => delta("response.output_audio.delta"),
        9 => delta("response.output_text.delta"),
        10 => json!({ "type": "input_audio_buffer.committed", "item_id": "item_2" }),
        11 => json!({ "type": "conversation.item.input_audio_transcription.completed",
            "item_id": "item_2", "transcript": "hello" }),
        12 => {
            let error = json!({ "code": "conversation_already_has_active_response",
                "event_id": format!("reply-{last}") });
            json!({ "type": "error", "error": error })
        }
        _ => json!({ "type": "error", "error": { "code": "response_cancel_not_active" } }),
    };
    hear(conversation, &mut out, &event);
    book.check(&out);
}

/// What the session knows of its answers.
#[derive(Default)]
struct Book {
    asked: u64,
    under_way: Option<u64>,
    cancelled: std::collections::HashSet<u64>,
    ended: std::collections::HashSet<u64>,
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
        let owed = book.under_way.is_some();
        assert!(!owed || conversation.patience().is_some());
    }
}
