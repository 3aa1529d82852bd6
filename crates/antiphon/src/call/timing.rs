//! What was heard in a call and when, and how it is printed.
//! Filled by `line`, printed by `call`.
//! Never shows more than times: words are in the server's own record of the call.

use std::io::{self, Write};

/// What was heard. Times are in ms since the stream began.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Everything that was played, silence included, in mu-law.
    pub(super) sound: Vec<u8>,
    /// When the agent was heard first.
    pub(super) greeted_ms: Option<u64>,
    /// When the recording was begun.
    pub(super) asked_ms: Option<u64>,
    /// When the last loud part of it was over.
    pub(super) silent_ms: Option<u64>,
    /// When the agent was heard first after that.
    pub(super) answered_ms: Option<u64>,
    /// How often sound was thrown away, and how many ms of it.
    pub(super) clears: usize,
    pub(super) cleared_ms: usize,
    pub(super) marks: usize,
    /// How the server closed the stream, where it did.
    pub(super) closed: Option<(u16, String)>,
}

/// Prints the times.
pub(super) fn print(heard: &Heard, out: &mut impl Write) -> io::Result<()> {
    let seconds = |ms: u64| format!("{:.2} s", ms as f64 / 1000.0);
    let shown = |at: Option<u64>| at.map_or_else(|| "never".to_owned(), seconds);
    writeln!(out)?;
    writeln!(out, "greeting heard        {}", shown(heard.greeted_ms))?;
    writeln!(out, "recording begun       {}", shown(heard.asked_ms))?;
    writeln!(out, "recording over        {}", shown(heard.silent_ms))?;
    writeln!(out, "answer heard          {}", shown(heard.answered_ms))?;
    if let (Some(silent), Some(answered)) = (heard.silent_ms, heard.answered_ms) {
        let after_ms = answered.saturating_sub(silent);
        writeln!(out, "mouth to ear          {after_ms} ms")?;
    }
    writeln!(
        out,
        "played                {}, {} marks; {} ms thrown away in {} interruptions",
        seconds(heard.sound.len() as u64 / 8),
        heard.marks,
        heard.cleared_ms,
        heard.clears
    )?;
    match &heard.closed {
        Some((code, reason)) => writeln!(out, "the server closed     {code} {reason}"),
        None => writeln!(out, "we hung up"),
    }
}
