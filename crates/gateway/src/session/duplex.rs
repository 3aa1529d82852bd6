//! The connection of one session to a speech-to-speech model.
//! Held by the wiring; opened anew whenever the engine says so.
//! Never decides anything: news go to the engine as they come.

use std::sync::Arc;

use engine::ask::{DuplexCommand, DuplexItem, DuplexOptions};
use engine::session::{DuplexNews, Input, LlmNews, SttNews};
use providers::ProviderError;
use providers::ports::{DUPLEX_BEHIND, Duplex, DuplexEvent};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::wiring::{report, told};
use crate::edge::Sender;
use crate::lifecycle::Lifecycle;
use crate::observe::Metrics;

/// A connection; dropping it hangs up.
pub(super) struct Link {
    commands: mpsc::Sender<DuplexCommand>,
    task: AbortHandle,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Link {
    /// Lets `model` join; its news go to `news`.
    pub(super) fn open(
        model: Arc<dyn Duplex>,
        joining: (DuplexOptions, Vec<DuplexItem>),
        news: Sender<Input>,
        (lifecycle, metrics): (&Lifecycle, Metrics),
    ) -> Self {
        let (commands, mut inbox) = mpsc::channel(DUPLEX_BEHIND);
        let session = joining.0.session.clone();
        let lost = move |error: &ProviderError| {
            report(&metrics, &session, error);
            Input::Duplex(DuplexNews::Lost(told(error).into()))
        };
        let task = lifecycle.spawn(async move {
            let mut stream = match model.open(joining.0, joining.1).await {
                Ok(stream) => stream,
                Err(error) => {
                    // the session may have gone away meanwhile, here and below
                    let _ = news.send(lost(&error)).await;
                    return;
                }
            };
            let mut waiting = None;
            loop {
                tokio::select! {
                    place = stream.commands.reserve(), if waiting.is_some() => match (place, waiting.take()) {
                        (Ok(place), Some(command)) => place.send(command),
                        // why it takes no more, it says itself
                        _ => waiting = None,
                    },
                    command = inbox.recv(), if waiting.is_none() => match command {
                        Some(command) => waiting = Some(command),
                        None => return,
                    },
                    event = stream.events.recv() => {
                        let (input, ended) = match event {
                            None => return,
                            Some(DuplexEvent::Lost(error)) => (lost(&error), true),
                            Some(event) => (heard(event), false),
                        };
                        if news.send(input).await.is_err() || ended {
                            return;
                        }
                    }
                }
            }
        });
        Self {
            commands,
            task: task.abort_handle(),
        }
    }

    /// Tells the model something; `false` when it is so far behind that it will not catch up.
    pub(super) fn tell(&self, command: DuplexCommand) -> bool {
        !matches!(
            self.commands.try_send(command),
            Err(mpsc::error::TrySendError::Full(_))
        )
    }
}

fn heard(event: DuplexEvent) -> Input {
    match event {
        DuplexEvent::Ready => Input::Duplex(DuplexNews::Ready),
        DuplexEvent::Transcript { utterance, text } => Input::Stt(
            utterance,
            SttNews::Final {
                text,
                audio_ms: 0,
                logprobs: Vec::new(),
            },
        ),
        DuplexEvent::TranscriptFailed { utterance, error } => {
            Input::Stt(utterance, SttNews::Failed(told(&error).into()))
        }
        DuplexEvent::Text { reply, text } => Input::Llm(reply, LlmNews::Text(text)),
        DuplexEvent::Audio { reply, audio } => Input::Duplex(DuplexNews::Audio { reply, audio }),
        DuplexEvent::ToolCall {
            reply,
            call_id,
            name,
        } => Input::Llm(reply, LlmNews::ToolCall { call_id, name }),
        DuplexEvent::ToolArguments { reply, json } => {
            Input::Llm(reply, LlmNews::ToolArguments(json))
        }
        DuplexEvent::Done {
            reply,
            finish,
            usage,
        } => Input::Duplex(DuplexNews::Done {
            reply,
            finish,
            usage,
        }),
        DuplexEvent::Failed { reply, error, .. } => {
            Input::Llm(reply, LlmNews::Failed(told(&error).into()))
        }
        DuplexEvent::Lost(error) => Input::Duplex(DuplexNews::Lost(told(&error).into())),
    }
}
