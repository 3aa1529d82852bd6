//! Functions that the server runs for a model: over HTTP, on MCP servers, and by asking a stronger model.
//! Made by the gateway from an agent's tools; run by the session's wiring.
//! Never lets a model, or whoever wrote an agent, reach an address inside the operator's network.

mod arguments;
mod http;
mod mcp;
mod outbound;
mod reason;
pub(crate) mod signature;
mod template;

use std::sync::Arc;

use engine::ask::{ToolCall, ToolOutcome};

pub use self::arguments::{Arguments, SchemaError};
pub use self::http::{HttpTool, HttpToolConfig, HttpToolError, Method};
pub use self::mcp::{McpConfig, McpError, McpServer};
pub use self::outbound::{Outbound, OutboundError};
pub use self::reason::{Reason, STANDARD_SCRIPT};

/// Bytes of a result that a model reads; what is longer is cut.
const MAX_RESULT: usize = 64 * 1024;

/// For whom a function is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The session's id.
    pub session: String,
    /// Names this one call, for servers that must not do a thing twice.
    pub call: String,
    /// Unix seconds.
    pub at: i64,
}

/// What became of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// What the model reads.
    pub outcome: ToolOutcome,
    /// Why it failed, for the log: no words of the conversation, nothing that a server sent. `None` when it did not
    /// fail. A failure need not be one for the model, which may go on with what it reads.
    pub cause: Option<String>,
}

impl Ran {
    fn returned(text: String) -> Self {
        Self {
            outcome: ToolOutcome::Returned(text),
            cause: None,
        }
    }

    /// It failed, in words of ours.
    fn failed(told: String) -> Self {
        Self {
            cause: Some(told.clone()),
            outcome: ToolOutcome::Failed(told),
        }
    }

    /// Its arguments do not fit; `told` repeats them.
    fn refused(told: ToolOutcome) -> Self {
        Self {
            outcome: told,
            cause: Some("the arguments do not fit the schema".to_owned()),
        }
    }
}

/// A function that can be run.
#[derive(Clone)]
pub enum Runnable {
    /// An HTTP request.
    Http(Arc<HttpTool>),
    /// A tool of an MCP server.
    Mcp(Arc<McpServer>),
    /// A stronger model's advice.
    Reason(Arc<Reason>),
}

impl Runnable {
    /// Runs it to its end; dropping the future gives up. Every failure is an outcome that the model can read.
    pub async fn run(&self, call: &ToolCall, caller: &Caller) -> Ran {
        match self {
            Self::Http(tool) => tool.run(call, caller).await,
            Self::Mcp(server) => server.run(call).await,
            Self::Reason(reason) => reason.run(call, caller).await,
        }
    }

    /// What kind it is, for metrics and bills.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::Mcp(_) => "mcp",
            Self::Reason(_) => "reason",
        }
    }
}
