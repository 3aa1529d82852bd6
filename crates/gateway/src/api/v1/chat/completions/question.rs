//! A chat request as a question to a language model.
//! Used by the route.
//! Never checks a field: the decoder has.

use engine::ask::{LlmMessage, LlmRequest};
use wire::rest::chat::{ChatMessage, ChatRequest};

/// The question that `wanted` asks, on the account of `session`.
pub(super) fn question(wanted: ChatRequest, session: String) -> LlmRequest {
    LlmRequest {
        session,
        messages: wanted.messages.into_iter().flat_map(messages).collect(),
        tools: wanted.tools,
        tool_choice: wanted.tool_choice,
        parallel_tool_calls: wanted.parallel_tool_calls,
        max_tokens: wanted.max_completion_tokens,
        temperature: wanted.temperature,
        reasoning_effort: wanted.reasoning_effort.map(Into::into),
        ..LlmRequest::default()
    }
}

/// One message of the interface is one or several of ours: words and calls of an answer are apart.
fn messages(message: ChatMessage) -> Vec<LlmMessage> {
    match message {
        ChatMessage::System { content } => vec![LlmMessage::System(content)],
        ChatMessage::User { content, images } => vec![LlmMessage::User {
            text: content,
            images,
        }],
        ChatMessage::Assistant {
            content,
            tool_calls,
        } => {
            let words = content.filter(|words| !words.is_empty());
            let calls = tool_calls.into_iter().map(|call| LlmMessage::ToolCall {
                call_id: call.id,
                name: call.name,
                arguments: call.arguments,
            });
            words
                .map(LlmMessage::Assistant)
                .into_iter()
                .chain(calls)
                .collect()
        }
        ChatMessage::Tool {
            tool_call_id,
            content,
        } => vec![LlmMessage::ToolOutput {
            call_id: tool_call_id,
            output: content,
        }],
    }
}
