//! A survey aloud: the same questions and the same answers, for ears.
//! Used by the agent that speaks a survey, in the place of a language model.
//! Never keeps anything: where a conversation stands follows from what its caller has said so far.
//!
//! That is why it can move between servers, be interrupted and be resumed like any other conversation. Who answers
//! is known from the call; there is no code to be typed.

use wire::rest::surveys::{Answer, Question, QuestionKind};

use super::answers::{self, Questions};
use super::locale::{Locale, Phrase};

/// Words that mean yes.
const YES: [&str; 17] = [
    "yes",
    "yeah",
    "yep",
    "yup",
    "sure",
    "certainly",
    "absolutely",
    "definitely",
    "correct",
    "right",
    "y",
    "ja",
    "jawohl",
    "oui",
    "si",
    "sí",
    "okay",
];
/// Words that mean no.
const NO: [&str; 12] = [
    "no", "nope", "nah", "never", "n", "not", "don't", "dont", "nein", "non", "negative", "nay",
];
/// What asks for the question again.
const REPEAT: [&str; 5] = ["repeat", "again", "pardon", "what", "sorry"];
/// What ends it.
const STOP: [&str; 5] = ["stop", "quit", "goodbye", "cancel", "bye"];
/// Most words of something that asks for the question again or ends it: a longer sentence is an answer.
const COMMAND_WORDS: usize = 4;

/// Where a spoken survey stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Spoken {
    /// It goes on: this is to be said next.
    Next(String),
    /// Everything is answered; this is to be said once the answers are stored.
    Done(Vec<Answer>, String),
    /// The caller has had enough; this is to be said last.
    Stopped(String),
}

impl Spoken {
    /// Where it stands after the caller has said this, in this order.
    pub fn after<'a>(
        questions: &Questions,
        locale: &Locale,
        said: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let mut given = Vec::new();
        let mut say = welcome(questions, locale);
        for text in said {
            let Some(question) = questions.questions.get(given.len()) else {
                break;
            };
            let words = words(text);
            if is_command(&words, &STOP) {
                return Self::Stopped(locale.plain(Phrase::SpokenGoodbye).to_owned());
            }
            if is_command(&words, &REPEAT) {
                say = aloud(question, locale);
                continue;
            }
            match understand(question, text, &words) {
                None => say = again(question, locale),
                Some(answer) => {
                    given.push(answer);
                    let next = questions.questions.get(given.len());
                    let next = next.map(|next| aloud(next, locale)).unwrap_or_default();
                    say = locale.fill(Phrase::SpokenNoted, &[("question", &next)]);
                }
            }
        }
        if given.len() == questions.questions.len() {
            return Self::Done(given, locale.plain(Phrase::SpokenEnd).to_owned());
        }
        Self::Next(say)
    }
}

/// What the caller hears first.
fn welcome(questions: &Questions, locale: &Locale) -> String {
    let first = questions.questions.first();
    let first = first.map(|it| aloud(it, locale)).unwrap_or_default();
    let count = questions.questions.len().to_string();
    let values = [
        ("name", &*questions.name),
        ("count", &count),
        ("question", &first),
    ];
    locale.fill(Phrase::SpokenWelcome, &values)
}

/// A question as it is said.
fn aloud(question: &Question, locale: &Locale) -> String {
    match &question.kind {
        QuestionKind::Choice { options } => {
            let options = options.join(", ");
            let values = [("question", &*question.text), ("options", &options)];
            locale.fill(Phrase::SpokenOptions, &values)
        }
        _ => question.text.clone(),
    }
}

fn again(question: &Question, locale: &Locale) -> String {
    let answer = match &question.kind {
        QuestionKind::YesNo => locale.plain(Phrase::SpokenYesNo).to_owned(),
        QuestionKind::Choice { options } => options.join(", "),
        QuestionKind::Number { min, max, whole } => answers::range(*min, *max, *whole, locale),
        QuestionKind::Text { .. } => locale.plain(Phrase::SpokenWords).to_owned(),
    };
    let values = [("answer", &*answer), ("question", &question.text)];
    locale.fill(Phrase::SpokenAgain, &values)
}

