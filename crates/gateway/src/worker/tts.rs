//! A reply to speak, for a gateway.
//! Run by a place of a worker.
//! Never says a sample twice: a try goes on where the one before it was heard to stop.

use std::collections::VecDeque;
use std::sync::Arc;

use engine::ask::SpeakOptions;
use providers::ports::{Piece, TtsEvent};
use providers::{Kind, Pipeline, ProviderError};
use serde::{Deserialize, Serialize};
use store::live::work::Message;
use store::live::work::claim::Last;
use tokio::sync::mpsc;

use super::held::{Ended, Held};
use crate::remote::codec;

/// Events answered in one step: with more, the first of them would wait.
const AT_ONCE: usize = 8;

/// How far a reply is, as the gateway has heard it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    /// Pieces before this one were spoken whole.
    piece: u32,
    /// Samples of that piece that were heard, and their rate in Hz.
    samples: u64,
    rate_hz: u32,
}

impl Progress {
    /// Takes note of an event; what of it is new, given that the piece was heard up to `heard`.
    fn note(&mut self, event: TtsEvent, skip: &mut Skip) -> Option<TtsEvent> {
        match event {
            TtsEvent::Audio {
                index,
                rate_hz,
                samples,
            } => {
                let samples = skip.cut(index, rate_hz, samples)?;
                if self.rate_hz != rate_hz {
                    // another voice took over in the middle: count in its samples
                    self.samples = scaled(self.samples, self.rate_hz, rate_hz);
                    self.rate_hz = rate_hz;
                }
                self.samples += samples.len() as u64;
                Some(TtsEvent::Audio {
                    index,
                    rate_hz,
                    samples,
                })
            }
            TtsEvent::PieceDone { index } => {
                *self = Self {
                    piece: index + 1,
                    ..Self::default()
                };
                Some(TtsEvent::PieceDone { index })
            }
            TtsEvent::Another(_) | TtsEvent::Failed(_) => Some(event),
        }
    }
}

/// What of a piece the gateway has from the try before.
struct Skip {
    heard: Progress,
    /// Samples of it that this try has produced.
    produced: u64,
}

impl Skip {
    /// The part of `samples` that nobody has heard.
    fn cut(&mut self, index: u32, rate_hz: u32, samples: Arc<[i16]>) -> Option<Arc<[i16]>> {
        if index != self.heard.piece {
            return Some(samples);
        }
        let heard = scaled(self.heard.samples, self.heard.rate_hz, rate_hz);
        let known = heard
            .saturating_sub(self.produced)
            .min(samples.len() as u64);
        self.produced += samples.len() as u64;
        let new = &samples[known as usize..];
        match (known, new.is_empty()) {
            (0, _) => Some(samples),
            (_, true) => None,
            (_, false) => Some(new.into()),
        }
    }
}

/// A number of samples at another rate.
fn scaled(samples: u64, from_hz: u32, to_hz: u32) -> u64 {
    if from_hz == 0 {
        return samples;
    }
    samples * u64::from(to_hz) / u64::from(from_hz)
}

pub(super) async fn run(
    held: &mut Held<'_>,
    told: &mut mpsc::Receiver<Message>,
    pipeline: &Pipeline,
) -> Ended {
    match speak(held, told, pipeline).await {
        Ok(()) => Ended::Done,
        Err(ended) => ended,
    }
}

