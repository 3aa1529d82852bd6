//! The result of a job that is still waiting or running, and the other end that delivers it.
//! Callers await or drop a [`Pending`]; worker threads hold the [`Reply`].
//! Neither blocks the other, and dropping the result cancels the job and nothing else.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::sync::oneshot;

use crate::{Cancel, CancelHook, LocalError};

/// A result to come. Await it; dropping it cancels the job (other jobs under the caller's own
/// [`Cancel`] go on).
#[derive(Debug)]
#[must_use = "dropping the result cancels the job"]
pub struct Pending<T> {
    receiver: oneshot::Receiver<Result<T, LocalError>>,
    cancel: Cancel,
}

impl<T> Pending<T> {
    /// Blocks this thread until the result is there; for threads outside an async runtime only.
    pub fn wait(mut self) -> Result<T, LocalError> {
        let (_, closed) = oneshot::channel();
        let receiver = std::mem::replace(&mut self.receiver, closed);
        receiver
            .blocking_recv()
            .unwrap_or_else(|_| Err(self.gone()))
    }
}

impl<T> Pending<T> {
    /// What it means that the worker let go of the job without an answer.
    fn gone(&self) -> LocalError {
        if self.cancel.is_cancelled() {
            LocalError::Cancelled
        } else {
            LocalError::runtime("run a job", "the model's thread gave up")
        }
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T, LocalError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.receiver)
            .poll(context)
            .map(|result| result.unwrap_or_else(|_| Err(self.gone())))
    }
}

impl<T> Drop for Pending<T> {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// The worker's end. Dropping it without an answer reads as failed on the other side, or as
/// cancelled when it was.
pub(crate) struct Reply<T> {
    sender: oneshot::Sender<Result<T, LocalError>>,
    _hook: CancelHook,
}

impl<T> Reply<T> {
    pub(crate) fn send(self, result: Result<T, LocalError>) {
        // nobody listens any more: the result was dropped, which is allowed
        drop(self.sender.send(result));
    }
}

/// Ties a job to its result. The returned [`Cancel`] belongs to this job alone; it is raised by
/// `outer`, and by dropping the [`Pending`].
pub(crate) fn pending<T>(outer: &Cancel) -> (Pending<T>, Reply<T>, Cancel) {
    let (sender, receiver) = oneshot::channel();
    let (cancel, hook) = child(outer);
    (
        Pending {
            receiver,
            cancel: cancel.clone(),
        },
        Reply {
            sender,
            _hook: hook,
        },
        cancel,
    )
}

/// A flag of its own that is also raised when `outer` is.
pub(crate) fn child(outer: &Cancel) -> (Cancel, CancelHook) {
    let cancel = Cancel::new();
    let raised = cancel.clone();
    let hook = outer.on_cancel(move || raised.cancel());
    (cancel, hook)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropping_one_result_leaves_its_siblings_alone() {
        let reply_wide = Cancel::new();
        let (first, _first_reply, first_cancel) = pending::<()>(&reply_wide);
        let (_second, _second_reply, second_cancel) = pending::<()>(&reply_wide);
        drop(first);
        assert!(first_cancel.is_cancelled());
        assert!(!second_cancel.is_cancelled());
        reply_wide.cancel();
        assert!(second_cancel.is_cancelled());
    }

    #[test]
    fn a_job_that_was_dropped_says_whether_somebody_wanted_that() {
        let (first, reply, _) = pending::<u8>(&Cancel::new());
        drop(reply);
        assert!(matches!(first.wait(), Err(LocalError::Runtime { .. })));
        let (second, reply, cancel) = pending::<u8>(&Cancel::new());
        cancel.cancel();
        drop(reply);
        assert!(matches!(second.wait(), Err(LocalError::Cancelled)));
    }

    #[test]
    fn the_result_arrives_on_a_blocking_thread() {
        let (pending, reply, _) = pending::<u8>(&Cancel::new());
        reply.send(Ok(7));
        assert_eq!(pending.wait().unwrap(), 7);
    }
}
