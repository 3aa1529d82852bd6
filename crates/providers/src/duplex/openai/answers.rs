//! The answers that are under way, and what the ended ones said: by the session's number and the server's id.
//! Kept by the conversation.
//! Never grows beyond what one call has under way, and the last [`REMEMBERED`] that were spoken.

use std::collections::VecDeque;

use engine::{ask::DuplexReply, session::ReplyId};

use super::write;
use crate::duplex::sound::Whole;

/// Answers whose items are remembered: the caller can only just have heard them.
const REMEMBERED: usize = 16;

/// An answer that was asked for and has not ended.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) reply: ReplyId,
    /// As it was asked for: it may have to be asked again.
    pub(super) wanted: Box<DuplexReply>,
    pub(super) event_id: String,
    /// The server's id, once it is known.
    pub(super) response: Option<String>,
    /// Its end is waited for, nothing else.
    pub(super) cancelled: bool,
    /// Bytes that have come of the arguments of the call that began last.
    pub(super) argument_bytes: usize,
    pub(super) whole: Whole,
}

/// What an answer said: its message items with the bytes of audio that came of each.
#[derive(Debug)]
struct Spoken {
    reply: ReplyId,
    items: Vec<(String, u64)>,
}

#[derive(Debug, Default)]
pub(super) struct Answers {
    under_way: Vec<Answer>,
    spoken: VecDeque<Spoken>,
    asked: u64,
    /// Whether the server's conversation has speech of its own in it.
    has_spoken: bool,
}

impl Answers {
    /// Whether any is under way.
    pub(super) fn any(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Whether one is under way that writes to the conversation: there can be no second.
    pub(super) fn conversation_is_busy(&self) -> bool {
        let mut under_way = self.under_way.iter();
        under_way.any(|answer| answer.wanted.apart.is_none())
    }

    /// Takes note of an answer that is asked for; the event that asks.
    pub(super) fn ask(&mut self, reply: ReplyId, wanted: Box<DuplexReply>) -> String {
        self.asked += 1;
        let event_id = format!("reply-{}", self.asked);
        let event = write::response(&event_id, reply, &wanted);
        self.under_way.push(Answer {
            reply,
            wanted,
            event_id,
            response: None,
            cancelled: false,
            argument_bytes: 0,
            whole: Whole::default(),
        });
        event
    }

    /// The answer that the server has begun: the one whose number came back, or else the first without an id.
    pub(super) fn begun(&mut self, response: &str, number: Option<ReplyId>) -> Option<&mut Answer> {
        let waits = |answer: &Answer| answer.response.is_none();
        let numbered = |answer: &Answer| waits(answer) && Some(answer.reply) == number;
        let place = self.under_way.iter().position(numbered);
        let place = place.or_else(|| match number {
            None => self.under_way.iter().position(waits),
            Some(_) => None,
        })?;
        let answer = self.under_way.get_mut(place)?;
        answer.response = Some(response.to_owned());
        Some(answer)
    }

    pub(super) fn of_reply(&mut self, reply: ReplyId) -> Option<&mut Answer> {
        let mut under_way = self.under_way.iter_mut();
        under_way.find(|answer| answer.reply == reply)
    }

    pub(super) fn of_response(&mut self, response: &str) -> Option<&mut Answer> {
        let mut under_way = self.under_way.iter_mut();
        under_way.find(|answer| answer.response.as_deref() == Some(response))
    }

    /// Takes the answer out whose response has ended.
    pub(super) fn ended(&mut self, response: &str) -> Option<Answer> {
        self.remove(|answer| answer.response.as_deref() == Some(response))
    }

    /// Takes the answer out whose question was refused.
    pub(super) fn refused(&mut self, event_id: &str) -> Option<Answer> {
        self.remove(|answer| answer.event_id == event_id)
    }

    fn remove(&mut self, found: impl Fn(&Answer) -> bool) -> Option<Answer> {
        let place = self.under_way.iter().position(found)?;
        Some(self.under_way.remove(place))
    }

    /// A message item of an answer, and bytes of audio that came of it.
    pub(super) fn spoke(&mut self, reply: ReplyId, item: &str, bytes: u64) {
        self.has_spoken |= bytes > 0;
        if self.spoken.back().is_none_or(|last| last.reply != reply) {
            let known = self.spoken.iter().position(|spoken| spoken.reply == reply);
            let spoken = known.and_then(|place| self.spoken.remove(place));
            self.spoken.push_back(spoken.unwrap_or_else(|| Spoken {
                reply,
                items: Vec::new(),
            }));
        }
        if self.spoken.len() > REMEMBERED {
            self.spoken.pop_front();
        }
        let Some(last) = self.spoken.back_mut() else {
            return;
        };
        match last.items.iter_mut().find(|(id, _)| id == item) {
            Some((_, sent)) => *sent += bytes,
            None => last.items.push((item.to_owned(), bytes)),
        }
    }

    /// The items of an answer with the bytes of audio that came of each, in order.
    pub(super) fn items(&self, reply: ReplyId) -> &[(String, u64)] {
        let mut spoken = self.spoken.iter();
        let spoken = spoken.find(|spoken| spoken.reply == reply);
        spoken.map_or(&[], |spoken| &spoken.items)
    }

    /// Whether the server's conversation has speech of its own in it.
    pub(super) fn any_spoken(&self) -> bool {
        self.has_spoken
    }
}
