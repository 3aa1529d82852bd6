//! One caller: a socket, a metronome of 20 ms, and what was heard since the last question.
//! `talk`, `barge_in` and `drain` tell it what to say.
//! It never sends a frame before its time, and never stops listening while it waits.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use crate::{
    Voice,
    clip::{Clip, FRAME_MS},
    event::Event,
    target::{Socket, Target},
};

/// Longest wait for the session to be configured.
const OPENING: Duration = Duration::from_secs(20);
/// Sound kept before speech when the server reports where it began, in ms; the protocol's default.
pub(crate) const PADDING_MS: u64 = 300;

/// What was heard since [`Caller::listen_anew`].
#[derive(Debug, Default, Clone)]
pub(crate) struct Heard {
    /// First audio of a reply.
    pub(crate) first_audio: Option<Instant>,
    /// Latest audio of a reply.
    pub(crate) last_audio: Option<Instant>,
    /// Bytes of reply audio.
    pub(crate) audio_bytes: u64,
    /// `response.done` and its status.
    pub(crate) done: Option<(Instant, String)>,
    /// `input_audio_buffer.speech_started`, and where speech began in ms of what was sent.
    pub(crate) speech_started: Option<(Instant, u64)>,
    /// `input_audio_buffer.speech_stopped`.
    pub(crate) speech_stopped: Option<Instant>,
    /// What the server understood.
    pub(crate) question: Option<String>,
    /// What it answered.
    pub(crate) answer: Option<String>,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Close code; 1006 when there was no close frame (RFC 6455 §7.1.5).
    pub(crate) code: u16,
}

/// A caller on the line.
pub(crate) struct Caller {
    socket: Socket,
    clip: Arc<Clip>,
    begun: Instant,
    frames: u64,
    /// When each frame so far was sent; the index is the frame.
    sent_at: Vec<Instant>,
    /// How late frames were sent, in ms.
    pub(crate) late_ms: Vec<f64>,
    /// Time to the configured session, in ms.
    pub(crate) connect_ms: f64,
    /// Bytes of reply audio per ms.
    bytes_per_ms: u64,
    /// What was heard.
    pub(crate) heard: Heard,
    /// Set once the server has closed the line.
    pub(crate) ended: Option<Ended>,
}

impl Caller {
    /// Connects and configures the session.
    ///
    /// Errors: the server is away, refuses, or does not answer in time.
    pub(crate) async fn connect(
        target: &Target,
        clip: Arc<Clip>,
        voice: &Voice,
    ) -> anyhow::Result<Self> {
        let begun = Instant::now();
        let mut socket = target.open().await?;
        let mut session = json!({
            "type": "realtime",
            "audio": {
                "input": {
                    "format": clip.format,
                    "transcription": {"model": "whisper-1"},
                    "turn_detection": {
                        "type": "server_vad",
                        "silence_duration_ms": voice.silence_ms,
                        "prefix_padding_ms": PADDING_MS,
                    },
                },
                "output": {"format": clip.format},
            },
        });
        if let Some(instructions) = &voice.instructions {
            session["instructions"] = json!(instructions);
        }
        let update = json!({"type": "session.update", "session": session});
        socket
            .send(Message::text(update.to_string()))
            .await
            .context("configure the session")?;
        timeout(OPENING, configured(&mut socket))
            .await
            .context("the server did not accept the session's settings in time")??;
        let bytes_per_ms = if clip.format["type"] == "audio/pcm" {
            48
        } else {
            8
        };
        Ok(Self {
            socket,
            clip,
            begun: Instant::now(),
            frames: 0,
            sent_at: Vec::new(),
            late_ms: Vec::new(),
            connect_ms: ms(begun.elapsed()),
            bytes_per_ms,
            heard: Heard::default(),
            ended: None,
        })
    }

    /// Forgets what was heard so far.
    pub(crate) fn listen_anew(&mut self) {
        self.heard = Heard::default();
    }

    /// Length of the reply audio so far.
    pub(crate) fn answer_length(&self) -> Duration {
        Duration::from_millis(self.heard.audio_bytes / self.bytes_per_ms)
    }

    /// When the frame was sent that completed the first `audio_ms` of what this caller sent.
    pub(crate) fn sent(&self, audio_ms: u64) -> Option<Instant> {
        let frame = audio_ms.div_ceil(FRAME_MS).saturating_sub(1);
        self.sent_at.get(frame as usize).copied()
    }

    /// Says the clip; returns when its first and last frame were sent.
    pub(crate) async fn speak(&mut self) -> anyhow::Result<(Instant, Instant)> {
        self.speak_while(|| true).await
    }

