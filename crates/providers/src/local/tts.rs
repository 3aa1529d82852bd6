//! Piper and Kokoro behind the synthesis port.
//! Opened once per reply by the session and by the speech route.
//! Never lets the next piece wait for the delivery of the one before it.
//!
//! # Voices
//!
//! An installed voice is asked for by its own name (`joe`, `af_heart`, …). The names of the hosted
//! voices (see [`crate::voices::OPENAI_VOICES`]), the empty name and names nobody knows are spoken
//! by the default voice; where that is a Kokoro voice, each hosted name has a look-alike
//! (`local::Voices::resolve` holds the table).
//!
//! # When Kokoro fails
//!
//! A piece that Kokoro cannot speak, because its model does not load, fails, or has too much to do, is spoken by Piper
//! where that is installed, and so is the rest of the reply: another voice is better than none. The next reply tries
//! Kokoro again.

use std::{collections::VecDeque, sync::Arc};

use async_trait::async_trait;
use engine::ask::{AnotherVoice, SpeakOptions};
use local::{Audio, LocalError, LocalModels, Origin, Pending, Priority, SpeakRequest, VoiceModel};
use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::{NAME, failure};
use crate::{
    ProviderError,
    ports::{EVENT_BUFFER, Piece, Tts, TtsEvent, TtsStream, VoiceInfo},
};

/// Slices per second of audio: 100 ms each, so that what is not yet sent can still be cut.
const SLICES_PER_SECOND: usize = 10;
/// Pieces that may wait in the port's channel: a caller that blocks on the next piece does not read
/// events, and then no piece would ever be done.
const WAITING_PIECES: usize = 512;
/// Pieces in synthesis behind the one that is delivered: one keeps the model busy, more would
/// compute speech that a barge-in throws away.
const AHEAD: usize = 1;

/// Synthesis on this machine.
#[derive(Clone)]
pub struct LocalTts {
    models: LocalModels,
}

impl LocalTts {
    /// Speaks with `models`.
    pub fn new(models: LocalModels) -> Self {
        Self { models }
    }

    /// Who speaks when `voice` cannot: a voice of Piper behind one of Kokoro.
    fn spare(&self, voice: &str) -> Option<String> {
        let asked = self.models.resolve_voice(voice)?;
        if asked.model != VoiceModel::Kokoro {
            return None;
        }
        let mut voices = self.models.voices().into_iter();
        let piper = voices.find(|voice| voice.model == VoiceModel::Piper)?;
        Some(piper.id)
    }
}

#[async_trait]
impl Tts for LocalTts {
    fn name(&self) -> &str {
        NAME
    }

    fn voices(&self) -> Vec<VoiceInfo> {
        let voices = self.models.voices().into_iter();
        voices
            .map(|voice| VoiceInfo {
                name: voice.id,
                language: voice.language,
            })
            .collect()
    }

    async fn open(&self, options: SpeakOptions) -> Result<TtsStream, ProviderError> {
        let known = self.models.resolve_voice(&options.voice).is_some();
        let voice = if known { options.voice } else { String::new() };
        let (pieces, inbox) = mpsc::channel(WAITING_PIECES);
        let (outbox, events) = mpsc::channel(EVENT_BUFFER);
        let reply = Reply {
            models: self.models.clone(),
            session: options.session,
            spare: self.spare(&voice),
            voice,
            speed: if options.speed.is_finite() {
                options.speed.clamp(0.25, 4.0)
            } else {
                1.0
            },
            events: outbox,
            ahead: VecDeque::new(),
            untold: None,
        };
        let more = Pieces {
            inbox,
            ended: false,
        };
        tokio::spawn(reply.speak(more).in_current_span());
        Ok(TtsStream { pieces, events })
    }
}

/// Text still to come.
struct Pieces {
    inbox: mpsc::Receiver<Piece>,
    ended: bool,
}

impl Pieces {
    async fn next(&mut self) -> Option<Piece> {
        let piece = self.inbox.recv().await;
        self.ended = piece.is_none();
        piece
    }
}

/// A piece on its way.
struct Underway {
    index: u32,
    /// Absent for a piece without anything to pronounce.
    audio: Option<Pending<Audio>>,
    /// What it says, where another voice can say it as well.
    again: Option<String>,
}

/// Whether another voice may do better: nothing is wrong with what it was asked to say.
const fn is_ours(error: &LocalError) -> bool {
    !matches!(error, LocalError::BadInput(_) | LocalError::Cancelled)
}

struct Reply {
    models: LocalModels,
    session: String,
    voice: String,
    /// Speaks the rest when `voice` fails.
    spare: Option<String>,
    speed: f32,
    events: mpsc::Sender<TtsEvent>,
    ahead: VecDeque<Underway>,
    /// Another voice that the session has not been told of.
    untold: Option<Box<AnotherVoice>>,
}

/// Why a reply ends before its last piece.
enum Stop {
    Unheard,
    Failed(LocalError),
}

impl Reply {
    async fn speak(mut self, mut pieces: Pieces) {
        // the session may have gone away when the failure is told
        if let Err(Stop::Failed(error)) = self.pieces(&mut pieces).await {
            let _ = self.events.send(TtsEvent::Failed(failure(&error))).await;
        }
    }

