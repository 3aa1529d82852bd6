//! A conversation as the Realtime protocol sees it: what was committed, what was asked, what belongs to which answer.
//! Driven by [`crate::duplex::live`].
//! Never asks for a second answer while one writes to the conversation: it waits for the end of the first.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use engine::{
    ask::{DuplexCommand, DuplexItem, DuplexOptions, DuplexReply, DuplexUsage, Finish},
    audio::b64,
    session::{ReplyId, UtteranceId},
};
use serde_json::{Value, json};

use super::{
    answers::Answers,
    read::{self, Event},
    write::{self, Voices},
};
use crate::{
    Kind, ProviderError,
    duplex::{
        live::{Out, SILENCE, Taken, Upstream, nonsense},
        sound::{self, Whole},
    },
    failure,
    ports::DuplexEvent,
    ws::Closing,
};

/// The shortest audio that can be committed (`input_audio_buffer_commit_empty`, spec/realtime §1.10).
const SHORTEST_MS: u64 = 100;
/// A session lasts 60 minutes at most
/// (<https://developers.openai.com/api/docs/guides/realtime-conversations#session-lifecycle-events>) and ends without
/// a warning; it is left a little before, when nobody speaks.
const LONGEST: Duration = Duration::from_mins(58);
/// Close code of a refused key (spec/realtime §1.10).
const REFUSED_KEY: u16 = 3000;

pub(super) struct Conversation {
    name: Arc<str>,
    voices: Voices,
    options: DuplexOptions,
    /// The `session` object as the server has it.
    settings: Value,
    history: Vec<DuplexItem>,
    ready: bool,
    /// Bytes of the utterance under way.
    appended: u64,
    whole: Whole,
    /// Utterances whose commit the server has not confirmed, in order.
    commits: VecDeque<UtteranceId>,
    /// Utterances whose words are waited for, by item.
    utterances: HashMap<String, UtteranceId>,
    answers: Answers,
    /// Answers that can only be asked for when the one before them has ended: one that the session asked for, for it
    /// waits then, and before it perhaps one that the server was not ready for.
    held: VecDeque<(ReplyId, Box<DuplexReply>)>,
}

impl Conversation {
    pub(super) fn new(
        name: Arc<str>,
        voices: Voices,
        options: DuplexOptions,
        history: Vec<DuplexItem>,
    ) -> Self {
        Self {
            name,
            settings: write::session(&options, &voices),
            voices,
            options,
            history,
            ready: false,
            appended: 0,
            whole: Whole::default(),
            commits: VecDeque::new(),
            utterances: HashMap::new(),
            answers: Answers::default(),
            held: VecDeque::new(),
        }
    }

    fn configure(&mut self, options: DuplexOptions, out: &mut Out) {
        let settings = write::session(&options, &self.voices);
        let voice_is_fixed = self.answers.any_spoken();
        if let Some(session) = write::changes(&self.settings, &settings, voice_is_fixed) {
            let update = json!({ "type": "session.update", "session": session });
            out.say.push(update.to_string());
        }
        self.settings = settings;
        self.options = options;
    }

    fn append(&mut self, audio: &Bytes, out: &mut Out) {
        let format = sound::format(self.options.input_format);
        if self.whole.fits(audio.len(), format) {
            self.append_whole(audio, out);
        } else {
            let audio = self.whole.take(audio.to_vec(), format);
            self.append_whole(&audio, out);
        }
    }

    fn append_whole(&mut self, audio: &[u8], out: &mut Out) {
        if !audio.is_empty() {
            self.appended += audio.len() as u64;
            out.say.push(write::append(audio));
        }
    }

