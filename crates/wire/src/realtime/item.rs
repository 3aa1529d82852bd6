//! Conversation items and their content parts (spec/realtime §1.7).
//! Carried by client and server events; stored by the engine.
//! Never serialises null for an absent field: strict clients drop such events.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::AudioBytes;

/// Life cycle of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ItemStatus {
    /// A response is still writing it.
    InProgress,
    /// Finished.
    Completed,
    /// Cut off: cancelled, interrupted, out of tokens.
    Incomplete,
}

/// Who speaks in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Instructions in mid-conversation.
    System,
    /// The caller.
    User,
    /// The model.
    Assistant,
}

/// One part of a message's content. Inside items the long names are used (`output_text`);
/// [`super::response::Part`] has the short ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ContentPart {
    /// Text written by the user or the system.
    InputText {
        /// The text.
        text: String,
    },
    /// Speech of the user.
    InputAudio {
        /// Audio in the session's input format; only in `conversation.item.retrieved` and client events.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        audio: Option<AudioBytes>,
        /// Transcript; the key is always written, null until known (agents-js throws without it).
        transcript: Option<String>,
    },
    /// A picture from the user as a data URI.
    InputImage {
        /// `data:image/png;base64,…` or jpeg.
        image_url: String,
        /// `auto`, `low` or `high`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// Text of the assistant.
    OutputText {
        /// The text.
        text: String,
    },
    /// Speech of the assistant.
    OutputAudio {
        /// Audio in the session's output format; only in `conversation.item.retrieved`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        audio: Option<AudioBytes>,
        /// What was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        transcript: Option<String>,
    },
}

/// What an item is, beside its id and status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ItemBody {
    /// Something said or written.
    Message {
        /// Who.
        role: Role,
        /// What, in parts.
        content: Vec<ContentPart>,
    },
    /// The model calls a function.
    FunctionCall {
        /// Function name.
        name: String,
        /// Ties the output to the call; at most 32 characters.
        call_id: String,
        /// JSON text; empty while in progress.
        arguments: String,
    },
    /// The client's answer to a function call.
    FunctionCallOutput {
        /// The call it answers.
        call_id: String,
        /// Free text, usually JSON.
        output: String,
    },
    /// Tools an MCP server offers.
    McpListTools {
        /// Label of the server.
        server_label: String,
        /// Tool descriptions as the server gave them.
        tools: Vec<Value>,
    },
    /// The model asks whether it may call an MCP tool.
    McpApprovalRequest {
        /// Label of the server.
        server_label: String,
        /// Tool name.
        name: String,
        /// JSON text.
        arguments: String,
    },
    /// The client's answer to an approval request.
    McpApprovalResponse {
        /// Id of the request item.
        approval_request_id: String,
        /// Whether the call may go ahead.
        approve: bool,
        /// Why (not).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A call to an MCP tool and its result.
    McpCall {
        /// Label of the server.
        server_label: String,
        /// Tool name.
        name: String,
        /// JSON text.
        arguments: String,
        /// Id of the approval request, when one was needed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        approval_request_id: Option<String>,
        /// Result; the key is always written, null until known (agents-js requires it).
        output: Option<String>,
        /// What went wrong.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<Value>,
    },
}

/// An item of the conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Item {
    /// `item_…`, or any string a client chose.
    #[serde(default)]
    pub id: String,
    /// Always `realtime.item`.
    #[serde(default = "realtime_item")]
    pub object: String,
    /// Life cycle; a client's value is ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ItemStatus>,
    /// What it is.
    #[serde(flatten)]
    pub body: ItemBody,
}

fn realtime_item() -> String {
    "realtime.item".to_owned()
}

impl Item {
    /// An item with the usual `object`.
    pub fn new(id: impl Into<String>, status: ItemStatus, body: ItemBody) -> Self {
        Self {
            id: id.into(),
            object: realtime_item(),
            status: Some(status),
            body,
        }
    }
}
