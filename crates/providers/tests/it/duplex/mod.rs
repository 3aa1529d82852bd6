//! Speech-to-speech vendors: one suite for both, and what is particular to each. Real sockets on both sides.

mod gemini;
mod openai;
mod suite;
mod trouble;

use std::{future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;
use engine::ask::{
    DuplexCommand, DuplexItem, DuplexOptions, DuplexReply, DuplexUsage, Finish, LlmMessage,
};
use providers::{
    ProviderError, Vendor,
    duplex::{GeminiLive, OpenAiRealtime},
    http,
    ports::{Duplex, DuplexEvent, DuplexStream},
};
use serde_json::json;
use wire::realtime::{
    AudioFormat,
    session::{Tool, ToolChoice},
};

use crate::fakes::upstream::{Answer, KEY, Upstream, gemini_live, openai_realtime, speech};

/// A vendor with its fake.
pub(crate) struct Subject {
    start: fn() -> Pin<Box<dyn Future<Output = Upstream> + Send>>,
    open: fn(Vendor) -> Result<Arc<dyn Duplex>, ProviderError>,
}

pub(crate) const OPENAI: Subject = Subject {
    start: || Box::pin(openai_realtime::start()),
    open: |vendor| {
        Ok(Arc::new(OpenAiRealtime::new(
            http::client().unwrap(),
            vendor,
        )?))
    },
};

pub(crate) const GEMINI: Subject = Subject {
    start: || Box::pin(gemini_live::start()),
    open: |vendor| Ok(Arc::new(GeminiLive::new(http::client().unwrap(), vendor)?)),
};

impl Subject {
    pub(crate) async fn fake(&self, script: &[Answer]) -> Upstream {
        let fake = (self.start)().await;
        fake.plays(script);
        fake
    }

    pub(crate) fn of(&self, fake: &Upstream) -> Arc<dyn Duplex> {
        (self.open)(vendor(fake)).unwrap()
    }
}

pub(crate) fn vendor(fake: &Upstream) -> Vendor {
    Vendor {
        api_key: Some(KEY.into()),
        ..Vendor::new("acme", fake.base_url.parse().unwrap())
    }
}

pub(crate) fn options() -> DuplexOptions {
    let parameters = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
    DuplexOptions {
        session: "sess_duplex".to_owned(),
        instructions: "Be brief.".to_owned(),
        voice: "verse".to_owned(),
        speed: 1.0,
        input_format: AudioFormat::PCM,
        output_format: AudioFormat::PCM,
        language: Some("en".to_owned()),
        tools: vec![Tool::Function {
            name: "weather".to_owned(),
            description: Some("Tells the weather".to_owned()),
            parameters: Some(parameters),
        }],
        tool_choice: ToolChoice::Auto,
        max_tokens: None,
    }
}

pub(crate) fn user(text: &str) -> LlmMessage {
    LlmMessage::User {
        text: text.to_owned(),
        images: Vec::new(),
    }
}

/// Speech in 24 kHz PCM.
pub(crate) fn pcm(words: &str) -> Vec<u8> {
    speech(words, 48, 0)
}

/// How an answer ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ended {
    Done(Finish, DuplexUsage),
    Failed(ProviderError),
    Lost(ProviderError),
}

/// What came of an answer.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) text: String,
    pub(crate) audio: Vec<u8>,
    /// Bytes of each slice of it.
    pub(crate) cuts: Vec<usize>,
    /// Name, id and arguments.
    pub(crate) calls: Vec<(String, String, String)>,
    pub(crate) transcripts: Vec<(u64, Result<String, ProviderError>)>,
    pub(crate) ended: Option<Ended>,
}

