//! What was said so far, letter by letter, and whether a phrase is in it.
//! Used by the ears of this folder that listen for phrases: for the machine's greeting, and for our own disclosure.
//! Never finds half a word, and never grows beyond a page.

/// Letters that are kept; what is listened for comes early in a call.
const MOST: usize = 4096;

/// Words in lower case with one space around each.
#[derive(Debug, Clone)]
pub(super) struct Words {
    text: String,
    count: usize,
}

impl Words {
    pub(super) fn new() -> Self {
        Self {
            text: " ".to_owned(),
            count: 0,
        }
    }

    /// More was said; a word may go on from one piece to the next.
    pub(super) fn push(&mut self, piece: &str) {
        for letter in piece.chars() {
            if self.text.len() >= MOST {
                return;
            }
            match letter {
                // "I'm" is one word
                '\'' | '\u{2019}' => {}
                letter if letter.is_alphanumeric() => self.text.extend(letter.to_lowercase()),
                _ => self.end_word(),
            }
        }
    }

    /// The last word is complete.
    pub(super) fn end_word(&mut self) {
        if !self.text.ends_with(' ') {
            self.text.push(' ');
            self.count += 1;
        }
    }

    /// Complete words.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// Whether one of `phrases`, which are as [`phrase`] makes them, was said and not denied.
    pub(super) fn have(&self, phrases: &[String]) -> bool {
        phrases.iter().any(|phrase| {
            let mut found = self.text.match_indices(phrase.as_str());
            found.any(|(at, _)| !denied(&self.text[..at]))
        })
    }
}

/// Whether what comes next is denied: "I am not a robot".
fn denied(before: &str) -> bool {
    let denials = [
        "not", "never", "isnt", "arent", "kein", "keine", "nicht", "pas", "no",
    ];
    let last = before.split_whitespace().rev().take(2);
    last.into_iter().any(|word| denials.contains(&word))
}

/// A phrase in the form in which it is looked for.
pub(super) fn phrase(text: &str) -> String {
    let mut words = Words::new();
    words.push(text);
    words.end_word();
    words.text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn have(pieces: &[&str], wanted: &str) -> bool {
        let mut words = Words::new();
        for piece in pieces {
            words.push(piece);
        }
        words.have(&[phrase(wanted)])
    }

    #[test]
    fn a_phrase_is_found_across_pieces_and_in_whole_words() {
        assert!(have(
            &["please leave a mess", "age, after"],
            "Leave a message"
        ));
        assert!(!have(&["please leave a mess"], "leave a message"));
        assert!(!have(&["leave a message"], "leave a mess"));
        assert!(have(&["I\u{2019}m an A", "I. "], "I'm an"));
        assert!(!have(&["we aim high "], "ai"));
        assert!(!have(&["an AI"], "ai"), "the word may go on");
        assert!(have(&["an AI", " "], "ai"));
    }

    #[test]
    fn a_denial_is_no_statement() {
        assert!(!have(&["I am not a robot, "], "robot"));
        assert!(have(&["I am not a robot. I am a robot. "], "robot"));
    }

    #[test]
    fn it_stays_small() {
        let mut words = Words::new();
        words.push(&"word ".repeat(10_000));
        assert!(words.text.len() <= MOST + 1);
        assert_eq!(words.count(), words.text.split_whitespace().count());
    }
}
