//! From a text frame to a checked client event (spec/realtime §1.1, §1.2, §1.10).
//! Called by the realtime edge for everything but the audio append, which `fast` reads first.
//! Never keeps state and never panics, whatever the text is: the fuzzer holds it to that.

pub(crate) mod fields;
mod item;
mod large;
mod response;
mod session;

pub(crate) use session::voice;

#[cfg(test)]
mod tests;

use serde_json::Value;

use super::ErrorBody;
use super::client::{ClientAction, ClientEvent, Position};
use fields::{At, Fields, Read, invalid, unsupported};

/// Most bytes of audio in one `input_audio_buffer.append`: 15 MiB after base64 (spec/realtime §1.2).
pub const MAX_APPEND_BYTES: usize = 15 * 1024 * 1024;

/// Longest event other than an append, in bytes of JSON: parsed, JSON takes a multiple of its length.
/// The hosted service documents no such limit; a picture or a prompt of this size is beyond what models read.
pub const MAX_EVENT_BYTES: usize = 4 * 1024 * 1024;

/// Longest `event_id` a client may choose, in characters (spec/realtime §1.1).
pub const MAX_EVENT_ID: usize = 512;

/// The client event types in the order in which the error for an unknown one lists them.
pub const CLIENT_EVENT_TYPES: [&str; 11] = [
    "session.update",
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "conversation.item.create",
    "conversation.item.retrieve",
    "conversation.item.truncate",
    "conversation.item.delete",
    "response.create",
    "response.cancel",
    "output_audio_buffer.clear",
];

/// A frame that is not a client event; `error` is ready to be sent, its `event_id` filled when the
/// event had one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// What to tell the client.
    pub error: ErrorBody,
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.error.message)
    }
}

impl std::error::Error for DecodeError {}

impl From<ErrorBody> for DecodeError {
    fn from(error: ErrorBody) -> Self {
        Self { error }
    }
}

/// Reads one text frame. The errors carry the codes `invalid_json`, `invalid_event`,
/// `invalid_value`, `unknown_parameter` or `missing_required_parameter`, and the path of the parameter.
pub fn client_event(text: &str) -> Result<ClientEvent, DecodeError> {
    let value = serde_json::from_str(text).map_err(|error| not_json(&error))?;
    client_value(&value)
}

/// Refuses `text` when it is longer than [`MAX_EVENT_BYTES`] and no append. Costs no memory to speak of, so that
/// edges ask before anything is parsed into a value.
///
/// # Errors
/// `event_too_large`, answering the event's id where it has one.
pub fn check_size(text: &str) -> Result<(), DecodeError> {
    if text.len() <= MAX_EVENT_BYTES || large::is_append(text) {
        return Ok(());
    }
    let message = format!(
        "The event has {} bytes of JSON and may have {MAX_EVENT_BYTES}; only input_audio_buffer.append may be longer.",
        text.len()
    );
    let event_id = large::event_id(text).filter(|id| id.chars().count() <= MAX_EVENT_ID);
    Err(ErrorBody::invalid("event_too_large", message)
        .answering(event_id)
        .into())
}

/// Reads one parsed event: the way in for the beta shape, which is translated as a value.
pub fn client_value(value: &Value) -> Result<ClientEvent, DecodeError> {
    let Ok(event) = At::new(value, "").object() else {
        return Err(invalid_event("The event must be a JSON object.").into());
    };
    let event_id = event
        .raw()
        .get("event_id")
        .and_then(Value::as_str)
        .filter(|id| id.chars().count() <= MAX_EVENT_ID)
        .map(str::to_owned);
    check_event_id(&event)
        .and_then(|()| action(&event))
        .map(|action| ClientEvent {
            event_id: event_id.clone(),
            action,
        })
        .map_err(|error| error.answering(event_id).into())
}

/// Reads a `session` object from anywhere else: `client_secrets`, `calls`. `path` is where it
/// stands, so that the error names the parameter (`session`, usually).
pub fn session_update(
    value: &Value,
    path: &str,
) -> Result<super::session::SessionUpdate, DecodeError> {
    Ok(session::update(At::new(value, path))?)
}

/// The answer to a binary frame.
pub fn binary_frame() -> DecodeError {
    invalid_event("Binary frames are not supported: send each event as a JSON text frame.").into()
}

