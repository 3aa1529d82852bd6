//! Reads directives out of what was said and plans the answer.
//! Asked by the scripted language model for each request; words are matched by its two siblings too.
//! Never waits and never sends: a request goes in, a plan comes out.

use engine::ask::{LlmMessage, LlmRequest};
use serde_json::{Map, Value};
use wire::realtime::session::{NamedTool, Tool, ToolChoice};

use super::{LONG_SENTENCES, arguments};

/// Words of the user that the default reply repeats.
const REPEATED_WORDS: usize = 12;
/// Characters of a function's output that the reply repeats.
const REPEATED_OUTPUT: usize = 200;

/// What the language model will do.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Act {
    /// Reply with this text.
    Say(String),
    /// Call these functions: name and JSON arguments.
    Call(Vec<(String, String)>),
    /// Refuse the request.
    Refuse,
    /// Begin with this text, then fail.
    BreakOff(String),
}

/// An answer and its pace.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    pub(super) act: Act,
    pub(super) pace: Pace,
}

/// How fast tokens come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// As configured.
    Configured,
    /// As configured for `slowly`.
    Slow,
    /// Milliseconds per token.
    Ms(u64),
}

/// The text behind `say:`, if any; what follows is to be taken literally.
pub(super) fn said(text: &str) -> Option<&str> {
    split_said(text).1
}

/// Whether `words` (lower case, single spaces) occur in `text` as whole words, in any case;
/// underscores and hyphens count as spaces.
pub(super) fn has_word(text: &str, words: &str) -> bool {
    find_words(&normal(text), words).is_some()
}

/// Plans the answer to a request.
pub(super) fn plan(request: &LlmRequest) -> Plan {
    let user = last_user(&request.messages);
    let said_by_user = user.map_or("", |(text, _)| text);
    let instructions = instructions(&request.messages);
    let (head, _) = split_said(said_by_user);
    let mut pace = pace(head);
    if pace == Pace::Configured {
        pace = instructions
            .iter()
            .map(|line| self::pace(line))
            .find(|pace| *pace != Pace::Configured)
            .unwrap_or(pace);
    }
    let outputs = trailing_outputs(&request.messages);
    let act = if outputs.is_empty() {
        from_user(said_by_user, request)
            .or_else(|| {
                instructions
                    .iter()
                    .find_map(|line| from_instruction(line, request))
            })
            .unwrap_or_else(|| Act::Say(default_reply(user)))
    } else {
        Act::Say(reply_to_outputs(&outputs))
    };
    Plan { act, pace }
}

fn from_user(text: &str, request: &LlmRequest) -> Option<Act> {
    let (head, said) = split_said(text);
    if has_word(head, "fail llm") {
        return Some(failure(head));
    }
    if let Some(said) = said {
        return Some(Act::Say(said.to_owned()));
    }
    // a function that must be called wins over everything that only changes the words
    if let Some(calls) = calls(text, request) {
        return Some(Act::Call(calls));
    }
    if has_word(text, "fail tts") {
        return Some(Act::Say(
            "Listen now: fail tts. This sentence is never heard.".to_owned(),
        ));
    }
    has_word(text, "long").then(|| Act::Say(long_reply()))
}

/// A line of the instructions counts only as a whole: instructions are full of ordinary words.
fn from_instruction(line: &str, request: &LlmRequest) -> Option<Act> {
    if let ("", Some(said)) = split_said(line) {
        return Some(Act::Say(said.to_owned()));
    }
    let words = normal(line);
    let words = words.trim();
    if words.starts_with("fail llm") {
        return Some(failure(words));
    }
    if words.starts_with("call ") && request.tool_choice != ToolChoice::None {
        return mentioned(line, request).map(Act::Call);
    }
    match words {
        "long" => Some(Act::Say(long_reply())),
        "fail tts" => Some(Act::Say("Listen now: fail tts.".to_owned())),
        _ => None,
    }
}

fn failure(text: &str) -> Act {
    if has_word(text, "midway") {
        Act::BreakOff("This answer begins well. ".to_owned())
    } else {
        Act::Refuse
    }
}

fn calls(text: &str, request: &LlmRequest) -> Option<Vec<(String, String)>> {
    match &request.tool_choice {
        ToolChoice::None | ToolChoice::Named(NamedTool::Mcp { .. }) => None,
        ToolChoice::Auto => mentioned(text, request),
        ToolChoice::Required => mentioned(text, request).or_else(|| {
            let (name, schema) = functions(request).next()?;
            Some(vec![(name.to_owned(), arguments::example(schema))])
        }),
        ToolChoice::Named(NamedTool::Function { name }) => {
            let (name, schema) = functions(request).find(|(offered, _)| offered == name)?;
            Some(vec![(
                name.to_owned(),
                arguments_in(text, name).unwrap_or_else(|| arguments::example(schema)),
            )])
        }
    }
}

