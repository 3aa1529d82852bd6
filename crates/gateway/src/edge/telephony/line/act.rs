//! What a call does when the carrier, the session or the clock has news.
//! Part of the task of a call.
//! Never awaits the session or the database: what they are told waits in queues.

use axum::extract::ws::Message;
use engine::call::dtmf::Key;
use engine::call::ledger::{Cut, Marks};
use engine::call::state::{HangupReason, Party};
use engine::call::voicemail::Sign;
use serde_json::Value;
use wire::realtime::ServerEvent;
use wire::realtime::client::{ClientAction, ClientEvent, Position};
use wire::realtime::session::TurnDetection;
use wire::telephony::{Dialect, Heard, Media, Say, Track};

use super::super::bind::Opens;
use super::super::opening::incoming;
use super::sound::Queued;
use super::texts::{system, transcript_of};
use super::{Awaited, Caller, LAST_WORDS_MS, Leaving, Line, Replying, ending};
use crate::calls::{Ending, Entry};
use crate::edge::{Closing, Inbound, Outbound};

/// A jump of the carrier's clock that is no jitter, in ms.
const GAP_MS: u64 = 60;
/// Most silence that stands for sound that never came, in ms (spec/telephony §4.5).
const MOST_SILENCE_MS: u64 = 10_000;
/// Longest time that a carrier may ask us to send nothing, in ms.
const MOST_WAIT_MS: u64 = 10_000;

impl Line {
    /// What the session is told first.
    pub(super) fn begin(&mut self, instructions: Option<String>, opens: Opens) {
        if let Some(own) = instructions {
            self.hand_on_event(ClientAction::ItemCreate {
                position: Position::End,
                id: None,
                body: system(&own),
            });
        }
        if opens == Opens::Agent {
            self.answer();
        }
    }

    pub(super) fn hand_on_event(&mut self, action: ClientAction) {
        let event = ClientEvent {
            event_id: None,
            action,
        };
        self.hand_on(Inbound::Event(Box::new(event), None));
    }

    /// Asks for a response.
    pub(super) fn answer(&mut self) {
        self.hand_on_event(ClientAction::ResponseCreate(Box::default()));
    }

    /// What the carrier says. The call is over when something comes back.
    pub(super) async fn on_message(&mut self, message: &Message) -> Option<Ending> {
        let incoming = incoming(message)?;
        let now_ms = self.now_ms();
        let heard = match self.codec.read(incoming) {
            Ok(heard) => heard,
            Err(refused) => {
                let carrier = self.codec.dialect().name();
                self.app
                    .metrics
                    .calls()
                    .protocol_error(carrier, "refused_frame");
                if !refused.ends_the_stream() {
                    return None;
                }
                tracing::warn!(reason = %refused, "a media stream is ended");
                self.close_code(refused.close_code()).await;
                return Some(ending(HangupReason::CarrierError, Party::System));
            }
        };
        match heard {
            Heard::Media(media) => self.on_media(&media, now_ms),
            Heard::Dtmf(key) => {
                if let Some(key) = Key::of(key.digit) {
                    self.on_key(key, now_ms);
                }
            }
            Heard::Mark(echo) => {
                if let Some(number) = self.sound.echo(echo.mark, echo.played) {
                    self.words.note_heard(number);
                    self.complete_turns();
                }
            }
            Heard::Prompt(prompt) if prompt.last => {
                let text = prompt.text.into_owned();
                self.on_prompt(&text, now_ms);
            }
            Heard::Interrupted(interrupted) => {
                let heard = interrupted.heard.into_owned();
                self.on_interrupted(&heard, now_ms);
            }
            // what it is owed is said last, behind frames that are still to be sent
            Heard::Stop(_) => return Some(ending(HangupReason::CallerHangup, Party::Caller)),
            Heard::Trouble(trouble) => {
                let carrier = self.codec.dialect().name();
                tracing::warn!(carrier, code = trouble.code, "a carrier reports an error");
                self.app.metrics.calls().protocol_error(carrier, "reported");
                if let Some(wait_ms) = trouble.retry_after_ms {
                    self.sound.hold(now_ms + wait_ms.min(MOST_WAIT_MS));
                }
            }
            Heard::Prompt(_)
            | Heard::Connected
            | Heard::Start(_)
            | Heard::Cleared
            | Heard::Playback(_)
            | Heard::Flow(_)
            | Heard::Ignored(_) => {}
        }
        self.owed();
        None
    }

