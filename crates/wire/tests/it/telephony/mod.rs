//! The carriers' words: golden transcripts, what is detected, what strangers send, and properties.

mod detect;
mod golden;
mod hostile;
mod properties;
