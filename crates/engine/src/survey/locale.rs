//! The words of a survey: one text for each thing that is said, with places for what changes.
//! Built in for each dialect ([`Locale::compat`]) and in wording of our own ([`Locale::plain_words`]); the operator's file
//! replaces any of them ([`Locale::replace`]).
//! Never fills in a place twice: what somebody typed is not looked through for places.

use std::borrow::Cow;

use super::Dialect;
use super::phrases;

/// Most bytes of a text.
const TEXT_BYTES: usize = 8 * 1024;

/// Something that is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phrase {
    /// To who has come.
    Welcome,
    /// To who has typed `quit`.
    Goodbye,
    /// What was typed is no address.
    BadEmail,
    /// Nobody has asked for a code for this address.
    NoCode,
    /// A code is on its way to this address.
    CodeSent,
    /// The code cannot be mailed.
    CodeNotSent,
    /// Too many codes were asked for.
    TooManyCodes,
    /// The code is too old.
    CodeExpired,
    /// The code is another.
    WrongCode,
    /// So many wrong codes were typed that the right one counts no more.
    CodeBurned,
    /// There is nothing to ask.
    NoSurvey,
    /// There is nothing to ask, said to who has just come and is let go.
    Closed,
    /// This person has answered already.
    Already,
    /// The code is right; the first question follows.
    Verified,
    /// A question with its number.
    Asked,
    /// An answer was taken; the next question follows.
    Recorded,
    /// An option of a choice.
    Option,
    /// Neither yes nor no.
    NotYesNo,
    /// None of the options.
    NotChoice,
    /// No number, or not one of those that are taken.
    NotNumber,
    /// No words, or too many.
    NotText,
    /// Any number.
    AnyNumber,
    /// A whole number.
    WholeNumber,
    /// A number with a lower bound.
    AtLeast,
    /// A number with an upper bound.
    AtMost,
    /// A number with both.
    Between,
    /// Before the answers in the summary.
    SummaryOpens,
    /// An answer in the summary.
    SummaryAnswer,
    /// After them.
    SummaryEnds,
    /// The answer yes.
    Yes,
    /// The answer no.
    No,
    /// To who goes on typing when all is said.
    Over,
    /// Something could not be done; the same may be typed again.
    Failed,
    /// Before the server closes, some time after the last word.
    Inactive,
    /// To who types faster than anybody reads.
    TooFast,
    /// Which dialogue this is, for who has asked to be able to come back.
    Session,
    /// Before the last prompt, to who has come back.
    Back,
    /// The subject of the mail with the code.
    MailSubject,
    /// The mail with the code.
    MailBody,
    /// Aloud, before the first question.
    SpokenWelcome,
    /// Aloud, what there is to choose from, behind the question.
    SpokenOptions,
    /// Aloud, an answer was taken; the next question follows.
    SpokenNoted,
    /// Aloud, what was said is no answer; what would be follows, and the question again.
    SpokenAgain,
    /// Aloud, what answers yes or no.
    SpokenYesNo,
    /// Aloud, what answers a question for words.
    SpokenWords,
    /// Aloud, after the last answer.
    SpokenEnd,
    /// Aloud, to who wants to stop.
    SpokenGoodbye,
}

impl Phrase {
    /// Every one.
    pub const ALL: [Self; 47] = [
        Self::Welcome,
        Self::Goodbye,
        Self::BadEmail,
        Self::NoCode,
        Self::CodeSent,
        Self::CodeNotSent,
        Self::TooManyCodes,
        Self::CodeExpired,
        Self::WrongCode,
        Self::CodeBurned,
        Self::NoSurvey,
        Self::Closed,
        Self::Already,
        Self::Verified,
        Self::Asked,
        Self::Recorded,
        Self::Option,
        Self::NotYesNo,
        Self::NotChoice,
        Self::NotNumber,
        Self::NotText,
        Self::AnyNumber,
        Self::WholeNumber,
        Self::AtLeast,
        Self::AtMost,
        Self::Between,
        Self::SummaryOpens,
        Self::SummaryAnswer,
        Self::SummaryEnds,
        Self::Yes,
        Self::No,
        Self::Over,
        Self::Failed,
        Self::Inactive,
        Self::TooFast,
        Self::Session,
        Self::Back,
        Self::MailSubject,
        Self::MailBody,
        Self::SpokenWelcome,
        Self::SpokenOptions,
        Self::SpokenNoted,
        Self::SpokenAgain,
        Self::SpokenYesNo,
        Self::SpokenWords,
        Self::SpokenEnd,
        Self::SpokenGoodbye,
    ];

