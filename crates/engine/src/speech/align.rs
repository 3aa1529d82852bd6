//! What was heard of a reply, as text: for truncation after a barge-in.
//! Called by the session when a caller interrupts or a client truncates an item.
//! It never keeps a word that was not heard to its end, as far as the estimate goes.
//!
//! A voice tells how long a piece is, not when each word falls, so time is spread over the
//! characters of a piece evenly and rounded down to a word.

use super::sentence::word_end_before;

/// A piece of a reply and how long its audio lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard<'a> {
    /// The text of the piece, as [`super::Piece::text`].
    pub text: &'a str,
    /// The duration of its audio in milliseconds; 0 when nothing of it is read aloud.
    pub duration_ms: u64,
}

/// How many bytes of the text of all pieces together were heard by `audio_end_ms`, measured from
/// the beginning of the first piece. The result is the end of a word, or of a piece.
///
/// Pieces whose audio was heard whole count whole. Nothing of the text is 0.
pub fn heard_bytes(pieces: &[Heard<'_>], audio_end_ms: u64) -> usize {
    let mut bytes = 0;
    let mut left_ms = audio_end_ms;
    for piece in pieces {
        if left_ms < piece.duration_ms {
            return bytes + heard_of(piece, left_ms);
        }
        left_ms -= piece.duration_ms;
        bytes += piece.text.len();
    }
    bytes
}

fn heard_of(piece: &Heard<'_>, ms: u64) -> usize {
    let characters = piece.text.chars().count() as u128;
    let heard = characters * u128::from(ms) / u128::from(piece.duration_ms);
    let limit = piece
        .text
        .char_indices()
        .nth(heard as usize)
        .map_or(0, |(at, _)| at);
    word_end_before(piece.text, limit)
}
