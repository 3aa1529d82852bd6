//! Functions that the server runs for a model: over HTTP, on an MCP server, by asking a stronger model, and the end.

use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::any;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway::Config;
use gateway::config::{NamedPipeline, Provider};
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{ServerCapabilities, ServerConfig};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, schemars, tool, tool_handler, tool_router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::caller::Caller;
use crate::world::{PATIENCE, World};

/// What a server was asked.
#[derive(Debug, Clone)]
struct Asked {
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

/// A server of functions: `/slow` answers when it is let go, `/broken` with 500, everything else with the weather.
struct Functions {
    address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    go: Arc<Notify>,
}

async fn functions() -> Functions {
    let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
    let go: Arc<Notify> = Arc::default();
    let (book, gate) = (Arc::clone(&asked), Arc::clone(&go));
    let answer = move |uri: Uri, headers: HeaderMap, body: Bytes| {
        let (book, gate) = (Arc::clone(&book), Arc::clone(&gate));
        async move {
            let path = uri.path().to_owned();
            book.lock().unwrap().push(Asked { uri, headers, body });
            match path.as_str() {
                "/slow" => gate.notified().await,
                "/broken" => {
                    return (
                        StatusCode::INTERNAL_SERVER_ERROR,
                        "the shelf fell down".to_owned(),
                    );
                }
                _ => {}
            }
            (StatusCode::OK, "24 degrees".to_owned())
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(any(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Functions { address, asked, go }
}

pub(crate) fn on_this_machine(config: &mut Config) {
    config.tools.allowed_hosts = vec!["127.0.0.1".to_owned()];
}

pub(crate) async fn agent(world: &World, tools: &Value) {
    let body = json!({ "name": "ann", "instructions": "Be brief.", "tools": tools, "turn_detection": "none" });
    let made = world.post("/v1/agents", &body).send().await.unwrap();
    let status = made.status();
    assert_eq!(
        status,
        StatusCode::CREATED,
        "{}",
        made.text().await.unwrap()
    );
}

async fn call(world: &World, modality: &str) -> Caller {
    let session = json!({ "type": "realtime", "output_modalities": [modality] });
    Caller::call(world, "/v1/realtime?model=agent:ann", &session).await
}

pub(crate) fn words(done: &Value) -> String {
    let content = &done["response"]["output"][0]["content"][0];
    let words = content["text"].as_str().or(content["transcript"].as_str());
    words.unwrap_or_default().to_owned()
}

fn weather(address: &str) -> Value {
    json!({ "type": "http", "name": "get_weather", "description": "Tells the weather.", "url": address,
        "secret": "whsec_c2VjcmV0", "headers": { "x-tenant": "acme" },
        "parameters": { "type": "object", "required": ["city"], "additionalProperties": false,
            "properties": { "city": { "type": "string" }, "days": { "type": "integer", "maximum": 7 } } } })
}

#[tokio::test]
async fn an_http_tool_is_asked_with_a_signed_request_and_its_result_is_said() {
    let server = functions().await;
    let world = World::start(on_this_machine).await;
    agent(
        &world,
        &json!([weather(&format!("{}/weather/{{city}}", server.address))]),
    )
    .await;
    let mut caller = call(&world, "text").await;
    caller
        .write("get_weather {\"city\":\"São Paulo\",\"days\":2}")
        .await;
    let done = caller.until("response.done").await;
    assert!(words(&done).contains("24 degrees"), "{done}");
    // one response, and nothing in it that the client would have to answer
    assert_eq!(done["response"]["output"].as_array().unwrap().len(), 1);
    assert!(
        !caller
            .kinds()
            .iter()
            .any(|kind| kind.contains("function_call") || kind.contains("mcp"))
    );

    let asked = server.asked.lock().unwrap()[0].clone();
    assert_eq!(asked.uri.path(), "/weather/S%C3%A3o%20Paulo");
    assert_eq!(asked.body, "{\"days\":2}");
    let header = |name: &str| asked.headers[name].to_str().unwrap().to_owned();
    assert_eq!(header("x-tenant"), "acme");
    assert_eq!(header("antiphon-session"), caller.session_id());
    let signed = format!("{}.{}.", header("webhook-id"), header("webhook-timestamp"));
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"secret");
    let mut content = signed.into_bytes();
    content.extend_from_slice(&asked.body);
    let expected = format!("v1,{}", STANDARD.encode(hmac::sign(&key, &content)));
    assert_eq!(header("webhook-signature"), expected);

    let path = format!("/v1/sessions/{}/usage", caller.session_id());
    let usage: Value = world.get(&path).send().await.unwrap().json().await.unwrap();
    let lines = usage["providers"].as_array().unwrap();
    let tool = lines.iter().find(|line| line["stage"] == "tool").unwrap();
    assert_eq!(
        (&tool["provider"], &tool["model"]),
        (&json!("http"), &json!("get_weather"))
    );
    assert_eq!(usage["turns"][0]["units"]["tool_calls"], 1);
    assert_eq!(usage["cost_micro_dollars"], 0);
    let metrics = world
        .get("/metrics")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(metrics.contains("antiphon_tool_seconds_count{kind=\"http\",outcome=\"returned\"} 1"));
}

#[tokio::test]
async fn what_does_not_fit_the_schema_is_not_sent_and_what_fails_is_told_to_the_model() {
    let server = functions().await;
    let world = World::start(on_this_machine).await;
    let mut broken = weather(&format!("{}/broken", server.address));
    broken["name"] = json!("look_up");
    let tools = json!([weather(&server.address), broken]);
    agent(&world, &tools).await;
    let mut caller = call(&world, "text").await;
    caller.write("get_weather {\"city\":7}").await;
    let done = caller.until("response.done").await;
    assert!(words(&done).contains("do not fit the schema"), "{done}");
    assert!(server.asked.lock().unwrap().is_empty());
    caller.write("look_up {\"city\":\"Rome\"}").await;
    let done = caller.until("response.done").await;
    assert!(
        words(&done).contains("HTTP 500: the shelf fell down"),
        "{done}"
    );
}

#[tokio::test]
async fn a_name_that_leads_inside_is_not_asked() {
    let server = functions().await;
    let world = World::start(|_| {}).await;
    let port = server.address.rsplit(':').next().unwrap();
    agent(
        &world,
        &json!([weather(&format!("http://localhost:{port}/"))]),
    )
    .await;
    let mut caller = call(&world, "text").await;
    caller.write("get_weather {\"city\":\"Rome\"}").await;
    let done = caller.until("response.done").await;
    assert!(words(&done).contains("not a public address"), "{done}");
    assert!(server.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_tool_that_takes_eight_seconds_is_bridged_with_phrases() {
    let server = functions().await;
    let world = World::start(on_this_machine).await;
    let mut slow = weather(&format!("{}/slow", server.address));
    slow["timeout_ms"] = json!(60_000);
    slow["filler"] = json!("Let me look out of the window.");
    agent(&world, &json!([slow])).await;
    let mut caller = call(&world, "audio").await;
    caller.write("get_weather {\"city\":\"Rome\"}").await;
    let mut said = String::new();
    // the second phrase is due seven seconds after the first
    let phrase = "Let me look out of the window.";
    while said.matches(phrase).count() < 2 {
        let delta = caller.until("response.output_audio_transcript.delta").await;
        said.push_str(delta["delta"].as_str().unwrap());
    }
    assert!(said.starts_with(phrase), "{said}");
    server.go.notify_one();
    let done = caller.until("response.done").await;
    assert!(words(&done).contains("24 degrees"), "{done}");
    assert_eq!(done["response"]["status"], "completed");
    let created = caller
        .events
        .iter()
        .filter(|event| event["type"] == "response.created");
    assert_eq!(created.count(), 1);
}

/// A language model behind HTTP that gives advice, or never answers.
async fn adviser(answers: bool) -> String {
    let answer = move |body: String| async move {
        if !answers {
            std::future::pending::<()>().await;
        }
        let asked: Value = serde_json::from_str(&body).unwrap();
        let question = asked["messages"][1]["content"].as_str().unwrap().to_owned();
        assert!(question.contains("caller: reason"), "{question}");
        assert!(
            question.contains("<question>Give a discount?</question>"),
            "{question}"
        );
        let chunk = |delta: Value, finish: Value| {
            let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
            format!(
                "data: {}\n\n",
                json!({ "id": "1", "object": "chat.completion.chunk", "choices": [choice] })
            )
        };
        let words = chunk(json!({ "content": "Offer ten per cent." }), Value::Null);
        let end = chunk(json!({}), json!("stop"));
        (
            [("content-type", "text/event-stream")],
            format!("{words}{end}data: [DONE]\n\n"),
        )
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/v1", listener.local_addr().unwrap());
    let router = Router::new().fallback(any(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[tokio::test]
async fn a_stronger_model_gives_advice_within_its_budget_or_the_script_goes_on() {
    for (answers, expected) in [
        (true, "Offer ten per cent."),
        (false, "Continue with the standard script."),
    ] {
        let address = adviser(answers).await;
        let world = World::start(|config| {
            let provider = Provider {
                kind: Some("openai".to_owned()),
                base_url: Some(address),
                ..Provider::default()
            };
            config.providers.insert("wise".to_owned(), provider);
            let pipeline = NamedPipeline {
                stt: vec!["scripted".to_owned()],
                llm: vec!["wise/owl".to_owned()],
                tts: vec!["scripted".to_owned()],
                ..NamedPipeline::default()
            };
            config.pipelines.insert("deep".to_owned(), pipeline);
        })
        .await;
        agent(&world, &json!([{ "type": "reason", "pipeline": "deep" }])).await;
        let mut caller = call(&world, "audio").await;
        caller
            .write("reason {\"question\":\"Give a discount?\",\"current_situation\":\"Haggling.\"}")
            .await;
        let done = caller.until("response.done").await;
        let said = words(&done);
        assert!(said.contains(expected), "{done}");
        // two seconds of silence are explained
        assert_eq!(said.starts_with("One moment, please."), !answers, "{said}");
    }
}

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
struct Sum {
    a: i32,
    b: i32,
}

/// A real server of the Model Context Protocol.
#[derive(Debug, Clone)]
struct Calculator {
    tool_router: rmcp::handler::server::router::tool::ToolRouter<Self>,
}

#[tool_router]
#[expect(clippy::unused_self, reason = "the protocol's tools are methods")]
impl Calculator {
    fn new() -> Self {
        Self {
            tool_router: Self::tool_router(),
        }
    }

    #[tool(description = "Adds two numbers")]
    fn add_numbers(&self, Parameters(Sum { a, b }): Parameters<Sum>) -> String {
        format!("the sum is {}", a + b)
    }

    #[tool(description = "Not for agents")]
    fn erase_everything(&self) -> String {
        panic!("nobody may call this")
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for Calculator {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

/// Starts it behind a bearer token; its address.
async fn calculator() -> String {
    let service: StreamableHttpService<Calculator, LocalSessionManager> =
        StreamableHttpService::new(
            || Ok(Calculator::new()),
            Arc::default(),
            StreamableHttpServerConfig::default(),
        );
    let guard = |headers: HeaderMap,
                 request: axum::extract::Request,
                 next: axum::middleware::Next| async move {
        if headers
            .get("authorization")
            .is_none_or(|token| token != "Bearer let-me-in")
        {
            return Err(StatusCode::UNAUTHORIZED);
        }
        Ok(next.run(request).await)
    };
    let router = Router::new()
        .nest_service("/mcp", service)
        .layer(axum::middleware::from_fn(guard));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/mcp", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Waits until so many MCP servers have told what they have, which takes a moment after a session has begun.
pub(crate) async fn listed(world: &World, servers: usize) {
    let line = format!("antiphon_mcp_listings_total{{outcome=\"listed\"}} {servers}");
    let known = async {
        loop {
            let metrics = world.get("/metrics").send().await.unwrap();
            if metrics.text().await.unwrap().contains(&line) {
                return;
            }
        }
    };
    let waited = tokio::time::timeout(PATIENCE, known).await;
    assert!(waited.is_ok(), "no server was listed");
}

#[tokio::test]
async fn tools_of_an_mcp_server_are_run_for_an_agent() {
    let address = calculator().await;
    let world = World::start(on_this_machine).await;
    let server = json!({ "type": "mcp", "server_label": "calculator", "server_url": address,
        "authorization": "Bearer let-me-in", "allowed_tools": ["add_numbers"] });
    agent(&world, &json!([server])).await;
    let mut caller = call(&world, "text").await;
    listed(&world, 1).await;
    caller.write("add_numbers {\"a\":19,\"b\":23}").await;
    let done = caller.until("response.done").await;
    assert!(words(&done).contains("the sum is 42"), "{done}");
    caller.write("add_numbers {\"a\":\"many\",\"b\":23}").await;
    let done = caller.until("response.done").await;
    assert!(words(&done).contains("do not fit the schema"), "{done}");
    // it is not offered, so the model cannot call it
    caller.write("erase_everything {}").await;
    let done = caller.until("response.done").await;
    assert_eq!(done["response"]["output"][0]["type"], "message");
    // in text as well
    let body = json!({ "model": "agent:ann", "messages": [{ "role": "user", "content": "add_numbers {\"a\":1,\"b\":2}" }] });
    let answer = world
        .post("/v1/chat/completions", &body)
        .send()
        .await
        .unwrap();
    let answer: Value = answer.json().await.unwrap();
    let said = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(said.contains("the sum is 3"), "{answer}");
}

#[tokio::test]
async fn a_client_names_an_mcp_server_in_its_session() {
    let address = calculator().await;
    let world = World::start(on_this_machine).await;
    let server = |change: &Value| {
        let mut server = json!({ "type": "mcp", "server_label": "calculator", "server_url": address,
            "authorization": "let-me-in", "require_approval": "never",
            "allowed_tools": { "tool_names": ["add_numbers"] } });
        server
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        json!({ "type": "realtime", "output_modalities": ["text"], "tools": [server] })
    };
    let mut caller = Caller::call(&world, "/v1/realtime?model=antiphon", &server(&json!({}))).await;
    listed(&world, 1).await;
    caller.write("add_numbers {\"a\":19,\"b\":23}").await;
    let done = caller.until("response.done").await;
    assert!(words(&done).contains("the sum is 42"), "{done}");
    for (change, code) in [
        (
            json!({ "require_approval": "always" }),
            "mcp_server_unusable",
        ),
        (
            json!({ "server_url": "http://10.0.0.1/mcp" }),
            "mcp_server_unusable",
        ),
        (
            json!({ "authorization": "wrong" }),
            "mcp_server_unavailable",
        ),
    ] {
        let mut caller =
            Caller::call(&world, "/v1/realtime?model=antiphon", &server(&change)).await;
        let told = caller.until("error").await;
        assert_eq!(told["error"]["code"], code, "{told}");
        assert!(
            !told.to_string().contains("let-me-in") && !told.to_string().contains("Bearer"),
            "{told}"
        );
        // the session goes on
        caller.write("hello").await;
        caller.until("response.done").await;
    }
}

#[tokio::test]
async fn an_agent_ends_the_call_when_everything_was_said() {
    let world = World::start(|_| {}).await;
    agent(&world, &json!([{ "type": "end_call" }])).await;
    let mut caller = call(&world, "audio").await;
    caller.write("end_call {\"farewell\":\"Bye.\"}").await;
    let done = caller.until("response.done").await;
    assert_eq!(words(&done), "Bye.");
    assert_eq!(caller.until_closed().await, 1000);
}

#[tokio::test]
async fn what_needs_the_telephone_line_is_left_to_whoever_holds_it() {
    let world = World::start(|_| {}).await;
    agent(
        &world,
        &json!([{ "type": "transfer_call" }, { "type": "send_dtmf" }]),
    )
    .await;
    let mut caller = call(&world, "text").await;
    let names: Vec<&str> = caller.events[0]["session"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["transfer_call", "send_dtmf"]);
    caller
        .write("transfer_call {\"target\":\"+4930123456\"}")
        .await;
    let done = caller.until("response.done").await;
    assert_eq!(done["response"]["output"][0]["type"], "function_call");
    assert_eq!(done["response"]["output"][0]["name"], "transfer_call");
}
