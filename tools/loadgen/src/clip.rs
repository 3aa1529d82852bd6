//! What callers say: a recording cut into ready-made `input_audio_buffer.append` messages of 20 ms.
//! Made once per run and shared by all callers.
//! It never changes the sound, except for the silence at both ends.

use std::path::Path;

use anyhow::{Context as _, ensure};
use engine::audio::{Encoder, Format as Bytes, Resampler, SampleRate, b64, wav};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::Format;

/// Sound per message, in ms: what telephones and browsers send.
pub(crate) const FRAME_MS: u64 = 20;
/// Root mean square below which a frame counts as silent, in 16-bit steps; as in the bench of other servers.
const VOICED_RMS: f64 = 300.0;
/// Longest recording, in samples per channel: ten minutes at 48 kHz.
const MAX_SAMPLES: usize = 600 * 48_000;

/// A caller's words, ready to send.
#[derive(Debug)]
pub(crate) struct Clip {
    /// First to last voiced frame.
    pub(crate) speech: Vec<Utf8Bytes>,
    /// One frame of silence.
    pub(crate) silence: Utf8Bytes,
    /// `audio.input.format` of the session.
    pub(crate) format: serde_json::Value,
}

impl Clip {
    /// Reads the recording at `path` and makes it what callers of this format send.
    ///
    /// Errors: the file cannot be read or holds no speech.
    pub(crate) fn read(path: &Path, format: Format) -> anyhow::Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
        let sound = wav::read(&bytes, MAX_SAMPLES)
            .with_context(|| format!("{} is not a recording", path.display()))?;
        let (rate, wire, json) = match format {
            Format::Pcm => (
                SampleRate::HZ_24K,
                Bytes::Pcm24k,
                serde_json::json!({"type": "audio/pcm", "rate": 24_000}),
            ),
            Format::Pcmu => (
                SampleRate::HZ_8K,
                Bytes::Pcmu,
                serde_json::json!({"type": "audio/pcmu"}),
            ),
        };
        let mut samples = Vec::new();
        let mut resampler = Resampler::new(sound.rate, rate);
        resampler.push(&sound.samples, &mut samples);
        resampler.flush(&mut samples);
        let frames = voiced(&samples, rate.samples(FRAME_MS) as usize);
        ensure!(!frames.is_empty(), "{} holds no speech", path.display());
        let silence = vec![0; rate.samples(FRAME_MS) as usize];
        Ok(Self {
            speech: frames
                .iter()
                .map(|frame| append(frame, rate, wire))
                .collect(),
            silence: append(&silence, rate, wire),
            format: json,
        })
    }

    /// Length of the speech, in ms.
    pub(crate) fn speech_ms(&self) -> u64 {
        self.speech.len() as u64 * FRAME_MS
    }
}

/// Whole frames, without those before the first and after the last that hold a voice.
fn voiced(samples: &[i16], frame: usize) -> Vec<Vec<i16>> {
    let mut frames: Vec<Vec<i16>> = samples.chunks(frame).map(<[i16]>::to_vec).collect();
    if let Some(last) = frames.last_mut() {
        last.resize(frame, 0);
    }
    let loud = |frame: &Vec<i16>| rms(frame) >= VOICED_RMS;
    let Some(first) = frames.iter().position(loud) else {
        return Vec::new();
    };
    let last = frames.iter().rposition(loud).unwrap_or(first);
    frames.truncate(last + 1);
    frames.split_off(first)
}

fn rms(samples: &[i16]) -> f64 {
    let sum: f64 = samples
        .iter()
        .map(|sample| f64::from(*sample).powi(2))
        .sum();
    (sum / samples.len().max(1) as f64).sqrt()
}

/// The message that appends `samples`.
pub(crate) fn append(samples: &[i16], rate: SampleRate, format: Bytes) -> Utf8Bytes {
    let (mut bytes, mut text) = (Vec::new(), String::new());
    let mut encoder = Encoder::new(rate, format);
    encoder.push(samples, &mut bytes);
    encoder.flush(&mut bytes);
    text.push_str("{\"type\":\"input_audio_buffer.append\",\"audio\":\"");
    b64::encode(&bytes, &mut text);
    text.push_str("\"}");
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_at_both_ends_is_left_out_and_pauses_stay() {
        let loud = [1000_i16; 4];
        let quiet = [0_i16; 4];
        let samples = [quiet, loud, quiet, loud, quiet].concat();
        assert_eq!(voiced(&samples, 4), [loud, quiet, loud]);
        assert_eq!(voiced(&quiet, 4), Vec::<Vec<i16>>::new());
    }

    #[test]
    fn a_message_is_an_append_that_the_server_reads_without_a_detour() {
        let text = append(&[1, -1], SampleRate::HZ_24K, Bytes::Pcm24k);
        let read = wire::realtime::fast::append(&text);
        assert_eq!(read.map(|append| append.audio), Some("AQD//w=="));
    }
}
