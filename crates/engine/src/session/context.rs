//! What the language model gets to read: the conversation as it was heard, cut to the context's size.
//! Used when a reply asks, or when a prompt cache is warmed.
//! Never changes the conversation: what does not fit stays retrievable.

use wire::realtime::ItemStatus;
use wire::realtime::item::{ContentPart, Item, ItemBody, Role};
use wire::realtime::session::Truncation;

use super::items::{Cut, Entry};
use crate::ask::LlmMessage;

/// Tokens a message costs beside its text: role markers and separators of common chat templates.
const MESSAGE_OVERHEAD: u32 = 4;

/// The conversation did not fit and `truncation` is `disabled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Overflow;

/// The message an item becomes; `None` when there is nothing to read in it.
pub(super) fn message(item: &Item, cut: Cut) -> Option<LlmMessage> {
    match &item.body {
        ItemBody::Message { role, content } => spoken_message(*role, content, cut),
        // a call that was cut off was never made: its arguments are no JSON, and no output follows
        ItemBody::FunctionCall { .. } if item.status != Some(ItemStatus::Completed) => None,
        ItemBody::FunctionCall {
            name,
            call_id,
            arguments,
        } => Some(LlmMessage::ToolCall {
            call_id: call_id.clone(),
            name: name.clone(),
            arguments: arguments.clone(),
        }),
        ItemBody::FunctionCallOutput { call_id, output } => Some(LlmMessage::ToolOutput {
            call_id: call_id.clone(),
            output: output.clone(),
        }),
        _ => None,
    }
}

fn spoken_message(role: Role, content: &[ContentPart], cut: Cut) -> Option<LlmMessage> {
    let mut text = String::new();
    let mut images = Vec::new();
    for part in content {
        let words = match part {
            ContentPart::InputText { text } | ContentPart::OutputText { text } => text.as_str(),
            ContentPart::InputAudio { transcript, .. } => transcript.as_deref().unwrap_or_default(),
            ContentPart::OutputAudio { transcript, .. } => {
                let whole = transcript.as_deref().unwrap_or_default();
                match cut {
                    Cut::Heard(bytes) => whole.get(..bytes).unwrap_or(whole),
                    Cut::Whole | Cut::Truncated => whole,
                }
            }
            ContentPart::InputImage { image_url, .. } => {
                images.push(image_url.clone());
                continue;
            }
        };
        if !text.is_empty() && !words.is_empty() {
            text.push('\n');
        }
        text.push_str(words);
    }
    let text = text.trim().to_owned();
    if text.is_empty() && images.is_empty() {
        return None;
    }
    Some(match role {
        Role::System => LlmMessage::System(text),
        Role::User => LlmMessage::User { text, images },
        Role::Assistant => LlmMessage::Assistant(text),
    })
}

/// Messages of stored items with the positions of these, oldest first.
pub(super) fn messages(entries: &[Entry]) -> Vec<(usize, LlmMessage)> {
    let mut messages = Vec::with_capacity(entries.len());
    for (at, entry) in entries.iter().enumerate() {
        messages.extend(message(&entry.item, entry.cut).map(|message| (at, message)));
        if let Some([call, output]) = run_by_server(entry) {
            messages.extend([(at, call), (at, output)]);
        }
    }
    messages
}

/// A call that the server ran: the call and what came of it.
fn run_by_server(entry: &Entry) -> Option<[LlmMessage; 2]> {
    let ItemBody::McpCall {
        name, arguments, ..
    } = &entry.item.body
    else {
        return None;
    };
    let call = LlmMessage::ToolCall {
        call_id: call_id(entry),
        name: name.clone(),
        arguments: arguments.clone(),
    };
    let output = LlmMessage::ToolOutput {
        call_id: call_id(entry),
        output: super::tools::result(&entry.item.body),
    };
    Some([call, output])
}

/// The model's own id of a call: some vendors keep what they thought of it under that.
fn call_id(entry: &Entry) -> String {
    let own = entry.server_call.as_ref();
    own.filter(|id| !id.is_empty())
        .unwrap_or(&entry.item.id)
        .clone()
}

