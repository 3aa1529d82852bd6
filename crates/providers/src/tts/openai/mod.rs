//! Any server that speaks the speech protocol (<https://platform.openai.com/docs/api-reference/audio/createSpeech>):
//! `OpenAI`, `Kokoro-FastAPI`, `Speaches`, `LocalAI`.
//! Constructed by the catalog; opened by the session once per reply, and asked once per piece of it.
//! Never lets the next piece wait for the delivery of the one before it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use engine::ask::SpeakOptions;
use reqwest::{Client, Response, header::CONTENT_TYPE};
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::timeout};
use tracing::Instrument as _;

use super::{
    WAITING_PIECES, has_words,
    mouth::{Mouth, Unheard},
    speed,
};
use crate::{
    Kind, ProviderError, Vendor, failure, http,
    openai::Server,
    ports::{EVENT_BUFFER, Piece, Tts, TtsStream, VoiceInfo},
    voices::OPENAI_VOICES,
};

/// Model for vendors that name none; the only hosted one that has all voices
/// (<https://platform.openai.com/docs/guides/text-to-speech>).
const MODEL: &str = "gpt-4o-mini-tts";
/// Sample rate of `response_format: pcm`, in Hz
/// (<https://platform.openai.com/docs/guides/text-to-speech#supported-output-formats>).
const RATE_HZ: u32 = 24_000;
/// Chunks of a piece that may wait to be heard; the connection waits with them.
const WAITING_CHUNKS: usize = 16;
/// How files begin that are not headerless samples: WAV, MP3, Ogg, FLAC.
const FILES: [&[u8]; 4] = [b"RIFF", b"ID3", b"OggS", b"fLaC"];

/// Voices behind HTTP.
pub struct OpenAiTts(Server);

impl OpenAiTts {
    /// The voices behind `vendor.base_url`, asked through `client`.
    ///
    /// Errors: [`Kind::Rejected`] for an address that is not HTTP, [`Kind::Unauthorized`] for a key that cannot stand
    /// in a header.
    pub fn new(client: Client, vendor: Vendor) -> Result<Self, ProviderError> {
        Server::new(client, vendor, "/audio/speech").map(Self)
    }
}

#[async_trait]
impl Tts for OpenAiTts {
    fn name(&self) -> &str {
        &self.0.vendor.name
    }

    fn model<'a>(&'a self, _voice: &'a str) -> &'a str {
        self.0.vendor.model.as_deref().unwrap_or(MODEL)
    }

    fn voices(&self) -> Vec<VoiceInfo> {
        // the configured voice comes first: it speaks for the names that nobody knows
        let own = self.0.vendor.voice.iter().map(String::as_str);
        let names = own.chain(OPENAI_VOICES);
        names
            .map(|name| VoiceInfo {
                name: name.to_owned(),
                language: "en-US".to_owned(),
            })
            .collect()
    }

    fn voice_names(&self) -> Option<Arc<[String]>> {
        let known = || {
            let voices = self.voices().into_iter();
            voices.map(|voice| voice.name).collect()
        };
        // other servers have voices of their own
        self.0.is_hosted().then(known)
    }

    async fn open(&self, options: SpeakOptions) -> Result<TtsStream, ProviderError> {
        let (pieces, inbox) = mpsc::channel(WAITING_PIECES);
        let (outbox, events) = mpsc::channel(EVENT_BUFFER);
        let reply = Reply {
            server: self.0.clone(),
            options,
        };
        let mouth = Mouth::new(outbox, RATE_HZ);
        tokio::spawn(reply.speak(inbox, mouth).in_current_span());
        Ok(TtsStream { pieces, events })
    }

    fn prepare(&self, _options: &SpeakOptions) {
        self.0.prepare();
    }

    async fn check(&self) -> Result<(), ProviderError> {
        self.0.check().await
    }
}

/// A piece on its way.
struct Underway {
    index: u32,
    /// Absent for a piece without anything to pronounce.
    audio: Option<mpsc::Receiver<Result<Bytes, ProviderError>>>,
}

/// One reply.
struct Reply {
    server: Server,
    options: SpeakOptions,
}

