//! The dialogue: an input and the time go in, what is to be said and done comes out.
//! Driven by the survey's edge and by its tests, one owner each.
//! Never says two things to one input, and never calls an answer stored before it is.
//!
//! Where the dialogue cannot go on by itself it puts an [`Ask`] out and says nothing; its owner finds out and tells it
//! ([`Input::Code`], [`Input::Verdict`], [`Input::Survey`], [`Input::Saved`] or [`Input::Failed`]) before it hands in
//! what was typed next. The replies are those of spec/chat-voice-survey A5 and A6, without the defects of A11.

mod kept;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wire::rest::surveys::Answer;

use super::answers::{self, Questions};
use super::locale::{Locale, Phrase};
use super::{Address, Dialect};

pub use kept::Kept;

/// Close code of every ordinary end.
pub const NORMAL: u16 = 1000;
/// Reasons of closes; clients may compare them (spec/chat-voice-survey A9).
const QUIT: &str = "User requested disconnect";
const INACTIVE: &str = "Inactivity timeout";
const DUTY_DONE: &str = "Civic duty complete";

/// How a dialogue is led; shared by all of a door.
#[derive(Debug, Clone, PartialEq)]
pub struct Manner {
    /// Which clients it speaks to.
    pub dialect: Dialect,
    /// In which words.
    pub locale: Locale,
    /// How long after the last word it closes, in ms.
    pub close_after_ms: u64,
}

/// What comes in.
#[derive(Debug, Clone, PartialEq)]
pub enum Input<'a> {
    /// The client is there; the first input.
    Opened,
    /// A frame of text.
    Said(&'a str),
    /// To [`Ask::FindCode`] and [`Ask::SendCode`]: whether there is a code, and until when it counts.
    Code(Given),
    /// To [`Ask::CheckCode`].
    Verdict(Verdict),
    /// To [`Ask::FindSurvey`].
    Survey(SurveyFound),
    /// To [`Ask::Save`]: it is stored; false when this person's answer was stored before.
    Saved(bool),
    /// To any ask: it could not be found out or done.
    Failed,
    /// The time of [`Output::CloseIn`] is over.
    Due,
}

/// Whether there is a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// There is one that counts until then, Unix time in ms; it has been sent.
    Until(u64),
    /// There is none.
    None,
    /// Too many were asked for.
    TooMany,
    /// It could not be sent.
    NotSent,
}

/// Whether a code was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was, and counts no more.
    Right,
    /// It was not.
    Wrong {
        /// So often it may be tried again; at least once.
        left: u32,
    },
    /// It was not, once too often: the right one counts no more.
    Burned,
    /// There is none any more: too old, or used up elsewhere.
    Gone,
}

/// What there is to be asked.
#[derive(Debug, Clone, PartialEq)]
pub enum SurveyFound {
    /// Nothing.
    None,
    /// This, and this person has answered it.
    Answered,
    /// This.
    Open(Arc<Questions>),
}

/// Something the dialogue has to have done for it.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// Is there a code for this address?
    FindCode(Address),
    /// Make a code for this address and mail it, unless one that was mailed a moment ago still counts.
    SendCode(Address),
    /// Is that the code?
    CheckCode(Address, String),
    /// What is asked at present, and has this person answered it?
    FindSurvey(Option<Address>),
    /// Store these answers.
    Save(Response),
}

/// All answers of a person.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// Whose.
    pub address: Address,
    /// To which questions.
    pub questions: Arc<Questions>,
    /// One for each of them.
    pub answers: Vec<Answer>,
}

/// What goes out.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Send this frame.
    Say(String),
    /// Find this out or do it, and tell what came of it.
    Ask(Ask),
    /// Hand [`Input::Due`] in after so many ms, in place of any time that was set before.
    CloseIn(u64),
    /// Close the connection; last.
    Close {
        /// Close code.
        code: u16,
        /// Reason.
        reason: &'static str,
    },
}

/// Where the dialogue is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Stage {
    /// Waits for an address.
    Email,
    /// Waits for the code that was sent there.
    Code { address: Address, until_ms: u64 },
    /// Knows who it is, and that nothing is asked at present.
    Waiting { address: Address },
    /// Asks; as many answers are there.
    Asking {
        address: Address,
        answers: Vec<Answer>,
    },
    /// All is said.
    Over,
}

/// A dialogue.
#[derive(Debug)]
pub struct Dialogue {
    manner: Arc<Manner>,
    stage: Stage,
    /// What is asked in it, once that is known.
    questions: Option<Arc<Questions>>,
    /// What it has asked its owner for.
    pending: Option<Pending>,
}

/// What the answer to an ask is needed for.
#[derive(Debug)]
enum Pending {
    /// The survey that the first dialect looks for before it says a word.
    Opening,
    /// A code for this address.
    Code(Address),
    /// Whether that was its code.
    Verdict(Address),
    /// What to ask this person.
    Survey(Address),
    /// That these answers are stored.
    Saved(Vec<Answer>),
}

