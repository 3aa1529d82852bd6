//! The caller's end of the realtime protocol: opens the socket, sends sound at the speed of speech,
//! and hands every event to the conversation. `talk` uses it.
//! It never sends a frame before its time.

use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest as _,
        http::{HeaderValue, StatusCode, header},
    },
};
use url::Url;

use super::conversation::{Conversation, Step};

/// Sound per message, in ms: what telephones and browsers send.
const FRAME_MS: u64 = 20;
/// The same in samples at 24 kHz.
const FRAME_SAMPLES: usize = 480;
/// Longest wait for the connection and for the session to be configured.
const OPENING: Duration = Duration::from_secs(10);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What to say, and how.
pub(super) struct Question<'a> {
    /// Mono at 24 kHz.
    pub(super) samples: &'a [i16],
    /// Where speech ends in `samples`, in ms.
    pub(super) speech_end_ms: u64,
    /// Longest wait for the answer after the last sample.
    pub(super) patience: Duration,
    /// Body of `session.update`.
    pub(super) session: Value,
}

/// An open connection.
pub(super) struct Client {
    socket: Socket,
    opened: Instant,
}

impl Client {
    /// Connects to the realtime endpoint at `url`.
    ///
    /// Errors: one sentence that says whether the server is away or refuses the key.
    pub(super) async fn connect(url: &Url, key: &str) -> anyhow::Result<Self> {
        let mut request = url
            .as_str()
            .into_client_request()
            .context("address of the server")?;
        let mut authorization = HeaderValue::from_str(&format!("Bearer {key}"))
            .map_err(|_| anyhow::anyhow!("the API key holds characters that no key has"))?;
        authorization.set_sensitive(true);
        request
            .headers_mut()
            .insert(header::AUTHORIZATION, authorization);
        let place = url.host_str().unwrap_or_default();
        let connecting = timeout(OPENING, connect_async(request)).await;
        match connecting.with_context(|| format!("{place} does not answer"))? {
            Ok((socket, _)) => Ok(Self {
                socket,
                opened: Instant::now(),
            }),
            Err(Error::Http(response)) if response.status() == StatusCode::UNAUTHORIZED => {
                bail!("{place} does not accept this API key")
            }
            Err(Error::Io(error)) => Err(error).with_context(|| {
                format!("cannot reach {place}; is the server running? `antiphon serve` starts it")
            }),
            Err(error) => Err(error).with_context(|| format!("cannot open a session at {place}")),
        }
    }

    /// Configures the session, says the question, keeps the line open with silence until the answer
    /// is complete, and returns what happened.
    ///
    /// Errors: the server refuses the settings, ends the connection, or does not answer in time.
    pub(super) async fn ask(mut self, question: &Question<'_>) -> anyhow::Result<Conversation> {
        let mut conversation = Conversation::default();
        self.send(&json!({"type": "session.update", "session": question.session}))
            .await?;
        timeout(OPENING, self.configured(&mut conversation))
            .await
            .context("the server did not accept the session's settings in time")??;

        let mut frames = question.samples.chunks(FRAME_SAMPLES);
        let silence = [0_i16; FRAME_SAMPLES];
        let mut pace = interval(Duration::from_millis(FRAME_MS));
        // a late frame is followed by the next at once, as from a real sound card
        pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let (mut sent_ms, mut deadline) = (0, None);
        while !(deadline.is_some() && conversation.is_over()) {
            tokio::select! {
                _ = pace.tick() => {
                    let frame = frames.next();
                    if frame.is_none() && deadline.is_none() {
                        deadline = Some(Instant::now() + question.patience);
                    }
                    self.append(frame.unwrap_or(&silence)).await?;
                    let before = sent_ms;
                    sent_ms += FRAME_MS;
                    if (before..sent_ms).contains(&question.speech_end_ms.saturating_sub(1)) {
                        conversation.speech_sent(self.opened.elapsed());
                    }
                }
                event = self.socket.next() => {
                    if let Step::Refused(reason) = self.take(event, &mut conversation)? {
                        bail!("the server refused: {reason}");
                    }
                }
            }
            if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                bail!(
                    "no complete answer within {} s",
                    question.patience.as_secs()
                );
            }
        }
        // the answer is here: how the connection ends does not matter any more
        let _ = self.socket.close(None).await;
        Ok(conversation)
    }

    /// Waits for the next event and lets `conversation` have it.
    #[cfg(feature = "mic")]
    pub(super) async fn next(&mut self, conversation: &mut Conversation) -> anyhow::Result<Step> {
        let event = self.socket.next().await;
        self.take(event, conversation)
    }

    async fn configured(&mut self, conversation: &mut Conversation) -> anyhow::Result<()> {
        loop {
            let event = self.socket.next().await;
            match self.take(event, conversation)? {
                Step::Configured => return Ok(()),
                Step::Refused(reason) => bail!("the server refused the session: {reason}"),
                Step::On | Step::Began | Step::SpokenOver => {}
            }
        }
    }

    fn take(
        &self,
        event: Option<Result<Message, Error>>,
        conversation: &mut Conversation,
    ) -> anyhow::Result<Step> {
        match event {
            Some(Ok(Message::Text(text))) => {
                let event: Value = serde_json::from_str(&text)
                    .context("the server sent something else than JSON")?;
                Ok(conversation.on(&event, self.opened.elapsed()))
            }
            Some(Ok(Message::Close(Some(frame)))) => {
                bail!(
                    "the server closed the connection: {} ({})",
                    frame.reason,
                    frame.code
                )
            }
            Some(Ok(Message::Close(None))) | None => bail!("the server closed the connection"),
            // pings are answered by the library
            Some(Ok(_)) => Ok(Step::On),
            Some(Err(error)) => Err(error).context("the connection broke"),
        }
    }

    /// Sends mono samples at 24 kHz.
    pub(super) async fn append(&mut self, samples: &[i16]) -> anyhow::Result<()> {
        let bytes: Vec<u8> = samples
            .iter()
            .flat_map(|sample| sample.to_le_bytes())
            .collect();
        let audio = STANDARD.encode(bytes);
        self.send(&json!({"type": "input_audio_buffer.append", "audio": audio}))
            .await
    }

    /// Sends a client event.
    pub(super) async fn send(&mut self, event: &Value) -> anyhow::Result<()> {
        let sent = self.socket.send(Message::text(event.to_string())).await;
        sent.context("the connection broke")
    }
}
