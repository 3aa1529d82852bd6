//! How much a server event weighs in a queue.
//! Asked by the session before it queues an event for a client.
//! Never builds the event's text.

use std::io;

use super::ServerEvent;

impl ServerEvent {
    /// Bytes this event stands for, near enough to bound a queue: of a delta its payload, of anything else its JSON.
    /// Deltas, which come in numbers, cost nothing to weigh.
    pub fn weight(&self) -> usize {
        match self {
            Self::OutputAudioDelta { delta, .. } => delta.0.len(),
            Self::OutputTextDelta { delta, .. }
            | Self::OutputTranscriptDelta { delta, .. }
            | Self::FunctionArgumentsDelta { delta, .. }
            | Self::TranscriptionDelta { delta, .. } => delta.len(),
            _ => {
                let mut scales = Scales(0);
                // scales refuse no bytes, and what cannot be written weighs nothing
                let _ = serde_json::to_writer(&mut scales, self);
                scales.0
            }
        }
    }
}

/// Counts what is written to it.
struct Scales(usize);

impl io::Write for Scales {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::ErrorBody;
    use super::*;

    #[test]
    fn an_event_weighs_what_it_carries() {
        let delta = ServerEvent::TranscriptionDelta {
            item_id: "item_1".to_owned(),
            content_index: 0,
            delta: "x".repeat(1000),
        };
        assert_eq!(delta.weight(), 1000);
        let error = ServerEvent::Error {
            error: ErrorBody::invalid("code", "x".repeat(1000)),
        };
        let json = serde_json::to_string(&error).unwrap_or_default();
        assert_eq!(error.weight(), json.len());
    }
}
