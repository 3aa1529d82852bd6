//! What both directions of speech need: which bytes a format is made of, and samples kept whole.
//! Used by the vendors of this folder.
//! Never changes a sample.

use engine::audio::Format;
use wire::realtime::AudioFormat;

/// Longest speech in one message, in ms; its base64 stays far below what a connection takes.
const MESSAGE_MS: u64 = 20_000;

/// What the bytes of the session's audio are.
pub(crate) fn format(audio: AudioFormat) -> Format {
    match audio {
        AudioFormat::Pcm24k(_) => Format::Pcm24k,
        AudioFormat::Pcmu => Format::Pcmu,
        AudioFormat::Pcma => Format::Pcma,
    }
}

/// Speech cut into what fits a message; every cut but the last holds whole samples.
pub(super) fn slices(speech: &[u8], format: Format) -> impl Iterator<Item = &[u8]> {
    speech.chunks(format.bytes(MESSAGE_MS) as usize)
}

/// Holds back the half of a sample that a cut left over.
#[derive(Debug, Default)]
pub(super) struct Whole(Option<u8>);

impl Whole {
    /// Whether so many bytes can be taken as they are.
    pub(super) fn fits(&self, length: usize, format: Format) -> bool {
        format.bytes_per_sample() == 1 || self.0.is_none() && length.is_multiple_of(2)
    }

    /// The whole samples of what has come.
    pub(super) fn take(&mut self, bytes: Vec<u8>, format: Format) -> Vec<u8> {
        if format.bytes_per_sample() == 1 {
            return bytes;
        }
        let mut whole = match self.0.take() {
            None => bytes,
            Some(half) => {
                let mut joined = Vec::with_capacity(bytes.len() + 1);
                joined.push(half);
                joined.extend_from_slice(&bytes);
                joined
            }
        };
        if whole.len() % 2 == 1 {
            self.0 = whole.pop();
        }
        whole
    }

    /// Forgets the half: the next byte begins a sample.
    pub(super) fn realign(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_never_cut() {
        let mut whole = Whole::default();
        let pcm = Format::Pcm24k;
        assert_eq!(whole.take(vec![1, 2, 3], pcm), [1, 2]);
        assert_eq!(whole.take(vec![4], pcm), [3, 4]);
        assert_eq!(whole.take(vec![5], pcm), [] as [u8; 0]);
        whole.realign();
        assert_eq!(whole.take(vec![6, 7], pcm), [6, 7]);
        assert_eq!(whole.take(vec![1], Format::Pcmu), [1]);
    }

    #[test]
    fn long_speech_is_cut_between_samples() {
        let speech = vec![0; 48 * 50_000];
        let lengths: Vec<usize> = slices(&speech, Format::Pcm24k).map(<[u8]>::len).collect();
        assert_eq!(lengths, [960_000, 960_000, 480_000]);
    }
}
