//! Question sets of the text survey, answers to them, and what came of them: `/v1/surveys`.
//! Read by the gateway's REST routes and by `engine::survey`, stored as JSON.
//! Never says who may answer, and never holds an address.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Characters of a text answer where the question names no limit.
const TEXT_CHARACTERS: u32 = 2000;

/// A question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Question {
    /// What is asked, as it is shown.
    pub text: String,
    /// What may be answered.
    #[serde(flatten)]
    pub kind: QuestionKind,
}

/// What may be answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum QuestionKind {
    /// `y` or `n`.
    YesNo,
    /// One of several.
    Choice {
        /// What there is to choose from.
        options: Vec<String>,
    },
    /// A number.
    Number {
        /// The smallest that is taken.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min: Option<f64>,
        /// The largest that is taken.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<f64>,
        /// Whether it must be a whole number.
        #[serde(default)]
        whole: bool,
    },
    /// Words.
    Text {
        /// Most characters that are taken.
        #[serde(default = "text_characters")]
        max_characters: u32,
    },
}

const fn text_characters() -> u32 {
    TEXT_CHARACTERS
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", content = "value", rename_all = "snake_case")]
pub enum Answer {
    /// Yes or no.
    YesNo(bool),
    /// The option that was chosen, as the question has it.
    Choice(String),
    /// A number.
    Number(f64),
    /// Words; personal.
    Text(String),
}

/// `POST /v1/surveys`.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSurvey {
    /// Its id among the tenant's, 1 to 64 of `a-z A-Z 0-9 . _ -`; one is made when there is none.
    pub id: Option<String>,
    /// What people call it, at most 255 characters.
    pub name: String,
    /// One to a hundred questions, in the order in which they are asked.
    pub questions: Vec<Question>,
    /// Whether it is asked from now on, in place of the one that was.
    #[serde(default)]
    pub active: bool,
}

/// A question set.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Survey {
    /// Always `survey`.
    #[schema(inline)]
    pub object: &'static str,
    /// Its id among the tenant's.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What is asked.
    pub questions: Vec<Question>,
    /// Whether it is the one that is asked.
    pub active: bool,
    /// Unix time at which it was made, in s.
    pub created_at: i64,
    /// How many have answered all of it.
    pub responses: u64,
}

/// All question sets, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SurveyList {
    /// Always `list`.
    pub object: &'static str,
    /// The question sets.
    pub data: Vec<Survey>,
}

/// A question set that is gone, with its answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SurveyDeleted {
    /// Always `survey.deleted`.
    pub object: &'static str,
    /// Its id.
    pub id: String,
    /// Always true.
    pub deleted: bool,
}

/// What came of a question set.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SurveyResults {
    /// Always `survey.results`.
    pub object: &'static str,
    /// The question set.
    pub id: String,
    /// How many have answered all of it.
    pub responses: u64,
    /// Question by question.
    pub questions: Vec<QuestionResults>,
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct QuestionResults {
    /// What was asked.
    pub text: String,
    /// How many have answered it.
    pub answers: u64,
    /// How often each answer was given, for yes or no and for choices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<AnswerCount>,
    /// Of numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<NumberResults>,
}

/// How often an answer was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AnswerCount {
    /// `yes`, `no`, or an option.
    pub answer: String,
    /// How often.
    pub count: u64,
}

/// What the numbers were.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct NumberResults {
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// The mean of all.
    pub mean: f64,
}
