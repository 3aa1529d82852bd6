//! A socket before its call is known: which dialect it speaks, its start, and the sound that comes meanwhile.
//! Made by `upgrade` for every media stream.
//! Never waits longer for a start than `telephony.start_timeout_ms`, and never keeps more than 5 s of sound.

use std::collections::VecDeque;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, timeout_at};
use wire::telephony::detect::{Detector, Verdict};
use wire::telephony::{Codec, Dialect, HangUp, Heard, Incoming, Say, Sent, Start, Track, Why};

use super::bind::{Bound, Refused};
use crate::App;
use crate::observe::Metrics;

/// Sound that is kept while a call is being looked up, in ms; of more, the oldest is dropped and counted.
const KEPT_MS: u64 = 5000;
/// How long the last frames of a refused stream may take.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long a carrier that only tries whether we answer may take to close.
const PROBE: Duration = Duration::from_secs(10);

/// A socket whose call is not known yet.
pub(super) struct Opening {
    pub(super) socket: WebSocket,
    pub(super) codec: Codec,
    /// Sound of the caller's, in the stream's format.
    pub(super) early: VecDeque<Bytes>,
    /// The caller has gone, or the stream is over.
    pub(super) gone: Gone,
    early_ms: u64,
    detector: Option<Detector>,
    deadline: Instant,
    metrics: Metrics,
}

/// Whether somebody is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    No,
    /// With a stop or a close frame.
    Closed,
    /// The connection broke.
    Lost,
    /// It sent a frame that ends the stream, with this close code.
    Refused(u16),
}

impl Opening {
    pub(super) fn new(app: &App, socket: WebSocket, route: Option<Dialect>) -> Self {
        let patience = Duration::from_millis(app.config.telephony.start_timeout_ms);
        Self {
            socket,
            // replaced once it is known
            codec: Codec::new(route.unwrap_or(Dialect::Twilio)),
            early: VecDeque::new(),
            gone: Gone::No,
            early_ms: 0,
            detector: Some(Detector::new(route)),
            deadline: Instant::now() + patience,
            metrics: app.metrics.clone(),
        }
    }

    pub(super) const fn dialect(&self) -> Dialect {
        self.codec.dialect()
    }

    /// Reads up to the start; none when there is none to come.
    pub(super) async fn started(mut self) -> Option<(Self, Box<Start>)> {
        let mut kept: Vec<Message> = Vec::new();
        loop {
            let message = match timeout_at(self.deadline, self.socket.recv()).await {
                Err(_) => {
                    self.turn_away("no_start", 1008).await;
                    return None;
                }
                Ok(None | Some(Err(_) | Ok(Message::Close(_)))) => {
                    self.count_refusal("no_start");
                    return None;
                }
                Ok(Some(Ok(message))) => message,
            };
            let Some(incoming) = incoming(&message) else {
                continue;
            };
            if let Some(detector) = &mut self.detector {
                match detector.look(incoming) {
                    Ok(Verdict::Is(dialect)) => {
                        self.detector = None;
                        self.codec = Codec::new(dialect);
                    }
                    Ok(Verdict::More) => {
                        kept.push(message);
                        continue;
                    }
                    Ok(Verdict::Unknown) => {
                        self.turn_away("unknown_dialect", 1008).await;
                        return None;
                    }
                    Err(refused) if refused.ends_the_stream() => {
                        self.turn_away("refused_frame", refused.close_code()).await;
                        return None;
                    }
                    Err(_) => continue,
                }
            }
            for message in std::mem::take(&mut kept).iter().chain([&message]) {
                match incoming_of(&mut self.codec, message) {
                    Ok(Some(Heard::Start(start))) => return Some((self, start)),
                    Ok(Some(Heard::Stop(_))) => {
                        self.turn_away("stop_without_start", 1000).await;
                        return None;
                    }
                    Err(refused) if refused.ends_the_stream() => {
                        let word = "refused_start";
                        self.count_refusal(word);
                        let hang_up = HangUp {
                            why: Why::Error,
                            note: Some(word),
                        };
                        take_leave(&mut self.socket, &mut self.codec, hang_up).await;
                        self.close(refused.close_code(), word).await;
                        return None;
                    }
                    Ok(_) | Err(_) => {}
                }
            }
        }
    }

    /// Keeps the caller's sound until `binding` is done.
    pub(super) async fn while_binding(
        &mut self,
        binding: impl Future<Output = Result<Bound, Refused>>,
    ) -> Result<Bound, Refused> {
        let mut binding = std::pin::pin!(binding);
        loop {
            tokio::select! {
                biased;
                bound = &mut binding => return bound,
                message = self.socket.recv(), if self.gone == Gone::No => match message {
                    None | Some(Err(_)) => self.gone = Gone::Lost,
                    Some(Ok(Message::Close(_))) => self.gone = Gone::Closed,
                    Some(Ok(message)) => self.keep(&message),
                },
            }
        }
    }