impl Heard {
    pub(crate) fn finish(&self) -> Finish {
        match &self.ended {
            Some(Ended::Done(finish, _)) => *finish,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn lost(&self) -> &ProviderError {
        match &self.ended {
            Some(Ended::Lost(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    fn take(&mut self, event: DuplexEvent, expected: u64) {
        let own = |reply: u64| assert_eq!(reply, expected, "another answer's event");
        match event {
            DuplexEvent::Ready => panic!("ready twice"),
            DuplexEvent::Transcript { utterance, text } => {
                self.transcripts.push((utterance, Ok(text)));
            }
            DuplexEvent::TranscriptFailed { utterance, error } => {
                self.transcripts.push((utterance, Err(error)));
            }
            DuplexEvent::Text { reply, text } => {
                own(reply);
                self.text.push_str(&text);
            }
            DuplexEvent::Audio { reply, audio } => {
                own(reply);
                self.cuts.push(audio.len());
                self.audio.extend_from_slice(&audio);
            }
            DuplexEvent::ToolCall {
                reply,
                call_id,
                name,
            } => {
                own(reply);
                self.calls.push((name, call_id, String::new()));
            }
            DuplexEvent::ToolArguments { reply, json } => {
                own(reply);
                self.calls.last_mut().unwrap().2.push_str(&json);
            }
            DuplexEvent::Done {
                reply,
                finish,
                usage,
            } => {
                own(reply);
                self.ended = Some(Ended::Done(finish, usage));
            }
            DuplexEvent::Failed { reply, error, .. } => {
                own(reply);
                self.ended = Some(Ended::Failed(error));
            }
            DuplexEvent::Lost(error) => self.ended = Some(Ended::Lost(error)),
        }
    }
}

/// One call to a vendor.
pub(crate) struct Call {
    pub(crate) fake: Upstream,
    pub(crate) stream: DuplexStream,
}

impl Call {
    pub(crate) async fn begin(subject: &Subject, script: &[Answer]) -> Self {
        Self::with(subject, script, options(), Vec::new()).await
    }

    pub(crate) async fn with(
        subject: &Subject,
        script: &[Answer],
        options: DuplexOptions,
        history: Vec<DuplexItem>,
    ) -> Self {
        let fake = subject.fake(script).await;
        let stream = subject.of(&fake).open(options, history).await.unwrap();
        let mut call = Self { fake, stream };
        assert_eq!(call.event().await, DuplexEvent::Ready);
        call
    }

    pub(crate) async fn event(&mut self) -> DuplexEvent {
        self.stream.events.recv().await.expect("no last event")
    }

    pub(crate) async fn tell(&self, command: DuplexCommand) {
        self.stream.commands.send(command).await.unwrap();
    }

    /// An utterance in frames of 20 ms.
    pub(crate) async fn speak(&self, utterance: u64, sound: &[u8]) {
        for frame in sound.chunks(960) {
            let frame = Bytes::copy_from_slice(frame);
            self.tell(DuplexCommand::Audio(frame)).await;
        }
        self.tell(DuplexCommand::Commit(utterance)).await;
    }

    pub(crate) async fn add(&self, message: LlmMessage) {
        self.tell(DuplexCommand::Add(DuplexItem::Message(message)))
            .await;
    }

    pub(crate) async fn ask(&self, reply: u64) {
        self.ask_for(reply, DuplexReply::default()).await;
    }

    pub(crate) async fn ask_for(&self, reply: u64, wanted: DuplexReply) {
        self.tell(DuplexCommand::Reply(reply, Box::new(wanted)))
            .await;
    }

    /// Everything up to the end of the answer.
    pub(crate) async fn rest(&mut self, reply: u64) -> Heard {
        let mut heard = Heard::default();
        while heard.ended.is_none() {
            heard.take(self.event().await, reply);
        }
        heard
    }

    /// Everything of the answer up to these words of it.
    pub(crate) async fn until(&mut self, reply: u64, words: &str) -> Heard {
        let mut heard = Heard::default();
        while heard.text.trim() != words || heard.audio.len() < pcm(words).len() {
            heard.take(self.event().await, reply);
            assert_eq!(heard.ended, None);
        }
        heard
    }

    /// A turn in speech.
    pub(crate) async fn turn(&mut self, number: u64, words: &str) -> Heard {
        self.speak(number, &pcm(words)).await;
        self.ask(number).await;
        self.rest(number).await
    }
}
