//! What can go wrong with a model on this machine, as one enum.
//! Every module of this crate returns it; `providers` maps it to retry, give up, or your fault.
//! It never carries spoken text or prompts: only names, paths, sizes and the runtime's own words.

use std::path::PathBuf;

/// Why a local model could not be opened or could not finish a job.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// A file of the model is not there.
    #[error("model {model}: {} is missing; run `antiphon models pull`", path.display())]
    Missing {
        /// Name of the model in the manifest, such as `whisper-tiny-en`.
        model: String,
        /// The file or directory that was looked for.
        path: PathBuf,
    },
    /// A file of the model is there but cannot be used.
    #[error("model {model}: {} is damaged ({reason}); run `antiphon models pull`", path.display())]
    Damaged {
        /// Name of the model in the manifest.
        model: String,
        /// The file that was read.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A native library refused: it is absent, of the wrong version, or a call failed.
    #[error("{tried}: {reason}")]
    Runtime {
        /// What was tried, such as `run whisper encoder`.
        tried: String,
        /// The library's own message.
        reason: String,
    },
    /// More work is waiting than can be served in time; try again later.
    #[error("{queue} queue is full: {waiting} jobs waiting")]
    Overloaded {
        /// Which queue: `stt`, `turn`, `tts` or `llm`.
        queue: &'static str,
        /// How many jobs were already waiting.
        waiting: usize,
    },
    /// eSpeak NG, which turns text into phonemes, is not installed or not complete.
    #[error(
        "cannot turn text into phonemes: {reason}; run `apt-get install libespeak-ng1 espeak-ng-data`"
    )]
    NoPhonemes {
        /// What is missing.
        reason: String,
    },
    /// A prompt does not fit the language model's context; drop the oldest messages and try again.
    #[error("prompt of {prompt_tokens} tokens does not fit the context of {limit_tokens}")]
    ContextFull {
        /// Tokens of the prompt as sent.
        prompt_tokens: usize,
        /// Tokens one conversation may hold, room for an answer included.
        limit_tokens: usize,
    },
    /// The caller cancelled the job, or dropped its result.
    #[error("job was cancelled")]
    Cancelled,
    /// The request itself cannot be served, whatever the load.
    #[error("bad input: {0}")]
    BadInput(String),
    /// A model file could not be read or written.
    #[error("{tried} {}: {source}", path.display())]
    Io {
        /// What was tried, such as `read` or `write`.
        tried: &'static str,
        /// The file it was tried on.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
}

impl LocalError {
    /// A failed call into a native library: what was tried, and the library's answer.
    pub fn runtime(tried: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Self::Runtime {
            tried: tried.into(),
            reason: reason.to_string(),
        }
    }

    /// A file that could not be opened: [`Missing`](Self::Missing) when it is not there,
    /// [`Io`](Self::Io) otherwise.
    pub fn open(model: &str, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        let path = path.into();
        if source.kind() == std::io::ErrorKind::NotFound {
            Self::Missing {
                model: model.to_owned(),
                path,
            }
        } else {
            Self::Io {
                tried: "read",
                path,
                source,
            }
        }
    }

    /// A file that was read but makes no sense.
    pub fn damaged(model: &str, path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::Damaged {
            model: model.to_owned(),
            path: path.into(),
            reason: reason.into(),
        }
    }
}
