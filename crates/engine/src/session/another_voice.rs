//! Events of ours for clients that asked for them: another voice speaks, a piece was spoken whole, what is heard so far.
//! Noted where providers tell it, shown with whatever else of the reply becomes visible.
//! Never shown of a reply that the client does not see, and never an error: the reply goes on.

use wire::realtime::ServerEvent;
use wire::realtime::extra::{ExtraEvent, ExtraEvents};

use super::Session;
use super::input::UtteranceId;
use super::output::Output;
use super::reply::{Message, Reply};
use crate::ask::AnotherVoice;

/// Who speaks a reply.
#[derive(Debug, Default)]
pub(super) enum Voice {
    /// Whoever was asked to.
    #[default]
    Own,
    /// Another, which the client was not told.
    Another(Box<AnotherVoice>),
    /// Another, and the client knows.
    Told,
}

impl Voice {
    /// Another voice speaks from here on; a further one is not told.
    pub(super) fn change(&mut self, voice: Box<AnotherVoice>) {
        if matches!(self, Self::Own) {
            *self = Self::Another(voice);
        }
    }

    fn untold(&mut self) -> Option<Box<AnotherVoice>> {
        match std::mem::take(self) {
            Self::Own => None,
            Self::Another(voice) => {
                *self = Self::Told;
                Some(voice)
            }
            Self::Told => {
                *self = Self::Told;
                None
            }
        }
    }
}

impl Session {
    /// From now on the client is told of these as well.
    pub fn tell_also(&mut self, extras: ExtraEvents) {
        self.extras = extras;
    }

    pub(super) fn show_another_voice(&self, reply: &mut Reply, out: &mut Vec<Output>) {
        let Some(voice) = reply.voice.untold() else {
            return;
        };
        if !self.extras.has(ExtraEvent::TtsDegraded) {
            return;
        }
        let item_id = match &reply.message {
            Message::Open(item_id, _) => Some(item_id.clone()),
            _ => None,
        };
        let AnotherVoice { from, to, reason } = *voice;
        out.push(Output::Send(ServerEvent::TtsDegraded {
            response_id: reply.response.id.clone(),
            item_id,
            from,
            to,
            reason,
        }));
    }

    /// What was spoken whole, behind its sound.
    pub(super) fn show_piece(&self, reply: &mut Reply, out: &mut Vec<Output>) {
        let Message::Open(item_id, _) = &reply.message else {
            return;
        };
        if !self.extras.has(ExtraEvent::SpeechPiece) {
            return;
        }
        let item_id = item_id.clone();
        if let Some(text) = reply.take_spoken() {
            out.push(Output::Send(ServerEvent::SpeechPiece {
                response_id: reply.response.id.clone(),
                item_id,
                text,
            }));
        }
    }

    /// What transcription hears at present of an utterance that is not over.
    pub(super) fn show_partial(&self, id: UtteranceId, text: &str, out: &mut Vec<Output>) {
        let open = self.current_utterance().filter(|open| open.id == id);
        if let Some(utterance) = open
            && self.extras.has(ExtraEvent::TranscriptPartial)
            && !text.trim().is_empty()
        {
            out.push(Output::Send(ServerEvent::TranscriptPartial {
                item_id: utterance.item_id.clone(),
                text: text.to_owned(),
            }));
        }
    }
}
