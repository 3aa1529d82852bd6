//! `POST /v1/chat/completions`.
//! Called by SDKs whose base address is this server.
//! Never buffers a streamed answer: each event leaves as it comes.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use engine::ask::{Finish, LlmUsage};
use futures_util::stream;
use providers::ports::{LlmEvent, LlmStream};
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use wire::ids::Ids;
use wire::rest::chat::{
    ChatAnswer, ChatChoice, ChatChunk, ChatCompletion, ChatDelta, ChatFinish, ChatFunction,
    ChatRequest, ChatToolCall, ChatUsage, Delivery, decode,
};
use wire::rest::error::ErrorEnvelope;

use super::agent;
use super::question::question;
use crate::App;
use crate::agents;
use crate::api::v1::asking::{account, admit, as_event_stream, billed, catalog, failed, sse};
use crate::auth::Caller;
use crate::http::{ApiError, Json};
use crate::metering::Billed;
use crate::quota;
use crate::session::broke_off;

/// The end mark of a stream of events.
const DONE: &[u8] = b"data: [DONE]\n\n";

/// Answer a conversation.
#[utoipa::path(
    post,
    path = "/v1/chat/completions",
    tag = "chat",
    request_body = ChatRequest,
    responses(
        (status = 200, description = "The answer; with `stream: true`, events that end with `data: [DONE]`",
            content((ChatCompletion = "application/json"), (ChatChunk = "text/event-stream"))),
        (status = 400, description = "A field is invalid, or asks for what is not done here; `param` names it"),
        (status = 401, description = "No usable key"),
        (status = 404, description = "No model has this name"),
        (status = 429, description = "A limit is used up; `code` names it and `Retry-After` says when to come back"),
        (status = 500, description = "What is stored of the agent cannot be read; the message says what to do"),
        (status = 503, description = "The models are loading or busy, or the provider does not answer"),
    )
)]
pub(in crate::api::v1) async fn create(
    Caller(principal): Caller,
    State(app): State<Arc<App>>,
    Json(body): Json<Value>,
) -> Result<Response, ApiError> {
    let wanted = decode(&body)?;
    let place = Arc::new(admit(&app)?);
    let catalog = catalog(&app).await?;
    let agent = match agents::named(&wanted.model) {
        None => None,
        Some(name) => {
            let agent = app.agents.find(principal.place(), name).await?;
            Some(app.agents.build(&agent, &catalog)?)
        }
    };
    let pipeline = match &agent {
        Some(agent) => agent.pipeline.clone(),
        None => catalog
            .chat(&wanted.model)
            .ok_or_else(|| ApiError::model_not_found(&wanted.model, &catalog))?,
    };
    let usable = pipeline.llm.usable();
    usable.map_err(|error| failed(&app, error))?;
    let head = Head {
        id: Ids::seeded(app.seed()).next("chatcmpl"),
        created: app.clock.unix_s(),
        model: wanted.model.clone(),
    };
    let delivery = wanted.delivery;
    let question = question(wanted, account(&app));
    let asked = quota::question(&app, &principal, &question).await?;
    let billed = billed(&app, &principal, &question.session, &head.model, &pipeline);
    let mut answer = if let Some(agent) = agent {
        agent::answer(&app, agent, question, Arc::clone(&place))
    } else {
        let asked = pipeline.llm.ask(question).await;
        asked.map_err(|error| failed(&app, error))?
    };
    // a failure before the first word is an honest status; later ones break the stream
    let first = match answer.events.recv().await {
        Some(LlmEvent::Failed(error)) => return Err(failed(&app, error)),
        None => return Err(failed(&app, broke_off(pipeline.llm.name()))),
        Some(event) => event,
    };
    let name = pipeline.llm.name().to_owned();
    let speaking = Speaking {
        app,
        head,
        name,
        answer,
        next: Some(first),
        calls: 0,
        delivery,
        over: false,
        _counted: (asked, billed),
        _place: place,
    };
    match delivery {
        Delivery::Whole => speaking
            .whole()
            .await
            .map(|whole| Json(whole).into_response()),
        Delivery::Events | Delivery::CountedEvents => Ok(as_events(speaking)),
    }
}

/// What all events of an answer have in common.
struct Head {
    id: String,
    created: i64,
    model: String,
}

/// An answer on its way to the client.
struct Speaking {
    app: Arc<App>,
    head: Head,
    /// Of the provider.
    name: String,
    answer: LlmStream,
    /// What came already.
    next: Option<LlmEvent>,
    /// Calls that have begun.
    calls: u32,
    delivery: Delivery,
    over: bool,
    /// Behind the answer: what that has used is told when it is dropped.
    _counted: (quota::Asked, Billed),
    _place: Arc<OwnedSemaphorePermit>,
}

impl Speaking {
    async fn event(&mut self) -> LlmEvent {
        let event = match self.next.take() {
            Some(event) => Some(event),
            None => self.answer.events.recv().await,
        };
        event.unwrap_or_else(|| LlmEvent::Failed(broke_off(&self.name)))
    }

