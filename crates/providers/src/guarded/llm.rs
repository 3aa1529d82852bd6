//! Language models in a row. An answer that breaks off midway is continued by the next, not begun again.
//! Asked by the session like any language model.
//! Never passes one provider's model name to another: each member knows its own.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use engine::{
    ask::{LlmMessage, LlmRequest},
    guard::Continuation,
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};
use tracing::Instrument as _;

use super::{
    Attempt, Job, Member, Row, Stage, Watch,
    bill::{Account, Bill},
    hedged::{Asker, Others},
    run,
};
use crate::{
    Kind, ProviderError, failure,
    ports::{EVENT_BUFFER, Llm, LlmEvent, LlmStream},
};

/// Longest silence before the first event, and between two, where nobody else could go on.
const SILENCE: Duration = Duration::from_secs(30);
/// A model may be behind the slowest acceptable pace by so much.
const SLACK: Duration = Duration::from_secs(5);
/// The slowest acceptable pace: speech takes about 60 ms per character, nobody waits for less than 2 of them a second.
const MS_PER_CHAR: u64 = 500;

/// What the next model is told when an answer broke off.
const CONTINUE: &str = "The connection broke while you were answering. What you said so far, and the caller has \
    heard, is your last message. Continue exactly where it stops. Do not greet, apologise or repeat any of it.";

/// Language models in a row.
pub struct GuardedLlm(Arc<Row<dyn Llm>>);

impl GuardedLlm {
    /// Asks `members` in this order.
    pub fn new(members: Vec<Arc<Member<dyn Llm>>>, watch: Watch) -> Self {
        Self(Arc::new(Row::new(members, Stage::Llm, watch)))
    }

    /// Asks, and those behind the first member only if `others` lets it.
    pub(super) fn ask_unless_taken(&self, request: LlmRequest, others: Others) -> LlmStream {
        let (outbox, events) = mpsc::channel(EVENT_BUFFER);
        let mut answering = Answering {
            account: Account {
                session: request.session.clone(),
                turn: request.turn,
            },
            request: LlmRequest {
                model: None,
                ..request
            },
            said: String::new(),
            called: false,
            others,
            outbox,
        };
        let row = Arc::clone(&self.0);
        tokio::spawn(async move { run(&row, &mut answering, SILENCE).await }.in_current_span());
        LlmStream { events }
    }
}

#[async_trait]
impl Llm for GuardedLlm {
    fn name(&self) -> &str {
        self.0.name()
    }

    async fn ask(&self, request: LlmRequest) -> Result<LlmStream, ProviderError> {
        Ok(self.ask_unless_taken(request, Others::default()))
    }

    fn warm(&self, request: &LlmRequest) {
        if let Some(first) = self.0.members.first() {
            first.provider.warm(request);
        }
    }

    fn usable(&self) -> Result<(), ProviderError> {
        self.0.usable()
    }
}

/// One answer, whoever gives it.
struct Answering {
    account: Account,
    request: LlmRequest,
    /// Text that the session has.
    said: String,
    /// Whether the session has seen the beginning of a call: nobody else can end it.
    called: bool,
    /// Those behind the first member.
    others: Others,
    outbox: mpsc::Sender<LlmEvent>,
}

impl Job for Answering {
    type Provider = dyn Llm;

    fn session(&self) -> &str {
        &self.account.session
    }

    fn may_ask(&mut self, place: usize) -> bool {
        // whoever has begun has won: nobody else is being asked any more
        let begun = !self.said.is_empty() || self.called;
        place == 0 || begun || self.others.take(Asker::Row)
    }

    fn unheard(&self) -> impl Future<Output = ()> + Send + 'static {
        let listener = self.outbox.clone();
        async move { listener.closed().await }
    }

    async fn attempt(&mut self, member: &Member<dyn Llm>, patience: Duration) -> Attempt {
        self.ask(member, patience).await
    }

    async fn hand_over(&mut self) -> bool {
        !self.called
    }

    async fn fail(&mut self, error: ProviderError) {
        // the session may have gone away meanwhile
        let _ = self.outbox.send(LlmEvent::Failed(error)).await;
    }
}

impl Answering {
    async fn ask(&mut self, member: &Member<dyn Llm>, patience: Duration) -> Attempt {
        let begun = Instant::now();
        let silent =
            |limit| Attempt::Failed(failure::silent(&member.name, "no answer came", limit));
        let question = self.question();
        let asking = member.provider.ask(question.clone());
        let mut stream = match timeout(patience, asking).await {
            Err(_) => return silent(patience),
            Ok(Err(error)) => return Attempt::Failed(error),
            Ok(Ok(stream)) => stream,
        };
        // from here on the vendor reads, whatever becomes of the answer
        let mut bill = Bill::new(member, member.provider.model(), &self.account);
        bill.reads(&question);
        let mut continuation = Continuation::new(&self.said);
        let mut deadline = begun + patience;
        let mut pace: Option<(Instant, u64)> = None;
        loop {
            let limit = match pace {
                // how far it may have got behind the slowest acceptable pace
                Some((first, chars)) => {
                    deadline.min(first + SLACK + Duration::from_millis(chars * MS_PER_CHAR))
                }
                None => deadline,
            };
            let Ok(event) = timeout_at(limit, stream.events.recv()).await else {
                return silent(limit.duration_since(begun));
            };
            let event = match event {
                None => {
                    let message = "the stream ended before the answer did";
                    let name = member.name.to_string();
                    return Attempt::Failed(ProviderError::new(name, Kind::Protocol, message));
                }
                Some(LlmEvent::Failed(error)) => return Attempt::Failed(error),
                Some(event) => event,
            };
            let (_, chars) = pace.get_or_insert_with(|| (Instant::now(), 0));
            match &event {
                LlmEvent::Text(text) | LlmEvent::ToolArguments(text) => {
                    *chars += text.chars().count() as u64;
                }
                _ => {}
            }
            match &event {
                LlmEvent::Done { usage, .. } => bill.count(*usage, *chars),
                _ => bill.estimate(*chars),
            }
            let done = matches!(event, LlmEvent::Done { .. });
            if self.hand_on(event, &mut continuation).await.is_err() {
                return Attempt::Unheard;
            }
            // a call that has begun is worth waiting for: nobody else can end it
            deadline = Instant::now() + if self.called { SILENCE } else { patience };
            if done {
                return Attempt::Done;
            }
        }
    }

    /// The question, with what was already said and the wish that it be continued.
    fn question(&self) -> LlmRequest {
        let mut request = self.request.clone();
        if !self.said.is_empty() {
            request
                .messages
                .push(LlmMessage::Assistant(self.said.clone()));
            request
                .messages
                .push(LlmMessage::System(CONTINUE.to_owned()));
        }
        request
    }

    async fn hand_on(
        &mut self,
        event: LlmEvent,
        continuation: &mut Continuation,
    ) -> Result<(), mpsc::error::SendError<LlmEvent>> {
        let event = match event {
            LlmEvent::Text(text) => {
                let new = continuation.push(&text);
                return self.say(new).await;
            }
            event => event,
        };
        // whatever follows text ends it
        self.say(continuation.finish()).await?;
        self.called |= matches!(event, LlmEvent::ToolCall { .. });
        self.outbox.send(event).await
    }

    async fn say(&mut self, text: String) -> Result<(), mpsc::error::SendError<LlmEvent>> {
        if text.is_empty() {
            return Ok(());
        }
        self.said.push_str(&text);
        self.outbox.send(LlmEvent::Text(text)).await
    }
}
