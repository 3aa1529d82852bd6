//! Base64 of audio in JSON: standard alphabet, padded, strict.
//! Called by the realtime and telephony edges for every audio event.
//! It never allocates when the buffer it is given is large enough.

use base64_simd::STANDARD;

/// Text that is not base64.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid base64: a character, the padding or the last bits are wrong")]
pub struct Base64Error;

/// Decodes `text` into `out`, whose old contents are dropped and whose memory is kept. Fails on
/// characters outside the standard alphabet, on missing or wrong padding and on stray bits; `out`
/// is empty then.
pub fn decode(text: &str, out: &mut Vec<u8>) -> Result<(), Base64Error> {
    out.clear();
    STANDARD.decode_append(text, out).map_err(|_| {
        out.clear();
        Base64Error
    })
}

/// Appends the base64 of `bytes` to `out`.
pub fn encode(bytes: &[u8], out: &mut String) {
    STANDARD.encode_append(bytes, out);
}
