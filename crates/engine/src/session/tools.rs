//! Functions that the server runs: called by the model, run outside, read by the model in the same response.
//! Entered by `present` when a model has called some, by their outcomes, and by the clock while they take their time.
//! Never shows the client anything of them: a client that did not offer a function cannot answer for it.

use wire::realtime::Item;
use wire::realtime::ItemStatus;
use wire::realtime::item::ItemBody;
use wire::realtime::session::{Tool, ToolChoice, TurnDetection};

use super::Session;
use super::input::{ReplyId, RunId, ToolSource};
use super::items::Entry;
use super::output::Output;
use super::present::push_work;
use super::reply::{Calling, Joint, Message, Parting, Reply, Stage};
use super::transcript::{Utterance, UtteranceState};
use super::unanswered::Owed;
use crate::ask::{
    DuplexCommand, DuplexItem, Finish, LlmMessage, LlmRequest, ServerTool, ToolCall, ToolOutcome,
    ToolRunner,
};

/// Bytes of a result that the model reads; the rest is cut off.
const MAX_OUTPUT: usize = 16 * 1024;
/// What labels of the agent's own MCP servers begin with; a client's never do.
const AGENTS: &str = wire::realtime::session::AGENT_LABEL;
/// Calls of one answer that are run; a model that wants more at once is not thinking.
const MAX_CALLS: usize = 16;
/// Server label of calls that belong to no MCP server.
const OWN: &str = "agent";

/// A call of a function of the server.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) id: RunId,
    /// The reply that waits for it, as long as it does.
    pub(super) reply: Option<ReplyId>,
    runner: ToolRunner,
    item_id: String,
}

/// What a model wants run, before its answer is complete.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) call_id: String,
    pub(super) name: String,
    pub(super) arguments: String,
}

/// A call in the words of a reply, for the next question.
#[derive(Debug, Clone)]
pub(super) struct Round {
    /// Bytes of the reply's text that were said before the results of these calls were read.
    text_bytes: usize,
    calls: Vec<RoundCall>,
}

#[derive(Debug, Clone)]
struct RoundCall {
    item_id: String,
    call_id: String,
    name: String,
    arguments: String,
}

impl Round {
    /// Bytes of the reply's text that were said before the results of these calls were read.
    pub(super) fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    /// Whether this item is one of its calls.
    pub(super) fn holds(&self, item_id: &str) -> bool {
        self.calls.iter().any(|call| call.item_id == item_id)
    }
}

/// Whether functions of the server are offered to it: a response with functions of its own, or beside the
/// conversation, gets what it asked for.
pub(super) fn runs_tools(reply: &Reply) -> bool {
    reply.create.tools.is_none() && reply.response.conversation_id.is_some()
}

impl Session {
    /// Functions that the server runs, from everywhere.
    pub(super) fn server_tools(&self) -> impl Iterator<Item = &ServerTool> {
        let found = self.tool_sources.iter().flat_map(|source| &source.tools);
        self.policy.tools.iter().chain(found)
    }

    /// The function with this name, unless the client has one of that name itself.
    pub(super) fn server_tool(&self, name: &str) -> Option<&ServerTool> {
        let own = |tool: &Tool| matches!(tool, Tool::Function { name: own, .. } if own == name);
        if self.settings.tools.iter().any(own) {
            return None;
        }
        self.server_tools().find(|tool| tool.name == name)
    }

    /// `tools` with those of the server behind them.
    pub(super) fn with_server_tools(&self, tools: &[Tool]) -> Vec<Tool> {
        let functions = tools
            .iter()
            .filter(|tool| matches!(tool, Tool::Function { .. }));
        let mut all: Vec<Tool> = functions.cloned().collect();
        for tool in self.server_tools() {
            let taken =
                |other: &Tool| matches!(other, Tool::Function { name, .. } if *name == tool.name);
            if !all.iter().any(taken) {
                all.push(Tool::Function {
                    name: tool.name.clone(),
                    description: tool.description.clone(),
                    parameters: tool.parameters.clone(),
                });
            }
        }
        all
    }

    /// MCP servers that the client's settings name.
    pub(super) fn mcp_servers(&self) -> Vec<Tool> {
        let is_mcp = |tool: &&Tool| matches!(tool, Tool::Mcp { .. });
        self.settings.tools.iter().filter(is_mcp).cloned().collect()
    }

