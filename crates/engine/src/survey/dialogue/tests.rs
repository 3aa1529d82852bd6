//! Stories of one dialogue, in virtual time.

use proptest::prelude::*;
use wire::rest::surveys::{Question, QuestionKind};

use super::*;

const NOW: u64 = 1_795_000_000_000;
const LIFE: u64 = 600_000;

fn set(texts: &[&str]) -> Arc<Questions> {
    let question = |text: &&str| Question {
        text: (*text).to_owned(),
        kind: QuestionKind::YesNo,
    };
    Arc::new(Questions {
        id: "set-1".to_owned(),
        name: "Poll".to_owned(),
        questions: texts.iter().map(question).collect(),
    })
}

fn three() -> Arc<Questions> {
    set(&["One?", "Two?", "Three?"])
}

fn manner(dialect: Dialect) -> Arc<Manner> {
    Arc::new(Manner {
        dialect,
        locale: Locale::compat(dialect),
        close_after_ms: 20_000,
    })
}

/// A dialogue with somebody who answers its asks by a script.
struct World {
    dialogue: Dialogue,
    code: Given,
    verdict: Verdict,
    survey: SurveyFound,
    saved: Input<'static>,
    asks: Vec<Ask>,
    now_ms: u64,
}

impl World {
    fn of(dialect: Dialect) -> Self {
        Self {
            dialogue: Dialogue::new(manner(dialect)),
            code: Given::Until(NOW + LIFE),
            verdict: Verdict::Right,
            survey: SurveyFound::Open(three()),
            saved: Input::Saved(true),
            asks: Vec::new(),
            now_ms: NOW,
        }
    }

    fn on(&mut self, input: Input<'_>) -> Vec<Output> {
        let mut out = Vec::new();
        self.dialogue.on(input, self.now_ms, &mut out);
        let mut all = Vec::new();
        for output in out {
            let Output::Ask(ask) = output else {
                all.push(output);
                continue;
            };
            self.asks.push(ask.clone());
            let answer = match ask {
                Ask::FindCode(_) | Ask::SendCode(_) => Input::Code(self.code),
                Ask::CheckCode(..) => Input::Verdict(self.verdict),
                Ask::FindSurvey(_) => Input::Survey(self.survey.clone()),
                Ask::Save(_) => self.saved.clone(),
            };
            all.extend(self.on(answer));
        }
        all
    }

    fn say(&mut self, text: &str) -> Vec<Output> {
        self.on(Input::Said(text))
    }

    /// The one frame that `text` is answered with.
    fn reply(&mut self, text: &str) -> String {
        match self.say(text).as_slice() {
            [Output::Say(reply)] | [Output::Say(reply), Output::CloseIn(20_000)] => reply.clone(),
            other => panic!("{text}: {other:?}"),
        }
    }

    fn verified(dialect: Dialect) -> Self {
        let mut world = Self::of(dialect);
        world.on(Input::Opened);
        world.reply("ann@example.com");
        world.reply("123456");
        world
    }
}

fn said(text: &str) -> Vec<Output> {
    vec![Output::Say(text.to_owned())]
}

