//! Transcripts that depend on nothing but the length of the audio, the configuration and the prompt.
//! Opened once per utterance by the session, like every other transcription.
//! Never looks at a sample.

use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use engine::ask::{Hears, SttOptions};
use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::{NAME, ScriptedConfig, failure, script, wait};
use crate::{
    ProviderError,
    ports::{EVENT_BUFFER, Stt, SttCommand, SttEvent, SttStream},
};

/// Samples per ms of the 16 kHz audio that every transcription receives.
const SAMPLES_PER_MS: u64 = 16;
/// Sessions whose utterances are counted at the same time; the oldest count is forgotten first.
const COUNTED_SESSIONS: usize = 1024;
/// Natural-log probability given for every token.
const LOGPROB: f32 = -0.05;

/// A transcription that is under way.
type Work = Pin<Box<dyn Future<Output = bool> + Send>>;

/// Deterministic transcription.
#[derive(Debug, Clone)]
pub struct ScriptedStt {
    config: Arc<ScriptedConfig>,
    counts: Arc<Mutex<Counts>>,
}

impl ScriptedStt {
    /// Transcribes as `config` says.
    pub fn new(config: Arc<ScriptedConfig>) -> Self {
        Self {
            config,
            counts: Arc::default(),
        }
    }
}

#[async_trait]
impl Stt for ScriptedStt {
    fn name(&self) -> &str {
        NAME
    }

    fn hears(&self) -> Hears {
        Hears::Whole
    }

    async fn open(&self, options: SttOptions) -> Result<SttStream, ProviderError> {
        let (commands, inbox) = mpsc::channel(EVENT_BUFFER);
        let (outbox, events) = mpsc::channel(EVENT_BUFFER);
        let utterance = Utterance {
            config: Arc::clone(&self.config),
            counts: Arc::clone(&self.counts),
            options,
            events: outbox,
            samples: 0,
            paused_at: None,
        };
        tokio::spawn(utterance.listen(inbox).in_current_span());
        Ok(SttStream { commands, events })
    }
}

struct Utterance {
    config: Arc<ScriptedConfig>,
    counts: Arc<Mutex<Counts>>,
    options: SttOptions,
    events: mpsc::Sender<SttEvent>,
    samples: u64,
    /// Samples at the pause that still holds.
    paused_at: Option<u64>,
}

impl Utterance {
    async fn listen(mut self, mut inbox: mpsc::Receiver<SttCommand>) {
        // set while a pause is being transcribed; silence that follows the pause does not disturb it
        let mut work: Option<Work> = None;
        loop {
            let command = if let Some(working) = &mut work {
                tokio::select! {
                    biased;
                    command = inbox.recv() => command,
                    listening = working => {
                        if !listening || !self.report_pause().await {
                            return;
                        }
                        work = None;
                        continue;
                    }
                }
            } else {
                inbox.recv().await
            };
            match command {
                Some(SttCommand::Audio(samples)) => self.samples += samples.len() as u64,
                Some(SttCommand::Pause) => {
                    self.paused_at = Some(self.samples);
                    work = Some(self.work());
                }
                Some(SttCommand::Resume) => {
                    self.paused_at = None;
                    work = None;
                }
                Some(SttCommand::End) => return self.finish(work).await,
                None => return,
            }
        }
    }

    /// The time that a transcription takes; `false` when nobody waits for it any more.
    fn work(&self) -> Work {
        let (events, ms) = (self.events.clone(), self.config.stt_ms);
        Box::pin(async move { wait(&events, ms).await })
    }

    async fn report_pause(&self) -> bool {
        let text = self.text();
        let probability = self.config.end_of_turn.unwrap_or(end_of_turn(&text));
        let heard = self.events.send(SttEvent::Partial { text }).await.is_ok();
        if !heard || !self.options.judge_turn {
            return heard;
        }
        self.events
            .send(SttEvent::EndOfTurn { probability })
            .await
            .is_ok()
    }

    /// A transcript made at the pause is still good when nothing but silence came after it.
    async fn finish(self, work: Option<Work>) {
        let work = work.or_else(|| self.paused_at.is_none().then(|| self.work()));
        let text = self.text();
        self.counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .advance(&self.options.session);
        if let Some(work) = work
            && !work.await
        {
            return;
        }
        let event = if script::has_word(&text, "fail stt") {
            SttEvent::Failed(failure("transcription"))
        } else {
            let logprobs = if self.options.logprobs {
                logprobs(&text)
            } else {
                Vec::new()
            };
            SttEvent::Final {
                text,
                audio_ms: self.samples / SAMPLES_PER_MS,
                logprobs,
            }
        };
        // the session may have gone away meanwhile
        let _ = self.events.send(event).await;
    }

    fn text(&self) -> String {
        let prompt = self.options.prompt.as_deref().unwrap_or_default();
        if let Some(text) = script::said(prompt) {
            return text.to_owned();
        }
        if script::has_word(prompt, "fail stt") {
            return "fail stt".to_owned();
        }
        let samples = self.paused_at.unwrap_or(self.samples);
        if samples == 0 {
            return String::new();
        }
        let count = self
            .counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .of(&self.options.session);
        let transcripts = &self.config.transcripts;
        if !transcripts.is_empty() {
            return transcripts[count % transcripts.len()].clone();
        }
        let tenths = (samples / SAMPLES_PER_MS + 50) / 100;
        format!(
            "This is utterance {} and it took {}.{} seconds.",
            count + 1,
            tenths / 10,
            tenths % 10
        )
    }
}

/// How likely a caller with these words has finished: low where the sentence trails off.
fn end_of_turn(text: &str) -> f32 {
    let text = text.trim_end();
    let open = ["...", "…", ",", " and", " and so"]
        .iter()
        .any(|end| text.ends_with(end));
    if open { 0.1 } else { 0.95 }
}

fn logprobs(text: &str) -> Vec<(String, f32)> {
    text.split_inclusive(' ')
        .map(|token| (token.to_owned(), LOGPROB))
        .collect()
}

/// Utterances completed per session.
#[derive(Debug, Default)]
struct Counts {
    by_session: HashMap<String, usize>,
    oldest_first: VecDeque<String>,
}

impl Counts {
    fn of(&self, session: &str) -> usize {
        self.by_session.get(session).copied().unwrap_or(0)
    }

    fn advance(&mut self, session: &str) {
        if let Some(count) = self.by_session.get_mut(session) {
            *count += 1;
            return;
        }
        if self.oldest_first.len() == COUNTED_SESSIONS
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.by_session.remove(&oldest);
        }
        self.by_session.insert(session.to_owned(), 1);
        self.oldest_first.push_back(session.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_forget_the_oldest_session_first() {
        let mut counts = Counts::default();
        for session in 0..=COUNTED_SESSIONS {
            counts.advance(&session.to_string());
            counts.advance(&session.to_string());
        }
        assert_eq!(counts.of("0"), 0);
        assert_eq!(counts.of("1"), 2);
        assert_eq!(counts.by_session.len(), COUNTED_SESSIONS);
        assert_eq!(counts.oldest_first.len(), COUNTED_SESSIONS);
    }

    #[test]
    fn a_sentence_that_trails_off_is_not_the_end_of_a_turn() {
        assert!(end_of_turn("I would like, well…") < 0.5);
        assert!(end_of_turn("first this and ") < 0.5);
        assert!(end_of_turn("What time is it?") > 0.5);
    }
}
