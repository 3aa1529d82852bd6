//! Outputs of the engine to provider calls, provider events to inputs.
//! One task per provider stream, owned by the session's task and aborted when dropped.
//! Never decides anything: a stream's news go to the engine as they come.

mod tools;

use std::collections::HashMap;
use std::sync::Arc;

use engine::ask::{DuplexCommand, DuplexItem, DuplexOptions, LlmRequest, SpeakOptions, SttOptions};
use engine::session::{DuplexNews, Input, LlmNews, ReplyId, RunId, SttNews, TtsNews, UtteranceId};
use providers::ports::{LlmEvent, Piece, SttCommand, SttEvent, TtsEvent};
use providers::{Pipeline, ProviderError};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use wire::realtime::ErrorBody;

use crate::clock::Clock;
use crate::edge::{Receiver, Sender, queue};
use crate::lifecycle::Lifecycle;
use crate::metering::Meter;
use crate::observe::{Event, Metrics};
use crate::quota::{self, Tab};
use crate::session::Running;
use crate::session::duplex::Link;
use crate::session::toolbox::{Listing, Toolbox};

/// Commands that may wait for a transcription stream: a minute of 20 ms frames.
const STT_COMMANDS: usize = 3000;
/// Pieces that may wait for synthesis; a reply of more than so many sentences waits in the engine.
const PIECES: usize = 512;
/// Answers of MCP servers that may wait for the session.
const LISTINGS: usize = 16;
/// Provider news that may wait for the session.
const NEWS: usize = 256;

/// A provider stream; dropping it ends the task and with it the work.
struct Stream<T> {
    feed: mpsc::Sender<T>,
    task: AbortHandle,
}

impl<T> Drop for Stream<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A channel that is there from its first use on: most sessions are silent, and it reserves room for 32 messages.
struct Lazy<T> {
    places: usize,
    ends: Option<(mpsc::Sender<T>, mpsc::Receiver<T>)>,
}

impl<T> Lazy<T> {
    const fn new(places: usize) -> Self {
        Self { places, ends: None }
    }

    fn sender(&mut self) -> mpsc::Sender<T> {
        let open = || mpsc::channel(self.places);
        self.ends.get_or_insert_with(open).0.clone()
    }

    fn receiver(&mut self) -> Option<&mut mpsc::Receiver<T>> {
        self.ends.as_mut().map(|(_, receiver)| receiver)
    }
}

/// The provider streams of one session.
pub(super) struct Wiring {
    session: Arc<str>,
    pipeline: Pipeline,
    lifecycle: Lifecycle,
    metrics: Metrics,
    news: (Sender<Input>, Receiver<Input>),
    stt: HashMap<UtteranceId, Stream<SttCommand>>,
    llm: HashMap<ReplyId, Task>,
    tts: HashMap<ReplyId, (Option<mpsc::Sender<Piece>>, Task)>,
    /// The connection to a model that does everything.
    duplex: Option<Link>,
    toolbox: Toolbox,
    /// What the session uses of its limits.
    tab: Tab,
    running: Running,
    /// Functions that do not outlive the session.
    tools: HashMap<RunId, Task>,
    /// Tasks that ask MCP servers what they have, by label.
    listing: HashMap<String, Task>,
    /// What they answered; taken with the failures, so that a server that was left says nothing more.
    listed: Lazy<Listing>,
    dropped_frames: u64,
    /// What could not be handed to a stream; at most one per stream.
    failures: Vec<Input>,
}

/// What the wiring of a session is made of.
pub(super) struct Parts {
    pub(super) pipeline: Pipeline,
    pub(super) toolbox: Toolbox,
    pub(super) tab: Tab,
    pub(super) meter: Meter,
    pub(super) clock: Clock,
    pub(super) lifecycle: Lifecycle,
    pub(super) metrics: Metrics,
}

