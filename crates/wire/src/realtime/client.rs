//! Client events after decoding and checking (spec/realtime §1.2).
//! Made by `decode`, consumed by `engine::session`.
//! Never borrows from the frame: the one hot event, the audio append, has its own path in `fast`.

use bytes::Bytes;

use super::item::ItemBody;
use super::response::CreateResponse;
use super::session::SessionUpdate;

pub mod schema;

/// A client event with the id its errors will answer.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientEvent {
    /// The client's own `event_id`.
    pub event_id: Option<String>,
    /// What it wants.
    pub action: ClientAction,
}

/// Where an item goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Position {
    /// At the end.
    #[default]
    End,
    /// At the head (`"root"`).
    Root,
    /// After this item.
    After(String),
}

/// The eleven client events.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientAction {
    /// `session.update`.
    SessionUpdate(Box<SessionUpdate>),
    /// `input_audio_buffer.append`: raw bytes in the session's input format.
    AudioAppend(Bytes),
    /// `input_audio_buffer.commit`.
    AudioCommit,
    /// `input_audio_buffer.clear`.
    AudioClear,
    /// `conversation.item.create`.
    ItemCreate {
        /// Where.
        position: Position,
        /// The client's id for it.
        id: Option<String>,
        /// What.
        body: ItemBody,
    },
    /// `conversation.item.retrieve`.
    ItemRetrieve {
        /// Which.
        item_id: String,
    },
    /// `conversation.item.truncate`.
    ItemTruncate {
        /// Which.
        item_id: String,
        /// Which part, 0.
        content_index: u32,
        /// Audio kept, in ms.
        audio_end_ms: u64,
    },
    /// `conversation.item.delete`.
    ItemDelete {
        /// Which.
        item_id: String,
    },
    /// `response.create`.
    ResponseCreate(Box<CreateResponse>),
    /// `response.cancel`.
    ResponseCancel {
        /// Which, the running default one when absent.
        response_id: Option<String>,
    },
    /// `output_audio_buffer.clear`.
    OutputAudioClear,
}
