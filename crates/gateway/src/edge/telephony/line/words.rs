//! Who said what in a call: turns as they end, with what was heard of the agent's.
//! Fed by the task of a call with the session's events and the carrier's marks.
//! Never writes down words that nobody heard.

use std::collections::VecDeque;

use engine::call::disclosure::{Disclosed, Disclosure};
use store::Speaker;

use crate::calls::book::Turn;

/// Turns that are not complete yet; of more, the oldest are given up.
const OPEN_TURNS: usize = 64;

/// A turn of the caller's whose words are on their way.
#[derive(Debug)]
struct Asked {
    item: String,
    seq: i64,
    started_ms: u64,
    ended_ms: Option<u64>,
}

/// Something the agent says.
#[derive(Debug)]
struct Said {
    item: String,
    seq: i64,
    started_ms: u64,
    /// All of its words, once they are known.
    text: Option<String>,
    /// Its sound so far, in ms.
    sound_ms: u64,
    /// The mark behind the last of its sound, once that is known.
    last_mark: Option<u64>,
    /// It was cut: what is left of it is being asked for. In ms of its sound.
    cut_ms: Option<u64>,
}

/// The transcript of a call while it grows.
#[derive(Debug)]
pub(super) struct Words {
    seq: i64,
    asked: VecDeque<Asked>,
    said: VecDeque<Said>,
    /// The highest mark that came back.
    heard: u64,
    disclosure: Disclosure,
}

impl Words {
    /// Of an attempt of a call, from 1.
    pub(super) fn new(attempt: i64) -> Self {
        Self {
            seq: store::turns_before(attempt),
            asked: VecDeque::new(),
            said: VecDeque::new(),
            heard: 0,
            disclosure: Disclosure::default(),
        }
    }

    const fn number(&mut self) -> i64 {
        self.seq += 1;
        self.seq
    }

    /// The caller begins to speak.
    pub(super) fn caller_begins(&mut self, item: &str, now_ms: u64) {
        if self.asked.len() == OPEN_TURNS {
            self.asked.pop_front();
        }
        let seq = self.number();
        self.asked.push_back(Asked {
            item: item.to_owned(),
            seq,
            started_ms: now_ms,
            ended_ms: None,
        });
    }

    /// The caller has stopped.
    pub(super) fn caller_ends(&mut self, item: &str, now_ms: u64) {
        if let Some(asked) = self.asked.iter_mut().find(|asked| asked.item == item) {
            asked.ended_ms = Some(now_ms);
        }
    }

    /// The caller's words are known; nothing where there are none.
    pub(super) fn caller_said(&mut self, item: &str, text: &str, now_ms: u64) -> Option<Turn> {
        let at = self.asked.iter().position(|asked| asked.item == item);
        let asked = at.and_then(|at| self.asked.remove(at));
        let (seq, started_ms, ended_ms) = match asked {
            Some(asked) => (asked.seq, asked.started_ms, asked.ended_ms),
            None => (self.number(), now_ms, None),
        };
        let text = text.trim();
        (!text.is_empty()).then(|| Turn {
            seq,
            speaker: Speaker::Caller,
            item: item.to_owned(),
            started_ms,
            ended_ms: ended_ms.unwrap_or(now_ms),
            interrupted: false,
            source: "stt",
            text: text.to_owned(),
        })
    }

    /// The caller's words will not be known.
    pub(super) fn caller_unheard(&mut self, item: &str) {
        self.asked.retain(|asked| asked.item != item);
    }

    /// So much sound of an item was taken in.
    pub(super) fn agent_sounds(&mut self, item: &str, sound_ms: u64, now_ms: u64) {
        if let Some(said) = self.said.iter_mut().find(|said| said.item == item) {
            said.sound_ms += sound_ms;
            return;
        }
        if self.said.len() == OPEN_TURNS {
            self.said.pop_front();
        }
        let seq = self.number();
        self.said.push_back(Said {
            item: item.to_owned(),
            seq,
            started_ms: now_ms,
            text: None,
            sound_ms,
            last_mark: None,
            cut_ms: None,
        });
    }

