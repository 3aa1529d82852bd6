//! Utterances: from the first voiced frame to the transcript in the conversation.
//! Fed by `listen`, answered by transcription, ends in an item and perhaps a reply.
//! Never decides when a turn ends.

use wire::realtime::SessionKind;
use wire::realtime::item::{ContentPart, ItemBody, Role};
use wire::realtime::server::{LogProb, TranscriptionError, TranscriptionUsage};
use wire::realtime::session::TurnDetection;
use wire::realtime::{ErrorBody, Item, ItemStatus, ServerEvent};

use super::input::{ReplyId, SttNews, UtteranceId};
use super::items::Entry;
use super::listen::semantic_limits;
use super::output::{Mark, Output, Part};
use super::unanswered::Owed;
use super::{Session, send_error};
use crate::ask::SttOptions;

/// What transcription made of an utterance.
#[derive(Debug)]
struct Transcript {
    text: String,
    audio_ms: u64,
    logprobs: Vec<(String, f32)>,
}

/// A stretch of the caller's speech that is being transcribed.
#[derive(Debug)]
pub(super) struct Utterance {
    pub(super) id: UtteranceId,
    pub(super) item_id: String,
    pub(super) state: UtteranceState,
    pub(super) paused: bool,
    /// Transcript at the current pause.
    pub(super) partial: Option<String>,
    /// The turn model's probability at the current pause.
    pub(super) end_of_turn: Option<f32>,
    /// A reply prepared at the current pause.
    pub(super) speculative: Option<ReplyId>,
    /// Transcription broke off while the caller was still speaking; told once the item exists.
    pub(super) failure: Option<ErrorBody>,
}

/// Where an utterance stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UtteranceState {
    /// The caller is speaking.
    Open,
    /// Committed; a reply follows by itself once the transcript is known.
    Answered,
    /// As `Answered`, but the caller seemed to go on before the reply began.
    Voided,
    /// Committed; nothing follows by itself, or the reply is under way.
    Committed,
}

impl Utterance {
    pub(super) fn answers_by_itself(&self) -> bool {
        self.state == UtteranceState::Answered
    }
}

impl Session {
    pub(super) fn current_utterance(&self) -> Option<&Utterance> {
        self.utterances
            .iter()
            .find(|utterance| utterance.state == UtteranceState::Open)
    }

    fn current_utterance_mut(&mut self) -> Option<&mut Utterance> {
        self.utterances
            .iter_mut()
            .find(|utterance| utterance.state == UtteranceState::Open)
    }

    /// The utterance if its caller is silent at present: what is said about an earlier pause is void.
    fn paused_utterance_mut(&mut self, id: UtteranceId) -> Option<&mut Utterance> {
        self.utterance_mut(id)
            .filter(|utterance| utterance.state == UtteranceState::Open && utterance.paused)
    }

    fn utterance_mut(&mut self, id: UtteranceId) -> Option<&mut Utterance> {
        self.utterances
            .iter_mut()
            .find(|utterance| utterance.id == id)
    }

    pub(super) fn open_manual_utterance(&mut self, out: &mut Vec<Output>) {
        if self.current_utterance().is_none() {
            let item_id = self.ids.next("item");
            self.open_utterance(item_id, out);
        }
    }

    pub(super) fn open_utterance(&mut self, item_id: String, out: &mut Vec<Output>) {
        let id = self.number();
        self.begin_speech();
        self.utterances.push(Utterance {
            id,
            item_id,
            state: UtteranceState::Open,
            paused: false,
            partial: None,
            end_of_turn: None,
            speculative: None,
            failure: None,
        });
        out.push(Output::OpenStt(id, self.stt_options()));
    }

    pub(super) fn drop_current_utterance(&mut self, out: &mut Vec<Output>) {
        self.drop_speculation(out);
        if let Some(at) = self
            .utterances
            .iter()
            .position(|utterance| utterance.state == UtteranceState::Open)
        {
            let utterance = self.utterances.remove(at);
            out.push(Output::DropStt(utterance.id));
        }
    }

    /// First silence after speech: transcribe while the end of the turn is still open.
    pub(super) fn pause(&mut self, out: &mut Vec<Output>) {
        self.forward(out);
        if let Some(utterance) = self.current_utterance_mut() {
            utterance.paused = true;
            out.push(Output::SttPause(utterance.id));
        }
    }

    /// The caller goes on: the guess is discarded without a trace.
    pub(super) fn resume(&mut self, out: &mut Vec<Output>) {
        self.drop_speculation(out);
        if let Some(utterance) = self.current_utterance_mut() {
            utterance.paused = false;
            utterance.partial = None;
            utterance.end_of_turn = None;
            out.push(Output::SttResume(utterance.id));
        }
    }

