//! One bounded queue of jobs for one kind of model, shared by all sessions.
//! The scheduler's worker threads take from it; it decides who is next and who is refused.
//! It never runs a job, never polls, and never hands out a job that was cancelled while it waited.

use std::{
    collections::HashMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{Cancel, LocalError};

/// Whether somebody waits for the result, or it is a guess that may be thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Priority {
    /// A turn depends on it.
    #[default]
    Live,
    /// Started before it is known to be needed; served only when nothing live waits.
    Speculative,
}

/// Order of service: all of one class before any of the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// The first piece of a new reply: the caller hears silence until it is done.
    Urgent,
    Live,
    Speculative,
}

impl From<Priority> for Class {
    fn from(priority: Priority) -> Self {
        match priority {
            Priority::Live => Self::Live,
            Priority::Speculative => Self::Speculative,
        }
    }
}

/// What the queue must know about a job.
pub(crate) struct Ticket {
    /// Whose job it is: sessions share a class fairly, and one session's jobs keep their order.
    pub session: String,
    pub class: Class,
    /// Size of the job, in the unit the queue learns the speed of (audio ms, characters, jobs).
    pub units: u32,
    pub cancel: Cancel,
}

/// When a queue refuses work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Most jobs that may wait.
    pub capacity: usize,
    /// Longest time a new job may be expected to wait, in ms.
    pub max_wait_ms: u32,
}

/// How a queue starts out.
pub(crate) struct QueueConfig {
    /// `stt`, `turn`, `tts`, `kokoro` or `llm`.
    pub name: &'static str,
    pub limits: QueueLimits,
    /// Jobs served at the same time.
    pub workers: usize,
    /// Speed assumed until the first jobs were timed, in ms per unit.
    pub ms_per_unit: f64,
}

pub(crate) struct Queue<J> {
    config: QueueConfig,
    state: Mutex<State<J>>,
    arrival: Condvar,
}

struct State<J> {
    waiting: Vec<Entry<J>>,
    /// Units and flags of the jobs being served.
    running: HashMap<u64, (u32, Cancel)>,
    next_id: u64,
    /// Start tag of the job taken last: the clock of fair sharing.
    virtual_units: f64,
    /// End tag of the last job queued per session; only sessions ahead of the clock are kept.
    ends: HashMap<String, f64>,
    ms_per_unit: f64,
    closed: bool,
}

struct Entry<J> {
    id: u64,
    ticket: Ticket,
    start_tag: f64,
    job: J,
}

/// Jobs handed to a worker together. Dropping it tells the queue that they are done.
pub(crate) struct Batch<J> {
    pub jobs: Vec<J>,
    ids: Vec<u64>,
    units: u32,
    started: Instant,
    queue: Arc<Queue<J>>,
    cancels: Vec<Cancel>,
}