/// Calls of the offered functions that the text names, in the order of the text.
fn mentioned(text: &str, request: &LlmRequest) -> Option<Vec<(String, String)>> {
    let words = normal(text);
    let mut found: Vec<(usize, &str, Option<&Value>)> = functions(request)
        .filter_map(|(name, schema)| Some((find_words(&words, normal(name).trim())?, name, schema)))
        .collect();
    found.sort_by_key(|(at, name, _)| (*at, std::cmp::Reverse(name.len())));
    // "get_weather" and "get_weather_tomorrow" at the same place are one mention of the longer name
    found.dedup_by_key(|(at, ..)| *at);
    if request.parallel_tool_calls == Some(false) {
        found.truncate(1);
    }
    let calls: Vec<_> = found
        .into_iter()
        .map(|(_, name, schema)| {
            let arguments = arguments_in(text, name).unwrap_or_else(|| arguments::example(schema));
            (name.to_owned(), arguments)
        })
        .collect();
    (!calls.is_empty()).then_some(calls)
}

/// A JSON object written right behind the function's name.
fn arguments_in(text: &str, name: &str) -> Option<String> {
    let at = find_words(&normal(text), normal(name).trim())?;
    let rest = text.get(at + name.len()..)?.trim_start();
    let object = serde_json::Deserializer::from_str(rest)
        .into_iter::<Map<String, Value>>()
        .next()?
        .ok()?;
    Some(Value::Object(object).to_string())
}

fn functions(request: &LlmRequest) -> impl Iterator<Item = (&str, Option<&Value>)> {
    request.tools.iter().filter_map(|tool| match tool {
        Tool::Function {
            name, parameters, ..
        } => Some((name.as_str(), parameters.as_ref())),
        Tool::Mcp { .. } => None,
    })
}

fn last_user(messages: &[LlmMessage]) -> Option<(&str, usize)> {
    messages.iter().rev().find_map(|message| match message {
        LlmMessage::User { text, images } => Some((text.as_str(), images.len())),
        _ => None,
    })
}

fn instructions(messages: &[LlmMessage]) -> Vec<&str> {
    messages
        .iter()
        .filter_map(|message| match message {
            LlmMessage::System(text) => Some(text.lines()),
            _ => None,
        })
        .flatten()
        .map(|line| {
            let line = line.trim();
            line.strip_prefix("scripted:").map_or(line, str::trim_start)
        })
        .collect()
}

/// Outputs of functions since anybody last spoke.
fn trailing_outputs(messages: &[LlmMessage]) -> Vec<&str> {
    let mut outputs: Vec<&str> = messages
        .iter()
        .rev()
        .take_while(|message| {
            matches!(
                message,
                LlmMessage::ToolCall { .. } | LlmMessage::ToolOutput { .. }
            )
        })
        .filter_map(|message| match message {
            LlmMessage::ToolOutput { output, .. } => Some(output.as_str()),
            _ => None,
        })
        .collect();
    outputs.reverse();
    outputs
}

fn reply_to_outputs(outputs: &[&str]) -> String {
    let outputs: Vec<String> = outputs
        .iter()
        .map(|output| output.trim().chars().take(REPEATED_OUTPUT).collect())
        .collect();
    format!(
        "The function returned {}. Is there anything else?",
        outputs.join(" and ")
    )
}

fn default_reply(user: Option<(&str, usize)>) -> String {
    let (text, images) = user.unwrap_or_default();
    let words: Vec<&str> = text
        .split_whitespace()
        .take(REPEATED_WORDS)
        // one sentence in the reply, however many there were
        .map(|word| word.trim_matches(['.', '!', '?', '…']))
        .filter(|word| !word.is_empty())
        .collect();
    if !words.is_empty() {
        format!("You said: {}. What else can I do for you?", words.join(" "))
    } else if images > 0 {
        "I can see what you show me. What would you like to know about it?".to_owned()
    } else {
        "Hello, this is the scripted voice. How can I help you?".to_owned()
    }
}

fn long_reply() -> String {
    let sentences: Vec<String> = (1..=LONG_SENTENCES)
        .map(|number| format!("This is sentence number {number} of a reply with many sentences."))
        .collect();
    sentences.join(" ")
}

fn pace(text: &str) -> Pace {
    let words = normal(text);
    let Some(at) = find_words(&words, "slowly") else {
        return Pace::Configured;
    };
    let rest = words[at + "slowly".len()..].trim_start();
    let digits = rest
        .split(|c: char| !c.is_ascii_digit())
        .next()
        .unwrap_or_default();
    digits.parse().map_or(Pace::Slow, Pace::Ms)
}

/// What comes before `say:` and what comes behind it.
fn split_said(text: &str) -> (&str, Option<&str>) {
    let lower = text.to_ascii_lowercase();
    let found = lower
        .match_indices("say:")
        .find(|(at, _)| !lower[..*at].ends_with(|c: char| c.is_alphanumeric()));
    match found {
        Some((at, marker)) => (text[..at].trim(), Some(text[at + marker.len()..].trim())),
        None => (text, None),
    }
}

/// Lower case, with spaces for everything that separates words; byte offsets stay those of `text`.
fn normal(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            c if c.is_ascii_alphanumeric() || !c.is_ascii() => c.to_ascii_lowercase(),
            _ => ' ',
        })
        .collect()
}

fn find_words(normal: &str, words: &str) -> Option<usize> {
    if words.is_empty() {
        return None;
    }
    normal.match_indices(words).map(|(at, _)| at).find(|at| {
        !normal[..*at].ends_with(char::is_alphanumeric)
            && !normal[at + words.len()..].starts_with(char::is_alphanumeric)
    })
}

#[cfg(test)]
#[path = "script_tests.rs"]
mod tests;
