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

use super::{Arguments, Caller, Outbound, OutboundError, SchemaError, signature};

/// Bytes of a result that are read.
const MAX_RESULT: usize = 64 * 1024;
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
#[derive(Debug, Clone)]
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
    headers: HeaderMap,
    arguments: Arguments,
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
        let tool = Self {
            arguments: Arguments::new(config.parameters.as_ref())?,
            outbound,
            config,
            headers,
        };
        // as far as the address is known without arguments
        let mut none = Value::Object(serde_json::Map::new());
        let address = tool.address(&mut none);
        tool.outbound
            .check(&address.map_err(HttpToolError::Address)?)?;
        Ok(tool)
    }

    /// Sends the arguments and reads what comes back.
    pub(super) async fn run(&self, call: &ToolCall, caller: &Caller) -> ToolOutcome {
        let arguments = match self.arguments.read(&call.arguments) {
            Ok(arguments) => arguments,
            Err(told) => return told,
        };
        let limit = self.config.limit;
        match timeout(limit, self.ask(&call.name, arguments, caller)).await {
            Ok(Ok(result)) => ToolOutcome::Returned(result),
            Ok(Err(told)) => ToolOutcome::Failed(told),
            Err(_) => ToolOutcome::Failed(format!("no answer within {} s", limit.as_secs_f32())),
        }
    }

    async fn ask(
        &self,
        name: &str,
        mut arguments: Value,
        caller: &Caller,
    ) -> Result<String, String> {
        let mut address = self.address(&mut arguments)?;
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
        Err(format!("HTTP {}: {told}", status.as_u16()))
    }

    /// The address with the arguments that it names, which are taken out of `arguments`.
    fn address(&self, arguments: &mut Value) -> Result<Url, String> {
        let mut text = self.config.url.clone();
        if let Some(arguments) = arguments.as_object_mut() {
            arguments.retain(|name, value| {
                let place = format!("{{{name}}}");
                if !text.contains(&place) {
                    return true;
                }
                let value = plain(value);
                let encoded: String = url::form_urlencoded::byte_serialize(value.as_bytes())
                    .collect::<String>()
                    // the form encoding's plus is a plus in a path
                    .replace('+', "%20");
                text = text.replace(&place, &encoded);
                false
            });
        }
        Url::parse(&text).map_err(|error| format!("{error}"))
    }
}

/// A value as people write it.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
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