    /// The client's MCP servers have changed.
    pub(super) fn change_mcp_servers(&mut self, out: &mut Vec<Output>) {
        let servers = self.mcp_servers();
        let named = |label: &str| {
            servers
                .iter()
                .any(|tool| matches!(tool, Tool::Mcp { server_label, .. } if server_label == label))
        };
        self.tool_sources
            .retain(|source| source.label.starts_with(AGENTS) || named(&source.label));
        self.change_options();
        out.push(Output::ListTools(servers));
    }

    /// The functions of a place are known.
    pub(super) fn learn_tools(&mut self, source: ToolSource, out: &mut Vec<Output>) {
        self.tool_sources
            .retain(|known| known.label != source.label);
        self.tool_sources.push(source);
        self.change_options();
        let request = self.warm_request();
        out.push(Output::WarmLlm(request));
    }

    /// Starts what a reply's model has called, once nothing more of its answer will come.
    pub(super) fn run_tools(&mut self, id: ReplyId, out: &mut Vec<Output>) {
        let Some(at) = self.replies.iter().position(|reply| reply.id == id) else {
            return;
        };
        let mut reply = self.replies.remove(at);
        let wanted = std::mem::take(&mut reply.wanted);
        reply.calling = Calling::Client;
        let mut round = Round {
            text_bytes: reply.text.len(),
            calls: Vec::new(),
        };
        let mut work = Vec::new();
        reply.flush_text(&mut work);
        push_work(&reply, work, out);
        // as it was before these calls
        let attended = wanted.iter().any(|call| {
            let tool = self.server_tool(&call.name);
            tool.is_some_and(|tool| tool.runner == ToolRunner::Attended)
        });
        let history = if attended {
            self.history(&reply)
        } else {
            Vec::new()
        };
        for call in wanted.into_iter().take(MAX_CALLS) {
            self.start_run(&mut reply, &call, &mut round, out);
        }
        for output in out.iter_mut() {
            if let Output::RunTool(run, call) = output
                && self.is_attended(*run)
            {
                call.history.clone_from(&history);
            }
        }
        reply.rounds.push(round);
        self.replies.insert(at, reply);
        // a choice that forces a call is lifted for as long as a reply has called
        self.change_options();
        self.end_round(id, out);
    }

    fn start_run(
        &mut self,
        reply: &mut Reply,
        call: &Wanted,
        round: &mut Round,
        out: &mut Vec<Output>,
    ) {
        let Some(tool) = self.server_tool(&call.name).cloned() else {
            return;
        };
        let run = self.number();
        let item_id = self.ids.next("item");
        let body = ItemBody::McpCall {
            server_label: OWN.to_owned(),
            name: call.name.clone(),
            arguments: call.arguments.clone(),
            approval_request_id: None,
            output: None,
            error: None,
        };
        let mut entry = Entry::new(Item::new(item_id.clone(), ItemStatus::InProgress, body));
        entry.server_call = Some(call.call_id.clone());
        // what is said after the call must not seem to have been said before it
        let message = match &reply.message {
            Message::Open(item_id, _) => self.conversation.position(item_id),
            Message::Unopened | Message::Closed => None,
        };
        self.conversation.push_before(entry, message);
        round.calls.push(RoundCall {
            item_id: item_id.clone(),
            call_id: call.call_id.clone(),
            name: call.name.clone(),
            arguments: call.arguments.clone(),
        });
        if tool.runner == ToolRunner::EndCall {
            let told = end_call(reply, &call.arguments, out);
            self.record(&item_id, ToolOutcome::Returned(told));
            return;
        }
        self.runs.push(Run {
            id: run,
            reply: Some(reply.id),
            runner: tool.runner,
            item_id,
        });
        let due = self.now_ms.saturating_add(tool.filler_after_ms);
        if let Some(filler) = tool.filler.filter(|_| reply.speaks()) {
            let sooner = reply.filler.as_ref().is_none_or(|(at, _)| due < *at);
            if sooner {
                reply.filler = Some((due, filler));
            }
        }
        let call = ToolCall {
            turn: reply.speak.turn,
            name: call.name.clone(),
            arguments: call.arguments.clone(),
            history: Vec::new(),
        };
        out.push(Output::RunTool(run, Box::new(call)));
    }

