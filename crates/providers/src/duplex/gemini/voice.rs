//! Turns the session's audio into what Gemini hears, and what it says into the session's format.
//! Used by the conversation.
//! Never touches audio that both ends understand: 24 kHz PCM passes as it is, its rate declared.

use std::borrow::Cow;

use engine::audio::{
    Decoder, Encoder, Format, SampleRate,
    pcm::{PcmReader, write_le},
};

use crate::duplex::sound::Whole;

/// The rate of everything the models say, where they do not tell
/// (<https://ai.google.dev/gemini-api/docs/live-api/capabilities#audio-formats>).
const SPOKEN_HZ: u32 = 24_000;

/// From the session to the vendor: 16-bit little-endian PCM at any rate, which the server resamples
/// (same page).
pub(super) struct Ears {
    format: Format,
    whole: Whole,
    decoder: Option<Decoder>,
}

impl Ears {
    pub(super) fn new(format: Format) -> Self {
        let rate = format.rate();
        Self {
            format,
            whole: Whole::default(),
            decoder: format.law().map(|_| Decoder::to_rate(format, rate)),
        }
    }

    /// What the bytes are called, and the bytes.
    pub(super) fn hear<'a>(&mut self, audio: &'a [u8]) -> (&'static str, Cow<'a, [u8]>) {
        let kind = match self.format.rate() {
            SampleRate::HZ_8K => "audio/pcm;rate=8000",
            SampleRate::HZ_16K => "audio/pcm;rate=16000",
            SampleRate::HZ_24K => "audio/pcm;rate=24000",
            _ => "audio/pcm;rate=48000",
        };
        if let Some(decoder) = &mut self.decoder {
            let (mut samples, mut bytes) = (Vec::new(), Vec::new());
            decoder.push(audio, &mut samples);
            write_le(&samples, &mut bytes);
            return (kind, bytes.into());
        }
        if self.whole.fits(audio.len(), self.format) {
            return (kind, audio.into());
        }
        (kind, self.whole.take(audio.to_vec(), self.format).into())
    }
}

/// From the vendor to the session.
pub(super) struct Mouth {
    format: Format,
    whole: Whole,
    reader: PcmReader,
    encoder: Option<Encoder>,
}

impl Mouth {
    pub(super) fn new(format: Format) -> Self {
        Self {
            format,
            whole: Whole::default(),
            reader: PcmReader::new(),
            encoder: None,
        }
    }

    /// What the session hears of PCM that has this name.
    pub(super) fn speak(&mut self, kind: &str, audio: Vec<u8>) -> Vec<u8> {
        let rate = rate_hz(kind);
        if self.format == Format::Pcm24k && rate == SampleRate::HZ_24K {
            return self.whole.take(audio, self.format);
        }
        let (mut samples, mut bytes) = (Vec::new(), Vec::new());
        let format = self.format;
        let encoder = match &mut self.encoder {
            Some(encoder) if encoder.source() == rate => encoder,
            encoder => encoder.insert(Encoder::new(rate, format)),
        };
        self.reader.push(&audio, &mut samples);
        encoder.push(&samples, &mut bytes);
        bytes
    }

    /// The rest of an answer, which the resampler held back.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.whole.realign();
        self.reader.reset();
        if let Some(encoder) = &mut self.encoder {
            encoder.flush(&mut bytes);
        }
        bytes
    }
}

/// The rate in `audio/pcm;rate=24000`.
fn rate_hz(kind: &str) -> SampleRate {
    let named = kind
        .split(';')
        .find_map(|part| part.trim().strip_prefix("rate="));
    let hz = named.and_then(|hz| hz.parse().ok()).unwrap_or(SPOKEN_HZ);
    SampleRate::new(hz).unwrap_or(SampleRate::HZ_24K)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_understand_is_not_touched() {
        let audio: Vec<u8> = (0..=255).collect();
        let mut ears = Ears::new(Format::Pcm24k);
        let (kind, heard) = ears.hear(&audio);
        assert_eq!((kind, &*heard), ("audio/pcm;rate=24000", &audio[..]));
        let mut mouth = Mouth::new(Format::Pcm24k);
        assert_eq!(mouth.speak("audio/pcm;rate=24000", audio.clone()), audio);
        assert_eq!(mouth.speak("audio/pcm", audio.clone()), audio);
        assert!(mouth.finish().is_empty());
    }

    #[test]
    fn telephones_are_translated() {
        let silence = vec![Format::Pcmu.silence_byte(); 160];
        let (kind, heard) = Ears::new(Format::Pcmu).hear(&silence);
        assert_eq!((kind, heard.len()), ("audio/pcm;rate=8000", 320));
        let mut mouth = Mouth::new(Format::Pcma);
        // 100 ms of 24 kHz become 100 ms of 8 kHz
        let mut spoken = mouth.speak("audio/pcm;rate=24000", vec![0; 4_800]);
        spoken.extend(mouth.finish());
        assert_eq!(spoken.len(), 800);
    }
}
