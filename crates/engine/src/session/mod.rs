//! A conversation as a value: who speaks, what was said, what is answered, what was heard.
//! Owned by one task in `gateway::session`; every voice channel is a translation to [`Input`] and [`Output`].
//! Never awaits, opens a socket or reads a clock: an hour of call is a test of milliseconds.
//!
//! ```text
//! client events ─┐                       ┌─ events to the client
//! caller audio  ─┼─▶ Session::on(.., t) ─┼─ work for stt, llm, tts
//! provider news ─┘                       └─ close
//! ```

mod allowance;
mod another_voice;
mod barge_in;
mod budget;
pub(crate) mod context;
mod duplex;
mod edit;
mod filler;
mod input;
mod items;
mod listen;
mod output;
mod own_words;
mod past;
mod present;
mod reply;
mod request;
mod respond;
pub mod settings;
mod speculate;
mod tools;
mod transcript;
mod unanswered;

use std::collections::VecDeque;

use wire::ids::Ids;
use wire::realtime::client::ClientAction;
use wire::realtime::extra::ExtraEvents;
use wire::realtime::response::ConversationTarget;
use wire::realtime::session::TurnDetection;
use wire::realtime::{ClientEvent, ErrorBody, ServerEvent, SessionKind};

pub use allowance::{Limit, Limits};
pub use budget::{Detector, Policy, Upstream};
pub use input::{
    DuplexNews, Input, LlmNews, ReplyId, RunId, SttNews, ToolSource, TtsNews, UtteranceId,
};
pub use output::{Mark, Output, Part};
pub use past::{OpenResponse, Past};

use allowance::Told;
use barge_in::Playback;
use budget::TokenWindow;
use duplex::Duplex;
use items::Conversation;
use listen::Listener;
use own_words::{Ending, Missing};
use reply::Reply;
use tools::Run;
use transcript::Utterance;
use unanswered::Owed;

use crate::guard::Window;

/// Close code of a session that reached its maximum duration (spec/realtime §1.10).
const EXPIRED: u16 = 1001;
/// Close code of a session that the assistant has ended (RFC 6455 §7.4.1: normal closure).
const ENDED: u16 = 1000;
/// A greeting waits so long for the client's settings, which say how it is to sound, in ms.
const GREETING_AFTER_MS: u64 = 300;
/// And so long for what the client sends right behind them, such as a first question of its own, in ms.
const GREETING_AFTER_SETTINGS_MS: u64 = 50;

/// A live conversation.
///
/// Times are milliseconds on any monotonic clock whose zero is the creation of the session.
#[derive(Debug)]
pub struct Session {
    settings: wire::realtime::Session,
    policy: Policy,
    ids: Ids,
    conversation_id: String,
    conversation: Conversation,
    listener: Listener,
    utterances: Vec<Utterance>,
    replies: Vec<Reply>,
    next_number: u64,
    /// Responses of the default conversation that have begun.
    turns: u32,
    /// Items whose speech the client is playing or has queued, in that order.
    playback: VecDeque<Playback>,
    owed: Owed,
    /// The oldest item the model still reads, under `truncation: retention_ratio`.
    reads_from: Option<String>,
    idle_at_ms: Option<u64>,
    /// When the greeting is due, until it was said.
    greets_at_ms: Option<u64>,
    /// Responses that another process has left open.
    interrupted: Vec<OpenResponse>,
    /// When the session ends because the assistant has ended it.
    hangs_up_at_ms: Option<u64>,
    /// Functions of MCP servers.
    tool_sources: Vec<ToolSource>,
    /// Functions of the server that are running.
    runs: Vec<Run>,
    /// The connection to a model that does everything, where one does.
    duplex: Option<Box<Duplex>>,
    /// Words of the edge that wait until nobody speaks, oldest first.
    to_say: Vec<Box<str>>,
    /// Whether the assistant has said goodbye.
    ending: Ending,
    /// What it does without at present.
    missing: Missing,
    tokens: TokenWindow,
    /// How the limits of whoever pays stand.
    told: Told,
    /// Bytes of the caller's audio.
    heard: Window,
    now_ms: u64,
    /// Events that the client has asked for.
    extras: ExtraEvents,
    phase: Phase,
}

/// Whether the session still listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Closed,
}

