//! Voice activity: how likely a 16 ms frame holds speech, and the stream-to-events composition.
//! Called by the session for every chunk a caller sends.
//! It never decides when a turn ends; that is [`Endpointer`] with the session's settings.

use std::fmt;

use super::endpoint::{EndpointConfig, Endpointer, VadEvent};
use super::frame::Framer;
use super::level;
use super::silence::Silence;

/// Samples per frame at 16 kHz; the length the earshot model was trained on.
pub const FRAME_SAMPLES: usize = 256;
/// Milliseconds per frame.
pub const FRAME_MS: u64 = 16;

/// A detector of speech in frames of 256 samples at 16 kHz.
pub enum Vad {
    /// The earshot neural detector: about 8 kB of state, 7 to 11 µs a frame, no model file.
    Earshot(Box<earshot::Detector>),
    /// Loudness alone, for clean lines and for tests whose signal is not a voice.
    Energy {
        /// The root mean square, 0 to 1, at which a frame counts as half likely speech.
        threshold: f32,
    },
}

impl fmt::Debug for Vad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Earshot(_) => f.write_str("Earshot"),
            Self::Energy { threshold } => write!(f, "Energy({threshold})"),
        }
    }
}

impl Vad {
    /// The neural detector, at the start of a stream.
    pub fn earshot() -> Self {
        Self::Earshot(earshot::Detector::default_boxed())
    }

    /// The energy detector with its threshold as a root mean square of 0 to 1; 0.01 (-40 dBFS)
    /// suits a clean line.
    pub fn energy(threshold: f32) -> Self {
        Self::Energy { threshold }
    }

    /// How likely the frame holds speech, 0 to 1.
    pub fn probability(&mut self, frame: &[i16; FRAME_SAMPLES]) -> f32 {
        match self {
            Self::Earshot(detector) => detector.predict_i16(frame).clamp(0.0, 1.0),
            Self::Energy { threshold } => {
                let level = level::rms(frame);
                if level > 0.0 {
                    level / (level + threshold.max(0.0))
                } else {
                    0.0
                }
            }
        }
    }

    /// Forgets the stream heard so far.
    pub fn reset(&mut self) {
        if let Self::Earshot(detector) = self {
            detector.reset();
        }
    }
}

/// Samples at 16 kHz in, speech events out: frames, probability and end-pointing in one.
#[derive(Debug)]
pub struct SpeechDetector {
    framer: Framer<FRAME_SAMPLES>,
    vad: Vad,
    endpointer: Endpointer,
    silence: Silence,
}

impl SpeechDetector {
    /// A detector at the start of a stream.
    pub fn new(vad: Vad, config: EndpointConfig) -> Self {
        Self {
            framer: Framer::new(),
            vad,
            endpointer: Endpointer::new(config),
            silence: Silence::default(),
        }
    }

    /// Takes samples at 16 kHz in chunks of any length and appends what happened to `events`.
    ///
    /// The events do not depend on how the stream was cut into chunks.
    pub fn push(&mut self, samples: &[i16], events: &mut Vec<VadEvent>) {
        let Self {
            framer,
            vad,
            endpointer,
            silence,
        } = self;
        framer.push(samples, |frame| {
            let probability = vad.probability(frame);
            let dbfs = level::dbfs(level::rms(frame));
            let silent = silence.frame(dbfs, endpointer.is_speaking());
            if !silent && probability >= endpointer.config().start_probability() {
                silence.voiced(dbfs);
            }
            events.extend(endpointer.frame(if silent { 0.0 } else { probability }));
        });
    }

    /// The state of end-pointing.
    pub fn endpointer(&self) -> &Endpointer {
        &self.endpointer
    }

    /// The state of end-pointing, to change its settings or to end an utterance early.
    pub fn endpointer_mut(&mut self) -> &mut Endpointer {
        &mut self.endpointer
    }
}
