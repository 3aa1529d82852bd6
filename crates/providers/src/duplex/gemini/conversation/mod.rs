//! A conversation as Gemini Live sees it: activities, turns, calls, and what of them is void.
//! Driven by [`crate::duplex::live`].
//! Never interrupts an answer that the session has not cancelled: what is said meanwhile waits for its end.

mod listen;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use engine::{
    ask::{DuplexCommand, DuplexItem, DuplexOptions, DuplexReply, DuplexUsage, Finish, LlmMessage},
    audio::b64,
    session::{ReplyId, UtteranceId},
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{
    Inner,
    answer::{Answer, Apart, Come},
    setup, turns,
    voice::Ears,
};
use crate::{
    Kind, ProviderError,
    duplex::{
        live::{Out, Upstream},
        sound,
    },
    ports::DuplexEvent,
};

/// Commands that may wait for the end of an answer: a minute of 20 ms frames. Of more, the oldest audio is dropped.
const LATER: usize = 3000;

/// Whether the server has been told that the caller speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Activity {
    Closed,
    Open,
    /// But what was said so far is void. The server has it all the same, and hears it with what follows.
    Discarded,
    /// And has said all there is to say, which the server is told when an answer is wanted.
    Committed,
}

/// Whether the server still talks about a turn that counts no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Void {
    None,
    /// It goes on until it is interrupted or complete.
    Running,
    /// It is, but its end has not been told.
    Interrupted,
}

/// What counts are worth that come behind the end of their answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Late {
    /// They are told with the next.
    Count,
    /// Nothing: the answer was told without, and whoever heard it has estimated them then.
    Known,
}

/// Whether the connection can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Opening,
    Open,
    /// Its settings are not those of the session any more, and nobody will miss it.
    Outdated,
}

/// How far the session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// It has not been told that it may speak.
    New,
    /// It has, and has told nothing but settings.
    Ready,
    Begun,
}

/// A call of the model that waits for its output.
struct Call {
    id: String,
    name: String,
    /// JSON text.
    arguments: String,
    output: Option<String>,
}

pub(super) struct Conversation {
    inner: Arc<Inner>,
    events: mpsc::Sender<DuplexEvent>,
    options: DuplexOptions,
    /// Kept while another connection may have to be made in silence.
    history: Vec<DuplexItem>,
    ears: Ears,
    link: Link,
    progress: Progress,
    /// Why this connection is to be left at the next quiet moment.
    leaving: Option<&'static str>,
    activity: Activity,
    /// Turns that go with the next question.
    pending: Vec<Value>,
    /// Calls that were told in words, and not yet their output.
    told: turns::Calls,
    calls: Vec<Call>,
    /// What must not interrupt the answer under way.
    later: VecDeque<DuplexCommand>,
    /// Utterances whose words are coming, and the words.
    utterances: VecDeque<UtteranceId>,
    words: String,
    answer: Option<Answer>,
    /// Whether the server has not told the end of a turn.
    turn_is_open: bool,
    void: Void,
    /// The answer that was made void, until its end is told.
    cancelled: Option<(ReplyId, Come)>,
    usage: DuplexUsage,
    late: Late,
    apart: HashMap<ReplyId, Apart>,
}

impl Conversation {
    pub(super) fn new(
        inner: Arc<Inner>,
        options: DuplexOptions,
        history: Vec<DuplexItem>,
        events: mpsc::Sender<DuplexEvent>,
    ) -> Self {
        Self {
            inner,
            events,
            ears: Ears::new(sound::format(options.input_format)),
            options,
            history,
            link: Link::Opening,
            progress: Progress::New,
            leaving: None,
            activity: Activity::Closed,
            pending: Vec::new(),
            told: HashMap::new(),
            calls: Vec::new(),
            later: VecDeque::new(),
            utterances: VecDeque::new(),
            words: String::new(),
            answer: None,
            turn_is_open: false,
            void: Void::None,
            cancelled: None,
            usage: DuplexUsage::default(),
            late: Late::Count,
            apart: HashMap::new(),
        }
    }

    fn setup(&self, options: &DuplexOptions) -> Value {
        let has_history = !self.split_history().0.is_empty();
        setup::message(&self.inner.model, options, has_history)
    }

    /// What can be told, and the speech behind it: what the next answer is to be about, which is said again.
    fn split_history(&self) -> (&[DuplexItem], &[DuplexItem]) {
        let is_told = |item: &DuplexItem| matches!(item, DuplexItem::Message(_));
        let last = self.history.iter().rposition(is_told);
        self.history.split_at(last.map_or(0, |last| last + 1))
    }

