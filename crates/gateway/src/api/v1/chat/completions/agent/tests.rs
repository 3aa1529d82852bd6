use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::http::HeaderMap;
use axum::routing::any;
use engine::meter::PriceTable;
use providers::guarded::Watch;
use providers::tools::{HttpTool, HttpToolConfig, McpConfig, Method, Outbound};
use providers::{Catalog, CatalogConfig, Pipeline, ProviderError};
use tokio::sync::{Notify, Semaphore};
use wire::realtime::SessionUpdate;

use super::*;
use crate::clock::Clock;
use crate::lifecycle::Drained;
use crate::metering::{Meter, Opening};
use crate::observe::Metrics;

/// How long anything here may take before it counts as broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// Answers with what was written down for it, round by round, and keeps what it was asked.
struct Rounds {
    answers: Mutex<VecDeque<Vec<LlmEvent>>>,
    asked: Mutex<Vec<LlmRequest>>,
}

#[async_trait]
impl Llm for Rounds {
    fn name(&self) -> &'static str {
        "rounds"
    }

    async fn ask(&self, request: LlmRequest) -> Result<LlmStream, ProviderError> {
        self.asked.lock().unwrap().push(request);
        let answer = self.answers.lock().unwrap().pop_front().unwrap();
        let (outbox, events) = mpsc::channel(64);
        for event in answer {
            outbox.try_send(event).unwrap();
        }
        outbox
            .try_send(LlmEvent::Done {
                finish: Finish::Stop,
                usage: LlmUsage::default(),
            })
            .unwrap();
        Ok(LlmStream { events })
    }
}

fn says(text: &str) -> LlmEvent {
    LlmEvent::Text(text.to_owned())
}

/// A call with the id that some vendors give every first call.
fn calls(name: &str) -> LlmEvent {
    LlmEvent::ToolCall {
        call_id: "call_0".to_owned(),
        name: name.to_owned(),
    }
}

fn function(name: &str) -> Tool {
    Tool::Function {
        name: name.to_owned(),
        description: None,
        parameters: None,
    }
}

/// `look`, behind HTTP, and the ids of the calls it has got.
async fn look() -> (Runnable, Arc<Mutex<Vec<String>>>) {
    let ids: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&ids);
    let answer = move |headers: HeaderMap| async move {
        let id = headers["webhook-id"].to_str().unwrap().to_owned();
        seen.lock().unwrap().push(id);
        "24 degrees"
    };
    (
        runnable(serve(Router::new().fallback(any(answer))).await),
        ids,
    )
}

/// A server of somebody else's that says when it is asked and answers when it is let go.
async fn slow() -> (String, Arc<Notify>, Arc<Notify>) {
    let (asked, go): (Arc<Notify>, Arc<Notify>) = Default::default();
    let (begun, gate) = (Arc::clone(&asked), Arc::clone(&go));
    let answer = move || async move {
        begun.notify_one();
        gate.notified().await;
        "24 degrees"
    };
    (serve(Router::new().fallback(any(answer))).await, asked, go)
}

/// The address under which `router` is served.
async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn outbound() -> Outbound {
    Outbound::new(&["127.0.0.1".to_owned()]).unwrap()
}

fn runnable(url: String) -> Runnable {
    let config = HttpToolConfig {
        url,
        method: Method::Post,
        headers: Vec::new(),
        secret: None,
        limit: PATIENCE,
        parameters: None,
    };
    Runnable::Http(Arc::new(HttpTool::new(config, outbound()).unwrap()))
}

fn scripted() -> Pipeline {
    let config = CatalogConfig {
        default: "scripted".to_owned(),
        ..CatalogConfig::default()
    };
    let catalog = Catalog::open(config, Watch::default()).unwrap();
    catalog.default_pipeline()
}

fn agent(look: Runnable, limit: Option<u32>) -> Built {
    let tool = ServerTool {
        name: "look".to_owned(),
        description: None,
        parameters: None,
        runner: ToolRunner::Detached,
        filler: None,
        filler_after_ms: 0,
    };
    Built {
        settings: SessionUpdate {
            max_output_tokens: limit.map(MaxTokens::Limit),
            ..SessionUpdate::default()
        },
        language: None,
        greeting: None,
        survey: None,
        pipeline: scripted(),
        max_duration_s: None,
        tools: vec![tool],
        runnables: HashMap::from([("look".to_owned(), look)]),
        servers: Vec::new(),
    }
}

/// The only place there is.
fn place(places: &Arc<Semaphore>) -> Arc<OwnedSemaphorePermit> {
    Arc::new(Arc::clone(places).try_acquire_owned().unwrap())
}

fn answering(answers: Vec<Vec<LlmEvent>>) -> (Answering, mpsc::Receiver<LlmEvent>, Arc<Rounds>) {
    let llm = Arc::new(Rounds {
        answers: Mutex::new(answers.into()),
        asked: Mutex::default(),
    });
    let metrics = Metrics::default();
    let (outbox, events) = mpsc::channel(256);
    let answering = Answering {
        llm: Arc::clone(&llm) as Arc<dyn Llm>,
        running: Running {
            meter: Meter::new(PriceTable::default(), metrics.clone()),
            metrics,
            clock: Clock::default(),
        },
        lifecycle: Lifecycle::default(),
        place: place(&Arc::new(Semaphore::new(1))),
        id: "call_x".to_owned(),
        runnables: HashMap::new(),
        usage: LlmUsage::default(),
        run: 0,
        last: None,
        seam: false,
        outbox,
    };
    (answering, events, llm)
}

