//! Turns that the client ends: sound while nobody watches for turns, its commit and its clear.
//! Called by `listen` for sound, by the session for the client's events and settings.
//! Never decides that a turn has ended.

use wire::realtime::{ErrorBody, ServerEvent};

use super::super::Session;
use super::super::output::Output;
use crate::ask::Hears;
use crate::audio::{Decoder, Format};

/// Shortest audio a client may commit (spec/realtime §2.4).
const MIN_COMMIT_MS: u64 = 100;
/// So much is kept from transcription that hears a turn as a whole. A longer turn is given to it as it comes, so that
/// a commit never decodes more than this at once.
const HELD_BACK_MS: u64 = 15_000;

impl Session {
    /// Sound that is in the buffer already, while the client ends its turns itself.
    pub(super) fn hear_unwatched(&mut self, chunk: &[u8], format: Format, out: &mut Vec<Output>) {
        if self.current_utterance().is_some() {
            let listener = &mut self.listener;
            let decoder = listener.decoder.get_or_insert_with(|| Decoder::new(format));
            decoder.push(chunk, &mut listener.unheard);
            return;
        }
        let waits_ms = format.duration_ms(self.listener.buffer.len() as u64);
        let kept = self.policy.hears == Hears::Whole && !self.is_duplex();
        if kept && waits_ms < HELD_BACK_MS {
            // much of what is sent is cleared again, and costs nothing but its place until then
            return;
        }
        self.open_manual_utterance(out);
        let decoder = self.decode_buffer(format);
        self.listener.decoder = Some(decoder);
    }

    /// Decodes all that waits for a commit, for an utterance that begins with it; the decoder goes on behind it.
    fn decode_buffer(&mut self, format: Format) -> Decoder {
        let listener = &mut self.listener;
        let mut decoder = Decoder::new(format);
        listener.unheard.clear();
        decoder.push(&listener.buffer, &mut listener.unheard);
        decoder
    }

    /// `input_audio_buffer.commit`.
    pub(in super::super) fn commit_by_client(
        &mut self,
        out: &mut Vec<Output>,
    ) -> Result<(), ErrorBody> {
        let format = self.input_format();
        let bytes = self.listener.buffer.len() as u64;
        if format.duration_ms(bytes) < MIN_COMMIT_MS {
            let ms = bytes as f64 / f64::from(format.bytes_per_ms());
            return Err(ErrorBody::invalid(
                "input_audio_buffer_commit_empty",
                format!(
                    "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but buffer only has {ms:.2}ms of audio."
                ),
            ));
        }
        if self.current_utterance().is_none() {
            // nobody has heard any of it: it was kept back, or turn detection takes it for no speech
            let item_id = self.ids.next("item");
            self.open_utterance(item_id, out);
            let mut decoder = self.decode_buffer(format);
            decoder.flush(&mut self.listener.unheard);
        } else if self.settings.input.turn_detection.is_none()
            && let Some(decoder) = &mut self.listener.decoder
        {
            decoder.flush(&mut self.listener.unheard);
        }
        self.forward(out);
        if let Some(detector) = &mut self.listener.detector {
            detector.endpointer_mut().reset_speech();
        }
        self.listener.recent.clear();
        self.commit(false, out);
        Ok(())
    }

    /// `input_audio_buffer.clear`.
    pub(in super::super) fn clear_buffer(&mut self, out: &mut Vec<Output>) {
        self.forget_speech(out);
        out.push(Output::Send(ServerEvent::AudioCleared));
    }

    /// Turn detection was switched on or off: what was being heard belongs to neither mode.
    pub(in super::super) fn change_turn_mode(&mut self, out: &mut Vec<Output>) {
        if self.settings.input.turn_detection.is_some() {
            self.drop_current_utterance(out);
            let format = self.input_format();
            self.listener.watch(format);
        } else if let Some(detector) = &mut self.listener.detector {
            // speech already under way stays in the buffer for the client to commit
            detector.endpointer_mut().reset_speech();
        }
    }

    fn forget_speech(&mut self, out: &mut Vec<Output>) {
        self.drop_current_utterance(out);
        let format = self.input_format();
        self.listener.clear(format);
        if let Some(detector) = &mut self.listener.detector {
            detector.endpointer_mut().reset_speech();
        }
    }
}

#[cfg(test)]
mod tests;
