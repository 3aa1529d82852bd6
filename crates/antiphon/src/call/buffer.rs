//! What a carrier has been sent and has not played yet.
//! Used by `line`, which plays 20 ms of it every 20 ms.
//! Never plays a mark before the sound in front of it, but for a `clear`, which sends all of them back at once.

use std::collections::VecDeque;

/// Bytes of 20 ms of mu-law.
pub(super) const FRAME: usize = 160;
/// Silence in mu-law.
pub(super) const SILENCE: u8 = 0xFF;

/// What waits.
#[derive(Debug, PartialEq, Eq)]
enum Queued {
    Sound(VecDeque<u8>),
    Mark(String),
}

/// The play-out buffer.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    queue: VecDeque<Queued>,
}

impl Buffer {
    pub(super) fn sound(&mut self, bytes: Vec<u8>) {
        self.queue.push_back(Queued::Sound(bytes.into()));
    }

    pub(super) fn mark(&mut self, name: String) {
        self.queue.push_back(Queued::Mark(name));
    }

    /// Throws all sound away; the marks that waited, and how many ms were thrown away.
    pub(super) fn clear(&mut self) -> (Vec<String>, usize) {
        let mut marks = Vec::new();
        let mut bytes = 0;
        for queued in self.queue.drain(..) {
            match queued {
                Queued::Mark(name) => marks.push(name),
                Queued::Sound(sound) => bytes += sound.len(),
            }
        }
        (marks, bytes / 8)
    }

    /// Plays a frame: what was heard, whether any of it was the agent's, and the marks that have come up.
    pub(super) fn play(&mut self) -> ([u8; FRAME], bool, Vec<String>) {
        let mut frame = [SILENCE; FRAME];
        let (mut at, mut marks) = (0, Vec::new());
        while let Some(first) = self.queue.front_mut() {
            match first {
                Queued::Sound(sound) => {
                    while at < FRAME
                        && let Some(byte) = sound.pop_front()
                    {
                        frame[at] = byte;
                        at += 1;
                    }
                    if !sound.is_empty() {
                        break;
                    }
                    self.queue.pop_front();
                }
                Queued::Mark(name) => {
                    marks.push(std::mem::take(name));
                    self.queue.pop_front();
                }
            }
        }
        (frame, at > 0, marks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_come_up_behind_their_sound_and_at_once_when_it_is_thrown_away() {
        let mut buffer = Buffer::default();
        buffer.mark("nothing before".to_owned());
        buffer.sound(vec![1; 200]);
        buffer.mark("one".to_owned());
        buffer.sound(vec![2; 400]);
        buffer.mark("two".to_owned());
        let (frame, is_sound, marks) = buffer.play();
        assert_eq!(
            (frame[159], is_sound, marks),
            (1, true, vec!["nothing before".to_owned()])
        );
        let (frame, _, marks) = buffer.play();
        assert_eq!(
            (frame[39], frame[40], marks),
            (1, 2, vec!["one".to_owned()])
        );
        assert_eq!(buffer.clear(), (vec!["two".to_owned()], 35));
        let (frame, is_sound, marks) = buffer.play();
        assert_eq!((frame, is_sound, marks.len()), ([SILENCE; FRAME], false, 0));
    }
}
