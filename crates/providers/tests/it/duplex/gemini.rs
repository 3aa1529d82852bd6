//! Gemini Live: what is particular to it.

use engine::ask::{DuplexCommand, DuplexOptions, DuplexReply, LlmMessage};
use providers::{Kind, Vendor, ports::DuplexEvent};
use serde_json::{Value, json};
use wire::realtime::AudioFormat;

use super::{Call, GEMINI, options, pcm, user, vendor};
use crate::fakes::upstream::{Answer, End, Manner, Upstream, answer};

/// Messages with this field, in order.
fn said(fake: &Upstream, field: &str) -> Vec<Value> {
    let messages = fake.messages().into_iter();
    let fields = messages.map(|message| message[field].clone());
    fields.filter(|field| !field.is_null()).collect()
}

#[tokio::test]
async fn the_settings_are_those_of_the_session() {
    let options = DuplexOptions {
        voice: "kore".to_owned(),
        max_tokens: Some(300),
        ..options()
    };
    let call = Call::with(&GEMINI, &[], options, Vec::new()).await;
    let function = json!({
        "name": "weather",
        "description": "Tells the weather",
        "behavior": "BLOCKING",
        "parameters": { "type": "object", "properties": { "city": { "type": "string" } } },
    });
    let settings = json!({
        "model": "models/gemini-3.8-live",
        "generationConfig": {
            "responseModalities": ["AUDIO"],
            "maxOutputTokens": 300,
            "speechConfig": { "voiceConfig": { "prebuiltVoiceConfig": { "voiceName": "Kore" } } },
        },
        "systemInstruction": { "parts": [{ "text": "Be brief." }] },
        "tools": [{ "functionDeclarations": [function] }],
        "realtimeInputConfig": { "automaticActivityDetection": { "disabled": true } },
        "inputAudioTranscription": { "languageCodes": ["en"] },
        "outputAudioTranscription": {},
        "contextWindowCompression": { "slidingWindow": {} },
    });
    assert_eq!(call.fake.settings(), settings);
    let handshake = call.fake.world.with(|state| state.handshakes[0].clone());
    assert!(!handshake.contains('?'), "a key in an address: {handshake}");
    call.fake.is_content();
}

#[tokio::test]
async fn telephones_are_translated() {
    let options = DuplexOptions {
        input_format: AudioFormat::Pcmu,
        output_format: AudioFormat::Pcmu,
        ..options()
    };
    let mut call = Call::with(&GEMINI, &[answer("good day")], options, Vec::new()).await;
    call.speak(1, &[0xff; 1600]).await;
    call.ask(1).await;
    let mut bytes = 0;
    loop {
        match call.event().await {
            DuplexEvent::Audio { audio, .. } => bytes += audio.len(),
            DuplexEvent::Done { .. } => break,
            _ => {}
        }
    }
    // two words of 100 ms at 8 kHz
    assert_eq!(bytes, 1600);
    let kinds = said(&call.fake, "realtimeInput");
    assert_eq!(kinds[1]["audio"]["mimeType"], "audio/pcm;rate=8000");
    assert_eq!(call.fake.world.with(|state| state.heard.len()), 3200);
    call.fake.is_content();
}

#[tokio::test]
async fn an_activity_lasts_until_an_answer_is_wanted() {
    let mut call = Call::begin(&GEMINI, &[answer("to both")]).await;
    call.speak(1, &pcm("first")).await;
    call.speak(2, &pcm("and second")).await;
    call.ask(1).await;
    let heard = call.rest(1).await;
    assert_eq!(heard.text.trim(), "to both");
    // one activity has one transcript
    let transcripts = [
        (1, Ok("first and second".to_owned())),
        (2, Ok(String::new())),
    ];
    assert_eq!(heard.transcripts, transcripts);
    let realtime = said(&call.fake, "realtimeInput");
    let marks = |mark: &str| {
        realtime
            .iter()
            .filter(|input| input[mark].is_object())
            .count()
    };
    assert_eq!((marks("activityStart"), marks("activityEnd")), (1, 1));
    call.fake.is_content();
}

#[tokio::test]
async fn what_was_discarded_does_not_keep_an_answer_away() {
    let mut call = Call::begin(&GEMINI, &[answer("to words"), answer("to speech")]).await;
    call.tell(DuplexCommand::Audio(pcm("hm").into())).await;
    call.tell(DuplexCommand::Discard).await;
    call.add(user("in writing")).await;
    call.ask(1).await;
    // the noise is a turn of its own for the vendor, in front of the words
    assert_eq!(call.rest(1).await.text.trim(), "to speech");
    assert_eq!(call.turn(2, "and aloud").await.text.trim(), "to speech");
    call.fake.is_content();
}

#[tokio::test]
async fn what_is_said_during_an_answer_does_not_interrupt_it() {
    let mut call = Call::begin(&GEMINI, &[answer("let me finish"), answer("now you")]).await;
    call.speak(1, &pcm("go on")).await;
    call.ask(1).await;
    // before anything of the answer has been read
    call.speak(2, &pcm("but")).await;
    call.add(user("in writing")).await;
    assert_eq!(call.rest(1).await.text.trim(), "let me finish");
    call.ask(2).await;
    assert_eq!(call.rest(2).await.text.trim(), "now you");
    call.fake.is_content();
}

