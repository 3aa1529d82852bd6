//! The models of this machine behind the ports.
//! Constructed by the catalog from one set of models that all sessions share.
//! Never downloads anything and never decides who is served first: the models' scheduler does.

mod llm;
mod stt;
mod transcriber;
mod tts;

use std::time::Duration;

use local::LocalError;

/// MP3 files, where the machine can make them.
pub use ::local::mp3;
pub use llm::LocalLlm;
pub use stt::LocalStt;
pub use transcriber::LocalTranscriber;
pub use tts::LocalTts;

use crate::{Kind, ProviderError};

/// Catalog name of all providers here.
pub const NAME: &str = "local";

/// When to come back after a refusal: the queues accept no more than a few seconds of work.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// What a local failure asks of the caller.
fn failure(error: &LocalError) -> ProviderError {
    let kind = match error {
        LocalError::Overloaded { .. } => Kind::Overloaded,
        LocalError::BadInput(_) | LocalError::ContextFull { .. } => Kind::Rejected,
        _ => Kind::Unavailable,
    };
    let retry_after = (kind == Kind::Overloaded).then_some(RETRY_AFTER);
    ProviderError {
        retry_after,
        ..ProviderError::new(NAME, kind, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_says_when_to_come_back() {
        let refused = failure(&LocalError::Overloaded {
            queue: "stt",
            waiting: 9,
        });
        assert_eq!(
            (refused.kind, refused.retry_after),
            (Kind::Overloaded, Some(RETRY_AFTER))
        );
        assert_eq!(refused.code(), "overloaded");
        let broken = failure(&LocalError::runtime("run whisper encoder", "no memory"));
        assert_eq!((broken.kind, broken.retry_after), (Kind::Unavailable, None));
        assert_eq!(
            failure(&LocalError::BadInput("x".to_owned())).kind,
            Kind::Rejected
        );
    }
}
