//! Piper's `en_US-joe-medium` voice: phoneme ids in, 22.05 kHz speech out, on ONNX Runtime.
//! The scheduler's voice thread owns one; it runs sentence by sentence, so memory stays small.
//! It never resamples and never splits a reply into pieces: the session does.

use std::{collections::HashMap, fs, path::Path};

use ort::{session::Session, value::Tensor};
use serde::Deserialize;

use crate::{
    Cancel, LocalError, phonemes,
    runtime::{self, CancellableRun, SessionConfig},
    voice::{Audio, Voice, VoiceModel, pcm16},
};

const MODEL: &str = "piper-en-us-joe";
const VOICE: &str = "joe";
/// Silence between two sentences of one request, in ms; the voice itself ends almost at once.
const SENTENCE_GAP_MS: usize = 150;
/// Longest run of phonemes synthesised at once; a sentence beyond it is cut at a space, so that
/// memory does not grow with the text: scratch memory is about 2.7 MB per phoneme, and 120 phonemes
/// are about 8 s of speech.
const MAX_PHONEMES: usize = 120;

/// The parts of `voice.onnx.json` that are used.
#[derive(Deserialize)]
struct Card {
    audio: CardAudio,
    espeak: CardEspeak,
    inference: CardInference,
    phoneme_id_map: HashMap<String, Vec<i64>>,
}

#[derive(Deserialize)]
struct CardAudio {
    sample_rate: u32,
}

#[derive(Deserialize)]
struct CardEspeak {
    voice: String,
}

#[derive(Deserialize)]
struct CardInference {
    noise_scale: f32,
    length_scale: f32,
    noise_w: f32,
}

/// One loaded Piper voice.
pub struct Piper {
    session: Session,
    card: Card,
}

impl Piper {
    /// Opens `<models_dir>/piper-en-us-joe` with one thread per run.
    ///
    /// Errors: [`LocalError::Missing`] and [`LocalError::Damaged`] name the model to pull;
    /// [`LocalError::NoPhonemes`] when eSpeak NG is not installed.
    pub fn open(models_dir: &Path) -> Result<Self, LocalError> {
        Self::open_with(models_dir, SessionConfig::default())
    }

    /// As [`open`](Self::open), with a choice of threads and memory use.
    pub fn open_with(models_dir: &Path, config: SessionConfig) -> Result<Self, LocalError> {
        // without phonemes the voice is mute: better said at start than in the first call
        phonemes::version()?;
        let card = Card::read(models_dir)?;
        let graph = models_dir.join(MODEL).join("voice.onnx");
        let session = runtime::session(models_dir, MODEL, &graph, config)?;
        Ok(Self { session, card })
    }

    /// The one voice of this model, without opening it.
    ///
    /// Errors: [`LocalError::Missing`] and [`LocalError::Damaged`] name the model to pull.
    pub fn installed_voices(models_dir: &Path) -> Result<Vec<Voice>, LocalError> {
        let rate_hz = Card::read(models_dir)?.audio.sample_rate;
        let (id, language) = (VOICE.to_owned(), "en-US".to_owned());
        Ok(vec![Voice {
            id,
            model: VoiceModel::Piper,
            language,
            rate_hz,
        }])
    }

    /// Speaks `text` at `speed` (1.0 is natural, 0.25 to 4.0; beyond 1.8 it gets no faster). Text
    /// without words gives no samples.
    ///
    /// Errors: [`LocalError::BadInput`] for a speed out of range, [`LocalError::Cancelled`],
    /// [`LocalError::NoPhonemes`], [`LocalError::Runtime`].
    pub fn synthesise(
        &mut self,
        text: &str,
        speed: f32,
        cancel: &Cancel,
    ) -> Result<Audio, LocalError> {
        if !(0.25..=4.0).contains(&speed) {
            return Err(LocalError::BadInput(format!(
                "speed {speed} is not within 0.25 to 4.0"
            )));
        }
        let rate_hz = self.card.audio.sample_rate;
        let gap = SENTENCE_GAP_MS * rate_hz as usize / 1000;
        let run = CancellableRun::new(cancel)?;
        let mut samples = Vec::new();
        for sentence in phonemes::sentences(text, &self.card.espeak.voice)? {
            for part in pieces(&sentence, MAX_PHONEMES) {
                if !samples.is_empty() {
                    samples.resize(samples.len() + gap, 0);
                }
                self.run(self.card.ids(part), speed, &run, &mut samples)?;
            }
        }
        Ok(Audio { rate_hz, samples })
    }

    fn run(
        &mut self,
        ids: Vec<i64>,
        speed: f32,
        run: &CancellableRun,
        samples: &mut Vec<i16>,
    ) -> Result<(), LocalError> {
        let inference = &self.card.inference;
        let scales = vec![
            inference.noise_scale,
            inference.length_scale * length_factor(speed),
            inference.noise_w,
        ];
        let count = ids.len();
        let failed = |error: ort::Error| run.error("run piper", &error);
        let inputs = ort::inputs![
            "input" => Tensor::from_array(([1, count], ids)).map_err(failed)?,
            "input_lengths" => Tensor::from_array(([1], vec![count as i64])).map_err(failed)?,
            "scales" => Tensor::from_array(([3], scales)).map_err(failed)?,
        ];
        let outputs = self
            .session
            .run_with_options(inputs, run.options())
            .map_err(failed)?;
        let (_, speech) = outputs["output"]
            .try_extract_tensor::<f32>()
            .map_err(failed)?;
        samples.extend(pcm16(speech));
        Ok(())
    }
}

