//! Tools of servers that speak the Model Context Protocol, over streamable HTTP, by the protocol's official client.
//! Opened by the gateway once per session and server.
//! Never offers such a server anything: no sampling, no files, no questions to the caller.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use engine::ask::{ServerTool, ToolCall, ToolOutcome, ToolRunner};
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use rmcp::ServiceExt as _;
use rmcp::model::{CallToolRequestParams, ClientConfig, JsonObject};
use rmcp::service::{RoleClient, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::timeout;
use url::Url;

use super::{Arguments, Outbound};

/// Time for a connection and the list of tools.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Bytes of one message that are read.
const MAX_MESSAGE: usize = 1024 * 1024;
/// Tools of one server that are offered; a model that has to choose among more chooses badly.
const MAX_TOOLS: usize = 128;

/// What an agent, or a client, says of such a server.
#[derive(Debug, Clone)]
pub struct McpConfig {
    /// Names it.
    pub label: String,
    /// Where it is.
    pub url: String,
    /// Sent along.
    pub headers: Vec<(String, String)>,
    /// Tools that may be used; all of them without a list.
    pub allowed: Option<Vec<String>>,
    /// How long one call may take.
    pub limit: Duration,
    /// Said while a call takes its time.
    pub filler: Option<String>,
    /// How long the caller hears nothing before that, in ms.
    pub filler_after_ms: u64,
}

/// Why such a server cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum McpError {
    /// Its address is none, or may not be asked.
    #[error("server_url: {0}")]
    Address(String),
    /// A header is none.
    #[error("headers: {0:?} cannot be sent")]
    Header(String),
    /// It does not answer as such a server should.
    #[error("mcp server {label} {problem}")]
    Server {
        /// Which.
        label: String,
        /// What is wrong.
        problem: String,
    },
}

/// A server of tools.
pub struct McpServer {
    config: McpConfig,
    outbound: Outbound,
    headers: HashMap<HeaderName, HeaderValue>,
    /// The connection, made when it is first needed and made anew when it broke.
    connection: Mutex<Option<Arc<RunningService<RoleClient, ClientConfig>>>>,
    /// Arguments of its tools, by their names.
    arguments: OnceLock<HashMap<String, Arguments>>,
}

impl McpServer {
    /// The server that `config` describes, reached through `outbound`; not connected yet.
    ///
    /// # Errors
    /// [`McpError::Address`], [`McpError::Header`].
    pub fn new(config: McpConfig, outbound: Outbound) -> Result<Self, McpError> {
        let address =
            Url::parse(&config.url).map_err(|error| McpError::Address(error.to_string()))?;
        outbound
            .check(&address)
            .map_err(|error| McpError::Address(error.to_string()))?;
        let mut headers = HashMap::new();
        for (name, value) in &config.headers {
            let refused = || McpError::Header(name.clone());
            let key: HeaderName = name.parse().map_err(|_| refused())?;
            let mut value = HeaderValue::from_str(value).map_err(|_| refused())?;
            value.set_sensitive(key == AUTHORIZATION);
            headers.insert(key, value);
        }
        Ok(Self {
            config,
            outbound,
            headers,
            connection: Mutex::default(),
            arguments: OnceLock::new(),
        })
    }

    /// Its label.
    pub fn label(&self) -> &str {
        &self.config.label
    }

    /// What it offers, as far as it is allowed.
    ///
    /// # Errors
    /// [`McpError::Server`].
    pub async fn tools(&self) -> Result<Vec<ServerTool>, McpError> {
        let listing = async {
            let connection = self.connect().await?;
            let listed = connection.list_all_tools().await;
            listed.map_err(|error| self.problem(&format!("lists no tools: {error}")))
        };
        let listed = timeout(CONNECT_LIMIT, listing)
            .await
            .map_err(|_| self.problem("does not answer"))??;
        let allowed = |name: &str| match &self.config.allowed {
            None => true,
            Some(list) => list.iter().any(|allowed| allowed == name),
        };
        let mut schemas = HashMap::new();
        let mut tools = Vec::new();
        for tool in listed
            .into_iter()
            .filter(|tool| allowed(&tool.name))
            .take(MAX_TOOLS)
        {
            let parameters = Value::Object((*tool.input_schema).clone());
            let name = tool.name.into_owned();
            // a server's own schema that cannot be read does not keep its tool from being called
            let arguments = Arguments::new(Some(&parameters)).or_else(|_| Arguments::new(None));
            if let Ok(arguments) = arguments {
                schemas.insert(name.clone(), arguments);
            }
            tools.push(ServerTool {
                name,
                description: tool.description.map(std::borrow::Cow::into_owned),
                parameters: Some(parameters),
                runner: ToolRunner::Detached,
                filler: self.config.filler.clone(),
                filler_after_ms: self.config.filler_after_ms,
            });
        }
        // listed again after a reconnection, the tools are the same
        let _ = self.arguments.set(schemas);
        Ok(tools)
    }

    pub(super) async fn run(&self, call: &ToolCall) -> ToolOutcome {
        let known = self.arguments.get().and_then(|known| known.get(&call.name));
        let arguments = match known.map(|known| known.read(&call.arguments)) {
            Some(Ok(arguments)) => arguments,
            Some(Err(told)) => return told,
            None => return ToolOutcome::Failed("there is no such tool".to_owned()),
        };
        let arguments = match arguments {
            Value::Object(arguments) => arguments,
            _ => JsonObject::new(),
        };
        let limit = self.config.limit;
        match timeout(limit, self.ask(&call.name, arguments)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => ToolOutcome::Failed(error.to_string()),
            Err(_) => ToolOutcome::Failed(format!("no answer within {} s", limit.as_secs_f32())),
        }
    }

    async fn ask(&self, name: &str, arguments: JsonObject) -> Result<ToolOutcome, McpError> {
        let connection = self.connect().await?;
        let call = CallToolRequestParams::new(name.to_owned()).with_arguments(arguments);
        let result = connection
            .call_tool(call)
            .await
            .map_err(|error| self.problem(&format!("failed: {error}")))?;
        let mut text = String::new();
        for part in &result.content {
            if let Some(part) = part.as_text() {
                if !text.is_empty() {
                    text.push('\n');
                }
                text.push_str(&part.text);
            }
        }
        if let Some(structured) = result.structured_content.filter(|_| text.is_empty()) {
            text = structured.to_string();
        }
        Ok(if result.is_error == Some(true) {
            ToolOutcome::Failed(text)
        } else {
            ToolOutcome::Returned(text)
        })
    }

    async fn connect(&self) -> Result<Arc<RunningService<RoleClient, ClientConfig>>, McpError> {
        let mut connection = self.connection.lock().await;
        if let Some(open) = connection
            .as_ref()
            .filter(|open| !open.is_transport_closed())
        {
            return Ok(Arc::clone(open));
        }
        let mut config = StreamableHttpClientTransportConfig::with_uri(self.config.url.as_str());
        config.custom_headers = self.headers.clone();
        config.max_sse_event_size = MAX_MESSAGE;
        let client = self.outbound.client().clone();
        let transport = StreamableHttpClientTransport::with_client(client, config);
        let opened = timeout(CONNECT_LIMIT, ClientConfig::default().serve(transport))
            .await
            .map_err(|_| self.problem("does not answer"))?
            .map_err(|error| self.problem(&format!("cannot be used: {error}")))?;
        let opened = Arc::new(opened);
        *connection = Some(Arc::clone(&opened));
        Ok(opened)
    }

    fn problem(&self, problem: &str) -> McpError {
        McpError::Server {
            label: self.config.label.clone(),
            problem: problem.to_owned(),
        }
    }
}
