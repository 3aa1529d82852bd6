//! Whisper and Smart Turn behind the transcription port.
//! Opened once per utterance by the session.
//! Never transcribes twice what a pause has already transcribed.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use engine::ask::{Hears, SttOptions};
use local::{LocalError, LocalModels, Origin, Pending, Priority, TranscribeRequest, Transcript};
use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::{NAME, failure};
use crate::{
    Kind, ProviderError,
    ports::{EVENT_BUFFER, Stt, SttCommand, SttEvent, SttStream},
};

/// Samples per ms of the 16 kHz audio that every transcription receives.
const SAMPLES_PER_MS: usize = 16;
/// Longest utterance, in samples: half an hour, 58 MB.
const MAX_SAMPLES: usize = 30 * 60 * 1000 * SAMPLES_PER_MS;
/// A transcript begun at the pause yields to live work of others; once the utterance is over it is
/// waited for so long, then asked for again as live work.
const GUESS_GRACE: Duration = Duration::from_millis(60);

/// Transcription on this machine.
#[derive(Clone)]
pub struct LocalStt {
    models: LocalModels,
}

impl LocalStt {
    /// Transcribes with `models`.
    pub fn new(models: LocalModels) -> Self {
        Self { models }
    }
}

#[async_trait]
impl Stt for LocalStt {
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
            models: self.models.clone(),
            options,
            events: outbox,
            samples: Vec::new(),
            guess: Guess::None,
            judgement: None,
        };
        tokio::spawn(utterance.listen(inbox).in_current_span());
        Ok(SttStream { commands, events })
    }
}

/// The transcript of what came before the pause that still holds.
enum Guess {
    /// There is no pause, or it could not be transcribed early.
    None,
    Running(Pending<Transcript>),
    Ready(String),
}

struct Utterance {
    models: LocalModels,
    options: SttOptions,
    events: mpsc::Sender<SttEvent>,
    samples: Vec<i16>,
    guess: Guess,
    judgement: Option<Pending<f32>>,
}

/// What the listening task woke up for.
enum Wake {
    Command(Option<SttCommand>),
    Transcript(Result<Transcript, LocalError>),
    Judgement(Result<f32, LocalError>),
    Unheard,
}

impl Utterance {
    async fn listen(mut self, mut inbox: mpsc::Receiver<SttCommand>) {
        loop {
            let wake = tokio::select! {
                biased;
                () = self.events.closed() => Wake::Unheard,
                command = inbox.recv() => Wake::Command(command),
                transcript = running(&mut self.guess) => Wake::Transcript(transcript),
                judgement = pending(&mut self.judgement) => Wake::Judgement(judgement),
            };
            let event = match wake {
                Wake::Unheard | Wake::Command(None) => return,
                Wake::Command(Some(SttCommand::End)) => return self.finish().await,
                Wake::Command(Some(command)) => match self.obey(command) {
                    Ok(()) => continue,
                    Err(error) => {
                        let _ = self.events.send(SttEvent::Failed(error)).await;
                        return;
                    }
                },
                Wake::Transcript(result) => self.guessed(result),
                Wake::Judgement(result) => self.judged(result),
            };
            if let Some(event) = event
                && self.events.send(event).await.is_err()
            {
                return;
            }
        }
    }

    fn obey(&mut self, command: SttCommand) -> Result<(), ProviderError> {
        match command {
            SttCommand::Audio(samples) => {
                if self.samples.len() + samples.len() > MAX_SAMPLES {
                    let message = "the utterance is longer than 30 minutes";
                    return Err(ProviderError::new(NAME, Kind::Rejected, message));
                }
                self.samples.extend_from_slice(&samples);
            }
            SttCommand::Pause => self.pause(),
            SttCommand::Resume => {
                // dropping a pending result cancels its job
                self.guess = Guess::None;
                self.judgement = None;
            }
            SttCommand::End => {}
        }
        Ok(())
    }