    /// Turns the buffer into a user item under the current utterance's id.
    pub(super) fn commit(&mut self, answers: bool, out: &mut Vec<Output>) {
        let format = self.input_format();
        let audio = self.listener.take_buffer(format);
        let audio_ms = format.duration_ms(audio.len() as u64);
        let Some(utterance) = self.current_utterance_mut() else {
            return;
        };
        let id = utterance.id;
        let item_id = utterance.item_id.clone();
        let speculative = utterance.speculative.take();
        let failure = utterance.failure.take();
        utterance.state = if answers {
            UtteranceState::Answered
        } else {
            UtteranceState::Committed
        };
        let mut entry = Entry::new(audio_item(&item_id));
        entry.audio = audio;
        entry.audio_ms = audio_ms;
        entry.format = format;
        entry.transcript_pending = true;
        self.announce_committed(entry, out);
        if let Some(error) = failure {
            self.transcription_failed(id, &error, out);
            return;
        }
        out.push(Output::SttEnd(id));
        if self.is_duplex() && answers {
            if let Some(utterance) = self.utterance_mut(id) {
                utterance.state = UtteranceState::Committed;
            }
            self.answer_turn(out);
            return;
        }
        if let Some(reply) = speculative {
            if answers {
                if let Some(utterance) = self.utterance_mut(id) {
                    utterance.state = UtteranceState::Committed;
                }
                self.release(reply, out);
            } else {
                self.drop_speculation(out);
            }
        }
    }

    /// An item without speech, after a silence (spec/realtime §1.5, idle time-out).
    pub(super) fn commit_silence(&mut self, item_id: &str, out: &mut Vec<Output>) {
        self.announce_committed(Entry::new(audio_item(item_id)), out);
    }

    fn announce_committed(&mut self, entry: Entry, out: &mut Vec<Output>) {
        let item = entry.item.clone();
        let item_id = item.id.clone();
        let previous_item_id = self.conversation.push(entry);
        for event in [
            ServerEvent::AudioCommitted {
                item_id,
                previous_item_id: previous_item_id.clone(),
            },
            ServerEvent::ItemAdded {
                item: item.clone(),
                previous_item_id: previous_item_id.clone(),
            },
            ServerEvent::ItemDone {
                item,
                previous_item_id,
            },
        ] {
            out.push(Output::Send(event));
        }
    }

    /// Starts transcribing audio that came inside an item; `samples` are 16 kHz mono.
    pub(super) fn transcribe_item(
        &mut self,
        item_id: String,
        samples: &[i16],
        out: &mut Vec<Output>,
    ) {
        let id = self.number();
        self.utterances.push(Utterance {
            id,
            item_id,
            state: UtteranceState::Committed,
            paused: false,
            partial: None,
            end_of_turn: None,
            speculative: None,
            failure: None,
        });
        out.push(Output::OpenStt(
            id,
            SttOptions {
                judge_turn: false,
                ..self.stt_options()
            },
        ));
        out.push(Output::SttAudio(id, samples.into()));
        out.push(Output::SttEnd(id));
    }

    pub(super) fn on_stt(&mut self, id: UtteranceId, news: SttNews, out: &mut Vec<Output>) {
        match news {
            SttNews::Partial(text) => {
                self.show_partial(id, &text, out);
                let Some(utterance) = self.paused_utterance_mut(id) else {
                    return;
                };
                utterance.partial = Some(text);
                self.judge_by_text(id);
                self.speculate(id, out);
                self.end_if_finished(out);
            }
            SttNews::EndOfTurn(probability) => {
                let Some(utterance) = self.paused_utterance_mut(id) else {
                    return;
                };
                utterance.end_of_turn = Some(probability);
                self.speculate(id, out);
                self.end_if_finished(out);
            }
            SttNews::Final {
                text,
                audio_ms,
                logprobs,
            } => {
                self.regain(Part::Ears, out);
                self.transcribed(
                    id,
                    &Transcript {
                        text,
                        audio_ms,
                        logprobs,
                    },
                    out,
                );
            }
            SttNews::Failed(error) => self.transcription_failed(id, &error, out),
        }
    }

    /// Where no turn model answers, a transcript that ends like a sentence counts as finished.
    fn judge_by_text(&mut self, id: UtteranceId) {
        if let Some(utterance) = self.paused_utterance_mut(id)
            && utterance.end_of_turn.is_none()
            && utterance.partial.as_deref().is_some_and(reads_as_finished)
        {
            utterance.end_of_turn = Some(0.6);
        }
    }

