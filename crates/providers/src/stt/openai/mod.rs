//! Any server that speaks the transcription protocol
//! (<https://platform.openai.com/docs/api-reference/audio/createTranscription>): OpenAI, Groq, Speaches, vLLM.
//! Constructed by the catalog; opened by the session once per utterance, and asked at its pauses and its end.
//! Never transcribes twice what a pause has already transcribed.

mod answer;

use std::pin::Pin;

use async_trait::async_trait;
use engine::{
    ask::{Hears, SttOptions},
    audio::{format::SampleRate, wav},
};
use reqwest::{
    Client,
    multipart::{Form, Part},
};
use tokio::sync::mpsc;
use tracing::Instrument as _;

use self::answer::Transcript;
use super::{MAX_SAMPLES, SAMPLES_PER_MS};
use crate::{
    Kind, ProviderError, Vendor, http,
    openai::Server,
    ports::{EVENT_BUFFER, Stt, SttCommand, SttEvent, SttStream},
};

/// Model for vendors that name none (<https://platform.openai.com/docs/guides/speech-to-text>).
const MODEL: &str = "gpt-4o-mini-transcribe";
/// Samples that a recording must have at least: the service refuses less than 100 ms.
const FEWEST_SAMPLES: usize = 100 * SAMPLES_PER_MS;

/// Ears behind HTTP.
pub struct OpenAiStt(Server);

impl OpenAiStt {
    /// The ears behind `vendor.base_url`, asked through `client`.
    ///
    /// Errors: [`Kind::Rejected`] for an address that is not HTTP, [`Kind::Unauthorized`] for a key that cannot stand
    /// in a header.
    pub fn new(client: Client, vendor: Vendor) -> Result<Self, ProviderError> {
        Server::new(client, vendor, "/audio/transcriptions").map(Self)
    }
}

#[async_trait]
impl Stt for OpenAiStt {
    fn name(&self) -> &str {
        &self.0.vendor.name
    }

    fn model(&self) -> &str {
        self.0.vendor.model.as_deref().unwrap_or(MODEL)
    }

    fn hears_by_request(&self) -> bool {
        true
    }

    fn hears(&self) -> Hears {
        Hears::Whole
    }

    async fn open(&self, options: SttOptions) -> Result<SttStream, ProviderError> {
        let (commands, inbox) = mpsc::channel(EVENT_BUFFER);
        let (outbox, events) = mpsc::channel(EVENT_BUFFER);
        let utterance = Utterance {
            server: self.0.clone(),
            options,
            events: outbox,
            samples: Vec::new(),
            guess: Guess::None,
        };
        tokio::spawn(utterance.listen(inbox).in_current_span());
        Ok(SttStream { commands, events })
    }

    fn prepare(&self, _options: &SttOptions) {
        self.0.prepare();
    }

    async fn check(&self) -> Result<(), ProviderError> {
        self.0.check().await
    }
}

/// A request under way; dropping it closes it.
type Asking = Pin<Box<dyn Future<Output = Result<Transcript, ProviderError>> + Send>>;

/// The transcript of what came before the pause that still holds.
enum Guess {
    /// There is no pause, or it could not be transcribed early.
    None,
    Asking(Asking),
    Ready(Transcript),
}

impl Guess {
    /// The transcript being asked for; never, where none is.
    async fn asked(&mut self) -> Result<Transcript, ProviderError> {
        match self {
            Self::Asking(asking) => asking.await,
            Self::None | Self::Ready(_) => std::future::pending().await,
        }
    }
}

struct Utterance {
    server: Server,
    options: SttOptions,
    events: mpsc::Sender<SttEvent>,
    samples: Vec<i16>,
    guess: Guess,
}

impl Utterance {
    async fn listen(mut self, mut inbox: mpsc::Receiver<SttCommand>) {
        let listener = self.events.clone();
        let last = tokio::select! {
            biased;
            () = listener.closed() => return,
            last = self.hear(&mut inbox) => last,
        };
        if let Some(last) = last {
            // the session may have gone away meanwhile
            let _ = listener.send(last).await;
        }
    }

