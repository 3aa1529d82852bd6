//! The ports of ears, mind and voice, spoken over the work queue.
//! Opened by guarded pipelines like any other provider's.
//! Never keeps a job alive that nobody listens to: dropping a stream cancels it.

use async_trait::async_trait;
use engine::ask::{LlmRequest, SpeakOptions, SttOptions};
use providers::ports::{
    EVENT_BUFFER, Llm, LlmEvent, LlmStream, Piece, Stt, SttCommand, SttEvent, SttStream, Tts,
    TtsEvent, TtsStream, VoiceInfo,
};
use providers::{Kind, ProviderError};
use std::sync::Arc;
use store::live::work::Message;
use tokio::sync::mpsc;

use super::{Desk, Job, NAME, Told, codec};

/// Commands and pieces told at once.
const AT_ONCE: usize = 64;
/// Pieces that may wait: as many as a session hands out, which does not listen while it waits for room.
const WAITING_PIECES: usize = 512;

/// Ears.
pub(super) struct RemoteStt(pub(super) Desk);
/// Language.
pub(super) struct RemoteLlm(pub(super) Desk);
/// Voice.
pub(super) struct RemoteTts(pub(super) Desk);

fn not_understood() -> ProviderError {
    let message = "the worker answered something unknown; see that it has this version";
    ProviderError::new(NAME, Kind::Protocol, message)
}

impl Desk {
    async fn check(&self) -> Result<(), ProviderError> {
        let standing = self.queue.standing().await;
        standing
            .map(drop)
            .map_err(|away| ProviderError::new(NAME, Kind::Unavailable, away.to_string()))
    }
}

#[async_trait]
impl Stt for RemoteStt {
    fn name(&self) -> &str {
        NAME
    }

    async fn open(&self, options: SttOptions) -> Result<SttStream, ProviderError> {
        let request = codec::json(&options);
        let job = self.0.ask(&options.session, options.turn, &request).await?;
        let (commands, inbox) = mpsc::channel(EVENT_BUFFER);
        let (outbox, events) = mpsc::channel(EVENT_BUFFER);
        self.0.around.lifecycle.spawn(hear(job, inbox, outbox));
        Ok(SttStream { commands, events })
    }

    async fn check(&self) -> Result<(), ProviderError> {
        self.0.check().await
    }
}

async fn hear(mut job: Job, mut inbox: mpsc::Receiver<SttCommand>, outbox: mpsc::Sender<SttEvent>) {
    let mut commands = Vec::with_capacity(AT_ONCE);
    let mut open = true;
    loop {
        let event = tokio::select! {
            biased;
            () = outbox.closed() => return,
            answer = job.answer() => match answer {
                Ok(message) => codec::stt_event(&message)
                    .unwrap_or_else(|| SttEvent::Failed(not_understood())),
                Err(error) => SttEvent::Failed(error),
            },
            count = inbox.recv_many(&mut commands, AT_ONCE), if open => {
                open = count > 0;
                let told = job.tell(&codec::stt_commands(&commands)).await;
                commands.clear();
                match told {
                    Ok(Told::Heard) => continue,
                    Ok(Told::Over) => {
                        open = false;
                        continue;
                    }
                    Err(error) => SttEvent::Failed(error),
                }
            }
        };
        job.ended |= matches!(event, SttEvent::Final { .. });
        let last = matches!(event, SttEvent::Final { .. } | SttEvent::Failed(_));
        if outbox.send(event).await.is_err() || last {
            return;
        }
    }
}

#[async_trait]
impl Tts for RemoteTts {
    fn name(&self) -> &str {
        NAME
    }

    fn voices(&self) -> Vec<VoiceInfo> {
        Vec::new()
    }

    /// The workers' voices are theirs to know.
    fn voice_names(&self) -> Option<Arc<[String]>> {
        None
    }

    async fn open(&self, options: SpeakOptions) -> Result<TtsStream, ProviderError> {
        let request = codec::json(&options);
        let job = self.0.ask(&options.session, options.turn, &request).await?;
        let (pieces, inbox) = mpsc::channel(WAITING_PIECES);
        let (outbox, events) = mpsc::channel(EVENT_BUFFER);
        self.0.around.lifecycle.spawn(speak(job, inbox, outbox));
        Ok(TtsStream { pieces, events })
    }

    async fn check(&self) -> Result<(), ProviderError> {
        self.0.check().await
    }
}

async fn speak(mut job: Job, mut inbox: mpsc::Receiver<Piece>, outbox: mpsc::Sender<TtsEvent>) {
    let mut pieces = Vec::with_capacity(AT_ONCE);
    let mut open = true;
    loop {
        let event = tokio::select! {
            biased;
            () = outbox.closed() => return,
            answer = job.answer() => match answer {
                Ok(message) if message.kind == codec::END => {
                    job.ended = true;
                    return;
                }
                Ok(message) => codec::tts_event(&message)
                    .unwrap_or_else(|| TtsEvent::Failed(not_understood())),
                Err(error) => TtsEvent::Failed(error),
            },
            count = inbox.recv_many(&mut pieces, AT_ONCE), if open => {
                open = count > 0;
                let mut messages: Vec<Message> = pieces.iter().map(codec::piece_message).collect();
                pieces.clear();
                if !open {
                    messages.push(Message::new(codec::END, Vec::new()));
                }
                match job.tell(&messages).await {
                    Ok(Told::Heard) => continue,
                    Ok(Told::Over) => {
                        open = false;
                        continue;
                    }
                    Err(error) => TtsEvent::Failed(error),
                }
            }
        };
        let last = matches!(event, TtsEvent::Failed(_));
        if outbox.send(event).await.is_err() || last {
            return;
        }
        if let Err(error) = job.make_room().await {
            // the session may have gone away meanwhile
            let _ = outbox.send(TtsEvent::Failed(error)).await;
            return;
        }
    }
}

#[async_trait]
impl Llm for RemoteLlm {
    fn name(&self) -> &str {
        NAME
    }

    async fn ask(&self, request: LlmRequest) -> Result<LlmStream, ProviderError> {
        let asked = codec::json(&request);
        let job = self.0.ask(&request.session, request.turn, &asked).await?;
        let (outbox, events) = mpsc::channel(EVENT_BUFFER);
        self.0.around.lifecycle.spawn(answer(job, outbox));
        Ok(LlmStream { events })
    }

    async fn check(&self) -> Result<(), ProviderError> {
        self.0.check().await
    }
}

async fn answer(mut job: Job, outbox: mpsc::Sender<LlmEvent>) {
    loop {
        let event = tokio::select! {
            biased;
            () = outbox.closed() => return,
            answer = job.answer() => match answer {
                Ok(message) => codec::llm_event(&message)
                    .unwrap_or_else(|| LlmEvent::Failed(not_understood())),
                Err(error) => LlmEvent::Failed(error),
            },
        };
        job.ended |= matches!(event, LlmEvent::Done { .. });
        let last = matches!(event, LlmEvent::Done { .. } | LlmEvent::Failed(_));
        if outbox.send(event).await.is_err() || last {
            return;
        }
        if let Err(error) = job.make_room().await {
            // the session may have gone away meanwhile
            let _ = outbox.send(LlmEvent::Failed(error)).await;
            return;
        }
    }
}
