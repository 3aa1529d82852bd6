//! The language model's thread: takes requests from the queue whenever there is room, and steps the
//! engine as long as anything runs.
//! Started by `LocalModels::open`; sleeps when nobody asks.
//! It never answers on the caller's thread.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::{
    Origin, Priority,
    queue::{Batch, Queue, Ticket},
    worker::Workers,
};
use crate::{
    Cancel, ChatMessage, GenerateRequest, Generation, LocalConfig, LocalError,
    llama::{Admission, Engine, Llama, Task, TaskKind},
};

/// Queues a question.
pub(super) fn submit(
    queue: &Arc<Queue<Task>>,
    request: GenerateRequest,
) -> Result<Generation, LocalError> {
    let Origin { session, priority } = request.origin;
    let max_tokens = request.max_tokens.max(1);
    // room for every token, the held-back rest, and the end: the engine never waits for a reader
    let (generation, events, cancel) =
        Generation::channel(&request.cancel, max_tokens as usize + 2);
    let ticket = Ticket {
        session: session.clone(),
        class: priority.into(),
        units: 1,
        cancel: cancel.clone(),
    };
    let task = Task {
        session,
        priority,
        messages: request.messages,
        cancel,
        kind: TaskKind::Answer {
            events,
            max_tokens,
            sampling: request.sampling,
            stop: request.stop,
        },
    };
    queue.push(ticket, task)?;
    Ok(generation)
}

/// Queues a warming; a refusal is ignored.
pub(super) fn warm(queue: &Arc<Queue<Task>>, session: &str, messages: Vec<ChatMessage>) {
    let cancel = Cancel::new();
    let priority = Priority::Speculative;
    // no units: how long a prompt takes says nothing about answers
    let ticket = Ticket {
        session: session.to_owned(),
        class: priority.into(),
        units: 0,
        cancel: cancel.clone(),
    };
    let session = session.to_owned();
    let task = Task {
        session,
        priority,
        messages,
        cancel,
        kind: TaskKind::Warm,
    };
    if let Err(error) = queue.push(ticket, task) {
        tracing::debug!(%error, "prompt not warmed");
    }
}

/// Starts the thread.
pub(super) fn start(
    config: &LocalConfig,
    queue: Arc<Queue<Task>>,
    workers: &mut Workers,
) -> Result<(), LocalError> {
    let (models_dir, llm) = (config.models_dir.clone(), config.llm.clone());
    workers.start(
        "llm",
        move || {
            let llama = Llama::open(&models_dir, llm)?;
            // fail at start, not in the first call
            drop(llama.engine()?);
            Ok(llama)
        },
        move |llama| match llama.engine() {
            Ok(engine) => {
                let served = catch_unwind(AssertUnwindSafe(|| serve(engine, &queue)));
                if served.is_err() {
                    tracing::error!("the language model thread panicked");
                    queue.close();
                }
            }
            Err(error) => {
                tracing::error!(%error, "no language model");
                queue.close();
            }
        },
    )
}

fn serve(mut engine: Engine<'_>, queue: &Arc<Queue<Task>>) {
    let mut running: HashMap<u64, Batch<Task>> = HashMap::new();
    // a task that found no room, first in line for the next
    let mut next: Option<(Task, Batch<Task>)> = None;
    loop {
        while let Some((task, batch)) = next.take().or_else(|| take(&engine, queue)) {
            match engine.admit(task) {
                Admission::Running(id) => drop(running.insert(id, batch)),
                Admission::NoRoom(task) => {
                    next = Some((task, batch));
                    break;
                }
                Admission::Ended => {}
            }
        }
        if engine.is_idle() && next.is_none() {
            // `take` sleeps while the engine is idle, so this is the closed queue
            return;
        }
        for id in engine.step() {
            running.remove(&id);
        }
    }
}

/// The next task: waited for when the engine has nothing to do, otherwise only if it is there.
fn take(engine: &Engine<'_>, queue: &Arc<Queue<Task>>) -> Option<(Task, Batch<Task>)> {
    let mut batch = if engine.is_idle() {
        queue.take(1, |_, _| false)
    } else {
        queue.try_take()
    }?;
    let task = batch.jobs.pop()?;
    Some((task, batch))
}
