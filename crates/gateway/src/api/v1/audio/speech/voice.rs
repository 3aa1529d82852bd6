//! A text being spoken: pieces in, 24 kHz samples out.
//! Used by `create`; dropping it stops the synthesis.
//! Never runs ahead of its reader by more than the provider's own buffer.

use std::collections::VecDeque;

use engine::ask::SpeakOptions;
use engine::audio::{Resampler, SampleRate};
use engine::speech::{CutRules, Cutter, spoken};
use providers::ports::{Piece, Tts, TtsEvent, TtsStream};
use providers::{Kind, ProviderError};
use tokio::sync::mpsc;

/// Rate of everything the speech route sends (spec/realtime §3.2).
pub(super) const RATE: SampleRate = SampleRate::HZ_24K;

/// A text being spoken.
pub(super) struct Voice {
    provider: String,
    waiting: VecDeque<Piece>,
    pieces: Option<mpsc::Sender<Piece>>,
    events: mpsc::Receiver<TtsEvent>,
    resampler: Option<Resampler>,
    last: Option<u32>,
}

impl Voice {
    /// Begins to speak `text`.
    ///
    /// # Errors
    /// Those of the provider.
    pub(super) async fn start(
        tts: &dyn Tts,
        text: &str,
        options: SpeakOptions,
    ) -> Result<Self, ProviderError> {
        let waiting = cut(text);
        let TtsStream { pieces, events } = tts.open(options).await?;
        Ok(Self {
            provider: tts.name().to_owned(),
            last: waiting.back().map(|piece| piece.index),
            pieces: (!waiting.is_empty()).then_some(pieces),
            waiting,
            events,
            resampler: None,
        })
    }

    /// The next samples; `None` when all was said.
    pub(super) async fn next(&mut self) -> Option<Result<Vec<i16>, ProviderError>> {
        self.last?;
        loop {
            tokio::select! {
                biased;
                event = self.events.recv() => match event {
                    Some(TtsEvent::Audio { rate_hz, samples, .. }) => {
                        let samples = self.resample(rate_hz, &samples);
                        if !matches!(&samples, Ok(samples) if samples.is_empty()) {
                            return Some(samples);
                        }
                    }
                    Some(TtsEvent::PieceDone { index }) if Some(index) == self.last => {
                        return self.finish();
                    }
                    Some(TtsEvent::PieceDone { .. } | TtsEvent::Another(_)) => {}
                    Some(TtsEvent::Failed(error)) => return self.fail(error),
                    None => return self.fail(self.broke("the stream ended before the last piece")),
                },
                () = hand_over(&mut self.pieces, &mut self.waiting), if self.pieces.is_some() => {}
            }
        }
    }

    fn finish(&mut self) -> Option<Result<Vec<i16>, ProviderError>> {
        self.last = None;
        let mut rest = Vec::new();
        self.resampler.as_mut()?.flush(&mut rest);
        (!rest.is_empty()).then_some(Ok(rest))
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "so that `next` reads as one table"
    )]
    fn fail(&mut self, error: ProviderError) -> Option<Result<Vec<i16>, ProviderError>> {
        self.last = None;
        Some(Err(error))
    }

    fn broke(&self, message: &str) -> ProviderError {
        ProviderError::new(self.provider.clone(), Kind::Protocol, message)
    }

    fn resample(&mut self, rate_hz: u32, samples: &[i16]) -> Result<Vec<i16>, ProviderError> {
        if self.resampler.is_none() {
            let from = SampleRate::new(rate_hz)
                .map_err(|_| self.broke("the sample rate is not one of sound"))?;
            self.resampler = Some(Resampler::new(from, RATE));
        }
        let mut out = Vec::new();
        if let Some(resampler) = &mut self.resampler {
            resampler.push(samples, &mut out);
        }
        Ok(out)
    }
}

/// Gives the provider its next piece, or tells it that there are no more.
async fn hand_over(pieces: &mut Option<mpsc::Sender<Piece>>, waiting: &mut VecDeque<Piece>) {
    let Some(sender) = pieces.as_ref() else {
        return;
    };
    // a closed channel is explained by the stream's last event
    let open = match sender.reserve().await {
        Ok(permit) => waiting
            .pop_front()
            .map(|piece| permit.send(piece))
            .is_some(),
        Err(_) => false,
    };
    if !open || waiting.is_empty() {
        *pieces = None;
    }
}

/// Cuts `text` where a reader would pause; pieces without anything to say are left out.
fn cut(text: &str) -> VecDeque<Piece> {
    let mut pieces = Vec::new();
    let mut cutter = Cutter::new(CutRules::default());
    cutter.push(text, &mut pieces);
    cutter.finish(&mut pieces);
    let spoken = pieces
        .iter()
        .map(|piece| spoken(&piece.text))
        .filter(|text| !text.is_empty());
    spoken
        .zip(0..)
        .map(|(text, index)| Piece { index, text })
        .collect()
}
