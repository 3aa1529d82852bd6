//! Streaming change of sample rate for mono audio, in chunks of any length.
//! Called by the codec in both directions, by WAV import and by the speech models.
//! It never allocates in steady state, and the output never shifts in time.
//!
//! Blocks are about 10 ms (rubato's FFT resampler, two per 20 ms frame), so it holds back 10 ms of
//! input plus half a block of filter delay: 15 ms at most between 8, 16, 24 and 48 kHz, 10 ms from
//! 22.05 to 24 kHz. Rates with few common factors need longer blocks: 30 ms from 22.05 to 16 kHz,
//! 60 ms from 11.025 to 16 kHz. The filter is a Blackman-Harris window of one block, and the pass
//! band of an 8 kHz stream covers the telephone band.

use std::fmt;

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

use super::format::SampleRate;

/// Blocks per second aimed at: 10 ms each.
const BLOCKS_PER_SECOND: u32 = 100;

/// Converts one stream of mono samples from one rate to another.
///
/// The delay of the filter is cut off at the front, so output sample `n` belongs to the time
/// `n / to` of the input. After [`Resampler::flush`] the output holds exactly
/// `ceil(input * to / from)` samples, whatever the chunks were.
pub struct Resampler {
    from: SampleRate,
    to: SampleRate,
    // absent when both rates are equal: samples pass through untouched
    engine: Option<Box<Engine>>,
}

struct Engine {
    fft: Fft<f32>,
    // the block being filled; its capacity is one block and never grows
    input: Vec<f32>,
    output: Vec<f32>,
    block_in: usize,
    // output samples still to be cut off, which are the delay of the filter
    skip: usize,
    samples_in: u64,
    samples_out: u64,
}

impl fmt::Debug for Resampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resampler({} -> {})", self.from, self.to)
    }
}

impl Resampler {
    /// A resampler at the start of a stream; it passes samples through when both rates are equal.
    pub fn new(from: SampleRate, to: SampleRate) -> Self {
        let engine = (from != to).then(|| Box::new(Engine::new(from, to)));
        Self { from, to, engine }
    }

    /// The rate of the input.
    pub fn from(&self) -> SampleRate {
        self.from
    }

    /// The rate of the output.
    pub fn to(&self) -> SampleRate {
        self.to
    }

    /// How much audio it holds back at most, in milliseconds, rounded up: a block that is not full
    /// yet and half a block of filter.
    pub fn delay_ms(&self) -> u32 {
        self.engine.as_ref().map_or(0, |engine| {
            let held = engine.block_in as u64 * 3 * 1_000;
            held.div_ceil(2 * u64::from(self.from.hz())) as u32
        })
    }

    /// Takes samples at the input rate and appends what is ready, at the output rate, to `out`.
    pub fn push(&mut self, samples: &[i16], out: &mut Vec<i16>) {
        match &mut self.engine {
            None => out.extend_from_slice(samples),
            Some(engine) => engine.push(samples, out),
        }
    }

    /// Ends the stream: appends what is still held back, and starts over for a new stream.
    pub fn flush(&mut self, out: &mut Vec<i16>) {
        if let Some(engine) = &mut self.engine {
            engine.flush(self.from, self.to, out);
        }
    }
}

impl Engine {
    fn new(from: SampleRate, to: SampleRate) -> Self {
        // the smallest block both rates divide into; the block used is the multiple of it that
        // comes nearest to 10 ms from below
        let smallest = from.hz() / gcd(from.hz(), to.hz());
        let blocks = (from.hz() / BLOCKS_PER_SECOND / smallest).max(1);
        let block_in = (smallest * blocks) as usize;
        #[expect(
            clippy::expect_used,
            reason = "construction fails only for a zero rate or block, and both are at least 1"
        )]
        let fft = Fft::new_custom(
            from.hz() as usize,
            to.hz() as usize,
            block_in,
            1,
            1,
            WindowFunction::BlackmanHarris,
            FixedSync::Both,
        )
        .expect("rates and block are positive");
        Self {
            input: Vec::with_capacity(block_in),
            output: vec![0.0; fft.output_frames_max()],
            block_in,
            skip: fft.output_delay(),
            samples_in: 0,
            samples_out: 0,
            fft,
        }
    }

    fn push(&mut self, mut samples: &[i16], out: &mut Vec<i16>) {
        self.samples_in += samples.len() as u64;
        while !samples.is_empty() {
            let room = self.block_in - self.input.len();
            let (now, later) = samples.split_at(room.min(samples.len()));
            self.input
                .extend(now.iter().map(|&sample| f32::from(sample)));
            samples = later;
            if self.input.len() == self.block_in {
                self.convert(u64::MAX, out);
            }
        }
    }

    fn flush(&mut self, from: SampleRate, to: SampleRate, out: &mut Vec<i16>) {
        let due = (u128::from(self.samples_in) * u128::from(to.hz()))
            .div_ceil(u128::from(from.hz())) as u64;
        while self.samples_out < due {
            // silence pushes the tail out of the filter
            self.input.resize(self.block_in, 0.0);
            self.convert(due - self.samples_out, out);
        }
        self.input.clear();
        self.fft.reset();
        self.skip = self.fft.output_delay();
        self.samples_in = 0;
        self.samples_out = 0;
    }

    /// Converts the full block in `input` and appends at most `limit` samples.
    fn convert(&mut self, limit: u64, out: &mut Vec<i16>) {
        let frames_out = self.output.len();
        #[expect(
            clippy::expect_used,
            reason = "both slices have the length the resampler asked for when it was built"
        )]
        {
            let input = SequentialSlice::new(self.input.as_slice(), 1, self.block_in)
                .expect("the input holds one block");
            let mut output = SequentialSlice::new_mut(self.output.as_mut_slice(), 1, frames_out)
                .expect("the output holds one block");
            self.fft
                .process_into_buffer(&input, &mut output, None)
                .expect("the blocks have the right size");
        }
        self.input.clear();
        let skipped = self.skip.min(frames_out);
        self.skip -= skipped;
        let ready = (frames_out - skipped).min(usize::try_from(limit).unwrap_or(usize::MAX));
        // a float to integer cast saturates, which is the clipping wanted here
        out.extend(
            self.output[skipped..skipped + ready]
                .iter()
                .map(|&sample| sample.round() as i16),
        );
        self.samples_out += ready as u64;
    }
}

const fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