    /// All words of an item are known.
    pub(super) fn agent_words(&mut self, item: &str, text: &str) {
        if let Some(said) = self.said.iter_mut().find(|said| said.item == item) {
            said.text = Some(text.to_owned());
        }
    }

    /// All sound of an item was taken in, the last of it before this mark.
    pub(super) fn agent_ends(&mut self, item: &str, last_mark: u64) {
        if let Some(said) = self.said.iter_mut().find(|said| said.item == item) {
            said.last_mark = Some(last_mark);
        }
    }

    /// An item was cut; what is left of its words comes with [`Words::agent_left`].
    pub(super) fn agent_cut(&mut self, item: &str, heard_ms: u64) {
        if let Some(said) = self.said.iter_mut().find(|said| said.item == item) {
            said.cut_ms = Some(heard_ms);
        }
    }

    /// What is left of the words of an item that was cut.
    pub(super) fn agent_left(&mut self, item: &str, text: &str) -> Option<Turn> {
        let at = self.said.iter().position(|said| said.item == item)?;
        let said = self.said.remove(at)?;
        let heard_ms = said.cut_ms.unwrap_or(said.sound_ms);
        self.turn(said, (text, heard_ms), true)
    }

    /// Text mode: the caller spoke over the oldest words, and has heard so much of them.
    pub(super) fn agent_interrupted(&mut self, heard: &str, now_ms: u64) -> Option<Turn> {
        let mut said = self.said.pop_front()?;
        let heard_ms = now_ms.saturating_sub(said.started_ms);
        said.sound_ms = heard_ms;
        self.turn(said, (heard, heard_ms), true)
    }

    /// Everything before mark `number` was heard.
    pub(super) fn note_heard(&mut self, number: u64) {
        self.heard = self.heard.max(number);
    }

    /// Adds the turns that are complete by the marks that came back, in order.
    pub(super) fn complete(&mut self, turns: &mut Vec<Turn>) {
        self.heard_up_to(self.heard, turns);
    }

    /// Everything before mark `number` was heard. Adds the turns that are complete by that, in order.
    pub(super) fn heard_up_to(&mut self, number: u64, turns: &mut Vec<Turn>) {
        while let Some(first) = self.said.front() {
            let whole =
                first.cut_ms.is_none() && first.last_mark.is_some_and(|mark| mark <= number);
            if !whole || first.text.is_none() {
                return;
            }
            let Some(mut said) = self.said.pop_front() else {
                return;
            };
            let text = said.text.take().unwrap_or_default();
            let sound_ms = said.sound_ms;
            turns.extend(self.turn(said, (&text, sound_ms), false));
        }
    }

    /// Whether anything was cut whose words are still asked for.
    pub(super) fn awaits_words(&self) -> bool {
        self.said.iter().any(|said| said.cut_ms.is_some())
    }

    /// The call is over: what nobody answered for any more is cut by the time that was heard of it.
    pub(super) fn close(&mut self, turns: &mut Vec<Turn>) {
        while let Some(mut said) = self.said.pop_front() {
            let Some(heard_ms) = said.cut_ms else {
                continue;
            };
            let whole = said.text.take().unwrap_or_default();
            let text = beginning(&whole, heard_ms, said.sound_ms);
            turns.extend(self.turn(said, (text, heard_ms), true));
        }
    }

    fn turn(
        &mut self,
        said: Said,
        (text, heard_ms): (&str, u64),
        interrupted: bool,
    ) -> Option<Turn> {
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        self.disclose(text, said.started_ms, heard_ms);
        Some(Turn {
            seq: said.seq,
            speaker: Speaker::Agent,
            item: said.item,
            started_ms: said.started_ms,
            ended_ms: said.started_ms + heard_ms,
            interrupted,
            source: "tts",
            text: text.to_owned(),
        })
    }