impl Reply {
    async fn speak(self, inbox: mpsc::Receiver<Piece>, mut mouth: Mouth) {
        // one place: the piece behind the one that is delivered is under way, more would be speech that a barge-in
        // throws away
        let (queue, mut queued) = mpsc::channel(1);
        let unheard = mouth.closed();
        let deliver = async {
            if let Err(error) = deliver(&mut queued, &mut mouth).await {
                mouth.fail(error).await;
            }
        };
        let begin = self.begin(inbox, queue);
        tokio::pin!(deliver);
        tokio::select! {
            biased;
            () = unheard => return,
            () = &mut deliver => return,
            () = begin => {}
        }
        deliver.await;
    }

    /// Asks for pieces as soon as there is a place for them.
    async fn begin(&self, mut inbox: mpsc::Receiver<Piece>, queue: mpsc::Sender<Underway>) {
        while let Ok(place) = queue.reserve().await {
            let Some(piece) = inbox.recv().await else {
                return;
            };
            let audio = has_words(&piece.text).then(|| {
                let (chunks, audio) = mpsc::channel(WAITING_CHUNKS);
                let body = self.body(&piece.text);
                let fetching = fetch(self.server.clone(), body, chunks);
                tokio::spawn(fetching.in_current_span());
                audio
            });
            place.send(Underway {
                index: piece.index,
                audio,
            });
        }
    }

    fn body(&self, text: &str) -> Value {
        let mut body = json!({
            "model": self.server.vendor.model.as_deref().unwrap_or(MODEL),
            "voice": self.voice(),
            "input": text,
            "response_format": "pcm",
        });
        // not every server knows it
        if let Some(speed) = speed(self.options.speed, 0.25, 4.0) {
            body["speed"] = json!(speed);
        }
        body
    }

    fn voice(&self) -> &str {
        let asked = self.options.voice.as_str();
        let hosted = self.server.is_hosted();
        match &self.server.vendor.voice {
            _ if OPENAI_VOICES.contains(&asked) => asked,
            Some(own) => own,
            // other servers have voices of their own
            None if !hosted && !asked.is_empty() => asked,
            None => OPENAI_VOICES[0],
        }
    }
}

/// Fetches one piece, until it is complete or not wanted any more.
async fn fetch(server: Server, body: Value, chunks: mpsc::Sender<Result<Bytes, ProviderError>>) {
    let unwanted = chunks.clone();
    let fetching = async {
        if let Err(error) = read(&server, &body, &chunks).await {
            let _ = chunks.send(Err(error)).await;
        }
    };
    tokio::select! {
        biased;
        // dropping the answer closes the request
        () = unwanted.closed() => {}
        () = fetching => {}
    }
}

async fn read(
    server: &Server,
    body: &Value,
    chunks: &mpsc::Sender<Result<Bytes, ProviderError>>,
) -> Result<(), ProviderError> {
    let vendor = &server.vendor;
    let nonsense = |message| Err(vendor.error(Kind::Protocol, message));
    let question = server.question().header(CONTENT_TYPE, "application/json");
    let mut response = http::ask(vendor, question.body(body.to_string())).await?;
    if !is_audio(&response) {
        return nonsense("the server sent text where speech was asked for");
    }
    let mut limit = vendor.limits.first_event;
    let mut silent = true;
    loop {
        let chunk = timeout(limit, response.chunk())
            .await
            .map_err(|_| failure::silent(&vendor.name, "no more speech came", limit))?
            .map_err(|error| failure::of_transport(&vendor.name, &error))?;
        let Some(chunk) = chunk else {
            break;
        };
        if silent && FILES.iter().any(|file| chunk.starts_with(file)) {
            return nonsense("the server sent a file where headerless pcm was asked for");
        }
        silent &= chunk.is_empty();
        limit = vendor.limits.between_events;
        if chunks.send(Ok(chunk)).await.is_err() {
            return Ok(());
        }
    }
    if silent {
        return nonsense("the server sent no speech");
    }
    Ok(())
}

fn is_audio(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    !kind.starts_with("text/") && !kind.starts_with("application/json")
}

/// Hands out the pieces in their order.
async fn deliver(
    queued: &mut mpsc::Receiver<Underway>,
    mouth: &mut Mouth,
) -> Result<(), ProviderError> {
    while let Some(piece) = queued.recv().await {
        if let Some(mut audio) = piece.audio {
            while let Some(chunk) = audio.recv().await {
                if let Err(Unheard) = mouth.play(piece.index, &chunk?).await {
                    return Ok(());
                }
            }
        }
        if let Err(Unheard) = mouth.done(piece.index).await {
            return Ok(());
        }
    }
    Ok(())
}