#[test]
fn the_whole_dialogue_of_the_current_dialect() {
    let mut world = World::of(Dialect::V3c);
    let opened = world.on(Input::Opened);
    assert!(
        matches!(&opened[..], [Output::Say(text)] if text.starts_with("=== Welcome to Agent Polls on Human Questions ===\n\n")
        && text.ends_with("\n\nOnce you receive the code via email, enter your email address below:"))
    );
    assert_eq!(
        world.reply("me"),
        "Invalid email format. Please enter a valid email address:"
    );
    world.code = Given::None;
    assert_eq!(
        world.reply(" Ann@example.com\n"),
        "No verification code found for Ann@example.com. Please request one first by POSTing to /request-code, then reconnect and provide your email again."
    );
    world.code = Given::Until(NOW + LIFE);
    assert_eq!(
        world.reply("Ann@example.com"),
        "A verification code was sent to Ann@example.com. Please enter the code:"
    );
    for left in [2, 1] {
        world.verdict = Verdict::Wrong { left };
        assert_eq!(
            world.reply("000000"),
            format!("Incorrect code. {left} attempt(s) remaining. Please try again:")
        );
    }
    world.verdict = Verdict::Right;
    assert_eq!(
        world.reply("123456"),
        "Email verified successfully!\n\nNow, let's begin the survey questions.\n\nQuestion 1 of 3:\nOne?"
    );
    assert_eq!(
        world.reply("maybe"),
        "[ERROR: Invalid response. Please answer with 'y' for yes or 'n' for no.]\n\nOne?"
    );
    assert_eq!(
        world.reply("y"),
        "Response recorded.\n\nQuestion 2 of 3:\nTwo?"
    );
    assert_eq!(
        world.reply("N"),
        "Response recorded.\n\nQuestion 3 of 3:\nThree?"
    );
    let summary = "\n=== Survey Complete ===\n\nSummary of your responses:\n\nQ1: One?\n    Your answer: Yes\n\nQ2: Two?\n    Your answer: No\n\nQ3: Three?\n    Your answer: Yes\n\nThank you for participating!\nYour responses contribute to improving AI-human collaboration.\n\nYou may now close this connection by typing 'quit' or disconnecting.";
    assert_eq!(
        world.say("Y"),
        [Output::Say(summary.to_owned()), Output::CloseIn(20_000)]
    );
    assert_eq!(
        world.reply("more"),
        "Survey already completed. Type 'quit' to disconnect."
    );
    assert_eq!(
        world.on(Input::Due),
        [
            Output::Say("Closing connection due to inactivity...".to_owned()),
            Output::Close {
                code: 1000,
                reason: "Inactivity timeout"
            }
        ]
    );
    let Some(Ask::Save(response)) = world.asks.last() else {
        panic!("{:?}", world.asks);
    };
    assert_eq!(
        response.address.person(super::super::PlusTags::SamePerson),
        "ann@example.com"
    );
    let given = [true, false, true].map(Answer::YesNo);
    assert_eq!(response.answers, given);
}

#[test]
fn the_whole_dialogue_of_the_first_dialect() {
    let mut world = World::of(Dialect::V1);
    let opened = world.on(Input::Opened);
    assert!(
        matches!(&opened[..], [Output::Say(text)] if text.starts_with("=== Welcome to Civic Voice AI ===\n")
        && text.ends_with("\nTo begin, please provide your email address for verification:"))
    );
    // what is empty is answered here
    assert_eq!(
        world.reply(""),
        "Invalid email format. Please enter a valid email address:"
    );
    assert_eq!(
        world.reply("a@b.co"),
        "A verification code has been sent to a@b.co. Please enter the code:"
    );
    assert!(matches!(world.asks.last(), Some(Ask::SendCode(_))));
    assert_eq!(
        world.reply("123456"),
        "Email verified successfully!\n\nNow, let's begin the civic duty questions.\n\nQuestion 1 of 3:\nOne?"
    );
    world.reply("n");
    world.reply("n");
    let last = world.say("n");
    let [Output::Say(summary), closed] = &last[..] else {
        panic!("{last:?}");
    };
    assert!(summary.starts_with("\n=== Civic Duty Complete ===\n\nSummary of your responses:\n\nQ1: One?\n    Your answer: No\n\n"));
    assert!(summary.ends_with("\n\nThank you for participating in AI Civic Duty!\nYour responses contribute to improving AI-human collaboration.\n\n[Connection will now close]"));
    assert_eq!(
        *closed,
        Output::Close {
            code: 1000,
            reason: "Civic duty complete"
        }
    );
}

#[test]
fn without_a_survey_the_first_dialect_says_so_and_goes() {
    let mut world = World::of(Dialect::V1);
    world.survey = SurveyFound::None;
    assert_eq!(
        world.on(Input::Opened),
        [
            Output::Say("No active question set available. Please try again later.".to_owned()),
            Output::Close {
                code: 1000,
                reason: ""
            }
        ]
    );
}

