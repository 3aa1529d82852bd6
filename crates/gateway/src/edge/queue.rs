//! A bounded queue between the two ends of a connection.
//! Made by [`super::connection`], one in each direction, and for the news of a session's providers. tokio's own takes half a kilobyte and room for 32 messages for
//! as long as a connection lives; this one takes next to nothing while it is empty, and most are, most of the time.
//! Never drops a message, and never holds more than its places, except for one last word.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use tokio::sync::mpsc::error::{SendError, TrySendError};

/// Places of an empty queue that are kept; more are given back.
const KEPT: usize = 4;

/// The end that messages are put in at.
pub struct Sender<T>(Arc<Shared<T>>);

/// The end that they are taken out at.
pub struct Receiver<T>(Arc<Shared<T>>);

struct Shared<T> {
    places: usize,
    state: Mutex<State<T>>,
}

struct State<T> {
    messages: VecDeque<T>,
    /// Wakes the receiver.
    empty: Option<Waker>,
    /// Wakes senders that wait for a place.
    full: Vec<Waker>,
    senders: usize,
    received: Received,
}

/// Whether anybody takes messages out.
#[derive(PartialEq, Eq)]
enum Received {
    Yes,
    NoMore,
}

/// A queue with so many places, at least one.
pub(crate) fn queue<T>(places: usize) -> (Sender<T>, Receiver<T>) {
    let state = State {
        messages: VecDeque::new(),
        empty: None,
        full: Vec::new(),
        senders: 1,
        received: Received::Yes,
    };
    let shared = Arc::new(Shared {
        places: places.max(1),
        state: Mutex::new(state),
    });
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a message in and wakes the receiver, unless that is who waits behind `turn`.
    fn put(&self, message: T, places: usize, turn: Option<&Waker>) -> Result<(), TrySendError<T>> {
        let mut state = self.lock();
        if state.received == Received::NoMore {
            return Err(TrySendError::Closed(message));
        }
        if state.messages.len() >= places {
            return Err(TrySendError::Full(message));
        }
        state.messages.push_back(message);
        let has_turn = |waker: &mut Waker| turn.is_some_and(|turn| waker.will_wake(turn));
        let waker = state.empty.take_if(|waker| !has_turn(waker));
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }
}

