//! The conversation: items in order, their audio, and what of them was heard.
//! Owned by [`super::Session`]; read when a context for the language model is built.
//! Never grows without bound: items and retained audio have limits.

use bytes::Bytes;
use wire::realtime::client::Position;
use wire::realtime::item::{ContentPart, ItemBody, Role};
use wire::realtime::{AudioBytes, Item, ItemStatus};

use crate::audio::Format;
use crate::speech::{Heard, heard_bytes};

/// A stretch of an assistant's speech: so many bytes of transcript took so many ms.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct SpokenPiece {
    /// Bytes of the item's transcript.
    pub(super) text_bytes: usize,
    /// Duration of its audio.
    pub(super) audio_ms: u64,
}

/// How much of an assistant's item the caller heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// All of it, as far as anybody knows.
    Whole,
    /// So many bytes of its transcript, by the paced clock.
    Heard(usize),
    /// What is left of it: the client said so.
    Truncated,
}

/// An item with what the wire does not show.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// As on the wire, without audio.
    pub(super) item: Item,
    /// Audio, as far as it is retained.
    pub(super) audio: Bytes,
    /// Encoding of the audio.
    pub(super) format: Format,
    /// Duration of the audio, retained or not.
    pub(super) audio_ms: u64,
    /// Alignment of an assistant's transcript with its audio.
    pub(super) pieces: Vec<SpokenPiece>,
    /// How much of it was heard.
    pub(super) cut: Cut,
    /// Whether a transcript is on its way.
    pub(super) transcript_pending: bool,
    /// The model's own id of a call that the server ran: the client does not know of such an item.
    pub(super) server_call: Option<String>,
    /// The reply that it is part of, while that can be told to a model.
    pub(super) reply: Option<u64>,
}

impl Entry {
    /// An item without audio.
    pub(super) fn new(item: Item) -> Self {
        Self {
            item,
            audio: Bytes::new(),
            format: Format::default(),
            audio_ms: 0,
            pieces: Vec::new(),
            cut: Cut::Whole,
            transcript_pending: false,
            server_call: None,
            reply: None,
        }
    }

    /// Whether the client does not know of it.
    pub(super) fn is_hidden(&self) -> bool {
        self.server_call.is_some()
    }

    /// The item with its audio, for `conversation.item.retrieved`.
    pub(super) fn with_audio(&self) -> Item {
        let mut item = self.item.clone();
        if !self.audio.is_empty()
            && let ItemBody::Message { content, .. } = &mut item.body
        {
            for part in content {
                if let ContentPart::InputAudio { audio, .. }
                | ContentPart::OutputAudio { audio, .. } = part
                {
                    *audio = Some(AudioBytes(self.audio.clone()));
                    break;
                }
            }
        }
        item
    }

    /// Whether this is an assistant's message with speech.
    pub(super) fn is_assistant_audio(&self) -> bool {
        matches!(&self.item.body, ItemBody::Message { role: Role::Assistant, content }
            if content.iter().any(|part| matches!(part, ContentPart::OutputAudio { .. })))
    }

    /// Bytes of the transcript heard after `audio_end_ms` of playback, at a word boundary.
    pub(super) fn heard_after(&self, audio_end_ms: u64) -> usize {
        let transcript = self.transcript().unwrap_or_default();
        let mut heard = Vec::with_capacity(self.pieces.len());
        let mut from = 0;
        for piece in &self.pieces {
            let to = (from + piece.text_bytes).min(transcript.len());
            let Some(text) = transcript.get(from..to) else {
                break;
            };
            heard.push(Heard {
                text,
                duration_ms: piece.audio_ms,
            });
            from = to;
        }
        heard_bytes(&heard, audio_end_ms)
    }

    /// The transcript of the first audio part.
    pub(super) fn transcript(&self) -> Option<&str> {
        let ItemBody::Message { content, .. } = &self.item.body else {
            return None;
        };
        content.iter().find_map(|part| match part {
            ContentPart::InputAudio { transcript, .. }
            | ContentPart::OutputAudio { transcript, .. } => transcript.as_deref(),
            _ => None,
        })
    }

    /// Shows the transcript of a message that is still being spoken.
    pub(super) fn set_running_transcript(&mut self, text: &str) {
        if let ItemBody::Message { content, .. } = &mut self.item.body
            && content.is_empty()
        {
            content.push(ContentPart::OutputAudio {
                audio: None,
                transcript: None,
            });
        }
        self.set_transcript(text.to_owned());
    }

    /// Whether a client has truncated it: its content is final then.
    pub(super) fn is_truncated(&self) -> bool {
        self.cut == Cut::Truncated
    }

    /// Replaces the transcript of the first audio part.
    pub(super) fn set_transcript(&mut self, text: String) {
        let ItemBody::Message { content, .. } = &mut self.item.body else {
            return;
        };
        for part in content {
            if let ContentPart::InputAudio { transcript, .. }
            | ContentPart::OutputAudio { transcript, .. } = part
            {
                *transcript = Some(text);
                return;
            }
        }
    }
}

/// Why an item could not be inserted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum InsertError {
    /// The id is taken.
    Duplicate,
    /// `previous_item_id` names no item; the id that was asked for.
    UnknownPrevious(String),
}

