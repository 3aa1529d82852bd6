//! A call as two channels side by side: the caller left, the agent right, each where it was heard.
//! Fed by the gateway's recorder with what came from the carrier and what was sent to it.
//! Never keeps more than [`KEPT_MS`] of sound, and never what was thrown away before anybody heard it.

use std::collections::VecDeque;

/// Samples per second.
pub const RATE_HZ: u32 = 8000;
/// Sound waits so long before it is final, in ms: what was sent ahead may still be thrown away.
const SETTLES_MS: u64 = 2000;
/// Sound that is kept at most, in ms: some of it may lie ahead of its time.
pub const KEPT_MS: u64 = 30_000;
/// A pause of the caller's that is shorter is the network's.
const JITTER_MS: u64 = 120;

/// The two channels of a call while it lasts. Times are in ms of the call.
#[derive(Debug, Default)]
pub struct Stereo {
    /// Samples that are final and have left.
    settled: u64,
    caller: VecDeque<i16>,
    agent: VecDeque<i16>,
}

const fn samples(ms: u64) -> u64 {
    ms * RATE_HZ as u64 / 1000
}

impl Stereo {
    /// One at the beginning of a call.
    pub fn new() -> Self {
        Self::default()
    }

    /// The caller's sound, which has come at `at_ms`. False when there is no room for it.
    pub fn caller(&mut self, at_ms: u64, sound: &[i16]) -> bool {
        let end = self.settled + self.caller.len() as u64;
        let began = samples(at_ms).saturating_sub(sound.len() as u64);
        let start = if began > end + samples(JITTER_MS) {
            began
        } else {
            end
        };
        Self::put(&mut self.caller, self.settled, start, sound)
    }

    /// The agent's sound, which was sent at `at_ms` and is played behind what was sent before. False when there is no room.
    pub fn agent(&mut self, at_ms: u64, sound: &[i16]) -> bool {
        let end = self.settled + self.agent.len() as u64;
        let start = end.max(samples(at_ms));
        Self::put(&mut self.agent, self.settled, start, sound)
    }

    fn put(channel: &mut VecDeque<i16>, settled: u64, start: u64, sound: &[i16]) -> bool {
        let from = start.saturating_sub(settled);
        if from + sound.len() as u64 > samples(KEPT_MS) {
            return false;
        }
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        channel.resize(from.max(channel.len()), 0);
        channel.extend(sound);
        true
    }

    /// What the agent was to say after `at_ms` was thrown away, or is not to be kept.
    pub fn cut(&mut self, at_ms: u64) {
        let heard = samples(at_ms).saturating_sub(self.settled);
        let heard = usize::try_from(heard).unwrap_or(usize::MAX);
        self.agent.truncate(heard);
    }

    /// Adds what is final at `now_ms`: samples of both in turn, the caller's first.
    pub fn settle(&mut self, now_ms: u64, out: &mut Vec<i16>) {
        self.leave(samples(now_ms.saturating_sub(SETTLES_MS)), out);
    }

    /// Adds all that was heard up to the end of the call.
    pub fn finish(&mut self, end_ms: u64, out: &mut Vec<i16>) {
        self.cut(end_ms);
        let caller = self.settled + self.caller.len() as u64;
        self.leave(samples(end_ms).max(caller), out);
    }

    fn leave(&mut self, until: u64, out: &mut Vec<i16>) {
        while self.settled < until {
            out.push(self.caller.pop_front().unwrap_or_default());
            out.push(self.agent.pop_front().unwrap_or_default());
            self.settled += 1;
        }
    }

    /// How long what has left is, in ms.
    pub const fn settled_ms(&self) -> u64 {
        self.settled * 1000 / RATE_HZ as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channels(out: &[i16]) -> (Vec<i16>, Vec<i16>) {
        let of = |at: usize| out.iter().skip(at).step_by(2).copied().collect();
        (of(0), of(1))
    }

    #[test]
    fn each_side_stands_where_it_was_heard_and_what_was_cut_is_gone() {
        let mut stereo = Stereo::new();
        // the agent sends 300 ms ahead at once, and is cut after 100 ms
        for _ in 0..15 {
            assert!(stereo.agent(0, &[7; 160]));
        }
        assert!(stereo.caller(60, &[3; 160]));
        stereo.cut(100);
        // a pause of the network's is none, one of a second is
        assert!(stereo.caller(130, &[4; 160]));
        assert!(stereo.caller(1100, &[5; 160]));
        assert!(stereo.agent(500, &[8; 160]));
        let mut out = Vec::new();
        stereo.settle(1900, &mut out);
        assert!(out.is_empty());
        stereo.finish(1200, &mut out);
        let (caller, agent) = channels(&out);
        assert_eq!((caller.len(), agent.len()), (9600, 9600));
        assert_eq!(
            (caller[0], caller[159], caller[160], caller[319]),
            (3, 3, 4, 4)
        );
        assert_eq!((caller[320], caller[8639], caller[8640]), (0, 0, 5));
        assert_eq!((agent[799], agent[800], agent[3999]), (7, 0, 0));
        assert_eq!((agent[4000], agent[4159], agent[4160]), (8, 8, 0));
        assert_eq!(stereo.settled_ms(), 1200);
    }

    #[test]
    fn what_settles_leaves_and_what_has_no_room_is_refused() {
        let mut stereo = Stereo::new();
        let mut out = Vec::new();
        assert!(stereo.caller(20, &[1; 160]));
        stereo.settle(3000, &mut out);
        assert_eq!(out.len(), 2 * 8000);
        // what comes late stands behind what has left
        assert!(stereo.caller(500, &[2; 160]));
        stereo.cut(1000);
        stereo.finish(1000, &mut out);
        assert_eq!(out.len(), 2 * (8000 + 160));
        let minute = vec![1; 8000 * 60];
        assert!(!stereo.agent(3000, &minute));
    }
}