    fn commit(&mut self, utterance: UtteranceId, out: &mut Out) {
        let appended = std::mem::take(&mut self.appended);
        self.whole.realign();
        if appended == 0 {
            // the server refuses what is empty, and there are no words in it
            let text = String::new();
            let event = DuplexEvent::Transcript { utterance, text };
            return out.tell.push_back(event);
        }
        let format = sound::format(self.options.input_format);
        let missing = format.bytes(SHORTEST_MS).saturating_sub(appended) as usize;
        if missing > 0 {
            let silence = vec![format.silence_byte(); missing];
            out.say.push(write::append(&silence));
        }
        let event_id = format!("commit-{utterance}");
        let commit = json!({ "type": "input_audio_buffer.commit", "event_id": event_id });
        out.say.push(commit.to_string());
        self.commits.push_back(utterance);
    }

    fn discard(&mut self, out: &mut Out) {
        self.whole.realign();
        if std::mem::take(&mut self.appended) > 0 {
            out.say
                .push(json!({ "type": "input_audio_buffer.clear" }).to_string());
        }
    }

    fn reply(&mut self, reply: ReplyId, wanted: Box<DuplexReply>, out: &mut Out) {
        if wanted.apart.is_none() && self.answers.conversation_is_busy() {
            self.held.push_back((reply, wanted));
        } else {
            out.say.push(self.answers.ask(reply, wanted));
        }
    }

    fn cancel(&mut self, reply: ReplyId, out: &mut Out) {
        let Some(answer) = self.answers.of_reply(reply) else {
            return;
        };
        answer.cancelled = true;
        // without its id another answer could be hit; once that is known it is cancelled
        if let Some(response) = &answer.response {
            out.say.push(cancellation(response));
        }
    }

    /// Cuts the answer's audio where the caller stopped listening, clamped to what came of it.
    fn heard(&self, reply: ReplyId, audio_ms: u64, out: &mut Out) {
        let format = sound::format(self.options.output_format);
        let mut left_ms = audio_ms;
        let mut items = self.answers.items(reply).iter().peekable();
        let mut cut = false;
        while let Some((item, bytes)) = items.next() {
            let sent_ms = format.duration_ms(*bytes);
            if cut {
                let delete = json!({ "type": "conversation.item.delete", "item_id": item });
                out.say.push(delete.to_string());
            } else if left_ms < sent_ms || items.peek().is_none() {
                cut = true;
                let truncate = json!({
                    "type": "conversation.item.truncate",
                    "item_id": item,
                    "content_index": 0,
                    "audio_end_ms": left_ms.min(sent_ms),
                });
                out.say.push(truncate.to_string());
            }
            left_ms = left_ms.saturating_sub(sent_ms);
        }
    }

    fn begun(&mut self, response: &Value, out: &mut Out) {
        let Some(id) = response["id"].as_str() else {
            return;
        };
        let number = response["metadata"]["reply"].as_str();
        let number = number.and_then(|number| number.parse().ok());
        if let Some(answer) = self.answers.begun(id, number)
            && answer.cancelled
        {
            out.say.push(cancellation(id));
        }
    }

    fn ended(&mut self, response: &Value, out: &mut Out) {
        let id = response["id"].as_str().unwrap_or_default();
        // a server that skips the beginning still tells the end
        let number = response["metadata"]["reply"].as_str();
        let number = number.and_then(|number| number.parse().ok());
        if number.is_some() && self.answers.of_response(id).is_none() {
            self.answers.begun(id, number);
        }
        if let Some(answer) = self.answers.ended(id) {
            let reply = answer.reply;
            out.tell.push_back(match read::outcome(response) {
                Err(error) if !answer.cancelled => DuplexEvent::Failed {
                    reply,
                    error: self.failure(error),
                    usage: read::usage(response),
                },
                // what was cancelled has still been paid for
                outcome => DuplexEvent::Done {
                    reply,
                    finish: outcome.unwrap_or(Finish::Stop),
                    usage: read::usage(response),
                },
            });
        }
        self.ask_held(out);
    }

    /// Asks for the answer that waits, once none is under way that it has to wait for.
    fn ask_held(&mut self, out: &mut Out) {
        if !self.answers.conversation_is_busy()
            && let Some((reply, wanted)) = self.held.pop_front()
        {
            out.say.push(self.answers.ask(reply, wanted));
        }
    }

    fn failure(&self, error: &Value) -> ProviderError {
        failure::of_event(&self.name, error)
    }