    async fn pieces(&mut self, pieces: &mut Pieces) -> Result<(), Stop> {
        loop {
            if self.ahead.is_empty() {
                let listener = self.events.clone();
                let piece = tokio::select! {
                    biased;
                    () = listener.closed() => return Err(Stop::Unheard),
                    piece = pieces.next() => piece,
                };
                let Some(piece) = piece else { return Ok(()) };
                self.begin(piece)?;
            }
            let Some(current) = self.ahead.pop_front() else {
                return Ok(());
            };
            let index = current.index;
            let audio = self.spoken(current, pieces).await?;
            if let Some(voice) = self.untold.take() {
                self.send(TtsEvent::Another(voice), pieces).await?;
            }
            if let Some(audio) = audio {
                self.deliver(index, &audio, pieces).await?;
            }
            self.send(TtsEvent::PieceDone { index }, pieces).await?;
        }
    }

    fn begin(&mut self, piece: Piece) -> Result<(), Stop> {
        let Piece { index, text } = piece;
        let speaks = text.chars().any(char::is_alphanumeric);
        let mut again = self.spare.is_some().then(|| text.clone());
        let audio = if speaks {
            Some(match self.order(index, text) {
                Ok(audio) => audio,
                Err(error) => {
                    let text = again.take().filter(|_| is_ours(&error));
                    let Some(text) = text else {
                        return Err(Stop::Failed(error));
                    };
                    self.change_voice(&error);
                    self.order(index, text).map_err(Stop::Failed)?
                }
            })
        } else {
            None
        };
        self.ahead.push_back(Underway {
            index,
            audio,
            again,
        });
        Ok(())
    }

    fn order(&self, index: u32, text: String) -> Result<Pending<Audio>, LocalError> {
        self.models.speak(SpeakRequest {
            origin: Origin {
                session: self.session.clone(),
                priority: Priority::Live,
            },
            piece: index,
            text,
            voice: self.voice.clone(),
            speed: self.speed,
            ..SpeakRequest::default()
        })
    }

    fn change_voice(&mut self, why: &LocalError) {
        // pieces that were begun before the change come here one by one
        if let Some(spare) = self.spare.take() {
            tracing::warn!(
                session = self.session,
                voice = self.voice,
                instead = spare,
                "a voice fails: another one speaks the rest of this reply"
            );
            let from = std::mem::replace(&mut self.voice, spare);
            // whoever named none had the first
            let from = self
                .models
                .resolve_voice(&from)
                .map_or(from, |voice| voice.id);
            self.untold = Some(Box::new(AnotherVoice {
                from,
                to: self.voice.clone(),
                reason: failure(why).code().to_owned(),
            }));
        }
    }

    /// The audio of a piece, by another voice where its own fails.
    async fn spoken(
        &mut self,
        piece: Underway,
        pieces: &mut Pieces,
    ) -> Result<Option<Audio>, Stop> {
        let Some(audio) = piece.audio else {
            return Ok(None);
        };
        let failed = match self.synthesised(audio, pieces).await {
            Err(Stop::Failed(error)) if is_ours(&error) => error,
            done => return done.map(Some),
        };
        let Some(text) = piece.again else {
            return Err(Stop::Failed(failed));
        };
        tracing::warn!(error = %failed, "a piece of speech failed");
        self.change_voice(&failed);
        let audio = self.order(piece.index, text).map_err(Stop::Failed)?;
        self.synthesised(audio, pieces).await.map(Some)
    }

    /// Waits for a piece's audio and begins the next piece as soon as its text is there.
    async fn synthesised(
        &mut self,
        mut audio: Pending<Audio>,
        pieces: &mut Pieces,
    ) -> Result<Audio, Stop> {
        let listener = self.events.clone();
        loop {
            tokio::select! {
                biased;
                () = listener.closed() => return Err(Stop::Unheard),
                audio = &mut audio => return audio.map_err(Stop::Failed),
                Some(piece) = pieces.next(), if self.ahead.len() < AHEAD && !pieces.ended => {
                    self.begin(piece)?;
                }
            }
        }
    }

    async fn deliver(
        &mut self,
        index: u32,
        audio: &Audio,
        pieces: &mut Pieces,
    ) -> Result<(), Stop> {
        let slice = (audio.rate_hz as usize / SLICES_PER_SECOND).max(1);
        for samples in audio.samples.chunks(slice) {
            let samples: Arc<[i16]> = samples.into();
            let event = TtsEvent::Audio {
                index,
                rate_hz: audio.rate_hz,
                samples,
            };
            self.send(event, pieces).await?;
        }
        Ok(())
    }

    /// Sends an event; a session that is slow to take it does not delay the next piece.
    async fn send(&mut self, event: TtsEvent, pieces: &mut Pieces) -> Result<(), Stop> {
        let listener = self.events.clone();
        loop {
            tokio::select! {
                biased;
                Some(piece) = pieces.next(), if self.ahead.len() < AHEAD && !pieces.ended => {
                    self.begin(piece)?;
                }
                room = listener.reserve() => {
                    room.map_err(|_| Stop::Unheard)?.send(event);
                    return Ok(());
                }
            }
        }
    }
}
