//! Speech in, speech out, by one model: one folder per vendor.
//! Constructed by the catalog; opened by the session, once per connection.
//! Never decides when a turn ends or who may speak: the session does.

pub mod gemini;
mod live;
pub mod openai;
pub(crate) mod sound;

pub use gemini::GeminiLive;
pub use openai::OpenAiRealtime;
