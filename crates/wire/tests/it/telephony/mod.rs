//! The carriers' words: golden transcripts, what is detected, what strangers send, and properties.

mod answer;
mod callback;
mod detect;
pub(crate) mod golden;
mod hostile;
mod properties;
