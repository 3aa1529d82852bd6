//! What the models of OpenAI take, by their names.
//! Asked by the two protocols of OpenAI, for OpenAI's own server only.
//! Never guesses about others: a model with another name gets what the session asks for.
//!
//! Sources: <https://developers.openai.com/api/docs/guides/latest-model>, the page of each model below
//! <https://developers.openai.com/api/docs/models>, <https://developers.openai.com/api/docs/guides/reasoning>.

use super::turns::Late;
use crate::openai::Server;

/// Who speaks a protocol of OpenAI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Host {
    /// Any server.
    Compatible,
    /// OpenAI's own.
    OpenAi,
}

impl Host {
    pub(super) fn of(server: &Server) -> Self {
        if server.is_hosted() {
            Self::OpenAi
        } else {
            Self::Compatible
        }
    }

    /// The templates of some models refuse instructions in the middle of a conversation.
    pub(super) fn late_instructions(self) -> Late {
        match self {
            Self::Compatible => Late::Told,
            Self::OpenAi => Late::Kept,
        }
    }
}

/// Whether a model takes a `temperature`: those that reason refuse any but their own.
pub(super) fn takes_temperature(model: &str) -> bool {
    !reasons(model)
}

/// The effort to ask for: what the session wishes, as the model calls it. Without a wish it is the
/// least there is: somebody waits for the first word.
pub(super) fn effort<'a>(model: &str, wish: Option<&'a str>) -> Option<&'a str> {
    let least = least(model);
    match wish {
        None => least,
        // what the first generation called minimal is none in those behind it, and the other way round
        Some("minimal" | "none") if least.is_some() => least,
        Some(wish) => Some(wish),
    }
}

/// Whether chat completions refuse functions unless the effort is the least.
pub(super) fn calls_without_effort(model: &str) -> bool {
    model.starts_with("gpt-5.6") || model.starts_with("gpt-6")
}

fn least(model: &str) -> Option<&'static str> {
    let begins = |series: &str| model.starts_with(series);
    if ["pro", "codex", "chat", "astra"]
        .iter()
        .any(|word| model.contains(word))
    {
        None
    } else if begins("gpt-5.") || begins("gpt-6") {
        Some("none")
    } else if begins("gpt-5") {
        Some("minimal")
    } else {
        None
    }
}

fn reasons(model: &str) -> bool {
    let series = ["o1", "o3", "o4", "gpt-5", "gpt-6"];
    series.iter().any(|series| model.starts_with(series)) && !model.contains("chat")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_effort_has_the_models_own_name() {
        for (model, wish, expected) in [
            ("gpt-6-luna", None, Some("none")),
            ("gpt-6-astra", None, None),
            ("gpt-5.6-luna", None, Some("none")),
            ("gpt-5.6-luna", Some("minimal"), Some("none")),
            ("gpt-5-mini", None, Some("minimal")),
            ("gpt-5-mini", Some("none"), Some("minimal")),
            ("gpt-5.6-luna", Some("high"), Some("high")),
            ("gpt-5.2-pro", None, None),
            ("gpt-4.1", None, None),
            ("gpt-4.1", Some("low"), Some("low")),
        ] {
            assert_eq!(effort(model, wish), expected, "{model} {wish:?}");
        }
    }

    #[test]
    fn models_that_reason_take_no_temperature() {
        for (model, takes) in [
            ("gpt-5.6-luna", false),
            ("o3-mini", false),
            ("gpt-5-chat-latest", true),
            ("gpt-4.1", true),
            ("my-own-model", true),
        ] {
            assert_eq!(takes_temperature(model), takes, "{model}");
        }
    }
}
