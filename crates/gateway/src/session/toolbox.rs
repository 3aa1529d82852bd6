//! The functions that the server runs for one session: the agent's, and those of MCP servers that the client names.
//! Held by the wiring, which runs them in tasks of their own.
//! Never decides whether a function is run: the engine does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use engine::session::ToolSource;
use providers::tools::{McpConfig, McpServer, Outbound, Runnable};
use serde_json::{Map, Value};
use wire::realtime::ErrorBody;
use wire::realtime::session::Tool;

/// How long a call of a client's MCP server may take.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// Said while it takes its time.
const FILLER: &str = "One moment, please.";
/// The caller hears nothing for so long before that, in ms.
const FILLER_AFTER_MS: u64 = 1000;

/// What a session can run.
pub struct Toolbox {
    outbound: Outbound,
    runnables: HashMap<String, Runnable>,
    /// The agent's MCP servers.
    servers: Vec<Arc<McpServer>>,
    /// The client's, with what it said of them.
    named: HashMap<String, (Tool, Arc<McpServer>)>,
}

impl Toolbox {
    /// An agent's functions and servers; both empty for a session without an agent.
    pub fn new(
        outbound: Outbound,
        runnables: HashMap<String, Runnable>,
        servers: Vec<Arc<McpServer>>,
    ) -> Self {
        Self {
            outbound,
            runnables,
            servers,
            named: HashMap::new(),
        }
    }

    /// The agent's MCP servers.
    pub(super) fn servers(&self) -> &[Arc<McpServer>] {
        &self.servers
    }

    /// Takes the client's list of MCP servers: those that are new and must be asked what they have, and what is wrong
    /// with others. Servers that are not named any more are left.
    pub(super) fn name_servers(
        &mut self,
        wanted: Vec<Tool>,
    ) -> (Vec<Arc<McpServer>>, Vec<ErrorBody>) {
        let (mut new, mut problems) = (Vec::new(), Vec::new());
        let mut before = std::mem::take(&mut self.named);
        for tool in wanted {
            let Tool::Mcp { server_label, rest } = &tool else {
                continue;
            };
            let label = server_label.clone();
            let kept = before.remove(&label).filter(|(known, _)| *known == tool);
            if let Some(kept) = kept {
                self.named.insert(label, kept);
                continue;
            }
            match self.open(&label, rest) {
                Ok(server) => {
                    let server = Arc::new(server);
                    new.push(Arc::clone(&server));
                    self.named.insert(label, (tool, server));
                }
                Err(message) => problems
                    .push(ErrorBody::invalid("mcp_server_unusable", message).at("session.tools")),
            }
        }
        (new, problems)
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

    /// The functions of a server are known: from now on they can be run.
    pub(super) fn learn(&mut self, source: &ToolSource) {
        let own = self
            .servers
            .iter()
            .find(|server| server.label() == source.label);
        let named = self.named.get(&source.label).map(|(_, server)| server);
        let Some(server) = own.or(named) else { return };
        for tool in &source.tools {
            self.runnables
                .entry(tool.name.clone())
                .or_insert_with(|| Runnable::Mcp(Arc::clone(server)));
        }
    }

    /// The function with this name.
    pub(super) fn find(&self, name: &str) -> Option<Runnable> {
        self.runnables.get(name).cloned()
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
