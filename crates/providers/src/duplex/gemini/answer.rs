//! One answer as far as it has come, and answers that read something other than the conversation.
//! Kept by the conversation.
//! Never outlives the conversation: an answer apart hangs up with it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use engine::{
    ask::{DuplexCommand, DuplexItem, DuplexOptions, DuplexReply, DuplexUsage, Finish, LlmMessage},
    audio::{Format, b64},
    session::ReplyId,
};
use tokio::{sync::mpsc, task::AbortHandle};
use tracing::Instrument as _;

use super::{Inner, read::Blob, voice::Mouth};
use crate::{
    Kind, ProviderError,
    duplex::live::{Out, SILENCE},
    ports::{DuplexEvent, DuplexStream},
};

/// How much of an answer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Come {
    Nothing,
    Part,
    /// The server is only waiting for the end of the playing, as it imagines that.
    All,
}

/// An answer that was asked for and has not ended.
pub(super) struct Answer {
    pub(super) reply: ReplyId,
    text_only: bool,
    pub(super) come: Come,
    format: Format,
    mouth: Mouth,
    bytes: u64,
}

impl Answer {
    pub(super) fn new(reply: ReplyId, wanted: &DuplexReply, format: Format) -> Self {
        Self {
            reply,
            text_only: wanted.text_only,
            come: Come::Nothing,
            format,
            mouth: Mouth::new(format),
            bytes: 0,
        }
    }

    /// Hands on words that were spoken.
    pub(super) fn say(&mut self, text: String, out: &mut Out) {
        self.come = self.come.max(Come::Part);
        let reply = self.reply;
        if !text.is_empty() {
            out.tell.push_back(DuplexEvent::Text { reply, text });
        }
    }

    /// Hands on speech; `None` for what is not base64.
    pub(super) fn speak(&mut self, blob: &Blob, out: &mut Out) -> Option<()> {
        self.come = self.come.max(Come::Part);
        if !blob.mime_type.starts_with("audio/") || self.text_only {
            return Some(());
        }
        let mut audio = Vec::new();
        b64::decode(&blob.data, &mut audio).ok()?;
        let audio = self.mouth.speak(&blob.mime_type, audio);
        self.hand_on(audio, out);
        Some(())
    }

    fn hand_on(&mut self, audio: Vec<u8>, out: &mut Out) {
        self.bytes += audio.len() as u64;
        if !audio.is_empty() {
            out.tell.push_back(DuplexEvent::Audio {
                reply: self.reply,
                audio: Bytes::from(audio),
            });
        }
    }

    /// How long the server may be silent: behind the last of it, for as long as it takes to play it
    /// (<https://ai.google.dev/api/live#BidiGenerateContentServerContent>, `generationComplete`).
    pub(super) fn patience(&self) -> Duration {
        let played_ms = self.format.duration_ms(self.bytes);
        if self.come == Come::All {
            SILENCE + Duration::from_millis(played_ms)
        } else {
            SILENCE
        }
    }

    /// The end.
    pub(super) fn end(mut self, finish: Finish, usage: DuplexUsage, out: &mut Out) {
        let rest = self.mouth.finish();
        self.hand_on(rest, out);
        out.tell.push_back(DuplexEvent::Done {
            reply: self.reply,
            finish,
            usage,
        });
    }
}

/// An answer on a connection of its own. Dropping it hangs up.
pub(super) struct Apart(AbortHandle);

impl Apart {
    /// Asks for it; its events go where those of the conversation go.
    pub(super) fn ask(
        inner: &Arc<Inner>,
        options: DuplexOptions,
        (reply, wanted): (ReplyId, DuplexReply),
        events: mpsc::Sender<DuplexEvent>,
    ) -> Self {
        let options = DuplexOptions {
            instructions: wanted.instructions.unwrap_or(options.instructions),
            tools: wanted.tools.unwrap_or(options.tools),
            tool_choice: wanted.tool_choice.unwrap_or(options.tool_choice),
            max_tokens: wanted.max_tokens.or(options.max_tokens),
            ..options
        };
        let stream = inner.begin(options, Vec::new());
        let plain = DuplexReply {
            text_only: wanted.text_only,
            ..DuplexReply::default()
        };
        let read = wanted.apart.unwrap_or_default();
        let asking = pass_on(stream, read, (reply, plain), events);
        Self(tokio::spawn(asking.in_current_span()).abort_handle())
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn pass_on(
    mut stream: DuplexStream,
    read: Vec<LlmMessage>,
    (reply, wanted): (ReplyId, DuplexReply),
    events: mpsc::Sender<DuplexEvent>,
) {
    let read = read.into_iter().map(DuplexItem::Message);
    let commands = read
        .map(DuplexCommand::Add)
        .chain([DuplexCommand::Reply(reply, Box::new(wanted))]);
    for command in commands {
        if stream.commands.send(command).await.is_err() {
            break;
        }
    }
    let failed = |error| DuplexEvent::Failed {
        reply,
        error,
        usage: DuplexUsage::default(),
    };
    loop {
        let event = match stream.events.recv().await {
            Some(DuplexEvent::Ready) => continue,
            Some(DuplexEvent::Lost(error)) => failed(error),
            Some(event) => event,
            None => {
                let message = "the stream ended before the answer did";
                let error = ProviderError::new("gemini", Kind::Protocol, message);
                failed(error)
            }
        };
        let last = matches!(event, DuplexEvent::Done { .. } | DuplexEvent::Failed { .. });
        if events.send(event).await.is_err() || last {
            return;
        }
    }
}