    /// As [`Self::speak`], but falls silent in the middle when `on` says no.
    pub(crate) async fn speak_while(
        &mut self,
        on: impl Fn() -> bool,
    ) -> anyhow::Result<(Instant, Instant)> {
        let clip = Arc::clone(&self.clip);
        let mut first = None;
        let mut last = Instant::now();
        for frame in clip.speech.iter().take_while(|_| on()) {
            last = self.send_frame(frame).await?;
            first.get_or_insert(last);
        }
        Ok((first.unwrap_or(last), last))
    }

    /// Sends silence until `enough` or for `longest`; returns whether `enough` said so.
    pub(crate) async fn wait(
        &mut self,
        longest: Duration,
        enough: impl Fn(&Self) -> bool,
    ) -> anyhow::Result<bool> {
        let until = Instant::now() + longest;
        let silence = self.clip.silence.clone();
        while !enough(self) {
            if Instant::now() >= until {
                return Ok(false);
            }
            self.send_frame(&silence).await?;
        }
        Ok(true)
    }

    /// Sends `text` at once, outside the rhythm.
    pub(crate) async fn send(&mut self, text: &'static str) -> anyhow::Result<Instant> {
        let message = Message::Text(Utf8Bytes::from_static(text));
        self.socket
            .send(message)
            .await
            .context("the connection broke")?;
        Ok(Instant::now())
    }

    /// Says goodbye.
    pub(crate) async fn hang_up(mut self) -> Self {
        // how the connection ends does not matter any more
        let _ = self.socket.close(None).await;
        self
    }

    /// Waits for the frame's time, listening, and sends it.
    async fn send_frame(&mut self, frame: &Utf8Bytes) -> anyhow::Result<Instant> {
        let due = self.begun + Duration::from_millis(self.frames * FRAME_MS);
        loop {
            tokio::select! {
                biased;
                event = self.socket.next() => self.take(event)?,
                () = sleep_until(due) => break,
            }
        }
        self.late_ms.push(ms(due.elapsed()));
        let sent = self.socket.send(Message::Text(frame.clone())).await;
        if let Err(error) = sent {
            // the close frame may be waiting to be read
            while let Some(event) = self.socket.next().await {
                self.take(Some(event))?;
            }
            return Err(error).context("the connection broke");
        }
        self.frames += 1;
        let now = Instant::now();
        self.sent_at.push(now);
        Ok(now)
    }

    fn take(&mut self, event: Option<Result<Message, Error>>) -> anyhow::Result<()> {
        let text = match event {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Close(frame))) => {
                let code = frame.map_or(1005, |frame| frame.code.into());
                self.ended = Some(Ended { code });
                bail!("the server closed the connection ({code})");
            }
            // pings are answered by the library
            Some(Ok(_)) => return Ok(()),
            None | Some(Err(_)) => {
                self.ended.get_or_insert(Ended { code: 1006 });
                bail!("the connection broke");
            }
        };
        let now = Instant::now();
        let Some(event) = Event::read(&text) else {
            bail!("the server sent something else than an event");
        };
        let heard = &mut self.heard;
        match event.kind {
            "response.output_audio.delta" => {
                heard.first_audio.get_or_insert(now);
                heard.last_audio = Some(now);
                heard.audio_bytes += event.audio_bytes();
            }
            "response.done" => heard.done = Some((now, event.status().to_owned())),
            "input_audio_buffer.speech_started" => {
                let at = event.audio_start_ms.unwrap_or_default();
                heard.speech_started.get_or_insert((now, at));
            }
            "input_audio_buffer.speech_stopped" => heard.speech_stopped = Some(now),
            "conversation.item.input_audio_transcription.completed" => {
                heard.question = event.transcript;
            }
            "response.output_audio_transcript.done" => heard.answer = event.transcript,
            "error" => eprintln!("loadgen: error event: {}", event.refusal()),
            _ => {}
        }
        Ok(())
    }
}

async fn configured(socket: &mut Socket) -> anyhow::Result<()> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => match Event::read(&text) {
                Some(event) if event.kind == "session.updated" => return Ok(()),
                Some(event) if event.kind == "error" => {
                    bail!("the server refused the session: {}", event.refusal())
                }
                _ => {}
            },
            Some(Ok(Message::Close(_)) | Err(_)) | None => {
                bail!("the server closed the connection")
            }
            Some(Ok(_)) => {}
        }
    }
}

/// A duration in ms with its fraction.
pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The time from `from` to `to` in ms, negative when it was before.
pub(crate) fn between(from: Instant, to: Instant) -> f64 {
    if to >= from {
        ms(to - from)
    } else {
        -ms(from - to)
    }
}