    /// Its name in a locale file, and the places that its text may have.
    const fn entry(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Welcome => ("welcome", &[]),
            Self::Goodbye => ("goodbye", &[]),
            Self::BadEmail => ("bad_email", &[]),
            Self::NoCode => ("no_code", &["email"]),
            Self::CodeSent => ("code_sent", &["email"]),
            Self::CodeNotSent => ("code_not_sent", &["email"]),
            Self::TooManyCodes => ("too_many_codes", &["email"]),
            Self::CodeExpired => ("code_expired", &[]),
            Self::WrongCode => ("wrong_code", &["left"]),
            Self::CodeBurned => ("code_burned", &[]),
            Self::NoSurvey => ("no_survey", &[]),
            Self::Closed => ("closed", &[]),
            Self::Already => ("already", &[]),
            Self::Verified => ("verified", &["question"]),
            Self::Asked => ("asked", &["n", "count", "question"]),
            Self::Recorded => ("recorded", &["question"]),
            Self::Option => ("option", &["n", "option"]),
            Self::NotYesNo => ("not_yes_no", &["question"]),
            Self::NotChoice => ("not_choice", &["question", "count"]),
            Self::NotNumber => ("not_number", &["question", "range"]),
            Self::NotText => ("not_text", &["question", "count"]),
            Self::AnyNumber => ("any_number", &[]),
            Self::WholeNumber => ("whole_number", &[]),
            Self::AtLeast => ("at_least", &["number", "min"]),
            Self::AtMost => ("at_most", &["number", "max"]),
            Self::Between => ("between", &["number", "min", "max"]),
            Self::SummaryOpens => ("summary_opens", &[]),
            Self::SummaryAnswer => ("summary_answer", &["n", "question", "answer"]),
            Self::SummaryEnds => ("summary_ends", &[]),
            Self::Yes => ("yes", &[]),
            Self::No => ("no", &[]),
            Self::Over => ("over", &[]),
            Self::Failed => ("failed", &[]),
            Self::Inactive => ("inactive", &[]),
            Self::TooFast => ("too_fast", &[]),
            Self::Session => ("session", &["session"]),
            Self::Back => ("back", &["prompt"]),
            Self::MailSubject => ("mail_subject", &["code"]),
            Self::MailBody => ("mail_body", &["code", "minutes", "url"]),
            Self::SpokenWelcome => ("spoken_welcome", &["name", "count", "question"]),
            Self::SpokenOptions => ("spoken_options", &["question", "options"]),
            Self::SpokenNoted => ("spoken_noted", &["question"]),
            Self::SpokenAgain => ("spoken_again", &["answer", "question"]),
            Self::SpokenYesNo => ("spoken_yes_no", &[]),
            Self::SpokenWords => ("spoken_words", &[]),
            Self::SpokenEnd => ("spoken_end", &[]),
            Self::SpokenGoodbye => ("spoken_goodbye", &[]),
        }
    }

    /// Its name in a locale file.
    pub const fn name(self) -> &'static str {
        self.entry().0
    }

    /// The places that its text may have, without their braces.
    pub const fn places(self) -> &'static [&'static str] {
        self.entry().1
    }

    /// The phrase of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phrase| phrase.name() == name)
    }
}

/// What is wrong with a text of a locale file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocaleProblem {
    /// Nothing is called that.
    #[error("'{name}' is no text of a survey; there are {known}")]
    Unknown {
        /// As it was written.
        name: String,
        /// Those there are.
        known: String,
    },
    /// A place that nothing is put into.
    #[error("the text '{name}' has the place '{{{place}}}', and may have {known}")]
    Place {
        /// Whose.
        name: &'static str,
        /// As it was written.
        place: String,
        /// Those there are.
        known: String,
    },
    /// A text without words, or too long.
    #[error("the text '{name}' must have 1 to 8192 bytes and no character U+0000")]
    Size {
        /// Whose.
        name: &'static str,
    },
}

/// The words of a survey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locale {
    texts: Vec<Cow<'static, str>>,
}

impl Locale {
    /// As the clients of a dialect have always heard it. What the protocol leaves open is ours.
    pub fn compat(dialect: Dialect) -> Self {
        Self::of(|phrase| phrases::compat(dialect, phrase))
    }

    /// In words of our own.
    pub fn plain_words(dialect: Dialect) -> Self {
        Self::of(|phrase| phrases::plain(dialect, phrase))
    }

