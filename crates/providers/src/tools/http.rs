//! A function that is an HTTP request: arguments out as JSON, whatever text comes back is the result.
//! Made by the gateway from an agent's tools.
//! Never tried twice: nobody knows what the first try has done.

use std::time::Duration;

use engine::ask::{ToolCall, ToolOutcome};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;
use serde_json::Value;
use tokio::time::timeout;
use url::Url;

use super::template::{Template, plain};
use super::{Arguments, Caller, MAX_RESULT, Outbound, OutboundError, Ran, SchemaError, signature};

/// Characters of an error's body that the model is told.
const MAX_REASON: usize = 500;

/// How a request is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// Arguments go into the query.
    Get,
    /// Arguments are the body, here and below.
    #[default]
    Post,
    /// As `Post`.
    Put,
    /// As `Post`.
    Patch,
    /// As `Post`.
    Delete,
}

/// What an agent says of such a function.
#[derive(Clone)]
pub struct HttpToolConfig {
    /// Where to; `{name}` in its path or query stands for an argument, which is not sent again.
    pub url: String,
    /// How.
    pub method: Method,
    /// Sent along.
    pub headers: Vec<(String, String)>,
    /// Signs the request, when there is one.
    pub secret: Option<SecretString>,
    /// How long the answer may take.
    pub limit: Duration,
    /// JSON Schema of the arguments.
    pub parameters: Option<Value>,
}

impl std::fmt::Debug for HttpToolConfig {
    /// Without its headers and its address, which may hold keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpToolConfig")
            .field("method", &self.method)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// Why such a function cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpToolError {
    /// Its address is none, or may not be asked.
    #[error("url: {0}")]
    Address(String),
    /// A header is none.
    #[error("headers: {0:?} cannot be sent")]
    Header(String),
    /// Its schema is none.
    #[error("parameters: {0}")]
    Schema(#[from] SchemaError),
}

impl From<OutboundError> for HttpToolError {
    fn from(error: OutboundError) -> Self {
        Self::Address(error.to_string())
    }
}

/// A function behind HTTP.
pub struct HttpTool {
    outbound: Outbound,
    config: HttpToolConfig,
    address: Template,
    headers: HeaderMap,
    arguments: Arguments,
}

/// What the model is told of a failure, and what the log is, which holds nothing that was said or sent.
struct Trouble {
    told: String,
    cause: String,
}

impl From<String> for Trouble {
    fn from(told: String) -> Self {
        Self {
            cause: told.clone(),
            told,
        }
    }
}

impl HttpTool {
    /// The function that `config` describes, reached through `outbound`.
    ///
    /// # Errors
    /// [`HttpToolError`], which names the field.
    pub fn new(config: HttpToolConfig, outbound: Outbound) -> Result<Self, HttpToolError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &config.headers {
            let refused = || HttpToolError::Header(name.clone());
            let key: HeaderName = name.parse().map_err(|_| refused())?;
            let mut value = HeaderValue::from_str(value).map_err(|_| refused())?;
            value.set_sensitive(true);
            headers.insert(key, value);
        }
        let address = Template::new(&config.url).map_err(HttpToolError::Address)?;
        // as far as the address is known without arguments
        outbound.check(&address.bare().map_err(HttpToolError::Address)?)?;
        Ok(Self {
            arguments: Arguments::new(config.parameters.as_ref())?,
            outbound,
            config,
            address,
            headers,
        })
    }

    /// Sends the arguments and reads what comes back.
    pub(super) async fn run(&self, call: &ToolCall, caller: &Caller) -> Ran {
        let arguments = match self.arguments.read(&call.arguments) {
            Ok(arguments) => arguments,
            Err(told) => return Ran::refused(told),
        };
        let limit = self.config.limit;
        match timeout(limit, self.ask(&call.name, arguments, caller)).await {
            Ok(Ok(result)) => Ran::returned(result),
            Ok(Err(trouble)) => Ran {
                outcome: ToolOutcome::Failed(trouble.told),
                cause: Some(trouble.cause),
            },
            Err(_) => Ran::failed(format!("no answer within {} s", limit.as_secs_f32())),
        }
    }

    async fn ask(
        &self,
        name: &str,
        mut arguments: Value,
        caller: &Caller,
    ) -> Result<String, Trouble> {
        let mut address = match arguments.as_object_mut() {
            Some(arguments) => self.address.fill(arguments)?,
            None => self.address.bare()?,
        };
        self.outbound
            .check(&address)
            .map_err(|error| error.to_string())?;
        let method = match self.config.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Patch => reqwest::Method::PATCH,
            Method::Delete => reqwest::Method::DELETE,
        };
        let body = if self.config.method == Method::Get {
            add_query(&mut address, &arguments);
            Vec::new()
        } else {
            arguments.to_string().into_bytes()
        };
        let mut request = self
            .outbound
            .client()
            .request(method, address)
            .headers(self.headers.clone())
            .header("antiphon-session", &caller.session)
            .header("antiphon-tool", name)
            .header("webhook-id", &caller.call)
            .header("webhook-timestamp", caller.at.to_string());
        if let Some(secret) = &self.config.secret {
            let signed = signature::sign(secret, &caller.call, caller.at, &body);
            request = request.header("webhook-signature", signed);
        }
        if self.config.method != Method::Get {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let response = request.send().await.map_err(|error| reason(&error))?;
        let status = response.status();
        let text = read(response).await?;
        if status.is_success() {
            return Ok(text);
        }
        let told: String = text.chars().take(MAX_REASON).collect();
        Err(Trouble {
            told: format!("HTTP {}: {told}", status.as_u16()),
            cause: format!("HTTP {}", status.as_u16()),
        })
    }
}

fn add_query(address: &mut Url, arguments: &Value) {
    let Some(arguments) = arguments.as_object().filter(|them| !them.is_empty()) else {
        return;
    };
    let mut query = address.query_pairs_mut();
    for (name, value) in arguments {
        query.append_pair(name, &plain(value));
    }
}

async fn read(mut response: reqwest::Response) -> Result<String, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| reason(&error))? {
        let room = MAX_RESULT - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == MAX_RESULT {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// Why a request went wrong, without its address, which may hold a key.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    if let Some(refused) = cause.downcast_ref::<OutboundError>() {
        return refused.to_string();
    }
    if error.is_connect() {
        "the server cannot be reached".to_owned()
    } else {
        "the connection broke".to_owned()
    }
}
