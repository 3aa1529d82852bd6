//! Interruption: what the caller heard is known, and the conversation is cut there.
//! Entered when speech begins while the assistant talks, and by `conversation.item.truncate`.
//! Never guesses beyond the paced clock: a channel with playback marks reports through truncate.

use wire::realtime::session::TurnDetection;
use wire::realtime::{ErrorBody, ServerEvent};

use super::Session;
use super::items::Cut;
use super::output::{Mark, Output};
use super::reply::Message;
use super::respond::End;
use super::transcript::UtteranceState;

/// The clock of the audio that a client is playing: it starts when the first slice is sent and runs at real time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Playback {
    item_id: String,
    started_ms: u64,
    sent_ms: u64,
}

impl Session {
    /// Notes that `ms` of an item's speech were sent.
    pub(super) fn play(&mut self, item_id: &str, ms: u64) {
        match &mut self.playback {
            Some(playback) if playback.item_id == item_id => playback.sent_ms += ms,
            _ => {
                // a client queues what follows behind what it is still playing
                let started_ms = self.playback_end_ms();
                self.playback = Some(Playback {
                    item_id: item_id.to_owned(),
                    started_ms,
                    sent_ms: ms,
                });
            }
        }
    }

    /// When the client will have played everything sent so far; never in the past.
    pub(super) fn playback_end_ms(&self) -> u64 {
        self.playback.as_ref().map_or(self.now_ms, |playback| {
            self.now_ms.max(playback.started_ms + playback.sent_ms)
        })
    }

    /// Whether the caller is hearing the assistant right now.
    pub(super) fn is_playing(&self) -> bool {
        self.playback_end_ms() > self.now_ms
    }

    /// The caller began to speak.
    pub(super) fn interrupt(&mut self, out: &mut Vec<Output>) {
        if !self
            .settings
            .input
            .turn_detection
            .as_ref()
            .is_some_and(TurnDetection::interrupts)
        {
            return;
        }
        // an answer that has not begun is void: the caller goes on, and both turns are answered together
        for utterance in &mut self.utterances {
            if utterance.state == UtteranceState::Answered {
                utterance.state = UtteranceState::Committed;
            }
        }
        self.answer_next = false;
        let active = self.active_default().map(|reply| reply.id);
        if active.is_some() || self.is_playing() {
            out.push(Output::Mark(Mark::BargeIn));
        }
        self.cut_at_playback();
        if let Some(id) = active {
            self.finish(id, End::Cancelled("turn_detected"), out);
        }
    }

    /// Cuts the item being played where the paced clock stands, for the model's eyes.
    fn cut_at_playback(&mut self) {
        let Some(playback) = self.playback.take() else {
            return;
        };
        if self.now_ms >= playback.started_ms + playback.sent_ms {
            return;
        }
        let heard_ms = self.now_ms.saturating_sub(playback.started_ms);
        self.sync_running(&playback.item_id);
        if let Some(entry) = self.conversation.get_mut(&playback.item_id)
            && !entry.is_truncated()
        {
            entry.cut = Cut::Heard(entry.heard_after(heard_ms));
        }
    }

    /// Brings the record of an item up to date while its reply is still running.
    fn sync_running(&mut self, item_id: &str) {
        let running = self
            .replies
            .iter()
            .position(|r| matches!(&r.message, Message::Open(id, _) if id == item_id));
        let Some(at) = running else { return };
        let reply = self.replies.remove(at);
        self.record_speech(&reply, item_id);
        if let Some(entry) = self.conversation.get_mut(item_id)
            && !entry.is_truncated()
        {
            entry.set_running_transcript(reply.sent_text());
        }
        self.replies.push(reply);
    }

    /// `conversation.item.truncate`: the client says exactly what was heard.
    pub(super) fn truncate_item(
        &mut self,
        item_id: &str,
        content_index: u32,
        audio_end_ms: u64,
        out: &mut Vec<Output>,
    ) -> Result<(), ErrorBody> {
        self.sync_running(item_id);
        let bytes_per_ms =
            u64::from(super::listen::format_of(self.settings.output.format).bytes_per_ms());
        let Some(entry) = self.conversation.get_mut(item_id) else {
            return Err(ErrorBody::invalid(
                "item_truncate_invalid_item_id",
                format!("Error truncating item: the item with id '{item_id}' does not exist."),
            )
            .at("item_id"));
        };
        if !entry.is_assistant_audio() || content_index != 0 {
            return Err(ErrorBody::invalid(
                "unsupported_content_type",
                "Only model output audio messages can be truncated",
            ));
        }
        if entry.is_truncated() {
            return Err(ErrorBody::invalid(
                "item_already_truncated",
                format!(
                    "Error truncating item: the item with id '{item_id}' was truncated before."
                ),
            ));
        }
        if audio_end_ms > entry.audio_ms {
            let message = format!(
                "Audio content of {}ms is already shorter than {audio_end_ms}ms",
                entry.audio_ms
            );
            return Err(ErrorBody::invalid("", message).without_code());
        }
        let heard = entry.heard_after(audio_end_ms);
        let transcript = entry
            .transcript()
            .and_then(|t| t.get(..heard))
            .unwrap_or_default();
        let transcript = transcript.to_owned();
        entry.set_transcript(transcript);
        entry.cut = Cut::Truncated;
        let keep = (audio_end_ms * bytes_per_ms) as usize;
        let audio = entry.audio.slice(..keep.min(entry.audio.len()));
        self.conversation.set_audio(item_id, audio, audio_end_ms);
        if self
            .playback
            .as_ref()
            .is_some_and(|playback| playback.item_id == item_id)
        {
            self.playback = None;
        }
        out.push(Output::Send(ServerEvent::ItemTruncated {
            item_id: item_id.to_owned(),
            content_index,
            audio_end_ms,
        }));
        Ok(())
    }
}
