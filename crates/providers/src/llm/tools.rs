//! What a request says of functions and of thinking, in nobody's words.
//! Called by every vendor's request.
//! Never offers what the session does not: tools of MCP servers are run by the session itself.

use engine::ask::LlmRequest;
use serde_json::{Value, json};
use wire::realtime::session::{NamedTool, Tool, ToolChoice};

/// A function on offer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Function<'a> {
    pub(super) name: &'a str,
    pub(super) description: Option<&'a str>,
    /// JSON Schema of the arguments.
    pub(super) parameters: Option<&'a Value>,
}

impl Function<'_> {
    /// The schema, for protocols that insist on one.
    pub(super) fn schema(&self) -> Value {
        self.parameters
            .filter(|schema| schema.is_object())
            .cloned()
            .unwrap_or_else(|| json!({ "type": "object", "properties": {} }))
    }
}

/// The functions on offer.
pub(super) fn functions(request: &LlmRequest) -> Vec<Function<'_>> {
    let functions = request.tools.iter().filter_map(|tool| match tool {
        Tool::Function {
            name,
            description,
            parameters,
        } => Some(Function {
            name,
            description: description.as_deref(),
            parameters: parameters.as_ref(),
        }),
        Tool::Mcp { .. } => None,
    });
    functions.collect()
}

/// Whether and which function must be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice<'a> {
    Auto,
    None,
    Any,
    This(&'a str),
}

impl Choice<'_> {
    /// Whether an answer without a call is none.
    pub(super) fn is_forced(self) -> bool {
        matches!(self, Self::Any | Self::This(_))
    }
}

/// The choice that a request makes.
pub(super) fn choice(request: &LlmRequest) -> Choice<'_> {
    match &request.tool_choice {
        ToolChoice::Auto | ToolChoice::Named(NamedTool::Mcp { .. }) => Choice::Auto,
        ToolChoice::None => Choice::None,
        ToolChoice::Required => Choice::Any,
        ToolChoice::Named(NamedTool::Function { name }) => Choice::This(name),
    }
}

/// How much thinking is asked for: the word itself, or the protocol's `{ "effort": word }`.
pub(super) fn effort(request: &LlmRequest) -> Option<&str> {
    let effort = request.reasoning_effort.as_ref()?;
    effort.get("effort").unwrap_or(effort).as_str()
}

/// A count of tokens as a vendor writes it; zero where there is none.
pub(super) fn count(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap_or(0)).unwrap_or(u32::MAX)
}