impl Wiring {
    pub(super) fn new(session: Arc<str>, parts: Parts) -> Self {
        Self {
            session,
            pipeline: parts.pipeline,
            lifecycle: parts.lifecycle,
            metrics: parts.metrics.clone(),
            news: queue(NEWS),
            stt: HashMap::new(),
            llm: HashMap::new(),
            tts: HashMap::new(),
            duplex: None,
            toolbox: parts.toolbox,
            tab: parts.tab,
            running: Running {
                meter: parts.meter,
                metrics: parts.metrics.clone(),
                clock: parts.clock,
            },
            tools: HashMap::new(),
            listing: HashMap::new(),
            listed: Lazy::new(LISTINGS),
            dropped_frames: 0,
            failures: Vec::new(),
        }
    }

    /// Where news for the session is put in.
    pub(super) fn sender(&self) -> Sender<Input> {
        self.news.0.clone()
    }

    /// What the streams say. Dropped early, it has taken nothing.
    pub(super) async fn news(&mut self) -> Input {
        match self.news.1.recv().await {
            Some(input) => input,
            // we hold a sender ourselves
            None => std::future::pending().await,
        }
    }

    /// A failure of our own making, or what an MCP server has. It does not take the way of the streams' news, whose channel may be full: the
    /// session asks for it after every output it has carried out.
    pub(super) fn next_failure(&mut self) -> Option<Input> {
        self.failures.pop().or_else(|| self.next_listing())
    }

    /// Forgets the stream whose last word this is. Its task ends a moment later; nobody waits to find out.
    pub(super) fn note(&mut self, news: &Input) {
        match news {
            Input::Stt(id, SttNews::Final { .. } | SttNews::Failed(_)) => self.close_stt(*id),
            Input::Llm(id, LlmNews::Done { .. } | LlmNews::Failed(_) | LlmNews::Refused(_)) => {
                self.drop_llm(*id);
            }
            Input::Tts(id, TtsNews::Failed(_)) => self.drop_tts(*id),
            Input::Tool(run, _) => self.drop_tool(*run),
            _ => {}
        }
    }

    /// Audio frames dropped because transcription did not keep up, since the last call.
    pub(super) fn take_dropped_frames(&mut self) -> u64 {
        std::mem::take(&mut self.dropped_frames)
    }

    /// Lets providers make connections before they are needed: none is made inside a turn.
    pub(super) fn prepare(&self, stt: &SttOptions, speak: Option<&SpeakOptions>) {
        self.pipeline.stt.prepare(stt);
        if let Some(speak) = speak {
            self.pipeline.tts.prepare(speak);
        }
    }

    /// Lets the model join a conversation; whatever connection there was is left.
    pub(super) fn open_duplex(&mut self, options: DuplexOptions, history: Vec<DuplexItem>) {
        self.duplex = None;
        let Some(model) = self.pipeline.duplex.clone() else {
            let error =
                ErrorBody::server("provider_unavailable", "The pipeline has no such model.");
            let lost = Input::Duplex(DuplexNews::Lost(error.into()));
            self.failures.push(lost);
            return;
        };
        let context = (&self.lifecycle, self.metrics.clone());
        let link = Link::open(model, (options, history), self.sender(), context);
        self.duplex = Some(link);
    }

    /// Tells that model something.
    pub(super) fn tell_duplex(&mut self, command: DuplexCommand) {
        if self.duplex.as_ref().is_some_and(|link| !link.tell(command)) {
            self.duplex = None;
            let error = ErrorBody::server("overloaded", "The model does not keep up.");
            let lost = Input::Duplex(DuplexNews::Lost(error.into()));
            self.failures.push(lost);
        }
    }

    pub(super) fn open_stt(&mut self, id: UtteranceId, options: SttOptions) {
        let (feed, mut commands) = mpsc::channel(STT_COMMANDS);
        let stt = Arc::clone(&self.pipeline.stt);
        let news = self.sender();
        let metrics = self.metrics.clone();
        let session = Arc::clone(&self.session);
        let task = self.lifecycle.spawn(async move {
            let mut stream = match stt.open(options).await {
                Ok(stream) => stream,
                Err(error) => {
                    report(&metrics, &session, &error);
                    let _ = news
                        .send(Input::Stt(id, SttNews::Failed(told(&error).into())))
                        .await;
                    return;
                }
            };
            loop {
                let event = tokio::select! {
                    command = commands.recv() => {
                        let Some(command) = command else { return };
                        if stream.commands.send(command).await.is_ok() {
                            continue;
                        }
                        // the stream takes nothing more: what it still says is all there will be
                        stream.events.recv().await
                    }
                    event = stream.events.recv() => event,
                };
                let Some(event) = event else { return };
                if let SttEvent::Failed(error) = &event {
                    report(&metrics, &session, error);
                }
                if news.send(Input::Stt(id, stt_news(event))).await.is_err() {
                    return;
                }
            }
        });
        self.stt.insert(
            id,
            Stream {
                feed,
                task: task.abort_handle(),
            },
        );
    }

