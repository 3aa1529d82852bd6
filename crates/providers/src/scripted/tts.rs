//! Speech as two tones whose length follows from the text and whose pitch follows from the voice.
//! Opened once per reply by the session and by the speech route.
//! Never pretends to be a voice: a listener hears at once that this is the scripted pipeline.

use std::{f32::consts::TAU, sync::Arc};

use async_trait::async_trait;
use engine::ask::SpeakOptions;
use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::{NAME, ScriptedConfig, failure, script, wait};
use crate::{
    ProviderError,
    ports::{EVENT_BUFFER, Piece, Tts, TtsEvent, TtsStream, VoiceInfo},
    voices::OPENAI_VOICES,
};

/// Sample rate of scripted speech, in Hz: what Realtime clients hear unless they ask otherwise.
pub const RATE_HZ: u32 = 24_000;

/// Audio per event, in ms.
const SLICE_MS: u64 = 50;
const SAMPLES_PER_MS: u64 = RATE_HZ as u64 / 1000;
/// Pieces that may wait to be spoken: a caller that blocks on the next piece does not read events.
const WAITING_PIECES: usize = 512;
/// Peak of the sum of both tones, out of 32767: clear, not loud.
const PEAK: f32 = 9_000.0;
/// Length of the fade at both ends of a piece, in samples: without it the tone clicks.
const FADE: u64 = 5 * SAMPLES_PER_MS;

/// Deterministic synthesis.
#[derive(Debug, Clone)]
pub struct ScriptedTts {
    config: Arc<ScriptedConfig>,
}

impl ScriptedTts {
    /// Speaks as `config` says.
    pub fn new(config: Arc<ScriptedConfig>) -> Self {
        Self { config }
    }
}

#[async_trait]
impl Tts for ScriptedTts {
    fn name(&self) -> &str {
        NAME
    }

    fn voices(&self) -> Vec<VoiceInfo> {
        OPENAI_VOICES
            .iter()
            .map(|name| VoiceInfo {
                name: (*name).to_owned(),
                language: "en-US".to_owned(),
            })
            .collect()
    }

    async fn open(&self, options: SpeakOptions) -> Result<TtsStream, ProviderError> {
        let (pieces, inbox) = mpsc::channel(WAITING_PIECES);
        let (outbox, events) = mpsc::channel(EVENT_BUFFER);
        let speech = Speech {
            config: Arc::clone(&self.config),
            options,
            events: outbox,
        };
        tokio::spawn(speech.speak(inbox).in_current_span());
        Ok(TtsStream { pieces, events })
    }
}

struct Speech {
    config: Arc<ScriptedConfig>,
    options: SpeakOptions,
    events: mpsc::Sender<TtsEvent>,
}

impl Speech {
    async fn speak(self, mut inbox: mpsc::Receiver<Piece>) {
        loop {
            let piece = tokio::select! {
                biased;
                () = self.events.closed() => return,
                piece = inbox.recv() => piece,
            };
            let Some(piece) = piece else { return };
            if !wait(&self.events, self.config.tts_ms).await {
                return;
            }
            if script::has_word(&piece.text, "fail tts") {
                let _ = self
                    .events
                    .send(TtsEvent::Failed(failure("synthesis")))
                    .await;
                return;
            }
            let done = TtsEvent::PieceDone { index: piece.index };
            if !self.hand_out(&piece).await || self.events.send(done).await.is_err() {
                return;
            }
        }
    }

    async fn hand_out(&self, piece: &Piece) -> bool {
        let total = self.samples(&piece.text);
        let mut tone = Tone::of(&self.options.voice);
        let mut at = 0;
        while at < total {
            let end = total.min(at + SLICE_MS * SAMPLES_PER_MS);
            let samples: Arc<[i16]> = (at..end)
                .map(|n| tone.sample(n.min(total - 1 - n)))
                .collect();
            let event = TtsEvent::Audio {
                index: piece.index,
                rate_hz: RATE_HZ,
                samples,
            };
            if self.events.send(event).await.is_err() {
                return false;
            }
            let slice_ms = (end - at) / SAMPLES_PER_MS;
            let pace = u64::from(self.config.speech_pace_percent);
            let pause_ms = (slice_ms * 100).checked_div(pace).unwrap_or(0);
            if !wait(&self.events, pause_ms).await {
                return false;
            }
            at = end;
        }
        true
    }

    fn samples(&self, text: &str) -> u64 {
        let natural_ms = text.trim().chars().count() as u64 * self.config.speech_ms_per_char;
        let speed = if self.options.speed.is_finite() {
            self.options.speed.clamp(0.25, 4.0)
        } else {
            1.0
        };
        (natural_ms as f64 / f64::from(speed)) as u64 * SAMPLES_PER_MS
    }
}

/// Two sines a fifth apart.
struct Tone {
    phase: f32,
    step: f32,
}

impl Tone {
    /// 220 Hz and up by a semitone per voice; unknown voices sound like the first.
    fn of(voice: &str) -> Self {
        let index = OPENAI_VOICES
            .iter()
            .position(|name| *name == voice)
            .unwrap_or(0);
        let hz = 220.0 * 2f32.powf(index as f32 / 12.0);
        Self {
            phase: 0.0,
            step: TAU * hz / RATE_HZ as f32,
        }
    }

    /// The next sample, `from_edge` samples away from the nearer end of the piece.
    fn sample(&mut self, from_edge: u64) -> i16 {
        let fade = from_edge.min(FADE) as f32 / FADE as f32;
        let value = f32::midpoint(self.phase.sin(), (1.5 * self.phase).sin());
        // the second tone repeats after two turns of the first
        self.phase = (self.phase + self.step) % (2.0 * TAU);
        (value * fade * PEAK) as i16
    }
}