    fn is_attended(&self, id: RunId) -> bool {
        let run = self.runs.iter().find(|run| run.id == id);
        run.is_some_and(|run| run.runner == ToolRunner::Attended)
    }

    /// The conversation as it was heard, with what the reply has said so far.
    fn history(&mut self, reply: &Reply) -> Vec<LlmMessage> {
        let request = self.request(reply);
        request.map(|request| request.messages).unwrap_or_default()
    }

    /// A function has come to its end.
    pub(super) fn on_tool(&mut self, id: RunId, outcome: ToolOutcome, out: &mut Vec<Output>) {
        let Some(at) = self.runs.iter().position(|run| run.id == id) else {
            return;
        };
        let run = self.runs.remove(at);
        self.record(&run.item_id, outcome);
        match run.reply {
            Some(reply) => self.end_round(reply, out),
            None => self.tell_late(out),
        }
    }

    /// A function has ended whose response was cut off meanwhile: the caller is told what came of it, unless he is
    /// speaking, and then the answer to that will, or one of its own where it was no speech.
    fn tell_late(&mut self, out: &mut Vec<Output>) {
        let detection = self.settings.input.turn_detection.as_ref();
        if !detection.is_some_and(TurnDetection::creates_response) {
            return;
        }
        let decided = |utterance: &Utterance| utterance.state == UtteranceState::Committed;
        if self.utterances.iter().all(decided) {
            self.answer_turn(out);
        } else if self.owed == Owed::Nothing {
            self.owed = Owed::AfterSpeech;
        }
    }

    fn record(&mut self, item_id: &str, outcome: ToolOutcome) {
        // one result may not crowd out the conversation
        let room = MAX_OUTPUT.min(self.policy.context_tokens as usize * 2);
        let Some(entry) = self.conversation.get_mut(item_id) else {
            return;
        };
        entry.item.status = Some(ItemStatus::Completed);
        if let ItemBody::McpCall { output, error, .. } = &mut entry.item.body {
            match outcome {
                ToolOutcome::Returned(text) => *output = Some(cut(text, room)),
                ToolOutcome::Failed(text) => {
                    let text = cut(text, room);
                    *error = Some(
                        serde_json::json!({ "type": "tool_execution_error", "message": text }),
                    );
                }
            }
        }
        if self.is_duplex() {
            self.tell_result(item_id);
        }
    }

    /// A model that is told everything is told this too.
    fn tell_result(&mut self, item_id: &str) {
        let entry = self.conversation.get(item_id);
        let told = entry.and_then(|entry| {
            let output = result(&entry.item.body);
            let call_id = entry.server_call.clone()?;
            Some(LlmMessage::ToolOutput { call_id, output })
        });
        if let Some(told) = told {
            self.tell(DuplexCommand::Add(DuplexItem::Message(told)));
        }
    }

    /// Asks the model again when all that it called has come to its end.
    fn end_round(&mut self, id: ReplyId, out: &mut Vec<Output>) {
        let waits = self.runs.iter().any(|run| run.reply == Some(id));
        let Some(at) = self.replies.iter().position(|reply| reply.id == id) else {
            return;
        };
        if waits {
            return;
        }
        let reply = &mut self.replies[at];
        reply.filler = None;
        // calls of the client's end the response: it answers them itself
        if reply.parting == Parting::Leaves || !reply.calls.is_empty() {
            reply.finish = Some(Finish::Stop);
            let mut work = Vec::new();
            reply.end_text(&mut work);
            push_work(&self.replies[at], work, out);
            self.advance(id, out);
            return;
        }
        if reply.parting == Parting::OwesFarewell {
            reply.parting = Parting::Leaves;
        }
        // what filled the silence was said before the result was read
        let said = reply.text.len();
        if let Some(round) = reply.rounds.last_mut() {
            round.text_bytes = said;
        }
        reply.joint = Joint::behind(&reply.text);
        reply.stage = Stage::Waiting;
        self.ask_if_ready(id, out);
    }

