//! Kokoro-82M (int8): phonemes and a style vector in, 24 kHz speech out, on ONNX Runtime.
//! The scheduler's second voice thread owns one when Kokoro is installed and asked for.
//! It never holds voices in memory (one style row is read per sentence) and never resamples.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use ort::{session::Session, value::Tensor};
use serde::Deserialize;

use crate::{
    Cancel, LocalError, phonemes,
    piper::pieces,
    runtime::{self, CancellableRun, SessionConfig},
    voice::{Audio, Voice, VoiceModel, pcm16},
};

const MODEL: &str = "kokoro";
const RATE_HZ: u32 = 24_000;
/// A voice file holds one style row per token count: 510 rows of 256 little-endian f32.
const STYLE_ROWS: usize = 510;
const STYLE_WIDTH: usize = 256;
const STYLE_BYTES: usize = STYLE_WIDTH * 4;
/// Longest run of phonemes synthesised at once; the model takes 510, shorter runs need less memory.
const MAX_PHONEMES: usize = 400;
/// Silence between two sentences of one request, in ms.
const SENTENCE_GAP_MS: usize = 200;
/// The model pads its speech with up to 0.3 s of near-silence at both ends; this much is kept.
const EDGE_MS: usize = 30;
/// Amplitude below which the edge of an utterance counts as silence (full scale is 1.0).
const EDGE_LEVEL: f32 = 0.01;

/// How `eSpeak`'s IPA is written in the alphabet Kokoro was trained on, longest match first.
/// Diphthongs and affricates are single letters there (`misaki`'s notation).
const SPELLING: [(&str, &str); 20] = [
    ("aɪ", "I"),
    ("aʊ", "W"),
    ("dʒ", "ʤ"),
    ("eɪ", "A"),
    ("tʃ", "ʧ"),
    ("ɔɪ", "Y"),
    ("oʊ", "O"),
    ("əʊ", "Q"),
    ("oː", "ɔ"),
    ("ɜːɹ", "ɜɹ"),
    ("ɜː", "ɜɹ"),
    ("ɪə", "iə"),
    ("ɚ", "əɹ"),
    ("ɐ", "ə"),
    ("ʔ", "t"),
    ("r", "ɹ"),
    ("x", "k"),
    ("ç", "k"),
    ("ɬ", "l"),
    ("g", "ɡ"),
];

#[derive(Deserialize)]
struct Vocabulary {
    vocab: HashMap<char, i64>,
}

/// The loaded model and the folder of its voices.
pub struct Kokoro {
    session: Session,
    vocabulary: HashMap<char, i64>,
    folder: PathBuf,
}

impl Kokoro {
    /// Opens `<models_dir>/kokoro` with one thread per run.
    ///
    /// Errors: [`LocalError::Missing`] and [`LocalError::Damaged`] name the model to pull;
    /// [`LocalError::NoPhonemes`] when eSpeak NG is not installed.
    pub fn open(models_dir: &Path) -> Result<Self, LocalError> {
        Self::open_with(models_dir, SessionConfig::default())
    }

    /// As [`open`](Self::open), with a choice of threads and memory use.
    pub fn open_with(models_dir: &Path, config: SessionConfig) -> Result<Self, LocalError> {
        phonemes::version()?;
        let folder = models_dir.join(MODEL);
        let path = folder.join("vocab.json");
        let text =
            fs::read_to_string(&path).map_err(|error| LocalError::open(MODEL, &path, error))?;
        let vocabulary: Vocabulary = serde_json::from_str(&text)
            .map_err(|error| LocalError::damaged(MODEL, &path, error.to_string()))?;
        let session = runtime::session(models_dir, MODEL, &folder.join("model.onnx"), config)?;
        Ok(Self {
            session,
            vocabulary: vocabulary.vocab,
            folder,
        })
    }

