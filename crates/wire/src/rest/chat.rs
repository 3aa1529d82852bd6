//! `POST /v1/chat/completions`: text in, text out
//! (<https://platform.openai.com/docs/api-reference/chat/create>).
//! Read by the gateway, which asks the same language models that answer calls.
//! Never passes over a field that would change the shape of the answer: what is not done here is refused.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::realtime::ErrorBody;
use crate::realtime::decode::DecodeError;
use crate::realtime::decode::fields::{At, Fields, Read, invalid};
use crate::realtime::session::{NamedTool, Tool, ToolChoice};

/// A question. Fields that only steer the sampling (`top_p`, `seed`, penalties) or describe the caller (`user`,
/// `metadata`) are accepted and have no effect.
#[derive(Debug, Clone, PartialEq, ToSchema, Serialize)]
pub struct ChatRequest {
    /// Model name: a pipeline's, or any alias.
    pub model: String,
    /// The conversation, oldest first.
    pub messages: Vec<ChatMessage>,
    /// Functions that may be called.
    pub tools: Vec<Tool>,
    /// Whether and which function must be called.
    pub tool_choice: ToolChoice,
    /// Whether several calls may come at once.
    pub parallel_tool_calls: Option<bool>,
    /// Limit on generated tokens (`max_completion_tokens`, or the older `max_tokens`).
    pub max_completion_tokens: Option<u32>,
    /// 0 to 2.
    pub temperature: Option<f32>,
    /// How long a model that reasons may do so.
    pub reasoning_effort: Option<String>,
    /// How the answer comes: `stream`, and its `stream_options.include_usage`.
    pub delivery: Delivery,
}

/// How an answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// In one piece.
    #[default]
    Whole,
    /// As events.
    Events,
    /// As events, the last of which has the token counts.
    CountedEvents,
}

/// One message of the conversation.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema, Serialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum ChatMessage {
    /// Instructions; `developer` means the same.
    System {
        /// Text.
        content: String,
    },
    /// The user's words and pictures.
    User {
        /// Text.
        content: String,
        /// Data URIs or addresses.
        images: Vec<String>,
    },
    /// What the model said before.
    Assistant {
        /// Text.
        content: Option<String>,
        /// Functions it called.
        tool_calls: Vec<ChatCall>,
    },
    /// What a function returned.
    Tool {
        /// The call it answers.
        tool_call_id: String,
        /// Text.
        content: String,
    },
}

/// A call of a function.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema, Serialize)]
pub struct ChatCall {
    /// Ties the output to the call.
    pub id: String,
    /// Function name.
    pub name: String,
    /// JSON text.
    pub arguments: String,
}

/// Reads and checks the request body.
///
/// Errors: a typed refusal with the path of the field.
pub fn decode(body: &Value) -> Result<ChatRequest, DecodeError> {
    let fields = At::new(body, "").object().map_err(|_| {
        ErrorBody::invalid("invalid_value", "The request body must be a JSON object.")
    })?;
    refuse_what_is_not_done(&fields)?;
    let messages = fields.need("messages", |at| at.each(message))?;
    if messages.is_empty() {
        return Err(invalid("messages", "Invalid 'messages': expected at least one.").into());
    }
    let limit = fields.read("max_completion_tokens", At::small_integer)?;
    Ok(ChatRequest {
        model: fields.need("model", At::string)?,
        messages,
        tools: fields
            .read("tools", |at| at.each(tool))?
            .unwrap_or_default(),
        tool_choice: fields.read("tool_choice", tool_choice)?.unwrap_or_default(),
        parallel_tool_calls: fields.read("parallel_tool_calls", At::boolean)?,
        max_completion_tokens: limit.or(fields.read("max_tokens", At::small_integer)?),
        temperature: fields.read("temperature", |at| at.number_in(0.0..=2.0))?,
        reasoning_effort: fields.read("reasoning_effort", At::string)?,
        delivery: delivery(&fields)?,
    })
}

