//! Everything a session can ask for: events to the client, work for providers, the end.
//! Executed in order by the session actor.
//! Never says how: no address, vendor or time-out is in here.

use std::sync::Arc;

use wire::realtime::ServerEvent;
use wire::realtime::session::Tool;

use super::input::{ReplyId, RunId, UtteranceId};
use crate::ask::{
    DuplexCommand, DuplexItem, DuplexOptions, LlmRequest, SpeakOptions, SttOptions, ToolCall,
};

/// An output of [`super::Session::on`].
#[derive(Debug, PartialEq)]
pub enum Output {
    /// Tell the client.
    Send(ServerEvent),
    /// Utterances that are heard so, and replies that are spoken so, are likely soon.
    Prepare(SttOptions, Option<SpeakOptions>),
    /// Start transcribing an utterance.
    OpenStt(UtteranceId, SttOptions),
    /// 16 kHz mono samples of an utterance.
    SttAudio(UtteranceId, Arc<[i16]>),
    /// The caller paused: transcribe speculatively.
    SttPause(UtteranceId),
    /// The caller went on: forget the pause.
    SttResume(UtteranceId),
    /// The utterance is complete.
    SttEnd(UtteranceId),
    /// The utterance is void.
    DropStt(UtteranceId),
    /// A request like this one is likely soon.
    WarmLlm(LlmRequest),
    /// Generate a reply.
    AskLlm(ReplyId, Box<LlmRequest>),
    /// Stop generating.
    DropLlm(ReplyId),
    /// Start speaking a reply.
    OpenTts(ReplyId, SpeakOptions),
    /// Speak a piece.
    Speak {
        /// The reply.
        reply: ReplyId,
        /// Number of the piece, from 0.
        index: u32,
        /// What to say.
        text: String,
    },
    /// No more pieces will come.
    EndTts(ReplyId),
    /// Stop speaking; what was synthesised is void.
    DropTts(ReplyId),
    /// Let a speech-to-speech model join a conversation in which this was said; whatever connection there was is left.
    OpenDuplex(Box<DuplexOptions>, Vec<DuplexItem>),
    /// Tell it something.
    Duplex(DuplexCommand),
    /// Run a function of the server.
    RunTool(RunId, Box<ToolCall>),
    /// Stop running it; nobody waits for it any more.
    DropTool(RunId),
    /// Find out what functions these MCP servers have; servers named before and not now are not needed any more.
    ListTools(Vec<Tool>),
    /// A stage of a turn was reached; for metrics only.
    Mark(Mark),
    /// End the connection with this WebSocket close code and reason.
    Close {
        /// Close code (spec/realtime §2.1).
        code: u16,
        /// Reason sent along.
        reason: String,
    },
}

/// A part that a conversation can do without for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Transcription: the caller can only write.
    Ears,
    /// The language model: responses apologise and repeat what was said.
    Language,
    /// Speech: responses are text.
    Voice,
}

/// Stages of a turn in the order of spec "People": speech end → decided → transcript → token → audio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// The turn was decided so many ms of audio after the caller's last voiced frame.
    TurnDecided {
        /// ms of silence that had passed.
        silence_ms: u64,
    },
    /// The transcript of the turn is known.
    Transcript,
    /// The first token of the reply was released.
    FirstToken,
    /// The first audio of the reply was released.
    FirstAudio,
    /// The reply ended; `true` when it completed.
    ReplyEnded {
        /// Whether it completed rather than being cut off or failing.
        completed: bool,
        /// The turn it belongs to, counted from 1.
        turn: u32,
        /// `resp_…`; `None` for a response beside the conversation, which belongs to a turn without ending it.
        response: Option<String>,
    },
    /// A reply was cut off by the caller's speech.
    BargeIn,
    /// A part of the pipeline fails, or works again.
    Missing {
        /// Which.
        part: Part,
        /// Whether it fails.
        missing: bool,
    },
    /// A speculative reply was discarded.
    SpeculationDropped,
    /// A speculative reply was used.
    SpeculationUsed,
}