#[test]
fn without_a_survey_the_other_waits_for_one() {
    let mut world = World::of(Dialect::V3c);
    world.survey = SurveyFound::None;
    world.on(Input::Opened);
    world.reply("a@b.co");
    let none = "Email verified, but no active survey is available right now.\n\nPlease try again later. Type 'quit' to disconnect.";
    assert_eq!(world.say("123456"), said(none));
    assert_eq!(world.say("hello?"), said(none));
    world.survey = SurveyFound::Open(three());
    assert!(world.reply("and now?").ends_with("Question 1 of 3:\nOne?"));
}

#[test]
fn quit_ends_it_in_every_state_and_dialect() {
    for dialect in Dialect::ALL {
        for steps in 0..6 {
            let mut world = World::of(dialect);
            world.on(Input::Opened);
            for text in ["a@b.co", "123456", "y", "y", "y"].iter().take(steps) {
                world.say(text);
            }
            let text = [" QUIT\r\n", "quit", "\u{feff}Quit"][steps % 3];
            assert_eq!(
                world.say(text),
                [
                    Output::Say("Goodbye! Closing connection...".to_owned()),
                    Output::Close {
                        code: 1000,
                        reason: "User requested disconnect"
                    }
                ],
                "{dialect:?} after {steps}"
            );
        }
    }
}

#[test]
fn an_old_code_is_refused_before_it_is_looked_at() {
    let mut world = World::of(Dialect::V3c);
    world.on(Input::Opened);
    world.reply("a@b.co");
    world.now_ms += LIFE;
    let asked = world.asks.len();
    assert_eq!(
        world.reply("123456"),
        "Verification code expired. Please enter your email again:"
    );
    assert_eq!(world.asks.len(), asked);
    world.code = Given::Until(world.now_ms + LIFE);
    assert!(
        world
            .reply("a@b.co")
            .starts_with("A verification code was sent")
    );
}

#[test]
fn a_burned_code_leads_back_to_the_address() {
    for verdict in [Verdict::Burned, Verdict::Gone] {
        let mut world = World::of(Dialect::V3c);
        world.on(Input::Opened);
        world.reply("a@b.co");
        world.verdict = verdict;
        assert_eq!(
            world.reply("000000"),
            "Too many failed attempts. Please enter your email again:"
        );
        world.code = Given::None;
        assert!(
            world
                .reply("a@b.co")
                .starts_with("No verification code found for a@b.co.")
        );
    }
}

#[test]
fn who_has_answered_is_told_so_once() {
    let already = "Email verified, but you have already submitted a response to this survey.\n\nThank you for your interest! You may only respond once per survey.\n\nType 'quit' to disconnect.";
    let mut world = World::of(Dialect::V3c);
    world.on(Input::Opened);
    world.reply("a@b.co");
    world.survey = SurveyFound::Answered;
    let ended = [Output::Say(already.to_owned()), Output::CloseIn(20_000)];
    assert_eq!(world.say("123456"), ended);
    // somebody else was faster with the same address
    let mut world = World::verified(Dialect::V3c);
    world.saved = Input::Saved(false);
    world.reply("y");
    world.reply("y");
    assert_eq!(world.say("y"), ended);
}

#[test]
fn nothing_is_complete_before_it_is_stored() {
    let mut world = World::verified(Dialect::V3c);
    world.saved = Input::Failed;
    world.reply("y");
    world.reply("y");
    for _ in 0..3 {
        assert_eq!(
            world.reply("n"),
            "An error occurred processing your input. Please try again."
        );
        assert!(!world.dialogue.is_over());
    }
    world.saved = Input::Saved(true);
    let summary = world.reply("y");
    assert!(
        summary.contains("Q3: Three?\n    Your answer: Yes"),
        "{summary}"
    );
}

