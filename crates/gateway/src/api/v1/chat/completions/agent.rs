//! An agent's answer in text: its instructions in front, its functions run here until it has said what it wants to say.
//! Used by the route for `model: "agent:NAME"`.
//! Never runs a function of the client's: those are answered by the client, as with any model. Where a model calls
//! functions of both sides at once, ours are run, their results are read, and the client is asked only if the model
//! still wants that: the client cannot hand back results that it has never seen. Never stops one of ours half-way,
//! unless it changes nothing.

pub(crate) mod inside;

use std::collections::HashMap;
use std::sync::Arc;

use engine::ask::{
    Finish, LlmMessage, LlmRequest, LlmUsage, ServerTool, ToolCall, ToolOutcome, ToolRunner,
};
use futures_util::future::join_all;
use providers::ports::{EVENT_BUFFER, Llm, LlmEvent, LlmStream};
use providers::tools::{McpServer, Runnable};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use wire::ids::Ids;
use wire::realtime::session::{MaxTokens, Tool, ToolChoice};

use crate::App;
use crate::agents::Built;
use crate::lifecycle::Lifecycle;
use crate::observe::Event;
use crate::session::Running;

/// How often one answer may call functions and read their results.
const MAX_ROUNDS: usize = 8;
/// Functions that are run for one answer.
const MAX_CALLS: usize = 16;
/// What the model reads of a call of the client's beside calls of ours.
const NOT_YET: &str =
    "Not done yet. Call it again if you still want it, now that you know the other results.";

/// Begins an agent's answer, which holds `place` as long as anything is done for it.
pub(super) fn answer(
    app: &App,
    agent: Built,
    question: LlmRequest,
    place: Arc<OwnedSemaphorePermit>,
) -> LlmStream {
    let (outbox, events) = mpsc::channel(EVENT_BUFFER);
    let answering = Answering {
        llm: Arc::clone(&agent.pipeline.llm),
        running: Running {
            meter: app.meter.clone(),
            metrics: app.metrics.clone(),
            clock: app.clock.clone(),
        },
        lifecycle: app.lifecycle.clone(),
        place,
        id: Ids::seeded(app.seed()).next("call"),
        runnables: HashMap::new(),
        usage: LlmUsage::default(),
        run: 0,
        last: None,
        seam: false,
        outbox,
    };
    app.lifecycle.spawn(answering.answer(agent, question));
    LlmStream { events }
}

struct Answering {
    llm: Arc<dyn Llm>,
    running: Running,
    lifecycle: Lifecycle,
    /// Among the requests that run at the same time. Functions hold it to their end: hanging up does not make room
    /// for more of them.
    place: Arc<OwnedSemaphorePermit>,
    /// Of this answer: calls are numbered under it, because vendors give different calls the same id.
    id: String,
    runnables: HashMap<String, Runnable>,
    usage: LlmUsage,
    /// Calls that were run.
    run: usize,
    /// The last letter that was said.
    last: Option<char>,
    /// Whether what is said next belongs to another round than what was said last.
    seam: bool,
    outbox: mpsc::Sender<LlmEvent>,
}

/// What one question has led to.
#[derive(Default)]
struct Round {
    text: String,
    calls: Vec<Called>,
}

/// A call of a function, ours or the client's.
struct Called {
    id: String,
    name: String,
    arguments: String,
    ours: bool,
}

impl Answering {
    /// Answers until everything is said, or the client leaves.
    async fn answer(mut self, agent: Built, question: LlmRequest) {
        let listener = self.outbox.clone();
        let answering = async {
            let question = self.prepare(agent, question).await;
            self.converse(question).await;
        };
        tokio::select! {
            () = listener.closed() => {}
            () = answering => {}
        }
    }

