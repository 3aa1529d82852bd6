//! A caller is passed on: at once, or after somebody was told what it is about; and what we end is ended at the carrier.
//! The media stream is played by `carrier`, its REST interface by `carriers`.

mod machines;
mod recorded;

use gateway::Config;
use gateway::config::{OwnNumber, Secret};
use reqwest::StatusCode;
use serde_json::{Value, json};
use wire::telephony::Dialect;

use crate::carrier::leg::{Leg, speech};
use crate::carrier::{Brand, CALLER, Call, LINE, account};
use crate::carriers::{ACCOUNT, Fake, Fault, Placed, SECRET};
use crate::phone::the_end;
use crate::redis_servers::until;
use crate::webhooks::{Receiver, answer, endpoint};
use crate::world::World;

/// Who takes callers over.
const SALES: &str = "+14155550142";

/// A server whose carrier has a REST interface, and which carriers reach at its own address.
pub(crate) async fn world(change: impl FnOnce(&mut Config)) -> (World, Fake) {
    let fake = Fake::start(Dialect::Twilio, chrono::Utc::now()).await;
    fake.with(|book| book.per_second = 100);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let world = World::start(|config| {
        account(config, Brand::Twilio);
        let own = config.telephony.accounts.get_mut("twilio").unwrap();
        own.account_id = Some(ACCOUNT.to_owned());
        own.api_key_id = Some(ACCOUNT.to_owned());
        own.api_secret = Some(Secret::new(SECRET));
        own.base_url = Some(fake.base.clone());
        config.server.listen = address.to_string();
        config.telephony.external_url = Some(format!("http://{address}"));
        config.tools.allowed_hosts = vec!["127.0.0.1".to_owned()];
        config.scripted.transcripts = vec!["what is new".to_owned()];
        change(config);
    })
    .await;
    (world, fake)
}

/// Asks one of the server's addresses as the carrier does that was given it, with these fields.
async fn ask(call: &Call<'_>, url: &str, fields: &[(&str, &str)]) -> String {
    let fields: Vec<(String, String)> = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let response = call.post(url, &fields).await;
    assert_eq!(response.status(), StatusCode::OK);
    response.text().await.unwrap()
}

/// Somebody is on the line. The carrier keeps the call in its book.
pub(crate) async fn on_the_line<'a>(
    world: &'a World,
    fake: &Fake,
    number: u32,
) -> (Call<'a>, Leg, String) {
    let call = Call::new(world, Brand::Twilio, number);
    fake.with(|book| {
        let made_at = book.now;
        book.calls.push(Placed {
            id: call.sid.clone(),
            to: LINE.to_owned(),
            from: CALLER.to_owned(),
            status: "in-progress".to_owned(),
            made_at,
            fields: Vec::new(),
            done: Vec::new(),
        });
    });
    let document = call.answer().await;
    let mut leg = Leg::start(&call, &document).await;
    leg.greeting().await;
    let id = document.parameter("callId").to_owned();
    until("the call is live", async || {
        the_state(world, &id).await == "live"
    })
    .await;
    (call, leg, id)
}

async fn the_state(world: &World, id: &str) -> Value {
    let (_, call) = answer(world.get(&format!("/v1/calls/{id}"))).await;
    call["state"].clone()
}

async fn transfer(world: &World, id: &str, body: &Value) -> (StatusCode, Value) {
    answer(world.post(&format!("/v1/calls/{id}/transfer"), body)).await
}

/// What was done to a call, in the carrier's words.
pub(crate) fn done(fake: &Fake, sid: &str) -> Vec<String> {
    fake.with(|book| {
        let found = book.calls.iter().find(|call| call.id == sid);
        found.unwrap().done.clone()
    })
}

