//! What a voice is, which names clients use for it, and the sound it makes.
//! The scheduler resolves every requested name here; the gateway lists voices from here.
//! It never opens a model.
//!
//! Licences, because a voice is only as free as its parts: the phoneme library eSpeak NG is
//! GPL-3.0-or-later and is loaded at run time when the machine has it, never linked or shipped.
//! Piper's `joe` declares CC0 data and was fine-tuned from the `lessac` voice; Kokoro's weights and
//! voices are Apache-2.0. `models.toml` repeats this next to the download addresses.

/// Mono speech.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audio {
    /// Samples per second in Hz.
    pub rate_hz: u32,
    /// 16-bit samples.
    pub samples: Vec<i16>,
}

impl Audio {
    /// Duration in ms, rounded down.
    pub fn duration_ms(&self) -> u64 {
        self.samples.len() as u64 * 1000 / u64::from(self.rate_hz.max(1))
    }
}

/// The model that speaks a voice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VoiceModel {
    /// Fast enough for a conversation on one core.
    Piper,
    /// Better sound at about ten times the work.
    Kokoro,
}

/// A voice this machine can speak with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voice {
    /// What a client asks for, such as `joe` or `af_heart`.
    pub id: String,
    /// The model that speaks it.
    pub model: VoiceModel,
    /// BCP 47 language tag, such as `en-US`.
    pub language: String,
    /// Samples per second of what it produces, in Hz.
    pub rate_hz: u32,
}

/// OpenAI's voice names (<https://platform.openai.com/docs/guides/text-to-speech>) and the Kokoro
/// voice that comes closest. SDKs send one of them by default, so all must be spoken by someone.
const OPENAI_VOICES: [(&str, &str); 13] = [
    ("alloy", "af_alloy"),
    ("ash", "am_adam"),
    ("ballad", "bm_fable"),
    ("cedar", "am_michael"),
    ("coral", "af_bella"),
    ("echo", "am_echo"),
    ("fable", "bm_fable"),
    ("marin", "af_heart"),
    ("nova", "af_nova"),
    ("onyx", "am_onyx"),
    ("sage", "af_sarah"),
    ("shimmer", "af_sky"),
    ("verse", "am_liam"),
];

/// The OpenAI voice names every local voice set answers to.
pub fn openai_voice_names() -> impl Iterator<Item = &'static str> {
    OPENAI_VOICES.iter().map(|(name, _)| *name)
}

/// The voices that are installed, and the one that speaks when a client names none of them.
#[derive(Debug, Clone)]
pub struct Voices {
    installed: Vec<Voice>,
    default: usize,
}

impl Voices {
    /// A set whose default is `default_id`, or the first voice when that one is not installed.
    /// `None` when there is no voice at all.
    pub fn new(installed: Vec<Voice>, default_id: &str) -> Option<Self> {
        if installed.is_empty() {
            return None;
        }
        let default = installed
            .iter()
            .position(|voice| voice.id == default_id)
            .unwrap_or(0);
        Some(Self { installed, default })
    }

    /// All voices, in the order they were found.
    pub fn all(&self) -> &[Voice] {
        &self.installed
    }

    /// The voice that speaks when a client names none.
    pub fn default_voice(&self) -> &Voice {
        &self.installed[self.default]
    }

    /// The voice for a name a client sent: an installed voice by its id, the default for an empty
    /// name, and for OpenAI's names the default too, unless the default is a Kokoro voice, which
    /// has look-alikes. `None` for a name nobody knows.
    pub fn resolve(&self, requested: &str) -> Option<&Voice> {
        if requested.is_empty() || requested == "default" {
            return Some(self.default_voice());
        }
        if let Some(voice) = self.installed.iter().find(|voice| voice.id == requested) {
            return Some(voice);
        }
        let (_, kokoro) = OPENAI_VOICES.iter().find(|(name, _)| *name == requested)?;
        let default = self.default_voice();
        if default.model == VoiceModel::Piper {
            return Some(default);
        }
        Some(
            self.installed
                .iter()
                .find(|voice| voice.id == *kokoro)
                .unwrap_or(default),
        )
    }
}

/// Turns a model's floating-point output into 16-bit samples; full scale is 1.0, beyond is clipped.
pub(crate) fn pcm16(samples: &[f32]) -> impl Iterator<Item = i16> + '_ {
    samples
        .iter()
        .map(|sample| (sample.clamp(-1.0, 1.0) * f32::from(i16::MAX)) as i16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voice(id: &str, model: VoiceModel) -> Voice {
        Voice {
            id: id.to_owned(),
            model,
            language: "en-US".to_owned(),
            rate_hz: 24_000,
        }
    }

    fn both(default: &str) -> Voices {
        let installed = vec![
            voice("joe", VoiceModel::Piper),
            voice("af_heart", VoiceModel::Kokoro),
            voice("am_echo", VoiceModel::Kokoro),
        ];
        Voices::new(installed, default).unwrap()
    }

    #[test]
    fn openai_names_are_spoken_by_the_fast_default() {
        let voices = both("joe");
        for name in openai_voice_names() {
            assert_eq!(voices.resolve(name).unwrap().id, "joe");
        }
        assert_eq!(voices.resolve("am_echo").unwrap().id, "am_echo");
    }

    #[test]
    fn a_kokoro_default_gives_look_alikes_where_installed() {
        let voices = both("af_heart");
        assert_eq!(voices.resolve("echo").unwrap().id, "am_echo");
        assert_eq!(voices.resolve("onyx").unwrap().id, "af_heart");
        assert_eq!(voices.resolve("").unwrap().id, "af_heart");
    }

    #[test]
    fn an_unknown_name_is_nobody() {
        assert!(both("joe").resolve("darth").is_none());
        assert!(Voices::new(Vec::new(), "joe").is_none());
        assert_eq!(both("absent").default_voice().id, "joe");
    }

    #[test]
    fn samples_are_clipped_not_wrapped() {
        let samples: Vec<i16> = pcm16(&[0.0, 1.0, -1.0, 7.0, -7.0]).collect();
        assert_eq!(samples, [0, 32_767, -32_767, 32_767, -32_767]);
    }
}