    /// Adds to a question what the reply itself has called and been told so far.
    pub(super) fn add_rounds(&self, reply: &Reply, request: &mut LlmRequest) {
        let mut from = 0;
        for round in &reply.rounds {
            let said = reply.text.get(from..round.text_bytes).unwrap_or_default();
            if !said.trim().is_empty() {
                let said = said.trim().to_owned();
                request.messages.push(LlmMessage::Assistant(said));
            }
            from = round.text_bytes;
            for call in &round.calls {
                request.messages.push(LlmMessage::ToolCall {
                    call_id: call.call_id.clone(),
                    name: call.name.clone(),
                    arguments: call.arguments.clone(),
                });
            }
            for call in &round.calls {
                let entry = self.conversation.get(&call.item_id);
                request.messages.push(LlmMessage::ToolOutput {
                    call_id: call.call_id.clone(),
                    output: entry.map_or_else(String::new, |entry| result(&entry.item.body)),
                });
            }
        }
        if reply.rounds.is_empty() {
            return;
        }
        let said = reply.text.get(from..).unwrap_or_default().trim();
        if !said.is_empty() {
            request
                .messages
                .push(LlmMessage::Assistant(said.to_owned()));
        }
        // a choice that forces a call would force it for ever
        request.tool_choice = if reply.rounds.len() as u32 >= self.policy.max_tool_rounds {
            ToolChoice::None
        } else {
            ToolChoice::Auto
        };
    }

    /// Estimated tokens of what a reply has called and been told.
    pub(super) fn rounds_tokens(&self, rounds: &[Round]) -> u32 {
        let calls = rounds.iter().flat_map(|round| &round.calls);
        let bytes = calls.map(|call| {
            let entry = self.conversation.get(&call.item_id);
            call.arguments.len() + entry.map_or(0, |entry| result(&entry.item.body).len())
        });
        u32::try_from(bytes.sum::<usize>() / 4).unwrap_or(u32::MAX)
    }

    /// A reply is gone: what it called and must not outlive it is stopped, the rest goes on for the record.
    pub(super) fn leave_runs(&mut self, id: ReplyId, out: &mut Vec<Output>) {
        let mut void = Vec::new();
        self.runs.retain_mut(|run| {
            if run.reply != Some(id) {
                return true;
            }
            run.reply = None;
            if run.runner == ToolRunner::Attended {
                void.push((run.id, run.item_id.clone()));
                return false;
            }
            true
        });
        for (run, item_id) in void {
            out.push(Output::DropTool(run));
            let told = "The caller went on before this was done.".to_owned();
            self.record(&item_id, ToolOutcome::Failed(told));
        }
    }
}

/// The call ends behind this reply, with the farewell of these arguments where it has said nothing since its last
/// call. Returns what the model is told.
fn end_call(reply: &mut Reply, arguments: &str, out: &mut Vec<Output>) -> String {
    let parting = std::mem::replace(&mut reply.parting, Parting::Leaves);
    let arguments: serde_json::Value = serde_json::from_str(arguments).unwrap_or_default();
    let farewell = arguments["farewell"].as_str().unwrap_or_default();
    // behind a call of the client's nothing is said any more
    let silent = reply.said_since_call().is_empty() && reply.calls.is_empty();
    if silent && !farewell.trim().is_empty() {
        if reply.speaks_by_itself() {
            // it says what it is told to, in one more answer
            if parting == Parting::Stays {
                reply.parting = Parting::OwesFarewell;
            }
            return format!(
                "The call ends behind your next words. Say exactly this: \"{farewell}\""
            );
        }
        let mut work = Vec::new();
        reply.joint = Joint::behind(&reply.text);
        reply.push_text(farewell, &mut work);
        push_work(reply, work, out);
    }
    "The call ends now.".to_owned()
}

/// What the model reads of a call's result.
pub(super) fn result(body: &ItemBody) -> String {
    match body {
        ItemBody::McpCall {
            output: Some(output),
            ..
        } => output.clone(),
        ItemBody::McpCall {
            error: Some(error), ..
        } => format!("Error: {}", error["message"].as_str().unwrap_or("failed")),
        _ => "It is still running and its result will follow; do not call it again.".to_owned(),
    }
}

fn cut(mut text: String, room: usize) -> String {
    if text.len() > room {
        let end = text.floor_char_boundary(room);
        text.truncate(end);
        text.push_str(" …(cut off)");
    }
    text
}
