//! The listening side: caller audio in, speech found, turns ended.
//! Entered by every audio frame; ends in `transcript` when an utterance is committed.
//! Never waits: what an utterance says is somebody else's news.

mod manual;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use wire::realtime::session::{Eagerness, TurnDetection};
use wire::realtime::{AudioFormat, ErrorBody, ServerEvent};

use super::output::{Mark, Output};
use super::{Detector, Session, send_error};
use crate::audio::{Decoder, EndpointConfig, Format, SpeechDetector, VadEvent};

/// Audio is examined in steps of one telephone frame, so that big appends behave like small ones.
const STEP_MS: u64 = 20;
/// Without turn detection the steps only keep the decoder's working memory small.
const UNWATCHED_STEP_MS: u64 = 1000;
/// Speech of this length starts a turn.
const MIN_SPEECH_MS: u64 = 64;
/// The first silence of this length starts speculative work.
const FIRST_SILENCE_MS: u64 = 64;
/// A turn that reads as finished ends after this much silence under `semantic_vad`.
const SEMANTIC_HOLD_MS: u64 = 200;
/// Working memory larger than this is given back.
const LARGE_BYTES: usize = 128 * 1024;
/// Samples per ms of the audio given to detection and transcription.
const SAMPLES_PER_MS: usize = 16;

/// Audio on its way from the client to detection, transcription and the next user item.
pub(super) struct Listener {
    detector_kind: Detector,
    decoder: Option<Decoder>,
    /// Made for the first sound, like the decoder: many sessions wait long for it, and some for ever.
    detector: Option<Box<SpeechDetector>>,
    /// Raw audio since the last commit (manual turns) or since a little before now (VAD).
    buffer: BytesMut,
    /// Decoded audio from before speech was detected.
    recent: VecDeque<i16>,
    /// Decoded audio of the current utterance not yet handed on.
    unheard: Vec<i16>,
    scratch: Vec<i16>,
    events: Vec<VadEvent>,
    /// Audio received before the current format was set, in ms.
    base_ms: u64,
    received_bytes: u64,
    /// Audio the detector has not heard because turn detection was off, in ms.
    unwatched_ms: u64,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener")
            .field("buffer_bytes", &self.buffer.len())
            .finish_non_exhaustive()
    }
}

impl Listener {
    pub(super) fn new(detector_kind: Detector) -> Self {
        Self {
            detector_kind,
            decoder: None,
            detector: None,
            buffer: BytesMut::new(),
            recent: VecDeque::new(),
            unheard: Vec::new(),
            scratch: Vec::new(),
            events: Vec::new(),
            base_ms: 0,
            received_bytes: 0,
            unwatched_ms: 0,
        }
    }

    /// Takes all whole samples; half a sample waits for its other half, as it does in the decoder.
    pub(super) fn take_buffer(&mut self, format: Format) -> Bytes {
        let whole = self.buffer.len() - self.half_sample(format);
        // fresh buffers instead of split: the item must not keep a larger allocation alive
        let taken = Bytes::copy_from_slice(&self.buffer[..whole]);
        self.buffer = BytesMut::from(&self.buffer[whole..]);
        taken
    }

    /// All whole samples that wait for a commit.
    pub(super) fn whole_buffer(&self, format: Format) -> &[u8] {
        &self.buffer[..self.buffer.len() - self.half_sample(format)]
    }

    fn half_sample(&self, format: Format) -> usize {
        self.buffer.len() % format.bytes_per_sample() as usize
    }

    /// Forgets the audio; the next byte begins a sample.
    fn clear(&mut self, format: Format) {
        self.received_bytes -= self.half_sample(format) as u64;
        if let Some(decoder) = &mut self.decoder {
            decoder.realign();
        }
        self.buffer = BytesMut::new();
        self.recent.clear();
        self.unheard.clear();
    }

    /// What comes next is no longer in the format `before`.
    pub(super) fn change_format(&mut self, before: Format) {
        self.decoder = None;
        self.base_ms += before.duration_ms(self.received_bytes);
        self.received_bytes = 0;
        self.buffer = BytesMut::new();
    }