impl Dialogue {
    /// A dialogue that nobody has spoken in.
    pub fn new(manner: Arc<Manner>) -> Self {
        Self {
            manner,
            stage: Stage::Email,
            questions: None,
            pending: None,
        }
    }

    /// Takes an input at `now_ms`, Unix time in ms, and adds what is to be done to `out`.
    pub fn on(&mut self, input: Input<'_>, now_ms: u64, out: &mut Vec<Output>) {
        match input {
            Input::Opened => self.open(out),
            Input::Said(text) => self.hear(text, now_ms, out),
            Input::Due => {
                self.say(Phrase::Inactive, &[], out);
                self.close(INACTIVE, out);
            }
            answer => self.answered(answer, out),
        }
    }

    /// Whether all is said.
    pub const fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// Whether it waits for the answer to an ask.
    pub const fn is_waiting(&self) -> bool {
        self.pending.is_some()
    }

    fn open(&mut self, out: &mut Vec<Output>) {
        match self.manner.dialect {
            Dialect::V3c => self.say(Phrase::Welcome, &[], out),
            Dialect::V1 => {
                self.pending = Some(Pending::Opening);
                out.push(Output::Ask(Ask::FindSurvey(None)));
            }
        }
    }

    fn hear(&mut self, text: &str, now_ms: u64, out: &mut Vec<Output>) {
        // the byte order mark is white space where the first clients come from
        let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        if text.eq_ignore_ascii_case("quit") {
            self.pending = None;
            self.stage = Stage::Over;
            self.say(Phrase::Goodbye, &[], out);
            self.close(QUIT, out);
            return;
        }
        if text.is_empty() && self.manner.dialect != Dialect::V1 {
            return;
        }
        if self.pending.is_some() {
            // its owner has not kept the order; what was asked for is still awaited
            self.say(Phrase::TooFast, &[], out);
            return;
        }
        match &self.stage {
            Stage::Email => self.hear_email(text, out),
            Stage::Code { address, until_ms } => {
                if now_ms >= *until_ms {
                    self.stage = Stage::Email;
                    self.say(Phrase::CodeExpired, &[], out);
                    return;
                }
                let address = address.clone();
                out.push(Output::Ask(Ask::CheckCode(
                    address.clone(),
                    text.to_owned(),
                )));
                self.pending = Some(Pending::Verdict(address));
            }
            Stage::Waiting { address } => {
                let address = address.clone();
                self.find_survey(address, out);
            }
            Stage::Asking { .. } => self.hear_answer(text, out),
            Stage::Over => {
                self.say(Phrase::Over, &[], out);
                // who still types is not inactive
                out.push(Output::CloseIn(self.manner.close_after_ms));
            }
        }
    }

    fn hear_email(&mut self, text: &str, out: &mut Vec<Output>) {
        let Some(address) = Address::parse(text) else {
            self.say(Phrase::BadEmail, &[], out);
            return;
        };
        out.push(Output::Ask(match self.manner.dialect {
            Dialect::V3c => Ask::FindCode(address.clone()),
            Dialect::V1 => Ask::SendCode(address.clone()),
        }));
        self.pending = Some(Pending::Code(address));
    }

    fn hear_answer(&mut self, text: &str, out: &mut Vec<Output>) {
        let (Stage::Asking { address, answers }, Some(questions)) =
            (&mut self.stage, &self.questions)
        else {
            return;
        };
        // the last question stays open until its answer is stored
        let Some(question) = questions.questions.get(answers.len()) else {
            return;
        };
        let locale = &self.manner.locale;
        let Some(answer) = answers::read(question, text) else {
            out.push(Output::Say(answers::refusal(question, locale)));
            return;
        };
        if answers.len() + 1 < questions.questions.len() {
            answers.push(answer);
            let asked = asked(questions, answers.len(), locale);
            self.say(Phrase::Recorded, &[("question", &asked)], out);
            return;
        }
        let mut all = answers.clone();
        all.push(answer);
        out.push(Output::Ask(Ask::Save(Response {
            address: address.clone(),
            questions: Arc::clone(questions),
            answers: all.clone(),
        })));
        self.pending = Some(Pending::Saved(all));
    }

    /// What was asked for is answered.
    fn answered(&mut self, answer: Input<'_>, out: &mut Vec<Output>) {
        let Some(pending) = self.pending.take() else {
            // the client has left in the meantime
            return;
        };
        match (pending, answer) {
            (Pending::Opening, Input::Survey(found)) => self.opened(found, out),
            (Pending::Opening, _) => {
                self.say(Phrase::Closed, &[], out);
                self.close("", out);
            }
            (Pending::Code(address), Input::Code(given)) => self.given(address, given, out),
            (Pending::Verdict(address), Input::Verdict(verdict)) => {
                self.judged(address, verdict, out);
            }
            (Pending::Survey(address), Input::Survey(found)) => self.found(address, found, out),
            (Pending::Survey(address), _) => {
                // the code is used up, so who it is must not be forgotten
                self.stage = Stage::Waiting { address };
                self.say(Phrase::Failed, &[], out);
            }
            (Pending::Saved(answers), Input::Saved(first)) => self.saved(&answers, first, out),
            (Pending::Code(_) | Pending::Verdict(_) | Pending::Saved(_), _) => {
                self.say(Phrase::Failed, &[], out);
            }
        }
    }

