//! Model names that clients send, and what they mean here.
//! Used by the catalog and by the models route.
//! Never changes what is echoed to the client: that stays the requested name.

/// What a model name is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelKind {
    /// Conversation by voice.
    Realtime,
    /// Speech to text.
    Transcription,
    /// Text to speech.
    Speech,
    /// Text to text.
    Chat,
}

/// A model as the models route lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// Name that requests may use.
    pub id: String,
    /// What it does.
    pub kind: ModelKind,
    /// Who answers behind the name.
    pub owned_by: String,
}

/// Names that the SDKs and examples of the hosted service send by default (spec/realtime §2, §3).
pub(crate) const LISTED: [(&str, ModelKind); 15] = [
    ("gpt-realtime", ModelKind::Realtime),
    ("gpt-realtime-mini", ModelKind::Realtime),
    ("gpt-realtime-2.1", ModelKind::Realtime),
    ("gpt-4o-realtime-preview", ModelKind::Realtime),
    ("gpt-4o-mini-realtime-preview", ModelKind::Realtime),
    ("gpt-4o-transcribe", ModelKind::Transcription),
    ("gpt-4o-mini-transcribe", ModelKind::Transcription),
    ("gpt-realtime-whisper", ModelKind::Transcription),
    ("gpt-live-transcribe", ModelKind::Transcription),
    ("whisper-1", ModelKind::Transcription),
    ("gpt-4o-mini-tts", ModelKind::Speech),
    ("tts-1", ModelKind::Speech),
    ("tts-1-hd", ModelKind::Speech),
    ("gpt-4o", ModelKind::Chat),
    ("gpt-4o-mini", ModelKind::Chat),
];

/// What a hosted service's model of this name does; `None` for names of no known family. Families
/// rather than a closed list: dated snapshots and new versions appear faster than our releases.
pub fn kind_of(name: &str) -> Option<ModelKind> {
    let name = name.trim().to_ascii_lowercase();
    // ears and mouths first: `gpt-realtime-whisper` only listens
    if name.contains("whisper") || name.contains("transcribe") {
        return Some(ModelKind::Transcription);
    }
    if name.split('-').any(|word| word == "tts") {
        return Some(ModelKind::Speech);
    }
    let realtime = ["gpt-realtime", "gpt-4o-realtime", "gpt-4o-mini-realtime"];
    let known = realtime.iter().any(|family| {
        name.strip_prefix(family)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    });
    if known {
        return Some(ModelKind::Realtime);
    }
    let chat = ["gpt-3.5", "gpt-4", "gpt-5", "chatgpt"];
    chat.iter()
        .any(|family| name.starts_with(family))
        .then_some(ModelKind::Chat)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_names_are_known_by_their_family() {
        for (name, kind) in LISTED {
            assert_eq!(kind_of(name), Some(kind), "{name}");
        }
    }

    #[test]
    fn snapshots_belong_to_their_family_and_strangers_to_none() {
        assert_eq!(
            kind_of("gpt-4o-realtime-preview-2024-12-17"),
            Some(ModelKind::Realtime)
        );
        assert_eq!(
            kind_of("gpt-4o-mini-transcribe-2025-12-15"),
            Some(ModelKind::Transcription)
        );
        assert_eq!(
            kind_of("gpt-4o-mini-tts-2025-12-15"),
            Some(ModelKind::Speech)
        );
        assert_eq!(kind_of("gpt-4o-mini"), Some(ModelKind::Chat));
        for stranger in ["", "gpt", "gpt-realtimes", "no-such-model", "shuttts"] {
            assert_eq!(kind_of(stranger), None, "{stranger}");
        }
    }
}
