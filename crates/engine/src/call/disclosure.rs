//! Whether the other side was told in time that it is a machine that speaks.
//! Fed by the telephone edge with the agent's words as they are heard; asked after ten seconds, and for the record.
//! Never believes what was sent and not heard: it is told only of what was played.

use super::words::{Words, phrase};

/// How soon it is to be said, in ms after the answer.
pub const WITHIN_MS: u64 = 10_000;

/// Phrases that say it. Whoever's agent says it otherwise adds its own.
pub const PHRASES: [&str; 40] = [
    "artificial intelligence",
    "an AI",
    "AI assistant",
    "AI agent",
    "AI caller",
    "AI powered",
    "virtual assistant",
    "virtual agent",
    "digital assistant",
    "automated assistant",
    "automated agent",
    "automated call",
    "automated voice",
    "automated system",
    "I am a robot",
    "I'm a robot",
    "this is a robot",
    "I am a bot",
    "I'm a bot",
    "this is a bot",
    "I am a computer",
    "I'm a computer",
    "this is a computer",
    "I am a machine",
    "I'm a machine",
    "talking to a robot",
    "talking to a computer",
    "talking to a machine",
    "voice assistant",
    "künstliche Intelligenz",
    "KI Assistent",
    "KI Assistentin",
    "digitaler Assistent",
    "inteligencia artificial",
    "asistente virtual",
    "intelligence artificielle",
    "assistant virtuel",
    "intelligenza artificiale",
    "assistente virtuale",
    "assistente virtual",
];

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disclosed {
    /// Not said yet, and there is time.
    NotYet,
    /// Said in time.
    InTime {
        /// In ms after the answer.
        at_ms: u64,
    },
    /// Said, but late.
    Late {
        /// In ms after the answer.
        at_ms: u64,
    },
    /// Not said, and the time is over.
    Missing,
}

/// Listens for the disclosure.
#[derive(Debug, Clone)]
pub struct Disclosure {
    phrases: Vec<String>,
    words: Words,
    at_ms: Option<u64>,
}

impl Default for Disclosure {
    fn default() -> Self {
        Self::new(PHRASES)
    }
}

impl Disclosure {
    /// Listens for these phrases.
    pub fn new<'a>(phrases: impl IntoIterator<Item = &'a str>) -> Self {
        let phrases = phrases.into_iter().map(phrase);
        Self {
            phrases: phrases.filter(|phrase| phrase.len() > 1).collect(),
            words: Words::new(),
            at_ms: None,
        }
    }

    /// The agent's words, which the other side has heard by `at_ms` after the answer. A word may go on in the next
    /// piece.
    pub fn heard(&mut self, words: &str, at_ms: u64) {
        if self.at_ms.is_none() {
            self.words.push(words);
            self.look(at_ms);
        }
    }

    /// The agent has finished what it was saying, or was interrupted, at `at_ms` after the answer.
    pub fn paused(&mut self, at_ms: u64) {
        if self.at_ms.is_none() {
            self.words.end_word();
            self.look(at_ms);
        }
    }

    fn look(&mut self, at_ms: u64) {
        if self.words.have(&self.phrases) {
            self.at_ms = Some(at_ms);
        }
    }

    /// How it stands at `now_ms` after the answer.
    pub const fn stands(&self, now_ms: u64) -> Disclosed {
        match self.at_ms {
            Some(at_ms) if at_ms <= WITHIN_MS => Disclosed::InTime { at_ms },
            Some(at_ms) => Disclosed::Late { at_ms },
            None if now_ms <= WITHIN_MS => Disclosed::NotYet,
            None => Disclosed::Missing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_heard_across_pieces() {
        let mut disclosure = Disclosure::default();
        disclosure.heard("Hi, this is Ann, an A", 1200);
        assert_eq!(disclosure.stands(1200), Disclosed::NotYet);
        disclosure.heard("I assistant of the shop. ", 2100);
        assert_eq!(disclosure.stands(2200), Disclosed::InTime { at_ms: 2100 });
        disclosure.heard("I am an AI. ", 9000);
        assert_eq!(disclosure.stands(99_000), Disclosed::InTime { at_ms: 2100 });
    }

    #[test]
    fn ten_seconds_are_the_limit() {
        let mut disclosure = Disclosure::default();
        disclosure.heard("Hello! How are you", 9000);
        assert_eq!(disclosure.stands(10_000), Disclosed::NotYet);
        assert_eq!(disclosure.stands(10_001), Disclosed::Missing);
        disclosure.heard(" today? I am a virtual assistant", 12_000);
        assert_eq!(disclosure.stands(12_000), Disclosed::Missing);
        disclosure.paused(12_500);
        assert_eq!(disclosure.stands(12_500), Disclosed::Late { at_ms: 12_500 });
    }

    #[test]
    fn a_denial_does_not_count_and_other_languages_do() {
        let mut disclosure = Disclosure::default();
        disclosure.heard("No, I am not a robot. ", 1000);
        assert_eq!(disclosure.stands(2000), Disclosed::NotYet);
        disclosure.heard("Ich bin eine künstliche Intelligenz. ", 4000);
        assert_eq!(disclosure.stands(5000), Disclosed::InTime { at_ms: 4000 });
        let mut own = Disclosure::new(["synthetic colleague", ""]);
        own.heard("I am your Synthetic Colleague. ", 1000);
        assert_eq!(own.stands(1000), Disclosed::InTime { at_ms: 1000 });
    }
}
