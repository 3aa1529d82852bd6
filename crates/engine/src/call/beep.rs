//! Hears the tone after which a machine records: one pure tone of 350 to 2,000 Hz for at least 120 ms.
//! Fed with the other side's audio while it is open whether a machine answered.
//! Never takes two tones at once (ringing, keys) or a voice for one, nor a tone that does not end.

use crate::audio::frame::Framer;

#[cfg(test)]
mod tests;

/// Samples per second.
const RATE: f32 = 8000.0;

/// Samples looked at together: 20 ms.
const BLOCK: usize = 160;

/// Length of a block, in ms.
const BLOCK_MS: u64 = 20;

/// Frequencies looked for, in Hz.
const LOWEST: f32 = 350.0;
const STEP: f32 = 25.0;
const STEPS: usize = 67;

/// How much of a block's energy the tone must have.
const PURITY: f32 = 0.85;

/// Quieter is no tone, as the root of the mean square: -46 dB of full scale.
const QUIET: f32 = 160.0;

/// How far the frequency may move within one tone, in Hz.
const DRIFT: f32 = 30.0;

/// Whole blocks in a tone of 120 ms, wherever it begins.
const SHORTEST: u64 = 5;

/// A tone this long is none: two seconds.
const LONGEST: u64 = 100;

/// A tone that was heard to its end. Times are in ms of audio since the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beep {
    /// When it began.
    pub began_ms: u64,
    /// When it had ended.
    pub ended_ms: u64,
    /// Its frequency in Hz.
    pub hz: u16,
}

/// Hears tones.
#[derive(Debug, Clone)]
pub struct Ear {
    frames: Framer<BLOCK>,
    /// Blocks heard.
    blocks: u64,
    run: Option<Run>,
}

/// A tone that goes on.
#[derive(Debug, Clone, Copy)]
struct Run {
    began: u64,
    blocks: u64,
    hz: f32,
    /// Blocks without it.
    missed: u64,
}

impl Default for Ear {
    fn default() -> Self {
        Self {
            frames: Framer::new(),
            blocks: 0,
            run: None,
        }
    }
}

impl Ear {
    /// Hears samples at 8 kHz, as many as there are; says the last tone that ended in them.
    pub fn hear(&mut self, samples: &[i16]) -> Option<Beep> {
        let mut frames = std::mem::replace(&mut self.frames, Framer::new());
        let mut found = None;
        frames.push(samples, |block| found = self.block(block).or(found));
        self.frames = frames;
        found
    }

    fn block(&mut self, block: &[i16; BLOCK]) -> Option<Beep> {
        let at = self.blocks;
        self.blocks += 1;
        match (tone(block), &mut self.run) {
            (Some(hz), Some(run)) if (hz - run.hz).abs() <= DRIFT => {
                run.blocks += 1 + run.missed;
                run.missed = 0;
                None
            }
            (Some(hz), _) => {
                let ended = self.end();
                self.run = Some(Run {
                    began: at,
                    blocks: 1,
                    hz,
                    missed: 0,
                });
                ended
            }
            (None, Some(run)) if run.missed == 0 => {
                run.missed = 1;
                None
            }
            (None, _) => self.end(),
        }
    }

    fn end(&mut self) -> Option<Beep> {
        let run = self.run.take()?;
        let long_enough = (SHORTEST..=LONGEST).contains(&run.blocks);
        long_enough.then(|| Beep {
            began_ms: run.began * BLOCK_MS,
            ended_ms: (run.began + run.blocks) * BLOCK_MS,
            hz: run.hz.round() as u16,
        })
    }
}

/// The frequency of the one tone that a block is made of.
fn tone(block: &[i16; BLOCK]) -> Option<f32> {
    let samples = block.map(f32::from);
    let energy: f32 = samples.iter().map(|sample| sample * sample).sum();
    if energy < QUIET * QUIET * BLOCK as f32 {
        return None;
    }
    let best = |frequencies: &mut dyn Iterator<Item = f32>| {
        frequencies
            .map(|hz| (hz, power(&samples, hz)))
            .fold(
                (0.0, 0.0),
                |best, next| if next.1 > best.1 { next } else { best },
            )
    };
    let (coarse, _) = best(&mut (0..STEPS).map(|step| LOWEST + step as f32 * STEP));
    let (hz, power) = best(
        &mut [-12.0, -6.0, 0.0, 6.0, 12.0]
            .into_iter()
            .map(|by| coarse + by),
    );
    (2.0 * power >= PURITY * energy * BLOCK as f32).then_some(hz)
}

/// The power of `samples` at one frequency (Goertzel).
fn power(samples: &[f32; BLOCK], hz: f32) -> f32 {
    let turn = 2.0 * (std::f32::consts::TAU * hz / RATE).cos();
    let (mut last, mut before) = (0.0_f32, 0.0_f32);
    for sample in samples {
        (last, before) = (sample + turn * last - before, last);
    }
    last * last + before * before - turn * last * before
}
