//! The telephone beside its calls: a server that stops or dies, the bridge of LeadFlip, and whose numbers are whose.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::carrier::leg::Leg;
use crate::carrier::{Brand, Call, account, sign};
use crate::phone::{texts, the_end, with, world};
use crate::redis_servers::until;
use crate::webhooks::{Receiver, endpoint};
use crate::world::{KEY, World};

#[tokio::test]
async fn a_server_that_stops_says_good_bye_first() {
    let world = with(Brand::Twilio, |config| config.server.drain_s = 5).await;
    let url = world.url("/telephony/twilio/answer");
    let call = Call::new(&world, Brand::Twilio, 1);
    let mut leg = Leg::start(&call, &call.answer().await).await;
    leg.greeting().await;
    let app = world.server().app.clone();
    app.lifecycle.soft().cancel();
    // the old connection was closed by the stop
    let later = Call::new(&world, Brand::Twilio, 2);
    let late = later.post(&url, &later.fields("ringing")).await;
    assert!(late.text().await.unwrap().contains("Reject"));
    leg.until_closed().await;
    let sql = &app.store.sql;
    let all = store::CallFilter::default();
    let calls = sql.list_calls("default", &all, None, 9).await;
    let stored = calls.unwrap().remove(0);
    until("it is dealt with", async || {
        let found = sql.find_call("default", &stored.id).await.unwrap().unwrap();
        found.finalized_at.is_some() && found.hangup_reason.as_deref() == Some("shutdown")
    })
    .await;
    let turns = sql.call_turns("default", &stored.id).await.unwrap();
    let last = String::from_utf8(turns.last().unwrap().content.clone()).unwrap();
    assert!(last.contains("Good-bye"), "{last}");
}

#[tokio::test]
async fn a_bridge_of_leadflip_is_found_on_an_address_of_its_own() {
    let world = World::start(|config| {
        config.telephony.allow_unsigned = true;
        config.scripted.speech_ms_per_char = 10;
        config.listeners.push(gateway::config::Listener {
            profile: gateway::config::Profile::Telephony,
            address: "127.0.0.1:0".to_owned(),
        });
    })
    .await;
    let (_, address) = world.server().listeners[0];
    let health = reqwest::get(format!("http://{address}/health"))
        .await
        .unwrap();
    let health: Value = health.json().await.unwrap();
    assert_eq!(
        (&health["status"], &health["activeCalls"]),
        (&json!("healthy"), &json!(0))
    );
    assert!(
        health["uptime"].is_f64() && health.as_object().unwrap().len() == 3,
        "{health}"
    );
    let (mut socket, _) = tokio_tungstenite::connect_async(format!("ws://{address}/any/path"))
        .await
        .unwrap();
    use futures_util::{SinkExt as _, StreamExt as _};
    let start = json!({ "event": "start", "start": { "callSid": "TEST_CALL_SID_12345", "streamSid": "TEST_STREAM_SID_12345" } });
    let start = tokio_tungstenite::tungstenite::Message::text(start.to_string());
    socket.send(start).await.unwrap();
    let first = tokio::time::timeout(crate::world::PATIENCE, socket.next()).await;
    let first = first.unwrap().unwrap().unwrap().into_text().unwrap();
    let first: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(
        (&first["event"], &first["streamSid"]),
        (&json!("media"), &json!("TEST_STREAM_SID_12345"))
    );
    let form = [
        ("CallSid", "TEST_CALL_SID_12345"),
        ("CallStatus", "completed"),
        ("CallDuration", "3"),
    ];
    let client = reqwest::Client::new();
    let taken = client
        .post(format!("http://{address}/api/webhooks/twilio/status"))
        .form(&form);
    let taken: Value = taken.send().await.unwrap().json().await.unwrap();
    assert_eq!(taken, json!({ "success": true }));
    let unknown = [("CallSid", "CA-nobody"), ("CallStatus", "busy")];
    let taken = client
        .post(format!("http://{address}/api/webhooks/twilio/status"))
        .form(&unknown);
    assert_eq!(taken.send().await.unwrap().status(), StatusCode::OK);
    socket.close(None).await.unwrap();
    the_end(&world).await;
}

