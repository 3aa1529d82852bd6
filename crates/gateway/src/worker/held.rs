//! A job while a worker holds it: what it is told, what is answered, signs of life, and how it ends.
//! Used by each place of a worker, one job after the other.
//! Never answers again what may have been stored: a job whose answer was lost on the way is left to another worker.

use std::sync::PoisonError;
use std::time::Duration;

use providers::{Kind, Pipeline, ProviderError};
use store::live::WorkKind;
use store::live::work::Message;
use store::live::work::claim::{Claim, Claimer, Hold, Last, Told};
use tokio::sync::mpsc;

use super::{AGAIN_AFTER, Bench, Shop, TAKE_OVERS, llm, stt, tts};
use crate::observe::WorkOutcome;
use crate::remote::{WINDOW, codec};

/// Messages read ahead of what the provider has taken.
const AHEAD: usize = 256;
/// Signs of life while a silent worker is still believed to live.
const BEATS: u32 = 4;
/// Between two attempts to answer a gateway that has not read yet.
const ROOM_AFTER: Duration = Duration::from_millis(20);

/// Why a job ends here.
#[derive(Debug)]
pub(super) enum Ended {
    /// Its last answer was given.
    Done,
    /// Nobody wants it any more, or somebody else has it.
    Dropped,
    /// It could not be done; another try may help.
    Failed(ProviderError),
    /// Redis is away: nobody knows what was stored.
    Away,
}

/// A job, and what its gateway can take.
pub(super) struct Held<'a> {
    claimer: &'a Claimer,
    pub(super) claim: &'a Claim,
    /// Answers that were given, by all tries.
    answered: u64,
    /// Answers that may be given until the gateway makes room.
    room: u64,
    take_overs: mpsc::Receiver<(String, String)>,
}

