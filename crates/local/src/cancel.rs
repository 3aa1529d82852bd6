//! A flag that stops a running job, with hooks that interrupt native calls at once.
//! The scheduler gives one to every job; decode loops check it, native runs register a hook.
//! It never waits for the job to stop: `cancel` returns as soon as every hook was told.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::LocalError;

type Interrupt = Arc<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct Shared {
    cancelled: AtomicBool,
    hooks: Mutex<Hooks>,
}

#[derive(Default)]
struct Hooks {
    next_id: u64,
    waiting: Vec<(u64, Interrupt)>,
}

/// A shared cancellation flag. Clones refer to the same job; once cancelled, always cancelled.
#[derive(Clone, Default)]
pub struct Cancel(Arc<Shared>);

impl Cancel {
    /// A flag nobody has raised yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops the job: raises the flag, then calls every registered hook once, on this thread.
    pub fn cancel(&self) {
        let hooks = {
            let mut hooks = self.0.hooks.lock().unwrap_or_else(PoisonError::into_inner);
            // raised under the lock, so that a hook registered at the same moment either is in the
            // list taken here or sees the flag
            self.0.cancelled.store(true, Ordering::Release);
            std::mem::take(&mut hooks.waiting)
        };
        for (_, hook) in hooks {
            hook();
        }
    }

    /// Whether [`cancel`](Self::cancel) was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Acquire)
    }

    /// [`LocalError::Cancelled`] once the flag is raised; for `?` inside loops.
    pub fn check(&self) -> Result<(), LocalError> {
        if self.is_cancelled() {
            Err(LocalError::Cancelled)
        } else {
            Ok(())
        }
    }

    /// Calls `interrupt` when the job is cancelled: at once if it already is, otherwise from the
    /// cancelling thread. Dropping the returned guard forgets the hook. The hook must be short and
    /// must not call back into this `Cancel`.
    #[must_use = "the hook is forgotten when the guard is dropped"]
    pub fn on_cancel(&self, interrupt: impl Fn() + Send + Sync + 'static) -> CancelHook {
        let interrupt: Interrupt = Arc::new(interrupt);
        let mut hooks = self.0.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        let id = hooks.next_id;
        hooks.next_id += 1;
        if self.is_cancelled() {
            drop(hooks);
            interrupt();
        } else {
            hooks.waiting.push((id, interrupt));
        }
        CancelHook {
            shared: Arc::clone(&self.0),
            id,
        }
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cancel").field(&self.is_cancelled()).finish()
    }
}

/// Keeps a hook registered by [`Cancel::on_cancel`]; dropping it forgets the hook.
pub struct CancelHook {
    shared: Arc<Shared>,
    id: u64,
}

impl Drop for CancelHook {
    fn drop(&mut self) {
        let mut hooks = self
            .shared
            .hooks
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        hooks.waiting.retain(|(id, _)| *id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    fn counter() -> (Arc<AtomicUsize>, impl Fn() + Send + Sync + 'static) {
        let count = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&count);
        (count, move || {
            seen.fetch_add(1, Ordering::SeqCst);
        })
    }

    #[test]
    fn a_clone_sees_the_cancellation_and_a_hook_is_called_once() {
        let cancel = Cancel::new();
        let (count, hook) = counter();
        let _guard = cancel.on_cancel(hook);
        assert!(cancel.check().is_ok());
        cancel.clone().cancel();
        cancel.cancel();
        assert!(cancel.is_cancelled());
        assert!(matches!(cancel.check(), Err(LocalError::Cancelled)));
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_hook_registered_too_late_is_called_at_once() {
        let cancel = Cancel::new();
        cancel.cancel();
        let (count, hook) = counter();
        let _guard = cancel.on_cancel(hook);
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_dropped_guard_forgets_its_hook() {
        let cancel = Cancel::new();
        let (count, hook) = counter();
        drop(cancel.on_cancel(hook));
        cancel.cancel();
        assert_eq!(count.load(Ordering::SeqCst), 0);
    }
}
