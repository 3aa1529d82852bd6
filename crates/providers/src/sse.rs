//! Reads server-sent events out of bytes, however they were cut
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>).
//! Fed by the vendors that stream over HTTP; a fuzz target feeds it as well.
//! Never reconnects: `id` and `retry` are read over.

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// `event` field; empty for plain messages.
    pub event: String,
    /// `data` fields, joined by line feeds.
    pub data: String,
}

/// An event grew over the reader's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {limit} bytes")]
pub struct EventTooLong {
    /// The limit, in bytes.
    pub limit: usize,
}

/// An incremental reader.
#[derive(Debug)]
pub struct SseReader {
    limit: usize,
    line: Vec<u8>,
    event: Vec<u8>,
    data: Vec<u8>,
    place: Place,
}

/// Where in the stream the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// No line has ended yet: a byte order mark may stand in front.
    FirstLine,
    /// The last byte was a carriage return: a line feed now belongs to it.
    AfterReturn,
    /// Anywhere else.
    Line,
}

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

impl SseReader {
    /// A reader at the start of a stream that refuses events of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            event: Vec::new(),
            data: Vec::new(),
            place: Place::FirstLine,
        }
    }

    /// Takes the next bytes of the stream and appends the events they complete. What is incomplete
    /// when the stream ends is no event.
    ///
    /// Errors: [`EventTooLong`]; the reader is of no further use then.
    pub fn push(&mut self, bytes: &[u8], events: &mut Vec<SseEvent>) -> Result<(), EventTooLong> {
        let mut rest = bytes;
        while let Some(first) = rest.first() {
            if self.place == Place::AfterReturn {
                self.place = Place::Line;
                if *first == b'\n' {
                    rest = &rest[1..];
                    continue;
                }
            }
            let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
                return self.extend(rest);
            };
            self.extend(&rest[..end])?;
            self.end_line(events);
            self.place = if rest[end] == b'\r' {
                Place::AfterReturn
            } else {
                Place::Line
            };
            rest = &rest[end + 1..];
        }
        Ok(())
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), EventTooLong> {
        if self.line.len() + self.event.len() + self.data.len() + bytes.len() > self.limit {
            return Err(EventTooLong { limit: self.limit });
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self, events: &mut Vec<SseEvent>) {
        let line = std::mem::take(&mut self.line);
        let mut text = line.as_slice();
        if self.place == Place::FirstLine {
            text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        }
        if text.is_empty() {
            self.dispatch(events);
        } else {
            self.field(text);
        }
        // keeps the allocation for the next line
        self.line = line;
        self.line.clear();
    }

    fn field(&mut self, line: &[u8]) {
        let colon = line
            .iter()
            .position(|byte| *byte == b':')
            .unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => {
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            b"event" => value.clone_into(&mut self.event),
            // comments have no name; `id` and `retry` are for those who reconnect
            _ => {}
        }
    }

    fn dispatch(&mut self, events: &mut Vec<SseEvent>) {
        if self.data.pop().is_some() {
            events.push(SseEvent {
                event: String::from_utf8_lossy(&self.event).into_owned(),
                data: String::from_utf8_lossy(&self.data).into_owned(),
            });
        }
        self.event.clear();
        self.data.clear();
    }
}

#[cfg(test)]
#[path = "sse_tests.rs"]
mod tests;
