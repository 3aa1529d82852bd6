//! Items and content parts as a client writes them (spec/realtime §1.7).
//! Called by `decode` for `conversation.item.create` and for the `input` of `response.create`.
//! Never gives an item its id or position: that is the engine's.

use super::fields::{At, Fields, Read, invalid};
use crate::realtime::AudioBytes;
use crate::realtime::item::{ContentPart, ItemBody, Role};

const PARTS: &[&str] = &["type", "text", "audio", "transcript", "image_url", "detail"];

#[derive(Debug, Clone, Copy)]
enum Kind {
    Message,
    FunctionCall,
    FunctionCallOutput,
    McpListTools,
    McpApprovalRequest,
    McpApprovalResponse,
    McpCall,
}

const KINDS: [(&str, Kind); 7] = [
    ("message", Kind::Message),
    ("function_call", Kind::FunctionCall),
    ("function_call_output", Kind::FunctionCallOutput),
    ("mcp_list_tools", Kind::McpListTools),
    ("mcp_approval_request", Kind::McpApprovalRequest),
    ("mcp_approval_response", Kind::McpApprovalResponse),
    ("mcp_call", Kind::McpCall),
];

#[derive(Debug, Clone, Copy)]
enum PartKind {
    InputText,
    InputAudio,
    InputImage,
    OutputText,
    OutputAudio,
}

/// An item and the id the client gave it; `object` and `status` are accepted without effect.
pub(super) fn body(at: At<'_>) -> Read<(Option<String>, ItemBody)> {
    let item = at.object()?;
    let kind = item.need("type", |at| at.choice(&KINDS))?;
    let id = item.read("id", At::string)?;
    let only = |keys: &[&str]| item.only(&[&["type", "id", "object", "status"], keys]);
    let text = |key: &str| item.need(key, At::string);
    let body = match kind {
        Kind::Message => {
            only(&["role", "content"])?;
            message(&item)?
        }
        Kind::FunctionCall => {
            only(&["name", "call_id", "arguments"])?;
            ItemBody::FunctionCall {
                name: text("name")?,
                call_id: text("call_id")?,
                arguments: text("arguments")?,
            }
        }
        Kind::FunctionCallOutput => {
            only(&["call_id", "output"])?;
            ItemBody::FunctionCallOutput {
                call_id: text("call_id")?,
                output: text("output")?,
            }
        }
        Kind::McpListTools => {
            only(&["server_label", "tools"])?;
            ItemBody::McpListTools {
                server_label: text("server_label")?,
                tools: item.need("tools", |at| at.each(At::json))?,
            }
        }
        Kind::McpApprovalRequest => {
            only(&["server_label", "name", "arguments"])?;
            ItemBody::McpApprovalRequest {
                server_label: text("server_label")?,
                name: text("name")?,
                arguments: text("arguments")?,
            }
        }
        Kind::McpApprovalResponse => {
            only(&["approval_request_id", "approve", "reason"])?;
            ItemBody::McpApprovalResponse {
                approval_request_id: text("approval_request_id")?,
                approve: item.need("approve", At::boolean)?,
                reason: item.read("reason", At::string)?,
            }
        }
        Kind::McpCall => {
            only(MCP_CALL)?;
            ItemBody::McpCall {
                server_label: text("server_label")?,
                name: text("name")?,
                arguments: text("arguments")?,
                approval_request_id: item.read("approval_request_id", At::string)?,
                output: item.read("output", At::string)?,
                error: item.read("error", At::json)?,
            }
        }
    };
    Ok((id, body))
}

const MCP_CALL: &[&str] = &[
    "server_label",
    "name",
    "arguments",
    "approval_request_id",
    "output",
    "error",
];

fn message(item: &Fields<'_>) -> Read<ItemBody> {
    let role = item.need("role", |at| {
        at.choice(&[
            ("system", Role::System),
            ("user", Role::User),
            ("assistant", Role::Assistant),
        ])
    })?;
    let content = item.need("content", |at| at.each(|at| part(at, role)))?;
    Ok(ItemBody::Message { role, content })
}

/// Which parts a role may have; the error for another one lists exactly these.
fn allowed(role: Role) -> &'static [(&'static str, PartKind)] {
    match role {
        Role::System => &[("input_text", PartKind::InputText)],
        Role::User => &[
            ("input_text", PartKind::InputText),
            ("input_audio", PartKind::InputAudio),
            ("input_image", PartKind::InputImage),
        ],
        Role::Assistant => &[
            ("output_text", PartKind::OutputText),
            ("output_audio", PartKind::OutputAudio),
        ],
    }
}

fn part(at: At<'_>, role: Role) -> Read<ContentPart> {
    let part = at.object()?;
    let kind = part.need("type", |at| at.choice(allowed(role)))?;
    part.only(&[PARTS])?;
    Ok(match kind {
        PartKind::InputText => ContentPart::InputText {
            text: part.need("text", At::string)?,
        },
        PartKind::OutputText => ContentPart::OutputText {
            text: part.need("text", At::string)?,
        },
        PartKind::InputAudio => ContentPart::InputAudio {
            audio: part.read("audio", At::base64)?.map(AudioBytes),
            transcript: part.read("transcript", At::string)?,
        },
        PartKind::OutputAudio => {
            // a client may restore what the assistant said, not put sound into its mouth (§1.7)
            if let Some(at) = part.get("audio") {
                let message =
                    "Assistant audio cannot be created by the client: send its transcript.";
                return Err(invalid(&at.path, message));
            }
            ContentPart::OutputAudio {
                audio: None,
                transcript: part.read("transcript", At::string)?,
            }
        }
        PartKind::InputImage => ContentPart::InputImage {
            image_url: part.need("image_url", image_url)?,
            detail: part.read("detail", |at| {
                at.clone()
                    .choice(&[("auto", ()), ("low", ()), ("high", ())])?;
                at.string()
            })?,
        },
    })
}

fn image_url(at: At<'_>) -> Read<String> {
    let path = at.path.clone();
    let url = at.string()?;
    let kinds = [
        "data:image/png;base64,",
        "data:image/jpeg;base64,",
        "data:image/jpg;base64,",
    ];
    if kinds.iter().any(|kind| url.starts_with(kind)) {
        return Ok(url);
    }
    let message = format!(
        "Invalid '{path}': expected a data URI of a PNG or JPEG image, such as 'data:image/png;base64,…'."
    );
    Err(invalid(&path, message))
}
