//! A survey by text as a value: who answers, what is asked, what is said to whom.
//! Driven by `gateway::edge::survey`, one task per dialogue, and by the agent that speaks a survey.
//! Never sends a mail, compares a code or stores an answer: it asks for that ([`Ask`]) and is told what came of it.
//!
//! | what | where |
//! |---|---|
//! | the dialogue, `on(input, now) -> outputs` | [`dialogue`] |
//! | its words, and the dialects | [`locale`], [`Dialect`] |
//! | what may be answered | [`answers`] |
//! | whose answer it is | [`address`] |
//! | the same aloud | [`spoken`] |

pub mod address;
pub mod answers;
pub mod dialogue;
pub mod locale;
mod phrases;
pub mod spoken;

pub use address::{Address, PlusTags};
pub use answers::{Questions, SetProblem};
pub use dialogue::{Ask, Dialogue, Given, Input, Manner, Output, Response, SurveyFound, Verdict};
pub use locale::{Locale, LocaleProblem, Phrase};
pub use spoken::Spoken;

/// Which generation of clients is spoken to (spec/chat-voice-survey A2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Dialect {
    /// The current one: a code is requested over HTTP before the dialogue.
    #[default]
    V3c,
    /// The first one: the code is mailed when the address is typed, and the server closes after the summary.
    V1,
}

impl Dialect {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V3c, Self::V1];

    /// Its name in the configuration and in addresses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V3c => "v3c",
            Self::V1 => "v1",
        }
    }

    /// The dialect of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == name)
    }
}