#[tokio::test]
async fn a_call_of_a_server_that_died_is_dealt_with_once() {
    let world = world(Brand::Twilio).await;
    let call = Call::new(&world, Brand::Twilio, 1);
    let document = call.answer().await;
    let id = document.parameter("callId").to_owned();
    let (server, folder) = world.into_server();
    let app = server.app.clone();
    // it was live, and nobody has looked after it for two minutes
    let sql = &app.store.sql;
    let mut stored = sql.find_call("default", &id).await.unwrap().unwrap();
    stored.state = "live".to_owned();
    stored.session = Some("sess_gone".to_owned());
    stored.seen_at = stored
        .seen_at
        .map(|seen| seen - chrono::TimeDelta::minutes(2));
    assert!(sql.update_call("default", &stored, &[]).await.unwrap());
    server.stop(std::time::Duration::from_secs(5)).await;
    let mut config = crate::world::config(&folder);
    account(&mut config, Brand::Twilio);
    let next = Box::pin(gateway::Server::start(config)).await.unwrap();
    let sql = &next.app.store.sql;
    until("another server deals with it", async || {
        let found = sql.find_call("default", &id).await.unwrap().unwrap();
        found.finalized_at.is_some()
    })
    .await;
    let found = sql.find_call("default", &id).await.unwrap().unwrap();
    assert_eq!(found.outcome.as_deref(), Some("incomplete"));
    assert_eq!(found.hangup_reason.as_deref(), Some("stream_lost"));
    let now = next.app.clock.utc();
    let again = sql
        .finalize_call(("default", &id, 1), None, &[], now)
        .await
        .unwrap();
    assert!(!again, "once");
    next.stop(std::time::Duration::from_secs(5)).await;
}