    fn pause(&mut self) {
        let audio: Arc<[i16]> = self.samples.as_slice().into();
        self.guess = Guess::None;
        self.judgement = None;
        if audio.is_empty() {
            return;
        }
        if self.options.judge_turn {
            let judgement = self
                .models
                .judge_turn(self.origin(Priority::Live), Arc::clone(&audio));
            self.judgement = judgement.map_err(|error| unjudged(&error)).ok();
        }
        match self.transcribe(audio, Priority::Speculative) {
            Ok(pending) => self.guess = Guess::Running(pending),
            Err(error) => tracing::debug!(%error, "pause not transcribed early"),
        }
    }

    fn guessed(&mut self, result: Result<Transcript, LocalError>) -> Option<SttEvent> {
        match result {
            Ok(Transcript { text, .. }) => {
                self.guess = Guess::Ready(text.clone());
                Some(SttEvent::Partial { text })
            }
            Err(error) => {
                // the end of the utterance asks again, and tells if it goes wrong again
                tracing::debug!(%error, "pause not transcribed early");
                self.guess = Guess::None;
                None
            }
        }
    }

    fn judged(&mut self, result: Result<f32, LocalError>) -> Option<SttEvent> {
        self.judgement = None;
        let probability = result.map_err(|error| unjudged(&error)).ok()?;
        Some(SttEvent::EndOfTurn {
            probability: probability.clamp(0.0, 1.0),
        })
    }

    async fn finish(mut self) {
        let audio_ms = (self.samples.len() / SAMPLES_PER_MS) as u64;
        let events = self.events.clone();
        let text = tokio::select! {
            biased;
            () = events.closed() => return,
            text = self.text() => text,
        };
        let event = match text {
            Ok(text) => SttEvent::Final {
                text,
                audio_ms,
                logprobs: Vec::new(),
            },
            Err(error) => SttEvent::Failed(failure(&error)),
        };
        // the session may have gone away meanwhile
        let _ = events.send(event).await;
    }

    async fn text(&mut self) -> Result<String, LocalError> {
        match std::mem::replace(&mut self.guess, Guess::None) {
            Guess::Ready(text) => Ok(text),
            Guess::Running(guess) => self.insist(guess).await,
            Guess::None if self.samples.is_empty() => Ok(String::new()),
            Guess::None => Ok(self.live()?.await?.text),
        }
    }

    /// Waits for the guess, soon beside a live job for the same audio.
    async fn insist(&mut self, mut guess: Pending<Transcript>) -> Result<String, LocalError> {
        if let Ok(result) = tokio::time::timeout(GUESS_GRACE, &mut guess).await {
            return match result {
                Ok(transcript) => Ok(transcript.text),
                Err(_) => Ok(self.live()?.await?.text),
            };
        }
        let Ok(mut live) = self.live() else {
            return Ok(guess.await?.text);
        };
        tokio::select! {
            biased;
            Ok(transcript) = &mut guess => Ok(transcript.text),
            result = &mut live => Ok(result?.text),
        }
    }

    fn live(&mut self) -> Result<Pending<Transcript>, LocalError> {
        let audio = std::mem::take(&mut self.samples).into();
        self.transcribe(audio, Priority::Live)
    }

    fn transcribe(
        &self,
        audio: Arc<[i16]>,
        priority: Priority,
    ) -> Result<Pending<Transcript>, LocalError> {
        let request = TranscribeRequest {
            audio,
            prompt: self.options.prompt.clone(),
            language: self.options.language.clone(),
            ..TranscribeRequest::default()
        };
        self.models.transcribe(self.origin(priority), request)
    }

    fn origin(&self, priority: Priority) -> Origin {
        Origin {
            session: self.options.session.clone(),
            priority,
        }
    }
}

/// Without a judgement the session decides by silence alone.
fn unjudged(error: &LocalError) {
    tracing::debug!(%error, "end of turn not judged");
}

/// The result of a running guess; never, where none runs.
async fn running(guess: &mut Guess) -> Result<Transcript, LocalError> {
    match guess {
        Guess::Running(pending) => pending.await,
        Guess::None | Guess::Ready(_) => std::future::pending().await,
    }
}

/// The result of a running job; never, where none runs.
async fn pending<T>(job: &mut Option<Pending<T>>) -> Result<T, LocalError> {
    match job {
        Some(job) => job.await,
        None => std::future::pending().await,
    }
}
