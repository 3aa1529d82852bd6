//! Interruption: what the caller heard is known, and the conversation is cut there.
//! Entered when speech begins while the assistant talks, and by `conversation.item.truncate`.
//! Never guesses beyond the paced clock: a channel with playback marks reports through truncate.

use wire::realtime::session::TurnDetection;
use wire::realtime::{ErrorBody, ServerEvent};

use super::Session;
use super::items::Cut;
use super::output::{Mark, Output};
use super::reply::Reply;
use super::respond::End;

/// The clock of one item's audio at the client: it starts when the first slice is sent, or when what is
/// queued before it has been played, and runs at real time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Playback {
    item_id: String,
    started_ms: u64,
    sent_ms: u64,
}

impl Playback {
    fn end_ms(&self) -> u64 {
        self.started_ms + self.sent_ms
    }

    fn heard_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.started_ms).min(self.sent_ms)
    }
}

impl Session {
    /// Notes that `ms` of an item's speech were sent.
    pub(super) fn play(&mut self, item_id: &str, ms: u64) {
        let now_ms = self.now_ms;
        if let Some(playback) = self.playback.back_mut()
            && playback.item_id == item_id
        {
            // a client that ran out of audio stood still until now
            playback.started_ms += now_ms.saturating_sub(playback.end_ms());
            playback.sent_ms += ms;
            return;
        }
        // a client queues what follows behind what it is still playing
        let started_ms = self.playback_end_ms();
        self.playback.retain(|earlier| earlier.end_ms() > now_ms);
        self.playback.push_back(Playback {
            item_id: item_id.to_owned(),
            started_ms,
            sent_ms: ms,
        });
    }

    /// When the client will have played everything sent so far; never in the past.
    pub(super) fn playback_end_ms(&self) -> u64 {
        self.playback
            .back()
            .map_or(self.now_ms, |last| self.now_ms.max(last.end_ms()))
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
        self.void_answers();
        self.hangs_up_at_ms = None;
        let active = self.active_default().map(|reply| reply.id);
        if active.is_some() || self.is_playing() {
            out.push(Output::Mark(Mark::BargeIn));
        }
        self.cut_at_playback();
        if let Some(id) = active {
            self.void_reply(id);
            self.finish(id, End::Cancelled("turn_detected"), out);
        }
    }

    /// Cuts the items being played or queued where the paced clock stands, for the model's eyes.
    fn cut_at_playback(&mut self) {
        let now_ms = self.now_ms;
        let speaking = self
            .active_default()
            .and_then(Reply::speaking_item)
            .map(str::to_owned);
        let mut cuts: Vec<(String, u64)> = std::mem::take(&mut self.playback)
            .into_iter()
            .filter(|item| item.end_ms() > now_ms || speaking.as_ref() == Some(&item.item_id))
            .map(|item| {
                let heard_ms = item.heard_ms(now_ms);
                (item.item_id, heard_ms)
            })
            .collect();
        // words are shown before they are spoken: an item without sound was not heard at all
        if let Some(silent) = speaking
            && cuts.iter().all(|(item_id, _)| *item_id != silent)
        {
            cuts.push((silent, 0));
        }
        for (item_id, heard_ms) in cuts {
            self.sync_running(&item_id);
            if let Some(entry) = self.conversation.get_mut(&item_id)
                && !entry.is_truncated()
            {
                entry.cut = Cut::Heard(entry.heard_after(heard_ms));
                self.tell_heard(&item_id, heard_ms);
            }
        }
    }

    /// The running reply that is speaking this item.
    fn speaker_of(&self, item_id: &str) -> Option<usize> {
        self.replies
            .iter()
            .position(|reply| reply.speaking_item() == Some(item_id))
    }

    /// Brings the record of an item up to date while its reply is still running.
    fn sync_running(&mut self, item_id: &str) {
        let Some(at) = self.speaker_of(item_id) else {
            return;
        };
        let reply = self.replies.remove(at);
        self.record_speech(&reply, item_id);
        if let Some(entry) = self.conversation.get_mut(item_id)
            && !entry.is_truncated()
        {
            entry.set_running_transcript(reply.sent_text());
        }
        self.replies.insert(at, reply);
    }

    /// `conversation.item.truncate`: the client says exactly what was heard.
    pub(super) fn truncate_item(
        &mut self,
        item_id: &str,
        content_index: u32,
        audio_end_ms: u64,
        out: &mut Vec<Output>,
    ) -> Result<(), ErrorBody> {
        let speaker = self.speaker_of(item_id).map(|at| &self.replies[at]);
        let Some(entry) = self.conversation.get(item_id) else {
            return Err(ErrorBody::invalid(
                "item_truncate_invalid_item_id",
                format!("Error truncating item: the item with id '{item_id}' does not exist."),
            )
            .at("item_id"));
        };
        let is_speech = speaker.is_some() || entry.is_assistant_audio();
        if !is_speech || content_index != 0 {
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
        let audio_ms = speaker.map_or(entry.audio_ms, Reply::audio_ms);
        if audio_end_ms > audio_ms {
            let message =
                format!("Audio content of {audio_ms}ms is already shorter than {audio_end_ms}ms");
            return Err(ErrorBody::invalid("", message).without_code());
        }
        self.sync_running(item_id);
        self.cut_by_client(item_id, audio_end_ms);
        out.push(Output::Send(ServerEvent::ItemTruncated {
            item_id: item_id.to_owned(),
            content_index,
            audio_end_ms,
        }));
        Ok(())
    }

    /// Removes the words and the audio of an item after the mark.
    fn cut_by_client(&mut self, item_id: &str, audio_end_ms: u64) {
        let Some(entry) = self.conversation.get_mut(item_id) else {
            return;
        };
        let heard = entry.heard_after(audio_end_ms);
        let transcript = entry
            .transcript()
            .and_then(|t| t.get(..heard))
            .unwrap_or_default();
        let transcript = transcript.to_owned();
        entry.set_transcript(transcript);
        entry.cut = Cut::Truncated;
        let keep = entry.format.bytes(audio_end_ms) as usize;
        let audio = entry.audio.slice(..keep.min(entry.audio.len()));
        self.conversation.set_audio(item_id, audio, audio_end_ms);
        self.playback.retain(|played| played.item_id != item_id);
        self.tell_heard(item_id, audio_end_ms);
    }
}
