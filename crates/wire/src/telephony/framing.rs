//! Which pieces of sound a carrier plays, and a cutter that makes them.
//! Used by the edge between what is spoken and [`super::Say::Audio`].
//! Never waits: when a piece is sent is the edge's business; [`Delivery`] says what the carrier bears.

use bytes::{Buf, BytesMut};

use super::format::Format;

/// What a carrier bears of our sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// Lengths of one frame.
    pub frame: FrameLength,
    /// Sound that it queues, in milliseconds; `None` is unknown, so that the edge should not run far ahead.
    pub queue_ms: Option<u64>,
    /// Frames a second, and how many at once; `None` is as many as we like.
    pub rate: Option<(u32, u32)>,
}

/// Which lengths a frame of audio may have, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameLength {
    /// Shortest.
    pub min: usize,
    /// Longest.
    pub max: usize,
    /// It must be a multiple of this.
    pub step: usize,
}

impl FrameLength {
    /// Whether a frame of `bytes` is played as it should be.
    pub const fn allows(self, bytes: usize) -> bool {
        bytes >= self.min && bytes <= self.max && bytes.is_multiple_of(self.step)
    }

    /// Any whole number of samples, up to `max` bytes.
    pub(super) const fn any(format: Format, max: usize) -> Self {
        let step = format.bytes_per_sample();
        Self {
            min: step,
            max: max / step * step,
            step,
        }
    }
}

/// Cuts sound into frames that a carrier plays; what is too short waits for more or for [`Cutter::finish`].
#[derive(Debug)]
pub struct Cutter {
    length: FrameLength,
    /// The length that frames have when there is enough sound.
    target: usize,
    silence: u8,
    rest: BytesMut,
}

impl Cutter {
    /// Frames of about `target_ms`, within what `length` allows.
    pub fn new(length: FrameLength, format: Format, target_ms: u64) -> Self {
        let wanted = format.bytes_per_ms().saturating_mul(target_ms as usize);
        // a carrier that takes text has no length of sound that would do: it gets no frames
        let clamped = wanted.min(length.max).max(length.min);
        Self {
            length,
            target: (clamped / length.step * length.step).max(length.min),
            silence: format.silence(),
            rest: BytesMut::new(),
        }
    }

    /// Adds sound.
    pub fn push(&mut self, audio: &[u8]) {
        self.rest.extend_from_slice(audio);
    }

    /// The next whole frame; call it until there is none.
    pub fn next_frame(&mut self) -> Option<BytesMut> {
        let whole = self.takes_sound() && self.rest.len() >= self.target;
        whole.then(|| self.rest.split_to(self.target))
    }

    /// What is left, padded with silence up to a length that is allowed (spec/telephony §3.3, Exotel). Take the whole
    /// frames first.
    pub fn finish(&mut self) -> Option<BytesMut> {
        if self.rest.is_empty() || !self.takes_sound() {
            return None;
        }
        let whole = self.rest.len().next_multiple_of(self.length.step);
        let padded = whole.max(self.length.min).min(self.length.max);
        let taken = padded.min(self.rest.len());
        let mut frame = self.rest.split_to(taken);
        frame.resize(padded, self.silence);
        Some(frame)
    }

    const fn takes_sound(&self) -> bool {
        self.length.min <= self.length.max
    }

    /// Forgets what has not become a frame, as a `Clear` wants. Returns how many bytes.
    pub fn clear(&mut self) -> usize {
        let bytes = self.rest.len();
        self.rest.advance(bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Codec, Dialect};
    use super::*;

    #[test]
    fn every_carrier_has_a_cutter_and_text_has_no_frames() {
        for dialect in Dialect::ALL {
            let codec = Codec::new(dialect);
            let mut cutter = Cutter::new(codec.delivery().frame, Format::Mulaw8k, 20);
            cutter.push(&vec![0xff; 40_000]);
            let framed = cutter.next_frame().is_some() | cutter.finish().is_some();
            assert_eq!(framed, dialect != Dialect::Relay, "{dialect:?}");
        }
    }

    const EXOTEL: FrameLength = FrameLength {
        min: 3_200,
        max: 100_000,
        step: 320,
    };

    #[test]
    fn frames_are_cut_and_the_last_is_padded_with_silence() {
        let mut cutter = Cutter::new(EXOTEL, Format::L16At8k, 100);
        cutter.push(&[7; 3_000]);
        assert_eq!(cutter.next_frame(), None, "too short for this carrier");
        cutter.push(&[7; 3_000]);
        let first = cutter.next_frame().expect("enough now");
        assert_eq!(first.len(), 3_200);
        assert_eq!(cutter.next_frame(), None);
        let last = cutter.finish().expect("a rest");
        assert!(EXOTEL.allows(last.len()), "{}", last.len());
        assert_eq!(last[..2_800], [7; 2_800]);
        assert_eq!(last[2_800..], [0; 400]);
        assert_eq!(cutter.finish(), None);
    }

    #[test]
    fn a_clear_forgets_the_rest() {
        let vonage = FrameLength {
            min: 640,
            max: 640,
            step: 640,
        };
        let mut cutter = Cutter::new(vonage, Format::L16At16k, 500);
        cutter.push(&[1; 700]);
        assert_eq!(cutter.next_frame().map(|frame| frame.len()), Some(640));
        assert_eq!(cutter.clear(), 60);
        assert_eq!(cutter.finish(), None);
    }

    #[test]
    fn padding_is_silence_of_the_format() {
        let any = FrameLength::any(Format::Mulaw8k, 16_000);
        let mut cutter = Cutter::new(any, Format::Mulaw8k, 20);
        cutter.push(&[1; 161]);
        assert_eq!(cutter.next_frame().map(|frame| frame.len()), Some(160));
        assert_eq!(cutter.finish().as_deref(), Some(&[1][..]));
        let mut cutter = Cutter::new(EXOTEL, Format::Mulaw8k, 20);
        cutter.push(&[1; 10]);
        let frame = cutter.finish().expect("a rest");
        assert_eq!((frame.len(), frame[10]), (3_200, 0xFF));
    }
}
