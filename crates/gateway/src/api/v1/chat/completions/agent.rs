//! An agent's answer in text: its instructions in front, its functions run here until it has said what it wants to say.
//! Used by the route for `model: "agent:NAME"`.
//! Never runs a function of the client's: those are answered by the client, as with any model.

use std::collections::HashMap;
use std::sync::Arc;

use engine::ask::{
    Finish, LlmMessage, LlmRequest, LlmUsage, ServerTool, ToolCall, ToolOutcome, ToolRunner,
};
use futures_util::future::join_all;
use providers::Pipeline;
use providers::ports::{EVENT_BUFFER, Llm, LlmEvent, LlmStream};
use providers::tools::{Caller, Runnable};
use tokio::sync::mpsc;
use wire::realtime::session::{Tool, ToolChoice};

use crate::App;
use crate::agents::Built;

/// How often one answer may call functions and read their results.
const MAX_ROUNDS: usize = 8;

/// Begins an agent's answer.
pub(super) fn answer(
    app: &App,
    agent: Built,
    pipeline: &Pipeline,
    question: LlmRequest,
) -> LlmStream {
    let (outbox, events) = mpsc::channel(EVENT_BUFFER);
    let mut answering = Answering {
        llm: Arc::clone(&pipeline.llm),
        at: app.clock.unix_s(),
        runnables: HashMap::new(),
        usage: LlmUsage::default(),
        outbox,
    };
    app.lifecycle.spawn(async move {
        let question = answering.prepare(agent, question).await;
        let listener = answering.outbox.clone();
        tokio::select! {
            () = listener.closed() => {}
            () = answering.converse(question) => {}
        }
    });
    LlmStream { events }
}

struct Answering {
    llm: Arc<dyn Llm>,
    /// Unix seconds.
    at: i64,
    runnables: HashMap<String, Runnable>,
    usage: LlmUsage,
    outbox: mpsc::Sender<LlmEvent>,
}

/// What one question has led to.
#[derive(Default)]
struct Round {
    text: String,
    calls: Vec<ToolCall>,
    ids: Vec<String>,
    /// Whether arguments that come belong to the last of these calls.
    ours: bool,
    /// Whether the client was asked for something.
    client_called: bool,
}

impl Answering {
    /// The question with the agent's instructions and functions.
    async fn prepare(&mut self, agent: Built, mut question: LlmRequest) -> LlmRequest {
        if let Some(instructions) = agent.settings.instructions {
            let instructions = LlmMessage::System(instructions);
            question.messages.insert(0, instructions);
        }
        question
            .tools
            .extend(agent.settings.tools.into_iter().flatten());
        self.runnables = agent.runnables;
        // there is no call to be ended here
        let ours = |tool: &ServerTool| tool.runner != ToolRunner::EndCall;
        let mut tools: Vec<ServerTool> = agent.tools.into_iter().filter(ours).collect();
        for server in agent.servers {
            match server.tools().await {
                Ok(listed) => {
                    for tool in &listed {
                        self.runnables
                            .entry(tool.name.clone())
                            .or_insert_with(|| Runnable::Mcp(Arc::clone(&server)));
                    }
                    tools.extend(listed);
                }
                Err(error) => tracing::warn!(%error, "an agent's mcp server cannot be used"),
            }
        }
        question
            .tools
            .extend(tools.into_iter().map(|tool| Tool::Function {
                name: tool.name,
                description: tool.description,
                parameters: tool.parameters,
            }));
        question
    }

    async fn converse(&mut self, mut question: LlmRequest) {
        for asked in 0..=MAX_ROUNDS {
            if asked == MAX_ROUNDS {
                question.tool_choice = ToolChoice::None;
            }
            let Some(round) = self.ask(&question).await else {
                return;
            };
            let results = self.run(&round, &question).await;
            if !round.text.trim().is_empty() {
                question.messages.push(LlmMessage::Assistant(round.text));
            }
            for (call, id) in round.calls.iter().zip(&round.ids) {
                question.messages.push(LlmMessage::ToolCall {
                    call_id: id.clone(),
                    name: call.name.clone(),
                    arguments: call.arguments.clone(),
                });
            }
            for (output, id) in results.into_iter().zip(round.ids) {
                question.messages.push(LlmMessage::ToolOutput {
                    call_id: id,
                    output,
                });
            }
            // a choice that forces a call would force it for ever
            question.tool_choice = ToolChoice::Auto;
        }
    }

    /// Asks once and hands on what is the client's; `None` when the answer is complete.
    async fn ask(&mut self, question: &LlmRequest) -> Option<Round> {
        let mut stream = match self.llm.ask(question.clone()).await {
            Ok(stream) => stream,
            Err(error) => {
                self.tell(LlmEvent::Failed(error)).await;
                return None;
            }
        };
        let mut round = Round::default();
        while let Some(event) = stream.events.recv().await {
            match event {
                LlmEvent::ToolCall { call_id, name } if self.runnables.contains_key(&name) => {
                    round.ours = true;
                    round.ids.push(call_id);
                    round.calls.push(ToolCall {
                        turn: question.turn,
                        name,
                        arguments: String::new(),
                        history: Vec::new(),
                    });
                }
                LlmEvent::ToolArguments(json) if round.ours => {
                    if let Some(call) = round.calls.last_mut() {
                        call.arguments.push_str(&json);
                    }
                }
                LlmEvent::Done { finish, usage } => {
                    self.usage.input_tokens += usage.input_tokens;
                    self.usage.cached_tokens += usage.cached_tokens;
                    self.usage.output_tokens += usage.output_tokens;
                    let goes_on =
                        finish == Finish::Stop && !round.calls.is_empty() && !round.client_called;
                    if goes_on {
                        return Some(round);
                    }
                    let usage = self.usage;
                    self.tell(LlmEvent::Done { finish, usage }).await;
                    return None;
                }
                event => {
                    match &event {
                        LlmEvent::Text(text) => round.text.push_str(text),
                        LlmEvent::ToolCall { .. } => {
                            round.ours = false;
                            round.client_called = true;
                        }
                        _ => {}
                    }
                    let failed = matches!(event, LlmEvent::Failed(_));
                    self.tell(event).await;
                    if failed {
                        return None;
                    }
                }
            }
        }
        None
    }

    async fn run(&self, round: &Round, question: &LlmRequest) -> Vec<String> {
        let runs = round
            .calls
            .iter()
            .zip(&round.ids)
            .map(|(call, id)| async move {
                let caller = Caller {
                    session: question.session.clone(),
                    call: format!("{}-{id}", question.session),
                    at: self.at,
                };
                let Some(runnable) = self.runnables.get(&call.name) else {
                    return "Error: there is no such tool".to_owned();
                };
                let call = ToolCall {
                    history: question.messages.clone(),
                    ..call.clone()
                };
                match runnable.run(&call, &caller).await {
                    ToolOutcome::Returned(text) => text,
                    ToolOutcome::Failed(text) => format!("Error: {text}"),
                }
            });
        join_all(runs).await
    }

    /// A client that has gone ends the answer elsewhere.
    async fn tell(&self, event: LlmEvent) {
        let _ = self.outbox.send(event).await;
    }
}