async fn speak(
    held: &mut Held<'_>,
    told: &mut mpsc::Receiver<Message>,
    pipeline: &Pipeline,
) -> Result<(), Ended> {
    let Ok(options) = serde_json::from_slice::<SpeakOptions>(&held.claim.request) else {
        return Err(held.give_up(&unreadable()).await);
    };
    let mut progress: Progress = serde_json::from_slice(&held.claim.progress).unwrap_or_default();
    let mut skip = Skip {
        heard: progress,
        produced: 0,
    };
    let mut stream = match pipeline.tts.open(options).await {
        Ok(stream) => stream,
        Err(error) => return Err(held.fail(error).await),
    };
    let mut pieces = Some(stream.pieces);
    let mut waiting: VecDeque<Piece> = VecDeque::new();
    let mut ended = false;
    let mut events = Vec::with_capacity(AT_ONCE);
    loop {
        if ended && waiting.is_empty() {
            pieces = None;
        }
        tokio::select! {
            biased;
            message = told.recv() => match message {
                // the job is not ours any more, or what it was told is not whole: without signs of life another takes it
                None => return Err(Ended::Dropped),
                Some(message) => {
                    held.heard(&message)?;
                    ended |= message.kind == codec::END;
                    waiting.extend(codec::piece(&message).filter(|it| it.index >= progress.piece));
                }
            },
            () = offer(pieces.as_ref(), &mut waiting), if pieces.is_some() && !waiting.is_empty() => {}
            count = stream.events.recv_many(&mut events, AT_ONCE), if held.has_room() => {
                if count == 0 {
                    let all = [Message::new(codec::END, Vec::new())];
                    return held.answer(&all, b"", Last::Yes).await;
                }
                let mut failure = None;
                let mut answers = Vec::with_capacity(count);
                for event in events.drain(..) {
                    if let TtsEvent::Failed(error) = event {
                        failure = Some(error);
                        break;
                    }
                    answers.extend(progress.note(event, &mut skip).map(|it| codec::tts_answer(&it)));
                }
                if !answers.is_empty() {
                    held.answer(&answers, &codec::json(&progress), Last::No).await?;
                }
                if let Some(error) = failure {
                    return Err(held.fail(error).await);
                }
            }
        }
    }
}

/// Hands the voice its next piece when it has room.
async fn offer(pieces: Option<&mpsc::Sender<Piece>>, waiting: &mut VecDeque<Piece>) {
    let Some(pieces) = pieces else { return };
    match pieces.reserve().await {
        Ok(place) => {
            if let Some(piece) = waiting.pop_front() {
                place.send(piece);
            }
        }
        // what it still says is all there will be
        Err(_) => waiting.clear(),
    }
}

/// What was asked is of another version.
pub(super) fn unreadable() -> ProviderError {
    let message = "the worker cannot read what was asked; see that it has the gateway's version";
    ProviderError::new("workers", Kind::Protocol, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audio(index: u32, rate_hz: u32, range: std::ops::Range<i16>) -> TtsEvent {
        TtsEvent::Audio {
            index,
            rate_hz,
            samples: range.collect(),
        }
    }

    #[test]
    fn a_second_try_goes_on_at_the_sample() {
        let mut progress = Progress::default();
        let mut skip = Skip {
            heard: progress,
            produced: 0,
        };
        for event in [
            audio(0, 100, 0..10),
            TtsEvent::PieceDone { index: 0 },
            audio(1, 100, 0..10),
            audio(1, 100, 10..15),
        ] {
            assert_eq!(progress.note(event.clone(), &mut skip), Some(event));
        }
        let (piece, samples, rate_hz) = (1, 15, 100);
        assert_eq!(
            progress,
            Progress {
                piece,
                samples,
                rate_hz
            }
        );
        // the next try says piece 1 from its beginning, in other slices
        let mut skip = Skip {
            heard: progress,
            produced: 0,
        };
        assert_eq!(progress.note(audio(1, 100, 0..12), &mut skip), None);
        assert_eq!(
            progress.note(audio(1, 100, 12..20), &mut skip),
            Some(audio(1, 100, 15..20))
        );
        assert_eq!(progress.samples, 20);
        let next = audio(1, 100, 20..30);
        assert_eq!(progress.note(next.clone(), &mut skip), Some(next));
        let next = audio(2, 100, 0..3);
        assert_eq!(
            progress.note(TtsEvent::PieceDone { index: 1 }, &mut skip),
            Some(TtsEvent::PieceDone { index: 1 })
        );
        assert_eq!(progress.note(next.clone(), &mut skip), Some(next));
    }

    #[test]
    fn another_voice_goes_on_at_the_same_time() {
        let mut progress = Progress {
            piece: 0,
            samples: 50,
            rate_hz: 100,
        };
        let mut skip = Skip {
            heard: progress,
            produced: 0,
        };
        assert_eq!(
            progress.note(audio(0, 200, 0..120), &mut skip),
            Some(audio(0, 200, 100..120))
        );
        assert_eq!((progress.samples, progress.rate_hz), (120, 200));
    }
}