    /// What belongs to an answer, unless that was cancelled.
    fn answered(&mut self, event: Event, out: &mut Out) -> Result<(), ProviderError> {
        let format = sound::format(self.options.output_format);
        let response = event.response_id.as_deref().unwrap_or_default();
        let Some(answer) = self.answers.of_response(response) else {
            return Ok(());
        };
        let (reply, cancelled) = (answer.reply, answer.cancelled);
        let delta = event.delta.unwrap_or_default();
        let is_call = event.item["type"] == "function_call";
        let told = match event.kind.as_str() {
            "response.output_item.added" if is_call => {
                answer.argument_bytes = 0;
                let word = |key: &str| event.item[key].as_str().unwrap_or_default().to_owned();
                Some(DuplexEvent::ToolCall {
                    reply,
                    call_id: word("call_id"),
                    name: word("name"),
                })
            }
            "response.output_item.added" => {
                let spoken = answer.wanted.apart.is_none() && !answer.wanted.text_only;
                if let Some(item) = event.item["id"].as_str()
                    && spoken
                {
                    self.answers.spoke(reply, item, 0);
                }
                None
            }
            "response.function_call_arguments.delta" => {
                answer.argument_bytes += delta.len();
                let json = delta;
                (!json.is_empty()).then_some(DuplexEvent::ToolArguments { reply, json })
            }
            "response.output_item.done" if is_call && answer.argument_bytes == 0 => {
                let json = event.item["arguments"].as_str().unwrap_or_default();
                let json = json.to_owned();
                (!json.is_empty()).then_some(DuplexEvent::ToolArguments { reply, json })
            }
            "response.output_text.delta" | "response.output_audio_transcript.delta" => {
                let text = delta;
                (!text.is_empty()).then_some(DuplexEvent::Text { reply, text })
            }
            "response.output_audio.delta" => {
                let mut audio = Vec::new();
                b64::decode(&delta, &mut audio).map_err(|_| nonsense(&self.name))?;
                let audio = answer.whole.take(audio, format);
                if let Some(item) = &event.item_id
                    && answer.wanted.apart.is_none()
                {
                    self.answers.spoke(reply, item, audio.len() as u64);
                }
                let audio = Bytes::from(audio);
                (!audio.is_empty()).then_some(DuplexEvent::Audio { reply, audio })
            }
            _ => None,
        };
        // late, or part of what the session has voided
        out.tell.extend(told.filter(|_| !cancelled));
        Ok(())
    }

    fn refused(&mut self, error: &Value, out: &mut Out) -> Result<(), ProviderError> {
        let code = error["code"].as_str().unwrap_or_default();
        let event_id = error["event_id"].as_str().unwrap_or_default();
        if code == "session_expired" {
            let message = "the session has lasted as long as the server allows";
            let name = self.name.to_string();
            return Err(ProviderError::new(name, Kind::Unavailable, message));
        }
        let failure = self.failure(error);
        if !self.ready || failure.kind == Kind::Unauthorized {
            return Err(failure);
        }
        if code == "input_audio_buffer_commit_empty" || event_id.starts_with("commit-") {
            // an error without the id of its cause means the oldest
            let named =
                |id: &UtteranceId| event_id.is_empty() || event_id == format!("commit-{id}");
            let place = self.commits.iter().position(named);
            if let Some(utterance) = place.and_then(|place| self.commits.remove(place)) {
                let error = failure;
                let event = DuplexEvent::TranscriptFailed { utterance, error };
                out.tell.push_back(event);
            }
        } else if let Some(answer) = self.answers.refused(event_id) {
            let reply = answer.reply;
            if code == "conversation_already_has_active_response" && !answer.cancelled {
                // it is asked for again when that one has ended, and before any that came behind it
                self.held.push_front((reply, answer.wanted));
            } else {
                out.tell.push_back(DuplexEvent::Failed {
                    reply,
                    error: failure,
                    usage: DuplexUsage::default(),
                });
                self.ask_held(out);
            }
        } else {
            // such as a cancellation that came too late: nothing hangs on it
            tracing::debug!(error = %failure, "the server refused an event");
        }
        Ok(())
    }
}