    /// The question with the agent's instructions and functions.
    async fn prepare(&mut self, agent: Built, mut question: LlmRequest) -> LlmRequest {
        if let Some(instructions) = agent.settings.instructions {
            let instructions = LlmMessage::System(instructions);
            question.messages.insert(0, instructions);
        }
        if let Some(MaxTokens::Limit(limit)) = agent.settings.max_output_tokens {
            let wanted = question.max_tokens.unwrap_or(limit);
            question.max_tokens = Some(wanted.min(limit));
        }
        for tool in agent.settings.tools.into_iter().flatten() {
            offer(&mut question, tool);
        }
        // there is no call to be ended here
        let ours = agent.tools.into_iter();
        for tool in ours.filter(|tool| tool.runner != ToolRunner::EndCall) {
            if let Some(runnable) = agent.runnables.get(&tool.name) {
                self.offer(&mut question, tool, runnable.clone());
            }
        }
        let asked = agent.servers.into_iter().map(|server| async {
            let listed = server.tools().await;
            (server, listed)
        });
        for (server, listed) in join_all(asked).await {
            self.note_listing(&question, &server, listed.as_ref().err());
            for tool in listed.unwrap_or_default() {
                self.offer(&mut question, tool, Runnable::Mcp(Arc::clone(&server)));
            }
        }
        question
    }

    /// Offers a function of ours, unless there is another of its name: the client's own come first.
    fn offer(&mut self, question: &mut LlmRequest, tool: ServerTool, runnable: Runnable) {
        let name = tool.name.clone();
        let tool = Tool::Function {
            name: tool.name,
            description: tool.description,
            parameters: tool.parameters,
        };
        if offer(question, tool) {
            self.runnables.insert(name, runnable);
        }
    }

    fn note_listing(
        &self,
        question: &LlmRequest,
        server: &McpServer,
        error: Option<&providers::tools::McpError>,
    ) {
        let cause = error.map(ToString::to_string);
        self.running.metrics.emit(&Event::ToolsListed {
            session: &question.session,
            server: server.label(),
            cause: cause.as_deref(),
        });
    }

    async fn converse(&mut self, mut question: LlmRequest) {
        for asked in 0..=MAX_ROUNDS {
            let is_last = asked == MAX_ROUNDS || self.run >= MAX_CALLS;
            if is_last {
                question.tool_choice = ToolChoice::None;
            }
            let Some(round) = self.ask(&question, is_last).await else {
                return;
            };
            let results = self.run(&round, &question).await;
            if !round.text.trim().is_empty() {
                question.messages.push(LlmMessage::Assistant(round.text));
            }
            for call in &round.calls {
                question.messages.push(LlmMessage::ToolCall {
                    call_id: call.id.clone(),
                    name: call.name.clone(),
                    arguments: call.arguments.clone(),
                });
            }
            for (call, output) in round.calls.into_iter().zip(results) {
                question.messages.push(LlmMessage::ToolOutput {
                    call_id: call.id,
                    output,
                });
            }
            // a choice that forces a call would force it for ever
            question.tool_choice = ToolChoice::Auto;
            self.seam = true;
        }
    }

