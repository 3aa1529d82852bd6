//! The two files of a survey: its questions and its texts.
//! Read once, when the server starts.
//! Never changes questions that have been asked: a file with other questions under the same id is refused.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, Utc};
use engine::survey::{Locale, answers};
use serde::Deserialize;
use serde_json::Value;
use store::{NewSet, QuestionSet, Sql};
use wire::rest::surveys::{Question, QuestionKind};

use super::{SETS, SurveySettings, is_id};
use crate::audit::Actor;

/// A file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the file of {key}, {path}, cannot be used: {problem}")]
pub struct SurveyFileError {
    /// The setting that names it.
    pub key: &'static str,
    /// The file.
    pub path: String,
    /// What is wrong with it.
    pub problem: String,
}

/// The setting that names the file of questions.
const QUESTIONS: &str = "survey.questions_file";
/// The setting that names the file of texts.
const LOCALE: &str = "survey.locale_file";

/// A question set as a file has it. The first generation of surveys kept theirs in the same shape, with questions that are
/// nothing but text and answered by yes or no; its files are read as well (spec/chat-voice-survey A8).
#[derive(Debug, Deserialize)]
struct Set {
    id: String,
    #[serde(default)]
    name: Option<String>,
    questions: Vec<Asked>,
    #[serde(default = "yes")]
    active: bool,
}

const fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Asked {
    Text(String),
    Question(Question),
}

/// One set, or several of which the last active one is asked.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Sets {
    Many(Vec<Set>),
    /// In TOML, where a file is a table.
    Named {
        surveys: Vec<Set>,
    },
    One(Set),
}

/// The texts of a locale file, by their names.
pub(super) fn texts(path: Option<&str>) -> Result<BTreeMap<String, String>, SurveyFileError> {
    let Some(path) = path else {
        return Ok(BTreeMap::new());
    };
    read(LOCALE, path)
}

/// Puts the texts of a file into a locale.
pub(super) fn replace(
    locale: &mut Locale,
    texts: &BTreeMap<String, String>,
    path: Option<&str>,
) -> Result<(), SurveyFileError> {
    for (name, text) in texts {
        locale
            .replace(name, text)
            .map_err(|problem| SurveyFileError {
                key: LOCALE,
                path: path.unwrap_or_default().to_owned(),
                problem: problem.to_string(),
            })?;
    }
    Ok(())
}

/// Stores the question sets of a file that are not stored yet, and has the active one asked.
pub(super) async fn store(
    path: &str,
    (sql, tenant): (&Sql, &str),
    now: DateTime<Utc>,
) -> Result<(), SurveySettings> {
    let sets = match read(QUESTIONS, path)? {
        Sets::Many(sets) | Sets::Named { surveys: sets } => sets,
        Sets::One(set) => vec![set],
    };
    let wrong = |problem: String| SurveyFileError {
        key: QUESTIONS,
        path: path.to_owned(),
        problem,
    };
    let actor = Actor {
        name: "survey.questions_file".to_owned(),
        ip: None,
        request_id: None,
    };
    let mut asked = None;
    for set in sets {
        let set_id = set.id.clone();
        if !is_id(&set.id) {
            return Err(wrong("an id has 1 to 64 of a-z A-Z 0-9 . _ -".to_owned()).into());
        }
        let questions: Vec<Question> = set.questions.into_iter().map(question).collect();
        let name = set.name.unwrap_or_else(|| set.id.clone());
        answers::check(&name, &questions)
            .map_err(|problem| wrong(format!("in '{set_id}', {problem}")))?;
        let questions = serde_json::to_value(&questions).unwrap_or_default();
        if set.active {
            asked = Some(set.id.clone());
        }
        let known = sql.find_question_set(tenant, Some(&set.id)).await?;
        match known {
            Some(known) if same(&known.questions, &questions) => continue,
            Some(_) => {
                let problem = format!(
                    "other questions were stored as '{set_id}', and answered perhaps; give these another id"
                );
                return Err(wrong(problem).into());
            }
            None => {}
        }
        let act = actor.act(now, "survey.create", &set.id);
        let new = QuestionSet {
            id: set.id,
            name,
            questions,
            active: false,
            created_at: now,
            responses: 0,
        };
        if sql.create_question_set(tenant, &new, SETS, &act).await? == NewSet::Full {
            let problem = format!("there are {SETS} question sets already; delete some");
            return Err(wrong(problem).into());
        }
    }
    if let Some(id) = asked {
        let known = sql.find_question_set(tenant, Some(&id)).await?;
        if known.is_some_and(|set| !set.active) {
            let act = actor.act(now, "survey.activate", &id);
            sql.activate_question_set(tenant, (&id, true), &act).await?;
        }
    }
    Ok(())
}

fn question(asked: Asked) -> Question {
    match asked {
        Asked::Question(question) => question,
        Asked::Text(text) => Question {
            text,
            kind: QuestionKind::YesNo,
        },
    }
}

/// Whether two lists of questions ask the same; numbers may be written in several ways.
fn same(one: &Value, other: &Value) -> bool {
    let read = |value: &Value| serde_json::from_value::<Vec<Question>>(value.clone()).ok();
    read(one).is_some() && read(one) == read(other)
}

fn read<T: serde::de::DeserializeOwned>(
    key: &'static str,
    path: &str,
) -> Result<T, SurveyFileError> {
    let wrong = |problem: String| SurveyFileError {
        key,
        path: path.to_owned(),
        problem,
    };
    let text =
        std::fs::read_to_string(Path::new(path)).map_err(|error| wrong(error.to_string()))?;
    let is_json = Path::new(path)
        .extension()
        .is_some_and(|it| it.eq_ignore_ascii_case("json"));
    if is_json {
        serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))
    } else {
        toml::from_str(&text).map_err(|error| wrong(error.message().to_owned()))
    }
}
