//! One answer on its way to the app: its words, its sound in stretches, how long everything took.
//! Used by the writer of a connection.
//! Never sends sound of which it cannot say whether it was heard: the clock of what is being played is kept here.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use wire::realtime::Response;
use wire::realtime::response::ResponseStatus;
use wire::voice::{AudioMessages, Metrics, ServerMessage, Status, code};

use super::super::book::Line;
use super::super::refusal::Refusal;
use super::super::speech::{Packing, lasts_ms};
use super::{Broken, Cut, Writer};
use crate::observe::Outcome;
use crate::quota::purse::{BUDGET_EXCEEDED, Standing};

/// Longest stretch of speech in one message, in ms: what a model says that gives no sentences comes in such.
const STRETCH_MS: u64 = 2000;

/// An answer.
pub(in super::super) struct Reply {
    id: String,
    begun_at: Instant,
    /// When the caller had stopped speaking, once that is known.
    pub(in super::super) asked_at: Option<Instant>,
    first_word_at: Option<Instant>,
    text: String,
    /// Words of stretches without sound, for the next.
    pending: String,
    /// Samples of the stretch that is being spoken.
    samples: Vec<u8>,
    index: u64,
}

impl Reply {
    pub(super) fn new(id: &str, now: Instant) -> Self {
        Self {
            id: id.to_owned(),
            begun_at: now,
            asked_at: None,
            first_word_at: None,
            text: String::new(),
            pending: String::new(),
            samples: Vec::new(),
            index: 0,
        }
    }

    fn since_asked_ms(&self, now: Instant) -> u64 {
        let from = self.asked_at.unwrap_or(self.begun_at);
        ms(now, from)
    }
}

fn ms(now: Instant, from: Instant) -> u64 {
    now.saturating_duration_since(from).as_millis() as u64
}

/// What was told so far: how long it took, and what of it is still being played.
#[derive(Debug, Default)]
pub(in super::super) struct Told {
    turns: u64,
    llm_ms: u64,
    tts_ms: u64,
    total_ms: u64,
    /// The item that is being played, since when, and how much of it there is, in ms.
    playing: Option<(String, Instant, u64)>,
}

impl Told {
    /// Sound of `item` goes out.
    fn play(&mut self, item: String, lasts_ms: u64, now: Instant) {
        if let Some((playing, since, all_ms)) = &mut self.playing
            && *playing == item
        {
            // an app that ran out of sound stood still until now
            let behind = ms(now, *since).saturating_sub(*all_ms);
            *since += std::time::Duration::from_millis(behind);
            *all_ms += lasts_ms;
            return;
        }
        self.playing = Some((item, now, lasts_ms));
    }

    /// The item that is being played, and how much of it was heard, in ms.
    pub(super) fn heard(&self, now: Instant) -> Option<(String, u64)> {
        let (item, since, all_ms) = self.playing.as_ref()?;
        let heard_ms = ms(now, *since);
        (heard_ms < *all_ms).then(|| (item.clone(), heard_ms))
    }

    /// Nothing is played any more.
    pub(super) fn silence(&mut self) {
        self.playing = None;
    }

    /// The means over all turns that were heard.
    pub(in super::super) fn metrics(&self, stt_ms: u64) -> Metrics {
        let mean = |sum: u64| sum.checked_div(self.turns).unwrap_or_default();
        Metrics {
            stt_duration: stt_ms,
            llm_latency: mean(self.llm_ms),
            tts_latency: mean(self.tts_ms),
            total_latency: mean(self.total_ms),
        }
    }
}

impl Writer {
    pub(super) async fn words(&mut self, delta: String) -> Result<(), Broken> {
        let now = self.pen.clock.now();
        let Some(reply) = &mut self.pen.reply else {
            return Ok(());
        };
        reply.first_word_at.get_or_insert(now);
        reply.text.push_str(&delta);
        let chunk = ServerMessage::AiResponseChunk {
            text: delta,
            full_text: reply.text.clone(),
        };
        self.say(&chunk).await
    }

    pub(super) async fn sound(&mut self, item: String, samples: &[u8]) -> Result<(), Broken> {
        let now = self.pen.clock.now();
        let Some(reply) = &mut self.pen.reply else {
            return Ok(());
        };
        reply.samples.extend_from_slice(samples);
        let waiting_ms = lasts_ms(reply.samples.len());
        self.pen.told.play(item, lasts_ms(samples.len()), now);
        // bare samples need no whole sentence, and a model that speaks by itself tells of none
        let by_time = self.pen.cut == Cut::Time && waiting_ms >= STRETCH_MS;
        if self.pen.packing == Packing::Pcm || by_time {
            self.stretch(String::new()).await?;
        }
        Ok(())
    }

    /// A sentence was spoken whole.
    pub(super) async fn piece(&mut self, text: String) -> Result<(), Broken> {
        let Some(reply) = &mut self.pen.reply else {
            return Ok(());
        };
        reply.pending.push_str(&text);
        if reply.samples.is_empty() {
            return Ok(());
        }
        let text = std::mem::take(&mut reply.pending);
        self.stretch(text.trim().to_owned()).await
    }

