//! The rows of one session: itself, what was said in it, what it used; written as they happen.
//! Told by the writer of the connection; its task writes them and outlives the call by a moment.
//! Never holds up a call: rows wait in a queue, and while the database is away they are tried again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use store::sql::voice::{VoiceMessage, VoiceSession};
use tokio::sync::{mpsc, watch};
use wire::voice::{Metrics, Status};

use super::lobby::uuid;
use crate::App;
use crate::auth::{Principal, chain};
use crate::observe::Outcome;
use crate::quota::purse::Purse;

/// Lines that may wait to be written: an hour of quick talk while the database is away.
const LINES: usize = 1024;
/// After a failure the database is asked again so soon, and then more and more seldom.
const AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(15));
/// Work that was cut off with the session is told of within this.
const LATE: Duration = Duration::from_millis(500);
/// For how long the rows of a session that is over are tried: longer than a database is away for maintenance.
const FINISHED_WITHIN: Duration = Duration::from_hours(1);
/// And how often while this server is shutting down.
const LAST_TRIES: u32 = 8;

/// What is known when a session begins.
#[derive(Debug, Clone)]
pub(super) struct Heading {
    /// As the app knows the session.
    pub(super) session_id: String,
    /// As everybody else does.
    pub(super) session: String,
    pub(super) user: String,
    pub(super) tier: String,
    pub(super) conversation: Option<String>,
    /// When the connection was opened.
    pub(super) opened_at: DateTime<Utc>,
    /// What is known of the app, as JSON.
    pub(super) client: String,
}

/// Something that was said.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    role: &'static str,
    text: String,
    confidence: Option<f64>,
}

impl Line {
    pub(super) fn user(text: String, confidence: f64) -> Self {
        Self {
            role: "user",
            text,
            confidence: Some(confidence),
        }
    }

    pub(super) fn assistant(text: String) -> Self {
        Self {
            role: "assistant",
            text,
            confidence: None,
        }
    }
}

/// How a session stands.
#[derive(Debug, Clone, Default)]
struct Progress {
    status: &'static str,
    metrics: Metrics,
    errors: i64,
    last_error: Option<String>,
    ended_at: Option<DateTime<Utc>>,
}

struct Shared {
    app: Arc<App>,
    tenant: String,
    project: String,
    heading: Heading,
    purse: Purse,
    progress: Mutex<Progress>,
    /// Raised when the row is to be written.
    dirty: watch::Sender<()>,
}

/// The book; clones are the same one.
#[derive(Clone)]
pub(super) struct Book {
    shared: Arc<Shared>,
    lines: mpsc::Sender<VoiceMessage>,
}

impl Book {
    /// The book of a session that begins.
    pub(super) fn open(
        app: &Arc<App>,
        principal: &Principal,
        heading: Heading,
        purse: Purse,
    ) -> Self {
        let (lines, queued) = mpsc::channel(LINES);
        let progress = Progress {
            status: "connected",
            ..Progress::default()
        };
        let shared = Arc::new(Shared {
            app: Arc::clone(app),
            tenant: principal.tenant.clone(),
            project: principal.project.clone(),
            heading,
            purse,
            progress: Mutex::new(progress),
            dirty: watch::Sender::new(()),
        });
        let keeping = keep(Arc::clone(&shared), shared.dirty.subscribe(), queued);
        app.lifecycle.spawn(keeping);
        Self { shared, lines }
    }

    /// How long the connection has lasted, in ms.
    pub(super) fn lasted_ms(&self) -> u64 {
        let lasted = self.shared.app.clock.utc() - self.shared.heading.opened_at;
        lasted.num_milliseconds().max(0).unsigned_abs()
    }

    /// Something was said.
    pub(super) fn write(&self, line: Line) {
        let message = VoiceMessage {
            id: uuid(self.shared.app.seed()),
            session_id: self.shared.heading.session_id.clone(),
            conversation_id: self.shared.heading.conversation.clone(),
            user_id: self.shared.heading.user.clone(),
            role: line.role.to_owned(),
            content: line.text,
            confidence: line.confidence,
            created_at: self.shared.app.clock.utc(),
        };
        if self.lines.try_send(message).is_err() {
            tracing::error!(
                "what was said in a voice session is not kept: too much waits for the database"
            );
        }
    }

    /// The session is elsewhere now.
    pub(super) fn status(&self, status: Status) {
        self.shared.progress().status = status.name();
        if status == Status::Listening {
            self.shared.dirty.send_replace(());
        }
    }

    /// A turn is over.
    pub(super) fn turn(&self, metrics: Metrics) {
        self.shared.progress().metrics = metrics;
        self.shared.dirty.send_replace(());
    }

    /// Something failed.
    pub(super) fn failed(&self, sentence: &str) {
        let mut progress = self.shared.progress();
        progress.errors += 1;
        progress.last_error = Some(sentence.to_owned());
    }

    /// The session is over.
    pub(super) fn end(self, outcome: Outcome) {
        let mut progress = self.shared.progress();
        progress.status = if outcome == Outcome::Failed {
            "error"
        } else {
            "ended"
        };
        progress.ended_at = Some(self.shared.app.clock.utc());
        drop(progress);
        self.shared.dirty.send_replace(());
    }
}

