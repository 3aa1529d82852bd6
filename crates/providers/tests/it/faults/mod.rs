//! Every vendor × everything that can go wrong, with another provider behind it: nothing is lost, nothing comes twice,
//! nobody waits for more than 5 s, and whoever watches is told. Real sockets on both sides.
//!
//! | fault | six questions | then |
//! |---|---|---|
//! | `Unauthorized` | taken over once | left alone for a minute |
//! | `RateLimited` | taken over once, no failure | left alone for as long as it said |
//! | `Trickle` | of a language model none, for slow is not broken; of ears and voices like the others | |
//! | all others | taken over five times, then it rests | left alone for 30 s, and back with the first answer |

mod ears;
mod llm;
mod voices;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use providers::guarded::{Stage, Watch};
use tokio::time::{Instant, advance};

use crate::{
    fakes::{self, Fault, wire},
    guarded::written,
    speech::walk,
};

/// A vendor that fails on demand.
trait Faulty {
    async fn suffer(&self, fault: Option<Fault>);
    /// How often it was asked for anything.
    fn asked(&self) -> usize;
}

impl Faulty for fakes::Fake {
    async fn suffer(&self, fault: Option<Fault>) {
        self.fault_always(fault).await;
    }

    fn asked(&self) -> usize {
        self.targets().len()
    }
}

impl Faulty for wire::Fake {
    async fn suffer(&self, fault: Option<Fault>) {
        match fault {
            Some(fault) => self.misbehave(fault).await,
            None => self.behave().await,
        }
    }

    fn asked(&self) -> usize {
        self.world.with(|seen| {
            let said = seen.texts.len() + seen.binaries.len();
            said + seen.handshakes.len() + seen.recordings.len() + seen.speeches.len()
        })
    }
}

/// Questions that are asked while a fault lasts.
const QUESTIONS: usize = 6;

/// What the watch is told of `acme`, which has `second` behind it.
struct Story {
    stage: Stage,
    watch: Watch,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Story {
    fn new(stage: Stage) -> Self {
        let (watch, lines) = written();
        Self {
            stage,
            watch,
            lines,
        }
    }

    fn count(&self, what: &str) -> usize {
        let line = format!("{} acme {what}", self.stage.name());
        let lines = self.lines.lock().unwrap();
        lines.iter().filter(|told| **told == line).count()
    }

    fn taken_over(&self) -> usize {
        self.count("-> second")
    }

    /// What `QUESTIONS` of them lead to.
    fn holds(&self, fault: Fault, taken_over: usize) {
        let lines = self.lines.lock().unwrap().join(", ");
        assert_eq!(self.taken_over(), taken_over, "{fault:?}: {lines}");
        let rests = usize::from(taken_over > 1);
        assert_eq!(self.count("rests"), rests, "{fault:?}: {lines}");
        assert_eq!(self.count("is back"), 0, "{fault:?}: {lines}");
    }
}

/// How often a provider is taken over, and for how long it is left alone then.
fn consequence(fault: Fault, stage: Stage) -> (usize, Duration) {
    match fault {
        // slow is not broken
        Fault::Trickle if stage == Stage::Llm => (0, Duration::ZERO),
        Fault::RateLimited => (1, Duration::from_secs(2)),
        Fault::Unauthorized => (1, Duration::from_mins(1)),
        _ => (QUESTIONS - 1, Duration::from_secs(30)),
    }
}

/// Asks while `fault` lasts, while its consequence does, and once more; `ask` holds each answer against what was said.
async fn endure(fake: &impl Faulty, fault: Fault, story: &Story, ask: impl AsyncFn()) {
    let (taken_over, rest) = consequence(fault, story.stage);
    fake.suffer(Some(fault)).await;
    let mut last = Instant::now();
    for _ in 0..QUESTIONS {
        let (before, begun) = (story.taken_over(), Instant::now());
        ask().await;
        if story.taken_over() > before {
            last = Instant::now();
        }
        // what trickles is heard meanwhile
        let heard = Duration::from_secs(u64::from(fault == Fault::Trickle));
        let taken = begun.elapsed();
        assert!(
            taken < Duration::from_secs(5) + heard,
            "{fault:?}: {taken:?}"
        );
    }
    story.holds(fault, taken_over);
    fake.suffer(None).await;
    let asked = fake.asked();
    ask().await;
    let left_alone = fake.asked() == asked;
    assert_eq!(left_alone, taken_over > 0, "{fault:?}");
    // what was still on its way to the fakes arrives before the clock jumps
    let mut step = tokio::time::interval(Duration::from_millis(10));
    for _ in 0..10 {
        step.tick().await;
    }
    advance(rest.saturating_sub(last.elapsed())).await;
    ask().await;
    assert!(fake.asked() > asked, "{fault:?}: left alone for too long");
    assert_eq!(story.taken_over(), taken_over, "{fault:?}");
    assert_eq!(story.count("is back"), story.count("rests"), "{fault:?}");
}
