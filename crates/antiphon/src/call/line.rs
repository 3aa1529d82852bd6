//! The media stream of a softphone: 20 ms out and 20 ms in, every 20 ms, until the answer is over.
//! Used by `call`.
//! Never sends a frame that the carrier it plays does not have.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::audio::g711::Law;
use engine::audio::level;
use futures_util::{SinkExt as _, StreamExt as _};
use gateway::edge::telephony::trust::twilio;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::buffer::{Buffer, FRAME, SILENCE};
use super::document::Document;
use super::timing::Heard;
use super::{Brand, Caller};

const TICK: Duration = Duration::from_millis(20);
/// The agent has finished its greeting when it has been quiet for so long, in ms.
const GREETED_MS: u64 = 600;
/// A greeting that has not begun by then does not come, in ms.
const NO_GREETING_MS: u64 = 5000;
/// What counts as speech in the recording, in dBFS.
const SPEECH_DBFS: f32 = -40.0;

/// An open stream.
pub(super) struct Line<'a> {
    caller: &'a Caller<'a>,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    stream: String,
    sequence: u64,
    at_ms: u64,
    /// When the agent was last heard, in ms.
    spoken_ms: Option<u64>,
    buffer: Buffer,
    heard: Heard,
}

impl<'a> Line<'a> {
    /// Opens the stream of a document, and starts it.
    pub(super) async fn open(caller: &'a Caller<'a>, document: &Document) -> anyhow::Result<Self> {
        let brand = caller.args.carrier;
        let mut request = document
            .stream
            .as_str()
            .into_client_request()
            .context("the stream's address")?;
        let headers = request.headers_mut();
        if let Some(token) = &caller.token {
            let signature = twilio::sign(&document.stream, &[], token.as_bytes());
            headers.insert(brand.header(), HeaderValue::from_str(&signature)?);
        }
        if let Some(bearer) = &document.bearer {
            let bearer = format!("Bearer {bearer}");
            headers.insert("authorization", HeaderValue::from_str(&bearer)?);
        }
        let (socket, _) = connect_async(request).await.map_err(|error| match error {
            Error::Http(response) => anyhow::anyhow!(
                "the server refuses the stream: {} (is --token what it signs with?)",
                response.status()
            ),
            error => anyhow::Error::new(error).context(format!("cannot reach {}", document.stream)),
        })?;
        let mut line = Self {
            stream: brand.id("MZ", super::fresh()),
            caller,
            socket,
            sequence: 0,
            at_ms: 0,
            spoken_ms: None,
            buffer: Buffer::default(),
            heard: Heard::default(),
        };
        line.start(document).await?;
        Ok(line)
    }

