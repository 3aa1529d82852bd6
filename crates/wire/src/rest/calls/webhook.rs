//! What is told by webhook of a call: `call.started`, `call.ringing`, `call.answered`, `call.transcript`, `call.tool`,
//! `call.ended`, `call.summary`, `call.recording`.
//! Written by the gateway into the outbox, together with the change it tells of.
//! Never tells a thing under two ids: a receiver that gets an id again has it already.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Call, CallSummary};

/// A message.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CallMessage {
    /// Names it for good; the effect's id in the outbox, and the header `webhook-id`.
    pub id: String,
    /// When it happened, in Unix seconds.
    pub created_at: i64,
    /// The call's id.
    pub call_id: String,
    /// What happened.
    #[serde(flatten)]
    pub event: CallHappening,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(tag = "type", content = "data")]
pub enum CallHappening {
    /// The carrier was asked, or a call came in.
    #[serde(rename = "call.started")]
    Started(Box<Call>),
    /// It rings.
    #[serde(rename = "call.ringing")]
    Ringing(Box<Call>),
    /// Somebody, or something, answered.
    #[serde(rename = "call.answered")]
    Answered(Box<Call>),
    /// A turn is over.
    #[serde(rename = "call.transcript")]
    Transcript(CallTurn),
    /// A tool was used.
    #[serde(rename = "call.tool")]
    Tool(CallTool),
    /// It is over, and no attempt follows.
    #[serde(rename = "call.ended")]
    Ended(Box<Call>),
    /// There is a summary, or there will be none.
    #[serde(rename = "call.summary")]
    Summary(SummaryNews),
    /// There is a recording.
    #[serde(rename = "call.recording")]
    Recording(RecordingNews),
}

/// What somebody said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CallTurn {
    /// Its number, from 1.
    pub seq: i64,
    /// `caller` or `agent`.
    pub role: String,
    /// What was said; of the agent's words those that were heard.
    pub text: String,
    /// Since the call's start, in ms.
    pub started_ms: i64,
    /// Since the call's start, in ms.
    pub ended_ms: i64,
    /// Whether the other one broke in.
    pub interrupted: bool,
}

/// A tool that was used.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CallTool {
    /// Its name.
    pub name: String,
    /// With what.
    #[schema(value_type = Object)]
    pub arguments: Value,
    /// What came back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub output: Option<Value>,
    /// Why nothing did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What became of a summary.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SummaryNews {
    /// `done` or `failed`.
    pub summary_status: String,
    /// The summary, when it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<CallSummary>,
    /// What was said, a line each: `AI: …` and `User: …`.
    pub transcript: String,
}

/// A recording that can be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RecordingNews {
    /// Its id.
    pub recording_id: String,
    /// Such as `audio/wav`.
    pub content_type: String,
    /// 2 when the two sides are apart.
    pub channels: u16,
    /// How long it is.
    pub duration_ms: u64,
}