    /// Sends the sound that waits.
    async fn stretch(&mut self, text: String) -> Result<(), Broken> {
        let now = self.pen.clock.now();
        let Some(reply) = &mut self.pen.reply else {
            return Ok(());
        };
        let samples = std::mem::take(&mut reply.samples);
        let (index, latency) = (reply.index, reply.since_asked_ms(now));
        let first = index == 0;
        reply.index += 1;
        let (asked_at, word_at) = (reply.asked_at, reply.first_word_at);
        if first {
            self.show(Status::Speaking).await?;
        }
        let packed = self.pen.packing.pack(samples).await;
        let audio = STANDARD.encode(&packed.bytes);
        let format = packed.packing.name();
        let sentence_index = self.pen.sentences;
        self.pen.sentences += 1;
        let wanted = self.pen.messages;
        if wanted != AudioMessages::AudioChunk {
            let message = ServerMessage::TtsAudio {
                audio: audio.clone(),
                text,
                index,
                latency,
                format,
            };
            self.say(&message).await?;
        }
        if wanted != AudioMessages::TtsAudio {
            let message = ServerMessage::AudioChunk {
                audio,
                sentence_index,
                format,
            };
            self.say(&message).await?;
        }
        if first && let Some(asked_at) = asked_at {
            self.note_heard(asked_at);
            let word_at = word_at.unwrap_or(now);
            let told = &mut self.pen.told;
            told.turns += 1;
            told.total_ms += latency;
            told.llm_ms += ms(word_at, asked_at);
            told.tts_ms += ms(now, word_at);
        }
        Ok(())
    }

    /// The answer is over.
    pub(super) async fn replied(&mut self, response: &Response) -> Result<Option<Outcome>, Broken> {
        let Some(mut reply) = self.pen.reply.take_if(|reply| reply.id == response.id) else {
            return Ok(None);
        };
        let now = self.pen.clock.now();
        let latency = reply.since_asked_ms(now);
        let text = std::mem::take(&mut reply.text);
        if !text.trim().is_empty() {
            self.pen.book.write(Line::assistant(text.clone()));
        }
        let metrics = self.pen.told.metrics(0);
        self.pen.book.turn(metrics);
        if let Some(error) = failure(response) {
            if error.0 == BUDGET_EXCEEDED {
                let dollars = self.pen.purse.spent().dollars();
                self.refuse(Refusal::budget(error.1, dollars)).await?;
                return Ok(Some(Outcome::Expired));
            }
            let sentence = format!("AI error: {}", error.1);
            self.failed(code::LLM_ERROR, sentence).await?;
        }
        if self.pen.purse.standing() == Standing::Near {
            self.warn().await?;
        }
        let complete = ServerMessage::AiResponseComplete {
            text,
            latency,
            interrupted: response.status == ResponseStatus::Cancelled,
        };
        self.say(&complete).await?;
        if self.pen.purse.standing() == Standing::UsedUp {
            return self.used_up().await.map(Some);
        }
        if self.pen.status != Status::Transcribing {
            self.show(Status::Listening).await?;
        }
        Ok(None)
    }
}

/// Code and sentence of an answer that failed.
fn failure(response: &Response) -> Option<(&str, &str)> {
    if response.status != ResponseStatus::Failed {
        return None;
    }
    let error = response.status_details.as_ref()?.error.as_ref()?;
    Some((&error.code, &error.message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use std::time::Duration;

    #[test]
    fn what_was_heard_follows_the_clock_of_the_player() {
        let at = |from: Instant, ms: u64| from + Duration::from_millis(ms);
        let begun = Clock::default().now();
        let mut told = Told::default();
        assert_eq!(told.heard(begun), None);
        told.play("item_1".to_owned(), 1000, begun);
        told.play("item_1".to_owned(), 1000, at(begun, 100));
        assert_eq!(
            told.heard(at(begun, 1500)),
            Some(("item_1".to_owned(), 1500))
        );
        assert_eq!(told.heard(at(begun, 2500)), None);
        // the player stood still for a second
        told.play("item_1".to_owned(), 500, at(begun, 3000));
        assert_eq!(
            told.heard(at(begun, 3100)),
            Some(("item_1".to_owned(), 2100))
        );
        told.silence();
        assert_eq!(told.heard(at(begun, 3100)), None);
    }

    #[test]
    fn means_are_over_the_turns_that_were_heard() {
        let told = Told {
            turns: 2,
            llm_ms: 300,
            tts_ms: 100,
            total_ms: 400,
            playing: None,
        };
        let metrics = told.metrics(5000);
        assert_eq!((metrics.llm_latency, metrics.tts_latency), (150, 50));
        assert_eq!((metrics.total_latency, metrics.stt_duration), (200, 5000));
        assert_eq!(Told::default().metrics(0), Metrics::default());
    }
}