impl Held<'_> {
    /// Does a job to its end.
    pub(super) async fn work(
        shop: &Shop,
        claimer: &mut Claimer,
        claim: Claim,
        bench: &Bench,
        pipeline: &Pipeline,
    ) {
        let kind = bench.queue.kind();
        if let Some(former) = &claim.former {
            shop.metrics.work().taken_over(kind);
            tracing::warn!(
                job = claim.job,
                session = claim.headers.session,
                former,
                attempt = claim.attempt,
                "another try at a job"
            );
        }
        let (told_tx, mut told) = mpsc::channel(AHEAD);
        let reader = shop.lifecycle.spawn(read(claimer.told(&claim), told_tx));
        let session = (claim.headers.session.clone(), kind);
        let (take_over, take_overs) = mpsc::channel(TAKE_OVERS);
        shop.degraded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(session.clone(), take_over.clone());
        let beat_every = Duration::from_millis(bench.queue.limits().takeover_ms) / BEATS;
        let mut held = Held {
            claimer,
            claim: &claim,
            answered: claim.answered,
            room: WINDOW,
            take_overs,
        };
        let ended = tokio::select! {
            biased;
            () = shop.lifecycle.hard().cancelled() => {
                let message = "the worker was stopped";
                Ended::Failed(ProviderError::new("workers", Kind::Unavailable, message))
            }
            ended = beating(claimer, &claim, beat_every) => ended,
            ended = async {
                match kind {
                    WorkKind::Stt => stt::run(&mut held, &mut told, pipeline).await,
                    WorkKind::Tts => tts::run(&mut held, &mut told, pipeline).await,
                    WorkKind::Llm => llm::run(&mut held, &mut told, pipeline).await,
                }
            } => ended,
        };
        drop(held);
        drop(told);
        {
            let mut sessions = shop.degraded.lock().unwrap_or_else(PoisonError::into_inner);
            // the session's next job may have taken the place already
            if sessions
                .get(&session)
                .is_some_and(|it| it.same_channel(&take_over))
            {
                sessions.remove(&session);
            }
        }
        let outcome = settle(claimer, &claim, &ended).await;
        shop.metrics.work().ended(kind, outcome);
        // what ends a job ends its reader
        if let Ok(told) = reader.await {
            claimer.back(told);
        }
    }

    /// Answers, waiting for the gateway to read what was answered before.
    pub(super) async fn answer(
        &mut self,
        messages: &[Message],
        progress: &[u8],
        last: Last,
    ) -> Result<(), Ended> {
        let mut all = Vec::with_capacity(messages.len() + 1);
        while let Ok((from, to)) = self.take_overs.try_recv() {
            all.push(codec::degraded_message(&from, &to));
        }
        all.extend_from_slice(messages);
        loop {
            let answered = self.claimer.answer(self.claim, &all, progress, last).await;
            match answered {
                Ok(Hold::Held) => {
                    self.answered += all.len() as u64;
                    return Ok(());
                }
                Ok(Hold::NoRoom) => tokio::time::sleep(ROOM_AFTER).await,
                Ok(Hold::Lost | Hold::Unheard) => return Err(Ended::Dropped),
                Err(_) => return Err(Ended::Away),
            }
        }
    }

    /// Takes note of a message that is the same for all kinds of work; whether the job goes on.
    pub(super) fn heard(&mut self, message: &Message) -> Result<(), Ended> {
        match message.kind.as_str() {
            Message::CANCEL => Err(Ended::Dropped),
            codec::MORE => {
                self.room += crate::remote::MORE_EVERY;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether the gateway can take more.
    pub(super) fn has_room(&self) -> bool {
        self.answered < self.room
    }

    /// Ends the job because of `error`: another worker may do better, unless the request itself is at fault.
    pub(super) async fn fail(&mut self, error: ProviderError) -> Ended {
        match error.kind {
            Kind::Unavailable | Kind::Overloaded | Kind::Protocol | Kind::Timeout => {
                Ended::Failed(error)
            }
            Kind::RateLimited | Kind::Unauthorized | Kind::Rejected => self.give_up(&error).await,
        }
    }

    /// Ends the job because of `error`, which no other worker could help.
    pub(super) async fn give_up(&mut self, error: &ProviderError) -> Ended {
        match self.answer(&[codec::failed(error)], b"", Last::Yes).await {
            Ok(()) => Ended::Done,
            Err(ended) => ended,
        }
    }
}

/// Reads what the job is told until nobody wants it any more or the job has ended.
async fn read(mut told: Told, tell: mpsc::Sender<Message>) -> Told {
    loop {
        match told.next().await {
            Ok(None) => return told,
            Ok(Some(messages)) => {
                for message in messages {
                    if tell.send(message).await.is_err() {
                        break;
                    }
                }
            }
            Err(_) => tokio::time::sleep(AGAIN_AFTER).await,
        }
        if tell.is_closed() {
            return told;
        }
    }
}

/// Gives signs of life until the job is not ours any more. A Redis that is away for a moment may still find it so.
async fn beating(claimer: &Claimer, claim: &Claim, every: Duration) -> Ended {
    loop {
        tokio::time::sleep(every).await;
        if let Ok(Hold::Lost | Hold::Unheard) = claimer.beat(claim).await {
            return Ended::Dropped;
        }
    }
}

async fn settle(claimer: &Claimer, claim: &Claim, ended: &Ended) -> WorkOutcome {
    match ended {
        Ended::Done => WorkOutcome::Done,
        Ended::Away => WorkOutcome::Lost,
        Ended::Dropped => {
            // if it was cancelled, this is what forgets it
            let _ = claimer.beat(claim).await;
            WorkOutcome::Dropped
        }
        Ended::Failed(error) => {
            let dead = claimer.release(claim, &error.to_string()).await;
            tracing::warn!(
                job = claim.job,
                session = claim.headers.session,
                attempt = claim.attempt,
                code = error.code(),
                message = error.message,
                "a job could not be done"
            );
            match dead {
                Ok(true) => WorkOutcome::DeadLetter,
                _ => WorkOutcome::Retried,
            }
        }
    }
}