    fn opened(&mut self, found: SurveyFound, out: &mut Vec<Output>) {
        match found {
            SurveyFound::Open(questions) => {
                self.questions = Some(questions);
                self.say(Phrase::Welcome, &[], out);
            }
            SurveyFound::None | SurveyFound::Answered => {
                self.say(Phrase::Closed, &[], out);
                self.close("", out);
            }
        }
    }

    fn given(&mut self, address: Address, given: Given, out: &mut Vec<Output>) {
        let phrase = match given {
            Given::Until(_) => Phrase::CodeSent,
            Given::None => Phrase::NoCode,
            Given::TooMany => Phrase::TooManyCodes,
            Given::NotSent => Phrase::CodeNotSent,
        };
        self.say(phrase, &[("email", address.as_typed())], out);
        if let Given::Until(until_ms) = given {
            self.stage = Stage::Code { address, until_ms };
        }
    }

    fn judged(&mut self, address: Address, verdict: Verdict, out: &mut Vec<Output>) {
        match verdict {
            Verdict::Right => self.find_survey(address, out),
            Verdict::Wrong { left } => {
                self.say(Phrase::WrongCode, &[("left", &left.to_string())], out);
            }
            Verdict::Burned | Verdict::Gone => {
                self.stage = Stage::Email;
                self.say(Phrase::CodeBurned, &[], out);
            }
        }
    }

    fn find_survey(&mut self, address: Address, out: &mut Vec<Output>) {
        out.push(Output::Ask(Ask::FindSurvey(Some(address.clone()))));
        self.pending = Some(Pending::Survey(address));
    }

    fn found(&mut self, address: Address, found: SurveyFound, out: &mut Vec<Output>) {
        match found {
            SurveyFound::None => {
                self.stage = Stage::Waiting { address };
                self.say(Phrase::NoSurvey, &[], out);
            }
            SurveyFound::Answered => self.end(Phrase::Already, out),
            SurveyFound::Open(questions) => {
                let asked = asked(&questions, 0, &self.manner.locale);
                self.questions = Some(questions);
                self.stage = Stage::Asking {
                    address,
                    answers: Vec::new(),
                };
                self.say(Phrase::Verified, &[("question", &asked)], out);
            }
        }
    }

    fn saved(&mut self, answers: &[Answer], first: bool, out: &mut Vec<Output>) {
        if !first {
            self.end(Phrase::Already, out);
            return;
        }
        let locale = &self.manner.locale;
        let mut summary = locale.plain(Phrase::SummaryOpens).to_owned();
        let questions = self.questions.iter().flat_map(|it| &it.questions);
        for (at, (question, answer)) in questions.zip(answers).enumerate() {
            let values = [
                ("n", &*(at + 1).to_string()),
                ("question", &question.text),
                ("answer", &answers::told(answer, locale)),
            ];
            summary.push_str(&locale.fill(Phrase::SummaryAnswer, &values));
        }
        summary.push_str(locale.plain(Phrase::SummaryEnds));
        out.push(Output::Say(summary));
        self.leave(out);
    }

    fn end(&mut self, phrase: Phrase, out: &mut Vec<Output>) {
        self.say(phrase, &[], out);
        self.leave(out);
    }

    /// All is said: the first dialect closes, the other gives the client time to read.
    fn leave(&mut self, out: &mut Vec<Output>) {
        self.stage = Stage::Over;
        match self.manner.dialect {
            Dialect::V3c => out.push(Output::CloseIn(self.manner.close_after_ms)),
            Dialect::V1 => self.close(DUTY_DONE, out),
        }
    }

    fn say(&self, phrase: Phrase, values: &[(&str, &str)], out: &mut Vec<Output>) {
        out.push(Output::Say(self.manner.locale.fill(phrase, values)));
    }

    fn close(&mut self, reason: &'static str, out: &mut Vec<Output>) {
        self.stage = Stage::Over;
        out.push(Output::Close {
            code: NORMAL,
            reason,
        });
    }
}

/// A question with its number, counted from 0.
fn asked(questions: &Questions, at: usize, locale: &Locale) -> String {
    let shown = questions
        .questions
        .get(at)
        .map(|question| answers::shown(question, locale))
        .unwrap_or_default();
    let (n, count) = ((at + 1).to_string(), questions.questions.len().to_string());
    locale.fill(
        Phrase::Asked,
        &[("n", &n), ("count", &count), ("question", &shown)],
    )
}
