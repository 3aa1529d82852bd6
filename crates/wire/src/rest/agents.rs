//! Agents: who answers, under a name. The body of `/v1/agents` and the content of an agent's TOML file.
//! Read by the gateway's agents, written by its REST routes.
//! Never shows a secret: what is written once is read as `(hidden)`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// What a secret is shown as; written back, it keeps the one that is stored.
pub const HIDDEN: &str = "(hidden)";

/// A text that is written and never read again.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = "password")]
pub struct SecretText(pub String);

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl SecretText {
    fn hidden() -> Self {
        Self(HIDDEN.to_owned())
    }

    /// Whether it is only what secrets are shown as.
    fn is_hidden(&self) -> bool {
        self.0 == HIDDEN
    }
}

/// Limits of an agent's conversations; the server's own count as well.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AgentLimits {
    /// Longest conversation, in s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_duration_s: Option<u64>,
    /// Tokens of one answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
}

/// How a request of a tool is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    /// Arguments go into the query.
    Get,
    /// Arguments are the JSON body, here and below.
    #[default]
    Post,
    /// As `POST`.
    Put,
    /// As `POST`.
    Patch,
    /// As `POST`.
    Delete,
}

/// A function that an agent may use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum AgentTool {
    /// A function that the client runs, as in `session.tools`.
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
    /// A function that the server runs by an HTTP request.
    Http {
        /// Function name.
        name: String,
        /// What it does, for the model.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        /// JSON Schema of its arguments; what does not fit is not sent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parameters: Option<Value>,
        /// Where to; `{argument}` stands for that argument.
        url: String,
        /// How.
        #[serde(default)]
        method: HttpMethod,
        /// Sent along.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        headers: BTreeMap<String, SecretText>,
        /// Signs the requests (Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        secret: Option<SecretText>,
        /// How long the answer may take, in ms; 10,000 when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_ms: Option<u64>,
        /// Said while it takes its time; a phrase of the server's when absent, nothing when empty.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        filler: Option<String>,
        /// How long the caller hears nothing before that, in ms; 1,000 when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        filler_after_ms: Option<u64>,
    },
    /// The functions of an MCP server (streamable HTTP).
    Mcp {
        /// Names the server.
        server_label: String,
        /// Where it is.
        server_url: String,
        /// Sent as the `Authorization` header.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        authorization: Option<SecretText>,
        /// Sent along.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        headers: BTreeMap<String, SecretText>,
        /// Functions that may be used; all when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        allowed_tools: Option<Vec<String>>,
        /// How long one call may take, in ms; 30,000 when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_ms: Option<u64>,
        /// Said while a call takes its time, as with `http`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        filler: Option<String>,
    },
    /// The agent may end the conversation.
    EndCall {},
    /// The agent may pass the caller on; whoever holds the telephone line does it.
    TransferCall {
        /// Who there is to take a caller over: numbers in international form, by names such as `sales`. The agent can pass callers on
        /// to nobody else.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        targets: BTreeMap<String, String>,
    },
    /// The agent may stop recording the call for a while, for somebody who reads out the number of a card; whoever holds the
    /// telephone line does it.
    PauseRecording {},
    /// The agent may press keys; whoever holds the telephone line does it.
    SendDtmf {},
    /// The agent may ask a stronger model what to say or do next.
    Reason {
        /// The pipeline whose language model is asked; the conversation's own when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pipeline: Option<String>,
        /// How long advice is waited for, in ms; 2,000 when absent. Later the standard script goes on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        budget_ms: Option<u64>,
        /// Said after 600 ms without advice, as with `http`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        filler: Option<String>,
    },
}

impl AgentTool {
    /// What distinguishes it from its neighbours: the function's name or the server's label.
    pub fn name(&self) -> &str {
        match self {
            Self::Function { name, .. } | Self::Http { name, .. } => name,
            Self::Mcp { server_label, .. } => server_label,
            Self::EndCall {} => "end_call",
            Self::TransferCall { .. } => "transfer_call",
            Self::PauseRecording {} => "pause_recording",
            Self::SendDtmf {} => "send_dtmf",
            Self::Reason { .. } => "reason",
        }
    }

    /// Every secret in it, by its place.
    fn secrets(&mut self) -> Vec<(String, &mut SecretText)> {
        let (headers, single, name) = match self {
            Self::Http {
                headers, secret, ..
            } => (headers, secret, "secret"),
            Self::Mcp {
                headers,
                authorization,
                ..
            } => (headers, authorization, "authorization"),
            _ => return Vec::new(),
        };
        let named = headers
            .iter_mut()
            .map(|(name, value)| (format!("headers.{name}"), value));
        let single = single.iter_mut().map(|value| (name.to_owned(), value));
        named.chain(single).collect()
    }

    /// Where its secrets go.
    fn address(&self) -> Option<&str> {
        match self {
            Self::Http { url, .. } => Some(url),
            Self::Mcp { server_url, .. } => Some(server_url),
            _ => None,
        }
    }
}

/// What an agent is; every field may be absent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AgentSpec {
    /// System prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// Voice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voice: Option<String>,
    /// ISO-639-1 code of the language that callers speak.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Who listens, thinks and speaks: a pipeline's name; the server's default when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// Said first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub greeting: Option<String>,
    /// The id of a question set (`/v1/surveys`) that it asks, aloud, in place of a language model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub survey: Option<String>,
    /// `turn_detection` as in a realtime session, or `none` for push-to-talk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn_detection: Option<Value>,
    /// Limits of its conversations.
    #[serde(skip_serializing_if = "is_default")]
    pub limits: AgentLimits,
    /// What it may use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<AgentTool>,
}

fn is_default(limits: &AgentLimits) -> bool {
    *limits == AgentLimits::default()
}