fn opening() -> Opening {
    Opening {
        tenant: "acme".to_owned(),
        project: "default".to_owned(),
        model: String::new(),
        pipeline: String::new(),
        started_at: 0,
    }
}

/// What the client gets, with calls as `name()`.
async fn told(answering: Answering, mut events: mpsc::Receiver<LlmEvent>) -> Vec<String> {
    drop(answering);
    let mut told = Vec::new();
    while let Some(event) = events.recv().await {
        match event {
            LlmEvent::Text(text) => told.push(text),
            LlmEvent::ToolCall { name, .. } => told.push(format!("{name}()")),
            LlmEvent::Done { .. } => told.push("done".to_owned()),
            LlmEvent::ToolArguments(_) | LlmEvent::Failed(_) => {}
        }
    }
    told
}

#[tokio::test]
async fn calls_of_both_sides_at_once_are_run_here_first_and_asked_of_the_client_afterwards() {
    let (look, ids) = look().await;
    let rounds = vec![
        vec![says("Let me see."), calls("show"), calls("look")],
        vec![calls("look")],
        vec![says("It is warm."), calls("show")],
    ];
    let (mut answering, events, llm) = answering(rounds);
    let meter = answering.running.meter.clone();
    let _account = meter.open("req_1", opening());
    let question = LlmRequest {
        session: "req_1".to_owned(),
        tools: vec![function("show")],
        ..LlmRequest::default()
    };
    let question = answering.prepare(agent(look, None), question).await;
    answering.converse(question).await;
    assert_eq!(
        told(answering, events).await,
        ["Let me see.", " It is warm.", "show()", "done"]
    );
    let asked = llm.asked.lock().unwrap();
    let outputs: Vec<&str> = asked[1]
        .messages
        .iter()
        .filter_map(|message| match message {
            LlmMessage::ToolOutput { output, .. } => Some(output.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(outputs, [NOT_YET, "24 degrees"]);
    // the vendor gave both the same id; whoever must not do a thing twice sees two
    assert_eq!(*ids.lock().unwrap(), ["call_x-1", "call_x-2"]);
    assert_eq!(meter.usage("acme", "req_1").unwrap().units.tool_calls, 2);
}

#[tokio::test]
async fn one_answer_runs_so_many_functions_and_no_more() {
    let (look, ids) = look().await;
    let many = || (0..20).map(|_| calls("look")).collect::<Vec<_>>();
    let (mut answering, events, llm) =
        answering(vec![many(), vec![says("Enough."), calls("look")]]);
    let question = LlmRequest::default();
    let question = answering.prepare(agent(look, None), question).await;
    answering.converse(question).await;
    assert_eq!(told(answering, events).await, ["Enough.", "done"]);
    assert_eq!(ids.lock().unwrap().len(), MAX_CALLS);
    let asked = llm.asked.lock().unwrap();
    assert_eq!(asked[1].tool_choice, ToolChoice::None);
}

#[tokio::test]
async fn the_clients_own_function_and_the_agents_limit_count() {
    let (look, ids) = look().await;
    let (mut answering, events, _) = answering(vec![vec![calls("look")]]);
    let question = LlmRequest {
        tools: vec![function("look")],
        max_tokens: Some(900),
        ..LlmRequest::default()
    };
    let question = answering.prepare(agent(look, Some(200)), question).await;
    assert_eq!(question.max_tokens, Some(200));
    assert_eq!(question.tools.len(), 1);
    answering.converse(question).await;
    assert_eq!(told(answering, events).await, ["look()", "done"]);
    assert!(ids.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_changes_the_world_is_run_to_its_end_and_counted_when_the_client_has_hung_up() {
    let (url, asked, go) = slow().await;
    let (mut answering, events, _) = answering(vec![vec![calls("look")]]);
    let places = Arc::new(Semaphore::new(1));
    answering.place = place(&places);
    let (meter, lifecycle) = (answering.running.meter.clone(), answering.lifecycle.clone());
    let _account = meter.open("req_1", opening());
    let question = LlmRequest {
        session: "req_1".to_owned(),
        ..LlmRequest::default()
    };
    let built = agent(runnable(url), None);
    let answer = tokio::spawn(answering.answer(built, question));
    asked.notified().await;
    drop(events);
    answer.await.unwrap();
    // whoever hangs up at once has not made room for more of the same
    assert_eq!(places.available_permits(), 0);
    go.notify_one();
    assert_eq!(lifecycle.drain(PATIENCE).await, Drained::Clean);
    assert_eq!(meter.usage("acme", "req_1").unwrap().units.tool_calls, 1);
    assert_eq!(places.available_permits(), 1);
}

#[tokio::test]
async fn nobody_waits_for_a_list_of_tools_when_the_client_has_hung_up() {
    let (url, asked, _go) = slow().await;
    let (answering, events, llm) = answering(vec![vec![says("Hello.")]]);
    let (look, _) = look().await;
    let config = McpConfig {
        label: "silent".to_owned(),
        url,
        headers: Vec::new(),
        allowed: None,
        limit: PATIENCE,
        filler: None,
        filler_after_ms: 0,
    };
    let server = McpServer::new(config, outbound()).unwrap();
    let built = Built {
        servers: vec![Arc::new(server)],
        ..agent(look, None)
    };
    let metrics = answering.running.metrics.clone();
    let answer = tokio::spawn(answering.answer(built, LlmRequest::default()));
    asked.notified().await;
    drop(events);
    tokio::time::timeout(PATIENCE, answer)
        .await
        .unwrap()
        .unwrap();
    // it was left, which is not the same as not answering
    assert!(!metrics.text().contains("antiphon_mcp_listings_total{"));
    assert!(llm.asked.lock().unwrap().is_empty());
}
