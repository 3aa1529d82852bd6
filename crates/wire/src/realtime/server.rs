//! Server events of the Realtime API (spec/realtime §1.9).
//! Produced by `engine::session`; `edge/realtime` adds `event_id` and writes frames, other channels read the fields.
//! Never contains an event the engine cannot emit: MCP events arrive with the MCP client.

use serde::Serialize;
use utoipa::ToSchema;

use super::response::{Part, RateLimit};
use super::session::SessionSchema;
pub use super::transcription::{LogProb, TranscriptionError, TranscriptionUsage};
use super::{AudioBytes, ErrorBody, Item, Response, Session};

/// A server event without its `event_id`, which the writer adds.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(tag = "type")]
pub enum ServerEvent {
    /// Something failed; the session goes on.
    #[serde(rename = "error")]
    Error {
        /// What.
        error: ErrorBody,
    },
    /// First event of every connection.
    #[serde(rename = "session.created")]
    SessionCreated {
        /// The effective session.
        #[schema(value_type = SessionSchema)]
        session: Box<Session>,
    },
    /// A `session.update` took effect.
    #[serde(rename = "session.updated")]
    SessionUpdated {
        /// The effective session.
        #[schema(value_type = SessionSchema)]
        session: Box<Session>,
    },
    /// Behind `session.created` where the client has come back to a session: what it missed follows. Ours; sent only to
    /// those who connect with `session_id`.
    #[serde(rename = "session.resumed")]
    SessionResumed {
        /// `sess_…`, as before.
        session_id: String,
        /// How many events follow that were sent, or were to be sent, over the connection before.
        replayed: u32,
        /// Whether these are all that the client missed. If not, `items` says what there is.
        complete: bool,
        /// What was said, the last 100 items, oldest first; empty when nothing is missing.
        items: Vec<Item>,
    },
    /// Another voice speaks the rest of a reply, because the one that was asked for cannot. Ours; sent once a reply, only to
    /// those who connect with `extra_events=tts.degraded`.
    #[serde(rename = "tts.degraded")]
    TtsDegraded {
        /// The response.
        response_id: String,
        /// The item that is spoken, where it has begun.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        item_id: Option<String>,
        /// Who cannot speak: a provider, or a voice of this server's own.
        from: String,
        /// Who speaks instead.
        to: String,
        /// Why, as the code of an error, such as `provider_unavailable`.
        reason: String,
    },
    /// A clause or a sentence was spoken whole: all its sound has been sent. Ours; sent only to those who connect with
    /// `extra_events=speech.piece`.
    #[serde(rename = "speech.piece")]
    SpeechPiece {
        /// The response.
        response_id: String,
        /// The item that is spoken.
        item_id: String,
        /// What was said, as it stands in the transcript.
        text: String,
    },
    /// What the caller has said so far, as transcription hears it at present; the next one replaces it. Ours; sent only to
    /// those who connect with `extra_events=transcript.partial`.
    #[serde(rename = "transcript.partial")]
    TranscriptPartial {
        /// The item that it will be.
        item_id: String,
        /// All of it.
        text: String,
    },
    /// An item entered the conversation.
    #[serde(rename = "conversation.item.added")]
    ItemAdded {
        /// The item.
        item: Item,
        /// The item before it; null at the head.
        previous_item_id: Option<String>,
    },
    /// An item is final.
    #[serde(rename = "conversation.item.done")]
    ItemDone {
        /// The item.
        item: Item,
        /// The item before it; null at the head.
        previous_item_id: Option<String>,
    },
    /// Answer to a retrieve, with audio.
    #[serde(rename = "conversation.item.retrieved")]
    ItemRetrieved {
        /// The item.
        item: Item,
    },
    /// An item is gone.
    #[serde(rename = "conversation.item.deleted")]
    ItemDeleted {
        /// The item.
        item_id: String,
    },
    /// Audio and transcript after the mark are gone.
    #[serde(rename = "conversation.item.truncated")]
    ItemTruncated {
        /// The item.
        item_id: String,
        /// Position in the item's content.
        content_index: u32,
        /// Audio kept, ms.
        audio_end_ms: u64,
    },
    /// More of the caller's transcript.
    #[serde(rename = "conversation.item.input_audio_transcription.delta")]
    TranscriptionDelta {
        /// The item.
        item_id: String,
        /// Position in the item's content.
        content_index: u32,
        /// Text to append.
        delta: String,
    },
    /// The caller's transcript.
    #[serde(rename = "conversation.item.input_audio_transcription.completed")]
    TranscriptionCompleted {
        /// The item.
        item_id: String,
        /// Position in the item's content.
        content_index: u32,
        /// All of it.
        transcript: String,
        /// What it cost.
        usage: TranscriptionUsage,
        /// Token log probabilities, when asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        logprobs: Option<Vec<LogProb>>,
    },
    /// No transcript for this item.
    #[serde(rename = "conversation.item.input_audio_transcription.failed")]
    TranscriptionFailed {
        /// The item.
        item_id: String,
        /// Position in the item's content.
        content_index: u32,
        /// Why.
        error: TranscriptionError,
    },
    /// A segment with times.
    #[serde(rename = "conversation.item.input_audio_transcription.segment")]
    TranscriptionSegment {
        /// The item.
        item_id: String,
        /// Position in the item's content.
        content_index: u32,
        /// Segment id.
        id: String,
        /// Speaker label.
        speaker: String,
        /// Start, s.
        start: f64,
        /// End, s.
        end: f64,
        /// Its text.
        text: String,
    },
    /// The buffer became an item.
    #[serde(rename = "input_audio_buffer.committed")]
    AudioCommitted {
        /// The item.
        item_id: String,
        /// The item before it; null at the head.
        previous_item_id: Option<String>,
    },
    /// The buffer is empty.
    #[serde(rename = "input_audio_buffer.cleared")]
    AudioCleared,
    /// The caller began to speak.
    #[serde(rename = "input_audio_buffer.speech_started")]
    SpeechStarted {
        /// Start including padding, ms of audio since the session began.
        audio_start_ms: u64,
        /// The item.
        item_id: String,
    },
    /// The caller stopped speaking.
    #[serde(rename = "input_audio_buffer.speech_stopped")]
    SpeechStopped {
        /// End, ms of audio since the session began.
        audio_end_ms: u64,
        /// The item.
        item_id: String,
    },
    /// Nobody spoke for `idle_timeout_ms`.
    #[serde(rename = "input_audio_buffer.timeout_triggered")]
    TimeoutTriggered {
        /// Start of the silence, ms.
        audio_start_ms: u64,
        /// End of the silence, ms.
        audio_end_ms: u64,
        /// The item.
        item_id: String,
    },
    /// A key was pressed (telephone); the one event without `event_id`.
    #[serde(rename = "input_audio_buffer.dtmf_event_received")]
    DtmfReceived {
        /// The key.
        event: String,
        /// Unix seconds.
        received_at: i64,
    },
    /// Audio began to play (channels that play for the client).
    #[serde(rename = "output_audio_buffer.started")]
    OutputAudioStarted {
        /// The response.
        response_id: String,
    },
    /// The playback buffer drained (channels that play for the client).
    #[serde(rename = "output_audio_buffer.stopped")]
    OutputAudioStopped {
        /// The response.
        response_id: String,
    },
    /// The playback buffer was emptied (channels that play for the client).
    #[serde(rename = "output_audio_buffer.cleared")]
    OutputAudioCleared {
        /// The response.
        response_id: String,
    },
    /// A response began.
    #[serde(rename = "response.created")]
    ResponseCreated {
        /// The response.
        response: Box<Response>,
    },
    /// A response ended; always sent.
    #[serde(rename = "response.done")]
    ResponseDone {
        /// The response.
        response: Box<Response>,
    },
    /// The response opened an item.
    #[serde(rename = "response.output_item.added")]
    OutputItemAdded {
        /// The response.
        response_id: String,
        /// Position in the response's output.
        output_index: u32,
        /// The item.
        item: Item,
    },
    /// The response closed an item.
    #[serde(rename = "response.output_item.done")]
    OutputItemDone {
        /// The response.
        response_id: String,
        /// Position in the response's output.
        output_index: u32,
        /// The item.
        item: Item,
    },
    /// A part was opened.
    #[serde(rename = "response.content_part.added")]
    ContentPartAdded {
        /// The response.
        response_id: String,
        /// The item.
        item_id: String,
        /// Position in the response's output.
        output_index: u32,
        /// Position in the item's content.
        content_index: u32,
        /// The empty part.
        part: Part,
    },
    /// A part is final.
    #[serde(rename = "response.content_part.done")]
    ContentPartDone {
        /// The response.
        response_id: String,
        /// The item.
        item_id: String,
        /// Position in the response's output.
        output_index: u32,
        /// Position in the item's content.
        content_index: u32,
        /// The whole part.
        part: Part,
    },
    /// More text.
    #[serde(rename = "response.output_text.delta")]
    OutputTextDelta {
        /// The response.
        response_id: String,
        /// The item.
        item_id: String,
        /// Position in the response's output.
        output_index: u32,
        /// Position in the item's content.
        content_index: u32,
        /// Text to append.
        delta: String,
    },
    /// All of the text.
    #[serde(rename = "response.output_text.done")]
    OutputTextDone {
        /// The response.
        response_id: String,
        /// The item.
        item_id: String,
        /// Position in the response's output.
        output_index: u32,
        /// Position in the item's content.
        content_index: u32,
        /// All of it.
        text: String,
    },
    /// More speech.
    #[serde(rename = "response.output_audio.delta")]
    OutputAudioDelta {
        /// The response.
        response_id: String,
        /// The item.
        item_id: String,
        /// Position in the response's output.
        output_index: u32,
        /// Position in the item's content.
        content_index: u32,
        /// Audio in the response's output format, at most 200 ms.
        delta: AudioBytes,
    },
    /// No more speech in this part.
    #[serde(rename = "response.output_audio.done")]
    OutputAudioDone {
        /// The response.
        response_id: String,
        /// The item.
        item_id: String,
        /// Position in the response's output.
        output_index: u32,
        /// Position in the item's content.
        content_index: u32,
    },
    /// More of what is being said.
    #[serde(rename = "response.output_audio_transcript.delta")]
    OutputTranscriptDelta {
        /// The response.
        response_id: String,
        /// The item.
        item_id: String,
        /// Position in the response's output.
        output_index: u32,
        /// Position in the item's content.
        content_index: u32,
        /// Text to append.
        delta: String,
    },
    /// All that was said.
    #[serde(rename = "response.output_audio_transcript.done")]
    OutputTranscriptDone {
        /// The response.
        response_id: String,
        /// The item.
        item_id: String,
        /// Position in the response's output.
        output_index: u32,
        /// Position in the item's content.
        content_index: u32,
        /// All of it.
        transcript: String,
    },
    /// More of the arguments.
    #[serde(rename = "response.function_call_arguments.delta")]
    FunctionArgumentsDelta {
        /// The response.
        response_id: String,
        /// The item.
        item_id: String,
        /// Position in the response's output.
        output_index: u32,
        /// The call.
        call_id: String,
        /// JSON text to append.
        delta: String,
    },
    /// All of the arguments.
    #[serde(rename = "response.function_call_arguments.done")]
    FunctionArgumentsDone {
        /// The response.
        response_id: String,
        /// The item.
        item_id: String,
        /// Position in the response's output.
        output_index: u32,
        /// The call.
        call_id: String,
        /// Function name.
        name: String,
        /// JSON text.
        arguments: String,
    },
    /// What is left of the limits.
    #[serde(rename = "rate_limits.updated")]
    RateLimitsUpdated {
        /// Per limit.
        rate_limits: Vec<RateLimit>,
    },
}