    /// Prepares a reply while the silence still has to prove itself.
    fn speculate(&mut self, id: UtteranceId, out: &mut Vec<Output>) {
        if !self.policy.speculate || self.settings.kind == SessionKind::Transcription {
            return;
        }
        let Some(detection) = &self.settings.input.turn_detection else {
            return;
        };
        if !detection.creates_response() || self.active_default().is_some() {
            return;
        }
        let sure_at = match detection {
            TurnDetection::ServerVad { .. } => None,
            TurnDetection::SemanticVad { eagerness, .. } => Some(semantic_limits(*eagerness).1),
        };
        let Some(utterance) = self.utterances.iter().find(|utterance| utterance.id == id) else {
            return;
        };
        let likely = sure_at.is_none_or(|sure| utterance.end_of_turn.is_some_and(|p| p >= sure));
        let words = utterance.partial.as_deref().unwrap_or_default().trim();
        let words = words.to_owned();
        let open = utterance.state == UtteranceState::Open && utterance.paused;
        if !open {
            return;
        }
        if let Some(guess) = utterance.speculative {
            if self.was_prepared_for(guess, &words) {
                return;
            }
            // the transcript of this pause has changed: what was prepared answers other words
            self.drop_speculation(out);
        }
        if !likely || words.is_empty() {
            return;
        }
        let reply = self.prepare(id, words, out);
        if let Some(utterance) = self.utterance_mut(id) {
            utterance.speculative = reply;
        }
    }

    fn transcribed(&mut self, id: UtteranceId, heard: &Transcript, out: &mut Vec<Output>) {
        let Some(at) = self
            .utterances
            .iter()
            .position(|utterance| utterance.id == id)
        else {
            return;
        };
        let utterance = self.utterances.remove(at);
        let text = heard.text.trim();
        if let Some(entry) = self.conversation.get_mut(&utterance.item_id) {
            entry.transcript_pending = false;
            entry.set_transcript(text.to_owned());
        }
        out.push(Output::Mark(Mark::Transcript));
        if self.transcribes() {
            self.announce_transcript(&utterance.item_id, heard, out);
        }
        match utterance.state {
            _ if self.settings.kind == SessionKind::Transcription => {}
            UtteranceState::Answered if text.is_empty() => self.answer_what_is_left(out),
            UtteranceState::Answered => self.answer_turn(out),
            UtteranceState::Voided if !text.is_empty() => self.owed = Owed::AfterSpeech,
            UtteranceState::Voided | UtteranceState::Open | UtteranceState::Committed => {}
        }
        self.wake_waiting(out);
        if text.is_empty() {
            self.was_noise();
        }
    }

    fn transcribes(&self) -> bool {
        self.settings.input.transcription.is_some()
            || self.settings.kind == SessionKind::Transcription
    }

    fn announce_transcript(&self, item_id: &str, heard: &Transcript, out: &mut Vec<Output>) {
        let text = heard.text.trim();
        if !text.is_empty() {
            out.push(Output::Send(ServerEvent::TranscriptionDelta {
                item_id: item_id.to_owned(),
                content_index: 0,
                delta: text.to_owned(),
            }));
        }
        let logprobs = self.wants_logprobs().then(|| {
            let tokens = heard.logprobs.iter();
            tokens
                .map(|(token, p)| LogProb {
                    bytes: token.clone().into_bytes(),
                    token: token.clone(),
                    logprob: f64::from(*p),
                })
                .collect()
        });
        out.push(Output::Send(ServerEvent::TranscriptionCompleted {
            item_id: item_id.to_owned(),
            content_index: 0,
            transcript: text.to_owned(),
            usage: TranscriptionUsage::Duration {
                seconds: heard.audio_ms as f64 / 1000.0,
            },
            logprobs,
        }));
    }

    pub(super) fn transcription_failed(
        &mut self,
        id: UtteranceId,
        error: &ErrorBody,
        out: &mut Vec<Output>,
    ) {
        let Some(at) = self
            .utterances
            .iter()
            .position(|utterance| utterance.id == id)
        else {
            return;
        };
        if self.utterances[at].state == UtteranceState::Open {
            self.utterances[at].failure = Some(error.clone());
            self.drop_speculation(out);
            return;
        }
        let utterance = self.utterances.remove(at);
        if let Some(entry) = self.conversation.get_mut(&utterance.item_id) {
            entry.transcript_pending = false;
        }
        if !self.is_duplex() {
            self.lose(Part::Ears, error, out);
        }
        if self.transcribes() {
            out.push(Output::Send(ServerEvent::TranscriptionFailed {
                item_id: utterance.item_id.clone(),
                content_index: 0,
                error: TranscriptionError {
                    kind: "server_error".to_owned(),
                    code: error.code.clone().unwrap_or_default(),
                    message: error.message.clone(),
                },
            }));
        } else if !self.is_duplex() {
            // a model that hears by itself needs no words either
            send_error(error.clone(), out);
        }
        self.fail_waiting(error, out);
        if utterance.state == UtteranceState::Answered {
            self.answer_what_is_left(out);
            self.excuse_deafness(out);
        }
    }
}

fn audio_item(id: &str) -> Item {
    Item::new(
        id,
        ItemStatus::Completed,
        ItemBody::Message {
            role: Role::User,
            content: vec![ContentPart::InputAudio {
                audio: None,
                transcript: None,
            }],
        },
    )
}

/// Whether a transcript ends like a finished sentence and not in the middle of one ("…").
fn reads_as_finished(text: &str) -> bool {
    let text = text.trim_end();
    text.ends_with(['.', '!', '?', '。', '！', '？']) && !text.ends_with("...")
}