    /// From here on the detector hears everything; it counts time in what it has heard.
    fn watch(&mut self, format: Format) {
        let mut decoder = Decoder::new(format);
        let half = self.buffer.len() - self.half_sample(format);
        decoder.push(&self.buffer[half..], &mut self.scratch);
        self.decoder = Some(decoder);
        let heard_ms = self
            .detector
            .as_ref()
            .map_or(0, |detector| detector.endpointer().position_ms());
        self.unwatched_ms = self.position_ms(format).saturating_sub(heard_ms);
    }

    /// Audio received since the session began, in ms.
    fn position_ms(&self, format: Format) -> u64 {
        self.base_ms + format.duration_ms(self.received_bytes)
    }
}

/// The engine's name of a wire format.
pub(super) fn format_of(format: AudioFormat) -> Format {
    match format {
        AudioFormat::Pcm24k(_) => Format::Pcm24k,
        AudioFormat::Pcmu => Format::Pcmu,
        AudioFormat::Pcma => Format::Pcma,
    }
}

/// Longest silence before `semantic_vad` ends a turn anyway, and the probability that ends it early
/// (spec/realtime §1.5 for the times; the thresholds follow from Smart Turn's own 0.5).
pub(super) fn semantic_limits(eagerness: Eagerness) -> (u64, f32) {
    match eagerness {
        Eagerness::Low => (8000, 0.7),
        Eagerness::Medium | Eagerness::Auto => (4000, 0.5),
        Eagerness::High => (2000, 0.3),
    }
}

impl Session {
    pub(super) fn input_format(&self) -> Format {
        match self.settings.input.format {
            AudioFormat::Pcm24k(_) => self.policy.caller_pcm,
            law => format_of(law),
        }
    }

    /// Audio received so far, in ms.
    pub(super) fn audio_position_ms(&self) -> u64 {
        self.listener.position_ms(self.input_format())
    }

    /// Takes caller audio in the client's format.
    pub(super) fn hear(&mut self, bytes: &[u8], event_id: Option<String>, out: &mut Vec<Output>) {
        if self.listener.buffer.len() + bytes.len() > self.policy.max_buffer_bytes {
            let message = format!(
                "The input audio buffer holds {} bytes and may hold {}: commit or clear it before appending more.",
                self.listener.buffer.len(),
                self.policy.max_buffer_bytes
            );
            let error = ErrorBody::invalid("input_audio_buffer_full", message).at("audio");
            send_error(error.answering(event_id), out);
            return;
        }
        if let Some(error) = self.too_much_audio(bytes.len()) {
            send_error(error.answering(event_id), out);
            return;
        }
        let listens = self.settings.input.turn_detection.is_some();
        let format = self.input_format();
        let step_ms = if listens { STEP_MS } else { UNWATCHED_STEP_MS };
        for chunk in bytes.chunks(format.bytes(step_ms) as usize) {
            self.hear_step(chunk, format, listens, out);
        }
        self.forward(out);
    }

    fn hear_step(&mut self, chunk: &[u8], format: Format, listens: bool, out: &mut Vec<Output>) {
        let listener = &mut self.listener;
        listener.buffer.extend_from_slice(chunk);
        listener.received_bytes += chunk.len() as u64;
        if !listens {
            self.hear_unwatched(chunk, format, out);
            return;
        }
        let config = self.endpoint_config();
        let listener = &mut self.listener;
        let decoder = listener.decoder.get_or_insert_with(|| Decoder::new(format));
        listener.scratch.clear();
        decoder.push(chunk, &mut listener.scratch);
        let kind = listener.detector_kind;
        let detector = listener
            .detector
            .get_or_insert_with(|| Box::new(SpeechDetector::new(kind.build(), config)));
        if detector.endpointer().config() != config {
            detector.endpointer_mut().configure(config);
        }
        listener.recent.extend(listener.scratch.iter().copied());
        if detector.endpointer().is_speaking() {
            listener.unheard.extend_from_slice(&listener.scratch);
        }
        let mut events = std::mem::take(&mut listener.events);
        detector.push(&listener.scratch, &mut events);
        for event in events.drain(..) {
            self.on_vad(event, out);
        }
        self.listener.events = events;
        self.end_if_finished(out);
        self.bound_buffers(format, out);
    }

