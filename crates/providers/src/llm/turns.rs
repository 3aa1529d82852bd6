//! Reads a conversation as turns, each function call paired with what it returned.
//! Called by every vendor's request.
//! Never writes a vendor's words.

use std::{borrow::Cow, collections::HashSet};

use engine::ask::LlmMessage;
use serde_json::{Map, Value};

/// Stands for the output of a function that has not returned: every protocol wants an answer to
/// each call before anything else is said, a live conversation does not wait for it.
pub(super) const NO_OUTPUT_YET: &str = "(the function has not returned yet)";
/// Stands in front of a conversation that the assistant began.
const OPENING: &str = "(the conversation begins)";
/// Stands behind a conversation whose last word was the assistant's.
const GO_ON: &str = "(go on)";

/// Stands for a picture that a protocol cannot take.
pub(crate) const UNSEEN: &str = "(a picture that could not be handed on)";

/// What was said at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turn<'a> {
    /// Instructions.
    System(&'a str),
    /// The caller's words and pictures (data URIs).
    User {
        text: Cow<'a, str>,
        images: &'a [String],
    },
    /// The model's words, and what it called behind them.
    Assistant {
        text: Option<&'a str>,
        calls: Vec<Call<'a>>,
    },
}

/// A function call and its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call<'a> {
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    /// A JSON object, always: a model that reads its own malformed JSON is refused by some servers.
    pub(super) arguments: &'a str,
    pub(super) output: &'a str,
}

impl Call<'_> {
    /// The arguments as an object.
    pub(super) fn arguments(&self) -> Value {
        serde_json::from_str(self.arguments).unwrap_or_else(|_| Value::Object(Map::new()))
    }
}

/// What becomes of instructions that come in the middle of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Late {
    /// They stay what they are.
    Kept,
    /// They are told where the caller speaks, marked: for protocols that know instructions only at the start.
    Told,
}

/// The turns of a conversation. Calls that follow each other belong to one turn, with their
/// outputs wherever they stood; an output whose call is gone is left out.
pub(super) fn turns(context: &[LlmMessage], late: Late) -> Vec<Turn<'_>> {
    let mut turns: Vec<Turn<'_>> = Vec::with_capacity(context.len());
    let mut unread = context;
    while let Some((message, rest)) = unread.split_first() {
        unread = rest;
        match message {
            LlmMessage::System(text) => {
                let starts = turns.iter().all(|turn| matches!(turn, Turn::System(_)));
                turns.push(if starts || late == Late::Kept {
                    Turn::System(text)
                } else {
                    Turn::User {
                        text: format!("<system>\n{text}\n</system>").into(),
                        images: &[],
                    }
                });
            }
            LlmMessage::User { text, images } => turns.push(Turn::User {
                text: text.into(),
                images,
            }),
            LlmMessage::Assistant(text) => turns.push(Turn::Assistant {
                text: Some(text),
                calls: Vec::new(),
            }),
            LlmMessage::ToolCall { .. } => {
                let start = context.len() - rest.len() - 1;
                let more = rest.iter().take_while(|next| is_call(next)).count();
                let (group, later) = context[start..].split_at(1 + more);
                unread = later;
                let called = calls(group, later);
                match turns.last_mut() {
                    // words and calls of one answer are one turn
                    Some(Turn::Assistant { calls, .. }) if calls.is_empty() => *calls = called,
                    _ => turns.push(Turn::Assistant {
                        text: None,
                        calls: called,
                    }),
                }
            }
            LlmMessage::ToolOutput { .. } => {}
        }
    }
    turns
}

fn is_call(message: &LlmMessage) -> bool {
    matches!(message, LlmMessage::ToolCall { .. })
}

fn calls<'a>(group: &'a [LlmMessage], later: &'a [LlmMessage]) -> Vec<Call<'a>> {
    let mut seen = HashSet::new();
    let calls = group.iter().filter_map(|message| match message {
        LlmMessage::ToolCall {
            call_id,
            name,
            arguments,
        } => seen.insert(call_id).then(|| Call {
            id: call_id,
            name,
            arguments: if is_object(arguments) {
                arguments
            } else {
                "{}"
            },
            output: output(call_id, later).unwrap_or(NO_OUTPUT_YET),
        }),
        _ => None,
    });
    calls.collect()
}

