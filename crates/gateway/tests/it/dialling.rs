//! Calls that are placed: asked for over REST (`/v1/calls`, `/v1/calls/{id}`), dialled once an attempt, tried again after busy
//! and silence, and ended once. A carrier's REST interface is played.

mod callbacks;
mod faults;
mod hanging_up;
mod late;
mod machines;
mod numbers;
mod out;
mod summed;

use std::time::Duration;

use axum::http::StatusCode;
use gateway::Config;
use gateway::calls::{CallKey, progress};
use gateway::config::{CarrierAccount, Secret};
use reqwest::Method;
use serde_json::{Value, json};
use store::Told;
use url::Url;
use wire::telephony::Dialect;
use wire::telephony::callback::{Callback, Fields};

use crate::carriers::{ACCOUNT, Fake, Placed, SECRET};
use crate::webhooks::{Receiver, answer, endpoint};
use crate::world::World;

pub(crate) const TO: &str = "+14155550100";
pub(crate) const FROM: &str = "+14155550199";
/// The address that carriers reach the server at.
pub(crate) const EXTERNAL: &str = "https://voice.example";

/// A server with one account at Twilio, which is played, and nobody's rules in the way but those that `change` sets.
pub(crate) async fn world(change: impl FnOnce(&mut Config)) -> (World, Fake) {
    let fake = Fake::start(Dialect::Twilio, chrono::Utc::now()).await;
    fake.with(|book| book.per_second = 100);
    let world = World::start(|config| {
        let account = CarrierAccount {
            account_id: Some(ACCOUNT.to_owned()),
            auth_token: Some(Secret::new(SECRET)),
            base_url: Some(fake.base.clone()),
            calls_per_second: 100,
            number: Some(FROM.to_owned()),
            ..CarrierAccount::default()
        };
        config
            .telephony
            .accounts
            .insert("twilio".to_owned(), account);
        config.telephony.external_url = Some(EXTERNAL.to_owned());
        config.tools.allowed_hosts = vec!["127.0.0.1".to_owned()];
        config.dialling.require_consent = false;
        config.dialling.opens = "00:00".to_owned();
        config.dialling.closes = "24:00".to_owned();
        config.dialling.summary_pipeline = Some("none".to_owned());
        change(config);
    })
    .await;
    // the carrier's clock goes a little ahead of ours
    let ahead = chrono::TimeDelta::seconds(60);
    fake.with(|book| book.now = world.app().clock.utc() + ahead);
    (world, fake)
}

/// A body of `POST /v1/calls`.
pub(crate) fn wanted() -> Value {
    json!({ "to": TO, "objective": "Confirm the visit of Tuesday at nine", "time_zone": "America/Chicago" })
}

/// Has somebody called, and gives the call's id.
pub(crate) async fn place(world: &World, body: &Value) -> String {
    let (status, call) = answer(world.post("/v1/calls", body)).await;
    assert_eq!(status, StatusCode::CREATED, "{call}");
    call["id"].as_str().unwrap().to_owned()
}

/// Waits until the carrier was asked for so many calls, and gives the last one.
pub(crate) async fn placed(world: &World, fake: &Fake, count: usize) -> Placed {
    until(world, || {
        fake.with(|book| book.calls.get(count - 1).cloned())
    })
    .await
}

/// Lets a little time pass until there is something.
pub(crate) async fn until<T>(world: &World, mut look: impl FnMut() -> Option<T>) -> T {
    let mut turns = tokio::time::interval(Duration::from_millis(20));
    for _ in 0..1000 {
        turns.tick().await;
        if let Some(found) = look() {
            return found;
        }
        world.app().dialler.wake();
    }
    panic!("it has not come in time");
}

/// The call as it is stored.
pub(crate) async fn stored(world: &World, id: &str) -> store::StoredCall {
    let found = world.app().store.sql.find_call("default", id).await;
    found.unwrap().unwrap()
}

/// Waits until the call is as `fits` wants it.
pub(crate) async fn becomes(
    world: &World,
    id: &str,
    fits: impl Fn(&store::StoredCall) -> bool,
) -> store::StoredCall {
    let mut turns = tokio::time::interval(Duration::from_millis(20));
    for _ in 0..1000 {
        turns.tick().await;
        let call = stored(world, id).await;
        if fits(&call) {
            return call;
        }
        world.app().dialler.wake();
        world.app().outbox.wake();
    }
    panic!("{:?}", stored(world, id).await);
}

/// Reports a status of `call` in Twilio's words, as whoever has believed the report hands it on.
pub(crate) async fn report(world: &World, call: &Placed, fields: &[(&str, &str)]) -> Option<Told> {
    let address = Url::parse(call.field("StatusCallback")).unwrap();
    let named = |name: &str| {
        let mut pairs = address.query_pairs();
        pairs.find(|(key, _)| key == name).unwrap().1.into_owned()
    };
    let key = CallKey {
        tenant: named("tenant"),
        id: named("call"),
        attempt: named("attempt").parse().unwrap(),
    };
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("CallSid", &call.id).extend_pairs(fields);
    let fields = Fields::form(form.finish().as_bytes()).unwrap();
    let callback = Callback::read(Dialect::Twilio, &fields);
    progress::told(world.app(), &key, &callback).await.unwrap()
}

