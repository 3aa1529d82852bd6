//! What may be asked and answered: which question sets make sense, which text is an answer, how an answer is shown.
//! Used by the dialogue, and by the gateway before it stores a question set.
//! Never guesses: what could mean two things is asked again.

use serde::{Deserialize, Serialize};
use wire::rest::surveys::{Answer, Question, QuestionKind};

use super::locale::{Locale, Phrase};

/// Questions of a set, at most.
pub const QUESTIONS: usize = 100;
/// Options of a choice, at most.
pub const OPTIONS: usize = 100;
/// Characters of a question or of an option, at most.
pub const TEXT_CHARACTERS: usize = 1000;
/// Characters of a name, at most.
const NAME_CHARACTERS: usize = 255;
/// Characters of a text answer, at most.
pub const ANSWER_CHARACTERS: u32 = 10_000;
/// Digits of a number that are looked at; up to there it is kept exactly.
const NUMBER_BYTES: usize = 15;

/// A question set that is being asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Questions {
    /// Its id among the tenant's.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// In the order in which they are asked; at least one.
    pub questions: Vec<Question>,
}

/// What does not make sense about a question set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {expected}")]
pub struct SetProblem {
    /// Where, such as `questions[2].options`.
    pub place: String,
    /// What is expected there.
    pub expected: &'static str,
}

/// Whether a question set can be asked.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn check(name: &str, questions: &[Question]) -> Result<(), SetProblem> {
    let problem = |place: String, expected| Err(SetProblem { place, expected });
    if !is_line(name, NAME_CHARACTERS) {
        return problem("name".to_owned(), "1 to 255 characters on one line");
    }
    if questions.is_empty() || questions.len() > QUESTIONS {
        return problem("questions".to_owned(), "1 to 100 questions");
    }
    for (at, question) in questions.iter().enumerate() {
        let place = |field: &str| format!("questions[{at}].{field}");
        if !is_line(&question.text, TEXT_CHARACTERS) {
            return problem(place("text"), "1 to 1000 characters on one line");
        }
        if let Err((field, expected)) = check_kind(&question.kind) {
            return problem(place(field), expected);
        }
    }
    Ok(())
}

fn is_line(text: &str, characters: usize) -> bool {
    !text.trim().is_empty()
        && text.chars().count() <= characters
        && !text.chars().any(char::is_control)
}

fn check_kind(kind: &QuestionKind) -> Result<(), (&'static str, &'static str)> {
    match kind {
        QuestionKind::YesNo => Ok(()),
        QuestionKind::Choice { options } => {
            let plain = |it: &String| it.trim().to_lowercase();
            let mut distinct: Vec<String> = options.iter().map(plain).collect();
            distinct.sort_unstable();
            distinct.dedup();
            let fits = (2..=OPTIONS).contains(&options.len()) && distinct.len() == options.len();
            if fits && options.iter().all(|it| is_line(it, TEXT_CHARACTERS)) {
                return Ok(());
            }
            Err(("options", "2 to 100 different options of one line each"))
        }
        QuestionKind::Number { min, max, .. } => {
            let bounds = [min, max].into_iter().flatten();
            let finite = bounds.into_iter().all(|it| it.is_finite());
            let ordered = min.zip(*max).is_none_or(|(min, max)| min <= max);
            if finite && ordered {
                return Ok(());
            }
            Err(("min", "a number that is not above max"))
        }
        QuestionKind::Text { max_characters } => {
            if (1..=ANSWER_CHARACTERS).contains(max_characters) {
                return Ok(());
            }
            Err(("max_characters", "1 to 10000"))
        }
    }
}

/// The answer that `text`, without white space around it, is to a question; `None` when it is none.
pub fn read(question: &Question, text: &str) -> Option<Answer> {
    match &question.kind {
        QuestionKind::YesNo => match text {
            "y" | "Y" => Some(Answer::YesNo(true)),
            "n" | "N" => Some(Answer::YesNo(false)),
            _ => None,
        },
        QuestionKind::Choice { options } => choose(options, text),
        QuestionKind::Number { min, max, whole } => {
            let number = number(text)?;
            let fits = min.is_none_or(|min| number >= min)
                && max.is_none_or(|max| number <= max)
                && (!whole || number.fract() == 0.0);
            fits.then_some(Answer::Number(number))
        }
        QuestionKind::Text { max_characters } => {
            let fits = !text.is_empty()
                && text.chars().count() <= *max_characters as usize
                && !text.contains('\0');
            fits.then(|| Answer::Text(text.to_owned()))
        }
    }
}