    /// Asks once and hands on what is said; `None` when the answer is complete, which it is in its last round.
    async fn ask(&mut self, question: &LlmRequest, is_last: bool) -> Option<Round> {
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
                LlmEvent::Text(text) => {
                    round.text.push_str(&text);
                    self.say(text).await;
                }
                LlmEvent::ToolCall { call_id, name } => round.calls.push(Called {
                    ours: self.runnables.contains_key(&name),
                    id: call_id,
                    name,
                    arguments: String::new(),
                }),
                LlmEvent::ToolArguments(json) => {
                    if let Some(call) = round.calls.last_mut() {
                        call.arguments.push_str(&json);
                    }
                }
                LlmEvent::Done { finish, usage } => {
                    self.usage.input_tokens += usage.input_tokens;
                    self.usage.cached_tokens += usage.cached_tokens;
                    self.usage.output_tokens += usage.output_tokens;
                    let calls_us = round.calls.iter().any(|call| call.ours);
                    if finish == Finish::Stop && calls_us && !is_last {
                        return Some(round);
                    }
                    self.end(round, finish).await;
                    return None;
                }
                LlmEvent::Failed(error) => {
                    self.tell(LlmEvent::Failed(error)).await;
                    return None;
                }
            }
        }
        None
    }

    /// Hands on text, apart from what an earlier round has said.
    async fn say(&mut self, mut text: String) {
        let Some(first) = text.chars().next() else {
            return;
        };
        let seam = std::mem::take(&mut self.seam);
        let touches = self.last.is_some_and(|last| !last.is_whitespace());
        if seam && touches && !first.is_whitespace() {
            text.insert(0, ' ');
        }
        self.last = text.chars().next_back();
        self.tell(LlmEvent::Text(text)).await;
    }

    /// Hands on what the client was asked for, and the end.
    async fn end(&mut self, round: Round, finish: Finish) {
        for call in round.calls.into_iter().filter(|call| !call.ours) {
            let begins = LlmEvent::ToolCall {
                call_id: call.id,
                name: call.name,
            };
            self.tell(begins).await;
            self.tell(LlmEvent::ToolArguments(call.arguments)).await;
        }
        let usage = self.usage;
        self.tell(LlmEvent::Done { finish, usage }).await;
    }

    /// What the model is told of each call.
    async fn run(&mut self, round: &Round, question: &LlmRequest) -> Vec<String> {
        let first = self.run;
        self.run += round.calls.iter().filter(|call| call.ours).count();
        let mut number = first;
        let mut runs = Vec::new();
        for call in &round.calls {
            if call.ours {
                number += 1;
            }
            runs.push(self.run_one(call, number, question));
        }
        join_all(runs).await
    }

    /// Runs the `number`th call of the answer.
    async fn run_one(&self, call: &Called, number: usize, question: &LlmRequest) -> String {
        if !call.ours {
            return NOT_YET.to_owned();
        }
        if number > MAX_CALLS {
            return "Error: too many functions were called for one answer".to_owned();
        }
        let Some(runnable) = self.runnables.get(&call.name) else {
            return "Error: there is no such tool".to_owned();
        };
        let wanted = ToolCall {
            turn: question.turn,
            name: call.name.clone(),
            arguments: call.arguments.clone(),
            history: question.messages.clone(),
        };
        let call_id = format!("{}-{number}", self.id);
        let (runnable, running) = (runnable.clone(), self.running.clone());
        let (session, place) = (question.session.clone(), Arc::clone(&self.place));
        let attended = matches!(runnable, Runnable::Reason(_));
        let run = async move {
            let _place = place;
            running.run(&runnable, &wanted, &session, call_id).await
        };
        let outcome = if attended {
            run.await
        } else {
            // what changes the world is not stopped half-way because a client has hung up; its own limit ends it
            let ran = self.lifecycle.spawn(run).await;
            ran.unwrap_or_else(|_| ToolOutcome::Failed("the tool broke off".to_owned()))
        };
        match outcome {
            ToolOutcome::Returned(text) => text,
            ToolOutcome::Failed(text) => format!("Error: {text}"),
        }
    }

    /// A client that has gone ends the answer elsewhere.
    async fn tell(&self, event: LlmEvent) {
        let _ = self.outbox.send(event).await;
    }
}

/// Offers a function, unless there is one of its name already.
fn offer(question: &mut LlmRequest, tool: Tool) -> bool {
    let name = |tool: &Tool| match tool {
        Tool::Function { name, .. } => Some(name.clone()),
        Tool::Mcp { .. } => None,
    };
    let wanted = name(&tool);
    let is_new = !question.tools.iter().any(|other| name(other) == wanted);
    if is_new {
        question.tools.push(tool);
    }
    is_new
}

#[cfg(test)]
mod tests;
