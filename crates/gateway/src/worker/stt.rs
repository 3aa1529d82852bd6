//! An utterance to transcribe, for a gateway.
//! Run by a place of a worker.
//! Never tells the same guess twice, and never leaves out any sound: a second try hears the utterance from its beginning.

use std::collections::VecDeque;
use std::time::Duration;

use engine::ask::SttOptions;
use providers::Pipeline;
use providers::ports::{SttCommand, SttEvent};
use serde::{Deserialize, Serialize};
use store::live::work::Message;
use store::live::work::claim::Last;
use tokio::sync::mpsc;

use super::held::{Ended, Held};
use super::tts::unreadable;
use crate::remote::codec;

/// What was told before a second try comes without a gap of this length.
const GAP: Duration = Duration::from_millis(50);

/// What the gateway knows of the utterance.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Progress {
    partial: Option<String>,
    probability: Option<f32>,
}

impl Progress {
    /// Takes note of what is answered; whether it is news.
    fn is_news(&mut self, event: &SttEvent) -> bool {
        match event {
            SttEvent::Partial { text } => {
                let news = self.partial.as_ref() != Some(text);
                if news {
                    self.partial = Some(text.clone());
                    self.probability = None;
                }
                news
            }
            SttEvent::EndOfTurn { probability } => {
                let news = self.probability != Some(*probability);
                self.probability = Some(*probability);
                news
            }
            SttEvent::Final { .. } | SttEvent::Failed(_) => true,
        }
    }

    /// The caller went on, so that the next pause is a new one even if its words are the same.
    fn go_on(&mut self) {
        *self = Self::default();
    }
}

/// Leaves out pauses after which the caller went on: nobody waits for what was guessed there.
fn without_old_pauses(commands: Vec<SttCommand>) -> VecDeque<SttCommand> {
    let mut kept: VecDeque<SttCommand> = VecDeque::new();
    for command in commands {
        let resumes = matches!(command, SttCommand::Resume);
        if resumes && let Some(at) = kept.iter().rposition(|it| matches!(it, SttCommand::Pause)) {
            kept.remove(at);
        } else {
            kept.push_back(command);
        }
    }
    kept
}

pub(super) async fn run(
    held: &mut Held<'_>,
    told: &mut mpsc::Receiver<Message>,
    pipeline: &Pipeline,
) -> Ended {
    match hear(held, told, pipeline).await {
        Ok(()) => Ended::Done,
        Err(ended) => ended,
    }
}

async fn hear(
    held: &mut Held<'_>,
    told: &mut mpsc::Receiver<Message>,
    pipeline: &Pipeline,
) -> Result<(), Ended> {
    let Ok(options) = serde_json::from_slice::<SttOptions>(&held.claim.request) else {
        return Err(held.give_up(&unreadable()).await);
    };
    let mut progress: Progress = serde_json::from_slice(&held.claim.progress).unwrap_or_default();
    let mut waiting = VecDeque::new();
    if held.claim.attempt > 1 {
        waiting = heard_before(held, told).await?;
    }
    let mut stream = match pipeline.stt.open(options).await {
        Ok(stream) => stream,
        Err(error) => return Err(held.fail(error).await),
    };
    loop {
        tokio::select! {
            biased;
            message = told.recv() => match message {
                // the job is not ours any more, or what it was told is not whole: without signs of life another takes it
                None => return Err(Ended::Dropped),
                Some(message) => {
                    held.heard(&message)?;
                    waiting.extend(codec::stt_command(&message));
                }
            },
            // a provider that takes nothing more says why
            gone = offer(&stream.commands, &mut waiting, &mut progress), if !waiting.is_empty() => {
                if gone {
                    waiting.clear();
                }
            }
            event = stream.events.recv() => match event {
                None => return Err(held.fail(providers::ProviderError::new(
                    "workers",
                    providers::Kind::Protocol,
                    "the stream ended before the transcript came",
                )).await),
                Some(SttEvent::Failed(error)) => return Err(held.fail(error).await),
                Some(event) if progress.is_news(&event) => {
                    let done = matches!(event, SttEvent::Final { .. });
                    let last = if done { Last::Yes } else { Last::No };
                    let answer = codec::stt_answer(&event);
                    held.answer(&[answer], &codec::json(&progress), last).await?;
                    if done {
                        return Ok(());
                    }
                }
                Some(_) => {}
            }
        }
    }
}

/// What was told before this try, without what is out of date.
async fn heard_before(
    held: &mut Held<'_>,
    told: &mut mpsc::Receiver<Message>,
) -> Result<VecDeque<SttCommand>, Ended> {
    let mut commands = Vec::new();
    while let Ok(Some(message)) = tokio::time::timeout(GAP, told.recv()).await {
        held.heard(&message)?;
        commands.extend(codec::stt_command(&message));
    }
    Ok(without_old_pauses(commands))
}

/// Hands the provider its next command when it has room; whether it takes no more.
async fn offer(
    commands: &mpsc::Sender<SttCommand>,
    waiting: &mut VecDeque<SttCommand>,
    progress: &mut Progress,
) -> bool {
    let Ok(place) = commands.reserve().await else {
        return true;
    };
    if let Some(command) = waiting.pop_front() {
        if matches!(command, SttCommand::Resume) {
            progress.go_on();
        }
        place.send(command);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_try_hears_all_sound_and_only_the_last_pause() {
        let sound = |sample: i16| SttCommand::Audio([sample].into());
        let heard = without_old_pauses(vec![
            sound(1),
            SttCommand::Pause,
            sound(2),
            SttCommand::Resume,
            sound(3),
            SttCommand::Pause,
        ]);
        let names: Vec<String> = heard.iter().map(|it| format!("{it:?}")).collect();
        assert_eq!(names, ["Audio([1])", "Audio([2])", "Audio([3])", "Pause"]);
    }

    #[test]
    fn a_guess_is_told_once() {
        let partial = |text: &str| SttEvent::Partial { text: text.into() };
        let turn = SttEvent::EndOfTurn { probability: 0.5 };
        let mut known = Progress::default();
        assert!(known.is_news(&partial("hello")) && known.is_news(&turn));
        // the worker dies; the next one comes to the same
        let mut known: Progress = serde_json::from_slice(&codec::json(&known)).unwrap();
        assert!(!known.is_news(&partial("hello")) && !known.is_news(&turn));
        assert!(known.is_news(&partial("hello there")) && known.is_news(&turn));
        known.go_on();
        assert!(known.is_news(&partial("hello there")) && known.is_news(&turn));
    }
}