    /// The last event; none for an utterance that is given up.
    async fn hear(&mut self, inbox: &mut mpsc::Receiver<SttCommand>) -> Option<SttEvent> {
        loop {
            tokio::select! {
                biased;
                command = inbox.recv() => match command? {
                    SttCommand::Audio(samples) => {
                        if self.samples.len() + samples.len() > MAX_SAMPLES {
                            let message = "the utterance is longer than 30 minutes";
                            let error = self.server.vendor.error(Kind::Rejected, message);
                            return Some(SttEvent::Failed(error));
                        }
                        self.samples.extend_from_slice(&samples);
                    }
                    SttCommand::Pause if self.samples.is_empty() => {}
                    SttCommand::Pause => self.guess = Guess::Asking(self.ask()),
                    // dropping the request closes it
                    SttCommand::Resume => self.guess = Guess::None,
                    SttCommand::End => return Some(self.finish().await),
                },
                guessed = self.guess.asked() => match guessed {
                    Ok(transcript) => {
                        let text = transcript.text.clone();
                        self.guess = Guess::Ready(transcript);
                        self.events.send(SttEvent::Partial { text }).await.ok()?;
                    }
                    Err(error) => {
                        // the end of the utterance asks again, and tells if it goes wrong again
                        tracing::debug!(%error, "pause not transcribed early");
                        self.guess = Guess::None;
                    }
                },
            }
        }
    }

    async fn finish(&mut self) -> SttEvent {
        let transcript = match std::mem::replace(&mut self.guess, Guess::None) {
            Guess::Ready(transcript) => Ok(transcript),
            Guess::Asking(asking) => match asking.await {
                Ok(transcript) => Ok(transcript),
                Err(error) if error.kind == Kind::Unavailable => self.ask().await,
                Err(error) => Err(error),
            },
            Guess::None if self.samples.is_empty() => Ok(Transcript::default()),
            Guess::None => self.ask().await,
        };
        match transcript {
            Ok(Transcript { text, logprobs }) => SttEvent::Final {
                text,
                audio_ms: (self.samples.len() / SAMPLES_PER_MS) as u64,
                logprobs,
            },
            Err(error) => SttEvent::Failed(error),
        }
    }

    /// Sends what has been said so far as a recording.
    fn ask(&self) -> Asking {
        let file = if self.samples.len() < FEWEST_SAMPLES {
            let mut padded = self.samples.clone();
            padded.resize(FEWEST_SAMPLES, 0);
            wav::write(&padded, SampleRate::HZ_16K)
        } else {
            wav::write(&self.samples, SampleRate::HZ_16K)
        };
        let vendor = &self.server.vendor;
        let model = vendor.model.clone().unwrap_or_else(|| MODEL.to_owned());
        // the only models that know how sure they are of a token
        let logprobs = self.options.logprobs && model.starts_with("gpt-4o");
        let file = Part::bytes(file).file_name("audio.wav");
        let file = file.mime_str("audio/wav");
        let mut form = Form::new()
            .text("model", model)
            .text("response_format", "json")
            // read over by models and servers that cannot
            .text("stream", "true");
        if let Some(language) = self.options.language.clone() {
            form = form.text("language", language);
        }
        if let Some(prompt) = self.options.prompt.clone().filter(|text| !text.is_empty()) {
            form = form.text("prompt", prompt);
        }
        if logprobs {
            form = form.text("include[]", "logprobs");
        }
        let server = self.server.clone();
        Box::pin(async move {
            let vendor = &server.vendor;
            let file = file.map_err(|_| {
                vendor.error(Kind::Protocol, "the recording could not be put into a form")
            })?;
            let question = server.question().multipart(form.part("file", file));
            let response = http::ask(vendor, question).await?;
            answer::read(vendor, response).await
        })
    }
}
