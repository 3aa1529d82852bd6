//! The app voice socket ("Voice V2"): one WebSocket, JSON for control, binary frames for the caller's sound.
//! Read and written by `edge/voice` and by the load generator.
//! Never decides who may come in or what a turn costs: that is the edge's.
//!
//! Text and sound are told apart by the frame's opcode (RFC 6455 §5.6) and by nothing else.

mod asyncapi;
pub mod client;
pub mod server;

pub(crate) use asyncapi::extend;
pub use client::{AudioMessages, AudioWish, ClientMessage, Refused, SessionStart, decode};
pub use server::{Metrics, ServerMessage, Status, code, write};

/// Smallest frame of sound that is taken, in bytes.
pub const MIN_CHUNK_BYTES: usize = 100;
/// Largest frame of sound that is taken, in bytes: 3.2 s at 16 kHz.
pub const MAX_CHUNK_BYTES: usize = 102_400;
/// Rate of the caller's sound, in Hz: signed 16-bit little-endian, one channel.
pub const CALLER_RATE_HZ: u32 = 16_000;
/// One `audio_received` for so many frames of sound.
pub const CHUNKS_PER_RECEIPT: u64 = 10;

/// Close codes of this door (RFC 6455 §7.4.2: 4000 to 4999 are the application's).
pub mod close {
    /// Who is there could not be made out.
    pub const UNAUTHENTICATED: u16 = 4001;
    /// Somebody is there and may not use this.
    pub const FORBIDDEN: u16 = 4003;
    /// Too many sessions at the same time.
    pub const RATE_LIMIT: u16 = 4008;
    /// The budget is used up.
    pub const BUDGET: u16 = 4009;
    /// The session has lasted as long as it may.
    pub const DURATION: u16 = 4010;
}

#[cfg(test)]
mod tests;
