//! Somebody calls: the carrier asks, streams, is spoken to and interrupts; and what is kept of it.
//! The carrier is the fake in `carrier`; everything else is the real server.
//! Nothing here waits for a second to pass: the carrier plays at once, or when it is told to.

use gateway::config::Config;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::carrier::leg::{Leg, Playing, speech};
use crate::carrier::{Brand, CALLER, Call, LINE, TOKEN, account};
use crate::redis_servers::until;
use crate::world::World;

pub(crate) async fn world(brand: Brand) -> World {
    with(brand, |_| {}).await
}

pub(crate) async fn with(brand: Brand, change: impl FnOnce(&mut Config)) -> World {
    World::start(|config| {
        account(config, brand);
        config.scripted.transcripts = vec!["what is new".to_owned(), "and then".to_owned()];
        change(config);
    })
    .await
}

/// The one call of the world, as the API shows it.
pub(crate) async fn the_call(world: &World) -> Value {
    let list: Value = world
        .get("/v1/calls")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let calls = list["data"].as_array().unwrap();
    assert_eq!(calls.len(), 1, "{list}");
    let path = format!("/v1/calls/{}", calls[0]["id"].as_str().unwrap());
    world.get(&path).send().await.unwrap().json().await.unwrap()
}

/// The same once it is over.
pub(crate) async fn the_end(world: &World) -> Value {
    until("the call is over", async || {
        the_call(world).await["state"] == "ended"
    })
    .await;
    the_call(world).await
}

pub(crate) fn texts(call: &Value) -> Vec<(String, String, bool)> {
    let turns = call["turns"].as_array().unwrap().iter();
    turns
        .map(|turn| {
            let text = |name: &str| turn[name].as_str().unwrap().to_owned();
            (text("role"), text("text"), turn["interrupted"] == true)
        })
        .collect()
}

/// Two turns, the second answer of which is spoken over.
pub(crate) async fn two_turns_and_a_barge_in(brand: Brand) {
    let world = world(brand).await;
    let call = Call::new(&world, brand, 1);
    let document = call.answer().await;
    assert_eq!(document.verbs[..2], ["Connect", "Stream"]);
    assert_eq!(document.bearer.is_some(), brand == Brand::SignalWire);
    // the carrier asks twice: it is the same call
    let again = call.answer().await;
    assert_eq!(again.parameter("callId"), document.parameter("callId"));

    let mut leg = Leg::start(&call, &document).await;
    leg.greeting().await;
    let status = document.status_callback.as_deref();
    let answered = call.report(status, "in-progress", 2).await;
    let answered: Value = answered.json().await.unwrap();
    assert_eq!(answered, json!({ "success": true }));
    leg.say(&speech()).await;
    leg.pause(900).await;
    // "You said: what is new. What else can I do for you?"
    leg.hear(8 * 480).await;
    // the second answer is held in the carrier's buffer, and played a little
    leg.settle().await;
    leg.set(Playing::Held).await;
    leg.say(&speech()).await;
    leg.pause(900).await;
    leg.until("the second answer", |leg| leg.waiting() > 8 * 300)
        .await;
    leg.play(8 * 200).await;
    let clears = leg.clears;
    leg.say(&speech()[..8 * 1000]).await;
    leg.until("clear", |leg| leg.clears == clears + 1).await;
    assert!(leg.cleared > 0);
    leg.set(Playing::AtOnce).await;
    leg.hang_up().await;

    // reports come late, twice and in the wrong order
    for (status, sequence) in [("completed", 3), ("ringing", 1), ("completed", 3)] {
        let taken = call
            .report(document.status_callback.as_deref(), status, sequence)
            .await;
        assert_eq!(taken.status(), StatusCode::OK);
    }
    let ended = the_end(&world).await;
    assert_eq!(ended["direction"], "inbound");
    assert_eq!(ended["provider"], brand.name());
    assert_eq!(
        (&ended["from"], &ended["to"]),
        (&json!(CALLER), &json!(LINE))
    );
    assert_eq!(ended["hangup_reason"], "caller_hangup", "{ended}");
    assert_eq!(ended["hangup_by"], "caller");
    assert_eq!(ended["status"], "completed");
    assert!(ended["session_id"].as_str().unwrap().starts_with("sess_"));
    let texts = texts(&ended);
    assert_eq!(texts[0].1, "Hi, this is an AI assistant.");
    assert!(
        texts.contains(&("caller".to_owned(), "what is new".to_owned(), false)),
        "{texts:?}"
    );
    let cut = texts
        .iter()
        .find(|(role, _, interrupted)| role == "agent" && *interrupted);
    let whole = texts
        .iter()
        .filter(|(role, _, interrupted)| role == "agent" && !interrupted);
    assert!(whole.count() >= 2, "{texts:?}");
    assert!(
        cut.is_some_and(|(_, text, _)| !text.contains("What else")),
        "{texts:?}"
    );
    let metrics = world.app().metrics.text();
    for line in [
        format!(
            "antiphon_tel_barge_in_total{{carrier=\"{}\"}}",
            brand.name()
        ),
        "antiphon_tel_calls_processed_total 1".to_owned(),
        "antiphon_tel_active_connections 0".to_owned(),
    ] {
        assert!(metrics.contains(&line), "{line} is missing in\n{metrics}");
    }
}