    async fn whole(mut self) -> Result<ChatCompletion, ApiError> {
        let mut text = String::new();
        let mut calls: Vec<ChatToolCall> = Vec::new();
        let (finish, usage) = loop {
            match self.event().await {
                LlmEvent::Text(more) => text.push_str(&more),
                LlmEvent::ToolCall { call_id, name } => calls.push(ChatToolCall {
                    index: None,
                    id: Some(call_id),
                    kind: Some("function"),
                    function: ChatFunction {
                        name: Some(name),
                        arguments: String::new(),
                    },
                }),
                LlmEvent::ToolArguments(more) => {
                    if let Some(call) = calls.last_mut() {
                        call.function.arguments.push_str(&more);
                    }
                }
                LlmEvent::Done { finish, usage } => break (finish, usage),
                LlmEvent::Failed(error) => return Err(failed(&self.app, error)),
            }
        };
        let finish_reason = finish_reason(finish, !calls.is_empty());
        let content = (!text.is_empty() || calls.is_empty()).then_some(text);
        Ok(ChatCompletion {
            id: self.head.id,
            object: "chat.completion",
            created: self.head.created,
            model: self.head.model,
            choices: vec![ChatChoice {
                index: 0,
                message: ChatAnswer {
                    role: Some("assistant"),
                    content,
                    tool_calls: calls,
                },
                finish_reason,
            }],
            usage: counts(usage),
        })
    }

    /// The next bytes of the stream.
    async fn bytes(&mut self) -> Option<Bytes> {
        if self.over {
            return None;
        }
        Some(match self.event().await {
            LlmEvent::Text(text) => self.delta(ChatAnswer {
                content: Some(text),
                ..ChatAnswer::default()
            }),
            LlmEvent::ToolCall { call_id, name } => {
                self.calls += 1;
                self.call(Some((call_id, name)), String::new())
            }
            LlmEvent::ToolArguments(arguments) => self.call(None, arguments),
            LlmEvent::Done { finish, usage } => {
                self.over = true;
                self.end(finish, usage)
            }
            LlmEvent::Failed(error) => {
                self.over = true;
                sse(&ErrorEnvelope::from(failed(&self.app, error)))
            }
        })
    }

    /// A piece of the call that began last, with its id and name where it begins.
    fn call(&self, begins: Option<(String, String)>, arguments: String) -> Bytes {
        let kind = begins.is_some().then_some("function");
        let (id, name) = begins.unzip();
        self.delta(ChatAnswer {
            tool_calls: vec![ChatToolCall {
                index: Some(self.calls.saturating_sub(1)),
                id,
                kind,
                function: ChatFunction { name, arguments },
            }],
            ..ChatAnswer::default()
        })
    }

    fn end(&self, finish: Finish, usage: LlmUsage) -> Bytes {
        let mut bytes = self
            .chunk(vec![ChatDelta {
                index: 0,
                delta: ChatAnswer::default(),
                finish_reason: Some(finish_reason(finish, self.calls > 0)),
            }])
            .to_vec();
        if self.delivery == Delivery::CountedEvents {
            bytes.extend(sse(&ChatChunk {
                usage: Some(counts(usage)),
                ..self.empty(Vec::new())
            }));
        }
        bytes.extend(DONE);
        bytes.into()
    }

    fn delta(&self, delta: ChatAnswer) -> Bytes {
        self.chunk(vec![ChatDelta {
            index: 0,
            delta,
            finish_reason: None,
        }])
    }

    fn chunk(&self, choices: Vec<ChatDelta>) -> Bytes {
        sse(&self.empty(choices))
    }

    fn empty(&self, choices: Vec<ChatDelta>) -> ChatChunk {
        ChatChunk {
            id: self.head.id.clone(),
            object: "chat.completion.chunk",
            created: self.head.created,
            model: self.head.model.clone(),
            choices,
            usage: None,
        }
    }
}

fn as_events(speaking: Speaking) -> Response {
    let role = speaking.delta(ChatAnswer {
        role: Some("assistant"),
        content: Some(String::new()),
        ..ChatAnswer::default()
    });
    let events = stream::unfold((speaking, Some(role)), |(mut speaking, role)| async move {
        let bytes = match role {
            Some(role) => Some(role),
            None => speaking.bytes().await,
        };
        bytes.map(|bytes| (Ok::<_, Infallible>(bytes), (speaking, None)))
    });
    as_event_stream(Response::new(Body::from_stream(events)))
}

const fn finish_reason(finish: Finish, called: bool) -> ChatFinish {
    match finish {
        Finish::Stop if called => ChatFinish::ToolCalls,
        Finish::Stop => ChatFinish::Stop,
        Finish::Length => ChatFinish::Length,
        Finish::ContentFilter => ChatFinish::ContentFilter,
    }
}

const fn counts(usage: LlmUsage) -> ChatUsage {
    ChatUsage::new(usage.input_tokens, usage.cached_tokens, usage.output_tokens)
}