    pub(super) fn on_media(&mut self, media: &Media<'_>, now_ms: u64) {
        if media.track != Track::Inbound {
            return;
        }
        if self.codec.decode(media, self.ear.buffer()).is_err() || self.ear.buffer().is_empty() {
            return;
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.caller(now_ms, self.ear.buffer());
        }
        self.listen_for_beep(now_ms);
        let duration_ms = self.ear.duration_ms();
        if let Some(at_ms) = media.timestamp_ms {
            let expected_ms = self.heard_until_ms.unwrap_or(at_ms);
            let missing_ms = at_ms.saturating_sub(expected_ms);
            // what was filled in while nothing came is not filled in twice
            let filled_ms = std::mem::take(&mut self.filled);
            if missing_ms > GAP_MS {
                self.app.metrics.calls().gap(missing_ms);
                let silence_ms = missing_ms.min(MOST_SILENCE_MS).saturating_sub(filled_ms);
                if silence_ms > 0 {
                    let silence = self.ear.silence(silence_ms);
                    self.hand_on_silence(&silence);
                }
            }
            self.heard_until_ms = Some(at_ms.max(expected_ms) + duration_ms);
        }
        self.heard_at_ms = now_ms;
        let sound = self.ear.heard();
        if !sound.is_empty() {
            self.hand_on(Inbound::Audio(sound));
        }
    }

    /// Silence in pieces of the length of a frame, so that the queue of the session can be counted in frames.
    pub(super) fn hand_on_silence(&mut self, silence: &bytes::Bytes) {
        let piece = crate::edge::SLICE_BYTES.min(silence.len().max(1));
        let mut rest = silence.clone();
        while !rest.is_empty() {
            let next = rest.split_to(piece.min(rest.len()));
            self.hand_on(Inbound::Audio(next));
        }
    }

