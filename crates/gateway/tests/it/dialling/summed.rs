//! What a call came to: a language model puts it down, whatever it wraps it in, and the tables of LeadFlip follow.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri};
use axum::routing::post;
use serde_json::{Value, json};
use store::{CallTurn, Speaker};
use tokio::net::TcpListener;

use super::{TO, becomes, place, placed, status, stored, wanted, world};
use crate::carriers::Fake;
use crate::webhooks::{Receiver, answer, endpoint};
use crate::world::World;

/// Answers of a model, one after the other; the last one again and again.
type Answers = Arc<Mutex<Vec<String>>>;

/// A chat-completions server that answers what it was told to, and keeps what it was asked.
async fn model(answers: &[&str]) -> (String, Arc<Mutex<Vec<Value>>>) {
    let left: Answers = Arc::new(Mutex::new(
        answers.iter().map(|one| (*one).to_owned()).collect(),
    ));
    let asked: Arc<Mutex<Vec<Value>>> = Arc::default();
    let state = (left, Arc::clone(&asked));
    let router = Router::new()
        .route("/v1/chat/completions", post(complete))
        .with_state(state);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (base, asked)
}

async fn complete(
    State((left, asked)): State<(Answers, Arc<Mutex<Vec<Value>>>)>,
    body: Bytes,
) -> Response<Body> {
    asked
        .lock()
        .unwrap()
        .push(serde_json::from_slice(&body).unwrap());
    let mut left = left.lock().unwrap();
    let answer = if left.len() > 1 {
        left.remove(0)
    } else {
        left[0].clone()
    };
    if answer == "500" {
        return Response::builder().status(500).body(Body::empty()).unwrap();
    }
    let chunk = |delta: Value, finish: Option<&str>| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
        let chunk = json!({ "id": "c", "object": "chat.completion.chunk", "choices": [choice] });
        format!("data: {chunk}\n\n")
    };
    let text = format!(
        "{}{}data: [DONE]\n\n",
        chunk(json!({ "content": answer }), None),
        chunk(json!({}), Some("stop"))
    );
    let response = Response::builder().header("content-type", "text/event-stream");
    response.body(Body::from(text)).unwrap()
}

/// A server whose calls are summed up by a model with these answers.
async fn listening(
    answers: &[&str],
    tables: Option<&str>,
) -> (World, Fake, Arc<Mutex<Vec<Value>>>) {
    let (base, asked) = model(answers).await;
    let (world, fake) = world(|config| {
        config.dialling.summary_pipeline = Some("summing".to_owned());
        let vendor = gateway::config::Provider {
            kind: Some("openai".to_owned()),
            base_url: Some(base),
            model: Some("m".to_owned()),
            ..gateway::config::Provider::default()
        };
        config.providers.insert("mind".to_owned(), vendor);
        let pipeline = gateway::config::NamedPipeline {
            stt: vec!["scripted".to_owned()],
            llm: vec!["mind".to_owned()],
            tts: vec!["scripted".to_owned()],
            ..gateway::config::NamedPipeline::default()
        };
        config.pipelines.insert("summing".to_owned(), pipeline);
        config.leadflip.tables_url = tables.map(str::to_owned);
        config.leadflip.tables_key = Some(gateway::config::Secret::new("service-key"));
    })
    .await;
    (world, fake, asked)
}

/// Somebody answers, says something, and hangs up after a minute.
async fn talk(world: &World, fake: &Fake, body: &Value) -> String {
    let id = place(world, body).await;
    let call = placed(world, fake, 1).await;
    status(world, &call, "in-progress", 2).await;
    for (seq, speaker, text) in [
        (
            1,
            Speaker::Agent,
            "Hello, this is an AI. Does nine on Tuesday suit you?",
        ),
        (2, Speaker::Caller, "Yes. Please never call me again."),
    ] {
        let turn = CallTurn {
            seq,
            speaker,
            item: "item_1",
            started_ms: seq * 1000,
            ended_ms: seq * 1000 + 500,
            interrupted: false,
            source: "stt",
            text,
        };
        world
            .app()
            .store
            .sql
            .add_call_turn("default", &id, &turn)
            .await
            .unwrap();
    }
    world.app().clock.advance(Duration::from_mins(1));
    status(world, &call, "completed", 3).await;
    id
}

