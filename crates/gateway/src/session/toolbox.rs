//! The functions that the server runs for one session: the agent's, and those of MCP servers that the client names.
//! Held by the wiring, which runs them in tasks of their own.
//! Never decides whether a function is run: the engine does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use engine::ask::ServerTool;
use engine::session::{Input, ToolSource};
use providers::tools::{McpConfig, McpError, McpServer, Outbound, Runnable};
use serde_json::{Map, Value};
use wire::realtime::ErrorBody;
use wire::realtime::session::{AGENT_LABEL, Tool};

/// How long a call of a client's MCP server may take.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// Said while it takes its time.
const FILLER: &str = "One moment, please.";
/// The caller hears nothing for so long before that, in ms.
const FILLER_AFTER_MS: u64 = 1000;

/// What a session can run.
pub struct Toolbox {
    outbound: Outbound,
    /// The agent's functions that are known from the start.
    runnables: HashMap<String, Runnable>,
    /// MCP servers in the order in which the engine has learned what they have, so that both sides mean the same
    /// server where two have a function of one name.
    sources: Vec<Source>,
}

/// An MCP server of the session.
struct Source {
    label: String,
    /// What the client said of it; `None` for the agent's.
    wanted: Option<Tool>,
    server: Arc<McpServer>,
    /// What it has, once it has told.
    tools: Option<Vec<String>>,
    /// Whether the client was told that it does not answer.
    complained: bool,
}

/// A server's answer to the question what it has.
pub(super) struct Listing {
    pub(super) label: String,
    pub(super) server: Arc<McpServer>,
    pub(super) listed: Result<Vec<ServerTool>, McpError>,
}

impl Toolbox {
    /// An agent's functions and servers; both empty for a session without an agent.
    pub fn new(
        outbound: Outbound,
        runnables: HashMap<String, Runnable>,
        servers: Vec<Arc<McpServer>>,
    ) -> Self {
        let source = |server: Arc<McpServer>| Source {
            label: format!("{AGENT_LABEL}{}", server.label()),
            wanted: None,
            server,
            tools: None,
            complained: false,
        };
        Self {
            outbound,
            runnables,
            sources: servers.into_iter().map(source).collect(),
        }
    }

    /// Servers that have not told what they have, by their labels.
    pub(super) fn unlisted(&self) -> Vec<(String, Arc<McpServer>)> {
        let unlisted = self.sources.iter().filter(|source| source.tools.is_none());
        unlisted
            .map(|source| (source.label.clone(), Arc::clone(&source.server)))
            .collect()
    }

    /// Takes the client's list of MCP servers. Those that are not named any more, or differently, are left, and so is
    /// what they have. Returns the labels of those that were left, and what is wrong with those that cannot be used.
    pub(super) fn name_servers(&mut self, wanted: Vec<Tool>) -> (Vec<String>, Vec<ErrorBody>) {
        let (mut left, mut problems) = (Vec::new(), Vec::new());
        self.sources.retain(|source| {
            let stays = source
                .wanted
                .as_ref()
                .is_none_or(|known| wanted.contains(known));
            if !stays {
                left.push(source.label.clone());
            }
            stays
        });
        for tool in wanted {
            let Tool::Mcp { server_label, rest } = &tool else {
                continue;
            };
            let label = server_label.clone();
            if self.sources.iter().any(|source| source.label == label) {
                continue;
            }
            match self.open(&label, rest) {
                Ok(server) => self.sources.push(Source {
                    label,
                    wanted: Some(tool),
                    server: Arc::new(server),
                    tools: None,
                    complained: false,
                }),
                Err(message) => problems
                    .push(ErrorBody::invalid("mcp_server_unusable", message).at("session.tools")),
            }
        }
        (left, problems)
    }

    fn open(&self, label: &str, rest: &Map<String, Value>) -> Result<McpServer, String> {
        let told = |what: &str| format!("MCP server '{label}': {what}");
        let Some(url) = rest.get("server_url").and_then(Value::as_str) else {
            return Err(told("this server reaches MCP servers by server_url only."));
        };
        if rest.get("require_approval").and_then(Value::as_str) != Some("never") {
            let what = "calls are not put before the client here: set require_approval to \"never\" if you trust the server.";
            return Err(told(what));
        }
        let mut headers: Vec<(String, String)> = Vec::new();
        for (name, value) in rest
            .get("headers")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            headers.push((name.clone(), value.as_str().unwrap_or_default().to_owned()));
        }
        if let Some(token) = rest.get("authorization").and_then(Value::as_str) {
            // an OAuth access token, without the scheme
            headers.push(("authorization".to_owned(), format!("Bearer {token}")));
        }
        let config = McpConfig {
            label: label.to_owned(),
            url: url.to_owned(),
            headers,
            allowed: rest.get("allowed_tools").and_then(allowed),
            limit: CALL_LIMIT,
            filler: Some(FILLER.to_owned()),
            filler_after_ms: FILLER_AFTER_MS,
        };
        McpServer::new(config, self.outbound.clone()).map_err(|error| told(&error.to_string()))
    }

    /// Whether the server that this is of still belongs to the session.
    pub(super) fn is_current(&self, listing: &Listing) -> bool {
        self.position(listing).is_some()
    }

    fn position(&self, listing: &Listing) -> Option<usize> {
        self.sources.iter().position(|source| {
            source.label == listing.label && Arc::ptr_eq(&source.server, &listing.server)
        })
    }

    /// A server has answered, or not. What the engine must be told of it: nothing, if the server was left meanwhile, or
    /// if it has been silent before.
    pub(super) fn learn(&mut self, listing: Listing) -> Option<Input> {
        let at = self.position(&listing)?;
        let Listing { label, listed, .. } = listing;
        match listed {
            Ok(tools) => {
                let mut source = self.sources.remove(at);
                source.tools = Some(tools.iter().map(|tool| tool.name.clone()).collect());
                self.sources.push(source);
                Some(Input::Tools(Box::new(ToolSource { label, tools })))
            }
            Err(error) => {
                if std::mem::replace(&mut self.sources[at].complained, true) {
                    return None;
                }
                let message = format!("{error}: its functions cannot be used until it answers.");
                let error = ErrorBody::server("mcp_server_unavailable", message);
                Some(Input::Problem(Box::new(error)))
            }
        }
    }

    /// The function with this name.
    pub(super) fn find(&self, name: &str) -> Option<Runnable> {
        if let Some(own) = self.runnables.get(name) {
            return Some(own.clone());
        }
        let has = |source: &&Source| {
            let tools = source.tools.as_ref();
            tools.is_some_and(|tools| tools.iter().any(|tool| tool == name))
        };
        let source = self.sources.iter().find(has)?;
        Some(Runnable::Mcp(Arc::clone(&source.server)))
    }
}

/// `["name"]` or `{"tool_names": ["name"]}`.
fn allowed(value: &Value) -> Option<Vec<String>> {
    let list = value
        .as_array()
        .or_else(|| value.get("tool_names")?.as_array())?;
    let names = list.iter().filter_map(Value::as_str);
    Some(names.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests;
