//! The media socket of one call, as the carrier has it: its frames, and the buffer that it plays out of.
//! Used by the telephone stories.
//! Never plays faster than it is told to: `Playing::AtOnce` plays everything the moment it comes, `Playing::Held` nothing
//! before [`Leg::play`], so that no story waits for a second to pass.

use std::collections::VecDeque;

use engine::audio::g711::Law;
use engine::audio::{Resampler, SampleRate};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::document::Document;
use super::tongue::{self, Asks, Tongue};
use super::{Brand, Call, TOKEN};
use crate::recorded::Recording;
use crate::world::PATIENCE;

/// Silence in mu-law.
const SILENCE: u8 = 0xFF;

/// How long a character is spoken in text mode, in eighths of a ms.
pub(crate) const CHAR: usize = 8 * 10;

/// How the buffer is played out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Playing {
    AtOnce,
    Held,
}

/// What waits in the buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Queued {
    Sound(usize),
    Mark(String),
}

pub(crate) struct Leg {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    recording: Recording,
    tongue: Box<dyn Tongue>,
    at_ms: u64,
    /// It has said its last word: nothing is sent back any more.
    parting: bool,
    playing: Playing,
    buffer: VecDeque<Queued>,
    /// Sound that was played, in eighths of a ms, which are bytes of mu-law.
    pub(crate) played: usize,
    /// Sound that was thrown away, in the same.
    pub(crate) cleared: usize,
    pub(crate) clears: usize,
    pub(crate) marks: usize,
    /// Words that were spoken or wait to be (text mode).
    pub(crate) words: String,
    /// Keys that we were asked to press.
    pub(crate) keys: String,
    /// The protocol's own answers, by name, in order.
    pub(crate) answers: Vec<String>,
    /// Why the socket was closed.
    pub(crate) closed: Option<(u16, String)>,
}

impl Leg {
    /// Opens the socket of a document with what the carrier proves itself by; the refusal's status when it is refused.
    pub(crate) async fn connect(
        call: &Call<'_>,
        document: &Document,
        token: &str,
    ) -> Result<Self, u16> {
        let headers = call.proof_of_upgrade(document, token);
        Self::connect_with(call, document, &headers).await
    }