fn delivery(fields: &Fields<'_>) -> Read<Delivery> {
    let counted = fields.read("stream_options", |at| {
        at.object()?.read("include_usage", At::boolean)
    })?;
    Ok(
        match (fields.read("stream", At::boolean)?, counted.flatten()) {
            (Some(true), Some(true)) => Delivery::CountedEvents,
            (Some(true), _) => Delivery::Events,
            _ => Delivery::Whole,
        },
    )
}

fn refuse_what_is_not_done(fields: &Fields<'_>) -> Read<()> {
    if let Some(at) = fields.get("n")
        && at.value != 1
    {
        return Err(invalid("n", "Invalid 'n': this server gives one answer."));
    }
    if let Some(at) = fields.get("logprobs")
        && at.value != false
    {
        let message = "Invalid 'logprobs': this server does not tell them.";
        return Err(invalid("logprobs", message));
    }
    if let Some(at) = fields.get("stop")
        && at.value.as_array().is_none_or(|list| !list.is_empty())
    {
        let message = "Invalid 'stop': this server has no stop sequences; leave it out.";
        return Err(invalid("stop", message));
    }
    if let Some(at) = fields.get("response_format")
        && at.value["type"] != "text"
    {
        let message = "Invalid 'response_format': this server answers in plain text; leave it out.";
        return Err(invalid("response_format", message));
    }
    Ok(())
}

fn message(at: At<'_>) -> Read<ChatMessage> {
    let fields = at.object()?;
    let role = fields.need("role", |at| {
        at.choice(&[
            ("system", 0),
            ("developer", 0),
            ("user", 1),
            ("assistant", 2),
            ("tool", 3),
        ])
    })?;
    Ok(match role {
        0 => ChatMessage::System {
            content: fields.need("content", words)?,
        },
        1 => {
            let (content, images) = fields.need("content", words_and_pictures)?;
            ChatMessage::User { content, images }
        }
        2 => {
            let content = fields.read("content", words)?;
            let tool_calls = fields
                .read("tool_calls", |at| at.each(call))?
                .unwrap_or_default();
            if content.is_none() && tool_calls.is_empty() {
                let path = fields.path_of("content");
                let message = format!("Invalid '{path}': expected text, or 'tool_calls'.");
                return Err(invalid(&path, message));
            }
            ChatMessage::Assistant {
                content,
                tool_calls,
            }
        }
        _ => ChatMessage::Tool {
            tool_call_id: fields.need("tool_call_id", At::string)?,
            content: fields.need("content", words)?,
        },
    })
}

/// Text, or a list of text parts.
fn words(at: At<'_>) -> Read<String> {
    let path = at.path.clone();
    let (text, images) = words_and_pictures(at)?;
    if images.is_empty() {
        return Ok(text);
    }
    let message = format!("Invalid '{path}': only a user's message may hold pictures.");
    Err(invalid(&path, message))
}

fn words_and_pictures(at: At<'_>) -> Read<(String, Vec<String>)> {
    if at.value.is_string() {
        return Ok((at.string()?, Vec::new()));
    }
    let parts = at.each(|at| {
        let part = at.object()?;
        let picture = part.need("type", |at| {
            at.choice(&[("text", false), ("refusal", false), ("image_url", true)])
        })?;
        if picture {
            let url = part.need("image_url", |at| at.object()?.need("url", At::string))?;
            return Ok((None, Some(url)));
        }
        let text = part.read("text", At::string)?;
        Ok((text.or(part.read("refusal", At::string)?), None))
    })?;
    let (texts, images): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    Ok((
        texts.into_iter().flatten().collect::<Vec<_>>().join("\n"),
        images.into_iter().flatten().collect(),
    ))
}

fn call(at: At<'_>) -> Read<ChatCall> {
    let fields = at.object()?;
    fields.need("type", |at| at.choice(&[("function", ())]))?;
    fields.need("function", |at| {
        let function = at.object()?;
        Ok(ChatCall {
            id: fields.need("id", At::string)?,
            name: function.need("name", At::string)?,
            arguments: function.need("arguments", At::string)?,
        })
    })
}

