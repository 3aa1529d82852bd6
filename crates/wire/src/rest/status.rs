//! Bodies of `/health`, `/ready` and `/info`.
//! Answered by the gateway, read by orchestrators, the page and `antiphon doctor`.
//! Never contains a secret or an address of a provider.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `/health`: the process runs and answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Always `ok`: a process that is not, does not answer.
    pub status: String,
    /// Version of the server.
    pub version: String,
}

impl Health {
    /// The answer of a server of this version.
    pub fn ok(version: impl Into<String>) -> Self {
        Self {
            status: "ok".to_owned(),
            version: version.into(),
        }
    }
}

/// One thing the server needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// What is checked: `database`, `models`, …
    pub name: String,
    /// Whether it works.
    pub ok: bool,
    /// What is wrong and the next step; absent when nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// How ready the server is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReadyStatus {
    /// Everything works.
    Ready,
    /// Calls may come in; something that the server can do without for a while does not work.
    Degraded,
    /// Calls must not come in.
    NotReady,
}

/// `/ready`: 200 when every check that calls depend on passes, otherwise 503.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// Whether calls may come in.
    pub ready: bool,
    /// The same with a word for what is in between.
    pub status: ReadyStatus,
    /// What was looked at.
    pub checks: Vec<Check>,
}

impl Readiness {
    /// Ready when all of `needed` pass, degraded when one of `useful` does not.
    pub fn of(needed: Vec<Check>, useful: Vec<Check>) -> Self {
        let pass = |checks: &[Check]| checks.iter().all(|check| check.ok);
        let status = match (pass(&needed), pass(&useful)) {
            (false, _) => ReadyStatus::NotReady,
            (true, false) => ReadyStatus::Degraded,
            (true, true) => ReadyStatus::Ready,
        };
        Self {
            ready: status != ReadyStatus::NotReady,
            status,
            checks: [needed, useful].concat(),
        }
    }
}

/// `/info`: what this server is and what it answers with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Info {
    /// Always `antiphon`.
    pub name: String,
    /// Version of the server.
    pub version: String,
    /// `local`, `scripted`, …
    pub pipeline: String,
    /// Model that transcribes.
    pub speech_to_text: String,
    /// Model that answers.
    pub language_model: String,
    /// Model that speaks.
    pub text_to_speech: String,
    /// Voices a session may choose.
    pub voices: Vec<String>,
    /// One sentence for people, for example that the built-in language model is a demonstration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}
