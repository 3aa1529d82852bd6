//! Cuts long sound into windows that Whisper can hear at once, at quiet places.
//! `Whisper` calls it with every request.
//! It never drops sound: the windows follow each other without a gap.

use std::ops::Range;

/// 16 kHz.
const SECOND: usize = 16_000;
/// Longest window: 30 s less the second of silence that follows it.
pub(crate) const LONGEST: usize = 29 * SECOND;
/// A cut is looked for in the second half of a window, so that windows do not get short.
const EARLIEST_CUT: usize = 15 * SECOND;
/// Loudness is judged in steps of 20 ms, over 300 ms: longer than the closure of a plosive.
const STEP: usize = SECOND / 50;
const PAUSE_STEPS: usize = 15;

/// The windows of `audio` (16 kHz samples), in order; none for no sound.
pub(crate) fn windows(audio: &[i16]) -> Vec<Range<usize>> {
    let mut windows = Vec::new();
    let mut start = 0;
    while audio.len() - start > LONGEST {
        let cut = start + quietest(&audio[start..start + LONGEST]);
        windows.push(start..cut);
        start = cut;
    }
    if start < audio.len() {
        windows.push(start..audio.len());
    }
    windows
}

/// The middle of the quietest 300 ms after the first 15 s; the latest one of equals.
fn quietest(audio: &[i16]) -> usize {
    let energy: Vec<u64> = audio[EARLIEST_CUT..]
        .chunks_exact(STEP)
        .map(|step| {
            step.iter()
                .map(|s| u64::from(s.unsigned_abs()).pow(2))
                .sum()
        })
        .collect();
    energy
        .windows(PAUSE_STEPS)
        .map(|pause| pause.iter().sum::<u64>())
        .enumerate()
        .min_by_key(|(at, energy)| (*energy, std::cmp::Reverse(*at)))
        .map_or(audio.len(), |(at, _)| {
            EARLIEST_CUT + (at + PAUSE_STEPS / 2) * STEP
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_sound_is_one_window_and_no_sound_is_none() {
        assert_eq!(windows(&vec![1; 5 * SECOND]), vec![0..5 * SECOND]);
        assert!(windows(&[]).is_empty());
    }

    #[test]
    fn long_sound_is_cut_in_its_pauses_without_a_gap() {
        let mut audio = vec![1000i16; 70 * SECOND];
        audio[22 * SECOND..22 * SECOND + SECOND / 2].fill(3);
        audio[41 * SECOND..41 * SECOND + SECOND / 2].fill(3);
        let windows = windows(&audio);
        assert_eq!(windows.len(), 3);
        assert!((22 * SECOND..22 * SECOND + SECOND / 2).contains(&windows[0].end));
        assert!((41 * SECOND..41 * SECOND + SECOND / 2).contains(&windows[1].end));
        assert_eq!(windows[0].end, windows[1].start);
        assert_eq!((windows[0].start, windows[2].end), (0, 70 * SECOND));
    }
}
