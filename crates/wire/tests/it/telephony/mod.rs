//! The carriers' words: golden transcripts, what is detected, what strangers send, and properties.

mod answer;
mod callback;
mod detect;
mod golden;
mod hostile;
mod properties;
