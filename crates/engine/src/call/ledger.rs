//! How much of the audio we sent has been heard, so that an interruption cuts exactly there.
//! Kept by the telephone edge, one a call: it writes down what goes out and what marks come back.
//! Never believes a mark that was cleared, and allocates nothing for a frame.
//!
//! The carrier plays what it is sent in order. After each piece of audio we send a mark; the carrier sends it back when
//! everything before it has been played. A `clear` makes some carriers send all marks back at once and others drop
//! them: marks therefore carry a generation, and those of an earlier one say nothing.

use std::collections::VecDeque;

#[cfg(test)]
mod tests;

/// Items kept at most; of more, the oldest counts as played.
const ITEMS: usize = 64;

/// Items cut last, whose late audio is not sent.
const CUT: usize = 16;

/// How a carrier says what it has played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marks {
    /// It sends marks back; whether it does so on `clear` makes no difference.
    Sent,
    /// It does not: what was played is worked out from the time since it was sent.
    Clock,
}

/// Name of a mark, to be sent after the audio it covers. Write it with `Display`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    generation: u32,
    sequence: u64,
    /// Number of the item among all of the call.
    item: u64,
    /// Samples of the item up to the mark.
    samples: u64,
}

impl std::fmt::Display for Mark {
    /// Letters and digits alone: some carriers take nothing else.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            generation,
            sequence,
            item,
            samples,
        } = self;
        write!(f, "g{generation}q{sequence}i{item}s{samples}")
    }
}

impl Mark {
    fn parse(name: &str) -> Option<Self> {
        let (generation, rest) = name.strip_prefix('g')?.split_once('q')?;
        let (sequence, rest) = rest.split_once('i')?;
        let (item, samples) = rest.split_once('s')?;
        Some(Self {
            generation: generation.parse().ok()?,
            sequence: sequence.parse().ok()?,
            item: item.parse().ok()?,
            samples: samples.parse().ok()?,
        })
    }
}

/// What to do with a piece of audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Send it, then this mark, if the carrier knows marks.
    Play(Option<Mark>),
    /// Drop it: its item was cut.
    Late,
}

/// What a mark that came back says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// More was played than we knew.
    Played,
    /// Nothing new: it came twice, or in the wrong order.
    Known,
    /// It was cleared; it came back because of that.
    Cleared,
    /// It is none of ours.
    Unknown,
}

/// An item that is to be cut: nothing after `heard_ms` was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The item.
    pub item: String,
    /// Which part of it.
    pub content_index: u32,
    /// What was heard of it, in ms; never more than was sent.
    pub heard_ms: u64,
}

#[derive(Debug)]
struct Item {
    id: String,
    content_index: u32,
    number: u64,
    /// Samples.
    sent: u64,
    /// Samples.
    played: u64,
    /// Where it begins among the samples that the clock counts; before them when part of it was played earlier.
    begins: i64,
}

/// What was sent and what was heard.
#[derive(Debug)]
pub struct Ledger {
    marks: Marks,
    /// Samples in one second.
    rate: u64,
    /// How much more than the last mark is taken to have been heard, in ms.
    slack_ms: u64,
    generation: u32,
    sequence: u64,
    numbers: u64,
    /// Those of which something may not have been played, oldest first.
    items: VecDeque<Item>,
    cut: VecDeque<String>,
    /// Clock: when the carrier began with what it plays, and how much of that there is, in samples.
    playing_since_ms: u64,
    queued: u64,
}

impl Ledger {
    /// For a carrier that plays `rate` samples in a second.
    pub fn new(marks: Marks, rate: u32) -> Self {
        Self {
            marks,
            rate: u64::from(rate.max(1)),
            slack_ms: 50,
            generation: 0,
            sequence: 0,
            numbers: 0,
            items: VecDeque::with_capacity(ITEMS),
            cut: VecDeque::with_capacity(CUT),
            playing_since_ms: 0,
            queued: 0,
        }
    }

    /// `samples` of an item are about to be sent at `now_ms`.
    pub fn audio(
        &mut self,
        (item, content_index): (&str, u32),
        samples: usize,
        now_ms: u64,
    ) -> Sent {
        if self.cut.iter().any(|cut| cut == item) {
            return Sent::Late;
        }
        self.settle(now_ms);
        if self.unplayed() == 0 {
            self.playing_since_ms = now_ms;
            self.queued = 0;
            if let Some(last) = self.items.back_mut() {
                last.begins = -(last.sent as i64);
            }
        }
        let known = self
            .items
            .back()
            .is_some_and(|last| last.id == item && last.content_index == content_index);
        if !known {
            self.begin(item, content_index);
        }
        let samples = samples as u64;
        self.queued += samples;
        let (generation, sequence) = (self.generation, self.sequence);
        self.sequence += 1;
        let Some(last) = self.items.back_mut() else {
            return Sent::Late;
        };
        last.sent += samples;
        let mark = Mark {
            generation,
            sequence,
            item: last.number,
            samples: last.sent,
        };
        Sent::Play((self.marks == Marks::Sent).then_some(mark))
    }

