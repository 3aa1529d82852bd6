//! Tools of servers that speak the Model Context Protocol, over streamable HTTP, by the protocol's official client.
//! Opened by the gateway once per session and server.
//! Never offers such a server anything: no sampling, no files, no questions to the caller.

mod listing;
mod result;
mod trouble;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use engine::ask::{ServerTool, ToolCall};
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use rmcp::ServiceExt as _;
use rmcp::model::{CallToolRequestParams, ClientConfig, JsonObject, PaginatedRequestParams};
use rmcp::service::{RoleClient, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::timeout;
use url::Url;

use super::{Outbound, Ran};
use listing::{Known, MAX_TOOLS};

/// Time for a connection and the list of tools.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Bytes of one message that are read.
const MAX_MESSAGE: usize = 1024 * 1024;
/// Pages of its list that are read.
const MAX_PAGES: usize = 10;

/// What an agent, or a client, says of such a server.
#[derive(Clone)]
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

impl std::fmt::Debug for McpConfig {
    /// Without its headers and its address, which may hold keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("McpConfig")
            .field("label", &self.label)
            .field("allowed", &self.allowed)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
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
    /// Its tools as it listed them last, by the names that models see.
    known: RwLock<HashMap<String, Arc<Known>>>,
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
            known: RwLock::default(),
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
        let listed = timeout(CONNECT_LIMIT, self.list())
            .await
            .map_err(|_| self.problem("does not answer"))??;
        let (known, tools) = listing::read(listed, &self.config);
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(tools)
    }

    /// Pages of its list, as many as are wanted: a server that goes on for ever is left.
    async fn list(&self) -> Result<Vec<rmcp::model::Tool>, McpError> {
        let connection = self.connect().await?;
        let mut tools = Vec::new();
        let mut cursor = None;
        for _ in 0..MAX_PAGES {
            let page = PaginatedRequestParams::default().with_cursor(cursor);
            let page = connection.list_tools(Some(page)).await;
            let page = page.map_err(|error| {
                self.problem(&format!("lists no tools: {}", trouble::of_service(&error)))
            })?;
            tools.extend(
                page.tools
                    .into_iter()
                    .filter(|tool| self.allows(&tool.name)),
            );
            cursor = page.next_cursor;
            if cursor.is_none() || tools.len() >= MAX_TOOLS {
                break;
            }
        }
        tools.truncate(MAX_TOOLS);
        Ok(tools)
    }

    fn allows(&self, name: &str) -> bool {
        let listed = self.config.allowed.as_ref();
        listed.is_none_or(|list| list.iter().any(|allowed| allowed == name))
    }

    pub(super) async fn run(&self, call: &ToolCall) -> Ran {
        let known = {
            let all = self.known.read().unwrap_or_else(PoisonError::into_inner);
            all.get(&call.name).cloned()
        };
        let Some(known) = known else {
            return Ran::failed("there is no such tool".to_owned());
        };
        let arguments = match known.arguments.read(&call.arguments) {
            Ok(Value::Object(arguments)) => arguments,
            Ok(_) => JsonObject::new(),
            Err(told) => return Ran::refused(told),
        };
        let limit = self.config.limit;
        match timeout(limit, self.ask(&known.name, arguments)).await {
            Ok(Ok(ran)) => ran,
            Ok(Err(error)) => Ran::failed(error.to_string()),
            Err(_) => Ran::failed(format!("no answer within {} s", limit.as_secs_f32())),
        }
    }

    async fn ask(&self, name: &str, arguments: JsonObject) -> Result<Ran, McpError> {
        let connection = self.connect().await?;
        let call = CallToolRequestParams::new(name.to_owned()).with_arguments(arguments);
        let result = connection.call_tool(call).await;
        let result = result
            .map_err(|error| self.problem(&format!("failed: {}", trouble::of_service(&error))))?;
        Ok(result::read(result))
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
            .map_err(|error| {
                self.problem(&format!("cannot be used: {}", trouble::of_start(&error)))
            })?;
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