impl<T> Sender<T> {
    /// Puts a message in.
    ///
    /// # Errors
    /// Gives it back when there is no place, or nobody to take it out.
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.0.put(message, self.0.places, None)
    }

    /// Puts a message in as soon as there is a place; dropped before that, it has put nothing in.
    ///
    /// # Errors
    /// Gives it back when nobody takes it out any more.
    pub async fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.send_in_turn(message, false).await
    }

    /// As [`Self::send`], for a receiver that takes turns with this sender in one task and comes behind it: it looks into
    /// the queue anyway, and waking it would have the whole task polled once more, for every frame of sound.
    ///
    /// # Errors
    /// Gives it back when nobody takes it out any more.
    pub async fn send_ahead(&self, message: T) -> Result<(), SendError<T>> {
        self.send_in_turn(message, true).await
    }

    async fn send_in_turn(&self, message: T, ahead: bool) -> Result<(), SendError<T>> {
        let mut waiting = Some(message);
        poll_fn(|context| {
            let Some(message) = waiting.take() else {
                return Poll::Ready(Ok(()));
            };
            let turn = ahead.then(|| context.waker());
            let message = match self.0.put(message, self.0.places, turn) {
                Ok(()) => return Poll::Ready(Ok(())),
                Err(TrySendError::Closed(message)) => return Poll::Ready(Err(SendError(message))),
                Err(TrySendError::Full(message)) => message,
            };
            let mut state = self.0.lock();
            let is_full = state.messages.len() >= self.0.places;
            if is_full && state.received == Received::Yes {
                if !state
                    .full
                    .iter()
                    .any(|waker| waker.will_wake(context.waker()))
                {
                    state.full.push(context.waker().clone());
                }
            } else {
                // a place became free between the two looks
                context.waker().wake_by_ref();
            }
            drop(state);
            waiting = Some(message);
            Poll::Pending
        })
        .await
    }

    /// Messages that wait to be taken out.
    pub fn waiting(&self) -> usize {
        self.0.lock().messages.len()
    }

    /// Puts in what must find a place also when there is none: one message of a connection, after which nothing comes.
    pub fn send_last(&self, message: T) {
        // where nobody takes it out, nobody misses it
        let _ = self.0.put(message, usize::MAX, None);
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.lock().senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.senders -= 1;
        let last = state.senders == 0;
        let waker = state.empty.take_if(|_| last);
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Receiver<T> {
    /// The next message; `None` once there is none left and nobody to send one. Dropped early, it has taken none.
    pub async fn recv(&mut self) -> Option<T> {
        poll_fn(|context| {
            let mut state = self.0.lock();
            let Some(message) = state.messages.pop_front() else {
                if state.senders == 0 {
                    return Poll::Ready(None);
                }
                let known = state.empty.as_ref();
                if known.is_none_or(|waker| !waker.will_wake(context.waker())) {
                    state.empty = Some(context.waker().clone());
                }
                return Poll::Pending;
            };
            if state.messages.is_empty() && state.messages.capacity() > KEPT {
                state.messages = VecDeque::new();
            }
            let wakers = std::mem::take(&mut state.full);
            drop(state);
            wakers.into_iter().for_each(Waker::wake);
            Poll::Ready(Some(message))
        })
        .await
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.received = Received::NoMore;
        let (messages, wakers) = (
            std::mem::take(&mut state.messages),
            std::mem::take(&mut state.full),
        );
        drop(state);
        drop(messages);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake};

    use super::*;

    #[tokio::test]
    async fn messages_come_out_in_order_and_the_end_after_them() {
        let (sender, mut receiver) = queue(2);
        assert!(sender.try_send(1).is_ok() && sender.try_send(2).is_ok());
        assert!(matches!(sender.try_send(3), Err(TrySendError::Full(3))));
        let other = sender.clone();
        sender.send_last(4);
        drop(sender);
        assert_eq!(receiver.recv().await, Some(1));
        assert!(
            matches!(other.try_send(5), Err(TrySendError::Full(5))),
            "the last word took a place"
        );
        drop(other);
        assert_eq!(
            (receiver.recv().await, receiver.recv().await),
            (Some(2), Some(4))
        );
        assert_eq!(receiver.recv().await, None);
    }

    #[tokio::test]
    async fn a_sender_waits_for_a_place_and_a_receiver_for_a_message() {
        let (sender, mut receiver) = queue(1);
        let sending = tokio::spawn(async move {
            for number in 0..1000 {
                sender.send(number).await.unwrap();
            }
        });
        for number in 0..1000 {
            assert_eq!(receiver.recv().await, Some(number));
        }
        assert_eq!(receiver.recv().await, None);
        sending.await.unwrap();
    }

    #[tokio::test]
    async fn a_sender_that_waits_hears_that_nobody_receives_any_more() {
        let (sender, receiver) = queue(1);
        sender.try_send(1).unwrap();
        let waiting = tokio::spawn(async move { sender.send(2).await });
        tokio::task::yield_now().await;
        drop(receiver);
        assert_eq!(waiting.await.unwrap(), Err(SendError(2)));
    }

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_receiver_of_the_same_task_is_not_woken_and_another_is() {
        let (sender, mut receiver) = queue(4);
        let (here, there) = (Arc::new(Bell::default()), Arc::new(Bell::default()));
        let rung = |bell: &Bell| bell.0.load(Ordering::Relaxed);
        let (one, other) = (Waker::from(here.clone()), Waker::from(there.clone()));
        let (mut one, mut other) = (Context::from_waker(&one), Context::from_waker(&other));

        assert!(pin!(receiver.recv()).poll(&mut one).is_pending());
        assert!(pin!(sender.send_ahead(1)).poll(&mut one).is_ready());
        assert_eq!(rung(&here), 0, "it is polled anyway");
        assert_eq!(pin!(receiver.recv()).poll(&mut one), Poll::Ready(Some(1)));

        assert!(pin!(receiver.recv()).poll(&mut other).is_pending());
        assert!(pin!(sender.send_ahead(2)).poll(&mut one).is_ready());
        assert_eq!((rung(&here), rung(&there)), (0, 1));
        assert_eq!(pin!(receiver.recv()).poll(&mut other), Poll::Ready(Some(2)));

        assert!(pin!(receiver.recv()).poll(&mut one).is_pending());
        assert!(pin!(sender.send(3)).poll(&mut one).is_ready());
        assert_eq!(rung(&here), 1, "an ordinary message wakes it");
    }

    #[tokio::test]
    async fn a_burst_leaves_no_memory_behind() {
        let (sender, mut receiver) = queue(1000);
        for number in 0..1000 {
            sender.try_send(number).unwrap();
        }
        for _ in 0..1000 {
            receiver.recv().await;
        }
        assert!(receiver.0.lock().messages.capacity() <= KEPT);
    }
}
