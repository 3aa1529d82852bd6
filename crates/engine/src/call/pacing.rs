//! Audio for the carrier in frames of 20 ms, never further ahead of what is played than its buffer may hold.
//! Used by the writer of a telephone call, which sends what is due and sleeps until the next frame is.
//! Never drops audio: when it is full it takes no more, and whoever has it keeps it.
//!
//! Carriers with a large buffer may be sent everything at once (`ahead_ms` large); those with a small one lose what is
//! too much, and an interruption is exact only as far as nothing has left us too early.

use std::collections::VecDeque;

/// Length of a frame, in ms.
const FRAME_MS: u64 = 20;

/// How audio is paced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Bytes of a frame of 20 ms: 160 for G.711 at 8 kHz. At least one.
    pub frame_bytes: usize,
    /// A byte of silence, with which the last frame of an utterance is filled up: 0xFF in mu-law, 0xD5 in A-law, else 0.
    pub silence: u8,
    /// How far the carrier may be ahead of its playing, in ms; at least one frame.
    pub ahead_ms: u64,
    /// How much is kept here beyond that, in ms.
    pub kept_ms: u64,
}

impl Default for Pace {
    /// Mu-law at 8 kHz, 200 ms ahead, 10 s kept.
    fn default() -> Self {
        Self {
            frame_bytes: 160,
            silence: 0xFF,
            ahead_ms: 200,
            kept_ms: 10_000,
        }
    }
}

/// Audio on its way to the carrier.
#[derive(Debug, Clone)]
pub struct Pacer {
    pace: Pace,
    queue: VecDeque<u8>,
    frame: Vec<u8>,
    /// When the carrier will have played what it was sent, in ms.
    played_at_ms: u64,
}

impl Pacer {
    /// With room for all that it will ever keep.
    pub fn new(pace: Pace) -> Self {
        let pace = Pace {
            frame_bytes: pace.frame_bytes.max(1),
            ahead_ms: pace.ahead_ms.max(FRAME_MS),
            ..pace
        };
        let frames = usize::try_from(pace.kept_ms / FRAME_MS).unwrap_or(0).max(1);
        Self {
            pace,
            queue: VecDeque::with_capacity(frames.saturating_mul(pace.frame_bytes)),
            frame: Vec::with_capacity(pace.frame_bytes),
            played_at_ms: 0,
        }
    }

    /// Takes audio and says how many bytes of it: fewer than there are when it is full. Offer the rest again after
    /// frames have left.
    pub fn push(&mut self, audio: &[u8]) -> usize {
        let frames = (self.pace.kept_ms / FRAME_MS).max(1);
        let most = (frames as usize).saturating_mul(self.pace.frame_bytes);
        let taken = audio.len().min(most.saturating_sub(self.queue.len()));
        self.queue.extend(&audio[..taken]);
        taken
    }

    /// The utterance is over: what is left of it leaves with silence behind it instead of waiting for more.
    pub fn finish(&mut self) {
        let over = self.queue.len() % self.pace.frame_bytes;
        if over > 0 {
            let silence = std::iter::repeat_n(self.pace.silence, self.pace.frame_bytes - over);
            self.queue.extend(silence);
        }
    }

    /// Gives every frame that is due at `now_ms` to `send`, and says how many those were.
    pub fn due(&mut self, now_ms: u64, mut send: impl FnMut(&[u8])) -> usize {
        let mut frames = 0;
        while self.next_ms(now_ms).is_some_and(|at_ms| at_ms <= now_ms) {
            self.frame.clear();
            self.frame.extend(self.queue.drain(..self.pace.frame_bytes));
            // what was played before counts no more: the carrier has been silent since
            self.played_at_ms = self.played_at_ms.max(now_ms) + FRAME_MS;
            send(&self.frame);
            frames += 1;
        }
        frames
    }

    /// When the next frame leaves; `None` while no whole frame is there.
    pub fn next_ms(&self, now_ms: u64) -> Option<u64> {
        if self.queue.len() < self.pace.frame_bytes {
            return None;
        }
        let full_until_ms = (self.played_at_ms + FRAME_MS).saturating_sub(self.pace.ahead_ms);
        Some(full_until_ms.max(now_ms))
    }