impl AgentSpec {
    /// The same with every secret hidden.
    #[must_use]
    pub fn hidden(mut self) -> Self {
        for tool in &mut self.tools {
            for (_, secret) in tool.secrets() {
                *secret = SecretText::hidden();
            }
        }
        self
    }

    /// Takes the secrets of `stored` where only the mask was written: of the tool with the same name, at the same place,
    /// whose address leads to the same server, which `same_server` tells of two addresses. Elsewhere the mask stays,
    /// and [`AgentSpec::hidden_place`] tells where: a secret does not follow an address that was changed.
    pub fn keep_secrets(&mut self, stored: &Self, same_server: impl Fn(&str, &str) -> bool) {
        for tool in &mut self.tools {
            let before = stored.tools.iter().find(|other| {
                let addresses = other.address().zip(tool.address());
                other.name() == tool.name() && addresses.is_some_and(|(a, b)| same_server(a, b))
            });
            let mut before = before.cloned();
            let known: BTreeMap<String, SecretText> = before
                .iter_mut()
                .flat_map(AgentTool::secrets)
                .map(|(place, secret)| (place, secret.clone()))
                .collect();
            for (place, secret) in tool.secrets() {
                if let Some(known) = known.get(&place).filter(|_| secret.is_hidden()) {
                    secret.clone_from(known);
                }
            }
        }
    }

    /// The first place where the mask stands instead of a secret, for example `tools[1].headers.x-key`.
    pub fn hidden_place(&self) -> Option<String> {
        self.clone()
            .tools
            .iter_mut()
            .enumerate()
            .find_map(|(at, tool)| {
                let mut secrets = tool.secrets().into_iter();
                let (place, _) = secrets.find(|(_, secret)| secret.is_hidden())?;
                Some(format!("tools[{at}].{place}"))
            })
    }

    /// Replaces every secret by what `change` makes of it.
    ///
    /// # Errors
    /// The first of `change`.
    pub fn map_secrets<E>(
        &mut self,
        mut change: impl FnMut(&str) -> Result<String, E>,
    ) -> Result<(), E> {
        for tool in &mut self.tools {
            for (_, secret) in tool.secrets() {
                secret.0 = change(&secret.0)?;
            }
        }
        Ok(())
    }
}

/// Where an agent comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentSource {
    /// It was made over REST.
    Api,
    /// A file in the agents' folder.
    File,
}

/// An agent as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Agent {
    /// `agent`.
    pub object: &'static str,
    /// Its name: `model=agent:NAME` asks for it.
    pub name: String,
    /// Where it comes from; one in a file is changed there.
    pub source: AgentSource,
    /// Unix seconds; null for a file.
    pub created_at: Option<i64>,
    /// Unix seconds; null for a file.
    pub updated_at: Option<i64>,
    /// What it is.
    #[serde(flatten)]
    pub spec: AgentSpec,
}

/// A new agent.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
pub struct CreateAgent {
    /// Its name: 1 to 64 letters, digits, `-` and `_`.
    pub name: String,
    /// What it is.
    #[serde(flatten)]
    pub spec: Value,
}

/// Agents, in the order of their names.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AgentList {
    /// `list`.
    pub object: &'static str,
    /// The agents.
    pub data: Vec<Agent>,
}

/// An agent that is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AgentDeleted {
    /// `agent.deleted`.
    pub object: &'static str,
    /// Its name.
    pub name: String,
    /// True.
    pub deleted: bool,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(secret: &str) -> AgentSpec {
        serde_json::from_value(json!({
            "greeting": "Hello.",
            "tools": [
                { "type": "http", "name": "look_up", "url": "https://example.org", "secret": secret,
                  "headers": { "x-key": secret } },
                { "type": "mcp", "server_label": "docs", "server_url": "https://example.org", "authorization": secret },
                { "type": "end_call" }
            ]
        }))
        .unwrap()
    }

    #[test]
    fn secrets_are_written_and_not_read() {
        let shown = serde_json::to_string(&spec("s3cret").hidden()).unwrap();
        assert!(
            !shown.contains("s3cret") && shown.matches(HIDDEN).count() == 3,
            "{shown}"
        );
        assert!(!format!("{:?}", spec("s3cret")).contains("s3cret"));
    }

    #[test]
    fn a_mask_that_is_written_back_keeps_the_secret() {
        let mut written = spec(HIDDEN);
        written.keep_secrets(&spec("s3cret"), |a, b| a == b);
        assert_eq!(written, spec("s3cret"));
        assert_eq!(written.hidden_place(), None);
        let mut changed = spec("new");
        changed.keep_secrets(&spec("s3cret"), |a, b| a == b);
        assert_eq!(changed, spec("new"));
    }

    #[test]
    fn a_mask_that_hides_nothing_stays_and_is_found() {
        let mut elsewhere = spec(HIDDEN);
        elsewhere.keep_secrets(&spec("s3cret"), |_, _| false);
        assert_eq!(elsewhere, spec(HIDDEN));
        assert_eq!(
            elsewhere.hidden_place().as_deref(),
            Some("tools[0].headers.x-key")
        );
        elsewhere.tools.remove(0);
        assert_eq!(
            elsewhere.hidden_place().as_deref(),
            Some("tools[0].authorization")
        );
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for wrong in [
            json!({ "instruction": "typo" }),
            json!({ "tools": [{ "type": "ftp", "name": "x" }] }),
            json!({ "tools": [{ "type": "http", "name": "x", "url": "https://a", "retries": 3 }] }),
            json!({ "tools": [{ "type": "end_call", "now": true }] }),
        ] {
            assert!(
                serde_json::from_value::<AgentSpec>(wrong.clone()).is_err(),
                "{wrong}"
            );
        }
    }
}
