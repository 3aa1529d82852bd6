//! The words of callbacks: how a call stands, who answered, who ended it, what a stream does.
//! Made by the readers of this folder; ranked by the gateway before it stores anything.
//! Never loses an unknown word.

/// How a call stands at the carrier. This is not an outcome: whether a goal was reached is ours to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallStatus {
    /// Waits to be dialled.
    Queued,
    /// Being dialled.
    Initiated,
    /// The telephone rings.
    Ringing,
    /// Answered and going on.
    InProgress,
    /// It was answered and is over.
    Completed,
    /// The line was busy.
    Busy,
    /// Nobody answered.
    NoAnswer,
    /// The called party or its carrier refused.
    Rejected,
    /// It could not be connected.
    Failed,
    /// We took it back before it was answered.
    Canceled,
    /// A word that we do not know, as it came.
    Other(String),
}

impl CallStatus {
    /// Callbacks come late and out of order: a lower rank never replaces a higher one (spec/telephony §7.6). `None` for
    /// words that we do not know.
    pub const fn rank(&self) -> Option<u8> {
        match self {
            Self::Queued => Some(0),
            Self::Initiated => Some(1),
            Self::Ringing => Some(2),
            Self::InProgress => Some(3),
            Self::Completed
            | Self::Busy
            | Self::NoAnswer
            | Self::Rejected
            | Self::Failed
            | Self::Canceled => Some(4),
            Self::Other(_) => None,
        }
    }

    /// Whether the call is over.
    pub const fn is_final(&self) -> bool {
        matches!(self.rank(), Some(4))
    }

    /// Whether `newer`, which has just come, may replace this one. What is final stays.
    pub const fn yields_to(&self, newer: &Self) -> bool {
        match (self.rank(), newer.rank()) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(known), Some(new)) => new > known,
        }
    }

    /// The word for it in Twilio's vocabulary, which the seed's clients read; an unknown word as it came.
    pub fn word(&self) -> &str {
        match self {
            Self::Queued => "queued",
            Self::Initiated => "initiated",
            Self::Ringing => "ringing",
            Self::InProgress => "in-progress",
            Self::Completed => "completed",
            Self::Busy => "busy",
            Self::NoAnswer => "no-answer",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Other(word) => word,
        }
    }

    /// What any of the carriers means by `word`.
    pub(super) fn named(word: &str) -> Self {
        let plain = word.trim().to_ascii_lowercase().replace('_', "-");
        match plain.as_str() {
            "queued" | "scheduled" => Self::Queued,
            "initiated" | "started" | "starting" | "initiate" => Self::Initiated,
            "ringing" | "ring" | "early" => Self::Ringing,
            "in-progress" | "answered" | "answer" => Self::InProgress,
            "completed" | "disconnected" | "hangup" => Self::Completed,
            "busy" => Self::Busy,
            "no-answer" | "unanswered" | "timeout" => Self::NoAnswer,
            "rejected" => Self::Rejected,
            "failed" => Self::Failed,
            "canceled" | "cancelled" | "cancel" => Self::Canceled,
            _ => Self::Other(word.to_owned()),
        }
    }
}

/// Who answered, as the carrier judged it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnsweredBy {
    /// A person.
    Human,
    /// A machine whose greeting is still being played: do not speak yet.
    MachineStart,
    /// A machine whose greeting ended with a beep: speak now.
    MachineBeep,
    /// A machine whose greeting ended in silence: speak now.
    MachineSilence,
    /// A machine whose greeting ended in another way: speak now.
    MachineEnd,
    /// A fax.
    Fax,
    /// The carrier could not tell.
    Unknown,
    /// A word that we do not know, as it came.
    Other(String),
}

impl AnsweredBy {
    /// Whether it is a machine of any kind.
    pub const fn is_machine(&self) -> bool {
        matches!(
            self,
            Self::MachineStart | Self::MachineBeep | Self::MachineSilence | Self::MachineEnd
        )
    }

    /// Whether a message may be left now.
    pub const fn may_speak(&self) -> bool {
        matches!(
            self,
            Self::MachineBeep | Self::MachineSilence | Self::MachineEnd
        )
    }

    pub(super) fn named(word: &str) -> Self {
        match word.trim().to_ascii_lowercase().as_str() {
            "human" | "human_residence" | "human_business" => Self::Human,
            "machine" | "machine_start" => Self::MachineStart,
            "machine_end_beep" | "beep_detected" | "beep_start" => Self::MachineBeep,
            "machine_end_silence" => Self::MachineSilence,
            "machine_end_other" | "machine_end" => Self::MachineEnd,
            "fax" | "fax_detected" => Self::Fax,
            "unknown" | "not_sure" | "silence" => Self::Unknown,
            _ => Self::Other(word.to_owned()),
        }
    }
}

/// Who ended a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Who called.
    Caller,
    /// Who was called.
    Callee,
    /// The carrier, or we through its interface.
    Carrier,
}

impl Ended {
    pub(super) fn named(word: &str) -> Option<Self> {
        match word.trim().to_ascii_lowercase().as_str() {
            "caller" => Some(Self::Caller),
            "callee" => Some(Self::Callee),
            "carrier" | "plivo" | "unknown" | "api request" | "system" => Some(Self::Carrier),
            _ => None,
        }
    }
}

/// What a stream does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamState {
    /// It runs.
    Started,
    /// It is over.
    Stopped,
    /// It could not be opened, or broke.
    Failed,
}

impl StreamState {
    pub(super) fn named(word: &str) -> Option<Self> {
        match word {
            "stream-started" | "streaming.started" | "StartStream" => Some(Self::Started),
            "stream-stopped" | "streaming.stopped" | "StopStream" => Some(Self::Stopped),
            "stream-error" | "streaming.failed" | "DroppedStream" => Some(Self::Failed),
            _ => None,
        }
    }
}