/// The answer to text that is not JSON.
pub fn not_json(error: &serde_json::Error) -> DecodeError {
    let message = format!("Could not parse the event as JSON: {error}.");
    ErrorBody::invalid("invalid_json", message).into()
}

fn invalid_event(message: &str) -> ErrorBody {
    ErrorBody::invalid("invalid_event", message)
}

fn check_event_id(event: &Fields<'_>) -> Read<()> {
    let Some(at) = event.get("event_id") else {
        return Ok(());
    };
    let length = at.text()?.chars().count();
    if length <= MAX_EVENT_ID {
        return Ok(());
    }
    let message = format!(
        "Invalid 'event_id': expected at most {MAX_EVENT_ID} characters, but got {length}."
    );
    Err(invalid("event_id", message))
}

fn action(event: &Fields<'_>) -> Read<ClientAction> {
    let Some(kind) = event.get("type") else {
        return Err(invalid_event("Missing required parameter: 'type'.").at("type"));
    };
    let kind = kind.text()?;
    let only = |keys: &[&str]| event.only(&[&["type", "event_id"], keys]);
    match kind {
        "session.update" => {
            only(&["session"])?;
            let update = event.need("session", session::update)?;
            Ok(ClientAction::SessionUpdate(Box::new(update)))
        }
        "input_audio_buffer.append" => {
            only(&["audio"])?;
            event.need("audio", append).map(ClientAction::AudioAppend)
        }
        "input_audio_buffer.commit" => only(&[]).map(|()| ClientAction::AudioCommit),
        "input_audio_buffer.clear" => only(&[]).map(|()| ClientAction::AudioClear),
        "conversation.item.create" => {
            only(&["item", "previous_item_id"])?;
            let position = match event.read("previous_item_id", At::string)? {
                None => Position::End,
                Some(id) if id == "root" => Position::Root,
                Some(id) => Position::After(id),
            };
            let (id, body) = event.need("item", item::body)?;
            Ok(ClientAction::ItemCreate { position, id, body })
        }
        "conversation.item.retrieve" => {
            only(&["item_id"])?;
            let item_id = event.need("item_id", At::string)?;
            Ok(ClientAction::ItemRetrieve { item_id })
        }
        "conversation.item.truncate" => {
            only(&["item_id", "content_index", "audio_end_ms"])?;
            Ok(ClientAction::ItemTruncate {
                item_id: event.need("item_id", At::string)?,
                content_index: event.need("content_index", At::small_integer)?,
                audio_end_ms: event.need("audio_end_ms", At::integer)?,
            })
        }
        "conversation.item.delete" => {
            only(&["item_id"])?;
            let item_id = event.need("item_id", At::string)?;
            Ok(ClientAction::ItemDelete { item_id })
        }
        "response.create" => {
            only(&["response"])?;
            let response = event.read("response", response::create)?;
            Ok(ClientAction::ResponseCreate(Box::new(
                response.unwrap_or_default(),
            )))
        }
        "response.cancel" => {
            only(&["response_id"])?;
            let response_id = event.read("response_id", At::string)?;
            Ok(ClientAction::ResponseCancel { response_id })
        }
        "output_audio_buffer.clear" => only(&[]).map(|()| ClientAction::OutputAudioClear),
        other => Err(unsupported("type", other, CLIENT_EVENT_TYPES)),
    }
}

fn append(at: At<'_>) -> Read<bytes::Bytes> {
    let text = at.text()?;
    let length = decoded_len(text);
    if length > MAX_APPEND_BYTES {
        return Err(too_large(length));
    }
    at.base64()
}

/// How many bytes the padded base64 `text` stands for.
pub(super) fn decoded_len(text: &str) -> usize {
    let padding = text.bytes().rev().take(2).filter(|b| *b == b'=').count();
    (text.len() / 4 * 3).saturating_sub(padding)
}

/// The error for an append of `length` bytes, more than [`MAX_APPEND_BYTES`].
fn too_large(length: usize) -> ErrorBody {
    let message = format!(
        "Invalid 'audio': one event may carry at most {MAX_APPEND_BYTES} bytes of audio, but got {length}."
    );
    invalid("audio", message)
}