impl Shared {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The row as it stands.
    fn row(&self) -> VoiceSession {
        let progress = self.progress().clone();
        let spent = self.purse.spent();
        let now = self.app.clock.utc();
        let until = progress.ended_at.unwrap_or(now);
        let micros = |cost: engine::meter::Cost| cost.micro_dollars() as i64;
        VoiceSession {
            session_id: self.heading.session_id.clone(),
            session: self.heading.session.clone(),
            project: self.project.clone(),
            user_id: self.heading.user.clone(),
            tier: self.heading.tier.clone(),
            conversation_id: self.heading.conversation.clone(),
            start_time: self.heading.opened_at,
            end_time: progress.ended_at,
            duration_ms: (until - self.heading.opened_at).num_milliseconds().max(0),
            status: progress.status.to_owned(),
            stt_requests: spent.stt_requests as i64,
            stt_duration_ms: spent.units.audio_ms as i64,
            llm_tokens_input: spent.units.input_tokens as i64,
            llm_tokens_output: spent.units.output_tokens as i64,
            llm_latency_ms: progress.metrics.llm_latency as i64,
            tts_characters: spent.units.characters as i64,
            tts_latency_ms: progress.metrics.tts_latency as i64,
            total_latency_ms: progress.metrics.total_latency as i64,
            stt_micros: micros(spent.stt),
            llm_micros: micros(spent.llm),
            tts_micros: micros(spent.tts),
            total_micros: micros(spent.total()),
            error_message: progress.last_error,
            error_count: progress.errors,
            client_info: self.heading.client.clone(),
            created_at: self.heading.opened_at,
            updated_at: now,
        }
    }

    fn mirrors(&self) -> bool {
        self.app.config.voice.supabase_mirror
    }

    async fn write_row(&self) -> bool {
        let row = self.row();
        let written = self
            .app
            .store
            .sql
            .put_voice_session(&self.tenant, &row, self.mirrors())
            .await;
        note(&written)
    }

    async fn write_line(&self, line: &VoiceMessage) -> bool {
        let written = self
            .app
            .store
            .sql
            .add_voice_message(&self.tenant, line, self.mirrors())
            .await;
        note(&written)
    }
}

fn note(written: &Result<(), store::StoreError>) -> bool {
    if let Err(error) = written {
        tracing::warn!(error = %chain(error), "cannot write the rows of a voice session yet");
    }
    written.is_ok()
}

/// Writes until the session is over and its late work was told.
async fn keep(
    shared: Arc<Shared>,
    mut dirty: watch::Receiver<()>,
    mut lines: mpsc::Receiver<VoiceMessage>,
) {
    let mut pause = AGAIN.0;
    let mut waiting: Option<VoiceMessage> = None;
    // the row first: what is said refers to it
    let mut stale = true;
    loop {
        let mut failed = false;
        if stale {
            stale = !shared.write_row().await;
            failed = stale;
        }
        if !failed && let Some(line) = &waiting {
            if shared.write_line(line).await {
                waiting = None;
            } else {
                failed = true;
            }
        }
        if failed {
            if shared.progress().ended_at.is_some() {
                break;
            }
            tokio::select! {
                () = shared.app.lifecycle.hard().cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(AGAIN.1);
            continue;
        }
        pause = AGAIN.0;
        if waiting.is_some() {
            continue;
        }
        tokio::select! {
            biased;
            line = lines.recv() => match line {
                Some(line) => waiting = Some(line),
                // nobody writes any more: the session is over, or nobody will ever say so
                None => break,
            },
            Ok(()) = dirty.changed() => stale = true,
        }
    }
    if shared.progress().ended_at.is_none() {
        // its call broke off before it began
        let mut progress = shared.progress();
        progress.status = "error";
        progress.ended_at = Some(shared.app.clock.utc());
    }
    finish(&shared, waiting, lines).await;
}

/// The last rows of a session, and once more when late work was told.
async fn finish(
    shared: &Shared,
    mut waiting: Option<VoiceMessage>,
    mut lines: mpsc::Receiver<VoiceMessage>,
) {
    let mut spent = shared.purse.changes();
    let mut pause = AGAIN.0;
    let mut written = false;
    let mut last_tries = LAST_TRIES;
    let until = tokio::time::Instant::now() + FINISHED_WITHIN;
    while last_tries > 0 && tokio::time::Instant::now() < until {
        if shared.app.lifecycle.stopping() {
            last_tries -= 1;
        }
        written = shared.write_row().await;
        while written {
            let Some(line) = waiting.take().or_else(|| lines.try_recv().ok()) else {
                break;
            };
            written = shared.write_line(&line).await;
            waiting = (!written).then_some(line);
        }
        if written {
            break;
        }
        tokio::select! {
            () = shared.app.lifecycle.hard().cancelled() => break,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(AGAIN.1);
    }
    if !written {
        tracing::error!(
            "the rows of a voice session are not kept: the database does not take them"
        );
        return;
    }
    while let Ok(Ok(())) = tokio::time::timeout(LATE, spent.changed()).await {
        shared.write_row().await;
    }
}
