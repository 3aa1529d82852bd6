//! The book of one call: what is said and what happens goes into the database as it happens, and at the end the call is
//! dealt with once.
//! Opened by the telephone edge; written in a task of its own, so that a slow database never holds up a frame of sound.
//! Never loses the end of a call: what cannot be written is tried again, and left to the sweep at last.

use std::sync::Arc;
use std::time::Duration;

use engine::call::state::{CallState, HangupReason, Outcome, Party, Step};
use engine::call::voicemail::Verdict;
use serde_json::{Value, json};
use store::{CallNews, CallNotes, CallTurn, NewCallEvent, Speaker, StoreError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use wire::rest::calls::webhook::CallTool;

use super::transfer;
use super::{CallKey, Details, Order};
use crate::App;
use crate::auth::chain;
use crate::dialler::{after, announce};

/// Entries that wait for the database; of more, the last are not written and are counted.
const ENTRIES: usize = 512;
/// Between two signs of life of a call. One that gives none for [`LOST_AFTER`] is ended by another server.
const TOUCH_EVERY: Duration = Duration::from_secs(5);
/// A call without a sign of life for so long is nobody's.
pub const LOST_AFTER: Duration = Duration::from_mins(1);
/// Pauses before an entry is written again.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

/// What somebody said.
#[derive(Clone, PartialEq, Eq)]
pub struct Turn {
    /// Its number, from 1.
    pub seq: i64,
    /// Who spoke.
    pub speaker: Speaker,
    /// The conversation's item.
    pub item: String,
    /// Since the call's answer, in ms.
    pub started_ms: u64,
    /// Since the call's answer, in ms.
    pub ended_ms: u64,
    /// Whether the other one broke in.
    pub interrupted: bool,
    /// Who says what was said: `stt`, `tts` or `model`.
    pub source: &'static str,
    /// What was said; of the agent's words those that were heard.
    pub text: String,
}

impl std::fmt::Debug for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Turn")
            .field("seq", &self.seq)
            .field("speaker", &self.speaker)
            .finish_non_exhaustive()
    }
}

/// How a call ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Why.
    pub reason: HangupReason,
    /// Who ended it.
    pub by: Party,
    /// What came of it, where that is known without a summary.
    pub outcome: Option<Outcome>,
    /// What went wrong, in a word.
    pub error: Option<&'static str>,
    /// When it was said that a machine speaks, in ms after the answer.
    pub disclosed_ms: Option<u64>,
}

/// Something to be written down.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// The conversation has begun.
    Live {
        /// What the carrier calls the stream.
        stream_id: String,
        /// What the carrier calls the call.
        carrier_call_id: Option<String>,
        /// The conversation, `sess_…`.
        session: String,
    },
    /// Somebody has said something.
    Turn(Turn),
    /// Something has happened.
    Event {
        /// What, such as `dtmf`.
        kind: &'static str,
        /// More of it: sealed like what is said.
        details: Value,
    },
    /// A function of the line's was called by the model.
    Tool {
        /// Names this call of it.
        id: String,
        /// What was called, and what came of it.
        used: CallTool,
    },
    /// It is known who has answered a call of ours.
    AnsweredBy(Verdict),
    /// A machine is being left a message: nobody else leaves it one.
    Message,
    /// It is over; last.
    End(Ending),
}

/// The book of one call.
#[derive(Debug)]
pub struct Book {
    entries: mpsc::Sender<Entry>,
    writing: JoinHandle<()>,
    missed: u64,
}

impl Book {
    /// Opens the book of a call; `orders` is told when the call is ended from elsewhere.
    pub fn open(app: &Arc<App>, call: CallKey, session: String) -> Self {
        let (entries, written) = mpsc::channel(ENTRIES);
        let writer = Writer {
            app: Arc::clone(app),
            call,
            session,
            paused: false,
        };
        Self {
            entries,
            writing: app.lifecycle.spawn(writer.run(written)),
            missed: 0,
        }
    }

    /// Writes something down, a moment later.
    pub fn note(&mut self, entry: Entry) {
        if self.entries.try_send(entry).is_err() {
            self.missed += 1;
        }
    }

    /// Writes the last entry and waits until the call was dealt with.
    pub async fn close(self, ending: Ending) {
        if self.missed > 0 {
            tracing::warn!(
                entries = self.missed,
                "what happened in a call could not be written down: the database is too slow"
            );
        }
        // the end waits for its place
        let _ = self.entries.send(Entry::End(ending)).await;
        drop(self.entries);
        let _ = self.writing.await;
    }
}