fn tool(at: At<'_>) -> Read<Tool> {
    let fields = at.object()?;
    fields.need("type", |at| at.choice(&[("function", ())]))?;
    fields.need("function", |at| {
        let function = at.object()?;
        Ok(Tool::Function {
            name: function.need("name", At::string)?,
            description: function.read("description", At::string)?,
            parameters: function.read("parameters", |at| {
                at.clone().object()?;
                at.json()
            })?,
        })
    })
}

fn tool_choice(at: At<'_>) -> Read<ToolChoice> {
    if at.value.is_string() {
        let choice = at.choice(&[("none", 0), ("auto", 1), ("required", 2)])?;
        return Ok(match choice {
            0 => ToolChoice::None,
            1 => ToolChoice::Auto,
            _ => ToolChoice::Required,
        });
    }
    let fields = at.object()?;
    fields.need("type", |at| at.choice(&[("function", ())]))?;
    let name = fields.need("function", |at| at.object()?.need("name", At::string))?;
    Ok(ToolChoice::Named(NamedTool::Function { name }))
}

/// Token counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct ChatUsage {
    /// Of the question.
    pub prompt_tokens: u32,
    /// Of the answer.
    pub completion_tokens: u32,
    /// The sum.
    pub total_tokens: u32,
    /// Of the question, more closely.
    pub prompt_tokens_details: PromptDetails,
}

impl ChatUsage {
    /// Counts of a question of which `cached` tokens came from a cache, and of its answer.
    pub const fn new(prompt: u32, cached: u32, completion: u32) -> Self {
        Self {
            prompt_tokens: prompt,
            completion_tokens: completion,
            total_tokens: prompt.saturating_add(completion),
            prompt_tokens_details: PromptDetails {
                cached_tokens: cached,
            },
        }
    }
}

/// What is known of a question's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct PromptDetails {
    /// Read from a cache.
    pub cached_tokens: u32,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChatFinish {
    /// Everything was said.
    Stop,
    /// The limit on tokens was reached.
    Length,
    /// Functions are to be called.
    ToolCalls,
    /// The vendor's filter cut it off.
    ContentFilter,
}

/// A call as the answer writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ChatToolCall {
    /// Place among the calls; only in events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    /// Ties the output to the call; in events only with the first piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Always `function`; in events only with the first piece.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// Which function, with what.
    pub function: ChatFunction,
}

/// A function and its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ChatFunction {
    /// Its name; in events only with the first piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// JSON text; in events the next piece of it.
    pub arguments: String,
}

/// The message of an answer, or in events what is new of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct ChatAnswer {
    /// Always `assistant`; in events only with the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    /// Text; null in a whole answer that only calls functions.
    pub content: Option<String>,
    /// Calls, where there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ChatToolCall>,
}

/// The only choice of a whole answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ChatChoice {
    /// Always 0.
    pub index: u32,
    /// The answer.
    pub message: ChatAnswer,
    /// Why it ended.
    pub finish_reason: ChatFinish,
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ChatCompletion {
    /// `chatcmpl-…`.
    pub id: String,
    /// Always `chat.completion`.
    pub object: &'static str,
    /// Unix time, in s.
    pub created: i64,
    /// The model, as it was asked for.
    pub model: String,
    /// One.
    pub choices: Vec<ChatChoice>,
    /// Token counts.
    pub usage: ChatUsage,
}

/// What is new of the only choice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ChatDelta {
    /// Always 0.
    pub index: u32,
    /// What is new.
    pub delta: ChatAnswer,
    /// Why it ended; only in the last.
    pub finish_reason: Option<ChatFinish>,
}

/// One event of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ChatChunk {
    /// `chatcmpl-…`, the same in all of them.
    pub id: String,
    /// Always `chat.completion.chunk`.
    pub object: &'static str,
    /// Unix time, in s.
    pub created: i64,
    /// The model, as it was asked for.
    pub model: String,
    /// One, or none in the event with the counts.
    pub choices: Vec<ChatDelta>,
    /// Token counts, where they were asked for: in the last event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<ChatUsage>,
}