impl Upstream for Conversation {
    fn begin(&mut self) -> Vec<String> {
        let update = json!({
            "type": "session.update", "event_id": "settings", "session": self.settings,
        });
        let format = sound::format(self.options.input_format);
        let history = std::mem::take(&mut self.history);
        let items = history.iter().flat_map(|item| write::items(item, format));
        std::iter::once(update.to_string()).chain(items).collect()
    }

    fn is_ready(&self) -> bool {
        self.ready
    }

    fn obey(&mut self, command: DuplexCommand, out: &mut Out) {
        match command {
            DuplexCommand::Configure(options) => self.configure(*options, out),
            DuplexCommand::Audio(audio) => self.append(&audio, out),
            DuplexCommand::Commit(utterance) => self.commit(utterance, out),
            DuplexCommand::Discard => self.discard(out),
            DuplexCommand::Add(item) => {
                let format = sound::format(self.options.input_format);
                out.say.extend(write::items(&item, format));
            }
            DuplexCommand::Reply(reply, wanted) => self.reply(reply, wanted, out),
            DuplexCommand::Cancel(reply) => self.cancel(reply, out),
            DuplexCommand::Heard {
                reply, audio_ms, ..
            } => self.heard(reply, audio_ms, out),
        }
    }

    fn take(&mut self, text: &str, out: &mut Out) -> Result<Taken, ProviderError> {
        let mut event = read::event(text).ok_or_else(|| nonsense(&self.name))?;
        let item = event.item_id.as_deref().unwrap_or_default();
        match event.kind.as_str() {
            "session.updated" if !self.ready => {
                self.ready = true;
                out.tell.push_back(DuplexEvent::Ready);
            }
            "input_audio_buffer.committed" => {
                if let Some(utterance) = self.commits.pop_front() {
                    self.utterances.insert(item.to_owned(), utterance);
                }
            }
            "conversation.item.input_audio_transcription.completed" => {
                if let Some(utterance) = self.utterances.remove(item) {
                    let text = event.transcript.unwrap_or_default();
                    let event = DuplexEvent::Transcript { utterance, text };
                    out.tell.push_back(event);
                }
            }
            "conversation.item.input_audio_transcription.failed" => {
                if let Some(utterance) = self.utterances.remove(item) {
                    let error = self.failure(&event.error);
                    let event = DuplexEvent::TranscriptFailed { utterance, error };
                    out.tell.push_back(event);
                }
            }
            "error" => self.refused(&event.error, out)?,
            "response.created" => self.begun(&event.response.take(), out),
            "response.done" => self.ended(&event.response.take(), out),
            kind if kind.starts_with("response.") => self.answered(event, out)?,
            _ => return Ok(Taken::Aside),
        }
        Ok(Taken::Progress)
    }

    fn waits(&self) -> bool {
        !self.held.is_empty()
    }

    fn patience(&self) -> Option<Duration> {
        (self.answers.any() || !self.held.is_empty()).then_some(SILENCE)
    }

    fn leaves(&self, age: Duration) -> Option<ProviderError> {
        let idle = !self.answers.any() && self.held.is_empty() && self.appended == 0;
        (age >= LONGEST && idle && self.commits.is_empty() && self.utterances.is_empty()).then(
            || {
                let message = "the connection has lasted almost as long as the server allows";
                ProviderError::new(self.name.to_string(), Kind::Unavailable, message)
            },
        )
    }

    fn closed(&self, closing: &Closing) -> Kind {
        if closing.code == REFUSED_KEY || closing.mentions("api_key") {
            Kind::Unauthorized
        } else if closing.mentions("quota") {
            Kind::RateLimited
        } else {
            Kind::Unavailable
        }
    }
}

fn cancellation(response: &str) -> String {
    json!({ "type": "response.cancel", "response_id": response }).to_string()
}

#[cfg(test)]
#[path = "conversation_tests.rs"]
mod tests;
