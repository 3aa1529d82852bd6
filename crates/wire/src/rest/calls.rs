//! Bodies of `/v1/calls`, `/v1/phone_numbers`, `/v1/do_not_call` and `/v1/consents`: telephone calls and who may be called.
//! Used by the gateway's routes and by the document generator; the folder has what goes out by webhook and what LeadFlip says.
//! Never shows the called number of a call to whoever may not read the call: it is in no id and in no error.

pub mod leadflip;
mod shown;
pub mod transcript;
pub mod webhook;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A call to be placed. The header `Idempotency-Key` names it: sent again, it is the same call.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCall {
    /// Whom to call, in international form: `+14155550100`.
    pub to: String,
    /// Which of our numbers is shown; the agent's or the account's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Name of the agent that speaks; the project's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// What kind of call it is, such as `confirm_appointment`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_type: Option<String>,
    /// What is to be reached, in a sentence of 10 to 2,000 characters.
    #[schema(min_length = 10, max_length = 2000)]
    pub objective: String,
    /// Instructions for this call alone, besides the agent's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// Not before this, in Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<i64>,
    /// The called party's time zone, such as `America/Chicago`; by the number when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Longest call in seconds, from 30 to what the server allows (`telephony.max_call_s`, 300 unless set); that when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 30, maximum = 3600)]
    pub max_duration_s: Option<u32>,
    /// What to do when a machine answers.
    #[serde(default)]
    pub voicemail: VoicemailPolicy,
    /// Whether the call is recorded, where the called party has agreed.
    #[serde(default)]
    pub recording: RecordingPolicy,
    /// The lead it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lead_id: Option<String>,
    /// The business it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub business_id: Option<String>,
    /// The person that is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer_id: Option<String>,
    /// Up to 16 values of your own, given back with the call.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// What to do when a machine answers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum VoicemailPolicy {
    /// Hang up.
    #[default]
    HangUp,
    /// Say this after the beep, then hang up.
    LeaveMessage {
        /// What is said.
        message: String,
    },
}

/// Whether a call is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordingPolicy {
    /// It is not.
    #[default]
    Never,
    /// Only where a consent of the kind `recording` is on file.
    WithConsent,
}

/// A call.
#[derive(Clone, PartialEq, Serialize, ToSchema)]
pub struct Call {
    /// `call`.
    pub object: &'static str,
    /// Its id.
    pub id: String,
    /// `inbound` or `outbound`.
    pub direction: String,
    /// `queued`, `scheduled`, `dialing`, `ringing`, `live`, `ending`, `ended`, `cancelled` or `blocked`.
    pub state: String,
    /// What came of it; absent until that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Why it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hangup_reason: Option<String>,
    /// `caller`, `agent`, `system` or `carrier`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hangup_by: Option<String>,
    /// The rule that forbids it: `blocked_dnc`, `blocked_no_consent`, `blocked_limit`, `blocked_window`, `blocked_number`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked_by: Option<String>,
    /// State and outcome in the one word that LeadFlip knows.
    pub status: String,
    /// The other side's number; for an outbound call the one that is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Our number; for an inbound call the one that calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Name of the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Its conversation, once there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The carrier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// What the carrier calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carrier_call_id: Option<String>,
    /// What kind of call it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_type: Option<String>,
    /// What is to be reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objective: Option<String>,
    /// The lead it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lead_id: Option<String>,
    /// Which attempt at reaching somebody it is, from 1.
    pub attempt: u32,
    /// `human`, `machine`, `machine_end_beep`, `silence` or `uncertain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_by: Option<String>,
    /// The summary, once there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<CallSummary>,
    /// What it cost, in micro-dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_micros: Option<i64>,
    /// Unix seconds.
    pub created_at: i64,
    /// When it is to be placed next, in Unix seconds; of a call that was placed, when it was to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<i64>,
    /// Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<i64>,
    /// Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<i64>,
    /// Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<i64>,
    /// Your own values.
    pub metadata: BTreeMap<String, String>,
}

/// What a call came to, as a model put it down.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallSummary {
    /// `goal_achieved`, `no_answer`, `voicemail`, `declined` or `error`.
    pub status: String,
    /// Two or three sentences.
    pub summary: String,
    /// `high`, `medium`, `low` or `none`; absent when it could not be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer_interest_level: Option<String>,
    /// What should happen next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_action: Option<String>,
    /// What was agreed on, RFC 3339 with the lead's offset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appointment_time: Option<String>,
    /// A price that was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote_amount: Option<f64>,
    /// `positive`, `neutral` or `negative`; absent when it could not be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentiment: Option<String>,
    /// Whether the person asked never to be called again.
    #[serde(default)]
    pub do_not_call: bool,
    /// What was asked in the call, and answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<Reply>,
}