    /// The English voices installed under `<models_dir>/kokoro/voices`, by name, without opening
    /// the model. The first letter tells the accent: `a` American, `b` British.
    ///
    /// Errors: [`LocalError::Missing`] when the folder is absent.
    pub fn installed_voices(models_dir: &Path) -> Result<Vec<Voice>, LocalError> {
        let folder = models_dir.join(MODEL).join("voices");
        let entries =
            fs::read_dir(&folder).map_err(|error| LocalError::open(MODEL, &folder, error))?;
        let mut voices: Vec<Voice> = entries
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "bin"))
            .filter_map(|path| {
                let id = path.file_stem()?.to_str()?.to_owned();
                let language = language(&id)?.to_owned();
                Some(Voice {
                    id,
                    model: VoiceModel::Kokoro,
                    language,
                    rate_hz: RATE_HZ,
                })
            })
            .collect();
        voices.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(voices)
    }

    /// Speaks `text` with `voice` at `speed` (1.0 is natural, 0.25 to 4.0).
    /// Text without words gives no samples.
    ///
    /// Errors: [`LocalError::BadInput`] for an unknown voice or a speed out of range,
    /// [`LocalError::Cancelled`], [`LocalError::NoPhonemes`], [`LocalError::Runtime`].
    pub fn synthesise(
        &mut self,
        text: &str,
        voice: &str,
        speed: f32,
        cancel: &Cancel,
    ) -> Result<Audio, LocalError> {
        if !(0.25..=4.0).contains(&speed) {
            return Err(LocalError::BadInput(format!(
                "speed {speed} is not within 0.25 to 4.0"
            )));
        }
        let accent = language(voice)
            .filter(|_| {
                voice
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'_')
            })
            .ok_or_else(|| LocalError::BadInput(format!("no kokoro voice is called {voice}")))?;
        // British English is eSpeak's plain `en`; it has no voice by the name en-gb
        let espeak = if accent == "en-GB" { "en" } else { "en-us" };
        let run = CancellableRun::new(cancel)?;
        let gap = SENTENCE_GAP_MS * RATE_HZ as usize / 1000;
        let mut samples = Vec::new();
        for sentence in phonemes::sentences(text, espeak)? {
            for part in pieces(&respell(&sentence, accent), MAX_PHONEMES) {
                let tokens: Vec<i64> = part
                    .chars()
                    .filter_map(|c| self.vocabulary.get(&c).copied())
                    .collect();
                if tokens.is_empty() {
                    continue;
                }
                if !samples.is_empty() {
                    samples.resize(samples.len() + gap, 0);
                }
                let style = self.style(voice, tokens.len())?;
                self.run(&tokens, (style, speed), &run, &mut samples)?;
            }
        }
        Ok(Audio {
            rate_hz: RATE_HZ,
            samples,
        })
    }

    fn run(
        &mut self,
        tokens: &[i64],
        (style, speed): (Vec<f32>, f32),
        run: &CancellableRun,
        samples: &mut Vec<i16>,
    ) -> Result<(), LocalError> {
        let failed = |error: ort::Error| run.error("run kokoro", &error);
        let padded: Vec<i64> = std::iter::once(0)
            .chain(tokens.iter().copied())
            .chain([0])
            .collect();
        let inputs = ort::inputs![
            "tokens" => Tensor::from_array(([1, padded.len()], padded)).map_err(failed)?,
            "style" => Tensor::from_array(([1, STYLE_WIDTH], style)).map_err(failed)?,
            "speed" => Tensor::from_array(([1], vec![speed])).map_err(failed)?,
        ];
        let outputs = self
            .session
            .run_with_options(inputs, run.options())
            .map_err(failed)?;
        let (_, speech) = outputs[0].try_extract_tensor::<f32>().map_err(failed)?;
        samples.extend(pcm16(without_edges(speech)));
        Ok(())
    }

    /// The style row for an utterance of `tokens` tokens.
    fn style(&self, voice: &str, tokens: usize) -> Result<Vec<f32>, LocalError> {
        let path = self.folder.join("voices").join(format!("{voice}.bin"));
        let mut file = File::open(&path)
            .map_err(|_| LocalError::BadInput(format!("no kokoro voice is called {voice}")))?;
        let row = tokens.clamp(1, STYLE_ROWS) - 1;
        let mut bytes = [0; STYLE_BYTES];
        file.seek(SeekFrom::Start((row * STYLE_BYTES) as u64))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(|error| LocalError::damaged(MODEL, &path, error.to_string()))?;
        let (values, _) = bytes.as_chunks::<4>();
        Ok(values
            .iter()
            .map(|value| f32::from_le_bytes(*value))
            .collect())
    }
}

/// The accent of a voice by its name; `None` for voices of other languages.
fn language(voice: &str) -> Option<&'static str> {
    match voice.as_bytes() {
        [b'a', b'f' | b'm', b'_', ..] => Some("en-US"),
        [b'b', b'f' | b'm', b'_', ..] => Some("en-GB"),
        _ => None,
    }
}

/// Writes `eSpeak`'s IPA in Kokoro's alphabet.
fn respell(ipa: &str, accent: &str) -> String {
    let mut out = String::with_capacity(ipa.len());
    let mut rest = ipa;
    while let Some(c) = rest.chars().next() {
        if let Some((from, to)) = SPELLING.iter().find(|(from, _)| rest.starts_with(from)) {
            out.push_str(to);
            rest = &rest[from.len()..];
        } else {
            match c {
                c if accent == "en-GB" => out.push(c),
                // American vowels carry no length mark in Kokoro's alphabet
                'ː' => {}
                // the flapped t of "better"
                'ɾ' => out.push('T'),
                c => out.push(c),
            }
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

/// Cuts near-silence from both ends, keeping [`EDGE_MS`].
fn without_edges(speech: &[f32]) -> &[f32] {
    let loud = |sample: &f32| sample.abs() > EDGE_LEVEL;
    let keep = EDGE_MS * RATE_HZ as usize / 1000;
    match (speech.iter().position(loud), speech.iter().rposition(loud)) {
        (Some(first), Some(last)) => {
            &speech[first.saturating_sub(keep)..(last + keep).min(speech.len())]
        }
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipa_is_respelled_for_each_accent() {
        assert_eq!(
            respell("həlˈoʊ ðˈɛɹ, hˈaʊ ɑːɹ juː?", "en-US"),
            "həlˈO ðˈɛɹ, hˈW ɑɹ ju?"
        );
        assert_eq!(respell("dʒˈʌdʒ tʃˈɜːtʃ", "en-US"), "ʤˈʌʤ ʧˈɜɹʧ");
        assert_eq!(respell("ɡˈəʊ fˈɑː", "en-GB"), "ɡˈQ fˈɑː");
    }

    #[test]
    fn silence_at_the_edges_is_cut_and_all_silence_is_nothing() {
        let mut speech = vec![0.0; 9_700];
        speech[4_800..4_900].fill(0.5);
        assert_eq!(without_edges(&speech).len(), 720 + 100 + 720 - 1);
        assert!(without_edges(&[0.001; 50]).is_empty());
    }

    #[test]
    fn the_name_tells_the_accent() {
        assert_eq!(language("af_heart"), Some("en-US"));
        assert_eq!(language("bm_george"), Some("en-GB"));
        assert_eq!(language("jf_alpha"), None);
    }
}
