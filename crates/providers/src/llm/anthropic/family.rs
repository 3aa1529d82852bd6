//! What the models of Anthropic take, by their names.
//! Asked once per question.
//! Never guesses about others: a model with another name gets what every version of the protocol knows.
//!
//! Sources: <https://platform.claude.com/docs/en/build-with-claude/effort>,
//! <https://platform.claude.com/docs/en/models/haiku-5-5/migration-guide>,
//! <https://platform.claude.com/docs/en/models/sonnet-5-5/migration-guide>,
//! <https://platform.claude.com/docs/en/models/opus-5-5/whats-new-opus-5-5>.

/// How a model thinks before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thinking {
    /// Only when told to, by a budget of tokens that nobody sets here.
    Never,
    /// Only when told to, as deeply as the effort says.
    OnWish,
    /// Unless it is told not to.
    Unless,
    /// Unless it is told to think between calls only; it cannot be forced to call a function.
    BetweenCalls,
    /// It cannot be told not to; it cannot be forced to call a function either.
    Always,
}

impl Thinking {
    /// Whether an answer without a call can be ruled out.
    pub(super) fn takes_force(self) -> bool {
        !matches!(self, Self::BetweenCalls | Self::Always)
    }
}

/// A family of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Family {
    pub(super) thinking: Thinking,
    /// Whether `temperature` is taken; newer models refuse it.
    pub(super) temperature: bool,
}

/// Beginnings of names, the longer ones first.
const FAMILIES: [(&str, Family); 14] = [
    ("claude-opus-5-5", family(Thinking::Always, false)),
    ("claude-sonnet-5-5", family(Thinking::BetweenCalls, false)),
    ("claude-fable-", family(Thinking::Always, false)),
    ("claude-mythos-", family(Thinking::Always, false)),
    ("claude-opus-5", family(Thinking::Unless, false)),
    ("claude-sonnet-5", family(Thinking::Unless, false)),
    ("claude-haiku-5", family(Thinking::Unless, false)),
    ("claude-opus-4-8", family(Thinking::OnWish, false)),
    ("claude-opus-4-7", family(Thinking::OnWish, false)),
    ("claude-opus-4-6", family(Thinking::OnWish, true)),
    ("claude-sonnet-4-6", family(Thinking::OnWish, true)),
    ("claude-opus-4", family(Thinking::Never, true)),
    ("claude-sonnet-4", family(Thinking::Never, true)),
    ("claude-haiku-4", family(Thinking::Never, true)),
];

const fn family(thinking: Thinking, temperature: bool) -> Family {
    Family {
        thinking,
        temperature,
    }
}

/// The family of a model.
pub(super) fn family_of(model: &str) -> Family {
    FAMILIES
        .iter()
        .find(|(beginning, _)| model.starts_with(beginning))
        .map_or(family(Thinking::Never, true), |(_, family)| *family)
}
