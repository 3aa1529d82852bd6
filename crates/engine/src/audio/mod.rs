//! The arithmetic of sound: formats, G.711, resampling, frames, voice activity, WAV, base64.
//! Called by the session, by every voice edge and by the local models.
//! It never performs I/O, reads a clock or allocates per frame once a stream is running.

pub mod b64;
pub mod codec;
pub mod endpoint;
pub mod format;
pub mod frame;
pub mod g711;
pub mod level;
pub mod pcm;
pub mod resample;
pub mod silence;
pub mod vad;
pub mod wav;

pub use codec::{Decoder, Encoder};
pub use endpoint::{EndpointConfig, Endpointer, VadEvent};
pub use format::{Format, RateError, SampleRate};
pub use frame::Framer;
pub use resample::Resampler;
pub use vad::{FRAME_MS, FRAME_SAMPLES, SpeechDetector, Vad};