    /// The same with these headers.
    pub(crate) async fn connect_with(
        call: &Call<'_>,
        document: &Document,
        headers: &[(&'static str, String)],
    ) -> Result<Self, u16> {
        let mut request = call.reach(&document.url).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match connect_async(request).await {
            Ok((socket, _)) => Ok(Self {
                socket,
                recording: Recording::of(&format!("telephone_{}", call.brand.name())),
                tongue: tongue::of(call),
                at_ms: 0,
                parting: false,
                playing: Playing::AtOnce,
                buffer: VecDeque::new(),
                played: 0,
                cleared: 0,
                clears: 0,
                marks: 0,
                words: String::new(),
                keys: String::new(),
                answers: Vec::new(),
                closed: None,
            }),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// Opens the socket and starts the stream.
    pub(crate) async fn start(call: &Call<'_>, document: &Document) -> Self {
        let mut leg = Self::connect(call, document, TOKEN).await.unwrap();
        leg.say_start(document).await;
        if call.brand == Brand::Genesys {
            leg.until("opened", |leg| !leg.answers.is_empty()).await;
        }
        leg
    }

    /// `connected` and `start`, as the brand writes them.
    pub(crate) async fn say_start(&mut self, document: &Document) {
        let first = self.tongue.begin(document);
        self.send_all(first).await;
    }

    async fn send_all(&mut self, messages: Vec<Message>) {
        for message in messages {
            if !self.parting {
                self.put(message).await;
            }
        }
    }

    async fn put(&mut self, message: Message) {
        self.recording.said(&message);
        self.socket.send(message).await.unwrap();
    }

    pub(crate) async fn send(&mut self, frame: &Value) {
        self.send_text(frame.to_string()).await;
    }

    pub(crate) async fn send_text(&mut self, text: String) {
        let message = Message::text(text);
        self.recording.said(&message);
        self.socket.send(message).await.unwrap();
    }

    /// A frame of so many bytes; the other side may be gone before it is sent.
    pub(crate) async fn send_huge(&mut self, bytes: usize) {
        let sent = self.socket.send(Message::text("a".repeat(bytes))).await;
        drop(sent);
    }

    /// Reads until the other side has gone, in whichever way.
    pub(crate) async fn until_gone(&mut self) {
        let rest = async {
            while let Some(Ok(message)) = self.socket.next().await {
                if matches!(message, Message::Close(_)) {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, rest).await.unwrap();
    }

    pub(crate) async fn send_binary(&mut self, bytes: Vec<u8>) {
        self.socket.send(Message::binary(bytes)).await.unwrap();
    }

    /// From now on the buffer is played so.
    pub(crate) async fn set(&mut self, playing: Playing) {
        self.playing = playing;
        if playing == Playing::AtOnce {
            self.play(usize::MAX).await;
        }
    }

    /// Speaks, faster than a person would.
    pub(crate) async fn say(&mut self, sound: &[u8]) {
        let bytes = self.tongue.frame_bytes();
        for frame in sound.chunks(bytes) {
            let mut frame = frame.to_vec();
            frame.resize(bytes, SILENCE);
            let message = self.tongue.sound(&frame, self.at_ms);
            self.at_ms += (bytes / 8) as u64;
            self.put(message).await;
        }
    }

    /// Is silent for so many ms.
    pub(crate) async fn pause(&mut self, ms: usize) {
        self.say(&vec![SILENCE; ms * 8]).await;
    }

    /// Presses keys.
    pub(crate) async fn press(&mut self, keys: &str) {
        for key in keys.chars() {
            let message = self.tongue.key(key);
            self.put(message).await;
        }
    }

    /// Hangs up as the carrier does: with a message before the close, or with the close.
    pub(crate) async fn hang_up(&mut self) {
        let last = self.tongue.hang_up();
        if last.is_empty() {
            return self.close().await;
        }
        self.send_all(last).await;
        self.until_closed().await;
    }

    /// So many messages were sent past the fake, which counts them.
    pub(crate) fn said(&mut self, messages: u64) {
        self.tongue.said(messages);
    }

    /// The session has another id from now on.
    pub(crate) fn renamed(&mut self, id: &str) {
        self.tongue.renamed(id);
    }

    /// The carrier closes its socket.
    pub(crate) async fn close(&mut self) {
        self.socket.send(Message::Close(None)).await.unwrap();
        self.parting = true;
        self.until_closed().await;
    }

    /// The line is dead.
    pub(crate) fn drop_line(self) {}

    /// Plays up to so many bytes of the buffer and sends the marks behind them back.
    pub(crate) async fn play(&mut self, mut bytes: usize) {
        while let Some(first) = self.buffer.pop_front() {
            match first {
                Queued::Mark(name) => self.echo(&name).await,
                Queued::Sound(length) if length > bytes => {
                    self.played += bytes;
                    self.buffer.push_front(Queued::Sound(length - bytes));
                    return;
                }
                Queued::Sound(length) => {
                    self.played += length;
                    bytes -= length;
                }
            }
        }
    }

    /// Sound that waits to be played, in bytes.
    pub(crate) fn waiting(&self) -> usize {
        self.buffer
            .iter()
            .map(|it| match it {
                Queued::Sound(length) => *length,
                Queued::Mark(_) => 0,
            })
            .sum()
    }

    async fn echo(&mut self, name: &str) {
        let message = self.tongue.echo(name);
        self.send_all(vec![message]).await;
    }

    /// Reads frames until `done` is true of what is known.
    pub(crate) async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            let next = tokio::time::timeout(PATIENCE, self.socket.next()).await;
            let next = next.unwrap_or_else(|_| {
                panic!(
                    "no {what}: {} bytes played, {} wait, {} marks",
                    self.played,
                    self.waiting(),
                    self.marks
                )
            });
            if let Some(Ok(message)) = &next {
                self.recording.heard(message);
            }
            match next {
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                    self.take(&message).await;
                }
                Some(Ok(Message::Close(frame))) => {
                    let why = frame.map(|frame| (frame.code.into(), frame.reason.to_string()));
                    self.closed = Some(why.unwrap_or((1005, String::new())));
                    assert!(done(self), "closed before {what}: {:?}", self.closed);
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => panic!("{what}: {error}"),
                None => panic!("the socket ended before {what}"),
            }
        }
    }

    /// Reads up to the close.
    pub(crate) async fn until_closed(&mut self) -> u16 {
        self.until("close", |leg| leg.closed.is_some()).await;
        self.closed.as_ref().unwrap().0
    }

    /// Reads until the greeting, some 270 ms of sound, was played whole.
    pub(crate) async fn greeting(&mut self) {
        self.hear(8 * 240).await;
        self.settle().await;
    }

    /// Reads until nothing more comes.
    pub(crate) async fn settle(&mut self) {
        let quiet = std::time::Duration::from_millis(300);
        while let Ok(Some(Ok(message))) = tokio::time::timeout(quiet, self.socket.next()).await {
            self.recording.heard(&message);
            if let Message::Text(_) | Message::Binary(_) = message {
                self.take(&message).await;
            }
        }
    }

    /// Reads until so much more was played.
    pub(crate) async fn hear(&mut self, bytes: usize) {
        let from = self.played;
        self.until("sound", |leg| leg.played >= from + bytes).await;
    }

    /// One frame of the server's.
    async fn take(&mut self, message: &Message) {
        match self.tongue.read(message) {
            Asks::Play(eighths) => self.buffer.push_back(Queued::Sound(eighths)),
            Asks::Speak(words) => {
                self.buffer
                    .push_back(Queued::Sound(CHAR * words.chars().count()));
                self.words.push_str(&words);
            }
            Asks::Mark(name) => {
                self.marks += 1;
                self.buffer.push_back(Queued::Mark(name));
            }
            Asks::Clear => {
                self.clears += 1;
                let marks = self.empty();
                let answers = self.tongue.cleared(marks);
                self.send_all(answers).await;
            }
            Asks::Keys(keys) => self.keys.push_str(&keys),
            Asks::Answer(name) => self.answers.push(name),
            Asks::End => {
                self.answers.push("end".to_owned());
                let last = self.tongue.hang_up();
                self.send_all(last).await;
            }
        }
        if self.playing == Playing::AtOnce {
            self.play(usize::MAX).await;
        }
    }

    /// Throws away what was not played; the marks that were in it.
    pub(crate) fn empty(&mut self) -> Vec<String> {
        self.cleared += self.waiting();
        let all = std::mem::take(&mut self.buffer).into_iter();
        all.filter_map(|queued| match queued {
            Queued::Mark(name) => Some(name),
            Queued::Sound(_) => None,
        })
        .collect()
    }
}

/// Speech of a person, in mu-law.
pub(crate) fn speech() -> Vec<u8> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/clients/speech.wav"
    );
    let mut reader = hound::WavReader::open(path).unwrap();
    assert_eq!(reader.spec().sample_rate, 24_000);
    let samples: Vec<i16> = reader.samples::<i16>().map(Result::unwrap).collect();
    let mut narrow = Vec::new();
    let mut resampler = Resampler::new(SampleRate::HZ_24K, SampleRate::HZ_8K);
    resampler.push(&samples, &mut narrow);
    resampler.flush(&mut narrow);
    let mut bytes = Vec::new();
    Law::Mu.encode(&narrow, &mut bytes);
    bytes
}