const SUMMARY: &str = r#"{"status":"goal_achieved","summary":"Tuesday at nine is confirmed.","consumer_interest_level":"high",
    "sentiment":"neutral","appointment_time":"2026-12-01T09:00:00","quote_amount":99.5,"do_not_call":true,"answers":[]}"#;

#[tokio::test]
async fn a_summary_in_a_fence_is_kept_acted_on_and_told_once() {
    let fenced = format!("```json\n{SUMMARY}\n```");
    let (world, fake, asked) = listening(&["I am not sure.", &fenced], None).await;
    let receiver = Receiver::start().await;
    endpoint(
        &world,
        json!({ "url": receiver.url, "events": ["call.summary"] }),
    )
    .await;
    let id = talk(&world, &fake, &wanted()).await;
    let done = becomes(&world, &id, |call| call.summary_status.is_some()).await;
    assert_eq!(done.summary_status.as_deref(), Some("done"));
    assert_eq!(done.outcome.as_deref(), Some("goal_achieved"));
    assert_eq!(
        (done.interest.as_deref(), done.quote_micros),
        (Some("high"), Some(99_500_000))
    );
    // nine o'clock in Chicago
    assert_eq!(
        done.appointment_at.unwrap().to_rfc3339(),
        "2026-12-01T15:00:00+00:00"
    );
    let told = receiver.until(1).await.remove(0).json();
    assert_eq!(
        told["data"]["summary"]["appointment_time"],
        "2026-12-01T09:00:00-06:00"
    );
    assert!(
        told["data"]["transcript"]
            .as_str()
            .unwrap()
            .contains("User: Yes.")
    );
    // whoever asked not to be called is not called any more
    let (refused, error) = answer(world.post("/v1/calls", &wanted())).await;
    assert_eq!(
        (refused, &error["error"]["code"]),
        (StatusCode::FORBIDDEN, &json!("blocked_dnc"))
    );
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 2, "the model was asked again");
    assert!(asked[1].to_string().contains("not a JSON object"));
    assert!(
        !asked[0].to_string().contains(TO),
        "a model needs no number"
    );
}

#[tokio::test]
async fn a_model_that_fails_leaves_the_call_unsummed_and_the_lead_where_it_is() {
    let tables = Tables::start("pending").await;
    let (world, fake, _) = listening(&["500"], Some(&tables.url)).await;
    let mut body = wanted();
    body["lead_id"] = json!("lead-7");
    let id = talk(&world, &fake, &body).await;
    becomes(&world, &id, |call| call.finalized_at.is_some()).await;
    for _ in 0..40 {
        world.app().clock.advance(Duration::from_mins(1));
        world.app().outbox.wake();
        tokio::time::timeout(Duration::from_millis(100), std::future::pending::<()>())
            .await
            .unwrap_err();
        if stored(&world, &id).await.summary_status.is_some() {
            break;
        }
    }
    let failed = becomes(&world, &id, |call| call.summary_status.is_some()).await;
    assert_eq!(
        (failed.summary_status.as_deref(), failed.outcome.as_deref()),
        (Some("failed"), None)
    );
    tables.asked(0).await;
    assert_eq!(tables.lead(), "pending");
}

/// Two tables behind `PostgREST`: known columns only, filters, the service key, and the representation when it is asked for.
struct Tables {
    url: String,
    rows: Arc<Mutex<Rows>>,
}

#[derive(Default)]
struct Rows {
    lead: String,
    call: Value,
    asked: Vec<String>,
}

