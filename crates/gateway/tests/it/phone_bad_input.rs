//! What no carrier should send, and what comes of it, for every carrier: tables of frames, starts and questions.
//! What Twilio alone has of these is in `phone`; a carrier's REST interface that fails is in `dialling::callbacks`.
//! Nothing here may end anybody's call but the one that the frame belongs to.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::carrier::document::Document;
use crate::carrier::leg::{Leg, Playing, speech};
use crate::carrier::{Brand, Call, TOKEN};
use crate::phone::{texts, the_end, world};
use crate::phone_carriers::STREAMING;

/// Text frames that mean nothing, or not what they say.
fn odd_frames() -> Vec<String> {
    let deep = format!("{}{}", "[".repeat(2000), "]".repeat(2000));
    let mut frames: Vec<String> = ["not json", "", "{", "[]", "{}", "null", "\"start\"", &deep]
        .map(str::to_owned)
        .to_vec();
    frames.push(r#"{"event":"media","event":"stop"}"#.to_owned());
    let objects = [
        json!({ "event": 5 }),
        json!({ "event": "weather", "streamSid": "x" }),
        json!({ "event": "media" }),
        json!({ "event": "media", "media": {} }),
        json!({ "event": "media", "media": 7 }),
        json!({ "event": "media", "media": { "payload": "" } }),
        json!({ "event": "media", "media": { "payload": "%%%" } }),
        // one byte: half a sample where samples have two
        json!({ "event": "media", "media": { "payload": "AA==" } }),
        json!({ "event": "media", "media": { "payload": "AAAA", "timestamp": "yesterday" } }),
        json!({ "event": "mark", "mark": { "name": "99999" } }),
        json!({ "event": "mark", "mark": {} }),
        json!({ "event": "playedStream", "name": "99999" }),
        json!({ "event": "clearedAudio" }),
        json!({ "event": "websocket:notify", "payload": { "mark": 99999 } }),
        json!({ "event": "websocket:dtmf", "digit": "55" }),
        json!({ "event": "dtmf", "dtmf": { "digit": "x" } }),
        json!({ "event": "dtmf" }),
        json!({ "version": "2", "type": "ping" }),
        json!({ "version": "2", "id": "nobody", "type": "close", "seq": 1, "parameters": {} }),
        json!({ "type": "prompt", "voicePrompt": "hello", "last": true }),
    ];
    frames.extend(objects.map(|frame| frame.to_string()));
    frames
}

async fn send_all(leg: &mut Leg) {
    for frame in odd_frames() {
        leg.send_text(frame).await;
    }
    // no dialect has frames of this length
    leg.send_binary(vec![0xFF; 101]).await;
    leg.send_binary(Vec::new()).await;
}

#[tokio::test]
async fn odd_frames_before_the_start_and_behind_it_cost_nobody_a_word() {
    for brand in STREAMING {
        let world = world(brand).await;
        let call = Call::new(&world, brand, 1);
        let document = call.answer().await;
        let mut leg = Leg::connect(&call, &document, TOKEN).await.unwrap();
        send_all(&mut leg).await;
        leg.say_start(&document).await;
        leg.until("the greeting", |leg| leg.played > 0).await;
        send_all(&mut leg).await;
        // a second start is none
        leg.say_start(&document).await;
        let greeting = Duration::from_millis(28 * brand.ms_per_char() as u64);
        world.app().clock.advance(greeting);
        leg.settle().await;
        let from = leg.played;
        leg.say(&speech()).await;
        leg.pause(900).await;
        leg.until("an answer all the same", |leg| leg.played > from)
            .await;
        leg.hang_up().await;
        let ended = the_end(&world).await;
        assert_eq!(ended["hangup_reason"], "caller_hangup", "{brand:?}");
        let said = texts(&ended);
        let heard = ("caller".to_owned(), "what is new".to_owned(), false);
        assert!(said.contains(&heard), "{brand:?}: {said:?}");
    }
}

#[tokio::test]
async fn a_frame_beyond_all_measure_ends_its_own_call() {
    for brand in STREAMING {
        let world = world(brand).await;
        let call = Call::new(&world, brand, 1);
        let mut leg = Leg::start(&call, &call.answer().await).await;
        leg.until("the greeting", |leg| leg.played > 0).await;
        leg.send_text(format!("{{\"x\":\"{}\"}}", "a".repeat(70_000)))
            .await;
        leg.until_gone().await;
        let ended = the_end(&world).await;
        assert_eq!(ended["hangup_reason"], "carrier_error", "{brand:?}");
        assert_eq!(ended["outcome"], "error", "{brand:?}");
    }
}

/// A start that announces sound that we neither take nor give.
fn strange_starts() -> Vec<(Brand, Value)> {
    let twilio = |format: Value| json!({ "event": "start", "start": { "streamSid": "s", "callSid": "c", "mediaFormat": format } });
    let telnyx = |encoding: &str| {
        json!({ "event": "start", "stream_id": "s", "start": {
        "call_control_id": "c", "media_format": { "encoding": encoding, "sample_rate": 16000 } } })
    };
    let vonage = |kind: &str| json!({ "event": "websocket:connected", "content-type": kind });
    vec![
        (
            Brand::Twilio,
            twilio(json!({ "encoding": "audio/opus", "sampleRate": 48000 })),
        ),
        (
            Brand::Twilio,
            twilio(json!({ "encoding": "audio/x-mulaw", "sampleRate": 16000 })),
        ),
        (
            Brand::SignalWire,
            twilio(json!({ "encoding": "audio/x-L16", "sampleRate": 44100 })),
        ),
        (Brand::Telnyx, telnyx("OPUS")),
        (Brand::Telnyx, telnyx("G722")),
        (Brand::Telnyx, telnyx("AMR-WB")),
        (
            Brand::Plivo,
            json!({ "event": "start", "start": { "streamId": "s", "callId": "c",
            "mediaFormat": { "encoding": "audio/x-alaw", "sampleRate": 8000 } } }),
        ),
        (
            Brand::Exotel,
            json!({ "event": "start", "start": { "stream_sid": "s", "call_sid": "c",
            "media_format": { "encoding": "base64", "sample_rate": "44100" } } }),
        ),
        (Brand::Vonage, vonage("audio/l16;rate=44100")),
        (Brand::Vonage, vonage("audio/pcmu;rate=8000")),
        // and starts that name nothing
        (
            Brand::Twilio,
            json!({ "event": "start", "start": { "streamSid": "s" } }),
        ),
        (Brand::Telnyx, json!({ "event": "start", "start": {} })),
        (
            Brand::Plivo,
            json!({ "event": "start", "start": { "callId": "c" } }),
        ),
        (Brand::Exotel, json!({ "event": "start" })),
        (
            Brand::Twilio,
            json!({ "event": "start", "start": { "streamSid": "s", "callSid": "c".repeat(300) } }),
        ),
        (
            Brand::Genesys,
            json!({ "version": "2", "id": "s", "type": "open", "seq": 1, "parameters": {} }),
        ),
    ]
}

#[tokio::test]
async fn a_start_that_cannot_be_taken_is_refused_and_no_noise_is_played() {
    for (at, (brand, start)) in strange_starts().into_iter().enumerate() {
        let world = world(brand).await;
        let call = Call::new(&world, brand, at as u32);
        let document = call.answer().await;
        let mut leg = Leg::connect(&call, &document, TOKEN).await.unwrap();
        leg.send(&start).await;
        leg.renamed("s");
        leg.said(1);
        assert_eq!(leg.until_closed().await, 1008, "{start}");
        assert_eq!(leg.played + leg.waiting(), 0, "{start}");
    }
}

#[tokio::test]
async fn a_stream_that_stops_before_it_begins_is_let_go() {
    for brand in [Brand::Telnyx, Brand::Exotel, Brand::Plivo] {
        let world = world(brand).await;
        let call = Call::new(&world, brand, 1);
        let document = call.answer().await;
        let mut leg = Leg::connect(&call, &document, TOKEN).await.unwrap();
        leg.send(&json!({ "event": "stop", "stop": {} })).await;
        assert_eq!(leg.until_closed().await, 1000, "{brand:?}");
    }
}

#[tokio::test]
async fn a_carrier_that_sends_no_mark_back_is_taken_to_have_played() {
    for brand in STREAMING.into_iter().filter(|brand| brand.has_marks()) {
        let world = world(brand).await;
        let call = Call::new(&world, brand, 1);
        let mut leg = Leg::start(&call, &call.answer().await).await;
        leg.set(Playing::Held).await;
        leg.until("the greeting", |leg| leg.marks > 0).await;
        leg.settle().await;
        world.app().clock.advance(Duration::from_secs(10));
        leg.pause(100).await;
        leg.settle().await;
        let metrics = world.app().metrics.text();
        let name = brand.name();
        let counted =
            format!("antiphon_tel_protocol_errors_total{{carrier=\"{name}\",kind=\"no_marks\"}} 1");
        assert!(
            metrics.contains(&counted),
            "{counted} is missing in {metrics}"
        );
        leg.hang_up().await;
        let said = texts(&the_end(&world).await);
        assert_eq!(
            said[0].1, "Hi, this is an AI assistant.",
            "{brand:?}: {said:?}"
        );
    }
}

#[tokio::test]
async fn a_number_that_nobody_has_is_refused_in_the_carriers_own_words() {
    for brand in [
        Brand::Twilio,
        Brand::SignalWire,
        Brand::Telnyx,
        Brand::Plivo,
        Brand::Exotel,
        Brand::Vonage,
        Brand::Relay,
    ] {
        let world = world(brand).await;
        for to in ["+14155550199", "nobody", "", "+1415555010012345678"] {
            let mut call = Call::new(&world, brand, 1);
            call.to = to.to_owned();
            let document: Document = call.answer().await;
            let refusal = match brand {
                // it hangs up where it is given nothing to do
                Brand::Exotel | Brand::Vonage => (Vec::new(), None),
                Brand::Plivo => (vec!["Hangup".to_owned()], Some("rejected")),
                _ => (vec!["Reject".to_owned()], Some("rejected")),
            };
            assert_eq!(
                (document.verbs, document.reason.as_deref()),
                refusal,
                "{brand:?} {to}"
            );
        }
    }
}

#[tokio::test]
async fn a_report_that_cannot_be_read_is_answered_with_what_is_wrong() {
    let world = world(Brand::Vonage).await;
    let call = Call::new(&world, Brand::Vonage, 1);
    for body in ["", "not json", "[]", "{\"status\":[]}"] {
        let told = call
            .post_json(&call.route("/status"), body.to_owned(), TOKEN)
            .await;
        let status = told.status();
        assert!(
            matches!(status, StatusCode::OK | StatusCode::BAD_REQUEST),
            "{body}: {status}"
        );
    }
    let long = format!("{{\"status\":\"{}\"}}", "x".repeat(300 * 1024));
    let told = call.post_json(&call.route("/status"), long, TOKEN).await;
    assert_eq!(told.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let body: Value = told.json().await.unwrap();
    assert_eq!(body["error"]["code"], "body_too_large");
}
