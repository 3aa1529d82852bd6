//! Events of ours that a client gets only when it asks for them.
//! Read from the address of a connection by the realtime edge; looked at by the engine.
//! Never anything that a client must know: strict libraries throw at events they do not know.

/// An event that is sent to those who ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtraEvent {
    /// `tts.degraded`: another voice speaks.
    TtsDegraded,
    /// `speech.piece`: a stretch of speech is complete.
    SpeechPiece,
    /// `transcript.partial`: what the caller has said so far.
    TranscriptPartial,
}

impl ExtraEvent {
    /// All of them.
    pub const ALL: [Self; 3] = [
        Self::TtsDegraded,
        Self::SpeechPiece,
        Self::TranscriptPartial,
    ];

    /// Its `type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TtsDegraded => "tts.degraded",
            Self::SpeechPiece => "speech.piece",
            Self::TranscriptPartial => "transcript.partial",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Those that a client has asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExtraEvents(u8);

impl ExtraEvents {
    /// Reads names with commas between them.
    ///
    /// # Errors
    /// The first name that is none.
    pub fn parse(list: &str) -> Result<Self, &str> {
        let names = list.split(',').map(str::trim).filter(|it| !it.is_empty());
        let mut asked = Self::default();
        for name in names {
            let known = ExtraEvent::ALL.into_iter();
            let event = known.into_iter().find(|event| event.name() == name);
            asked.0 |= event.ok_or(name)?.bit();
        }
        Ok(asked)
    }

    /// These.
    pub fn of(events: impl IntoIterator<Item = ExtraEvent>) -> Self {
        let bits = events.into_iter();
        Self(bits.fold(0, |bits, event| bits | event.bit()))
    }

    /// Whether `event` was asked for.
    pub const fn has(self, event: ExtraEvent) -> bool {
        self.0 & event.bit() != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_with_commas_between_them() {
        for (list, has) in [
            ("", false),
            (" , ", false),
            ("tts.degraded", true),
            (" tts.degraded ,tts.degraded", true),
        ] {
            let asked = ExtraEvents::parse(list).unwrap();
            assert_eq!(asked.has(ExtraEvent::TtsDegraded), has, "{list}");
        }
        let both = ExtraEvents::parse("speech.piece,transcript.partial").unwrap();
        assert!(!both.has(ExtraEvent::TtsDegraded));
        assert_eq!(
            both,
            ExtraEvents::of([ExtraEvent::TranscriptPartial, ExtraEvent::SpeechPiece])
        );
        for (list, unknown) in [
            ("tts.degraded,stt.degraded", "stt.degraded"),
            ("TTS.degraded", "TTS.degraded"),
            ("session.created", "session.created"),
        ] {
            assert_eq!(ExtraEvents::parse(list), Err(unknown));
        }
    }
}