fn output<'a>(id: &str, later: &'a [LlmMessage]) -> Option<&'a str> {
    later.iter().find_map(|message| match message {
        LlmMessage::ToolOutput { call_id, output } if call_id == id => Some(output.as_str()),
        _ => None,
    })
}

fn is_object(json: &str) -> bool {
    serde_json::from_str::<Map<String, Value>>(json).is_ok()
}

/// Who speaks, where a protocol knows two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaker {
    /// The caller, and what functions return.
    User,
    /// The model, and what it calls.
    Model,
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// Words, never blank.
    Text(Cow<'a, str>),
    /// A data URI.
    Image(&'a str),
    /// A call.
    Call(Call<'a>),
    /// The output of this call.
    Output(Call<'a>),
}

/// Where the outputs of functions stand, when the caller speaks behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outputs {
    /// In front of the caller's words, in the same message.
    WithWords,
    /// In a message of their own.
    Apart,
}

/// A conversation for a protocol with two speakers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dialogue<'a> {
    /// Instructions from the start.
    pub(super) system: Vec<&'a str>,
    /// The first and the last are the user's; none is empty.
    pub(super) messages: Vec<(Speaker, Vec<Part<'a>>)>,
}

/// The conversation between two speakers. What one says in a row is one message.
pub(super) fn dialogue(context: &[LlmMessage], outputs: Outputs) -> Dialogue<'_> {
    let mut dialogue = Dialogue {
        system: Vec::new(),
        messages: Vec::new(),
    };
    for turn in turns(context, Late::Told) {
        match turn {
            Turn::System(text) if text.trim().is_empty() => {}
            Turn::System(text) => dialogue.system.push(text),
            Turn::User { text, images } => {
                let images = images.iter().map(|image| Part::Image(image));
                let parts = words(text).into_iter().chain(images).collect();
                dialogue.add(Speaker::User, parts, outputs);
            }
            Turn::Assistant { text, calls } => {
                let text = text.and_then(|text| words(text.into()));
                let called = calls.iter().map(|call| Part::Call(*call));
                let parts = text.into_iter().chain(called).collect();
                dialogue.add(Speaker::Model, parts, outputs);
                let returned = calls.into_iter().map(Part::Output).collect();
                dialogue.add(Speaker::User, returned, outputs);
            }
        }
    }
    let speaks = |message: Option<&(Speaker, _)>| message.map(|(speaker, _)| *speaker);
    if speaks(dialogue.messages.first()) != Some(Speaker::User) {
        let opening = vec![Part::Text(OPENING.into())];
        dialogue.messages.insert(0, (Speaker::User, opening));
    }
    if speaks(dialogue.messages.last()) != Some(Speaker::User) {
        let go_on = vec![Part::Text(GO_ON.into())];
        dialogue.messages.push((Speaker::User, go_on));
    }
    dialogue
}

impl<'a> Dialogue<'a> {
    fn add(&mut self, speaker: Speaker, parts: Vec<Part<'a>>, outputs: Outputs) {
        if parts.is_empty() {
            return;
        }
        match self.messages.last_mut() {
            Some((last, said))
                if *last == speaker
                    && !(outputs == Outputs::Apart && said.iter().any(Part::is_output)) =>
            {
                said.extend(parts);
            }
            _ => self.messages.push((speaker, parts)),
        }
    }
}

impl Part<'_> {
    fn is_output(&self) -> bool {
        matches!(self, Self::Output(_))
    }
}

fn words(text: Cow<'_, str>) -> Option<Part<'_>> {
    (!text.trim().is_empty()).then_some(Part::Text(text))
}

/// Media type and base64 text of a data URI (RFC 2397); `None` for anything else.
pub(crate) fn data_uri(uri: &str) -> Option<(&str, &str)> {
    let (header, data) = uri.strip_prefix("data:")?.split_once(',')?;
    let media_type = header.strip_suffix(";base64")?;
    let media_type = media_type.split(';').next().unwrap_or_default();
    Some((media_type, data))
}

#[cfg(test)]
#[path = "turns_tests.rs"]
mod tests;
