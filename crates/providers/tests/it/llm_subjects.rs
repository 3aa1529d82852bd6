//! The vendors of language models that stand behind HTTP, each with its fake.
//! Used by the suite for all of them, and by what is particular to one.
//! Knows no protocol.

use std::sync::Arc;

use engine::ask::LlmMessage;
use providers::{
    ProviderError, Vendor, http,
    llm::{AnthropicLlm, GeminiLlm, OllamaLlm, OpenAiLlm, ResponsesLlm},
    ports::Llm,
};
use serde_json::json;
use wire::realtime::session::Tool;

use crate::fakes::{
    Dialect, Fake, KEY, anthropic::Anthropic, gemini::Gemini, ollama::Ollama, openai::OpenAi,
    responses::Responses,
};

/// A vendor under test.
pub(crate) struct Subject {
    pub(crate) dialect: fn() -> Box<dyn Dialect>,
    pub(crate) open: fn(reqwest::Client, Vendor) -> Result<Arc<dyn Llm>, ProviderError>,
    /// Whether a vendor without a key is no vendor.
    pub(crate) needs_key: bool,
    /// The least limit on tokens that the vendor takes.
    pub(crate) least_limit: u32,
}

macro_rules! subject {
    ($dialect:expr, $llm:ident, needs_key: $needs_key:expr, least_limit: $least_limit:expr) => {
        Subject {
            dialect: || Box::new($dialect),
            open: |client, vendor| Ok(Arc::new($llm::new(client, vendor)?)),
            needs_key: $needs_key,
            least_limit: $least_limit,
        }
    };
}

pub(crate) const OPENAI: Subject = subject!(OpenAi, OpenAiLlm, needs_key: false, least_limit: 3);
pub(crate) const RESPONSES: Subject =
    subject!(Responses, ResponsesLlm, needs_key: false, least_limit: 16);
pub(crate) const ANTHROPIC: Subject =
    subject!(Anthropic, AnthropicLlm, needs_key: true, least_limit: 3);
pub(crate) const GEMINI: Subject =
    subject!(Gemini::default(), GeminiLlm, needs_key: true, least_limit: 3);
pub(crate) const OLLAMA: Subject = subject!(Ollama, OllamaLlm, needs_key: false, least_limit: 3);

pub(crate) async fn start(subject: &Subject) -> Fake {
    Fake::start((subject.dialect)()).await
}

pub(crate) fn vendor(fake: &Fake) -> Vendor {
    Vendor {
        model: Some(fake.model().to_owned()),
        api_key: Some(KEY.into()),
        ..Vendor::new("acme", fake.base_url.parse().unwrap())
    }
}

pub(crate) fn open(subject: &Subject, vendor: Vendor) -> Arc<dyn Llm> {
    (subject.open)(http::client().unwrap(), vendor).unwrap()
}

pub(crate) async fn pair(subject: &Subject) -> (Fake, Arc<dyn Llm>) {
    let fake = start(subject).await;
    let llm = open(subject, vendor(&fake));
    (fake, llm)
}

pub(crate) fn function(name: &str) -> Tool {
    Tool::Function {
        name: name.to_owned(),
        description: Some("for a test".to_owned()),
        // as strict schemas are written: not every vendor knows all of it
        parameters: Some(json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": { "city": { "type": ["string", "null"], "minLength": 1 } },
            "required": [],
            "additionalProperties": false
        })),
    }
}

pub(crate) fn said(text: &str) -> LlmMessage {
    LlmMessage::User {
        text: text.to_owned(),
        images: Vec::new(),
    }
}