impl Card {
    fn read(models_dir: &Path) -> Result<Self, LocalError> {
        let path = models_dir.join(MODEL).join("voice.onnx.json");
        let text =
            fs::read_to_string(&path).map_err(|error| LocalError::open(MODEL, &path, error))?;
        serde_json::from_str(&text)
            .map_err(|error| LocalError::damaged(MODEL, &path, error.to_string()))
    }

    /// Phoneme ids as the voice was trained on them: start, then every phoneme followed by padding,
    /// then end. Characters the voice does not know are left out.
    fn ids(&self, ipa: &str) -> Vec<i64> {
        let id = |symbol: &str| {
            self.phoneme_id_map
                .get(symbol)
                .into_iter()
                .flatten()
                .copied()
        };
        let pad = || id("_");
        let mut ids: Vec<i64> = id("^").chain(pad()).collect();
        let mut symbol = String::new();
        for phoneme in ipa.chars() {
            symbol.clear();
            symbol.push(known_mark(phoneme));
            if self.phoneme_id_map.contains_key(&symbol) {
                ids.extend(id(&symbol).chain(pad()));
            }
        }
        ids.extend(id("$"));
        ids
    }
}

/// What to multiply durations by so that the whole speech gets faster by `speed`.
///
/// The model rounds the duration of every phoneme and padding up to whole frames, so a plain
/// `1 / speed` gives 1.45 times the speed where 2 was asked for. Measured over two sentences and
/// seven factors: an id takes about 2.0 frames at natural speed, 0.58 of which do not scale. Since no
/// id takes less than one frame, about 1.8 is as fast as this voice gets.
fn length_factor(speed: f32) -> f32 {
    const FRAMES: f32 = 2.0;
    const FIXED: f32 = 0.58;
    const LEAST: f32 = 0.15;
    ((FRAMES / speed - FIXED) / (FRAMES - FIXED)).max(LEAST)
}

/// The mark Piper was trained on in place of one it never saw.
fn known_mark(c: char) -> char {
    match c {
        '…' => '.',
        '—' => ',',
        c => c,
    }
}

/// Cuts `ipa` at spaces into parts of at most `limit` characters (a longer word stays whole), in the
/// second half of a part after punctuation where there is some.
pub(crate) fn pieces(ipa: &str, limit: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = ipa.trim();
    while let Some((end, next)) = rest.char_indices().nth(limit) {
        let window = &rest[..end + usize::from(next == ' ')];
        let breath = [", ", "; ", ": ", "— "]
            .into_iter()
            .filter_map(|mark| window.rfind(mark));
        let breath = breath.max().filter(|at| *at > end / 2);
        let breath = breath.and_then(|at| Some(at + window[at..].find(' ')?));
        let space = || {
            window
                .rfind(' ')
                .or_else(|| rest.find(' '))
                .unwrap_or(rest.len())
        };
        let cut = breath.unwrap_or_else(space);
        let (part, after) = rest.split_at(cut);
        parts.push(part);
        rest = after.trim_start();
    }
    if !rest.is_empty() {
        parts.push(rest);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card() -> Card {
        let map = [
            ("_", 0),
            ("^", 1),
            ("$", 2),
            (".", 10),
            ("a", 14),
            ("b", 15),
        ];
        Card {
            audio: CardAudio {
                sample_rate: 22_050,
            },
            espeak: CardEspeak {
                voice: "en-us".to_owned(),
            },
            inference: CardInference {
                noise_scale: 0.667,
                length_scale: 1.0,
                noise_w: 0.8,
            },
            phoneme_id_map: map
                .into_iter()
                .map(|(s, id)| (s.to_owned(), vec![id]))
                .collect(),
        }
    }

    #[test]
    fn ids_are_padded_and_unknown_phonemes_left_out() {
        assert_eq!(card().ids("aXb…"), [1, 0, 14, 0, 15, 0, 10, 0, 2]);
    }

    #[test]
    fn natural_speed_leaves_durations_alone_and_faster_is_shorter() {
        assert!((length_factor(1.0) - 1.0).abs() < 1e-6);
        assert!(length_factor(0.5) > 2.0);
        assert!(length_factor(2.0) < 0.5);
        assert!(length_factor(4.0) > 0.0);
    }

    #[test]
    fn long_sentences_are_cut_at_spaces_and_nothing_is_lost() {
        let text = "abc de fghij k lm";
        assert_eq!(pieces(text, 6), ["abc de", "fghij", "k lm"]);
        assert_eq!(pieces("abcdefghij k", 4), ["abcdefghij", "k"]);
        assert_eq!(pieces("abc de, fg hi", 11), ["abc de,", "fg hi"]);
        assert_eq!(pieces("  ", 4), [""; 0]);
        assert_eq!(pieces("short", 5), ["short"]);
    }
}
