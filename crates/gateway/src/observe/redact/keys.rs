//! Finds keys in a line: by how they begin, and by the name they stand behind.
//! Used by `redact` for every line of the log.
//! Never knows a key: it cannot tell a right one from a wrong one, and hides both.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// How a key begins: ours, ephemeral ones, and those of common vendors.
const PREFIXES: [&str; 4] = ["ap_", "ek_", "sk-", "Bearer "];

/// Shortest run of key characters after a prefix that is taken for a key.
const MIN_KEY: usize = 16;

/// A value behind a name that only secrets have, in an address, a field or JSON.
static NAMED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let name = r"(?i)\b(?:password|passwd|secret|client_secret|token|access_token|refresh_token|api_?key|authorization)";
    let value = r#"(?:=|"\s*:\s*)"?(?:(?:bearer|basic)\s+)?(?<value>[^\s"'&,;})\[\]]+)"#;
    Regex::new(&[name, value].concat()).ok()
});

/// The secret part of the next key at or behind `from` that begins like one.
pub(super) fn next(text: &str, from: usize) -> Option<Range<usize>> {
    let is_key = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/' | b'+' | b'=')
    };
    let rest = &text[from..];
    let first = |prefix: &str| {
        let starts = rest.match_indices(prefix).map(|(at, _)| at + prefix.len());
        let mut keys = starts.map(|start| {
            let length = rest.as_bytes()[start..].iter().copied();
            let length = length.take_while(|byte| is_key(byte)).count();
            start..start + length
        });
        keys.find(|key| key.len() >= MIN_KEY)
    };
    let keys = PREFIXES.into_iter().filter_map(first);
    let key = keys.min_by_key(|key| key.start)?;
    Some(from + key.start..from + key.end)
}

/// The next value at or behind `from` that stands behind the name of a secret.
pub(super) fn next_named(text: &str, from: usize) -> Option<Range<usize>> {
    let found = NAMED.as_ref()?.captures_at(text, from)?;
    found.name("value").map(|value| value.range())
}