    fn begin(&mut self, item: &str, content_index: u32) {
        if self.items.len() >= ITEMS {
            self.items.pop_front();
        }
        self.items.push_back(Item {
            id: item.to_owned(),
            content_index,
            number: self.numbers,
            sent: 0,
            played: 0,
            begins: self.queued as i64,
        });
        self.numbers += 1;
    }

    /// A mark of this name came back.
    pub fn mark(&mut self, name: &str) -> Echo {
        let Some(mark) = Mark::parse(name) else {
            return Echo::Unknown;
        };
        if mark.generation > self.generation
            || mark.sequence >= self.sequence
            || mark.item >= self.numbers
        {
            return Echo::Unknown;
        }
        if mark.generation < self.generation {
            return Echo::Cleared;
        }
        let mut news = false;
        for item in &mut self.items {
            // what came before it has been played to the end
            let to = match item.number.cmp(&mark.item) {
                std::cmp::Ordering::Less => item.sent,
                std::cmp::Ordering::Equal => mark.samples.min(item.sent),
                std::cmp::Ordering::Greater => break,
            };
            news |= to > item.played;
            item.played = item.played.max(to);
        }
        self.forget_played();
        if news { Echo::Played } else { Echo::Known }
    }

    /// The caller speaks at `now_ms`. Adds what is to be cut to `cuts`, oldest first, and says whether the carrier is
    /// to be sent a `clear`: not when it has nothing left to play. Asked again it has nothing to cut.
    pub fn interrupt(&mut self, now_ms: u64, cuts: &mut Vec<Cut>) -> bool {
        self.settle(now_ms);
        if self.unplayed() == 0 {
            return false;
        }
        let slack = match self.marks {
            Marks::Sent => self.slack_ms * self.rate / 1000,
            Marks::Clock => 0,
        };
        let mut playing = true;
        while let Some(item) = self.items.pop_front() {
            if item.played < item.sent {
                // one item plays at a time: those after it have not begun
                let heard = if playing {
                    (item.played + slack).min(item.sent)
                } else {
                    0
                };
                playing = false;
                cuts.push(Cut {
                    item: item.id.clone(),
                    content_index: item.content_index,
                    heard_ms: heard * 1000 / self.rate,
                });
            }
            self.note_cut(item.id);
        }
        self.generation = self.generation.wrapping_add(1);
        self.queued = 0;
        true
    }

    /// An item that was never begun is not to be sent either, such as one of a response that was cancelled.
    pub fn refuse(&mut self, item: &str) {
        if !self.cut.iter().any(|cut| cut == item) {
            self.note_cut(item.to_owned());
        }
    }

    fn note_cut(&mut self, id: String) {
        if self.cut.len() == CUT {
            self.cut.pop_front();
        }
        self.cut.push_back(id);
    }

    /// What has been sent and not been played, in ms.
    pub fn unplayed_ms(&mut self, now_ms: u64) -> u64 {
        self.settle(now_ms);
        self.unplayed() * 1000 / self.rate
    }

    /// Whether everything has been heard: a good-bye has been said to its end.
    pub fn is_quiet(&mut self, now_ms: u64) -> bool {
        self.settle(now_ms);
        self.unplayed() == 0
    }

    fn unplayed(&self) -> u64 {
        self.items.iter().map(|item| item.sent - item.played).sum()
    }

    /// Brings what the clock says up to `now_ms`.
    fn settle(&mut self, now_ms: u64) {
        if self.marks == Marks::Sent {
            return;
        }
        let elapsed = now_ms.saturating_sub(self.playing_since_ms) * self.rate / 1000;
        for item in &mut self.items {
            let here = (elapsed as i64 - item.begins).clamp(0, item.sent as i64);
            item.played = item.played.max(here as u64);
        }
        self.forget_played();
    }

    /// Lets go of items before the last that have been played.
    fn forget_played(&mut self) {
        while self.items.len() > 1 && self.items.front().is_some_and(|it| it.played >= it.sent) {
            self.items.pop_front();
        }
    }
}
