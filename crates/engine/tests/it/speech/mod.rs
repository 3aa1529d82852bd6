//! The arithmetic of speech.

mod aligned;
mod cut;
mod said;