#[tokio::test]
async fn a_call_over_twilio_has_two_turns_and_is_interrupted_exactly() {
    two_turns_and_a_barge_in(Brand::Twilio).await;
}

#[tokio::test]
async fn a_call_over_signalwire_has_two_turns_and_is_interrupted_exactly() {
    two_turns_and_a_barge_in(Brand::SignalWire).await;
}

#[tokio::test]
async fn who_is_not_the_carrier_hears_403_before_anything_else() {
    let world = world(Brand::Twilio).await;
    let call = Call::new(&world, Brand::Twilio, 1);
    for path in ["answer", "status", "after"] {
        let url = world.url(&format!("/telephony/twilio/{path}"));
        let client = reqwest::Client::new();
        let unsigned = client
            .post(&url)
            .form(&call.fields("ringing"))
            .send()
            .await
            .unwrap();
        assert_eq!(unsigned.status(), StatusCode::FORBIDDEN, "{path}");
        let body: Value = unsigned.json().await.unwrap();
        assert_eq!(body["error"]["code"], "not_signed");
        let wrong = client.post(&url).form(&call.fields("ringing"));
        let wrong = wrong.header("x-twilio-signature", "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
        assert_eq!(wrong.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    }
    let document = call.answer().await;
    assert_eq!(
        Leg::connect(&call, &document, "another token").await.err(),
        Some(403)
    );
    let unknown = world
        .anonymous(reqwest::Method::POST, "/telephony/bell/answer")
        .send()
        .await
        .unwrap();
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    let metrics = world.app().metrics.text();
    assert!(
        metrics.contains(
            "antiphon_tel_signature_failures_total{carrier=\"twilio\",kind=\"missing\"} 3"
        ),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_stream_proves_its_call_once() {
    let world = world(Brand::Twilio).await;
    let call = Call::new(&world, Brand::Twilio, 1);
    let document = call.answer().await;
    let mut first = Leg::start(&call, &document).await;
    first.until("the greeting", |leg| leg.marks > 0).await;
    // the same token again, while the call runs
    let mut second = Leg::start(&call, &document).await;
    assert_eq!(second.until_closed().await, 1008);
    assert_eq!(second.closed.as_ref().unwrap().1, "used_token");
    // a token of its own: the call has a stream
    let other = call.answer().await;
    let mut third = Leg::start(&call, &other).await;
    assert_eq!(third.until_closed().await, 1008);
    assert_eq!(third.closed.as_ref().unwrap().1, "call_has_a_stream");
    let mut forged = call.answer().await;
    for (name, value) in &mut forged.parameters {
        if name == "callId" {
            value.push('x');
        }
    }
    let mut fourth = Leg::start(&call, &forged).await;
    assert_eq!(fourth.until_closed().await, 1008);
    assert_eq!(fourth.closed.as_ref().unwrap().1, "wrong_token");
    forged.parameters.clear();
    let mut fifth = Leg::start(&call, &forged).await;
    assert_eq!(fifth.until_closed().await, 1008);
    assert_eq!(fifth.closed.as_ref().unwrap().1, "no_token");
    // the first has noticed nothing
    first.hang_up().await;
    assert_eq!(the_end(&world).await["hangup_reason"], "caller_hangup");
    let mut late = Leg::start(&call, &other).await;
    assert_eq!(late.until_closed().await, 1008);
}

#[tokio::test]
async fn a_number_that_nobody_has_is_rejected_and_a_full_server_is_busy() {
    let world = with(Brand::Twilio, |config| config.telephony.max_calls = 1).await;
    let mut stranger = Call::new(&world, Brand::Twilio, 1);
    stranger.to = "+14155550199".to_owned();
    let document = stranger.answer().await;
    assert_eq!(
        (document.verbs, document.reason.as_deref()),
        (vec!["Reject".to_owned()], Some("rejected"))
    );
    let call = Call::new(&world, Brand::Twilio, 2);
    let mut leg = Leg::start(&call, &call.answer().await).await;
    leg.until("the greeting", |leg| leg.marks > 0).await;
    let busy = Call::new(&world, Brand::Twilio, 3).answer().await;
    assert_eq!(busy.reason.as_deref(), Some("busy"));
    leg.hang_up().await;
}

#[tokio::test]
async fn what_no_carrier_sends_ends_nobodys_call() {
    let world = world(Brand::Twilio).await;
    let call = Call::new(&world, Brand::Twilio, 1);
    let document = call.answer().await;
    let mut leg = Leg::connect(&call, &document, TOKEN).await.unwrap();
    leg.send(&json!({ "event": "media", "media": { "payload": "/////w==" } }))
        .await;
    leg.send_text("not json".to_owned()).await;
    leg.say_start(&document).await;
    leg.until("the greeting", |leg| leg.marks > 0).await;
    leg.say_start(&document).await;
    leg.send_binary(vec![0; 100]).await;
    leg.send(&json!({ "event": "weather", "streamSid": "x" }))
        .await;
    leg.send(&json!({ "event": "media", "media": { "payload": "%%%" } }))
        .await;
    leg.send(&json!({ "event": "media", "media": {} })).await;
    leg.send(&json!({ "event": "mark", "mark": { "name": "99999" } }))
        .await;
    leg.send(&json!({ "event": "dtmf", "dtmf": { "digit": "x" } }))
        .await;
    leg.send_text("[]".to_owned()).await;
    // another call beside it, whose frame is too large
    let other = Call::new(&world, Brand::Twilio, 2);
    let mut large = Leg::start(&other, &other.answer().await).await;
    large
        .send_text(format!(
            "{{\"event\":\"media\",\"x\":\"{}\"}}",
            "a".repeat(100_000)
        ))
        .await;
    assert_eq!(large.until_closed().await, 1009);
    // and one that the socket itself does not take
    let third = Call::new(&world, Brand::Twilio, 3);
    let mut larger = Leg::start(&third, &third.answer().await).await;
    larger.greeting().await;
    larger.send_huge(10 << 20).await;
    larger.until_gone().await;
    leg.say(&speech()).await;
    leg.pause(900).await;
    let marks = leg.marks;
    leg.until("an answer all the same", |leg| leg.marks > marks)
        .await;
    leg.hang_up().await;
}

#[tokio::test]
async fn a_stream_that_does_not_begin_is_closed() {
    let world = with(Brand::Twilio, |config| {
        config.telephony.start_timeout_ms = 100;
    })
    .await;
    let call = Call::new(&world, Brand::Twilio, 1);
    let document = call.answer().await;
    let mut silent = Leg::connect(&call, &document, TOKEN).await.unwrap();
    assert_eq!(silent.until_closed().await, 1008);
    let mut stopped = Leg::connect(&call, &document, TOKEN).await.unwrap();
    stopped.send(&json!({ "event": "stop", "stop": {} })).await;
    assert_eq!(stopped.until_closed().await, 1000);
}

#[tokio::test]
async fn a_line_that_dies_is_an_incomplete_call() {
    let world = world(Brand::Twilio).await;
    let call = Call::new(&world, Brand::Twilio, 1);
    let mut leg = Leg::start(&call, &call.answer().await).await;
    leg.greeting().await;
    leg.drop_line();
    let ended = the_end(&world).await;
    assert_eq!(ended["hangup_reason"], "stream_lost");
    assert_eq!(ended["outcome"], "incomplete");
    assert_eq!(texts(&ended)[0].1, "Hi, this is an AI assistant.");
}

#[tokio::test]
async fn keys_become_words_and_break_off_what_is_said() {
    let world = world(Brand::Twilio).await;
    let call = Call::new(&world, Brand::Twilio, 1);
    let mut leg = Leg::start(&call, &call.answer().await).await;
    leg.set(Playing::Held).await;
    leg.until("the greeting", |leg| leg.waiting() > 0).await;
    leg.press("42#").await;
    leg.until("clear", |leg| leg.clears == 1).await;
    leg.set(Playing::AtOnce).await;
    leg.hear(8 * 440).await;
    leg.hang_up().await;
    let ended = the_end(&world).await;
    let path = format!("/v1/calls/{}/events", ended["id"].as_str().unwrap());
    let events = world.get(&path).send().await.unwrap().text().await.unwrap();
    assert!(
        events.contains("event: dtmf") && events.contains("42"),
        "{events}"
    );
    for kind in ["event: live", "event: ended"] {
        assert!(events.contains(kind), "{kind} is missing in {events}");
    }
    let said = texts(&ended);
    assert!(
        said.iter().any(|(_, text, _)| text.contains("DTMF")),
        "{said:?}"
    );
}

#[tokio::test]
async fn a_call_is_ended_by_whoever_has_the_key_of_its_tenant() {
    let world = world(Brand::Twilio).await;
    let tenant = world.tenant("rival-1").await;
    let foreign = tenant["api_key"]["key"].as_str().unwrap();
    let call = Call::new(&world, Brand::Twilio, 1);
    let mut leg = Leg::start(&call, &call.answer().await).await;
    leg.greeting().await;
    let id = the_call(&world).await["id"].as_str().unwrap().to_owned();
    for path in [format!("/v1/calls/{id}"), "/v1/calls/call_none".to_owned()] {
        let answer = world
            .anonymous(reqwest::Method::GET, &path)
            .bearer_auth(foreign);
        let answer = answer.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["error"]["code"], "call_not_found");
    }
    let body = json!({ "say": "Good-bye then." });
    let answer = world
        .post(&format!("/v1/calls/{id}/hangup"), &body)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    leg.until_closed().await;
    let ended = the_end(&world).await;
    assert_eq!(
        (&ended["hangup_reason"], &ended["hangup_by"]),
        (&json!("agent_end"), &json!("system"))
    );
    assert_eq!(texts(&ended)[1].1, "Good-bye then.");
    let again = world
        .post(&format!("/v1/calls/{id}/hangup"), &json!({}))
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_call_has_a_longest_time_and_says_so() {
    let world = with(Brand::Twilio, |config| config.telephony.max_call_s = 60).await;
    let call = Call::new(&world, Brand::Twilio, 1);
    let mut leg = Leg::start(&call, &call.answer().await).await;
    leg.greeting().await;
    let clock = &world.app().clock;
    // nobody says a word for a while: they are asked
    clock.advance(std::time::Duration::from_secs(29));
    leg.pause(200).await;
    // "We have half a minute left."
    leg.hear(8 * 200).await;
    leg.settle().await;
    clock.advance(std::time::Duration::from_secs(22));
    leg.pause(200).await;
    leg.until_closed().await;
    let ended = the_end(&world).await;
    assert_eq!(
        (&ended["hangup_reason"], &ended["hangup_by"]),
        (&json!("max_duration"), &json!("system"))
    );
    let said = texts(&ended);
    assert!(
        said.iter()
            .any(|(_, text, _)| text.contains("half a minute")),
        "{said:?}"
    );
    assert!(
        said.iter()
            .any(|(_, text, _)| text.contains("end this call now")),
        "{said:?}"
    );
}