impl ServerEvent {
    /// The `type` string of this event.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Error { .. } => "error",
            Self::SessionCreated { .. } => "session.created",
            Self::SessionUpdated { .. } => "session.updated",
            Self::SessionResumed { .. } => "session.resumed",
            Self::TtsDegraded { .. } => "tts.degraded",
            Self::SpeechPiece { .. } => "speech.piece",
            Self::TranscriptPartial { .. } => "transcript.partial",
            Self::ItemAdded { .. } => "conversation.item.added",
            Self::ItemDone { .. } => "conversation.item.done",
            Self::ItemRetrieved { .. } => "conversation.item.retrieved",
            Self::ItemDeleted { .. } => "conversation.item.deleted",
            Self::ItemTruncated { .. } => "conversation.item.truncated",
            Self::TranscriptionDelta { .. } => "conversation.item.input_audio_transcription.delta",
            Self::TranscriptionCompleted { .. } => {
                "conversation.item.input_audio_transcription.completed"
            }
            Self::TranscriptionFailed { .. } => {
                "conversation.item.input_audio_transcription.failed"
            }
            Self::TranscriptionSegment { .. } => {
                "conversation.item.input_audio_transcription.segment"
            }
            Self::AudioCommitted { .. } => "input_audio_buffer.committed",
            Self::AudioCleared => "input_audio_buffer.cleared",
            Self::SpeechStarted { .. } => "input_audio_buffer.speech_started",
            Self::SpeechStopped { .. } => "input_audio_buffer.speech_stopped",
            Self::TimeoutTriggered { .. } => "input_audio_buffer.timeout_triggered",
            Self::DtmfReceived { .. } => "input_audio_buffer.dtmf_event_received",
            Self::OutputAudioStarted { .. } => "output_audio_buffer.started",
            Self::OutputAudioStopped { .. } => "output_audio_buffer.stopped",
            Self::OutputAudioCleared { .. } => "output_audio_buffer.cleared",
            Self::ResponseCreated { .. } => "response.created",
            Self::ResponseDone { .. } => "response.done",
            Self::OutputItemAdded { .. } => "response.output_item.added",
            Self::OutputItemDone { .. } => "response.output_item.done",
            Self::ContentPartAdded { .. } => "response.content_part.added",
            Self::ContentPartDone { .. } => "response.content_part.done",
            Self::OutputTextDelta { .. } => "response.output_text.delta",
            Self::OutputTextDone { .. } => "response.output_text.done",
            Self::OutputAudioDelta { .. } => "response.output_audio.delta",
            Self::OutputAudioDone { .. } => "response.output_audio.done",
            Self::OutputTranscriptDelta { .. } => "response.output_audio_transcript.delta",
            Self::OutputTranscriptDone { .. } => "response.output_audio_transcript.done",
            Self::FunctionArgumentsDelta { .. } => "response.function_call_arguments.delta",
            Self::FunctionArgumentsDone { .. } => "response.function_call_arguments.done",
            Self::RateLimitsUpdated { .. } => "rate_limits.updated",
        }
    }
}
