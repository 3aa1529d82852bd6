//! The client edits the conversation: create, retrieve, delete.
//! Entered by client events; truncation is in `barge_in`.
//! Never changes anything when it answers with an error.

use bytes::Bytes;
use wire::realtime::client::Position;
use wire::realtime::item::{ContentPart, ItemBody, Role};
use wire::realtime::{ErrorBody, Item, ItemStatus, ServerEvent};

use super::Session;
use super::items::{Entry, InsertError};
use super::output::Output;
use crate::audio::Decoder;

impl Session {
    /// `conversation.item.create`.
    pub(super) fn create_item(
        &mut self,
        position: &Position,
        id: Option<String>,
        mut body: ItemBody,
        out: &mut Vec<Output>,
    ) -> Result<(), ErrorBody> {
        let audio = take_audio(&mut body)?;
        let id = id.unwrap_or_else(|| self.ids.next("item"));
        let mut entry = Entry::new(Item::new(id.clone(), ItemStatus::Completed, body));
        let needs_transcript = audio.is_some() && entry.transcript().is_none();
        if let Some(audio) = &audio {
            entry.format = self.input_format();
            entry.audio_ms = entry.format.duration_ms(audio.len() as u64);
            entry.audio = audio.clone();
            entry.transcript_pending = needs_transcript && !self.is_duplex();
        }
        self.tell_item(&entry, position);
        let item = entry.item.clone();
        let previous_item_id =
            self.conversation
                .insert(entry, position)
                .map_err(|error| {
                    match error {
                InsertError::Duplicate => ErrorBody::invalid(
                    "item_create_duplicate_item_id",
                    format!("Error adding item: an item with id '{id}' already exists."),
                )
                .at("item.id"),
                InsertError::UnknownPrevious(previous) => ErrorBody::invalid(
                    "item_create_invalid_previous_item_id",
                    format!(
                        "Error adding item: the previous item with id '{previous}' does not exist."
                    ),
                )
                .at("previous_item_id"),
            }
                })?;
        out.push(Output::Send(ServerEvent::ItemAdded {
            item: item.clone(),
            previous_item_id: previous_item_id.clone(),
        }));
        out.push(Output::Send(ServerEvent::ItemDone {
            item,
            previous_item_id,
        }));
        if let Some(audio) = audio.filter(|_| needs_transcript && !self.is_duplex()) {
            let mut samples = Vec::new();
            let mut decoder = Decoder::new(self.input_format());
            decoder.push(&audio, &mut samples);
            decoder.flush(&mut samples);
            self.transcribe_item(id, &samples, out);
        }
        Ok(())
    }

    /// `conversation.item.retrieve`.
    pub(super) fn retrieve_item(
        &mut self,
        item_id: &str,
        out: &mut Vec<Output>,
    ) -> Result<(), ErrorBody> {
        let Some(entry) = self.conversation.get(item_id) else {
            return Err(unknown_item("retrieve", "retrieving", item_id));
        };
        out.push(Output::Send(ServerEvent::ItemRetrieved {
            item: entry.with_audio(),
        }));
        Ok(())
    }

    /// `conversation.item.delete`.
    pub(super) fn delete_item(
        &mut self,
        item_id: &str,
        out: &mut Vec<Output>,
    ) -> Result<(), ErrorBody> {
        let next = self.conversation.next_of(item_id);
        self.conversation.remove_hidden_before(item_id);
        if self.conversation.remove(item_id).is_none() {
            return Err(unknown_item("delete", "deleting", item_id));
        }
        if self.reads_from.as_deref() == Some(item_id) {
            self.reads_from = next;
        }
        self.forget_told();
        out.push(Output::Send(ServerEvent::ItemDeleted {
            item_id: item_id.to_owned(),
        }));
        // a reply that waited for this item's transcript need not wait any more
        self.wake_waiting(out);
        Ok(())
    }
}

fn unknown_item(verb: &str, doing: &str, item_id: &str) -> ErrorBody {
    ErrorBody::invalid(
        &format!("item_{verb}_invalid_item_id"),
        format!("Error {doing} item: the item with id '{item_id}' does not exist."),
    )
    .at("item_id")
}

/// Moves the audio of a user message out of its body; the wire shows it in `retrieved` only.
fn take_audio(body: &mut ItemBody) -> Result<Option<Bytes>, ErrorBody> {
    let ItemBody::Message { role, content } = body else {
        return Ok(None);
    };
    let mut taken = None;
    for part in content {
        match part {
            ContentPart::InputAudio { audio, .. } => {
                if let Some(audio) = audio.take() {
                    taken = Some(audio.0);
                }
            }
            ContentPart::OutputAudio { .. } => {
                return Err(ErrorBody::invalid(
                    "invalid_value",
                    "Assistant audio cannot be created by a client: send output_text instead.",
                )
                .at("item.content"));
            }
            _ => {}
        }
    }
    Ok(taken.filter(|_| *role == Role::User))
}
