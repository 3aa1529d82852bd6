//! Everything worth counting, one variant per happening.
//! Emitted by all modules; each event is one log line and one or two metrics, so that they cannot disagree.
//! Never carries a key, a phone number or what was said.

use std::time::Duration;

use engine::meter::Cost;
use engine::session::Part;

use crate::metering::Used;

/// A stage of a turn; its time is measured from the end of the caller's speech.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The server knows that the caller has finished.
    TurnDecided,
    /// The transcript is there.
    Transcript,
    /// The language model's first token.
    FirstToken,
    /// The first synthesised audio.
    FirstAudio,
    /// The first audio left for the caller.
    Heard,
}

impl Stage {
    /// The label's value.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TurnDecided => "turn_decided",
            Self::Transcript => "transcript",
            Self::FirstToken => "first_token",
            Self::FirstAudio => "first_audio",
            Self::Heard => "heard",
        }
    }
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The client closed it.
    ClientClosed,
    /// The connection broke.
    ConnectionLost,
    /// It reached its longest duration.
    Expired,
    /// The agent ended it.
    AgentEnded,
    /// The client did not read or did not answer.
    Unresponsive,
    /// The server was shutting down.
    Shutdown,
    /// Its tenant was suspended or deleted.
    Suspended,
    /// It goes on over another connection.
    Moved,
    /// We failed.
    Failed,
}

impl Outcome {
    /// Whether its client may come back and go on.
    pub const fn may_go_on(self) -> bool {
        match self {
            Self::ClientClosed
            | Self::ConnectionLost
            | Self::Unresponsive
            | Self::Shutdown
            | Self::Moved
            | Self::Failed => true,
            Self::Expired | Self::AgentEnded | Self::Suspended => false,
        }
    }

    /// The label's value.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientClosed => "client_closed",
            Self::ConnectionLost => "connection_lost",
            Self::Expired => "expired",
            Self::AgentEnded => "agent_ended",
            Self::Unresponsive => "unresponsive",
            Self::Shutdown => "shutdown",
            Self::Suspended => "suspended",
            Self::Moved => "moved",
            Self::Failed => "failed",
        }
    }
}

/// A happening.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// A session began.
    SessionStarted {
        /// `sess_…`.
        session: &'a str,
        /// Whose it is.
        tenant: &'a str,
    },
    /// A session ended.
    SessionEnded {
        /// `sess_…`.
        session: &'a str,
        /// How.
        outcome: Outcome,
        /// How long it lasted.
        lasted: Duration,
        /// What it cost; `None` where the price of any part is missing.
        micro_dollars: Option<u64>,
    },
    /// A conversation has to do without a part of its pipeline, or has it back.
    PartMissing {
        /// `sess_…`.
        session: &'a str,
        /// Which.
        part: Part,
        /// Whether it is missing now.
        missing: bool,
    },
    /// A function was run for a model.
    ToolRan {
        /// `sess_…`.
        session: &'a str,
        /// `http`, `mcp` or `reason`.
        kind: &'static str,
        /// Its name.
        tool: &'a str,
        /// Why it failed; `None` when it did not.
        cause: Option<&'a str>,
        /// How long it took.
        took: Duration,
    },
    /// An MCP server was asked what it has.
    ToolsListed {
        /// `sess_…`, or a request's id.
        session: &'a str,
        /// Its label.
        server: &'a str,
        /// Why it did not tell; `None` when it did.
        cause: Option<&'a str>,
    },
    /// A provider did something.
    Used {
        /// What.
        used: &'a Used<'a>,
        /// What it costs; `None` where the price list does not tell.
        cost: Option<Cost>,
    },
    /// A turn reached a stage.
    TurnStage {
        /// `sess_…`.
        session: &'a str,
        /// Which.
        stage: Stage,
        /// Since the end of the caller's speech.
        after: Duration,
    },
    /// Audio frames were dropped because a queue was full.
    AudioDropped {
        /// `sess_…`.
        session: &'a str,
        /// How many.
        frames: u64,
    },
    /// A client did not read and was disconnected.
    SlowClientClosed {
        /// `sess_…`.
        session: &'a str,
    },
    /// A provider failed.
    ProviderFailed {
        /// `sess_…`; `None` for a REST request, whose span has its id.
        session: Option<&'a str>,
        /// Catalog name.
        provider: &'a str,
        /// Machine-readable code.
        code: &'a str,
        /// What happened, for the operator; never a vendor's explanation, which may quote the prompt.
        message: &'a str,
    },
    /// Someone came with a key that opens nothing.
    KeyRefused {
        /// Why: `malformed`, `unknown`, `revoked`, `wrong`, `spent`.
        reason: &'static str,
        /// Public id of the key, where it has one.
        key_id: Option<&'a str>,
    },
    /// A request was refused because a rate limit was used up.
    RateLimited {
        /// Whose limit: `global`, `tenant`, `key` or `ip`.
        level: &'static str,
        /// Whose request.
        tenant: &'a str,
    },
    /// A request was answered.
    RequestServed {
        /// HTTP method.
        method: &'a str,
        /// The route's template, for example `/v1/models/{id}`.
        route: &'a str,
        /// HTTP status.
        status: u16,
        /// Until the head of the answer.
        took: Duration,
    },
    /// A connection was refused because too many were open.
    ConnectionRefused,
    /// The models are loaded.
    PipelineReady {
        /// Pipeline name.
        pipeline: &'a str,
        /// How long loading took.
        took: Duration,
    },
    /// The models could not be loaded.
    PipelineFailed {
        /// Pipeline name.
        pipeline: &'a str,
        /// What to do about it.
        message: &'a str,
    },
}
