//! How the server ends: first gently, then at once.
//! Held by `App`; the accept loop, sessions and background jobs listen to it.
//! Never waits without a limit.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::Instrument as _;

/// The stop signals and the tasks that must end before the process does.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    soft: CancellationToken,
    hard: CancellationToken,
    tasks: TaskTracker,
}

/// How a drain went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Every task ended by itself.
    Clean,
    /// The time was over, or a second signal came, while tasks were running.
    Forced {
        /// Tasks that were cut off.
        cut_off: usize,
    },
}

impl Lifecycle {
    /// Done once the server takes nobody new: sessions finish what they are saying and end.
    pub fn soft(&self) -> &CancellationToken {
        &self.soft
    }

    /// Done once everything must end at once.
    pub fn hard(&self) -> &CancellationToken {
        &self.hard
    }

    /// Whether the server is shutting down: `/ready` says no and new sessions are refused.
    pub fn stopping(&self) -> bool {
        self.soft.is_cancelled()
    }

    /// Starts a task that the drain waits for; its log lines keep the span it was started in.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn(task.in_current_span())
    }

    /// Starts a task that serves others to the very end: the drain does not wait for it, the hard stop ends it.
    pub fn spawn_beside<F>(&self, task: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let hard = self.hard.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = hard.cancelled() => {}
                () = task => {}
            }
        })
    }

    /// Makes the drain wait until what is returned is dropped.
    pub fn awaited(&self) -> TaskTrackerToken {
        self.tasks.token()
    }

    /// Tasks running.
    pub fn running(&self) -> usize {
        self.tasks.len()
    }

    /// Asks everyone to end, waits up to `limit`, then ends them.
    pub async fn drain(&self, limit: Duration) -> Drained {
        self.soft.cancel();
        self.tasks.close();
        tokio::select! {
            () = self.tasks.wait() => return Drained::Clean,
            () = self.hard.cancelled() => {}
            () = tokio::time::sleep(limit) => {}
        }
        let cut_off = self.tasks.len();
        self.hard.cancel();
        // tasks that listen to `hard` end within a poll; a task that does not is dropped with the runtime
        let _ = tokio::time::timeout(Duration::from_secs(1), self.tasks.wait()).await;
        if cut_off == 0 {
            Drained::Clean
        } else {
            Drained::Forced { cut_off }
        }
    }
}

/// Turns the first SIGTERM or SIGINT into a soft stop and the second into a hard one.
///
/// # Errors
/// When the process may not listen to signals.
pub fn listen_to_signals(lifecycle: &Lifecycle) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let lifecycle = lifecycle.clone();
    tokio::spawn(async move {
        for token in [lifecycle.soft(), lifecycle.hard()] {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            tracing::info!(signal = name, running = lifecycle.running(), "told to stop");
            token.cancel();
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_drain_waits_for_tasks_that_end_in_time() {
        let lifecycle = Lifecycle::default();
        lifecycle.spawn(async { tokio::time::sleep(Duration::from_secs(29)).await });
        assert!(!lifecycle.stopping());
        assert_eq!(
            lifecycle.drain(Duration::from_secs(30)).await,
            Drained::Clean
        );
        assert!(lifecycle.stopping() && !lifecycle.hard().is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_ends_what_does_not_end_by_itself() {
        let lifecycle = Lifecycle::default();
        let hard = lifecycle.hard().clone();
        lifecycle.spawn(async move { hard.cancelled().await });
        let drained = lifecycle.drain(Duration::from_secs(30)).await;
        assert_eq!(drained, Drained::Forced { cut_off: 1 });
        assert_eq!(lifecycle.running(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hard_stop_cuts_the_drain_short() {
        let lifecycle = Lifecycle::default();
        lifecycle.spawn(std::future::pending::<()>());
        let begun = tokio::time::Instant::now();
        let hard = lifecycle.hard().clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(3)).await;
            hard.cancel();
        });
        lifecycle.drain(Duration::from_secs(30)).await;
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
