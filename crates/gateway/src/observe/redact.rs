//! The last wall in front of the log: hides whatever looks like a key.
//! Used by the log writer; code that logs should not have had the key in the first place.
//! Never allocates for a line without a key.

use std::borrow::Cow;
use std::io::{self, Write};

/// How a key begins: ours, ephemeral ones, and those of common vendors.
const PREFIXES: [&str; 4] = ["ap_", "ek_", "sk-", "Bearer "];

/// Shortest run of key characters after a prefix that is taken for a key.
const MIN_KEY: usize = 16;

/// What replaces the rest of a key.
const HIDDEN: &str = "[hidden]";

/// Replaces everything in `text` that looks like a key.
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut clean = String::new();
    let mut rest = text;
    while let Some((start, end)) = next_key(rest) {
        clean.push_str(&rest[..start]);
        clean.push_str(HIDDEN);
        rest = &rest[end..];
    }
    if clean.is_empty() && rest.len() == text.len() {
        return Cow::Borrowed(text);
    }
    clean.push_str(rest);
    Cow::Owned(clean)
}

/// Where the next key's secret part starts and ends.
fn next_key(text: &str) -> Option<(usize, usize)> {
    let mut best: Option<(usize, usize)> = None;
    for prefix in PREFIXES {
        for (at, _) in text.match_indices(prefix) {
            let start = at + prefix.len();
            let length = text[start..]
                .bytes()
                .take_while(|b| {
                    b.is_ascii_alphanumeric()
                        || matches!(b, b'_' | b'-' | b'.' | b'/' | b'+' | b'=')
                })
                .count();
            if length >= MIN_KEY {
                if best.is_none_or(|(earlier, _)| start < earlier) {
                    best = Some((start, start + length));
                }
                break;
            }
        }
    }
    best
}

/// A writer that hides keys in every line; the subscriber hands it one whole line at a time.
#[derive(Debug)]
pub struct RedactingWriter<W>(pub W);

impl<W: Write> Write for RedactingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(bytes);
        self.0.write_all(redact(&line).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_hidden_wherever_they_stand() {
        let key = "ap_0123456789abcdefghijABCDEFGHIJ0123456789";
        let line = format!("GET /v1/realtime?key={key} openai-insecure-api-key.{key}, realtime");
        let clean = redact(&line);
        assert_eq!(
            clean,
            "GET /v1/realtime?key=ap_[hidden] openai-insecure-api-key.ap_[hidden], realtime"
        );
        assert_eq!(
            redact("authorization: Bearer my-own-bootstrap-key"),
            "authorization: Bearer [hidden]"
        );
        assert_eq!(redact("got ek_abcdefghijklmnopqrst!"), "got ek_[hidden]!");
    }

    #[test]
    fn other_text_stays_as_it_is() {
        for line in [
            "mapped map_size=3",
            "risk-free",
            "week_1",
            "Bearer of news",
            "",
            "ü ap_",
        ] {
            assert!(
                matches!(redact(line), Cow::Borrowed(same) if same == line),
                "{line}"
            );
        }
    }

    #[test]
    fn the_writer_hides_keys() {
        let mut writer = RedactingWriter(Vec::new());
        writer
            .write_all(b"key=sk-abcdefghijklmnopqrstuvwx\n")
            .unwrap();
        assert_eq!(writer.0, b"key=sk-[hidden]\n");
    }
}