/// An option by its words, or by its number as it is shown. Words come first: an option may be a number itself.
fn choose(options: &[String], text: &str) -> Option<Answer> {
    let folded = text.to_lowercase();
    let by_words = options.iter().find(|it| it.trim().to_lowercase() == folded);
    let by_number = || {
        let number: usize = text.parse().ok()?;
        options.get(number.checked_sub(1)?)
    };
    by_words
        .or_else(by_number)
        .map(|option| Answer::Choice(option.clone()))
}

/// A number in plain digits: no exponent, no `inf`, no more digits than are kept exactly.
pub(super) fn number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_plain = digits.chars().all(|c| c.is_ascii_digit() || c == '.')
        && digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.ends_with(|c: char| c.is_ascii_digit())
        && digits.len() <= NUMBER_BYTES;
    if !is_plain {
        return None;
    }
    let number: f64 = text.parse().ok()?;
    // there is one nothing
    Some(if number == 0.0 { 0.0 } else { number })
}

/// A question as it is shown: its text, and what there is to choose from.
pub fn shown(question: &Question, locale: &Locale) -> String {
    let QuestionKind::Choice { options } = &question.kind else {
        return question.text.clone();
    };
    let mut text = question.text.clone();
    for (at, option) in options.iter().enumerate() {
        text.push('\n');
        let number = (at + 1).to_string();
        text.push_str(&locale.fill(Phrase::Option, &[("n", &number), ("option", option)]));
    }
    text
}

/// What is said to an answer that is none.
pub fn refusal(question: &Question, locale: &Locale) -> String {
    let asked = shown(question, locale);
    match &question.kind {
        QuestionKind::YesNo => locale.fill(Phrase::NotYesNo, &[("question", &asked)]),
        QuestionKind::Choice { options } => {
            let count = options.len().to_string();
            locale.fill(
                Phrase::NotChoice,
                &[("question", &asked), ("count", &count)],
            )
        }
        QuestionKind::Number { min, max, whole } => {
            let range = range(*min, *max, *whole, locale);
            locale.fill(
                Phrase::NotNumber,
                &[("question", &asked), ("range", &range)],
            )
        }
        QuestionKind::Text { max_characters } => {
            let count = max_characters.to_string();
            locale.fill(Phrase::NotText, &[("question", &asked), ("count", &count)])
        }
    }
}

/// Which numbers are taken.
pub(super) fn range(min: Option<f64>, max: Option<f64>, whole: bool, locale: &Locale) -> String {
    let (low, high) = (
        min.map(|it| it.to_string()).unwrap_or_default(),
        max.map(|it| it.to_string()).unwrap_or_default(),
    );
    let kind = if whole {
        Phrase::WholeNumber
    } else {
        Phrase::AnyNumber
    };
    let bounds = match (min, max) {
        (None, None) => return locale.plain(kind).to_owned(),
        (Some(_), None) => Phrase::AtLeast,
        (None, Some(_)) => Phrase::AtMost,
        (Some(_), Some(_)) => Phrase::Between,
    };
    let number = locale.plain(kind);
    locale.fill(bounds, &[("number", number), ("min", &low), ("max", &high)])
}