    /// Hands decoded audio of the current utterance to transcription.
    pub(super) fn forward(&mut self, out: &mut Vec<Output>) {
        if self.listener.unheard.is_empty() {
            return;
        }
        if let Some(id) = self.current_utterance().map(|utterance| utterance.id) {
            if self.is_duplex() {
                self.forward_raw(out);
            } else {
                let samples: Arc<[i16]> = self.listener.unheard.as_slice().into();
                out.push(Output::SttAudio(id, samples));
            }
        }
        self.listener.unheard.clear();
        // a long append must not leave its decoded size behind for the rest of the session
        if self.listener.unheard.capacity() > LARGE_BYTES / size_of::<i16>() {
            self.listener.unheard = Vec::new();
        }
    }

    fn prefix_ms(&self) -> u64 {
        match &self.settings.input.turn_detection {
            Some(TurnDetection::ServerVad {
                prefix_padding_ms, ..
            }) => u64::from(*prefix_padding_ms),
            _ => 300,
        }
    }

    fn endpoint_config(&self) -> EndpointConfig {
        let mut config = EndpointConfig {
            min_speech_ms: MIN_SPEECH_MS,
            first_silence_ms: FIRST_SILENCE_MS,
            ..EndpointConfig::default()
        };
        match &self.settings.input.turn_detection {
            Some(TurnDetection::ServerVad {
                threshold,
                silence_duration_ms,
                ..
            }) => {
                config.threshold = *threshold;
                config.silence_ms = u64::from(*silence_duration_ms);
            }
            Some(TurnDetection::SemanticVad {
                eagerness,
                interrupt_response,
                ..
            }) => {
                // a model that hears by itself does not say whether a turn reads as finished
                config.silence_ms = if self.is_duplex() {
                    unjudged_ms(*eagerness)
                } else {
                    semantic_limits(*eagerness).0
                };
                if *interrupt_response && self.is_playing() {
                    config.min_speech_ms = backchannel_ms(*eagerness);
                }
            }
            None => {}
        }
        config
    }

    fn on_vad(&mut self, event: VadEvent, out: &mut Vec<Output>) {
        match event {
            VadEvent::SpeechStarted { at_ms } => self.speech_started(at_ms, out),
            VadEvent::FirstSilence { .. } => self.pause(out),
            VadEvent::SpeechResumed { .. } => self.resume(out),
            VadEvent::SpeechStopped {
                speech_end_ms,
                at_ms,
            } => {
                self.speech_stopped(speech_end_ms, at_ms, out);
            }
        }
    }

    fn speech_started(&mut self, at_ms: u64, out: &mut Vec<Output>) {
        self.idle_at_ms = None;
        let item_id = self.ids.next("item");
        let audio_start_ms = (at_ms + self.listener.unwatched_ms).saturating_sub(self.prefix_ms());
        let event = ServerEvent::SpeechStarted {
            audio_start_ms,
            item_id: item_id.clone(),
        };
        out.push(Output::Send(event));
        self.interrupt(out);
        self.open_utterance(item_id, out);
        // what was said from the padding on; the rest follows frame by frame
        let listener = &mut self.listener;
        listener.unheard.clear();
        listener.unheard.extend(listener.recent.iter().copied());
        let request = self.warm_request();
        out.push(Output::WarmLlm(request));
    }

    fn speech_stopped(&mut self, speech_end_ms: u64, at_ms: u64, out: &mut Vec<Output>) {
        self.forward(out);
        let Some(utterance) = self.current_utterance() else {
            return;
        };
        let item_id = utterance.item_id.clone();
        out.push(Output::Mark(Mark::TurnDecided {
            silence_ms: at_ms.saturating_sub(speech_end_ms),
        }));
        out.push(Output::Send(ServerEvent::SpeechStopped {
            audio_end_ms: at_ms + self.listener.unwatched_ms,
            item_id,
        }));
        self.listener.recent.clear();
        let answers = self
            .settings
            .input
            .turn_detection
            .as_ref()
            .is_some_and(TurnDetection::creates_response);
        self.commit(answers, out);
    }

