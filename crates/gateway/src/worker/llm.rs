//! A question to a language model, for a gateway.
//! Run by a place of a worker.
//! Never asks again for an answer whose beginning the gateway has: that is told as a failure, and who asked decides.

use engine::ask::LlmRequest;
use providers::ports::LlmEvent;
use providers::{Kind, Pipeline, ProviderError};
use store::live::work::Message;
use store::live::work::claim::Last;
use tokio::sync::mpsc;

use super::held::{Ended, Held};
use super::tts::unreadable;
use crate::remote::codec;

/// Events answered in one step: with more, the first of them would wait.
const AT_ONCE: usize = 16;

pub(super) async fn run(
    held: &mut Held<'_>,
    told: &mut mpsc::Receiver<Message>,
    pipeline: &Pipeline,
) -> Ended {
    match answer(held, told, pipeline).await {
        Ok(()) => Ended::Done,
        Err(ended) => ended,
    }
}

async fn answer(
    held: &mut Held<'_>,
    told: &mut mpsc::Receiver<Message>,
    pipeline: &Pipeline,
) -> Result<(), Ended> {
    if !held.claim.progress.is_empty() {
        let message = "the worker that answered has gone";
        let error = ProviderError::new("workers", Kind::Unavailable, message);
        return Err(held.give_up(&error).await);
    }
    let Ok(request) = serde_json::from_slice::<LlmRequest>(&held.claim.request) else {
        return Err(held.give_up(&unreadable()).await);
    };
    let mut stream = match pipeline.llm.ask(request).await {
        Ok(stream) => stream,
        Err(error) => return Err(held.fail(error).await),
    };
    let mut begun = false;
    let mut events = Vec::with_capacity(AT_ONCE);
    loop {
        tokio::select! {
            biased;
            message = told.recv() => match message {
                // the job is not ours any more, or what it was told is not whole: without signs of life another takes it
                None => return Err(Ended::Dropped),
                Some(message) => held.heard(&message)?,
            },
            count = stream.events.recv_many(&mut events, AT_ONCE), if held.has_room() => {
                let done = matches!(events.last(), Some(LlmEvent::Done { .. }));
                let failure = match events.pop_if(|it| matches!(it, LlmEvent::Failed(_))) {
                    Some(LlmEvent::Failed(error)) => Some(error),
                    _ if count == 0 => {
                        let message = "the stream ended before the answer did";
                        Some(ProviderError::new("workers", Kind::Protocol, message))
                    }
                    _ => None,
                };
                begun |= !events.is_empty();
                let answers: Vec<_> = events.drain(..).map(|it| codec::llm_answer(&it)).collect();
                let last = if done { Last::Yes } else { Last::No };
                if !answers.is_empty() {
                    held.answer(&answers, b"begun", last).await?;
                }
                match failure {
                    Some(error) if begun => return Err(held.give_up(&error).await),
                    Some(error) => return Err(held.fail(error).await),
                    None if done => return Ok(()),
                    None => {}
                }
            }
        }
    }
}
