//! Speech to text, one folder per vendor.
//! Constructed by the catalog.
//! Never decides when an utterance begins or ends: the session does.

pub mod assemblyai;
pub mod deepgram;
mod live;
pub mod openai;

/// Samples per ms of the 16 kHz audio that every transcription receives.
const SAMPLES_PER_MS: usize = 16;
/// Longest utterance, in samples: half an hour, 58 MB.
const MAX_SAMPLES: usize = 30 * 60 * 1000 * SAMPLES_PER_MS;
