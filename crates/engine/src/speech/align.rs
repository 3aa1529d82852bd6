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

/// What of a text is still to be said when its voice broke off after `spoken_ms`, at `ms_per_char`: begins behind
/// the word that was being said, which is lost rather than said twice.
pub fn unspoken(text: &str, spoken_ms: u64, ms_per_char: u64) -> &str {
    let duration_ms = text.chars().count() as u64 * ms_per_char.max(1);
    if spoken_ms >= duration_ms {
        return "";
    }
    // where a word is about to begin, it has not begun
    let limit = text[..byte_at(text, spoken_ms, duration_ms)]
        .trim_end()
        .len();
    let said = (limit..=text.len())
        .map(|at| word_end_before(text, at))
        .find(|end| *end >= limit);
    text[said.unwrap_or(text.len())..].trim_start()
}

fn heard_of(piece: &Heard<'_>, ms: u64) -> usize {
    word_end_before(piece.text, byte_at(piece.text, ms, piece.duration_ms))
}

/// Where in `text` its audio is after `ms` of `duration_ms`, as a byte.
fn byte_at(text: &str, ms: u64, duration_ms: u64) -> usize {
    let characters = text.chars().count() as u128;
    let heard = characters * u128::from(ms) / u128::from(duration_ms);
    text.char_indices()
        .nth(heard as usize)
        .map_or(0, |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_begun_is_not_said_again() {
        let text = "one two three four";
        assert_eq!(unspoken(text, 0, 100), text);
        assert_eq!(unspoken(text, 50, 100), text);
        assert_eq!(unspoken(text, 150, 100), "two three four");
        assert_eq!(unspoken(text, 300, 100), "two three four");
        assert_eq!(unspoken(text, 450, 100), "two three four");
        assert_eq!(unspoken(text, 550, 100), "three four");
        assert_eq!(unspoken(text, 1799, 100), "");
        assert_eq!(unspoken(text, 9999, 100), "");
        assert_eq!(unspoken("", 10, 100), "");
        assert_eq!(unspoken("天気はいい", 150, 100), "気はいい");
    }
}