    /// Ends the turn early when the turn model has said that it reads as finished.
    pub(super) fn end_if_finished(&mut self, out: &mut Vec<Output>) {
        let Some(TurnDetection::SemanticVad { eagerness, .. }) = self.settings.input.turn_detection
        else {
            return;
        };
        let (_, threshold) = semantic_limits(eagerness);
        let finished = self
            .current_utterance()
            .is_some_and(|u| u.paused && u.end_of_turn.is_some_and(|p| p >= threshold));
        if !finished {
            return;
        }
        let Some(detector) = &mut self.listener.detector else {
            return;
        };
        if detector.endpointer().silence_ms() < SEMANTIC_HOLD_MS {
            return;
        }
        if let Some(event) = detector.endpointer_mut().stop() {
            self.on_vad(event, out);
        }
    }

    /// Keeps only the padding while nobody speaks, and ends an utterance that goes on for ever.
    fn bound_buffers(&mut self, format: Format, out: &mut Vec<Output>) {
        let kept_ms = self.prefix_ms() + MIN_SPEECH_MS + STEP_MS;
        if self.current_utterance().is_none() {
            let keep_bytes = format.bytes(kept_ms) as usize;
            let listener = &mut self.listener;
            if listener.buffer.len() > keep_bytes {
                let drop = listener.buffer.len() - keep_bytes;
                let whole = drop - drop % format.bytes_per_sample() as usize;
                bytes::Buf::advance(&mut listener.buffer, whole);
                if listener.buffer.capacity() > LARGE_BYTES {
                    // left over from a long manual turn
                    listener.buffer = BytesMut::from(&listener.buffer[..]);
                }
            }
            let keep_samples = kept_ms as usize * SAMPLES_PER_MS;
            if listener.recent.len() > keep_samples {
                listener
                    .recent
                    .drain(..listener.recent.len() - keep_samples);
            }
            return;
        }
        self.listener.recent.clear();
        if format.duration_ms(self.listener.buffer.len() as u64) >= self.policy.max_utterance_ms
            && let Some(detector) = &mut self.listener.detector
            && let Some(event) = detector.endpointer_mut().stop()
        {
            self.on_vad(event, out);
        }
    }

    /// The caller was silent for `idle_timeout_ms`: an empty turn, and the assistant speaks up.
    pub(super) fn speak_up(&mut self, out: &mut Vec<Output>) {
        let Some(TurnDetection::ServerVad {
            idle_timeout_ms: Some(timeout),
            ..
        }) = self.settings.input.turn_detection
        else {
            return;
        };
        if self.current_utterance().is_some() || self.active_default().is_some() {
            return;
        }
        let audio_end_ms = self.audio_position_ms();
        let item_id = self.ids.next("item");
        out.push(Output::Send(ServerEvent::TimeoutTriggered {
            audio_start_ms: audio_end_ms.saturating_sub(u64::from(timeout)),
            audio_end_ms,
            item_id: item_id.clone(),
        }));
        self.commit_silence(&item_id, out);
        self.answer_silence(out);
    }
}

/// Speech shorter than this while the assistant talks is a backchannel ("mm-hm") under `semantic_vad`.
/// `server_vad` interrupts at once, as the protocol says.
fn backchannel_ms(eagerness: Eagerness) -> u64 {
    match eagerness {
        Eagerness::Low => 640,
        Eagerness::Medium | Eagerness::Auto => 480,
        Eagerness::High => 240,
    }
}

/// Silence that ends a turn under `semantic_vad` where nobody can judge what was said.
fn unjudged_ms(eagerness: Eagerness) -> u64 {
    match eagerness {
        Eagerness::Low => 1200,
        Eagerness::Medium | Eagerness::Auto => 700,
        Eagerness::High => 400,
    }
}

#[cfg(test)]
mod tests;