#[tokio::test]
async fn what_was_heard_is_told_in_words() {
    let endless = Answer {
        words: "one two three",
        end: End::Silence,
        ..Answer::default()
    };
    let mut call = Call::begin(&GEMINI, &[endless, answer("fine")]).await;
    call.speak(1, &pcm("count")).await;
    call.ask(1).await;
    call.until(1, "one two three").await;
    call.tell(DuplexCommand::Cancel(1)).await;
    let heard = DuplexCommand::Heard {
        reply: 1,
        audio_ms: 110,
        text: "one".to_owned(),
    };
    call.tell(heard).await;
    // words interrupt as speech does
    call.add(user("stop")).await;
    call.ask(2).await;
    call.rest(1).await;
    assert_eq!(call.rest(2).await.text.trim(), "fine");
    let lines = call.fake.conversation();
    let note = "note: (I interrupted you. Of that I have heard only: \"one\")";
    assert!(lines.contains(&note.to_owned()), "{lines:?}");
    call.fake.is_content();
}

#[tokio::test]
async fn an_answer_that_reads_something_else_has_a_connection_of_its_own() {
    let mut call = Call::begin(&GEMINI, &[answer("anything")]).await;
    let wanted = DuplexReply {
        instructions: Some("Sum it up.".to_owned()),
        text_only: true,
        apart: Some(vec![
            LlmMessage::System("A summary.".to_owned()),
            user("all of it"),
        ]),
        ..DuplexReply::default()
    };
    call.ask_for(5, wanted).await;
    let heard = call.rest(5).await;
    assert_eq!((heard.text.trim(), heard.audio.len()), ("anything", 0));
    assert_eq!(call.fake.handshakes(), 2);
    let instructions = call.fake.settings()["systemInstruction"]["parts"][0]["text"].clone();
    assert_eq!(instructions, "Sum it up.");
    call.fake.until(|state| state.hung_up == 1).await;
    // the conversation knows nothing of it
    assert!(
        call.fake
            .world
            .with(|state| state.conversations[0].is_empty())
    );
    assert_eq!(call.turn(6, "hello").await.text.trim(), "anything");
    call.fake.is_content();
}

fn louder() -> DuplexCommand {
    DuplexCommand::Configure(Box::new(DuplexOptions {
        instructions: "Be loud.".to_owned(),
        ..options()
    }))
}

#[tokio::test]
async fn settings_that_change_before_anything_was_said_take_another_connection_in_silence() {
    let mut call = Call::begin(&GEMINI, &[answer("hello")]).await;
    call.tell(louder()).await;
    assert_eq!(call.turn(1, "hi").await.text.trim(), "hello");
    assert_eq!(call.fake.handshakes(), 2);
    assert_eq!(call.fake.conversation().len(), 2);
    let instructions = call.fake.settings()["systemInstruction"]["parts"][0]["text"].clone();
    assert_eq!(instructions, "Be loud.");
    // what needs no other connection gets none
    let wider = DuplexOptions {
        instructions: "Be loud.".to_owned(),
        output_format: AudioFormat::Pcmu,
        speed: 1.3,
        ..options()
    };
    call.tell(DuplexCommand::Configure(Box::new(wider))).await;
    assert_eq!(call.turn(2, "hi").await.audio.len(), 800);
    assert_eq!(call.fake.handshakes(), 2);
    call.fake.is_content();
}

#[tokio::test]
async fn settings_that_change_later_cost_the_connection() {
    let mut call = Call::begin(&GEMINI, &[answer("hello")]).await;
    call.turn(1, "hi").await;
    call.tell(louder()).await;
    let event = call.event().await;
    let DuplexEvent::Lost(error) = event else {
        panic!("{event:?}")
    };
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(error.message.contains("settings"), "{error}");
}

#[tokio::test]
async fn refusals_behind_the_handshake_are_understood() {
    let fake = GEMINI.fake(&[]).await;
    let lost = async |vendor: Vendor| {
        let duplex = (GEMINI.open)(vendor).unwrap();
        let mut stream = duplex.open(options(), Vec::new()).await.unwrap();
        match stream.events.recv().await {
            Some(DuplexEvent::Lost(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let missing = Vendor {
        model: Some("gemini-missing".to_owned()),
        ..vendor(&fake)
    };
    assert_eq!(lost(missing).await.kind, Kind::Rejected);
    fake.world.with(|state| state.manner = Manner::Distrustful);
    let error = lost(vendor(&fake)).await;
    assert_eq!(error.kind, Kind::Unauthorized);
    assert!(error.to_string().contains("1007"), "{error}");
}

#[tokio::test]
async fn a_server_that_fails_midway_is_lost() {
    let fails = Answer {
        words: "so far",
        end: End::Fail,
        ..Answer::default()
    };
    let mut call = Call::begin(&GEMINI, &[fails]).await;
    let heard = call.turn(1, "hello").await;
    assert_eq!(heard.text.trim(), "so far");
    assert_eq!(heard.lost().kind, Kind::Unavailable);
}