    fn keep(&mut self, message: &Message) {
        let heard = match incoming_of(&mut self.codec, message) {
            Ok(Some(heard)) => heard,
            Err(refused) if refused.ends_the_stream() => {
                self.gone = Gone::Refused(refused.close_code());
                return;
            }
            Ok(None) | Err(_) => return,
        };
        match heard {
            Heard::Stop(_) => self.gone = Gone::Closed,
            Heard::Media(media) if media.track == Track::Inbound => {
                let mut sound = Vec::new();
                if self.codec.decode(&media, &mut sound).is_err() || sound.is_empty() {
                    return;
                }
                let format = self.codec.format();
                self.early_ms += format.duration_ms(sound.len());
                self.early.push_back(sound.into());
                while self.early_ms > KEPT_MS
                    && let Some(oldest) = self.early.pop_front()
                {
                    let ms = format.duration_ms(oldest.len());
                    self.early_ms -= ms;
                    self.metrics.calls().sound_dropped(ms);
                }
            }
            _ => {}
        }
    }

    /// Answers a carrier that only tries whether we are there, and waits until it closes.
    pub(super) async fn answer_probe(mut self) {
        self.answer_until_closed().await;
        self.close(1000, "probe").await;
    }

    async fn answer_until_closed(&mut self) {
        let mut out = BytesMut::new();
        let until = Instant::now() + PROBE;
        loop {
            while let Some(sent) = self.codec.owed(&mut out) {
                if self.socket.send(message(sent, &mut out)).await.is_err() {
                    return;
                }
            }
            match timeout_at(until, self.socket.recv()).await {
                Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) | Err(_) => return,
                Ok(Some(Ok(message))) => drop(incoming_of(&mut self.codec, &message)),
            }
        }
    }

    /// Says no to a stream that has started.
    pub(super) async fn refuse(mut self, refused: Refused) {
        let why = if refused.code == 1011 {
            Why::Error
        } else {
            Why::Unauthorized
        };
        let hang_up = HangUp {
            why,
            note: Some(refused.word),
        };
        take_leave(&mut self.socket, &mut self.codec, hang_up).await;
        self.close(refused.code, refused.word).await;
    }

    async fn turn_away(&mut self, word: &'static str, code: u16) {
        self.count_refusal(word);
        self.close(code, word).await;
    }

    fn count_refusal(&self, word: &'static str) {
        self.metrics.calls().refused(self.dialect().name(), word);
        tracing::warn!(reason = word, "a media stream did not begin");
    }

    async fn close(&mut self, code: u16, reason: &'static str) {
        let frame = CloseFrame {
            code,
            reason: reason.into(),
        };
        let _ = self.socket.send(Message::Close(Some(frame))).await;
        // what was sent before the close was seen is read over, so that the close is not lost to a reset
        let rest = async { while let Some(Ok(_)) = self.socket.recv().await {} };
        let _ = tokio::time::timeout(LAST_WORDS, rest).await;
    }
}

/// Ends a stream in the dialect's own words. Genesys closes the session that it is told to end, and is owed an answer to
/// that before the socket closes (<https://developer.genesys.cloud/devapps/audiohook/session-walkthrough>).
pub(super) async fn take_leave(socket: &mut WebSocket, codec: &mut Codec, hang_up: HangUp<'_>) {
    let saying = async {
        let mut out = BytesMut::new();
        let said = codec.write(Say::HangUp(hang_up), &mut out);
        if let Ok(sent) = said {
            socket.send(message(sent, &mut out)).await?;
        }
        let mut awaited = said.is_ok() && codec.dialect() == Dialect::AudioHook;
        loop {
            while let Some(sent) = codec.owed(&mut out) {
                socket.send(message(sent, &mut out)).await?;
            }
            if !awaited {
                return Ok(());
            }
            match socket.recv().await {
                Some(Ok(Message::Close(_))) | None => return Ok(()),
                Some(Ok(message)) => {
                    awaited = !matches!(incoming_of(codec, &message), Ok(Some(Heard::Stop(_))));
                }
                Some(Err(error)) => return Err(error),
            }
        }
    };
    // a carrier that is gone needs no good-bye
    let _: Result<Result<(), axum::Error>, _> = tokio::time::timeout(LAST_WORDS, saying).await;
}

/// A frame that may say something.
pub(super) fn incoming(message: &Message) -> Option<Incoming<'_>> {
    match message {
        Message::Text(text) => Some(Incoming::Text(text.as_str())),
        Message::Binary(bytes) => Some(Incoming::Binary(bytes)),
        Message::Ping(_) | Message::Pong(_) | Message::Close(_) => None,
    }
}

fn incoming_of<'a>(
    codec: &mut Codec,
    message: &'a Message,
) -> Result<Option<Heard<'a>>, wire::telephony::Refused> {
    incoming(message).map(|it| codec.read(it)).transpose()
}

/// What the codec has written, as a frame.
pub(super) fn message(sent: Sent, out: &mut BytesMut) -> Message {
    let bytes = out.split().freeze();
    match sent {
        // the codec writes UTF-8 where it says text
        Sent::Text => Message::Text(Utf8Bytes::try_from(bytes).unwrap_or_default()),
        Sent::Binary => Message::Binary(bytes),
    }
}