/// A report of a status with its number.
pub(crate) async fn status(world: &World, call: &Placed, word: &str, number: u32) {
    let number = number.to_string();
    let fields = [("CallStatus", word), ("SequenceNumber", number.as_str())];
    report(world, call, &fields).await;
}

#[tokio::test]
async fn a_call_is_dialled_once_under_its_name_and_told_of() {
    let (world, fake) = world(|_| {}).await;
    let receiver = Receiver::start().await;
    endpoint(&world, json!({ "url": receiver.url })).await;
    let asked = || {
        let request = world.post("/v1/calls", &wanted());
        request.header("idempotency-key", "order 7")
    };
    let (status, first) = answer(asked()).await;
    assert_eq!(
        (status, &first["state"]),
        (StatusCode::CREATED, &json!("queued")),
        "{first}"
    );
    let (status, second) = answer(asked()).await;
    assert_eq!((status, &second["id"]), (StatusCode::OK, &first["id"]));
    let call = placed(&world, &fake, 1).await;
    assert_eq!((call.to.as_str(), call.from.as_str()), (TO, FROM));
    assert_eq!(call.field("Timeout"), "30");
    assert_eq!(call.field("MachineDetection"), "Enable");
    for address in ["Url", "StatusCallback", "AsyncAmdStatusCallback"] {
        assert!(
            call.field(address).starts_with(EXTERNAL),
            "{}",
            call.field(address)
        );
    }
    let told = receiver.until(1).await.remove(0).json();
    assert_eq!(told["type"], "call.started");
    assert_eq!(told["data"]["carrier_call_id"], call.id.as_str());
    // what was taken in is there, whatever the rules say by now
    answer(world.post("/v1/do_not_call", &json!({ "number": TO }))).await;
    let (status, again) = answer(asked()).await;
    assert_eq!((status, &again["id"]), (StatusCode::OK, &first["id"]));
    // a plus that nobody has escaped is a blank
    let (_, list) = answer(world.get(&format!("/v1/calls?to={TO}"))).await;
    assert_eq!(list["data"][0]["id"], first["id"], "{list}");
    for query in [
        "to=nobody",
        "from_time=99999999999999",
        "until_time=9223372036854775807",
    ] {
        let (status, error) = answer(world.get(&format!("/v1/calls?{query}"))).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
        assert_eq!(error["error"]["param"], query.split('=').next().unwrap());
    }
    // the same name for something else is a mistake
    let mut other = wanted();
    other["objective"] = json!("Ask how the visit was");
    let request = world
        .post("/v1/calls", &other)
        .header("idempotency-key", "order 7");
    let (status, error) = answer(request).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(error["error"]["code"], "idempotency_key_reused");
    fake.only_call();
    fake.was_content();
}

#[tokio::test]
async fn nobody_answering_is_tried_again_later_and_given_up_after_three_attempts() {
    let (world, fake) = world(|_| {}).await;
    let receiver = Receiver::start().await;
    let only = json!({ "url": receiver.url, "events": ["call.ended"] });
    endpoint(&world, only).await;
    let id = place(&world, &wanted()).await;
    for attempt in 1..=3 {
        let call = placed(&world, &fake, attempt).await;
        status(&world, &call, "ringing", 1).await;
        let word = if attempt == 2 { "busy" } else { "no-answer" };
        // carriers tell things twice
        status(&world, &call, word, 2).await;
        status(&world, &call, word, 2).await;
        if attempt < 3 {
            let waits = becomes(&world, &id, |call| call.state == "scheduled").await;
            assert_eq!(waits.attempt_number, i64::try_from(attempt).unwrap() + 1);
            let pause = waits.due_at.unwrap() - world.app().clock.utc();
            // two hours, and up to a tenth more
            assert!((119..=133).contains(&pause.num_minutes()), "{pause}");
            assert_eq!(fake.with(|book| book.calls.len()), attempt);
            world.app().clock.advance(Duration::from_secs(8000));
        }
    }
    let over = becomes(&world, &id, |call| call.finalized_at.is_some()).await;
    assert_eq!(
        (over.state.as_str(), over.outcome.as_deref()),
        ("ended", Some("no_answer"))
    );
    let ended = receiver.until(1).await;
    assert_eq!(ended[0].json()["data"]["status"], "no_answer");
    assert_eq!(fake.with(|book| book.calls.len()), 3);
    let attempts = world
        .app()
        .store
        .sql
        .call_attempts("default", &id)
        .await
        .unwrap();
    let outcomes: Vec<_> = attempts
        .iter()
        .map(|attempt| attempt.outcome.as_deref())
        .collect();
    assert_eq!(
        outcomes,
        [Some("no_answer"), Some("busy"), Some("no_answer")]
    );
}