impl Session {
    /// A session with these settings under this policy; equal seeds give equal ids.
    pub fn new(settings: wire::realtime::Session, policy: Policy, seed: u128) -> Self {
        let mut ids = Ids::seeded(seed);
        Self {
            conversation_id: ids.next("conv"),
            conversation: Conversation::new(policy.retained_audio_bytes, policy.max_items),
            listener: Listener::new(policy.detector),
            utterances: Vec::new(),
            replies: Vec::new(),
            next_number: 1,
            turns: 0,
            playback: VecDeque::new(),
            owed: Owed::Nothing,
            reads_from: None,
            idle_at_ms: None,
            greets_at_ms: policy.greeting.as_ref().map(|_| GREETING_AFTER_MS),
            interrupted: Vec::new(),
            hangs_up_at_ms: None,
            tool_sources: Vec::new(),
            runs: Vec::new(),
            duplex: (policy.upstream == Upstream::Duplex).then(Box::default),
            to_say: Vec::new(),
            ending: Ending::default(),
            missing: Missing::default(),
            tokens: TokenWindow::new(policy.tokens_per_minute),
            told: Told::default(),
            heard: Window::default(),
            now_ms: 0,
            extras: ExtraEvents::default(),
            phase: Phase::Open,
            settings,
            policy,
            ids,
        }
    }

    /// The first outputs of every connection: `session.created`, and what providers may prepare for.
    pub fn start(&mut self, out: &mut Vec<Output>) {
        out.push(Output::Send(ServerEvent::SessionCreated {
            session: Box::new(self.settings.clone()),
        }));
        self.close_interrupted(out);
        out.push(self.preparation());
        if !self.mcp_servers().is_empty() {
            self.change_mcp_servers(out);
        }
        self.translate(0, out);
        if self.is_duplex() {
            // its connection is there before anybody speaks
            self.join(out);
        }
    }

    /// Takes one input at `now_ms` and appends what is to be done, in order.
    pub fn on(&mut self, input: Input, now_ms: u64, out: &mut Vec<Output>) {
        self.now_ms = self.now_ms.max(now_ms);
        let from = out.len();
        if self.phase == Phase::Closed {
            return;
        }
        match input {
            Input::Audio(bytes) => self.hear(&bytes, None, out),
            Input::Client(event) => self.on_client(*event, out),
            Input::Stt(utterance, news) => self.on_stt(utterance, news, out),
            Input::Llm(reply, news) => self.on_llm(reply, news, out),
            Input::Tts(reply, news) => self.on_tts(reply, news, out),
            Input::Tool(run, outcome) => self.on_tool(run, outcome, out),
            Input::Tools(source) => self.learn_tools(*source, out),
            Input::Duplex(news) => self.on_duplex(news, out),
            Input::Limits(limits) => self.learn_limits(*limits, out),
            Input::Say(words) => self.keep_words(words),
            Input::Problem(error) => send_error(*error, out),
            Input::Tick => {}
        }
        self.say_kept_words(out);
        self.on_time(out);
        self.translate(from, out);
    }

    /// When [`Input::Tick`] is due, in ms; `None` when nothing waits for time.
    pub fn next_deadline(&self) -> Option<u64> {
        if self.phase == Phase::Closed {
            return None;
        }
        let others = [
            self.idle_at_ms,
            self.greets_at_ms,
            self.hangs_up_at_ms,
            self.filler_due_ms(),
        ];
        let others = others.into_iter().flatten();
        Some(others.fold(self.policy.max_duration_ms, u64::min))
    }

    /// The effective settings.
    pub fn settings(&self) -> &wire::realtime::Session {
        &self.settings
    }

    /// An item that the client knows, as it is now, without its audio.
    pub fn item(&self, id: &str) -> Option<&wire::realtime::Item> {
        let entry = self.conversation.get(id)?;
        (!entry.is_hidden()).then_some(&entry.item)
    }

    /// Whether a turn is under way that a draining server waits for: a response of any kind is
    /// running, a committed utterance will be answered, or the caller is speaking (or pausing) and
    /// will be answered. What only the client can end, such as a manual turn, does not count.
    pub fn is_replying(&self) -> bool {
        let detection = self.settings.input.turn_detection.as_ref();
        let spoken_to = self.current_utterance().is_some()
            && detection.is_some_and(TurnDetection::creates_response);
        spoken_to
            || self.replies.iter().any(|reply| !reply.is_held())
            || self.utterances.iter().any(Utterance::answers_by_itself)
    }