#[tokio::test]
async fn a_caller_is_passed_on_cold() {
    let (world, fake) = world(|_| {}).await;
    let receiver = Receiver::start().await;
    endpoint(
        &world,
        json!({ "url": receiver.url, "events": ["call.ended"] }),
    )
    .await;
    let (call, mut leg, id) = on_the_line(&world, &fake, 1).await;
    for (to, status, code) in [
        ("nobody", StatusCode::BAD_REQUEST, "invalid_target"),
        ("+4930123456", StatusCode::FORBIDDEN, "blocked_number"),
    ] {
        let (refused, error) = transfer(&world, &id, &json!({ "to": to })).await;
        assert_eq!((refused, &error["error"]["code"]), (status, &json!(code)));
        assert_eq!(error["error"]["param"], "to");
    }
    // the carrier has a bad moment: the caller stays
    fake.fault(Fault::Status(500));
    let (refused, error) = transfer(&world, &id, &json!({ "to": SALES })).await;
    assert_eq!(
        (refused, &error["error"]["code"]),
        (StatusCode::BAD_GATEWAY, &json!("carrier_refused"))
    );
    assert_eq!(the_state(&world, &id).await, "live");
    let (status, shown) = transfer(&world, &id, &json!({ "to": SALES, "timeout_s": 20 })).await;
    assert_eq!(status, StatusCode::OK, "{shown}");
    let redirected = done(&fake, &call.sid).remove(0);
    let url = redirected.strip_prefix("Url=").unwrap().to_owned();
    // the carrier ends the stream, and asks what to do with the caller
    leg.hang_up().await;
    let text = ask(&call, &url, &[("CallSid", &call.sid)]).await;
    assert!(
        text.contains(&format!("<Number>{SALES}</Number>")),
        "{text}"
    );
    assert!(text.contains("timeout=\"20\""), "{text}");
    assert!(text.contains(&format!("callerId=\"{LINE}\"")), "{text}");
    let ended = the_end(&world).await;
    assert_eq!(
        (
            &ended["outcome"],
            &ended["hangup_reason"],
            &ended["hangup_by"]
        ),
        (&json!("transferred"), &json!("transfer"), &json!("system")),
        "{ended}"
    );
    let told = receiver.until(1).await.remove(0).json();
    assert_eq!(told["data"]["outcome"], "transferred");
    // nobody has taken it: the carrier says so, and the caller hears it
    let action = text.split("action=\"").nth(1).unwrap();
    let action = action.split('"').next().unwrap().replace("&amp;", "&");
    let fields = [
        ("CallSid", call.sid.as_str()),
        ("DialCallStatus", "no-answer"),
    ];
    let text = ask(&call, &action, &fields).await;
    assert!(text.contains("<Say>") && text.contains("<Hangup"), "{text}");
    // we did not end what the carrier goes on with
    assert_eq!(done(&fake, &call.sid).len(), 1);
    let (refused, error) = transfer(&world, &id, &json!({ "to": SALES })).await;
    assert_eq!(
        (refused, &error["error"]["code"]),
        (StatusCode::CONFLICT, &json!("call_not_live"))
    );
    fake.was_content();
}

#[tokio::test]
async fn whoever_takes_over_warm_hears_what_it_is_about_and_meets_the_caller() {
    let (world, fake) = world(|_| {}).await;
    let (call, mut leg, id) = on_the_line(&world, &fake, 1).await;
    let wanted = json!({ "to": SALES, "mode": "warm", "summary": "A boiler <leaks> in Oakland." });
    let (status, shown) = transfer(&world, &id, &wanted).await;
    assert_eq!(
        (status, &shown["state"]),
        (StatusCode::ACCEPTED, &json!("live")),
        "{shown}"
    );
    let consult = fake.with(|book| book.calls.last().unwrap().clone());
    assert_eq!((consult.to.as_str(), consult.from.as_str()), (SALES, LINE));
    let (refused, error) = transfer(&world, &id, &wanted).await;
    assert_eq!(
        (refused, &error["error"]["code"]),
        (StatusCode::CONFLICT, &json!("transfer_under_way"))
    );
    // nobody answers: the caller has not left
    let over = [
        ("CallSid", consult.id.as_str()),
        ("CallStatus", "no-answer"),
    ];
    ask(&call, consult.field("StatusCallback"), &over).await;
    assert_eq!(the_state(&world, &id).await, "live");
    assert!(done(&fake, &call.sid).is_empty());
    // somebody answers
    let (status, shown) = transfer(&world, &id, &wanted).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{shown}");
    let consult = fake.with(|book| book.calls.last().unwrap().clone());
    let fields = [
        ("CallSid", consult.id.as_str()),
        ("CallStatus", "in-progress"),
    ];
    let briefed = ask(&call, consult.field("Url"), &fields).await;
    assert!(
        briefed.contains("<Say>A boiler &lt;leaks&gt; in Oakland.</Say>"),
        "{briefed}"
    );
    let room = format!("startConferenceOnEnter=\"true\" endConferenceOnExit=\"true\">{id}-1<");
    assert!(briefed.contains(&room), "{briefed}");
    let moved = done(&fake, &call.sid).remove(0);
    leg.hang_up().await;
    let url = moved.strip_prefix("Url=").unwrap();
    let waits = ask(&call, url, &[("CallSid", &call.sid)]).await;
    let room = format!("startConferenceOnEnter=\"false\" endConferenceOnExit=\"false\">{id}-1<");
    assert!(waits.contains(&room), "{waits}");
    let ended = the_end(&world).await;
    assert_eq!(
        (&ended["outcome"], &ended["hangup_reason"]),
        (&json!("transferred"), &json!("transfer"))
    );
    // an address of ours without its proof connects nobody
    let forged = format!("/telephony/twilio/consult?tenant=default&call={id}&attempt=1&token=x");
    let forged = world.url(&forged);
    let text = ask(&call, &forged, &[("CallSid", "CA1")]).await;
    assert!(
        text.contains("<Hangup") && !text.contains("Conference"),
        "{text}"
    );
    fake.was_content();
}

#[tokio::test]
async fn what_we_end_is_ended_at_the_carrier_as_well() {
    let (world, fake) = world(|_| {}).await;
    let (call, mut leg, id) = on_the_line(&world, &fake, 1).await;
    let ended = world.post(&format!("/v1/calls/{id}/hangup"), &json!({}));
    assert_eq!(ended.send().await.unwrap().status(), StatusCode::OK);
    leg.until_closed().await;
    until("the carrier was told", async || {
        done(&fake, &call.sid) == ["Status=completed"]
    })
    .await;
    // who hangs up is not hung up on
    let (call, mut leg, _) = on_the_line(&world, &fake, 2).await;
    leg.hang_up().await;
    until("both are over", async || {
        world.app().phone.live.count() == 0
    })
    .await;
    assert!(done(&fake, &call.sid).is_empty());
}