/// Something that was asked in a call, and the answer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reply {
    /// What was asked.
    pub question: String,
    /// What was answered.
    pub answer: String,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Page<T> {
    /// `list`.
    pub object: &'static str,
    /// The entries.
    pub data: Vec<T>,
    /// Whether more follow.
    pub has_more: bool,
    /// Give it as `after` to read on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// One with these entries; `next` where more follow.
    pub const fn new(data: Vec<T>, next: Option<String>) -> Self {
        Self {
            object: "list",
            data,
            has_more: next.is_some(),
            next,
        }
    }
}

/// Which calls are listed, as the query of `GET /v1/calls`.
#[derive(Clone, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CallQuery {
    /// In this state.
    pub state: Option<String>,
    /// With this outcome.
    pub outcome: Option<String>,
    /// `inbound` or `outbound`.
    pub direction: Option<String>,
    /// With this agent.
    pub agent: Option<String>,
    /// About this lead.
    pub lead_id: Option<String>,
    /// To this number.
    pub to: Option<String>,
    /// Made at this time or later, in Unix seconds.
    pub from_time: Option<i64>,
    /// Made before this time, in Unix seconds.
    pub until_time: Option<i64>,
    /// `next` of the page before.
    pub after: Option<String>,
    /// 1 to 100; 20 when absent.
    #[schema(minimum = 1, maximum = 100)]
    pub limit: Option<u32>,
}

/// How a call is ended: `POST /v1/calls/{id}/hangup`. A call that was not placed yet is called off.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HangUp {
    /// Said first, where there is somebody to hear it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub say: Option<String>,
}

/// Whom a call is passed to: `POST /v1/calls/{id}/transfer`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// A number in international form, or the name of a target of the agent's.
    pub to: String,
    /// How.
    #[serde(default)]
    pub mode: TransferMode,
    /// How long it may ring there, in seconds; 30 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u32>,
    /// What whoever takes over is told before the caller comes in, in a warm transfer; up to 1,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
}

/// How a call is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransferMode {
    /// At once: whoever takes it over knows nothing.
    #[default]
    Cold,
    /// Whoever takes it over is called first, while the caller talks on, and told what it is about.
    Warm,
}

/// Something that happened to a call, of `GET /v1/calls/{id}/events`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CallEvent {
    /// Its number, from 1; give the last one as `after` to read on.
    pub seq: i64,
    /// What happened.
    pub kind: String,
    /// Who told: `carrier`, `dialler`, `edge`, `agent`, `api` or `sweep`.
    pub source: String,
    /// Unix seconds with milliseconds.
    pub at: f64,
    /// More of it.
    #[schema(value_type = Object)]
    pub details: Value,
}

/// A number of ours: who answers calls to it. The body of `PUT /v1/phone_numbers/{number}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PhoneNumberSettings {
    /// Name of the agent.
    pub agent: String,
    /// The carrier, such as `twilio`.
    pub provider: String,
    /// Which account there, as it is called in the server's configuration; when absent, the only one with the carrier that the
    /// tenant may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

/// A number of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PhoneNumber {
    /// `phone_number`.
    pub object: &'static str,
    /// In international form.
    pub number: String,
    /// Who answers, and over what.
    #[serde(flatten)]
    pub settings: PhoneNumberSettings,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds.
    pub updated_at: i64,
}

/// Somebody who must not be called. The body of `POST /v1/do_not_call`, and an entry of its list.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DoNotCall {
    /// In international form.
    pub number: String,
    /// Why, or from which list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// `api`, `call` or the name of a list; not read.
    #[serde(default, skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Unix seconds; not read.
    #[serde(default, skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<i64>,
}

/// Something that somebody has agreed to. The body of `POST /v1/consents` and its answer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// In international form.
    pub number: String,
    /// To what.
    pub kind: ConsentKind,
    /// Where that is from, such as `web_form`.
    pub source: String,
    /// What proves it, such as the address of a form or the id of a recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
    /// Unix seconds; now when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted_at: Option<i64>,
    /// Unix seconds; for good when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
}

/// What can be agreed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConsentKind {
    /// To be called by an artificial voice.
    AiCall,
    /// To be recorded.
    Recording,
}

impl ConsentKind {
    /// As it is stored and sent.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AiCall => "ai_call",
            Self::Recording => "recording",
        }
    }
}