/// A rough token count, 4 characters a token, good to about a third for English.
fn estimate(message: &LlmMessage) -> u32 {
    let characters = match message {
        LlmMessage::System(text) | LlmMessage::Assistant(text) => text.len(),
        // an image costs about 1,000 tokens with the usual vision models, whatever its bytes
        LlmMessage::User { text, images } => text.len() + images.len() * 4000,
        LlmMessage::ToolCall {
            name, arguments, ..
        } => name.len() + arguments.len(),
        LlmMessage::ToolOutput { output, .. } => output.len(),
    };
    MESSAGE_OVERHEAD + u32::try_from(characters.div_ceil(4)).unwrap_or(u32::MAX / 2)
}

/// The same of several.
pub(crate) fn tokens(messages: &[LlmMessage]) -> u64 {
    messages.iter().map(|m| u64::from(estimate(m))).sum()
}

/// Instructions and leading system messages stay whatever happens; returns how many there are.
pub(super) fn head(messages: &[LlmMessage]) -> usize {
    messages
        .iter()
        .take_while(|m| matches!(m, LlmMessage::System(_)))
        .count()
}

/// How many of the oldest messages of `rest` to drop so that it fits beside `head` into `limit` estimated
/// tokens, and into `token_limits.post_instructions` where that is set. The newest message always stays.
pub(super) fn surplus(
    head: &[LlmMessage],
    rest: &[LlmMessage],
    limit: u32,
    truncation: &Truncation,
) -> Result<usize, Overflow> {
    let mut room = u64::from(limit).saturating_sub(tokens(head));
    if let Truncation::RetentionRatio(ratio) = truncation {
        let limits = ratio.token_limits.as_ref();
        let own = limits.and_then(|limits| limits.get("post_instructions")?.as_u64());
        room = room.min(own.unwrap_or(u64::MAX));
    }
    let mut left = tokens(rest);
    if left <= room {
        return Ok(0);
    }
    let target = match truncation {
        Truncation::Disabled => return Err(Overflow),
        Truncation::Auto => room,
        Truncation::RetentionRatio(ratio) => (room as f32 * ratio.retention_ratio) as u64,
    };
    let mut from = 0;
    while from + 1 < rest.len() && left > target {
        left -= u64::from(estimate(&rest[from]));
        from += 1;
    }
    // an answer without its call is an error to every vendor
    while from + 1 < rest.len() && matches!(rest[from], LlmMessage::ToolOutput { .. }) {
        from += 1;
    }
    Ok(from)
}

/// Drops the oldest messages until the rest fits, as [`surplus`] says.
pub(super) fn fit(
    mut messages: Vec<LlmMessage>,
    limit: u32,
    truncation: &Truncation,
) -> Result<Vec<LlmMessage>, Overflow> {
    let head = head(&messages);
    let (first, rest) = messages.split_at(head);
    let dropped = surplus(first, rest, limit, truncation)?;
    messages.drain(head..head + dropped);
    Ok(messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str) -> LlmMessage {
        LlmMessage::User {
            text: text.to_owned(),
            images: Vec::new(),
        }
    }

    #[test]
    fn the_oldest_go_first_and_instructions_stay() {
        let long = "word ".repeat(80);
        let all = vec![
            LlmMessage::System("be brief".to_owned()),
            user(&long),
            LlmMessage::Assistant(long.clone()),
            user("last"),
        ];
        let kept = fit(all.clone(), 120, &Truncation::Auto).unwrap();
        assert_eq!(kept, [all[0].clone(), all[2].clone(), all[3].clone()]);
        assert_eq!(fit(all.clone(), 120, &Truncation::Disabled), Err(Overflow));
        assert_eq!(
            fit(all.clone(), 1, &Truncation::Auto).unwrap(),
            [all[0].clone(), user("last")]
        );
    }

    #[test]
    fn a_tool_output_never_leads() {
        let all = vec![
            user(&"word ".repeat(80)),
            LlmMessage::ToolCall {
                call_id: "c".into(),
                name: "f".into(),
                arguments: "{}".into(),
            },
            LlmMessage::ToolOutput {
                call_id: "c".into(),
                output: "x".repeat(100),
            },
            user("and now"),
        ];
        assert_eq!(fit(all, 30, &Truncation::Auto).unwrap(), [user("and now")]);
    }
}
