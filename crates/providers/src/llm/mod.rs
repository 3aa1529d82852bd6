//! Language models, one file per vendor.
//! Constructed by the catalog.
//! Never knows about sessions beyond the id that keys a prompt cache.

pub mod anthropic;
mod calls;
pub mod gemini;
mod gpt;
pub mod ollama;
pub mod openai;
mod reading;
pub mod responses;
mod tools;
mod turns;
mod unconfigured;
mod warm;

use reqwest::{
    RequestBuilder,
    header::{ACCEPT, CONTENT_TYPE},
};
use serde_json::Value;
use tokio::{sync::mpsc, time::Instant};
use tracing::Instrument as _;

pub use anthropic::AnthropicLlm;
pub use gemini::GeminiLlm;
pub use ollama::OllamaLlm;
pub use openai::OpenAiLlm;
pub use responses::ResponsesLlm;
pub use unconfigured::Unconfigured;

pub(crate) use turns::{UNSEEN, data_uri};

use self::reading::{Answer, Framing, Reading};
use crate::{
    ProviderError, http,
    ports::{EVENT_BUFFER, LlmStream},
    vendor::Vendor,
};

/// Sends `question` with a JSON body, and reads what comes back in a task of its own.
async fn post<A: Answer + 'static>(
    vendor: &Vendor,
    question: RequestBuilder,
    body: &Value,
    framing: Framing,
    answer: A,
) -> Result<LlmStream, ProviderError> {
    let (name, limits) = (&vendor.name, vendor.limits);
    let deadline = Instant::now() + limits.first_event;
    let accept = match framing {
        Framing::Sse => "text/event-stream",
        Framing::Lines => "application/x-ndjson",
    };
    let question = question
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, accept)
        .body(body.to_string());
    let response = http::ask(vendor, question).await?;
    let (outbox, events) = mpsc::channel(EVENT_BUFFER);
    let reading = Reading {
        name: name.clone(),
        deadline,
        limits,
        framing,
        answer,
        events: outbox,
    };
    tokio::spawn(reading.run(response.bytes_stream()).in_current_span());
    Ok(LlmStream { events })
}
