//! Tools of a session, and the choice among them.
//! Sent by clients, echoed to them, offered to models.
//! Never shows what opens an MCP server.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A tool the model may use; kept as the client sent it, checked by the decoder. What opens an MCP server is kept as
/// well and never written.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Tool {
    /// A function the client runs.
    Function {
        /// Function name.
        name: String,
        /// What it does, for the model.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        /// JSON Schema of its arguments.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parameters: Option<Value>,
    },
    /// Tools of an MCP server.
    Mcp {
        /// Label of the server.
        server_label: String,
        /// All other fields, as sent; `authorization` and `headers` are not shown to anybody.
        #[serde(flatten, serialize_with = "without_secrets")]
        rest: Map<String, Value>,
    },
}

/// What labels of an agent's own MCP servers begin with. A client's never do, so that neither is taken for the other.
pub const AGENT_LABEL: &str = "agent/";

/// Fields of an MCP tool that open its server.
const SECRETS: [&str; 2] = ["authorization", "headers"];

fn without_secrets<S: Serializer>(
    rest: &Map<String, Value>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let shown = rest
        .iter()
        .filter(|(key, _)| !SECRETS.contains(&key.as_str()));
    serializer.collect_map(shown)
}

impl std::fmt::Debug for Tool {
    /// Of an MCP server only the label and which fields it has.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Function {
                name,
                description,
                parameters,
            } => f
                .debug_struct("Function")
                .field("name", name)
                .field("description", description)
                .field("parameters", parameters)
                .finish(),
            Self::Mcp { server_label, rest } => f
                .debug_struct("Mcp")
                .field("server_label", server_label)
                .field("fields", &rest.keys().collect::<Vec<_>>())
                .finish(),
        }
    }
}

/// Whether and which tool must be used.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolChoice {
    /// No tool.
    None,
    /// The model decides.
    #[default]
    Auto,
    /// Some tool.
    Required,
    /// This function, or this MCP server's tool.
    #[serde(untagged)]
    Named(NamedTool),
}

/// A particular tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum NamedTool {
    /// A function by name.
    Function {
        /// Its name.
        name: String,
    },
    /// An MCP server, or one tool of it.
    Mcp {
        /// Label of the server.
        server_label: String,
        /// Tool name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_opens_a_server_is_kept_and_not_shown() {
        let sent = json!({ "type": "mcp", "server_label": "docs", "server_url": "https://example.org/mcp",
            "authorization": "s3cret", "headers": { "x-key": "s3cret" }, "require_approval": "never" });
        let tool: Tool = serde_json::from_value(sent).unwrap();
        let Tool::Mcp { rest, .. } = &tool else {
            panic!("{tool:?}");
        };
        assert_eq!(rest["authorization"], "s3cret");
        assert_eq!(
            serde_json::to_value(&tool).unwrap(),
            json!({ "type": "mcp", "server_label": "docs", "server_url": "https://example.org/mcp",
                "require_approval": "never" })
        );
        assert!(!format!("{tool:?}").contains("s3cret"), "{tool:?}");
    }
}
