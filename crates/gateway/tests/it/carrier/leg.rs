//! The media socket of one call, as the carrier has it: its frames, and the buffer that it plays out of.
//! Used by the telephone stories.
//! Never plays faster than it is told to: `Playing::AtOnce` plays everything the moment it comes, `Playing::Held` nothing
//! before [`Leg::play`], so that no story waits for a second to pass.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::audio::g711::Law;
use engine::audio::{Resampler, SampleRate};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::document::Document;
use super::{Brand, Call, TOKEN, sign};
use crate::recorded::Recording;
use crate::world::PATIENCE;

/// Bytes of a frame of 20 ms.
const FRAME: usize = 160;
/// Silence in mu-law.
const SILENCE: u8 = 0xFF;

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
    brand: Brand,
    stream: String,
    sid: String,
    sequence: u64,
    at_ms: u64,
    playing: Playing,
    buffer: VecDeque<Queued>,
    /// Sound that was played, in bytes.
    pub(crate) played: usize,
    /// Sound that was thrown away, in bytes.
    pub(crate) cleared: usize,
    pub(crate) clears: usize,
    pub(crate) marks: usize,
    /// Why the socket was closed.
    pub(crate) closed: Option<(u16, String)>,
}

impl Leg {
    /// Opens the socket of a document, signed; the refusal's status when it is refused.
    pub(crate) async fn connect(
        call: &Call<'_>,
        document: &Document,
        token: &str,
    ) -> Result<Self, u16> {
        let mut request = document.url.as_str().into_client_request().unwrap();
        let signature = sign::upgrade(&document.url, token).parse().unwrap();
        request
            .headers_mut()
            .insert(sign::header(call.brand), signature);
        match connect_async(request).await {
            Ok((socket, _)) => Ok(Self {
                socket,
                recording: Recording::of(&format!("telephone_{}", call.brand.name())),
                brand: call.brand,
                stream: call.brand.id("MZ", 7),
                sid: call.sid.clone(),
                sequence: 0,
                at_ms: 0,
                playing: Playing::AtOnce,
                buffer: VecDeque::new(),
                played: 0,
                cleared: 0,
                clears: 0,
                marks: 0,
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
        leg
    }

    /// `connected` and `start`, as the brand writes them.
    pub(crate) async fn say_start(&mut self, document: &Document) {
        let version = match self.brand {
            Brand::Twilio => "1.0.0",
            Brand::SignalWire => "0.2.0",
        };
        self.send(&json!({ "event": "connected", "protocol": "Call", "version": version }))
            .await;
        let parameters: serde_json::Map<String, Value> = document
            .parameters
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().into()))
            .collect();
        let sequence = self.next_sequence();
        let start = json!({ "event": "start", "sequenceNumber": sequence, "streamSid": self.stream, "start": {
            "streamSid": self.stream, "accountSid": self.brand.id("AC", 1), "callSid": self.sid,
            "tracks": ["inbound"], "customParameters": parameters,
            "mediaFormat": { "encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1 } } });
        self.send(&start).await;
    }

    fn next_sequence(&mut self) -> String {
        self.sequence += 1;
        self.sequence.to_string()
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

    /// One frame of sound.
    pub(crate) async fn frame(&mut self, sound: &[u8]) {
        let sequence = self.next_sequence();
        let media = json!({ "event": "media", "sequenceNumber": sequence, "streamSid": self.stream,
            "media": { "track": "inbound", "chunk": sequence, "timestamp": self.at_ms.to_string(),
                "payload": STANDARD.encode(sound) } });
        self.at_ms += 20;
        self.send(&media).await;
    }

    /// Speaks, faster than a person would.
    pub(crate) async fn say(&mut self, sound: &[u8]) {
        for frame in sound.chunks(FRAME) {
            self.frame(frame).await;
        }
    }

    /// Is silent for so many ms.
    pub(crate) async fn pause(&mut self, ms: usize) {
        self.say(&vec![SILENCE; ms * 8]).await;
    }

    /// Presses keys.
    pub(crate) async fn press(&mut self, keys: &str) {
        for key in keys.chars() {
            let sequence = self.next_sequence();
            let dtmf = json!({ "event": "dtmf", "streamSid": self.stream, "sequenceNumber": sequence,
                "dtmf": { "track": "inbound_track", "digit": key.to_string() } });
            self.send(&dtmf).await;
        }
    }

    /// Hangs up as carriers do: `stop`, then the close.
    pub(crate) async fn hang_up(&mut self) {
        let sequence = self.next_sequence();
        let stop = json!({ "event": "stop", "sequenceNumber": sequence, "streamSid": self.stream,
            "stop": { "accountSid": self.brand.id("AC", 1), "callSid": self.sid } });
        self.send(&stop).await;
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
        let mut mark =
            json!({ "event": "mark", "streamSid": self.stream, "mark": { "name": name } });
        if self.brand == Brand::Twilio {
            mark["sequenceNumber"] = self.next_sequence().into();
        }
        self.send(&mark).await;
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
                Some(Ok(Message::Text(text))) => self.take(&text).await,
                Some(Ok(Message::Binary(_))) => panic!("31924: a binary frame"),
                Some(Ok(Message::Close(frame))) => {
                    let frame = frame.unwrap();
                    self.closed = Some((frame.code.into(), frame.reason.to_string()));
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
            if let Message::Text(text) = message {
                self.take(&text).await;
            }
        }
    }

    /// Reads until so much more was played.
    pub(crate) async fn hear(&mut self, bytes: usize) {
        let from = self.played;
        self.until("sound", |leg| leg.played >= from + bytes).await;
    }

    /// One frame of the server's: `media`, `mark` or `clear`, and nothing else.
    async fn take(&mut self, text: &str) {
        let frame: Value = serde_json::from_str(text).unwrap();
        let keys: Vec<&str> = frame
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(frame["streamSid"], self.stream, "31924: {frame}");
        match frame["event"].as_str().unwrap() {
            "media" => {
                assert_eq!(keys, ["event", "media", "streamSid"], "31924");
                let media = frame["media"].as_object().unwrap();
                assert_eq!(media.len(), 1, "31924: {media:?}");
                let sound = STANDARD.decode(media["payload"].as_str().unwrap()).unwrap();
                self.buffer.push_back(Queued::Sound(sound.len()));
            }
            "mark" => {
                assert_eq!(keys, ["event", "mark", "streamSid"], "31924");
                let name = frame["mark"]["name"].as_str().unwrap().to_owned();
                self.marks += 1;
                self.buffer.push_back(Queued::Mark(name));
            }
            "clear" => {
                assert_eq!(keys, ["event", "streamSid"], "31924");
                self.clears += 1;
                self.cleared += self.waiting();
                // marks that wait come back at once, though their sound was never heard
                for queued in std::mem::take(&mut self.buffer) {
                    if let Queued::Mark(name) = queued {
                        self.echo(&name).await;
                    }
                }
            }
            other => panic!("31924: {other}"),
        }
        if self.playing == Playing::AtOnce {
            self.play(usize::MAX).await;
        }
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