    /// The caller broke in: nothing of what waits is sent, and the carrier was told to `clear`. Says how much was
    /// dropped here, in ms.
    pub fn clear(&mut self, now_ms: u64) -> u64 {
        let dropped = (self.queue.len() as u64 * FRAME_MS) / self.pace.frame_bytes as u64;
        self.queue.clear();
        self.played_at_ms = now_ms;
        dropped
    }

    /// How much waits here, in ms.
    pub fn waiting_ms(&self) -> u64 {
        (self.queue.len() as u64 * FRAME_MS) / self.pace.frame_bytes as u64
    }

    /// How much the carrier has not played yet by the clock, in ms.
    pub const fn buffered_ms(&self, now_ms: u64) -> u64 {
        self.played_at_ms.saturating_sub(now_ms)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sent(pacer: &mut Pacer, now_ms: u64) -> Vec<u8> {
        let mut all = Vec::new();
        pacer.due(now_ms, |frame| all.extend_from_slice(frame));
        all
    }

    #[test]
    fn it_fills_the_buffer_and_then_keeps_step() {
        let mut pacer = Pacer::new(Pace::default());
        assert_eq!(pacer.push(&[7; 160 * 30]), 160 * 30);
        assert_eq!(sent(&mut pacer, 1000).len(), 160 * 10);
        assert_eq!(pacer.next_ms(1000), Some(1020));
        assert_eq!(sent(&mut pacer, 1019).len(), 0);
        assert_eq!(sent(&mut pacer, 1020).len(), 160);
        // a task that comes late makes it good
        assert_eq!(sent(&mut pacer, 1100).len(), 160 * 4);
        assert_eq!((pacer.waiting_ms(), pacer.buffered_ms(1100)), (300, 200));
        assert_eq!(pacer.clear(1100), 300);
        assert_eq!((pacer.waiting_ms(), pacer.buffered_ms(1100)), (0, 0));
        assert_eq!(pacer.next_ms(1100), None);
    }

    #[test]
    fn an_utterance_leaves_whole_with_silence_behind() {
        let mut pacer = Pacer::new(Pace::default());
        pacer.push(&[7; 170]);
        assert_eq!(sent(&mut pacer, 0), [7; 160]);
        assert_eq!(pacer.next_ms(50), None);
        pacer.finish();
        pacer.finish();
        let last = sent(&mut pacer, 50);
        assert_eq!((&last[..10], &last[10..]), (&[7; 10][..], &[0xFF; 150][..]));
    }

    #[test]
    fn when_it_is_full_it_takes_no_more() {
        let pace = Pace {
            kept_ms: 100,
            ..Pace::default()
        };
        let mut pacer = Pacer::new(pace);
        assert_eq!(pacer.push(&[1; 1000]), 800);
        assert_eq!(pacer.push(&[1; 1000]), 0);
        assert_eq!(sent(&mut pacer, 0).len(), 800);
        assert_eq!(pacer.push(&[1; 1000]), 800);
    }

    proptest! {
        #[test]
        fn everything_arrives_in_order_and_never_too_early(
            steps in proptest::collection::vec((0_usize..2000, 0_u64..90), 1..60),
            ahead_ms in 0_u64..500,
        ) {
            let pace = Pace { ahead_ms, kept_ms: 200, ..Pace::default() };
            let mut pacer = Pacer::new(pace);
            let (mut offered, mut arrived, mut now_ms) = (0_usize, Vec::new(), 0);
            for (bytes, later_ms) in steps {
                let audio: Vec<u8> = (offered..offered + bytes).map(|n| n as u8).collect();
                offered += pacer.push(&audio);
                now_ms += later_ms;
                pacer.due(now_ms, |frame| arrived.extend_from_slice(frame));
                prop_assert!(pacer.buffered_ms(now_ms) <= ahead_ms.max(20));
                prop_assert!(pacer.waiting_ms() <= 200);
            }
            prop_assert_eq!(arrived.len() + pacer.queue.len(), offered);
            prop_assert!(arrived.iter().enumerate().all(|(n, byte)| *byte == n as u8));
        }
    }
}
