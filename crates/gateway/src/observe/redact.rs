//! The last wall in front of the log: hides whatever looks like a key or belongs to a person.
//! Used by the log writer; code that logs should not have had either in the first place.
//! Never copies a line that has nothing to hide, and never takes a time or an id for a number of somebody's.

mod keys;
mod personal;

use std::borrow::Cow;
use std::io::{self, Write};
use std::ops::Range;

/// What replaces what is hidden.
const HIDDEN: &str = "[hidden]";

/// Replaces in `text` what looks like a key, what stands behind the name of a secret, cards' and social security
/// numbers, the names in front of e-mail addresses, and telephone numbers but for their last four digits.
pub fn redact(text: &str) -> Cow<'_, str> {
    let clean = hide(Cow::Borrowed(text), keys::next);
    let clean = hide(clean, keys::next_named);
    hide(clean, personal::next)
}

/// Replaces every stretch that `next` finds.
fn hide(text: Cow<'_, str>, next: impl Fn(&str, usize) -> Option<Range<usize>>) -> Cow<'_, str> {
    let mut clean = String::new();
    let mut from = 0;
    while let Some(range) = next(&text, from) {
        clean.push_str(&text[from..range.start]);
        clean.push_str(HIDDEN);
        from = range.end;
    }
    if from == 0 {
        return text;
    }
    clean.push_str(&text[from..]);
    Cow::Owned(clean)
}

/// A writer that hides in every line what nobody may read; the subscriber hands it one whole line at a time.
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
mod tests;
