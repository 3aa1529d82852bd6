//! Base64 of audio in JSON: standard alphabet, padded, strict.
//! Called by the realtime and telephony edges for every audio event.
//! It never allocates when the buffer it is given is large enough.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Text that is not base64: what is wrong with it, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid base64: {0}")]
pub struct Base64Error(#[from] base64::DecodeError);

/// Decodes `text` into `out`, whose old contents are dropped and whose memory is kept. Fails on
/// characters outside the standard alphabet, on missing or wrong padding and on stray bits; `out`
/// is empty then.
pub fn decode(text: &str, out: &mut Vec<u8>) -> Result<(), Base64Error> {
    out.clear();
    STANDARD.decode_vec(text, out).map_err(|error| {
        out.clear();
        Base64Error(error)
    })
}

/// Appends the base64 of `bytes` to `out`.
pub fn encode(bytes: &[u8], out: &mut String) {
    STANDARD.encode_string(bytes, out);
}
