//! What LeadFlip says and hears: the payload of its job, its health document, the answer to its status webhook.
//! Read and written by the gateway where it stands in for the LeadFlip bridge.
//! Never changes a field's name or type: its programs look for exactly these.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{NewCall, RecordingPolicy, VoicemailPolicy};

/// The payload of a job `initiate-call`. Fields that are not named are kept from nobody: they are ignored.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Names the call.
    pub call_id: String,
    /// The lead it is about; not every call has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lead_id: Option<String>,
    /// The business it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub business_id: Option<String>,
    /// The person that is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer_id: Option<String>,
    /// Whom to call.
    pub phone_number: String,
    /// What kind of call it is.
    pub call_type: CallType,
    /// What is to be reached.
    pub objective: String,
    /// The instructions.
    #[serde(default)]
    pub system_prompt: String,
    /// Not before this, ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_time: Option<String>,
    /// Which attempt it is, from 1.
    #[serde(default = "first")]
    pub attempt_number: u32,
}

const fn first() -> u32 {
    1
}

/// The kinds of call that LeadFlip knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallType {
    /// Find out what a lead needs.
    QualifyLead,
    /// Confirm an appointment.
    ConfirmAppointment,
    /// Ask how it went.
    FollowUp,
    /// Call somebody back who asked for it.
    ConsumerCallback,
}

impl CallType {
    /// As it is stored and sent.
    pub const fn name(self) -> &'static str {
        match self {
            Self::QualifyLead => "qualify_lead",
            Self::ConfirmAppointment => "confirm_appointment",
            Self::FollowUp => "follow_up",
            Self::ConsumerCallback => "consumer_callback",
        }
    }

    /// Its place in the queue: of calls that are due, those with a lower one go first.
    pub const fn priority(self) -> i64 {
        match self {
            Self::ConfirmAppointment => 1,
            _ => 3,
        }
    }
}

impl Job {
    /// Names the request: the call and its attempt. The call alone would swallow every retry of it.
    pub fn request_key(&self) -> String {
        format!("leadflip {} {}", self.call_id, self.attempt_number)
    }

    /// The same as a call of ours, to be placed at `scheduled_at`, which is what the caller has read
    /// `scheduled_time` as.
    pub fn into_call(self, scheduled_at: Option<i64>) -> NewCall {
        let instructions = Some(self.system_prompt).filter(|prompt| !prompt.is_empty());
        NewCall {
            to: self.phone_number,
            from: None,
            agent: None,
            call_type: Some(self.call_type.name().to_owned()),
            objective: self.objective,
            instructions,
            scheduled_at,
            time_zone: None,
            max_duration_s: None,
            voicemail: VoicemailPolicy::default(),
            recording: RecordingPolicy::default(),
            lead_id: self.lead_id,
            business_id: self.business_id,
            consumer_id: self.consumer_id,
            metadata: std::collections::BTreeMap::new(),
        }
    }
}

/// `GET /health` of the bridge: these three, of these types.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// `healthy`.
    pub status: &'static str,
    /// Calls that are live.
    pub active_calls: u64,
    /// In seconds, with a fraction.
    pub uptime: f64,
}

impl Health {
    /// A server that is well.
    pub const fn healthy(active_calls: u64, uptime_s: f64) -> Self {
        Self {
            status: "healthy",
            active_calls,
            uptime: uptime_s,
        }
    }
}

/// The answer to a carrier's status webhook, whatever the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StatusTaken {
    /// True.
    pub success: bool,
}

/// A call as LeadFlip's pages read it: its names of things, beside the one status.
#[derive(Clone, PartialEq, Serialize)]
pub struct LegacyCall {
    /// Names it.
    pub id: String,
    /// State and outcome in one word; see `engine::call::state::legacy_status`.
    pub status: String,
    /// What kind of call it is.
    pub call_type: Option<String>,
    /// The lead it is about.
    pub lead_id: Option<String>,
    /// What is to be reached.
    pub call_objective: Option<String>,
    /// The same again: both spellings are read.
    pub objective: Option<String>,
    /// Whom it calls.
    pub target_phone: Option<String>,
    /// What the carrier calls it.
    pub twilio_call_sid: Option<String>,
    /// The carrier's own word.
    pub twilio_status: Option<String>,
    /// Which attempt it is.
    pub attempt_number: u32,
    /// How long it was, in seconds.
    pub duration_seconds: Option<i64>,
    /// What was said, a line each.
    pub transcript: Option<Value>,
    /// Two or three sentences.
    pub summary: Option<String>,
    /// What came of it.
    pub outcome: Option<String>,
    /// `high`, `medium`, `low` or `none`.
    pub consumer_interest_level: Option<String>,
    /// RFC 3339.
    pub appointment_time: Option<String>,
    /// A price that was named.
    pub quote_amount: Option<f64>,
    /// What should happen next.
    pub next_action: Option<String>,
    /// What went wrong.
    pub error_message: Option<String>,
}
