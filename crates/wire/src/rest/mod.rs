//! Bodies of the REST interface, OpenAI's shapes and our own.
//! Used by `gateway::api`, the CLI and the document generator.
//! Never contains the realtime events: those are in `realtime`.

pub mod agents;
pub mod audit;
pub mod calls;
pub mod chat;
pub mod client_secrets;
pub mod error;
pub mod keys;
pub mod models;
pub mod rooms;
pub mod sessions;
pub mod speech;
pub mod status;
pub mod subtitles;
pub mod surveys;
pub mod tenants;
pub mod transcription;
pub mod usage;
pub mod webhooks;

#[cfg(test)]
mod tests;

use serde::Serialize;

/// One server-sent event: `data: {json}` and the blank line that ends it. The OpenAI clients need
/// no event names (spec/realtime §3.1, §3.2). Fails only when a map in `event` has keys that are
/// not strings, which none of ours has.
pub fn sse<T: Serialize>(event: &T) -> serde_json::Result<String> {
    Ok(format!("data: {}\n\n", serde_json::to_string(event)?))
}