    fn on_client(&mut self, event: ClientEvent, out: &mut Vec<Output>) {
        let ClientEvent { event_id, action } = event;
        if changes_the_question(&action) {
            self.drop_speculation(out);
        }
        let result = match action {
            ClientAction::AudioAppend(bytes) => {
                self.hear(&bytes, event_id, out);
                return;
            }
            ClientAction::SessionUpdate(update) => self.update(&update, out),
            ClientAction::AudioCommit => self.commit_by_client(out),
            ClientAction::AudioClear => {
                self.clear_buffer(out);
                Ok(())
            }
            ClientAction::ItemCreate { position, id, body } => {
                self.create_item(&position, id, body, out)
            }
            ClientAction::ItemRetrieve { item_id } => self.retrieve_item(&item_id, out),
            ClientAction::ItemTruncate { item_id, content_index, audio_end_ms } => {
                self.truncate_item(&item_id, content_index, audio_end_ms, out)
            }
            ClientAction::ItemDelete { item_id } => self.delete_item(&item_id, out),
            ClientAction::ResponseCreate(create) => self.create_response(*create, out),
            ClientAction::ResponseCancel { response_id } => {
                self.cancel_by_client(response_id.as_deref(), out)
            }
            ClientAction::OutputAudioClear => Err(ErrorBody::invalid(
                "invalid_value",
                "output_audio_buffer.clear needs a channel on which the server plays the audio (WebRTC or SIP); on a WebSocket, stop your own playback and send conversation.item.truncate.",
            )
            .at("type")),
        };
        if let Err(error) = result {
            send_error(error.answering(event_id), out);
        }
    }

    fn update(
        &mut self,
        update: &wire::realtime::SessionUpdate,
        out: &mut Vec<Output>,
    ) -> Result<(), ErrorBody> {
        let locks = settings::Locks {
            voice: self
                .conversation
                .entries()
                .iter()
                .any(items::Entry::is_assistant_audio)
                .into(),
            speed: self.active_default().is_some().into(),
        };
        let format = self.input_format();
        let listened = self.settings.input.turn_detection.is_some();
        let truncation = self.settings.truncation.clone();
        let servers = self.mcp_servers();
        self.check_voice(update.voice.as_ref(), "session.audio.output.voice")?;
        settings::apply(&mut self.settings, update, locks)?;
        self.change_options();
        if self.input_format() != format {
            self.listener.change_format(format);
        }
        if listened != self.settings.input.turn_detection.is_some() {
            self.change_turn_mode(out);
        }
        if truncation != self.settings.truncation {
            self.reads_from = None;
        }
        out.push(Output::Send(ServerEvent::SessionUpdated {
            session: Box::new(self.settings.clone()),
        }));
        out.push(self.preparation());
        if servers != self.mcp_servers() {
            self.change_mcp_servers(out);
        }
        if self.settings.kind == SessionKind::Realtime {
            if self.greets_at_ms.is_some() {
                self.greets_at_ms = Some(self.now_ms + GREETING_AFTER_SETTINGS_MS);
            }
            let request = self.warm_request();
            out.push(Output::WarmLlm(request));
        }
        Ok(())
    }

    fn on_time(&mut self, out: &mut Vec<Output>) {
        if self.now_ms >= self.policy.max_duration_ms {
            let minutes = self.policy.max_duration_ms.div_ceil(60_000);
            let reason = format!("Your session hit the maximum duration of {minutes} minutes.");
            send_error(ErrorBody::invalid("session_expired", reason.clone()), out);
            self.phase = Phase::Closed;
            out.push(Output::Close {
                code: EXPIRED,
                reason,
            });
            return;
        }
        let due = |at: Option<u64>| at.is_some_and(|at| self.now_ms >= at);
        if due(self.hangs_up_at_ms) {
            self.phase = Phase::Closed;
            out.push(Output::Close {
                code: ENDED,
                reason: "call_ended".to_owned(),
            });
        } else if due(self.greets_at_ms) {
            self.greet(out);
        } else if due(self.idle_at_ms) {
            self.idle_at_ms = None;
            self.speak_up(out);
        } else if due(self.filler_due_ms()) {
            self.fill_silence(out);
        }
    }

    /// The turn that the next response of the default conversation answers; from 1.
    fn next_turn(&self) -> u32 {
        self.turns + 1
    }

    fn number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }
}

/// Whether what was prepared for the conversation as it was is void after this event.
fn changes_the_question(action: &ClientAction) -> bool {
    match action {
        ClientAction::SessionUpdate(_)
        | ClientAction::AudioCommit
        | ClientAction::AudioClear
        | ClientAction::ItemCreate { .. }
        | ClientAction::ItemTruncate { .. }
        | ClientAction::ItemDelete { .. } => true,
        ClientAction::ResponseCreate(create) => create.conversation == ConversationTarget::Auto,
        ClientAction::AudioAppend(_)
        | ClientAction::ItemRetrieve { .. }
        | ClientAction::ResponseCancel { .. }
        | ClientAction::OutputAudioClear => false,
    }
}

fn send_error(error: ErrorBody, out: &mut Vec<Output>) {
    out.push(Output::Send(ServerEvent::Error { error }));
}