struct Writer {
    app: Arc<App>,
    call: CallKey,
    session: String,
    /// Whether the recording was to be paused when that was looked at last.
    paused: bool,
}

impl Writer {
    async fn run(mut self, mut entries: mpsc::Receiver<Entry>) {
        let mut touch = interval_at(Instant::now() + TOUCH_EVERY, TOUCH_EVERY);
        touch.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let entry = tokio::select! {
                biased;
                entry = entries.recv() => entry,
                _ = touch.tick() => {
                    self.look().await;
                    continue;
                }
            };
            match entry {
                // whoever held the book was cut off: the sweep deals with the call
                None => return,
                Some(Entry::End(ending)) => {
                    self.persist(&Entry::End(ending)).await;
                    return;
                }
                Some(entry) => self.persist(&entry).await,
            }
        }
    }

    /// Writes an entry, several times if need be.
    async fn persist(&self, entry: &Entry) {
        let mut pauses = PAUSES.iter();
        loop {
            let Err(error) = self.write(entry).await else {
                return;
            };
            // what was said is kept however long the database is away
            let keeps = matches!(entry, Entry::Turn(_) | Entry::Live { .. }) && error.is_outage();
            let longest = PAUSES.last().filter(|_| keeps);
            let Some(pause) = pauses.next().or(longest) else {
                tracing::error!(
                    call = self.call.id,
                    error = %chain(&error),
                    "what happened in a call is not written down"
                );
                return;
            };
            tokio::select! {
                () = self.app.lifecycle.hard().cancelled() => return,
                () = tokio::time::sleep(*pause) => {}
            }
        }
    }

    async fn write(&self, entry: &Entry) -> Result<(), StoreError> {
        let sql = &self.app.store.sql;
        match entry {
            Entry::Live {
                stream_id,
                carrier_call_id,
                session,
            } => {
                let named = (stream_id.as_str(), session.as_str());
                self.begin(named, carrier_call_id.as_deref()).await
            }
            Entry::Turn(turn) => {
                let turn = CallTurn {
                    seq: turn.seq,
                    speaker: turn.speaker,
                    item: &turn.item,
                    started_ms: i64::try_from(turn.started_ms).unwrap_or(i64::MAX),
                    ended_ms: i64::try_from(turn.ended_ms).unwrap_or(i64::MAX),
                    interrupted: turn.interrupted,
                    source: turn.source,
                    text: &turn.text,
                };
                let (tenant, id) = self.call.named();
                sql.add_call_turn(tenant, id, &turn).await?;
                announce::turn(&self.app, &self.call, &turn).await
            }
            Entry::AnsweredBy(verdict) => {
                let word = verdict.name();
                if sql.note_answered_by(self.call.at_attempt(), word).await? {
                    self.app.metrics.outgoing().answered(word);
                }
                Ok(())
            }
            Entry::Message => self.leave_message().await,
            Entry::Tool { id, used } => announce::tool(&self.app, &self.call, id, used).await,
            Entry::Event { kind, details } => {
                let content = details.to_string();
                let mut event = NewCallEvent::new("edge", kind, self.app.clock.utc());
                event.content = &content;
                sql.add_call_event(self.call.named(), event).await?;
                Ok(())
            }
            Entry::End(ending) => self.finish(ending).await,
        }
    }

    /// The conversation has begun.
    async fn begin(
        &self,
        (stream_id, session): (&str, &str),
        carrier_call_id: Option<&str>,
    ) -> Result<(), StoreError> {
        let sql = &self.app.store.sql;
        let notes = CallNotes {
            stream_id: Some(stream_id),
            session: Some(session),
            ..CallNotes::default()
        };
        sql.note_call(self.call.at_attempt(), notes).await?;
        let now = self.app.clock.utc();
        let step = Step::to(self.call.engine_attempt(), CallState::Live);
        // the carrier's report of it may come first, later, or never
        let found = sql.find_call(&self.call.tenant, &self.call.id).await?;
        let effects = match found {
            Some(mut found) => {
                found.answered_at = found.answered_at.or(Some(now));
                announce::progress(&self.app, &self.call, &found, step.state, now).await?
            }
            None => Vec::new(),
        };
        let event = NewCallEvent::new("edge", "live", now);
        let news = CallNews {
            carrier_call_id,
            ..CallNews::of(step, event)
        };
        sql.tell_call(self.call.named(), &news, &effects).await?;
        self.app.outbox.wake();
        Ok(())
    }

    /// A machine is being left a message.
    async fn leave_message(&self) -> Result<(), StoreError> {
        let mut step = Step::to(self.call.engine_attempt(), CallState::Ending)
            .because(HangupReason::Voicemail, Party::System);
        step.outcome = Some(Outcome::Voicemail);
        let event = NewCallEvent::new("edge", "message", self.app.clock.utc());
        let news = CallNews::of(step, event);
        let sql = &self.app.store.sql;
        sql.tell_call(self.call.named(), &news, &[]).await.map(drop)
    }

    /// The call is over: that is written down, then it is dealt with, which succeeds for one alone.
    async fn finish(&self, ending: &Ending) -> Result<(), StoreError> {
        let sql = &self.app.store.sql;
        let ending = &self.moved(ending).await?;
        let usage = self.app.meter.usage(&self.call.tenant, &self.session);
        let parts = usage.as_ref().and_then(|usage| {
            let parts = usage.providers.iter().map(|part| {
                json!({
                    "stage": part.stage, "provider": part.provider, "model": part.model,
                    "micro_dollars": part.cost_micro_dollars,
                })
            });
            serde_json::to_string(&parts.collect::<Vec<_>>()).ok()
        });
        let micros = usage.and_then(|usage| usage.cost_micro_dollars);
        let notes = CallNotes {
            disclosed_ms: ending.disclosed_ms.and_then(|ms| i64::try_from(ms).ok()),
            actual_micros: micros.and_then(|micros| i64::try_from(micros).ok()),
            cost_parts: parts.as_deref(),
            error_message: ending.error,
            ..CallNotes::default()
        };
        sql.note_call(self.call.at_attempt(), notes).await?;
        let now = self.app.clock.utc();
        let step = Step::to(self.call.engine_attempt(), CallState::Ended)
            .because(ending.reason, ending.by);
        let step = Step {
            outcome: ending.outcome,
            ..step
        };
        let content = json!({ "reason": ending.reason.name(), "by": ending.by.name() }).to_string();
        let mut event = NewCallEvent::new("edge", "ended", now);
        event.content = &content;
        let key = format!("{} ended", self.call.attempt);
        event.source_key = Some(&key);
        sql.tell_call(self.call.named(), &CallNews::of(step, event), &[])
            .await?;
        after::conclude(&self.app, &self.call, ending.outcome)
            .await
            .map(drop)
    }

    /// The ending as it is. A carrier that moves a caller ends the stream as if the caller had hung up, and does so before its
    /// answer says that it has moved them.
    async fn moved(&self, ending: &Ending) -> Result<Ending, StoreError> {
        let mut ending = ending.clone();
        if ending.reason != HangupReason::CallerHangup {
            return Ok(ending);
        }
        let (tenant, id) = self.call.named();
        let Some(call) = self.app.store.sql.find_call(tenant, id).await? else {
            return Ok(ending);
        };
        let details = Details::of(&call);
        let passing = transfer::under_way(&details, &self.call, self.app.clock.utc());
        // while somebody is being called who is to take over, the caller talks on, and may hang up
        if let Some(passing) = passing.filter(|one| one.moving) {
            ending.reason = HangupReason::Transfer;
            ending.by = passing.by;
            ending.outcome = Some(Outcome::Transferred);
        }
        Ok(ending)
    }

    /// Says that the call is looked after, and looks whether somebody wants it to end.
    async fn look(&mut self) {
        let app = Arc::clone(&self.app);
        let sql = &app.store.sql;
        let looked = async {
            if !sql
                .touch_call(self.call.at_attempt(), self.app.clock.utc())
                .await?
            {
                return Ok(Some(Order::Over));
            }
            let found = sql.find_call(&self.call.tenant, &self.call.id).await?;
            let paused = found.as_ref().map(Details::of);
            let paused = paused.is_some_and(|details| details.recording_paused);
            if paused != self.paused {
                self.paused = paused;
                // asked for at another server
                let order = Order::PauseRecording(paused);
                app.phone.live.order(self.call.named(), order);
            }
            let ending = found.filter(|call| call.state == CallState::Ending.name());
            Ok::<_, StoreError>(ending.map(|call| {
                Order::HangUp {
                    say: None,
                    reason: call
                        .hangup_reason
                        .as_deref()
                        .and_then(HangupReason::parse)
                        .unwrap_or(HangupReason::AgentEnd),
                    by: call
                        .hangup_by
                        .as_deref()
                        .and_then(Party::parse)
                        .unwrap_or(Party::System),
                }
            }))
        };
        match looked.await {
            Ok(Some(order)) => {
                self.app.phone.live.order(self.call.named(), order);
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(error = %chain(&error), "cannot say that a call is looked after");
            }
        }
    }
}
