//! Entries of streams as Redis answers them.
//! Used by the readers of this folder.
//! Never trusts an answer: what has another shape is no entry.

use redis::{Cmd, Value, cmd};

use crate::live::link::{Away, BLOCK_MS, Waiting};

/// An entry of a stream.
pub(in crate::live) struct Entry {
    pub(in crate::live) id: String,
    /// Names and values in turn.
    pub(super) fields: Vec<Vec<u8>>,
}

impl Entry {
    pub(super) fn field(&self, name: &str) -> Option<&[u8]> {
        let (pairs, _) = self.fields.as_chunks::<2>();
        let pair = pairs.iter().find(|[key, _]| key == name.as_bytes())?;
        Some(&pair[1])
    }

    pub(in crate::live) fn text(&self, name: &str) -> String {
        let field = self.field(name).unwrap_or_default();
        String::from_utf8_lossy(field).into_owned()
    }
}

/// Entries of one stream behind `after`, waiting a little for the first.
pub(in crate::live) async fn behind(
    connection: &mut Waiting,
    stream: &str,
    after: &str,
    count: usize,
) -> Result<Vec<Entry>, Away> {
    let mut read = cmd("XREAD");
    read.arg("COUNT").arg(count).arg("BLOCK").arg(BLOCK_MS);
    read.arg("STREAMS").arg(stream).arg(after);
    let value: Value = connection.send(&read).await?;
    Ok(entries(value))
}

/// The command by which a consumer asks for its next entry, waiting a little for it.
pub(super) fn next_of_group(stream: &str, group: &str, consumer: &str) -> Cmd {
    let mut read = cmd("XREADGROUP");
    read.arg("GROUP").arg(group).arg(consumer);
    read.arg("COUNT").arg(1).arg("BLOCK").arg(BLOCK_MS);
    read.arg("STREAMS").arg(stream).arg(">");
    read
}

/// The entries in an answer about one stream.
pub(super) fn entries(value: Value) -> Vec<Entry> {
    // [[stream, [[id, [name, value, …]], …]]], or a map of the same
    let stream = match value {
        Value::Array(streams) => match streams.into_iter().next() {
            Some(Value::Array(pair)) => pair.into_iter().nth(1),
            _ => None,
        },
        Value::Map(streams) => streams.into_iter().next().map(|(_, entries)| entries),
        _ => None,
    };
    stream.map_or_else(Vec::new, listed)
}

/// The entries in an answer that is nothing else.
pub(in crate::live) fn listed(value: Value) -> Vec<Entry> {
    let Value::Array(entries) = value else {
        return Vec::new();
    };
    entries.into_iter().filter_map(entry).collect()
}

fn entry(value: Value) -> Option<Entry> {
    let Value::Array(parts) = value else {
        return None;
    };
    let mut parts = parts.into_iter();
    let id = String::from_utf8(bytes(parts.next()?)?).ok()?;
    let Value::Array(fields) = parts.next()? else {
        return None;
    };
    let fields = fields.into_iter().map(bytes).collect::<Option<_>>()?;
    Some(Entry { id, fields })
}

/// Bytes of a string, and of a number as Lua answers it.
pub(super) fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        Value::Int(number) => Some(number.to_string().into_bytes()),
        _ => None,
    }
}