#[test]
fn a_store_that_is_away_loses_nothing() {
    let failed = "An error occurred processing your input. Please try again.";
    let mut dialogue = Dialogue::new(manner(Dialect::V3c));
    let mut on = |input: Input<'_>| {
        let mut out = Vec::new();
        dialogue.on(input, NOW, &mut out);
        out
    };
    on(Input::Opened);
    for _ in 0..2 {
        assert!(matches!(
            &on(Input::Said("a@b.co"))[..],
            [Output::Ask(Ask::FindCode(_))]
        ));
        assert_eq!(on(Input::Failed), said(failed));
    }
    on(Input::Said("a@b.co"));
    on(Input::Code(Given::Until(NOW + LIFE)));
    on(Input::Said("123456"));
    assert_eq!(on(Input::Failed), said(failed));
    on(Input::Said("123456"));
    on(Input::Verdict(Verdict::Right));
    // the code is used up: it is not asked for again
    assert_eq!(on(Input::Failed), said(failed));
    assert!(matches!(
        &on(Input::Said("anything"))[..],
        [Output::Ask(Ask::FindSurvey(Some(_)))]
    ));
    // an answer that nobody waits for says nothing
    on(Input::Survey(SurveyFound::Open(three())));
    assert!(on(Input::Saved(true)).is_empty());
}

#[test]
fn a_dialogue_goes_on_where_it_was() {
    let mut out = Vec::new();
    let mut world = World::verified(Dialect::V3c);
    world.reply("y");
    let text = serde_json::to_string(&world.dialogue.kept()).unwrap();
    let kept: Kept = serde_json::from_str(&text).unwrap();
    world.dialogue = Dialogue::recall(manner(Dialect::V3c), kept, &mut out);
    assert_eq!(
        out,
        said("Welcome back. We go on where we stopped.\n\nQuestion 2 of 3:\nTwo?")
    );
    world.reply("n");
    let summary = world.reply("y");
    assert!(summary.contains("Q1: One?\n    Your answer: Yes\n\nQ2: Two?\n    Your answer: No"));
    let over = world.dialogue.kept();
    out.clear();
    Dialogue::recall(manner(Dialect::V3c), over, &mut out);
    assert_eq!(out.last(), Some(&Output::CloseIn(20_000)));
    // what was asked of the server when the connection broke is typed again
    let mut world = World::of(Dialect::V3c);
    world.on(Input::Opened);
    let mut dropped = Vec::new();
    world.dialogue.on(Input::Said("a@b.co"), NOW, &mut dropped);
    let kept = world.dialogue.kept();
    world.dialogue = Dialogue::recall(manner(Dialect::V3c), kept, &mut out);
    assert!(
        world
            .reply("a@b.co")
            .starts_with("A verification code was sent")
    );
}

fn inputs() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("a@b.co".to_owned()),
        Just("123456".to_owned()),
        Just("y".to_owned()),
        Just("N".to_owned()),
        Just("3".to_owned()),
        Just("  ".to_owned()),
        "\\PC{0,20}",
    ]
}

proptest! {
    #[test]
    fn every_input_has_one_reply_and_an_empty_one_none(
        texts in prop::collection::vec(inputs(), 0..40),
        faults in prop::collection::vec(0_u8..8, 40),
    ) {
        for dialect in Dialect::ALL {
            let mut world = World::of(dialect);
            world.on(Input::Opened);
            for (text, fault) in texts.iter().zip(&faults) {
                world.verdict = match fault {
                    1 => Verdict::Wrong { left: 1 },
                    2 => Verdict::Burned,
                    _ => Verdict::Right,
                };
                world.code = if *fault == 3 { Given::None } else { Given::Until(NOW + LIFE) };
                world.survey = if *fault == 4 { SurveyFound::None } else { SurveyFound::Open(three()) };
                world.saved = if *fault == 5 { Input::Failed } else { Input::Saved(true) };
                let out = world.say(text);
                let replies = out.iter().filter(|it| matches!(it, Output::Say(_))).count();
                let is_empty = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}').is_empty();
                let expected = usize::from(!is_empty || dialect == Dialect::V1);
                prop_assert_eq!(replies, expected, "{:?}: {:?}", text, out);
                if out.iter().any(|it| matches!(it, Output::Close { .. })) {
                    break;
                }
            }
        }
    }
}