    /// Listens for the disclosure in words that were heard: each about when its place in the text was.
    fn disclose(&mut self, text: &str, started_ms: u64, heard_ms: u64) {
        let length = text.len().max(1) as u64;
        let mut from = 0;
        for (at, _) in text.match_indices(char::is_whitespace) {
            let at_ms = started_ms + heard_ms * at as u64 / length;
            self.disclosure.heard(&text[from..at], at_ms);
            from = at;
        }
        let end_ms = started_ms + heard_ms;
        self.disclosure.heard(&text[from..], end_ms);
        self.disclosure.paused(end_ms);
    }

    /// Whether it was said that a machine speaks.
    pub(super) const fn disclosed(&self, now_ms: u64) -> Disclosed {
        self.disclosure.stands(now_ms)
    }
}

/// The words of `text` of which `heard_ms` of `whole_ms` were heard.
fn beginning(text: &str, heard_ms: u64, whole_ms: u64) -> &str {
    if heard_ms >= whole_ms {
        return text;
    }
    let bytes = (text.len() as u64 * heard_ms / whole_ms.max(1)) as usize;
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let cut = &text[..end];
    match text[end..].chars().next() {
        // a word that was begun was not heard
        Some(next) if !next.is_whitespace() => cut.rsplit_once(' ').map_or("", |(heard, _)| heard),
        _ => cut,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_come_as_they_are_heard_and_keep_their_order() {
        let mut words = Words::new(1);
        words.agent_sounds("item_1", 1000, 0);
        words.agent_words("item_1", "Hello, I am an AI assistant.");
        words.agent_ends("item_1", 3);
        words.caller_begins("item_2", 1500);
        words.agent_sounds("item_3", 500, 2500);
        words.caller_ends("item_2", 2000);
        let mut turns = Vec::new();
        words.heard_up_to(2, &mut turns);
        assert!(turns.is_empty());
        words.heard_up_to(3, &mut turns);
        assert_eq!((turns[0].seq, turns[0].ended_ms), (1, 1000));
        assert!(matches!(words.disclosed(5000), Disclosed::InTime { at_ms } if at_ms <= 1000));
        let caller = words.caller_said("item_2", " What is new? ", 2600).unwrap();
        assert_eq!((caller.seq, caller.text.as_str()), (2, "What is new?"));
        assert_eq!((caller.started_ms, caller.ended_ms), (1500, 2000));
        words.agent_cut("item_3", 200);
        assert!(words.awaits_words());
        words.heard_up_to(9, &mut turns);
        assert_eq!(turns.len(), 1, "what was cut is not heard whole");
        let left = words.agent_left("item_3", "Not").unwrap();
        assert!(left.interrupted && left.seq == 3 && left.ended_ms == 2700);
        assert!(words.caller_said("item_9", "  ", 3000).is_none());
        // what is said in another attempt meets none of this
        let mut next = Words::new(2);
        let first = next.caller_said("item_1", "Hello?", 10).unwrap();
        assert_eq!(first.seq, store::turns_before(2) + 1);
    }

    #[test]
    fn what_nobody_answers_for_is_cut_by_time_at_a_word() {
        let mut words = Words::new(1);
        words.agent_sounds("item_1", 1000, 0);
        words.agent_words("item_1", "one two three four");
        words.agent_cut("item_1", 500);
        words.agent_sounds("item_2", 1000, 1000);
        words.agent_words("item_2", "never heard");
        words.agent_cut("item_2", 0);
        let mut turns = Vec::new();
        words.close(&mut turns);
        assert_eq!(turns.len(), 1);
        assert_eq!(turns[0].text, "one two");
        assert_eq!(beginning("Grüße", 1, 2), "");
        assert_eq!(beginning("a b", 2, 2), "a b");
    }
}
