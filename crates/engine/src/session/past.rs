//! A conversation that goes on after its connection was lost: what is remembered, and how what was cut off is closed.
//! Used by the session actor when a client goes and when it comes back, perhaps to another process.
//! Never remembers sound: what was said is there in words.

use wire::realtime::response::{
    Metadata, Response, ResponseAudio, ResponseAudioOutput, ResponseStatus, StatusDetails, Usage,
};
use wire::realtime::{Item, ItemStatus, ServerEvent};

use super::input::ReplyId;
use super::items::Entry;
use super::output::Output;
use super::respond::End;
use super::unanswered::Owed;
use super::{Phase, Session};

/// Why a response is incomplete whose client had gone.
const LOST: &str = "connection_lost";

/// What a conversation needs to go on.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Past {
    /// `conv_…`.
    pub conversation_id: String,
    /// Responses of the conversation that have begun.
    pub turns: u32,
    /// What was said, in order.
    pub items: Vec<Item>,
    /// Responses that had begun, and of whose end the client knows nothing.
    pub open: Vec<OpenResponse>,
}

/// A response that was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenResponse {
    /// `resp_…`.
    pub id: String,
    /// The conversation that it was writing to, where it was.
    pub conversation_id: Option<String>,
    /// As the client gave it.
    pub metadata: Option<Metadata>,
}

impl Session {
    /// Goes on from `past`; before [`Session::start`]. Nobody is greeted twice.
    pub fn recall(&mut self, past: Past) {
        self.conversation_id = past.conversation_id;
        self.turns = past.turns;
        self.greets_at_ms = None;
        for item in past.items {
            self.conversation.push(Entry::new(item));
        }
        self.interrupted = past.open;
    }

    /// The conversation's id, `conv_…`, and how many of its responses have begun.
    pub fn so_far(&self) -> (&str, u32) {
        (&self.conversation_id, self.turns)
    }

    /// The client has gone and may come back: responses end as they are. Nothing is taken after that.
    pub fn part(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        self.now_ms = self.now_ms.max(now_ms);
        self.drop_speculation(out);
        self.owed = Owed::Nothing;
        self.utterances.clear();
        let open: Vec<ReplyId> = self.replies.iter().map(|reply| reply.id).collect();
        for id in open {
            self.finish(id, End::Incomplete(LOST), out);
        }
        self.phase = Phase::Closed;
    }

    /// Closes what a process that died has left open.
    pub(super) fn close_interrupted(&mut self, out: &mut Vec<Output>) {
        let mut cut_off = Vec::new();
        for entry in self.conversation.entries_mut() {
            if entry.item.status == Some(ItemStatus::InProgress) {
                entry.item.status = Some(ItemStatus::Incomplete);
                cut_off.push(entry.item.clone());
            }
        }
        for item in &cut_off {
            out.push(Output::Send(ServerEvent::ItemDone {
                item: item.clone(),
                previous_item_id: self.conversation.previous_of(&item.id),
            }));
        }
        for open in std::mem::take(&mut self.interrupted) {
            let written = if open.conversation_id.is_some() {
                std::mem::take(&mut cut_off)
            } else {
                Vec::new()
            };
            let response = self.interrupted_response(open, written);
            out.push(Output::Send(ServerEvent::ResponseDone {
                response: Box::new(response),
            }));
        }
    }

    /// A response of which only its beginning is known; with the settings of now for what is not.
    fn interrupted_response(&self, open: OpenResponse, output: Vec<Item>) -> Response {
        let settings = &self.settings;
        Response {
            object: "realtime.response",
            id: open.id,
            status: ResponseStatus::Incomplete,
            status_details: Some(StatusDetails {
                kind: ResponseStatus::Incomplete,
                reason: Some(LOST.to_owned()),
                error: None,
            }),
            output,
            conversation_id: open.conversation_id,
            output_modalities: settings.output_modalities,
            max_output_tokens: settings.max_output_tokens,
            audio: ResponseAudio {
                output: ResponseAudioOutput {
                    format: settings.output.format,
                    voice: settings.output.voice.clone(),
                },
            },
            usage: Some(Usage::default()),
            metadata: open.metadata,
        }
    }
}