#[tokio::test]
async fn news_out_of_order_change_nothing() {
    let (world, fake) = world(|_| {}).await;
    let id = place(&world, &wanted()).await;
    let call = placed(&world, &fake, 1).await;
    status(&world, &call, "in-progress", 3).await;
    assert_eq!(
        becomes(&world, &id, |call| call.state == "live")
            .await
            .attempt_number,
        1
    );
    status(&world, &call, "ringing", 2).await;
    assert_eq!(stored(&world, &id).await.state, "live");
}

#[tokio::test]
async fn who_must_not_be_called_is_refused_at_the_door_and_again_before_the_dial() {
    let (world, fake) = world(|config| config.dialling.require_consent = true).await;
    let (status, error) = answer(world.post("/v1/calls", &wanted())).await;
    assert_eq!(
        (status, &error["error"]["code"]),
        (StatusCode::FORBIDDEN, &json!("blocked_no_consent"))
    );
    let consent = json!({ "number": TO, "kind": "ai_call", "source": "web_form" });
    answer(world.post("/v1/consents", &consent)).await;
    let soon = world.app().clock.unix_s() + 3600;
    let mut later = wanted();
    later["scheduled_at"] = json!(soon);
    let id = place(&world, &later).await;
    assert_eq!(stored(&world, &id).await.state, "scheduled");
    // added between the request and the dial
    answer(world.post("/v1/do_not_call", &json!({ "number": TO }))).await;
    world.app().clock.advance(Duration::from_secs(3700));
    let blocked = becomes(&world, &id, |call| call.state == "blocked").await;
    assert_eq!(blocked.blocked_by.as_deref(), Some("blocked_dnc"));
    let (status, error) = answer(world.post("/v1/calls", &wanted())).await;
    assert_eq!(
        (status, &error["error"]["code"]),
        (StatusCode::FORBIDDEN, &json!("blocked_dnc"))
    );
    fake.with(|book| assert!(book.calls.is_empty()));
}

#[tokio::test]
async fn outside_the_window_a_call_waits_and_one_that_is_called_off_is_not_placed() {
    use chrono::Timelike as _;
    let now = chrono::Utc::now();
    // a window in UTC that opens in two to three hours
    let opens = (now.hour() + 3) % 23;
    let (world, fake) = world(|config| {
        config.dialling.opens = format!("{opens:02}:00");
        config.dialling.closes = format!("{:02}:00", opens + 1);
    })
    .await;
    let mut body = wanted();
    body["time_zone"] = json!("UTC");
    let id = place(&world, &body).await;
    let waits = stored(&world, &id).await;
    assert_eq!(
        (waits.state.as_str(), waits.due_at.unwrap().hour()),
        ("scheduled", opens)
    );
    let path = format!("/v1/calls/{id}");
    let (status, off) = answer(world.request(Method::DELETE, &path)).await;
    assert_eq!(
        (status, &off["state"]),
        (StatusCode::OK, &json!("cancelled"))
    );
    let (status, error) = answer(world.request(Method::DELETE, &path)).await;
    assert_eq!(
        (status, &error["error"]["code"]),
        (StatusCode::CONFLICT, &json!("call_placed"))
    );
    world.app().clock.advance(Duration::from_hours(24));
    becomes(&world, &id, |call| call.finalized_at.is_some()).await;
    fake.with(|book| assert!(book.calls.is_empty()));
    let (status, _) = answer(world.request(Method::DELETE, "/v1/calls/call_none")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_mistake_names_its_field_and_stores_nothing() {
    let (world, fake) = world(|_| {}).await;
    for (field, value) in [
        ("to", json!("4155550100")),
        ("to", json!("+44 (0)20 7946 0958")),
        ("objective", json!("short")),
        ("objective", json!("x".repeat(2001))),
        ("time_zone", json!("Mars/Olympus")),
        ("max_duration_s", json!(29)),
        // the operator's longest is 300
        ("max_duration_s", json!(301)),
        ("scheduled_at", json!(99_999_999_999_i64)),
        ("from", json!("+14155550777")),
        (
            "voicemail",
            json!({ "type": "leave_message", "message": " " }),
        ),
        ("lead_id", json!("x".repeat(129))),
    ] {
        let mut body = wanted();
        body[field] = value;
        let (status, error) = answer(world.post("/v1/calls", &body)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{field}: {error}");
        assert_eq!(error["error"]["param"], field, "{error}");
        assert!(!error.to_string().contains("5550777"), "{error}");
    }
    let mut abroad = wanted();
    abroad["to"] = json!("+4930123456");
    let (status, error) = answer(world.post("/v1/calls", &abroad)).await;
    assert_eq!(
        (status, &error["error"]["code"]),
        (StatusCode::FORBIDDEN, &json!("blocked_number"))
    );
    fake.with(|book| assert!(book.calls.is_empty()));
}