    fn of(text: impl Fn(Phrase) -> &'static str) -> Self {
        Self {
            texts: Phrase::ALL.map(|phrase| text(phrase).into()).into(),
        }
    }

    /// Says `text` where `name` is meant.
    ///
    /// # Errors
    /// [`LocaleProblem`]; nothing is changed then.
    pub fn replace(&mut self, name: &str, text: &str) -> Result<(), LocaleProblem> {
        let phrase = Phrase::parse(name).ok_or_else(|| LocaleProblem::Unknown {
            name: name.to_owned(),
            known: Phrase::ALL.map(Phrase::name).join(", "),
        })?;
        let name = phrase.name();
        if text.trim().is_empty() || text.len() > TEXT_BYTES || text.contains('\0') {
            return Err(LocaleProblem::Size { name });
        }
        let unknown = pieces(text).find_map(|piece| match piece {
            Piece::Place(place) if !phrase.places().contains(&place) => Some(place.to_owned()),
            _ => None,
        });
        if let Some(place) = unknown {
            let known = match phrase.places() {
                [] => "none".to_owned(),
                places => places.join(", "),
            };
            return Err(LocaleProblem::Place { name, place, known });
        }
        self.texts[phrase as usize] = text.to_owned().into();
        Ok(())
    }

    /// A text without places.
    pub fn plain(&self, phrase: Phrase) -> &str {
        &self.texts[phrase as usize]
    }

    /// A text with its places filled in.
    pub fn fill(&self, phrase: Phrase, values: &[(&str, &str)]) -> String {
        let mut filled = String::new();
        for piece in pieces(self.plain(phrase)) {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Place(place) => {
                    let value = values.iter().find(|(name, _)| *name == place);
                    filled.push_str(value.map_or("", |(_, value)| value));
                }
            }
        }
        filled
    }
}

enum Piece<'a> {
    Text(&'a str),
    Place(&'a str),
}

/// A text in its parts. A place is a word of small letters in braces; any other brace is a brace.
fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some(place) = place(rest) {
            rest = &rest[place.len() + 2..];
            return Some(Piece::Place(place));
        }
        // up to the next brace; one that begins no place is text
        let own = usize::from(rest.starts_with('{'));
        let end = rest[own..].find('{').map_or(rest.len(), |at| at + own);
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(Piece::Text(piece))
    })
}

fn place(text: &str) -> Option<&str> {
    let (place, _) = text.strip_prefix('{')?.split_once('}')?;
    let is_name = !place.is_empty() && place.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    is_name.then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phrase_is_found_under_its_name_and_number() {
        for (at, phrase) in Phrase::ALL.into_iter().enumerate() {
            assert_eq!(Phrase::parse(phrase.name()), Some(phrase));
            assert_eq!(phrase as usize, at, "{phrase:?}");
        }
    }

    #[test]
    fn the_built_in_texts_keep_the_rules_for_texts() {
        for dialect in Dialect::ALL {
            for built_in in [Locale::compat(dialect), Locale::plain_words(dialect)] {
                let mut other = built_in.clone();
                for phrase in Phrase::ALL {
                    other
                        .replace(phrase.name(), built_in.plain(phrase))
                        .unwrap();
                }
                assert_eq!(other, built_in);
            }
        }
    }

    #[test]
    fn what_somebody_typed_is_not_looked_through() {
        let mut locale = Locale::compat(Dialect::V3c);
        let text = "{{n} of {count}: {question} {Not} {";
        locale.replace("asked", text).unwrap();
        let values = [("n", "{count}"), ("count", "3"), ("question", "ü{n}?")];
        assert_eq!(
            locale.fill(Phrase::Asked, &values),
            "{{count} of 3: ü{n}? {Not} {"
        );
    }

    #[test]
    fn a_text_that_cannot_be_said_is_refused_and_changes_nothing() {
        let mut locale = Locale::compat(Dialect::V3c);
        let why = |it: Result<(), LocaleProblem>| it.unwrap_err().to_string();
        assert!(why(locale.replace("hello", "x")).contains("'hello' is no text of a survey"));
        assert_eq!(
            why(locale.replace("wrong_code", "{left} of {all}")),
            "the text 'wrong_code' has the place '{all}', and may have left"
        );
        assert!(why(locale.replace("goodbye", "{email}")).ends_with("may have none"));
        assert!(why(locale.replace("goodbye", " ")).contains("'goodbye' must have"));
        assert_eq!(locale, Locale::compat(Dialect::V3c));
    }
}