#[tokio::test]
async fn numbers_belong_to_one_tenant() {
    let world = world(Brand::Twilio).await;
    let agent = json!({ "name": "ann", "greeting": "Ann here, an AI assistant.", "turn_detection": "none" });
    let made = world.post("/v1/agents", &agent).send().await.unwrap();
    assert_eq!(
        made.status(),
        StatusCode::CREATED,
        "{}",
        made.text().await.unwrap()
    );
    let path = "/v1/phone_numbers/+14155550177";
    let settings = json!({ "agent": "ann", "provider": "twilio", "account": "twilio" });
    let put = world
        .request(reqwest::Method::PUT, path)
        .json(&settings)
        .send()
        .await
        .unwrap();
    assert_eq!(
        put.status(),
        StatusCode::OK,
        "{}",
        put.text().await.unwrap()
    );
    let list: Value = world
        .get("/v1/phone_numbers")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(list["data"][0]["number"], "+14155550177");
    for (path, settings, status) in [
        (
            "/v1/phone_numbers/911",
            settings.clone(),
            StatusCode::BAD_REQUEST,
        ),
        (
            "/v1/phone_numbers/+14155550100",
            settings.clone(),
            StatusCode::CONFLICT,
        ),
        (
            path,
            json!({ "agent": "nobody", "provider": "twilio" }),
            StatusCode::NOT_FOUND,
        ),
        (
            path,
            json!({ "agent": "ann", "provider": "bell" }),
            StatusCode::BAD_REQUEST,
        ),
        (
            path,
            json!({ "agent": "ann", "provider": "twilio", "account": "x" }),
            StatusCode::BAD_REQUEST,
        ),
    ] {
        let put = world
            .request(reqwest::Method::PUT, path)
            .json(&settings)
            .send()
            .await
            .unwrap();
        assert_eq!(put.status(), status, "{path} {settings}");
    }
    let default_account = json!({ "agent": "ann", "provider": "twilio" });
    let put = world
        .request(reqwest::Method::PUT, path)
        .json(&default_account);
    let put: Value = put.send().await.unwrap().json().await.unwrap();
    assert_eq!(put["account"], "twilio", "the only one: {put}");
    // a call to it is the agent's
    let mut call = Call::new(&world, Brand::Twilio, 1);
    call.to = "+14155550177".to_owned();
    let mut leg = Leg::start(&call, &call.answer().await).await;
    leg.greeting().await;
    leg.hang_up().await;
    let ended = the_end(&world).await;
    assert_eq!(ended["agent"], "ann");
    assert_eq!(texts(&ended)[0].1, "Ann here, an AI assistant.");
    let gone = world
        .request(reqwest::Method::DELETE, path)
        .send()
        .await
        .unwrap();
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    let gone = world
        .request(reqwest::Method::DELETE, path)
        .send()
        .await
        .unwrap();
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
    let anonymous = world
        .anonymous(reqwest::Method::GET, "/v1/phone_numbers")
        .send()
        .await
        .unwrap();
    assert_eq!(anonymous.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(KEY.len(), 22);
}

#[tokio::test]
async fn a_call_that_somebody_hangs_up_is_not_connected() {
    let world = world(Brand::Twilio).await;
    let call = Call::new(&world, Brand::Twilio, 1);
    let id = call.answer().await.parameter("callId").to_owned();
    let path = format!("/v1/calls/{id}/hangup");
    let ended = world.post(&path, &json!({})).send().await.unwrap();
    assert_eq!(ended.status(), StatusCode::OK);
    // the carrier asks once more
    let url = world.url("/telephony/twilio/answer");
    let again = call.post(&url, &call.fields("ringing")).await;
    let document = again.text().await.unwrap();
    assert!(
        document.contains("Hangup") && !document.contains("Stream"),
        "{document}"
    );
}

#[tokio::test]
async fn a_call_that_comes_in_is_told_of_from_the_beginning() {
    let world = with(Brand::Twilio, |config| {
        config.tools.allowed_hosts = vec!["127.0.0.1".to_owned()];
    })
    .await;
    let receiver = Receiver::start().await;
    let kinds = ["call.started", "call.ringing", "call.answered"];
    endpoint(&world, json!({ "url": receiver.url, "events": kinds })).await;
    let call = Call::new(&world, Brand::Twilio, 1);
    let mut leg = Leg::start(&call, &call.answer().await).await;
    leg.greeting().await;
    let told = receiver.until(3).await;
    let mut kinds: Vec<String> = told
        .iter()
        .map(|told| told.json()["type"].as_str().unwrap().to_owned())
        .collect();
    kinds.sort();
    assert_eq!(kinds, ["call.answered", "call.ringing", "call.started"]);
    leg.hang_up().await;
    the_end(&world).await;
}

#[tokio::test]
async fn an_account_tells_of_its_own_calls_alone() {
    let world = with(Brand::Twilio, |config| {
        let mut other = config.telephony.accounts["twilio"].clone();
        other.carrier = Some("twilio".to_owned());
        other.auth_token = Some(gateway::config::Secret::new("token-of-another"));
        config.telephony.accounts.insert("other".to_owned(), other);
    })
    .await;
    let call = Call::new(&world, Brand::Twilio, 1);
    let id = call.answer().await.parameter("callId").to_owned();
    let url = world.url("/telephony/twilio/status");
    let mut fields = call.fields("completed");
    fields.push(("SequenceNumber".to_owned(), "4".to_owned()));
    let foreign = reqwest::Client::new()
        .post(&url)
        .header(
            "x-twilio-signature",
            sign::form(&url, &fields, "token-of-another"),
        )
        .form(&fields);
    assert_eq!(foreign.send().await.unwrap().status(), StatusCode::OK);
    let sql = &world.app().store.sql;
    let stored = sql.find_call("default", &id).await.unwrap().unwrap();
    assert_eq!(
        (stored.state.as_str(), stored.account.as_str()),
        ("ringing", "twilio")
    );
    assert_eq!(
        call.report(None, "completed", 4).await.status(),
        StatusCode::OK
    );
    let stored = sql.find_call("default", &id).await.unwrap().unwrap();
    assert_eq!(stored.state, "ended");
}

#[tokio::test]
async fn a_password_of_a_carrier_names_nobodys_call() {
    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
    let world = with(Brand::Twilio, |config| {
        let exotel = gateway::config::CarrierAccount {
            stream_token: Some(gateway::config::Secret::new("name:password")),
            ..gateway::config::CarrierAccount::default()
        };
        config
            .telephony
            .accounts
            .insert("exotel".to_owned(), exotel);
    })
    .await;
    let call = Call::new(&world, Brand::Twilio, 1);
    let id = call.answer().await.parameter("callId").to_owned();
    let address = world.url("/telephony/exotel").replacen("http", "ws", 1);
    let mut request = address.into_client_request().unwrap();
    // name:password in base64
    let password = "Basic bmFtZTpwYXNzd29yZA==".parse().unwrap();
    request.headers_mut().insert("authorization", password);
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    let start = json!({
        "event": "start", "sequence_number": 1, "stream_sid": "s1",
        "start": {
            "stream_sid": "s1", "call_sid": "c1", "account_sid": "a1", "from": "+14155550123", "to": "+14155550100",
            "custom_parameters": { "callId": id, "tenant": "default" },
        },
    });
    socket.send(Message::text(start.to_string())).await.unwrap();
    let closed = loop {
        let next = tokio::time::timeout(crate::world::PATIENCE, socket.next()).await;
        if let Message::Close(frame) = next.unwrap().unwrap().unwrap() {
            break frame.unwrap();
        }
    };
    assert_eq!(
        (u16::from(closed.code), &*closed.reason.to_string()),
        (1008, "no_token")
    );
    let sql = &world.app().store.sql;
    let stored = sql.find_call("default", &id).await.unwrap().unwrap();
    assert_eq!(stored.state, "ringing");
}
