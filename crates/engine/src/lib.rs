//! What should happen: a conversation as a value, and the arithmetic of sound and speech.
//! Driven by `gateway::session`, one task per conversation; used by providers for audio and text.
//! Never awaits, opens a socket, reads a clock or draws a random number: time and chance are arguments.

pub mod ask;
pub mod audio;
pub mod call;
pub mod guard;
pub mod meter;
pub mod session;
pub mod speech;
pub mod survey;