    async fn start(&mut self, document: &Document) -> anyhow::Result<()> {
        let version = match self.caller.args.carrier {
            Brand::Twilio => "1.0.0",
            Brand::SignalWire => "0.2.0",
        };
        let connected = json!({ "event": "connected", "protocol": "Call", "version": version });
        self.send(&connected).await?;
        let parameters: serde_json::Map<String, Value> = document
            .parameters
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().into()))
            .collect();
        let sequence = self.number();
        let account = self.caller.args.carrier.id("AC", 1);
        self.send(&json!({ "event": "start", "sequenceNumber": sequence, "streamSid": self.stream, "start": {
            "streamSid": self.stream, "accountSid": account, "callSid": self.caller.sid,
            "tracks": ["inbound"], "customParameters": parameters,
            "mediaFormat": { "encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1 } } }))
            .await
    }

    fn number(&mut self) -> String {
        self.sequence += 1;
        self.sequence.to_string()
    }

    async fn send(&mut self, frame: &Value) -> anyhow::Result<()> {
        let sent = self.socket.send(Message::text(frame.to_string()));
        sent.await.context("the stream broke")
    }

    /// Says the recording behind the greeting, and listens until the answer is over.
    pub(super) async fn talk(
        mut self,
        question: &[u8],
        progress: &mut impl Write,
    ) -> anyhow::Result<Heard> {
        let args = self.caller.args;
        let spoken = speech_end(question);
        let mut said = 0;
        let mut ticks = tokio::time::interval_at(Instant::now() + TICK, TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        writeln!(progress, "{:>7.2} s  connected", 0.0)?;
        loop {
            tokio::select! {
                biased;
                _ = ticks.tick() => {
                    if self.at_ms >= args.timeout_s * 1000 || self.is_done(said, question.len()) {
                        break;
                    }
                    let may_speak = said > 0 || self.is_greeted();
                    if may_speak && self.heard.asked_ms.is_none() {
                        self.heard.asked_ms = Some(self.at_ms);
                        self.press().await?;
                        writeln!(progress, "{:>7.2} s  the recording is said", self.at_ms as f64 / 1e3)?;
                    }
                    let mut frame = [SILENCE; FRAME];
                    if may_speak && said < question.len() {
                        let part = &question[said..question.len().min(said + FRAME)];
                        frame[..part.len()].copy_from_slice(part);
                        said += part.len();
                        if said >= spoken && self.heard.silent_ms.is_none() {
                            self.heard.silent_ms = Some(self.at_ms + 20);
                        }
                    }
                    self.frame(&frame).await?;
                    self.play(progress).await?;
                }
                message = self.socket.next() => match message {
                    Some(Ok(Message::Text(text))) => self.take(&text, progress).await?,
                    Some(Ok(Message::Close(frame))) => {
                        let frame = frame.map(|one| (one.code.into(), one.reason.to_string()));
                        self.heard.closed = Some(frame.unwrap_or((1005, String::new())));
                        return Ok(self.heard);
                    }
                    Some(Ok(Message::Binary(_))) => bail!("31924: the server sent a binary frame"),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error).context("the stream broke"),
                    None => bail!("the stream ended without a close frame"),
                },
            }
        }
        self.hang_up().await?;
        Ok(self.heard)
    }

    /// Whether the agent has said its greeting, or has none.
    fn is_greeted(&self) -> bool {
        match self.spoken_ms {
            Some(at_ms) => self.at_ms >= at_ms + GREETED_MS,
            None => self.at_ms >= NO_GREETING_MS,
        }
    }

    /// Whether the recording was said and its answer was heard.
    fn is_done(&self, said: usize, whole: usize) -> bool {
        let quiet_ms = self.caller.args.quiet_ms;
        let last_ms = self.spoken_ms.unwrap_or_default();
        said >= whole && self.heard.answered_ms.is_some() && self.at_ms >= last_ms + quiet_ms
    }

    async fn frame(&mut self, sound: &[u8]) -> anyhow::Result<()> {
        let sequence = self.number();
        let media = json!({ "event": "media", "sequenceNumber": sequence, "streamSid": self.stream,
            "media": { "track": "inbound", "chunk": (self.at_ms / 20 + 1).to_string(),
                "timestamp": self.at_ms.to_string(), "payload": STANDARD.encode(sound) } });
        self.at_ms += 20;
        self.send(&media).await
    }

    /// Plays 20 ms of what was sent.
    async fn play(&mut self, progress: &mut impl Write) -> anyhow::Result<()> {
        let (frame, is_sound, marks) = self.buffer.play();
        self.heard.sound.extend_from_slice(&frame);
        for name in marks {
            self.echo(&name).await?;
        }
        if !is_sound {
            return Ok(());
        }
        let at_ms = self.at_ms - 20;
        let after_silence = self.spoken_ms.is_none_or(|last| at_ms > last + 200);
        self.spoken_ms = Some(self.at_ms);
        if after_silence {
            writeln!(progress, "{:>7.2} s  the agent speaks", at_ms as f64 / 1e3)?;
        }
        self.heard.greeted_ms.get_or_insert(at_ms);
        if self.heard.silent_ms.is_some_and(|silent| at_ms >= silent) {
            self.heard.answered_ms.get_or_insert(at_ms);
        }
        Ok(())
    }

    async fn echo(&mut self, name: &str) -> anyhow::Result<()> {
        self.heard.marks += 1;
        let mut mark =
            json!({ "event": "mark", "streamSid": self.stream, "mark": { "name": name } });
        if self.caller.args.carrier == Brand::Twilio {
            mark["sequenceNumber"] = self.number().into();
        }
        self.send(&mark).await
    }

    async fn press(&mut self) -> anyhow::Result<()> {
        let keys = self.caller.args.keys.clone().unwrap_or_default();
        for key in keys.chars() {
            let sequence = self.number();
            self.send(
                &json!({ "event": "dtmf", "streamSid": self.stream, "sequenceNumber": sequence,
                "dtmf": { "track": "inbound_track", "digit": key.to_string() } }),
            )
            .await?;
        }
        Ok(())
    }

    /// A frame of the server's.
    async fn take(&mut self, text: &str, progress: &mut impl Write) -> anyhow::Result<()> {
        let frame: Value = serde_json::from_str(text).context("31924: a frame is no JSON")?;
        match frame["event"].as_str().unwrap_or_default() {
            "media" => {
                let payload = frame["media"]["payload"].as_str().unwrap_or_default();
                let sound = STANDARD
                    .decode(payload)
                    .context("31924: a payload is no base64")?;
                self.buffer.sound(sound);
            }
            "mark" => {
                let name = frame["mark"]["name"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned();
                self.buffer.mark(name);
            }
            "clear" => {
                let (marks, cleared_ms) = self.buffer.clear();
                self.heard.clears += 1;
                self.heard.cleared_ms += cleared_ms;
                let at = self.at_ms as f64 / 1e3;
                writeln!(
                    progress,
                    "{at:>7.2} s  the agent is interrupted, {cleared_ms} ms thrown away"
                )?;
                for name in marks {
                    self.echo(&name).await?;
                }
            }
            "dtmf" if self.caller.args.carrier == Brand::SignalWire => {}
            other => bail!(
                "31924: {} has no '{other}'",
                self.caller.args.carrier.name()
            ),
        }
        Ok(())
    }

    /// Hangs up as carriers do: `stop`, then the close.
    async fn hang_up(&mut self) -> anyhow::Result<()> {
        let sequence = self.number();
        let account = self.caller.args.carrier.id("AC", 1);
        self.send(
            &json!({ "event": "stop", "sequenceNumber": sequence, "streamSid": self.stream,
            "stop": { "accountSid": account, "callSid": self.caller.sid } }),
        )
        .await?;
        let rest = async { while let Some(Ok(_)) = self.socket.next().await {} };
        let _ = tokio::time::timeout(Duration::from_secs(3), rest).await;
        Ok(())
    }
}

/// Bytes up to the end of the last loud part.
fn speech_end(question: &[u8]) -> usize {
    let mut samples = Vec::new();
    Law::Mu.decode(question, &mut samples);
    let loud = |part: &[i16]| level::dbfs(level::rms(part)) > SPEECH_DBFS;
    let last = samples.chunks(FRAME).rposition(loud);
    last.map_or(question.len(), |part| {
        question.len().min((part + 1) * FRAME)
    })
}