/// Small letters without punctuation, apart.
fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|c: char| !(c.is_alphanumeric() || c == '\'' || c == '.'))
        .map(|word| word.trim_matches(['.', '\'']).to_owned())
        .filter(|word| !word.is_empty())
        .collect()
}

fn is_command(words: &[String], commands: &[&str]) -> bool {
    words.len() <= COMMAND_WORDS && words.iter().any(|word| commands.contains(&word.as_str()))
}

/// The answer that was said, if it was one.
fn understand(question: &Question, text: &str, words: &[String]) -> Option<Answer> {
    match &question.kind {
        QuestionKind::YesNo => {
            let says = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
            // "no, that is not right" is no, and "yes and no" is neither
            match (words.first()?.as_str(), says(&YES), says(&NO)) {
                (first, _, true) if NO.contains(&first) => Some(Answer::YesNo(false)),
                (_, true, false) => Some(Answer::YesNo(true)),
                (_, false, true) => Some(Answer::YesNo(false)),
                _ => None,
            }
        }
        QuestionKind::Choice { options } => choose(question, options, words),
        QuestionKind::Number { .. } => {
            let number = number(words)?;
            answers::read(question, &number.to_string())
        }
        QuestionKind::Text { .. } => answers::read(question, text.trim()),
    }
}

/// The one option whose words were all said, else the one whose number was.
fn choose(question: &Question, options: &[String], said: &[String]) -> Option<Answer> {
    let spoken = |option: &String| {
        let option = words(option);
        !option.is_empty() && said.windows(option.len()).any(|part| part == option)
    };
    let named: Vec<&String> = options.iter().filter(|option| spoken(option)).collect();
    // who says "dark blue" does not say "blue"
    let is_whole = |option: &&&String| {
        let part = words(option);
        let others = named.iter().filter(|other| *other != *option);
        !others.into_iter().any(|other| {
            let whole = words(other);
            whole.len() > part.len() && whole.windows(part.len()).any(|it| it == part)
        })
    };
    let mut named = named.iter().filter(is_whole).copied();
    match (named.next(), named.next()) {
        (Some(option), None) => return Some(Answer::Choice(option.clone())),
        (Some(_), Some(_)) => return None,
        (None, _) => {}
    }
    let number = number(said)?;
    answers::read(question, &number.to_string())
}

/// The only number in what was said, in digits or in English words up to 999,999.
fn number(words: &[String]) -> Option<f64> {
    let mut found = None;
    let mut rest = words;
    while let Some(word) = rest.first() {
        let (value, used) = match answers::number(word) {
            Some(value) => (value, 1),
            None => match in_words(rest) {
                (_, 0) => {
                    rest = &rest[1..];
                    continue;
                }
                (value, used) => (f64::from(value), used),
            },
        };
        let below_zero = rest.len() < words.len()
            && words
                .get(words.len() - rest.len() - 1)
                .is_some_and(|before| before == "minus");
        if found.is_some() {
            return None;
        }
        found = Some(if below_zero { -value } else { value });
        rest = &rest[used..];
    }
    found
}

/// The number that `words` begin with, and how many of them it takes.
fn in_words(words: &[String]) -> (u32, usize) {
    let (mut thousands, mut hundreds, mut used) = (0, 0, 0);
    for (at, word) in words.iter().enumerate() {
        match (word.as_str(), small(word)) {
            ("and", _) if used > 0 && at == used => continue,
            // "a hundred" is one hundred
            ("hundred", _) if hundreds < 10 => hundreds = hundreds.max(1) * 100,
            ("thousand", _) if thousands == 0 => {
                thousands = hundreds.max(1) * 1000;
                hundreds = 0;
            }
            (_, Some(value)) if hundreds == 0 || fits(hundreds, value) => hundreds += value,
            _ => break,
        }
        used = at + 1;
    }
    (thousands + hundreds, used)
}

/// Whether a word of this value goes on with a number that has come to `so_far`: "twenty" with "five", not with "thirty".
const fn fits(so_far: u32, value: u32) -> bool {
    match value {
        1..=9 if so_far % 100 >= 20 => so_far.is_multiple_of(10),
        _ => so_far > 0 && so_far.is_multiple_of(100),
    }
}