/// The default conversation.
#[derive(Debug)]
pub(super) struct Conversation {
    entries: Vec<Entry>,
    retained_bytes: usize,
    max_retained_bytes: usize,
    max_items: usize,
}

impl Conversation {
    /// Empty; keeps at most `max_retained_bytes` of audio and `max_items` items, newest first.
    pub(super) fn new(max_retained_bytes: usize, max_items: usize) -> Self {
        Self {
            entries: Vec::new(),
            retained_bytes: 0,
            max_retained_bytes,
            max_items,
        }
    }

    /// Items in order.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Items in order, to be changed in place; what they take must stay the same.
    pub(super) fn entries_mut(&mut self) -> &mut [Entry] {
        &mut self.entries
    }

    /// Position of an item; recent ones are found first.
    pub(super) fn position(&self, id: &str) -> Option<usize> {
        self.entries.iter().rposition(|entry| entry.item.id == id)
    }

    /// An item by id.
    pub(super) fn get(&self, id: &str) -> Option<&Entry> {
        self.position(id).map(|at| &self.entries[at])
    }

    /// An item by id.
    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Entry> {
        self.position(id).map(|at| &mut self.entries[at])
    }

    /// Id of the item before `id`.
    pub(super) fn previous_of(&self, id: &str) -> Option<String> {
        let before = &self.entries[..self.position(id)?];
        let known = before.iter().rfind(|entry| !entry.is_hidden())?;
        Some(known.item.id.clone())
    }

    /// Id of the item after `id`.
    pub(super) fn next_of(&self, id: &str) -> Option<String> {
        let next = self.entries.get(self.position(id)? + 1)?;
        Some(next.item.id.clone())
    }

    /// Inserts an item and returns the id of the one before it; the oldest are forgotten beyond the limit.
    ///
    /// # Errors
    /// A taken id or an unknown predecessor; nothing is inserted then.
    pub(super) fn insert(
        &mut self,
        entry: Entry,
        position: &Position,
    ) -> Result<Option<String>, InsertError> {
        if self.position(&entry.item.id).is_some() {
            return Err(InsertError::Duplicate);
        }
        let at = match position {
            Position::End => self.entries.len(),
            Position::Root => 0,
            Position::After(id) => {
                let previous = self.position(id);
                previous.ok_or_else(|| InsertError::UnknownPrevious(id.clone()))? + 1
            }
        };
        Ok(self.place(entry, at))
    }

    /// Appends an item whose id we made, and returns the id of the one before it.
    pub(super) fn push(&mut self, entry: Entry) -> Option<String> {
        self.place(entry, self.entries.len())
    }

    /// Puts an item before the one at `position`, or at the end.
    pub(super) fn push_before(&mut self, entry: Entry, position: Option<usize>) {
        self.place(entry, position.unwrap_or(self.entries.len()));
    }

    fn place(&mut self, entry: Entry, at: usize) -> Option<String> {
        let known = self.entries[..at].iter().rfind(|entry| !entry.is_hidden());
        let previous = known.map(|entry| entry.item.id.clone());
        self.retained_bytes += entry.audio.len();
        self.entries.insert(at, entry);
        self.forget_old_items(at);
        self.forget_old_audio();
        previous
    }

    /// Forgets the oldest items beyond the limit, but neither the one just placed nor one that is being written.
    fn forget_old_items(&mut self, mut placed: usize) {
        while self.entries.len() > self.max_items {
            let oldest = (0..self.entries.len()).find(|at| {
                *at != placed && self.entries[*at].item.status != Some(ItemStatus::InProgress)
            });
            let Some(oldest) = oldest else { return };
            self.retained_bytes -= self.entries.remove(oldest).audio.len();
            if oldest < placed {
                placed -= 1;
            }
        }
    }

    /// Sets the audio of an item.
    pub(super) fn set_audio(&mut self, id: &str, audio: Bytes, audio_ms: u64) {
        if let Some(at) = self.position(id) {
            let entry = &mut self.entries[at];
            self.retained_bytes = self.retained_bytes + audio.len() - entry.audio.len();
            entry.audio = audio;
            entry.audio_ms = audio_ms;
            self.forget_old_audio();
        }
    }

    /// Removes what belongs to an item without the client's knowledge: the calls of the server that led to it; all of
    /// them, where it is the last item that the client knows.
    pub(super) fn remove_hidden_before(&mut self, id: &str) {
        let Some(at) = self.position(id) else { return };
        let first = self.entries[..at]
            .iter()
            .rposition(|entry| !entry.is_hidden());
        self.entries.drain(first.map_or(0, |known| known + 1)..at);
        if self
            .entries
            .iter()
            .filter(|entry| !entry.is_hidden())
            .count()
            == 1
        {
            self.entries.retain(|entry| !entry.is_hidden());
        }
    }

    /// Removes an item.
    pub(super) fn remove(&mut self, id: &str) -> Option<Entry> {
        let entry = self.entries.remove(self.position(id)?);
        self.retained_bytes -= entry.audio.len();
        Some(entry)
    }

    fn forget_old_audio(&mut self) {
        let mut at = 0;
        while self.retained_bytes > self.max_retained_bytes && at < self.entries.len() {
            self.retained_bytes -= self.entries[at].audio.len();
            self.entries[at].audio = Bytes::new();
            at += 1;
        }
    }
}