    /// The history, and with it the leave to speak.
    fn made_ready(&mut self, out: &mut Out) {
        self.link = Link::Open;
        let format = sound::format(self.options.input_format);
        let (told, spoken) = self.split_history();
        let mut calls = HashMap::new();
        let items = told.iter();
        let turns: Vec<Value> = items
            .flat_map(|item| turns::of(item, format, &mut calls))
            .collect();
        if !told.is_empty() {
            let complete = self.inner.model.takes_history();
            out.say.extend(turns::contents(turns, complete));
        }
        let spoken: Vec<Bytes> = spoken
            .iter()
            .filter_map(|item| match item {
                DuplexItem::Speech(speech) => Some(speech.clone()),
                DuplexItem::Message(_) => None,
            })
            .collect();
        self.told = calls;
        for speech in spoken {
            for slice in sound::slices(&speech, format) {
                self.hear(slice, out);
            }
            self.activity = Activity::Committed;
        }
        if self.progress == Progress::New {
            self.progress = Progress::Ready;
            out.tell.push_back(DuplexEvent::Ready);
        }
    }

    fn configure(&mut self, options: DuplexOptions) {
        let changed = self.setup(&options) != self.setup(&self.options);
        if options.input_format != self.options.input_format {
            self.ears = Ears::new(sound::format(options.input_format));
        }
        self.options = options;
        if changed && self.progress != Progress::Begun {
            self.link = Link::Outdated;
        } else if changed {
            self.leaving = Some("the settings have changed, which takes another connection");
        }
    }