    pub(super) fn stt(&mut self, id: UtteranceId, command: SttCommand) {
        let Some(stream) = self.stt.get(&id) else {
            return;
        };
        let audio = matches!(command, SttCommand::Audio(_));
        if stream.feed.try_send(command).is_ok() {
            return;
        }
        if audio {
            self.dropped_frames += 1;
        } else {
            let error = ErrorBody::server("overloaded", "Transcription does not keep up.");
            self.close_stt(id);
            self.failures
                .push(Input::Stt(id, SttNews::Failed(error.into())));
        }
    }

    /// The utterance is over or void.
    pub(super) fn close_stt(&mut self, id: UtteranceId) {
        self.stt.remove(&id);
    }

    pub(super) fn warm(&self, request: &LlmRequest) {
        self.pipeline.llm.warm(request);
    }

    pub(super) fn ask(&mut self, id: ReplyId, request: LlmRequest) {
        // one that was silent may have come back: what it has counts for the next question
        self.start_tools();
        let llm = Arc::clone(&self.pipeline.llm);
        let news = self.sender();
        let metrics = self.metrics.clone();
        let session = Arc::clone(&self.session);
        let tab = self.tab.clone();
        let task = self.lifecycle.spawn(async move {
            let _reserved = match tab.reserve(request.estimated_tokens()).await {
                Ok(reserved) => reserved,
                Err(refused) => {
                    let error = Box::new(quota::told(&refused));
                    let _ = news.send(Input::Llm(id, LlmNews::Refused(error))).await;
                    return;
                }
            };
            let _held = match tab.hold(&request).await {
                Ok(held) => held,
                Err(error) => {
                    let refused = LlmNews::Refused(Box::new(error));
                    let _ = news.send(Input::Llm(id, refused)).await;
                    return;
                }
            };
            let mut stream = match llm.ask(request).await {
                Ok(stream) => stream,
                Err(error) => {
                    report(&metrics, &session, &error);
                    let _ = news
                        .send(Input::Llm(id, LlmNews::Failed(told(&error).into())))
                        .await;
                    return;
                }
            };
            let mut ended = false;
            while let Some(event) = stream.events.recv().await {
                ended = matches!(event, LlmEvent::Done { .. } | LlmEvent::Failed(_));
                if let LlmEvent::Failed(error) = &event {
                    report(&metrics, &session, error);
                }
                if news.send(Input::Llm(id, llm_news(event))).await.is_err() {
                    return;
                }
            }
            if !ended {
                let error = broke_off(llm.name());
                report(&metrics, &session, &error);
                let _ = news
                    .send(Input::Llm(id, LlmNews::Failed(told(&error).into())))
                    .await;
            }
        });
        self.llm.insert(id, Task(task.abort_handle()));
    }

    pub(super) fn drop_llm(&mut self, id: ReplyId) {
        self.llm.remove(&id);
    }

