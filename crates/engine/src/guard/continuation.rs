//! Joins the answer of a second model to the beginning that a first one left behind.
//! Used where a stream of text breaks midway and another provider takes over.
//! It never lets a sentence be said twice, and never drops a word that is new.
//!
//! A model that is asked to go on either goes on, or repeats the last words, or begins again. Words are compared
//! without case and punctuation; text is held back only as long as it could still be a repetition.

/// Words in a row, from the very beginning, that tell a new beginning from chance.
const RESTART_WORDS: usize = 3;

/// A beginning, and what of the next text continues it.
#[derive(Debug, Clone)]
pub struct Continuation {
    /// What was said, as comparable words.
    said: Vec<String>,
    seam: Seam,
    /// Text that may still be a repetition.
    held: String,
    /// Complete words of `held`.
    words: usize,
    /// Bytes of `held` that belong to complete words.
    read: usize,
    /// Places in `said` at which the held words may begin.
    starts: Vec<usize>,
    /// Bytes of `held` that are a repetition if nothing longer turns out to be one.
    repeated: usize,
    decided: bool,
}

/// What stands between what was said and what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seam {
    /// Nothing was said, or something has followed already.
    Closed,
    /// White space.
    Spaced,
    /// Nothing: two words would become one.
    Bare,
}

impl Continuation {
    /// Continues `said`.
    pub fn new(said: &str) -> Self {
        let words: Vec<String> = said.split_whitespace().map(comparable).collect();
        Self {
            starts: (0..words.len()).collect(),
            decided: words.is_empty(),
            said: words,
            seam: match said.chars().next_back() {
                None => Seam::Closed,
                Some(last) if last.is_whitespace() => Seam::Spaced,
                Some(_) => Seam::Bare,
            },
            held: String::new(),
            words: 0,
            read: 0,
            repeated: 0,
        }
    }

    /// Takes the next text and gives what of it, and of the text held back, is new.
    pub fn push(&mut self, text: &str) -> String {
        if self.decided {
            return self.join(text.to_owned());
        }
        self.held.push_str(text);
        while let Some((start, end)) = self.next_word() {
            self.compare(start, end);
            if self.starts.is_empty() {
                return self.decide();
            }
        }
        String::new()
    }

    /// The text has ended: gives what was held back and is new.
    pub fn finish(&mut self) -> String {
        if self.decided {
            return String::new();
        }
        let rest = self.held[self.read..].trim_start();
        if !rest.is_empty() {
            let start = self.held.len() - rest.len();
            self.compare(start, self.held.len());
        }
        // a new beginning that stopped before it came to anything new
        if self.starts.contains(&0) && self.words >= RESTART_WORDS {
            self.repeated = self.held.len();
        }
        self.decide()
    }

    /// The next word that white space has ended.
    fn next_word(&self) -> Option<(usize, usize)> {
        let rest = &self.held[self.read..];
        let start = self.read + (rest.len() - rest.trim_start().len());
        let length = self.held[start..].find(char::is_whitespace)?;
        Some((start, start + length))
    }

    fn compare(&mut self, start: usize, end: usize) {
        let word = comparable(&self.held[start..end]);
        let at = self.words;
        let said = &self.said;
        let was_beginning = self.starts.contains(&0);
        self.starts
            .retain(|begin| said.get(begin + at).is_some_and(|other| *other == word));
        if was_beginning && !self.starts.contains(&0) && at >= RESTART_WORDS {
            self.repeated = self.repeated.max(self.read);
        }
        if !self.starts.is_empty() {
            self.words += 1;
            self.read = end;
        }
        // where a run of equal words has reached the end of what was said, all of it is a repetition
        if self.starts.iter().any(|begin| begin + at + 1 == said.len()) {
            self.repeated = self.repeated.max(end);
        }
    }

    fn decide(&mut self) -> String {
        self.decided = true;
        let held = std::mem::take(&mut self.held);
        let new = &held[self.repeated..];
        // what follows a repetition brings its own space
        self.join(new.to_owned())
    }

    /// One space between two words: neither none nor two.
    fn join(&mut self, text: String) -> String {
        let Some(first) = text.chars().next() else {
            return text;
        };
        match std::mem::replace(&mut self.seam, Seam::Closed) {
            Seam::Spaced => text.trim_start_matches(' ').to_owned(),
            Seam::Bare if first.is_alphanumeric() => format!(" {text}"),
            Seam::Bare | Seam::Closed => text,
        }
    }
}

/// A word without case and punctuation; a word of nothing else stays as it is.
fn comparable(word: &str) -> String {
    let letters: String = word
        .chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    if letters.is_empty() {
        word.to_owned()
    } else {
        letters
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SAID: &str = "The sun rises in the east, and it";

    fn whole(said: &str, parts: &[&str]) -> String {
        let mut continuation = Continuation::new(said);
        let mut text = said.to_owned();
        for part in parts {
            text += &continuation.push(part);
        }
        text += &continuation.finish();
        text
    }

    #[test]
    fn a_model_that_goes_on_is_taken_as_it_is() {
        assert_eq!(
            whole(SAID, &["sets ", "in the west."]),
            "The sun rises in the east, and it sets in the west."
        );
        assert_eq!(whole("Well, ", &["yes."]), "Well, yes.");
        assert_eq!(whole("Well", &[", yes."]), "Well, yes.");
        assert_eq!(whole("", &["Yes."]), "Yes.");
    }

    #[test]
    fn the_last_words_are_not_said_twice() {
        assert_eq!(
            whole(SAID, &["and it sets", " in the west."]),
            "The sun rises in the east, and it sets in the west."
        );
    }

    #[test]
    fn a_new_beginning_is_cut_to_what_is_new() {
        let again = "The sun rises in the east and it sets in the west.";
        for size in [1, 3, 100] {
            let parts: Vec<String> = again
                .chars()
                .collect::<Vec<char>>()
                .chunks(size)
                .map(|part| part.iter().collect())
                .collect();
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            assert_eq!(
                whole(SAID, &parts),
                "The sun rises in the east, and it sets in the west."
            );
        }
    }

    #[test]
    fn a_new_beginning_in_other_words_goes_on_where_it_differs() {
        assert_eq!(
            whole(SAID, &["The sun rises in the morning. It sets at night."]),
            "The sun rises in the east, and it morning. It sets at night."
        );
    }

    #[test]
    fn a_new_beginning_that_brings_nothing_new_says_nothing() {
        assert_eq!(whole(SAID, &["The sun rises in"]), SAID);
        assert_eq!(whole(SAID, &[SAID]), SAID);
    }

    #[test]
    fn a_chance_likeness_is_no_repetition() {
        assert_eq!(whole("I like tea.", &["I do."]), "I like tea. I do.");
        assert_eq!(whole("a b c d e", &["b c x"]), "a b c d e b c x");
    }

    proptest! {
        #[test]
        fn what_is_new_is_never_lost(said in "([a-m]{1,4} ){0,6}", new in "([n-z]{1,4} ){0,6}", cut in 1_usize..5) {
            let parts: Vec<String> = new.chars().collect::<Vec<char>>().chunks(cut).map(|part| part.iter().collect()).collect();
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            prop_assert_eq!(whole(&said, &parts), format!("{said}{new}"));
        }

        #[test]
        fn a_repeated_beginning_is_never_said_twice(said in "([a-m]{1,4} ){3,6}", new in "([n-z]{1,4} ){1,6}") {
            let again = format!("{said}{new}");
            prop_assert_eq!(whole(said.trim_end(), &[&again]), again);
        }
    }
}
