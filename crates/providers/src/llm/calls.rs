//! Puts the function calls of an answer in order.
//! Fed by the vendors whose calls come in parts.
//! Never reorders parts of one call: events have room for one call at a time, others wait behind it, as many as a model
//! may mean.

use std::collections::BTreeMap;

use super::reading::{BadEvent, EVENT_BYTES};
use crate::ports::LlmEvent;

/// Calls that may wait.
const WAITING_CALLS: usize = 128;

/// Calls as far as they have come.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// The call whose arguments are handed on as they come.
    live: Option<Live>,
    /// Calls behind it, by index.
    waiting: BTreeMap<u64, Call>,
    /// Bytes of them.
    waiting_bytes: usize,
}

#[derive(Debug)]
struct Live {
    index: u64,
    /// Whether any part of its arguments has come.
    argued: bool,
}

/// What an event says of a call; parts that it does not mention are empty.
#[derive(Debug, Default)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    /// JSON text to append.
    pub(super) arguments: String,
    /// Whether nothing more of it will come.
    pub(super) ended: bool,
}

impl Call {
    fn bytes(&self) -> usize {
        self.id.len() + self.name.len() + self.arguments.len()
    }
}

impl Calls {
    /// Takes what has come of the call at `index`.
    ///
    /// Errors: [`BadEvent::Malformed`] for more than can wait.
    pub(super) fn take(
        &mut self,
        index: u64,
        part: Call,
        events: &mut Vec<LlmEvent>,
    ) -> Result<(), BadEvent> {
        let says_nothing = part.name.is_empty() && part.arguments.is_empty();
        match &mut self.live {
            Some(live) if live.index == index => {
                live.argue(part.arguments, events);
                if part.ended {
                    self.next(events);
                }
            }
            None if !part.name.is_empty() => {
                let ended = part.ended;
                self.begin(index, part, events);
                if ended {
                    self.next(events);
                }
            }
            _ if says_nothing && !self.waiting.contains_key(&index) => {}
            _ => return self.wait(index, part),
        }
        Ok(())
    }

    fn wait(&mut self, index: u64, part: Call) -> Result<(), BadEvent> {
        let crowded = self.waiting.len() >= WAITING_CALLS && !self.waiting.contains_key(&index);
        if crowded || self.waiting_bytes + part.bytes() > EVENT_BYTES {
            return Err(BadEvent::Malformed);
        }
        let waiting = self.waiting.entry(index).or_default();
        self.waiting_bytes -= waiting.bytes();
        if waiting.id.is_empty() {
            waiting.id = part.id;
        }
        if waiting.name.is_empty() {
            waiting.name = part.name;
        }
        waiting.arguments.push_str(&part.arguments);
        waiting.ended |= part.ended;
        self.waiting_bytes += waiting.bytes();
        Ok(())
    }

    /// The index of the call that began last.
    pub(super) fn last(&self) -> Option<u64> {
        let waiting = self.waiting.keys().next_back().copied();
        waiting.max(self.live.as_ref().map(|live| live.index))
    }

    /// Hands on everything that is left.
    pub(super) fn end(&mut self, events: &mut Vec<LlmEvent>) {
        for call in self.waiting.values_mut() {
            call.ended = true;
        }
        self.next(events);
    }

    fn begin(&mut self, index: u64, call: Call, events: &mut Vec<LlmEvent>) {
        events.push(LlmEvent::ToolCall {
            call_id: call.id,
            name: call.name,
        });
        let mut live = Live {
            index,
            argued: false,
        };
        live.argue(call.arguments, events);
        self.live = Some(live);
    }

    /// Ends the live call and lets the next one be live.
    fn next(&mut self, events: &mut Vec<LlmEvent>) {
        loop {
            if let Some(live) = self.live.take()
                && !live.argued
            {
                events.push(LlmEvent::ToolArguments("{}".to_owned()));
            }
            let Some((index, call)) = self.waiting.pop_first() else {
                return;
            };
            self.waiting_bytes -= call.bytes();
            let ended = call.ended;
            if !call.name.is_empty() {
                self.begin(index, call, events);
                if !ended {
                    return;
                }
            }
        }
    }
}

impl Live {
    fn argue(&mut self, arguments: String, events: &mut Vec<LlmEvent>) {
        if !arguments.is_empty() {
            self.argued = true;
            events.push(LlmEvent::ToolArguments(arguments));
        }
    }
}

#[cfg(test)]
#[path = "calls_tests.rs"]
mod tests;