    fn hear(&mut self, audio: &[u8], out: &mut Out) {
        if self.activity == Activity::Closed {
            // the words of what was said before do not come any more
            self.settle(true, out);
            self.words.clear();
            self.interrupt();
            out.say
                .push(json!({ "realtimeInput": { "activityStart": {} } }).to_string());
        }
        self.activity = Activity::Open;
        let (kind, audio) = self.ears.hear(audio);
        let mut text = String::with_capacity(audio.len() * 4 / 3 + 80);
        text.push_str(r#"{"realtimeInput":{"audio":{"mimeType":""#);
        text.push_str(kind);
        text.push_str(r#"","data":""#);
        b64::encode(&audio, &mut text);
        text.push_str(r#""}}}"#);
        out.say.push(text);
    }

    /// The server waits for the output of this call no more: if there is one, now or later, it is told in words.
    fn forget(&mut self, call: Call) {
        self.told
            .insert(call.id.clone(), (call.name, call.arguments));
        if let Some(output) = call.output {
            let call_id = call.id;
            let output = DuplexItem::Message(LlmMessage::ToolOutput { call_id, output });
            self.add(&output);
        }
    }

    /// What the server has not finished is void from now on, and it waits for no output any more.
    fn interrupt(&mut self) {
        for call in std::mem::take(&mut self.calls) {
            self.forget(call);
        }
        if self.turn_is_open && self.void == Void::None {
            self.void = Void::Running;
        }
    }

    fn commit(&mut self, utterance: UtteranceId, out: &mut Out) {
        if self.activity == Activity::Closed {
            // nothing was said
            let text = String::new();
            let event = DuplexEvent::Transcript { utterance, text };
            return out.tell.push_back(event);
        }
        self.activity = Activity::Committed;
        self.utterances.push_back(utterance);
    }

    fn add(&mut self, item: &DuplexItem) {
        if let DuplexItem::Message(LlmMessage::ToolOutput { call_id, output }) = item
            && let Some(call) = self.calls.iter_mut().find(|call| call.id == *call_id)
        {
            call.output = Some(output.clone());
            return;
        }
        let format = sound::format(self.options.input_format);
        self.pending.extend(turns::of(item, format, &mut self.told));
    }

    fn reply(&mut self, reply: ReplyId, wanted: DuplexReply, out: &mut Out) {
        if wanted.apart.is_some() {
            self.apart.retain(|_, apart| !apart.is_over());
            let (options, events) = (self.options.clone(), self.events.clone());
            let apart = Apart::ask(&self.inner, options, (reply, wanted), events);
            self.apart.insert(reply, apart);
            return;
        }
        self.end_cancelled(out);
        // who has not finished speaking is not cut short
        let heard = matches!(self.activity, Activity::Committed | Activity::Discarded);
        // any other input cancels the calls
        // (https://ai.google.dev/gemini-api/docs/live-api/tools): their outputs are told in words then
        let plain = self.pending.is_empty() && wanted.instructions.is_none();
        let awaited = !self.calls.is_empty() && !heard && plain;
        if !awaited {
            self.interrupt();
        }
        let mut turns = std::mem::take(&mut self.pending);
        turns.extend(wanted.instructions.as_deref().map(turns::instructions));
        if awaited {
            let responses = self.calls.drain(..).map(|call| {
                let response = match &call.output {
                    Some(output) => turns::output(output),
                    // the model waits for all of them
                    None => json!({ "error": "there is no result" }),
                };
                json!({ "id": call.id, "name": call.name, "response": response })
            });
            let responses: Vec<Value> = responses.collect();
            let told = json!({ "toolResponse": { "functionResponses": responses } });
            out.say.push(told.to_string());
        } else if heard {
            out.say.extend(turns::contents(turns, false));
            self.activity = Activity::Closed;
            out.say
                .push(json!({ "realtimeInput": { "activityEnd": {} } }).to_string());
        } else {
            out.say.extend(turns::contents(turns, true));
        }
        self.turn_is_open = true;
        // nothing more comes of what was before, unless it was interrupted
        if self.void == Void::None {
            self.late = Late::Count;
        }
        let format = sound::format(self.options.output_format);
        self.answer = Some(Answer::new(reply, &wanted, format));
    }

    fn cancel(&mut self, reply: ReplyId, out: &mut Out) {
        if self
            .apart
            .remove(&reply)
            .is_some_and(|apart| !apart.is_over())
        {
            let (finish, usage) = (Finish::Stop, DuplexUsage::default());
            let event = DuplexEvent::Done {
                reply,
                finish,
                usage,
            };
            return out.tell.push_back(event);
        }
        if let Some(answer) = self.answer.take_if(|answer| answer.reply == reply) {
            self.cancelled = Some((reply, answer.come));
            if self.void == Void::None {
                self.void = Void::Running;
            }
            self.catch_up(out);
        }
    }

    /// Does what had to wait for the end of an answer.
    fn catch_up(&mut self, out: &mut Out) {
        while self.answer.is_none() {
            let Some(command) = self.later.pop_front() else {
                return;
            };
            self.obey(command, out);
        }
    }

    fn wait(&mut self, command: DuplexCommand) {
        let is_audio = |command: &DuplexCommand| matches!(command, DuplexCommand::Audio(_));
        if command == DuplexCommand::Discard {
            while self.later.pop_back_if(|last| is_audio(last)).is_some() {}
            return;
        }
        if self.later.len() >= LATER
            && let Some(oldest) = self.later.iter().position(is_audio)
        {
            self.later.remove(oldest);
        }
        self.later.push_back(command);
    }

    /// Tells the words of what was said, as far as they are known; `over` when no more will come.
    fn settle(&mut self, over: bool, out: &mut Out) {
        let ended = self.activity == Activity::Closed && !self.utterances.is_empty();
        if !ended || self.words.trim().is_empty() && !over {
            return;
        }
        let words = std::mem::take(&mut self.words).trim().to_owned();
        let known = !words.is_empty();
        let mut words = Some(words);
        for utterance in std::mem::take(&mut self.utterances) {
            out.tell.push_back(if known {
                // one activity has one transcript: it is told of its first utterance
                let text = words.take().unwrap_or_default();
                DuplexEvent::Transcript { utterance, text }
            } else {
                let message = "no transcript came";
                let name = self.inner.name.to_string();
                let error = ProviderError::new(name, Kind::Protocol, message);
                DuplexEvent::TranscriptFailed { utterance, error }
            });
        }
    }

    fn end_cancelled(&mut self, out: &mut Out) {
        if let Some((reply, come)) = self.cancelled.take() {
            out.tell.push_back(DuplexEvent::Done {
                reply,
                finish: Finish::Stop,
                usage: self.take_usage(come),
            });
        }
    }

    /// What has been counted, for an answer that ends when so much of it has come.
    fn take_usage(&mut self, come: Come) -> DuplexUsage {
        let usage = std::mem::take(&mut self.usage);
        let untold = usage == DuplexUsage::default() && come != Come::Nothing;
        self.late = if untold { Late::Known } else { Late::Count };
        usage
    }

    fn end_answer(&mut self, finish: Finish, out: &mut Out) {
        if let Some(answer) = self.answer.take() {
            let usage = self.take_usage(answer.come);
            answer.end(finish, usage, out);
        }
        self.catch_up(out);
    }

    /// Whether what comes belongs to the answer under way.
    fn counts(&mut self) -> bool {
        if self.void == Void::Interrupted && self.answer.is_some() {
            // behind the interruption the next turn has begun, and the end of the last was not told
            self.void = Void::None;
            self.late = Late::Count;
        }
        self.void == Void::None && self.answer.is_some()
    }
}