fn small(word: &str) -> Option<u32> {
    const ONES: [&str; 20] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ];
    const TENS: [&str; 8] = [
        "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
    ];
    let at = |list: &[&str]| list.iter().position(|it| *it == word);
    let ones = at(&ONES).map(|value| value as u32);
    ones.or_else(|| at(&TENS).map(|value| (value as u32 + 2) * 10))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::survey::Dialect;

    fn questions() -> Questions {
        let ask = |text: &str, kind| Question {
            text: text.to_owned(),
            kind,
        };
        let options = ["red", "dark blue", "blue"].map(str::to_owned).into();
        Questions {
            id: "set".to_owned(),
            name: "Poll".to_owned(),
            questions: vec![
                ask("Do you like it?", QuestionKind::YesNo),
                ask("Which colour?", QuestionKind::Choice { options }),
                ask(
                    "How many?",
                    QuestionKind::Number {
                        min: Some(0.0),
                        max: Some(500.0),
                        whole: true,
                    },
                ),
                ask("Why?", QuestionKind::Text { max_characters: 50 }),
            ],
        }
    }

    fn after(said: &[&str]) -> Spoken {
        let locale = Locale::compat(Dialect::V3c);
        Spoken::after(&questions(), &locale, said.iter().copied())
    }

    fn next(said: &[&str]) -> String {
        match after(said) {
            Spoken::Next(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_whole_survey_is_spoken_and_answered() {
        assert!(next(&[]).contains("4 questions") && next(&[]).ends_with("Do you like it?"));
        let colour = next(&["Yes, I do."]);
        assert_eq!(
            colour,
            "Thank you. Which colour? You can say: red, dark blue, blue."
        );
        assert!(next(&["Yes", "The red one, please."]).ends_with("How many?"));
        let many = next(&["Yes", "red", "a great many"]);
        let again = "I did not get that. Please say a whole number from 0 to 500. How many?";
        assert_eq!(many, again);
        let all = ["Yes", "red", "a hundred and twenty five", "Because."];
        let Spoken::Done(answers, last) = after(&all) else {
            panic!("{:?}", after(&all));
        };
        assert_eq!(
            answers,
            [
                Answer::YesNo(true),
                Answer::Choice("red".to_owned()),
                Answer::Number(125.0),
                Answer::Text("Because.".to_owned()),
            ]
        );
        assert!(last.ends_with("goodbye."));
        // what is said after the end changes nothing
        let more: Vec<&str> = all.iter().copied().chain(["no"]).collect();
        assert_eq!(after(&more), after(&all));
    }

    #[test]
    fn what_is_no_answer_is_asked_again() {
        for text in ["Maybe.", "", "yes and no", "the weather"] {
            let said = next(&[text]);
            assert!(said.contains("yes or no"), "{text}: {said}");
        }
        for text in ["I don't think so", "No, that's not right.", "Nein"] {
            assert!(next(&[text]).starts_with("Thank you."), "{text}");
        }
        // two options at once are none, and a longer option is not its part
        assert!(next(&["yes", "red or blue"]).starts_with("I did not get"));
        for text in ["option three", "Dark blue!", "blue"] {
            assert!(next(&["yes", text]).ends_with("How many?"), "{text}");
        }
    }

    #[test]
    fn a_question_is_repeated_and_a_survey_stopped() {
        assert_eq!(next(&["Sorry, what?"]), "Do you like it?");
        assert!(matches!(
            after(&["yes", "Stop, please."]),
            Spoken::Stopped(_)
        ));
        // a sentence is an answer, whatever its words
        let said = ["yes", "red", "7", "I had to stop again because I was late"];
        assert!(matches!(after(&said), Spoken::Done(..)));
    }

    #[test]
    fn numbers_in_words() {
        let value = |text: &str| number(&words(text));
        for (text, expected) in [
            ("seven", Some(7.0)),
            ("about twenty-five, I think", Some(25.0)),
            ("nineteen", Some(19.0)),
            (
                "three hundred and forty two thousand and one",
                Some(342_001.0),
            ),
            ("1200", Some(1200.0)),
            ("minus three", Some(-3.0)),
            ("3.5.", Some(3.5)),
            ("five or six", None),
            ("twenty thirty", None),
            ("a thousand and two", Some(1002.0)),
            ("none", None),
            ("zero", Some(0.0)),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }
}