/// The columns of LeadFlip's `calls`, those included that its code writes.
const COLUMNS: [&str; 18] = [
    "status",
    "twilio_call_sid",
    "twilio_status",
    "attempt_number",
    "started_at",
    "ended_at",
    "duration_seconds",
    "transcript",
    "summary",
    "outcome",
    "error_message",
    "consumer_interest_level",
    "appointment_time",
    "quote_amount",
    "next_action",
    "recording_url",
    "actual_cost_usd",
    "updated_at",
];

impl Tables {
    async fn start(lead: &str) -> Self {
        let rows = Arc::new(Mutex::new(Rows {
            lead: lead.to_owned(),
            ..Rows::default()
        }));
        let router = Router::new().fallback(serve).with_state(Arc::clone(&rows));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, rows }
    }

    fn lead(&self) -> String {
        self.rows.lock().unwrap().lead.clone()
    }

    /// Waits until it was asked so often.
    async fn asked(&self, count: usize) {
        let mut turns = tokio::time::interval(Duration::from_millis(20));
        for _ in 0..500 {
            turns.tick().await;
            if self.rows.lock().unwrap().asked.len() >= count {
                return;
            }
        }
        panic!("{:?}", self.rows.lock().unwrap().asked);
    }
}

async fn serve(
    State(rows): State<Arc<Mutex<Rows>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let mut rows = rows.lock().unwrap();
    rows.asked.push(format!("{method} {uri}"));
    let say = |status: u16, body: Value| {
        Response::builder()
            .status(status)
            .body(Body::from(body.to_string()))
            .unwrap()
    };
    if headers.get("apikey").is_none_or(|key| key != "service-key")
        || headers.get("authorization").is_none()
    {
        return say(401, json!({ "code": "PGRST301", "message": "JWT invalid" }));
    }
    let query = uri.query().unwrap_or_default().to_owned();
    let row: Value = serde_json::from_slice(&body).unwrap_or_default();
    match (method.as_str(), uri.path()) {
        ("GET", "/rest/v1/leads") if query.contains("id=eq.lead-7") => {
            say(200, json!([{ "status": rows.lead }]))
        }
        ("PATCH", "/rest/v1/leads") if query.contains("id=eq.lead-7") => {
            let guarded = query.contains(&format!("status=eq.{}", rows.lead));
            if !guarded {
                return say(200, json!([]));
            }
            rows.lead = row["status"].as_str().unwrap().to_owned();
            say(200, json!([row]))
        }
        ("PATCH", "/rest/v1/calls") if query.contains("id=eq.row-9") => {
            let unknown = row
                .as_object()
                .unwrap()
                .keys()
                .find(|key| !COLUMNS.contains(&key.as_str()));
            if let Some(column) = unknown {
                return say(
                    400,
                    json!({ "code": "PGRST204", "message": format!("no column {column}") }),
                );
            }
            rows.call = row.clone();
            say(200, json!([row]))
        }
        _ => say(200, json!([])),
    }
}

#[tokio::test]
async fn the_tables_of_leadflip_follow_a_call() {
    let tables = Tables::start("pending").await;
    let (world, fake, _) = listening(&[SUMMARY], Some(&tables.url)).await;
    let mut body = wanted();
    body["lead_id"] = json!("lead-7");
    body["metadata"] = json!({ "leadflip_call_id": "row-9" });
    let id = talk(&world, &fake, &body).await;
    becomes(&world, &id, |call| call.summary_status.is_some()).await;
    tables.asked(3).await;
    assert_eq!(tables.lead(), "appointment_scheduled");
    let row = tables.rows.lock().unwrap().call.clone();
    assert_eq!(
        (&row["status"], &row["outcome"]),
        (&json!("goal_achieved"), &json!("goal_achieved"))
    );
    assert_eq!(
        row["transcript"],
        "AI: Hello, this is an AI. Does nine on Tuesday suit you?\nUser: Yes. Please never call me again."
    );
    assert_eq!(
        (&row["consumer_interest_level"], &row["quote_amount"]),
        (&json!("high"), &json!(99.5))
    );
    assert!(
        (59..=62).contains(&row["duration_seconds"].as_i64().unwrap()),
        "{row}"
    );
    assert_eq!(row["twilio_status"], "completed");
}