impl<J> Queue<J> {
    pub(crate) fn new(config: QueueConfig) -> Arc<Self> {
        let state = State {
            waiting: Vec::new(),
            running: HashMap::new(),
            next_id: 0,
            virtual_units: 0.0,
            ends: HashMap::new(),
            ms_per_unit: config.ms_per_unit,
            closed: false,
        };
        Arc::new(Self {
            config,
            state: Mutex::new(state),
            arrival: Condvar::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Jobs waiting, cancelled ones left out.
    pub(crate) fn waiting(&self) -> usize {
        self.lock()
            .waiting
            .iter()
            .filter(|entry| !entry.ticket.cancel.is_cancelled())
            .count()
    }

    /// Jobs being served.
    #[cfg(test)]
    pub(crate) fn running(&self) -> usize {
        self.lock().running.len()
    }

    /// Adds a job, or refuses it when it would wait longer than the limits allow. When the queue is
    /// full, a live job pushes out the newest speculative one.
    pub(crate) fn push(&self, ticket: Ticket, job: J) -> Result<(), LocalError> {
        let mut guard = self.lock();
        let state = &mut *guard;
        if state.closed {
            return Err(LocalError::runtime(
                "queue a job",
                "the model's thread has stopped",
            ));
        }
        state
            .waiting
            .retain(|entry| !entry.ticket.cancel.is_cancelled());
        let waiting = state.waiting.len();
        let overloaded = LocalError::Overloaded {
            queue: self.config.name,
            waiting,
        };
        let expected = state.expected_wait(ticket.class, self.config.workers);
        if expected > Duration::from_millis(u64::from(self.config.limits.max_wait_ms)) {
            return Err(overloaded);
        }
        if waiting >= self.config.limits.capacity {
            let guess = state
                .newest_speculative()
                .filter(|_| ticket.class < Class::Speculative);
            let Some(guess) = guess else {
                return Err(overloaded);
            };
            state.waiting.remove(guess).ticket.cancel.cancel();
        }
        state.enqueue(ticket, job);
        drop(guard);
        self.arrival.notify_one();
        Ok(())
    }

    /// Waits for the next job and takes it, together with up to `most - 1` further waiting jobs of
    /// the same class for which `fits(first, other)` holds. `None` once the queue is closed.
    pub(crate) fn take(
        self: &Arc<Self>,
        most: usize,
        fits: impl Fn(&J, &J) -> bool,
    ) -> Option<Batch<J>> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(entries) = state.next(most, &fits) {
                return Some(self.serve(&mut state, entries));
            }
            state = self
                .arrival
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The next job if one is waiting; never blocks.
    #[cfg(any(feature = "llama", test))]
    pub(crate) fn try_take(self: &Arc<Self>) -> Option<Batch<J>> {
        let mut state = self.lock();
        let entries = if state.closed {
            None
        } else {
            state.next(1, &|_, _| false)
        }?;
        Some(self.serve(&mut state, entries))
    }

    fn serve(self: &Arc<Self>, state: &mut State<J>, entries: Vec<Entry<J>>) -> Batch<J> {
        let mut batch = Batch {
            jobs: Vec::with_capacity(entries.len()),
            ids: Vec::with_capacity(entries.len()),
            units: 0,
            started: now(),
            queue: Arc::clone(self),
            cancels: Vec::with_capacity(entries.len()),
        };
        for entry in entries {
            state
                .running
                .insert(entry.id, (entry.ticket.units, entry.ticket.cancel.clone()));
            batch.units += entry.ticket.units;
            batch.ids.push(entry.id);
            batch.cancels.push(entry.ticket.cancel);
            batch.jobs.push(entry.job);
        }
        batch
    }

    /// Drops every waiting job, cancels the running ones and lets all takers return.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let dropped = std::mem::take(&mut state.waiting);
        let running: Vec<Cancel> = state
            .running
            .values()
            .map(|(_, cancel)| cancel.clone())
            .collect();
        drop(state);
        self.arrival.notify_all();
        for entry in dropped {
            entry.ticket.cancel.cancel();
        }
        running.iter().for_each(Cancel::cancel);
    }
}

impl<J> State<J> {
    fn enqueue(&mut self, ticket: Ticket, job: J) {
        let clock = self.virtual_units;
        self.ends.retain(|_, end| *end > clock);
        let start_tag = self.ends.get(&ticket.session).copied().unwrap_or(clock);
        self.ends
            .insert(ticket.session.clone(), start_tag + f64::from(ticket.units));
        let id = self.next_id;
        self.next_id += 1;
        self.waiting.push(Entry {
            id,
            ticket,
            start_tag,
            job,
        });
    }

    /// How long a new job of `class` would wait: what runs plus what is ahead of it.
    fn expected_wait(&self, class: Class, workers: usize) -> Duration {
        let ahead: f64 = self
            .waiting
            .iter()
            .filter(|entry| entry.ticket.class <= class)
            .map(|entry| f64::from(entry.ticket.units))
            .sum();
        // running jobs are half done on average
        let running: f64 = self
            .running
            .values()
            .map(|(units, _)| f64::from(*units) / 2.0)
            .sum();
        let ms = (ahead + running) * self.ms_per_unit / workers.max(1) as f64;
        Duration::from_secs_f64(ms / 1000.0)
    }

    fn newest_speculative(&self) -> Option<usize> {
        self.waiting
            .iter()
            .rposition(|entry| entry.ticket.class == Class::Speculative)
    }

    /// Takes the next job and those that may join it, oldest first.
    fn next(&mut self, most: usize, fits: &impl Fn(&J, &J) -> bool) -> Option<Vec<Entry<J>>> {
        self.waiting
            .retain(|entry| !entry.ticket.cancel.is_cancelled());
        self.waiting.sort_by(|a, b| {
            (a.ticket.class.cmp(&b.ticket.class))
                .then(a.start_tag.total_cmp(&b.start_tag))
                .then(a.id.cmp(&b.id))
        });
        if self.waiting.is_empty() {
            return None;
        }
        let first = self.waiting.remove(0);
        self.virtual_units = self.virtual_units.max(first.start_tag);
        let mut taken = vec![first];
        let mut at = 0;
        while taken.len() < most && at < self.waiting.len() {
            let entry = &self.waiting[at];
            if entry.ticket.class == taken[0].ticket.class && fits(&taken[0].job, &entry.job) {
                taken.push(self.waiting.remove(at));
            } else {
                at += 1;
            }
        }
        Some(taken)
    }

    fn learn(&mut self, units: u32, elapsed: Duration) {
        /// Weight of the newest measurement; about ten jobs decide.
        const WEIGHT: f64 = 0.2;
        if units > 0 {
            let measured = elapsed.as_secs_f64() * 1000.0 / f64::from(units);
            self.ms_per_unit += WEIGHT * (measured - self.ms_per_unit);
        }
    }
}

impl<J> Drop for Batch<J> {
    fn drop(&mut self) {
        let elapsed = self.started.elapsed();
        let mut state = self.queue.lock();
        for id in &self.ids {
            state.running.remove(id);
        }
        // a job that was cut short says nothing about the speed
        if !self.cancels.iter().any(Cancel::is_cancelled) {
            state.learn(self.units, elapsed);
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the queue times native code to know its speed; no conversation depends on it"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