    pub(super) fn open_tts(&mut self, id: ReplyId, options: SpeakOptions) {
        let (feed, mut pieces) = mpsc::channel::<Piece>(PIECES);
        let tts = Arc::clone(&self.pipeline.tts);
        let news = self.sender();
        let metrics = self.metrics.clone();
        let session = Arc::clone(&self.session);
        let task = self.lifecycle.spawn(async move {
            let stream = match tts.open(options).await {
                Ok(stream) => stream,
                Err(error) => {
                    report(&metrics, &session, &error);
                    let _ = news
                        .send(Input::Tts(id, TtsNews::Failed(told(&error).into())))
                        .await;
                    return;
                }
            };
            let mut events = stream.events;
            let mut to_provider = Some(stream.pieces);
            loop {
                let event = tokio::select! {
                    piece = pieces.recv(), if to_provider.is_some() => {
                        let taken = match (piece, &to_provider) {
                            (Some(piece), Some(sender)) => sender.send(piece).await.is_ok(),
                            _ => false,
                        };
                        if !taken {
                            // no more text will come, or none is taken any more
                            to_provider = None;
                        }
                        continue;
                    }
                    event = events.recv() => event,
                };
                let Some(event) = event else { return };
                if let TtsEvent::Failed(error) = &event {
                    report(&metrics, &session, error);
                }
                if news.send(Input::Tts(id, tts_news(event))).await.is_err() {
                    return;
                }
            }
        });
        self.tts.insert(id, (Some(feed), Task(task.abort_handle())));
    }

    pub(super) fn speak(&mut self, id: ReplyId, index: u32, text: String) {
        let Some((Some(feed), _)) = self.tts.get(&id) else {
            return;
        };
        if feed.try_send(Piece { index, text }).is_err() {
            let error = ErrorBody::server(
                "overloaded",
                "The reply is longer than speech keeps up with.",
            );
            self.drop_tts(id);
            self.failures
                .push(Input::Tts(id, TtsNews::Failed(error.into())));
        }
    }

    pub(super) fn end_tts(&mut self, id: ReplyId) {
        if let Some((feed, _)) = self.tts.get_mut(&id) {
            *feed = None;
        }
    }

    pub(super) fn drop_tts(&mut self, id: ReplyId) {
        self.tts.remove(&id);
    }

    /// Forgets streams that have said their last word.
    pub(super) fn sweep(&mut self) {
        self.stt.retain(|_, stream| !stream.task.is_finished());
        self.llm.retain(|_, task| !task.0.is_finished());
        self.tts.retain(|_, (_, task)| !task.0.is_finished());
    }
}

pub(super) fn report(metrics: &Metrics, session: &str, error: &ProviderError) {
    metrics.emit(&Event::ProviderFailed {
        session: Some(session),
        provider: &error.provider,
        code: error.code(),
        message: &error.message,
    });
}

/// What becomes of an answer whose stream ends without its end.
pub(crate) fn broke_off(provider: &str) -> ProviderError {
    ProviderError::new(
        provider.to_owned(),
        providers::Kind::Protocol,
        "the stream ended before the answer did",
    )
}

/// A provider's failure as the client sees it.
pub(super) fn told(error: &ProviderError) -> ErrorBody {
    let message = format!("{}: {}", error.provider, error.message_for_client());
    ErrorBody::server(error.code(), message)
}

fn stt_news(event: SttEvent) -> SttNews {
    match event {
        SttEvent::Partial { text } => SttNews::Partial(text),
        SttEvent::EndOfTurn { probability } => SttNews::EndOfTurn(probability),
        SttEvent::Final {
            text,
            audio_ms,
            logprobs,
        } => SttNews::Final {
            text,
            audio_ms,
            logprobs,
        },
        SttEvent::Failed(error) => SttNews::Failed(told(&error).into()),
    }
}

fn llm_news(event: LlmEvent) -> LlmNews {
    match event {
        LlmEvent::Text(text) => LlmNews::Text(text),
        LlmEvent::ToolCall { call_id, name } => LlmNews::ToolCall { call_id, name },
        LlmEvent::ToolArguments(json) => LlmNews::ToolArguments(json),
        LlmEvent::Done { finish, usage } => LlmNews::Done { finish, usage },
        LlmEvent::Failed(error) => LlmNews::Failed(told(&error).into()),
    }
}

fn tts_news(event: TtsEvent) -> TtsNews {
    match event {
        TtsEvent::Audio {
            index,
            rate_hz,
            samples,
        } => TtsNews::Audio {
            index,
            rate_hz,
            samples,
        },
        TtsEvent::PieceDone { index } => TtsNews::PieceDone(index),
        TtsEvent::Another(voice) => TtsNews::Another(voice),
        TtsEvent::Failed(error) => TtsNews::Failed(told(&error).into()),
    }
}

#[cfg(test)]
mod tests;
