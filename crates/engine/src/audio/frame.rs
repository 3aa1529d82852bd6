//! Cuts a stream of samples into frames of one fixed length.
//! Called by the speech detector, whose model hears exactly 256 samples at a time.
//! It never copies a frame that lies whole inside one chunk.

/// Collects samples and hands out frames of `N`.
#[derive(Debug, Clone)]
pub struct Framer<const N: usize> {
    pending: [i16; N],
    filled: usize,
}

impl<const N: usize> Default for Framer<N> {
    fn default() -> Self {
        Self {
            pending: [0; N],
            filled: 0,
        }
    }
}

impl<const N: usize> Framer<N> {
    /// A framer at the start of a stream.
    pub fn new() -> Self {
        const { assert!(N > 0, "a frame holds at least one sample") };
        Self::default()
    }

    /// Takes samples and calls `frame` for every frame completed, in order.
    pub fn push(&mut self, samples: &[i16], mut frame: impl FnMut(&[i16; N])) {
        let mut samples = samples;
        if self.filled > 0 {
            let (now, later) = samples.split_at((N - self.filled).min(samples.len()));
            self.pending[self.filled..self.filled + now.len()].copy_from_slice(now);
            self.filled += now.len();
            samples = later;
            if self.filled < N {
                return;
            }
            frame(&self.pending);
            self.filled = 0;
        }
        let (frames, rest) = samples.as_chunks::<N>();
        frames.iter().for_each(frame);
        self.pending[..rest.len()].copy_from_slice(rest);
        self.filled = rest.len();
    }

    /// How many samples wait for their frame to fill up.
    pub fn pending(&self) -> usize {
        self.filled
    }

    /// Forgets the waiting samples.
    pub fn reset(&mut self) {
        self.filled = 0;
    }
}