    /// What the session says.
    pub(super) fn on_news(&mut self, news: Outbound) {
        match news {
            Outbound::Event(event, _room) => self.on_event(*event),
            Outbound::FirstAudio(_) => {}
            Outbound::Close(closing) => self.on_close(&closing),
        }
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each event")]
    pub(super) fn on_event(&mut self, event: ServerEvent) {
        let now_ms = self.now_ms();
        match event {
            ServerEvent::SpeechStarted { item_id, .. } => self.on_speech(&item_id, now_ms),
            ServerEvent::SpeechStopped { item_id, .. } => {
                self.words.caller_ends(&item_id, now_ms);
                self.on_sign(Sign::SpeechStopped, now_ms);
                self.caller = Caller::Quiet;
                self.turn_ended_ms = Some(now_ms);
                self.timers.caller_active(now_ms);
            }
            ServerEvent::TranscriptionCompleted {
                item_id,
                transcript,
                ..
            } => {
                self.on_sign(Sign::Words(&transcript), now_ms);
                self.on_sign(Sign::WordsEnded, now_ms);
                if let Some(turn) = self.words.caller_said(&item_id, &transcript, now_ms) {
                    self.book.note(Entry::Turn(turn));
                }
            }
            ServerEvent::TranscriptionFailed { item_id, .. } => self.words.caller_unheard(&item_id),
            ServerEvent::ResponseCreated { .. } if self.holds_its_tongue() => {
                self.hand_on_event(ClientAction::ResponseCancel { response_id: None });
            }
            ServerEvent::OutputAudioDelta { .. } if self.holds_its_tongue() => {}
            ServerEvent::ResponseCreated { .. } => {
                self.replying = Replying::Yes;
                self.timers.speaking();
                if let Some(leaving) = &mut self.leaving {
                    leaving.words = Awaited::Nothing;
                }
            }
            ServerEvent::ResponseDone { .. } => {
                self.replying = Replying::No;
                self.sound.end_of_utterance();
                if std::mem::take(&mut self.owed_answers) > 0 {
                    self.answer();
                }
            }
            ServerEvent::SessionCreated { session } | ServerEvent::SessionUpdated { session } => {
                self.turn_detection = session.input.turn_detection;
            }
            ServerEvent::OutputAudioDelta {
                item_id,
                content_index,
                delta,
                ..
            } => self.on_sound((&item_id, content_index), &delta.0, now_ms),
            ServerEvent::OutputAudioDone { item_id, .. } => {
                self.sound.end_of_utterance();
                self.words.agent_ends(&item_id, self.sound.last_mark());
                // its last mark may be back already
                self.complete_turns();
            }
            ServerEvent::OutputTranscriptDone {
                item_id,
                transcript,
                ..
            } => {
                self.words.agent_words(&item_id, &transcript);
                self.complete_turns();
            }
            ServerEvent::OutputTextDelta { item_id, delta, .. } => {
                self.words.agent_sounds(&item_id, 0, now_ms);
                self.speak_text(&delta, false);
            }
            ServerEvent::OutputTextDone { item_id, text, .. } => {
                self.speak_text("", true);
                self.words.agent_words(&item_id, &text);
                self.words.agent_ends(&item_id, 0);
            }
            ServerEvent::ItemRetrieved { item } => {
                if let Some(turn) = self.words.agent_left(&item.id, &transcript_of(&item.body)) {
                    self.book.note(Entry::Turn(turn));
                }
            }
            ServerEvent::FunctionArgumentsDone {
                call_id,
                name,
                arguments,
                ..
            } => self.on_function(call_id, &name, &arguments),
            ServerEvent::Error { error } => {
                tracing::debug!(
                    code = error.code,
                    "the session reports an error to the call"
                );
            }
            _ => {}
        }
    }

    /// The caller begins to speak.
    pub(super) fn on_speech(&mut self, item_id: &str, now_ms: u64) {
        self.words.caller_begins(item_id, now_ms);
        self.caller = Caller::Speaks;
        self.on_their_speech(now_ms);
        self.timers.caller_active(now_ms);
        self.timers.speaking();
        self.barge_in(now_ms);
    }

    /// Whoever is spoken over is silent at once: the carrier throws away what it has, and the conversation ends where it was
    /// heard (spec/telephony §4.5).
    pub(super) fn barge_in(&mut self, now_ms: u64) {
        let interrupts = self.turn_detection.as_ref();
        let mut cuts = Vec::new();
        if !interrupts.is_some_and(TurnDetection::interrupts)
            || !self.sound.interrupt(now_ms, &mut cuts)
        {
            return;
        }
        self.say(Say::Clear);
        self.record_cut(now_ms);
        self.app
            .metrics
            .calls()
            .barged_in(self.codec.dialect().name());
        for cut in cuts {
            self.cut(&cut);
        }
    }

    /// Tells the session what was heard of an item, and asks what is left of its words.
    pub(super) fn cut(&mut self, cut: &Cut) {
        self.words.agent_cut(&cut.item, cut.heard_ms);
        self.hand_on_event(ClientAction::ItemTruncate {
            item_id: cut.item.clone(),
            content_index: cut.content_index,
            audio_end_ms: cut.heard_ms,
        });
        self.hand_on_event(ClientAction::ItemRetrieve {
            item_id: cut.item.clone(),
        });
    }

    /// What is being said is broken off, for words that are more important.
    pub(super) fn cut_short(&mut self, now_ms: u64) {
        if self.replying == Replying::Yes {
            self.hand_on_event(ClientAction::ResponseCancel { response_id: None });
        }
        let mut cuts = Vec::new();
        if self.sound.interrupt(now_ms, &mut cuts) {
            self.say(Say::Clear);
            self.record_cut(now_ms);
            for cut in cuts {
                self.cut(&cut);
            }
        }
    }

    pub(super) fn on_sound(&mut self, part: (&str, u32), sound: &bytes::Bytes, now_ms: u64) {
        match self.sound.play(part, sound, now_ms) {
            Queued::Yes => {
                let ms = self.sound.duration_ms(sound.len());
                self.words.agent_sounds(part.0, ms, now_ms);
                self.timers.speaking();
                if let Some(since_ms) = self.turn_ended_ms.take() {
                    let carrier = self.codec.dialect().name();
                    let after_ms = now_ms.saturating_sub(since_ms);
                    self.app.metrics.calls().answered_after(carrier, after_ms);
                }
            }
            Queued::Late => {}
            Queued::Dropped(ms) => self.app.metrics.calls().sound_dropped(ms),
        }
    }

    /// Writes down the turns that are complete by the marks that came back.
    pub(super) fn complete_turns(&mut self) {
        if self.sound.marks() == Marks::Sent {
            let mut turns = std::mem::take(&mut self.turns);
            self.words.complete(&mut turns);
            if !turns.is_empty() {
                self.agent_was_heard();
            }
            for turn in turns.drain(..) {
                self.book.note(Entry::Turn(turn));
            }
            self.turns = turns;
        }
    }

    /// Everything before mark `number` was heard.
    pub(super) fn heard_up_to(&mut self, number: u64) {
        let mut turns = std::mem::take(&mut self.turns);
        self.words.heard_up_to(number, &mut turns);
        for turn in turns.drain(..) {
            self.book.note(Entry::Turn(turn));
        }
        self.turns = turns;
    }

    /// The session ends the conversation.
    pub(super) fn on_close(&mut self, closing: &Closing) {
        self.session_over = true;
        let by_agent = closing.reason == "call_ended";
        let over = if by_agent {
            ending(HangupReason::AgentEnd, Party::Agent)
        } else if closing.reason.contains("maximum duration") {
            ending(HangupReason::MaxDuration, Party::System)
        } else {
            let mut failed = ending(HangupReason::UpstreamError, Party::System);
            failed.error = Some("session_closed");
            failed
        };
        let until_ms = self.now_ms() + LAST_WORDS_MS;
        match &mut self.leaving {
            Some(leaving) => leaving.words = Awaited::Nothing,
            None => {
                self.leaving = Some(Leaving {
                    ending: over,
                    until_ms,
                    words: Awaited::Nothing,
                });
            }
        }
    }

    /// What the clock has news of. The call is over when something comes back.
    pub(super) fn on_time(&mut self) -> Option<Ending> {
        let now_ms = self.now_ms();
        self.send_due(now_ms);
        if let Some(number) = self.sound.overdue(now_ms) {
            let carrier = self.codec.dialect().name();
            self.app.metrics.calls().protocol_error(carrier, "no_marks");
            self.words.note_heard(number);
            self.complete_turns();
        }
        let quiet = self.sound.is_quiet(now_ms);
        if quiet && self.sound.marks() == Marks::Clock && self.codec.dialect() != Dialect::Relay {
            self.heard_up_to(u64::MAX);
        }
        self.hand_over(quiet, now_ms);
        self.attend_machine(now_ms);
        // whoever is being passed on is not asked whether they are there
        let rests = self.caller == Caller::Quiet && self.handing.is_none();
        if quiet && rests && self.replying == Replying::No {
            self.timers.resting(now_ms);
        }
        self.fill_stall(now_ms);
        if let Some(gathered) = self.keys.due(now_ms) {
            self.on_keys(&gathered);
        }
        while let Some(due) = self.timers.due(now_ms) {
            self.on_limit(due);
        }
        let leaving = self.leaving.as_ref()?;
        let said = quiet && self.replying == Replying::No && leaving.words == Awaited::Nothing;
        if said || now_ms >= leaving.until_ms {
            return self.leaving.take().map(|leaving| leaving.ending);
        }
        None
    }

    /// Writes down the frames that are due.
    pub(super) fn send_due(&mut self, now_ms: u64) {
        let (codec, frames, out) = (&mut self.codec, &mut self.frames, &mut self.out);
        let recorder = &mut self.recorder;
        self.sound.due(now_ms, |say| {
            if let (Some(recorder), Say::Audio(frame)) = (recorder.as_mut(), &say) {
                recorder.agent(now_ms, frame);
            }
            if let Ok(sent) = codec.write(say, out) {
                frames.push(super::super::opening::message(sent, out));
            }
        });
    }

    /// Says words of our own, as soon as nobody speaks.
    pub(super) fn speak(&mut self, words: String) {
        if !words.trim().is_empty() {
            self.hand_on(Inbound::Say(words.into()));
        }
    }

    pub(super) fn note(&mut self, kind: &'static str, details: Value) {
        self.book.note(Entry::Event { kind, details });
    }
}
