//! Being told what happened: endpoints over REST, signed messages that arrive at least once under one id, secrets that are
//! replaced without a gap. `/v1/webhook_endpoints`, `/v1/webhook_endpoints/{id}`,
//! `/v1/webhook_endpoints/{id}/rotate_secret`, `/v1/webhook_deliveries`, `/v1/webhook_deliveries/{id}/retry`.

use std::collections::VecDeque;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::any;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway::outbox::message_effect;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::world::{PATIENCE, World};

/// A message as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Arrived {
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Arrived {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap().to_str().unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A server that is told things, and answers the next ones as it is told to.
pub(crate) struct Receiver {
    pub(crate) url: String,
    arrived: Arc<Mutex<Vec<Arrived>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
    count: watch::Receiver<usize>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let arrived: Arc<Mutex<Vec<Arrived>>> = Arc::default();
        let answers: Arc<Mutex<VecDeque<u16>>> = Arc::default();
        let (counted, count) = watch::channel(0);
        let (book, next) = (Arc::clone(&arrived), Arc::clone(&answers));
        let take = move |headers: HeaderMap, body: Bytes| {
            let (book, next, counted) = (Arc::clone(&book), Arc::clone(&next), counted.clone());
            async move {
                let body = String::from_utf8(body.to_vec()).unwrap();
                book.lock().unwrap().push(Arrived { headers, body });
                counted.send_modify(|count| *count += 1);
                let answer = next.lock().unwrap().pop_front().unwrap_or(204);
                StatusCode::from_u16(answer).unwrap()
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks", listener.local_addr().unwrap());
        let app = Router::new().route("/hooks", any(take));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self {
            url,
            arrived,
            answers,
            count,
        }
    }

    /// Answers the next message so.
    fn answer(&self, status: u16) {
        self.answers.lock().unwrap().push_back(status);
    }

    /// Waits until so many messages have arrived, and gives them.
    pub(crate) async fn until(&self, count: usize) -> Vec<Arrived> {
        let mut counted = self.count.clone();
        let enough = counted.wait_for(|arrived| *arrived >= count);
        let in_time = tokio::time::timeout(PATIENCE, enough).await;
        let arrived = self.arrived.lock().unwrap().clone();
        assert!(in_time.is_ok(), "{} of {count} arrived", arrived.len());
        arrived
    }
}

pub(crate) async fn answer(request: reqwest::RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    let status = StatusCode::from_u16(response.status().as_u16()).unwrap();
    (status, response.json().await.unwrap())
}

async fn world() -> World {
    World::start(|config| config.tools.allowed_hosts = vec!["127.0.0.1".to_owned()]).await
}

/// Makes an endpoint and gives its id and secret.
pub(crate) async fn endpoint(world: &World, body: Value) -> (String, String) {
    let (status, made) = answer(world.post("/v1/webhook_endpoints", &body)).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let text = |key: &str| made[key].as_str().unwrap().to_owned();
    (text("id"), text("secret"))
}

/// Puts a message in, as whoever has something to tell does.
async fn tell(world: &World, id: &str, kind: &str) {
    let app = world.app();
    let now = app.clock.utc();
    let body = json!({ "id": id, "type": kind }).to_string();
    let effect = message_effect(app, "default", (id, kind), body, now).await;
    let effects = [effect.unwrap()];
    let put = app.store.sql.put_effects("default", &effects, now);
    put.await.unwrap();
    app.outbox.wake();
}

/// What openssl says the signature of a message is: an implementation that is not ours.
pub(crate) fn signed_by_openssl(secret: &str, arrived: &Arrived) -> String {
    let key = STANDARD
        .decode(secret.strip_prefix("whsec_").unwrap())
        .unwrap();
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut openssl = Command::new("openssl")
        .args(["dgst", "-sha256", "-mac", "HMAC", "-binary", "-macopt"])
        .arg(format!("hexkey:{hex}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (id, at) = (
        arrived.header("webhook-id"),
        arrived.header("webhook-timestamp"),
    );
    let signed = format!("{id}.{at}.{}", arrived.body);
    openssl
        .stdin
        .take()
        .unwrap()
        .write_all(signed.as_bytes())
        .unwrap();
    let out = openssl.wait_with_output().unwrap();
    assert!(out.status.success());
    format!("v1,{}", STANDARD.encode(out.stdout))
}

#[tokio::test]
async fn a_message_arrives_signed_and_under_its_id_until_it_is_taken() {
    let world = world().await;
    let receiver = Receiver::start().await;
    let (id, secret) = endpoint(&world, json!({ "url": receiver.url })).await;
    receiver.answer(500);
    tell(&world, "evt_1", "call.ended").await;
    let first = receiver.until(1).await.remove(0);
    assert_eq!(first.header("webhook-id"), "evt_1");
    assert_eq!(
        first.header("webhook-signature"),
        signed_by_openssl(&secret, &first)
    );
    assert_eq!(first.json()["type"], "call.ended");
    // it was not taken: it comes again, the same, signed anew
    let second = world.until_retried(&receiver, 2).await;
    assert_eq!(second.header("webhook-id"), "evt_1");
    assert_eq!(second.body, first.body);
    assert_eq!(
        second.header("webhook-signature"),
        signed_by_openssl(&secret, &second)
    );
    // told again under its id, it is not sent again; something else is
    tell(&world, "evt_1", "call.ended").await;
    tell(&world, "evt_2", "call.started").await;
    let third = receiver.until(3).await.remove(2);
    assert_eq!(third.header("webhook-id"), "evt_2");
    let (_, listed) = answer(world.get("/v1/webhook_endpoints")).await;
    assert_eq!(listed["data"][0]["id"], id.as_str());
    assert!(!listed.to_string().contains("whsec"), "{listed}");
}

impl World {
    /// Lets time pass until what failed is due again, and gives the message that came then.
    async fn until_retried(&self, receiver: &Receiver, count: usize) -> Arrived {
        let mut turns = tokio::time::interval(Duration::from_millis(50));
        loop {
            turns.tick().await;
            if *receiver.count.borrow() >= count {
                return receiver.until(count).await.remove(count - 1);
            }
            self.app().clock.advance(Duration::from_secs(6));
            self.app().outbox.wake();
        }
    }
}

#[tokio::test]
async fn an_endpoint_gets_what_it_asked_for_and_another_does_not_wait_for_it() {
    let world = world().await;
    let (all, ended) = (Receiver::start().await, Receiver::start().await);
    endpoint(&world, json!({ "url": all.url })).await;
    let only = json!({ "url": ended.url, "events": ["call.ended"], "description": "billing" });
    let (id, _) = endpoint(&world, only).await;
    // nobody listens at this one
    endpoint(&world, json!({ "url": "http://127.0.0.1:9/" })).await;
    tell(&world, "evt_1", "call.started").await;
    tell(&world, "evt_2", "call.ended").await;
    assert_eq!(all.until(2).await.len(), 2);
    assert_eq!(ended.until(1).await[0].header("webhook-id"), "evt_2");
    let path = format!("/v1/webhook_endpoints/{id}");
    let (status, off) = answer(world.post(&path, &json!({ "enabled": false }))).await;
    assert_eq!((status, &off["enabled"]), (StatusCode::OK, &json!(false)));
    tell(&world, "evt_3", "call.ended").await;
    all.until(3).await;
    assert_eq!(ended.until(1).await.len(), 1);
    let (_, gone) = answer(world.request(Method::DELETE, &path)).await;
    assert_eq!(gone["deleted"], true);
    let (status, error) = answer(world.get(&path)).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(error["error"]["code"], "webhook_endpoint_not_found");
}

#[tokio::test]
async fn a_secret_is_replaced_without_a_gap() {
    let world = world().await;
    let receiver = Receiver::start().await;
    let (id, old) = endpoint(&world, json!({ "url": receiver.url })).await;
    let path = format!("/v1/webhook_endpoints/{id}/rotate_secret");
    let (status, rotated) = answer(world.post(&path, &json!({ "grace": 60 }))).await;
    assert_eq!(status, StatusCode::OK, "{rotated}");
    let new = rotated["secret"].as_str().unwrap();
    assert_ne!(new, old);
    tell(&world, "evt_1", "call.ended").await;
    let both = receiver.until(1).await.remove(0);
    let signatures = format!(
        "{} {}",
        signed_by_openssl(new, &both),
        signed_by_openssl(&old, &both)
    );
    assert_eq!(both.header("webhook-signature"), signatures);
    world.app().clock.advance(Duration::from_secs(61));
    tell(&world, "evt_2", "call.ended").await;
    let one = receiver.until(2).await.remove(1);
    assert_eq!(
        one.header("webhook-signature"),
        signed_by_openssl(new, &one)
    );
    let (status, _) = answer(world.post(&path, &json!({ "grace": 99_999_999 }))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn who_says_farewell_is_told_nothing_more_and_what_was_given_up_can_be_sent_again() {
    let world = world().await;
    let receiver = Receiver::start().await;
    let (id, _) = endpoint(&world, json!({ "url": receiver.url })).await;
    receiver.answer(410);
    tell(&world, "evt_1", "call.ended").await;
    receiver.until(1).await;
    let path = format!("/v1/webhook_endpoints/{id}");
    let mut turns = tokio::time::interval(Duration::from_millis(20));
    let dead = loop {
        turns.tick().await;
        let (_, dead) = answer(world.get("/v1/webhook_deliveries")).await;
        if dead["data"][0].is_object() {
            break dead;
        }
    };
    let delivery = dead["data"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(delivery, format!("evt_1.{id}"));
    assert!(dead["data"][0]["problem"].as_str().unwrap().contains("410"));
    let (_, shown) = answer(world.get(&path)).await;
    assert_eq!(shown["enabled"], false);
    assert_eq!(shown["problem"], "it answered 410 Gone");
    let on = answer(world.post(&path, &json!({ "enabled": true }))).await;
    assert_eq!(on.1["problem"], Value::Null);
    let retry = format!("/v1/webhook_deliveries/{delivery}/retry");
    let (status, _) = answer(world.post(&retry, &json!({}))).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(receiver.until(2).await[1].header("webhook-id"), "evt_1");
    let (status, error) = answer(world.post("/v1/webhook_deliveries/none/retry", &json!({}))).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(error["error"]["code"], "webhook_delivery_not_found");
}

#[tokio::test]
async fn an_address_inside_a_wrong_kind_and_too_many_are_refused() {
    let world = World::start(|_| {}).await;
    for (body, param) in [
        (json!({ "url": "http://127.0.0.1:9/" }), "url"),
        (json!({ "url": "http://169.254.169.254/latest" }), "url"),
        (json!({ "url": "ftp://example.com/" }), "url"),
        (json!({ "url": "https://ann:pw@example.com/" }), "url"),
        (json!({ "url": "nonsense" }), "url"),
        (
            json!({ "url": "https://example.com/", "events": ["call.sold"] }),
            "events",
        ),
        (
            json!({ "url": "https://example.com/", "description": "x".repeat(201) }),
            "description",
        ),
    ] {
        let (status, error) = answer(world.post("/v1/webhook_endpoints", &body)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(error["error"]["param"], param, "{error}");
    }
    for _ in 0..16 {
        endpoint(&world, json!({ "url": "https://example.com/" })).await;
    }
    let body = json!({ "url": "https://example.com/" });
    let (status, error) = answer(world.post("/v1/webhook_endpoints", &body)).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(error["error"]["code"], "too_many_webhook_endpoints");
    let unknown = world.anonymous(Method::GET, "/v1/webhook_endpoints");
    assert_eq!(answer(unknown).await.0, StatusCode::UNAUTHORIZED);
}
