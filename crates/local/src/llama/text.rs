//! Bytes of tokens in, text that may be shown out: whole characters only, nothing after a stop text.
//! The generation loop feeds it one token at a time.
//! It never shows the beginning of a stop text that may still be completed.

/// The text of one answer as it grows.
pub(crate) struct TextStream {
    stop: Vec<String>,
    /// Bytes of a character that is not complete yet, at most three.
    partial: Vec<u8>,
    /// Text held back because it may be the beginning of a stop text.
    held: String,
    stopped: bool,
}

impl TextStream {
    pub(crate) fn new(stop: Vec<String>) -> Self {
        let stop = stop.into_iter().filter(|text| !text.is_empty()).collect();
        Self {
            stop,
            partial: Vec::new(),
            held: String::new(),
            stopped: false,
        }
    }

    /// Whether a stop text came.
    pub(crate) fn stopped(&self) -> bool {
        self.stopped
    }

    /// Adds a token's bytes and returns what may be shown now, often nothing.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        if self.stopped {
            return String::new();
        }
        self.partial.extend_from_slice(bytes);
        self.take_whole_characters();
        if let Some(at) = self
            .stop
            .iter()
            .filter_map(|stop| self.held.find(stop))
            .min()
        {
            self.held.truncate(at);
            self.stopped = true;
            return std::mem::take(&mut self.held);
        }
        let keep = self
            .stop
            .iter()
            .map(|stop| begun(&self.held, stop))
            .max()
            .unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - keep);
        std::mem::replace(&mut self.held, rest)
    }

    /// What was held back, when no more tokens come.
    pub(crate) fn finish(&mut self) -> String {
        if self.stopped {
            return String::new();
        }
        let mut rest = std::mem::take(&mut self.held);
        if !self.partial.is_empty() {
            rest.push(char::REPLACEMENT_CHARACTER);
            self.partial.clear();
        }
        rest
    }

    fn take_whole_characters(&mut self) {
        let mut from = 0;
        for chunk in self.partial.utf8_chunks() {
            self.held.push_str(chunk.valid());
            from += chunk.valid().len();
            let invalid = chunk.invalid();
            // a chunk that is only cut short at the very end may still be completed
            let unfinished = from + invalid.len() == self.partial.len()
                && std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
            if unfinished {
                break;
            }
            if !invalid.is_empty() {
                self.held.push(char::REPLACEMENT_CHARACTER);
                from += invalid.len();
            }
        }
        self.partial.drain(..from);
    }
}

/// Length in bytes of the longest end of `text` that begins `stop`.
fn begun(text: &str, stop: &str) -> usize {
    (1..stop.len())
        .rev()
        .filter(|&length| stop.is_char_boundary(length))
        .find(|&length| text.ends_with(&stop[..length]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(stop: &[&str]) -> TextStream {
        TextStream::new(stop.iter().map(|text| (*text).to_owned()).collect())
    }

    #[test]
    fn a_character_split_over_tokens_comes_out_whole() {
        let mut text = stream(&[]);
        let bytes = "a😀é".as_bytes();
        let parts: Vec<String> = bytes.iter().map(|byte| text.push(&[*byte])).collect();
        assert_eq!(parts, ["a", "", "", "", "😀", "", "é"]);
        assert_eq!(text.finish(), "");
    }

    #[test]
    fn broken_bytes_become_replacement_characters_and_do_not_block() {
        let mut text = stream(&[]);
        assert_eq!(text.push(&[b'a', 0xff, b'b']), "a\u{fffd}b");
        assert_eq!(text.push(&[0xf0, 0x9f]), "");
        assert_eq!(text.push(b"c"), "\u{fffd}c");
        assert_eq!(text.push(&[0xf0, 0x9f]), "");
        assert_eq!(text.finish(), "\u{fffd}");
    }

    #[test]
    fn a_stop_text_ends_the_answer_even_across_tokens() {
        let mut text = stream(&["\nUser:", "###"]);
        assert_eq!(text.push(b"Hi there.\nUs"), "Hi there.");
        assert_eq!(text.push(b"e"), "");
        assert_eq!(text.push(b"r: me"), "");
        assert!(text.stopped());
        assert_eq!(text.push(b"more"), "");
        assert_eq!(text.finish(), "");
    }

    #[test]
    fn what_only_looked_like_a_stop_text_is_shown() {
        let mut text = stream(&["###"]);
        assert_eq!(text.push(b"a#"), "a");
        assert_eq!(text.push(b"b##"), "#b");
        assert_eq!(text.finish(), "##");
    }

    #[test]
    fn the_earliest_of_several_stop_texts_counts() {
        let mut text = stream(&["lo", "el"]);
        assert_eq!(text.push(b"hello"), "h");
        assert!(text.stopped());
    }
}