/// An answer as the summary shows it.
pub fn told(answer: &Answer, locale: &Locale) -> String {
    match answer {
        Answer::YesNo(true) => locale.plain(Phrase::Yes).to_owned(),
        Answer::YesNo(false) => locale.plain(Phrase::No).to_owned(),
        Answer::Choice(text) | Answer::Text(text) => text.clone(),
        Answer::Number(number) => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(kind: QuestionKind) -> Question {
        Question {
            text: "Well?".to_owned(),
            kind,
        }
    }

    fn options(list: &[&str]) -> Question {
        let options = list.iter().map(|it| (*it).to_owned()).collect();
        question(QuestionKind::Choice { options })
    }

    #[test]
    fn yes_and_no_are_one_letter() {
        let asked = question(QuestionKind::YesNo);
        for (text, answer) in [("y", true), ("Y", true), ("n", false), ("N", false)] {
            assert_eq!(read(&asked, text), Some(Answer::YesNo(answer)));
        }
        for text in ["", "yes", "no", "yy", "1", "ｙ", "y."] {
            assert_eq!(read(&asked, text), None, "{text}");
        }
    }

    #[test]
    fn an_option_is_chosen_by_number_or_words_and_words_come_first() {
        let asked = options(&["Red", "dark Blue", "Grün"]);
        let chosen = |text| read(&asked, text);
        for (text, option) in [
            ("1", "Red"),
            ("RED", "Red"),
            ("dark blue", "dark Blue"),
            ("GRÜN", "Grün"),
        ] {
            assert_eq!(
                chosen(text),
                Some(Answer::Choice(option.to_owned())),
                "{text}"
            );
        }
        for text in ["0", "4", "-1", "blue", "", "1.0", "99999999999999999999"] {
            assert_eq!(chosen(text), None, "{text}");
        }
        let numbers = options(&["10", "2"]);
        assert_eq!(read(&numbers, "2"), Some(Answer::Choice("2".to_owned())));
        assert_eq!(read(&numbers, "1"), Some(Answer::Choice("10".to_owned())));
    }

    #[test]
    fn numbers_are_plain_and_within_bounds() {
        let asked = question(QuestionKind::Number {
            min: Some(0.0),
            max: Some(10.0),
            whole: false,
        });
        for (text, number) in [
            ("0", 0.0),
            ("-0", 0.0),
            ("+7", 7.0),
            ("9.75", 9.75),
            ("10", 10.0),
        ] {
            assert_eq!(read(&asked, text), Some(Answer::Number(number)), "{text}");
        }
        for text in [
            "", "-1", "10.1", "1e1", "inf", "nan", "0x1", "1,5", "5 ", ".5", "5.", "1.2.3", "٣",
        ] {
            assert_eq!(read(&asked, text), None, "{text}");
        }
        let whole = question(QuestionKind::Number {
            min: None,
            max: None,
            whole: true,
        });
        assert_eq!(read(&whole, "5.0"), Some(Answer::Number(5.0)));
        assert_eq!(read(&whole, "5.5"), None);
        assert_eq!(read(&whole, "1234567890123456"), None, "too many digits");
    }

    #[test]
    fn words_are_bounded_in_characters() {
        let asked = question(QuestionKind::Text { max_characters: 3 });
        assert_eq!(read(&asked, "äöü"), Some(Answer::Text("äöü".to_owned())));
        for text in ["", "abcd", "a\0b"] {
            assert_eq!(read(&asked, text), None, "{text:?}");
        }
    }

    #[test]
    fn a_refusal_says_what_would_be_taken_and_asks_again() {
        let locale = Locale::compat(super::super::Dialect::V3c);
        let said = |asked: &Question| refusal(asked, &locale);
        assert_eq!(
            said(&question(QuestionKind::YesNo)),
            "[ERROR: Invalid response. Please answer with 'y' for yes or 'n' for no.]\n\nWell?"
        );
        let choice = said(&options(&["red", "blue"]));
        assert!(
            choice.ends_with("\n\nWell?\n  1) red\n  2) blue"),
            "{choice}"
        );
        for (min, max, whole, words) in [
            (Some(1.0), Some(5.0), true, "a whole number from 1 to 5"),
            (Some(0.5), None, false, "a number of at least 0.5"),
            (None, Some(9.0), false, "a number of at most 9"),
            (None, None, true, "a whole number"),
        ] {
            let text = said(&question(QuestionKind::Number { min, max, whole }));
            assert!(text.contains(words), "{text}");
        }
        let text = said(&question(QuestionKind::Text { max_characters: 3 }));
        assert!(text.contains("3 characters"), "{text}");
    }

    #[test]
    fn question_sets_that_cannot_be_asked_are_refused_with_the_place() {
        let place = |name: &str, questions: &[Question]| check(name, questions).unwrap_err().place;
        let good = question(QuestionKind::YesNo);
        assert_eq!(check("poll", std::slice::from_ref(&good)), Ok(()));
        assert_eq!(place(" ", std::slice::from_ref(&good)), "name");
        assert_eq!(place("poll", &[]), "questions");
        assert_eq!(place("poll", &vec![good.clone(); 101]), "questions");
        let blank = Question {
            text: "a\nb".to_owned(),
            ..good.clone()
        };
        assert_eq!(place("poll", &[good, blank]), "questions[1].text");
        for list in [&["one"][..], &["a", "A "], &["a", ""]] {
            assert_eq!(place("poll", &[options(list)]), "questions[0].options");
        }
        let number = question(QuestionKind::Number {
            min: Some(2.0),
            max: Some(1.0),
            whole: false,
        });
        assert_eq!(place("poll", &[number]), "questions[0].min");
        let text = question(QuestionKind::Text { max_characters: 0 });
        assert_eq!(place("poll", &[text]), "questions[0].max_characters");
    }
}
