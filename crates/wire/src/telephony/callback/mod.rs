//! What carriers report over HTTP about calls, streams and who answered, in one vocabulary (spec/telephony §2.6, §7.3).
//! Read by the gateway's callback routes, after the signature was checked over the raw body.
//! Never fails on a word it does not know: such words are kept as they came.

mod fields;
mod read;
mod words;

pub use fields::{Fields, MAX_BODY_BYTES, MAX_FIELDS, Unreadable};
pub use words::{AnsweredBy, CallStatus, Ended, StreamState};

use super::Dialect;

/// One report. What a carrier did not say is `None`. Its `Debug` shows no telephone numbers and no text.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Callback {
    /// The carrier's id of the call.
    pub call_id: Option<String>,
    /// The carrier's id of its request to dial, for calls that have no id of their own yet (Plivo).
    pub request_id: Option<String>,
    /// How the call stands.
    pub status: Option<CallStatus>,
    /// Who answered. It may come with a status or on its own.
    pub answered_by: Option<AnsweredBy>,
    /// What a stream of the call does.
    pub stream: Option<StreamReport>,
    /// The end of a session in text mode.
    pub session: Option<SessionReport>,
    /// Who ended the call.
    pub ended: Option<Ended>,
    /// The carrier's word for why it ended, as it came.
    pub cause: Option<String>,
    /// How long the call took, in whole seconds.
    pub duration_s: Option<u64>,
    /// The number of the report among those about this call: a lower one is older.
    pub sequence: Option<u64>,
    /// When it happened, as the carrier wrote it.
    pub at: Option<String>,
    /// Who called. Personal.
    pub from: Option<String>,
    /// Who was called. Personal.
    pub to: Option<String>,
    /// Where a recording of the carrier's lies.
    pub recording_url: Option<String>,
    /// The carrier's name of the event, as it came.
    pub event: Option<String>,
    /// What we gave the carrier to send along with a call that we placed (Exotel).
    pub correlation: Option<String>,
}

/// What a stream does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamReport {
    /// Its id.
    pub stream_id: Option<String>,
    /// Whether it runs.
    pub state: StreamState,
    /// The carrier's words for what went wrong, as they came.
    pub error: Option<String>,
}

/// The end of a session in text mode, as `action` gets it.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionReport {
    /// Its id.
    pub session_id: String,
    /// The carrier's word for how it ended.
    pub status: Option<String>,
    /// What we left behind with [`super::HangUp::note`].
    pub handoff: Option<String>,
}

impl std::fmt::Debug for SessionReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionReport")
            .field("session_id", &self.session_id)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Callback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Callback")
            .field("call_id", &self.call_id)
            .field("status", &self.status)
            .field("answered_by", &self.answered_by)
            .field("stream", &self.stream)
            .field("session", &self.session)
            .field("ended", &self.ended)
            .field("cause", &self.cause)
            .field("duration_s", &self.duration_s)
            .field("sequence", &self.sequence)
            .field("event", &self.event)
            .finish_non_exhaustive()
    }
}

impl Callback {
    /// Reads a report of `dialect`'s carrier out of what [`Fields`] found in the request. Reports without anything we
    /// know are no error: all is `None` then, and the answer is 200 as for every other.
    pub fn read(dialect: Dialect, fields: &Fields) -> Self {
        match dialect {
            Dialect::Twilio | Dialect::SignalWire | Dialect::Relay => read::twilio(fields),
            // TeXML reports like Twilio, call control in a way of its own
            Dialect::Telnyx if fields.get("CallSid").is_some() => read::twilio(fields),
            Dialect::Telnyx => read::telnyx(fields),
            Dialect::Plivo => read::plivo(fields),
            Dialect::Exotel => read::exotel(fields),
            Dialect::Vonage => read::vonage(fields),
            // Genesys reports over its socket alone
            Dialect::AudioHook => Self::default(),
        }
    }
}
