//! Tells from the sound of speech whether the speaker has finished: Smart Turn v3.2.
//! The scheduler asks it at every pause; the session decides what to do with the answer.
//! It never sees words.

use std::path::Path;

use ort::session::Session;

use crate::{
    Cancel, LocalError,
    runtime::{self, CancellableRun, SessionConfig},
    whisper::mel::{BINS, HOP, Mel},
};

const MODEL: &str = "smart-turn";
/// The model hears the last 8 s at 16 kHz.
const HEARD: usize = 8 * 16_000;
const FRAMES: usize = HEARD / HOP;
/// Half a window.
const MIRRORED: usize = 200;

/// A loaded Smart Turn model.
pub struct SmartTurn {
    session: Session,
    mel: Mel,
}

impl SmartTurn {
    /// Loads `<models_dir>/smart-turn/smart-turn.onnx`, to run on one thread.
    ///
    /// Errors: [`LocalError::Missing`], [`LocalError::Damaged`], [`LocalError::Runtime`].
    pub fn open(models_dir: &Path) -> Result<Self, LocalError> {
        Self::open_with(models_dir, SessionConfig::default())
    }

    /// As [`open`](Self::open), with a choice of threads and memory.
    pub fn open_with(models_dir: &Path, config: SessionConfig) -> Result<Self, LocalError> {
        let file = models_dir.join("smart-turn").join("smart-turn.onnx");
        Ok(Self {
            session: runtime::session(models_dir, MODEL, &file, config)?,
            mel: Mel::new(),
        })
    }

    /// The probability, 0 to 1, that the speaker has finished. `audio` is 16 kHz, one channel, up to
    /// and including the pause; only the last 8 s count, and less is fine.
    ///
    /// Errors: [`LocalError::Runtime`].
    pub fn complete(&mut self, audio: &[i16]) -> Result<f32, LocalError> {
        self.complete_unless(audio, &Cancel::new())
    }

    /// As [`complete`](Self::complete), stopping when `cancel` is raised.
    ///
    /// Errors: [`LocalError::Cancelled`], [`LocalError::Runtime`].
    pub fn complete_unless(&mut self, audio: &[i16], cancel: &Cancel) -> Result<f32, LocalError> {
        const TRIED: &str = "run smart turn";
        let run = CancellableRun::new(cancel)?;
        let mut mel = vec![0f32; BINS * FRAMES];
        let mut heard = normalised(audio);
        // the last window reaches 40 samples past the end, where training mirrored the sound
        heard.extend_from_within(HEARD - 1 - MIRRORED..HEARD - 1);
        heard[HEARD..].reverse();
        self.mel.compute(&heard, FRAMES, &mut mel);
        let mel = ort::value::Tensor::from_array(([1, BINS, FRAMES], mel))
            .map_err(|error| LocalError::runtime(TRIED, error))?;
        let outputs = self
            .session
            .run_with_options(ort::inputs!["input_features" => mel], run.options())
            .map_err(|error| run.error(TRIED, &error))?;
        let (_, probability) = outputs[0]
            .try_extract_tensor::<f32>()
            .map_err(|error| LocalError::runtime(TRIED, error))?;
        probability
            .first()
            .copied()
            .ok_or_else(|| LocalError::runtime(TRIED, "the model returned nothing"))
    }
}

/// The last 8 s, silence before if there is less, at zero mean and unit variance over the whole
/// 8 s, as the model was trained (pipecat-ai 1.14, `local_smart_turn_v3.py`).
fn normalised(audio: &[i16]) -> Vec<f32> {
    let audio = &audio[audio.len().saturating_sub(HEARD)..];
    let sum: i64 = audio.iter().map(|sample| i64::from(*sample)).sum();
    let square_sum: i64 = audio.iter().map(|sample| i64::from(*sample).pow(2)).sum();
    let scale = 1.0 / 32768.0;
    let mean = sum as f64 / HEARD as f64 * scale;
    let variance = square_sum as f64 / HEARD as f64 * scale * scale - mean * mean;
    let gain = 1.0 / (variance + 1e-7).sqrt();
    let mut heard = vec![(-mean * gain) as f32; HEARD];
    for (out, sample) in heard[HEARD - audio.len()..].iter_mut().zip(audio) {
        *out = ((f64::from(*sample) * scale - mean) * gain) as f32;
    }
    heard
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_is_moved_to_the_end_and_scaled_to_unit_variance() {
        let audio: Vec<i16> = (0..16_000)
            .map(|i| if i % 2 == 0 { 900 } else { -700 })
            .collect();
        let heard = normalised(&audio);
        assert_eq!(heard.len(), HEARD);
        let mean = heard.iter().map(|v| f64::from(*v)).sum::<f64>() / HEARD as f64;
        let variance = heard
            .iter()
            .map(|v| (f64::from(*v) - mean).powi(2))
            .sum::<f64>()
            / HEARD as f64;
        assert!(mean.abs() < 1e-4, "{mean}");
        assert!((variance - 1.0).abs() < 0.01, "{variance}");
        assert!(
            heard[..HEARD - 16_000]
                .iter()
                .all(|v| (v - heard[0]).abs() < 1e-9)
        );
    }

    #[test]
    fn only_the_last_eight_seconds_count() {
        let mut audio = vec![9000i16; HEARD];
        audio.extend(vec![5i16; HEARD]);
        assert_eq!(normalised(&audio), normalised(&audio[HEARD..]));
    }
}
