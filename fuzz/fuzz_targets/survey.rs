//! Any bytes as what is typed in a survey, and as a request for a code.
//! Run by `cargo fuzz run survey`; see fuzz/README.md.
//! Never judges an answer: it looks for panics, inputs with no reply or with two, and addresses that are none.

#![no_main]

use std::sync::Arc;

use engine::survey::{
    Address, Ask, Dialect, Dialogue, Given, Input, Locale, Manner, Output, PlusTags, Questions,
    Spoken, SurveyFound, Verdict,
};
use libfuzzer_sys::fuzz_target;
use wire::rest::surveys::{Question, QuestionKind};

fuzz_target!(|data: &[u8]| {
    if let Ok(email) = wire::survey::requested(data)
        && let Some(address) = Address::parse(&email)
    {
        assert!(email.is_ascii() && !email.contains(char::is_whitespace));
        let person = address.person(PlusTags::SamePerson);
        assert!(Address::parse(&person).is_some(), "{person}");
    }
    let text = String::from_utf8_lossy(data);
    let questions = Arc::new(questions());
    for dialect in Dialect::ALL {
        dialogue(dialect, &questions, &text);
        let locale = Locale::plain_words(dialect);
        let _ = Spoken::after(&questions, &locale, text.lines());
        let mut own = Locale::compat(dialect);
        if own.replace("asked", &text).is_ok() {
            let _ = own.fill(engine::survey::Phrase::Asked, &[("n", &text)]);
        }
    }
});

fn dialogue(dialect: Dialect, questions: &Arc<Questions>, text: &str) {
    let manner = Manner {
        dialect,
        locale: Locale::compat(dialect),
        close_after_ms: 20_000,
    };
    let mut dialogue = Dialogue::new(Arc::new(manner));
    step(&mut dialogue, Input::Opened, questions);
    let begin = ["a@b.co", "123456"];
    for line in begin.into_iter().chain(text.lines()) {
        let (replies, closes) = step(&mut dialogue, Input::Said(line), questions);
        let is_blank = |c: char| c.is_whitespace() || c == '\u{feff}';
        let is_empty = line.trim_matches(is_blank).is_empty();
        let expected = usize::from(!is_empty || dialect == Dialect::V1);
        assert_eq!(replies, expected, "{line:?}");
        if closes {
            return;
        }
    }
}

/// Hands an input in and answers what is asked; how many frames were said, and whether it closes.
fn step(dialogue: &mut Dialogue, input: Input<'_>, questions: &Arc<Questions>) -> (usize, bool) {
    let mut out = Vec::new();
    dialogue.on(input, 0, &mut out);
    let (mut replies, mut closes) = (0, false);
    while let Some(output) = out.pop() {
        match output {
            Output::Say(_) => replies += 1,
            Output::Close { .. } => closes = true,
            Output::CloseIn(_) => {}
            Output::Ask(ask) => {
                let answer = match ask {
                    Ask::FindCode(_) | Ask::SendCode(_) => Input::Code(Given::Until(1)),
                    Ask::CheckCode(..) => Input::Verdict(Verdict::Right),
                    Ask::FindSurvey(_) => Input::Survey(SurveyFound::Open(Arc::clone(questions))),
                    Ask::Save(_) => Input::Saved(true),
                };
                dialogue.on(answer, 0, &mut out);
            }
        }
    }
    (replies, closes)
}

fn questions() -> Questions {
    let ask = |kind| Question {
        text: "Well?".to_owned(),
        kind,
    };
    let options = vec!["red".to_owned(), "2".to_owned()];
    Questions {
        id: "set".to_owned(),
        name: "Set".to_owned(),
        questions: vec![
            ask(QuestionKind::YesNo),
            ask(QuestionKind::Choice { options }),
            ask(QuestionKind::Number {
                min: None,
                max: Some(9.5),
                whole: false,
            }),
            ask(QuestionKind::Text { max_characters: 9 }),
        ],
    }
}