/// Waits until the call's events have `what` in them.
pub(crate) async fn happens(world: &World, id: &str, what: &str) {
    until(what, async || {
        let seen = world.app().store.sql.call_events(("default", id), 0, 100);
        let seen = seen.await.unwrap();
        let mut contents = seen.iter().map(|one| String::from_utf8_lossy(&one.content));
        contents.any(|content| content.contains(what))
    })
    .await;
}

/// An agent that passes callers on.
async fn agent_with_targets(world: &World) {
    let agent = json!({
        "name": "ann", "greeting": "Hi, this is an AI assistant.",
        "tools": [{ "type": "transfer_call", "targets": { "sales": SALES } }],
    });
    let (made, shown) = answer(world.post("/v1/agents", &agent)).await;
    assert_eq!(made, StatusCode::CREATED, "{shown}");
}

#[tokio::test]
async fn the_agent_passes_callers_on_to_its_targets_alone_and_all_of_it_is_told() {
    let (world, fake) = world(|config| {
        config.telephony.numbers = vec![OwnNumber {
            number: LINE.to_owned(),
            agent: Some("ann".to_owned()),
            ..OwnNumber::default()
        }];
        config.scripted.transcripts = vec![
            "transfer_call {\"target\":\"+14155550177\"}".to_owned(),
            "transfer_call {\"target\":\"Sales\"}".to_owned(),
        ];
    })
    .await;
    agent_with_targets(&world).await;
    let receiver = Receiver::start().await;
    let kinds = json!(["call.transcript", "call.tool", "call.ended"]);
    endpoint(&world, json!({ "url": receiver.url, "events": kinds })).await;
    let (call, mut leg, id) = on_the_line(&world, &fake, 1).await;
    // a number of the caller's choice: nobody is called
    leg.say(&speech()).await;
    leg.pause(900).await;
    happens(&world, &id, "no such target; there are sales").await;
    assert!(done(&fake, &call.sid).is_empty());
    leg.settle().await;
    leg.say(&speech()).await;
    leg.pause(900).await;
    until("the carrier was asked", async || {
        !done(&fake, &call.sid).is_empty()
    })
    .await;
    leg.until_closed().await;
    let ended = the_end(&world).await;
    assert_eq!(
        (&ended["outcome"], &ended["hangup_by"]),
        (&json!("transferred"), &json!("agent")),
        "{ended}"
    );
    let url = done(&fake, &call.sid).remove(0);
    let text = ask(
        &call,
        url.strip_prefix("Url=").unwrap(),
        &[("CallSid", &call.sid)],
    )
    .await;
    assert!(text.contains(SALES), "{text}");
    // of turns as many are told as there were; the end comes in any order with them
    let mut told: Vec<Value> = Vec::new();
    let all = ["call.transcript", "call.tool", "call.ended"];
    while !all
        .iter()
        .all(|kind| told.iter().any(|one| one["type"] == *kind))
    {
        let arrived = receiver.until(told.len() + 1).await;
        told = arrived.iter().map(crate::webhooks::Arrived::json).collect();
    }
    let of = |kind: &str| told.iter().find(|one| one["type"] == kind).unwrap();
    assert_eq!(of("call.transcript")["data"]["role"], "agent");
    assert_eq!(of("call.tool")["data"]["name"], "transfer_call");
    assert!(of("call.tool")["data"]["error"].is_string());
    assert_eq!(of("call.ended")["data"]["outcome"], "transferred");
    let path = format!("/v1/calls/{id}/events");
    let events = world.get(&path).send().await.unwrap().text().await.unwrap();
    for kind in ["event: transcript", "event: tool", "event: transfer"] {
        assert!(events.contains(kind), "{kind} is missing in {events}");
    }
}

#[tokio::test]
async fn who_cannot_be_talked_to_is_told_so_in_the_carriers_voice() {
    let (world, fake) = world(|config| {
        config.telephony.numbers = vec![OwnNumber {
            number: LINE.to_owned(),
            agent: Some("nobody".to_owned()),
            ..OwnNumber::default()
        }];
    })
    .await;
    let call = Call::new(&world, Brand::Twilio, 1);
    let document = call.answer().await;
    let mut leg = Leg::start(&call, &document).await;
    assert_eq!(leg.until_closed().await, 1011);
    let action = document.action.clone().unwrap();
    let text = ask(&call, &action, &[("CallSid", &call.sid)]).await;
    assert!(
        text.contains("<Say>I am sorry, I cannot take your call right now."),
        "{text}"
    );
    assert!(text.contains("<Hangup"), "{text}");
    assert_eq!(the_end(&world).await["hangup_reason"], "upstream_error");
    // the document hangs up: the apology is not cut off
    fake.with(|book| assert!(book.asked.is_empty(), "{:?}", book.asked));
}
