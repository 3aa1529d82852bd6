//! Speech to text: Whisper tiny.en on ONNX Runtime, with the encoder cut to the length of the clip.
//! The scheduler owns one `Whisper` per worker thread; REST uploads and live turns share it.
//! It never queues and never starts threads: a call blocks until the text is there.

mod decode;
mod guard;
pub(crate) mod mel;
mod rules;
mod segments;
mod tokens;
mod transcript;
mod window;

use std::{
    ops::Range,
    path::Path,
    sync::Arc,
    sync::atomic::{AtomicUsize, Ordering},
};

use ort::session::Session;

use decode::{Cross, Decoder, Outcome, Task, tensor};
use guard::Guard;
use mel::{BINS, HOP, Mel};
use segments::Place;
use tokens::Vocabulary;
pub use transcript::{Segment, TranscribeRequest, Transcript};

use crate::{
    Cancel, CancelHook, LocalError, export, memory,
    runtime::{self, CancellableRun, SessionConfig},
};

const MODEL: &str = "whisper-tiny-en";
/// Directory of the model inside the models directory.
pub const DIRECTORY: &str = "whisper-tiny-en";
/// Samples of silence after a clip; without it the last word is often lost.
const TAIL: usize = 16_000;
/// Frames of the window the model was trained on: 30 s.
const FULL_FRAMES: usize = 3000;
/// Most utterances in one batch: beyond it each takes as long as alone (measured, spec section 6).
pub const MAX_BATCH: usize = 4;
/// Windows from 12 s on leave so much freed memory behind that it is worth giving back; live turns
/// are shorter, and their next one needs it at once.
const WORTH_TRIMMING_FRAMES: usize = 1200;
/// Most tokens of a transcript, and of a prompt: half of what the decoder knows.
const MOST_TOKENS: usize = decode::CONTEXT / 2;
/// Faster than anyone speaks, to stop a decoder that rambles in a short clip.
const TOKENS_PER_SECOND: usize = 15;
/// OpenAI's rule for a window without speech: the start token says so, and the words are unsure.
const NO_SPEECH: f32 = 0.6;
const UNSURE_LOGPROB: f32 = -1.0;

/// How much the encoder hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// The clip and one second of silence: fast.
    Clip,
    /// Always 30 s, as in training: the reference that `Clip` is measured against.
    Full,
}

/// A loaded Whisper model.
pub struct Whisper {
    encoder: Session,
    decoder: Decoder,
    vocabulary: Vocabulary,
    mel: Mel,
    window: Window,
}

/// One window of one job.
struct Piece {
    job: usize,
    samples: Range<usize>,
    window: Window,
    prefix: Vec<u32>,
}

impl Piece {
    /// Frames the encoder will be given, which its scratch memory grows with.
    fn scratch_frames(&self) -> usize {
        match self.window {
            Window::Clip => frames(self.samples.len()),
            Window::Full => FULL_FRAMES,
        }
    }
}

impl Whisper {
    /// Loads the model from `<models_dir>/whisper-tiny-en`, exporting it first if needed.
    ///
    /// Errors: [`LocalError::Missing`] or [`LocalError::Damaged`] when files are not as pulled,
    /// [`LocalError::Runtime`] when ONNX Runtime refuses them.
    pub fn open(models_dir: &Path) -> Result<Self, LocalError> {
        Self::open_with(models_dir, SessionConfig::default())
    }

    /// As [`open`](Self::open), with a choice of threads and memory.
    pub fn open_with(models_dir: &Path, config: SessionConfig) -> Result<Self, LocalError> {
        let dir = models_dir.join(DIRECTORY);
        export::whisper(&dir)?;
        let vocabulary = Vocabulary::open(&dir.join("tokenizer.json"))?;
        Ok(Self {
            encoder: runtime::session(models_dir, MODEL, &dir.join(export::ENCODER), config)?,
            decoder: Decoder::open(models_dir, &dir, vocabulary.special, config)?,
            vocabulary,
            mel: Mel::new(),
            window: Window::Clip,
        })
    }

    /// Chooses how much the encoder hears from now on; [`Window::Clip`] unless called.
    pub fn set_window(&mut self, window: Window) {
        self.window = window;
    }

    /// Transcribes `jobs`, several at a time where that is cheaper; the results are in the order of
    /// the jobs. Blocks; each job ends early when its [`Cancel`] is raised.
    ///
    /// Errors per job: [`LocalError::BadInput`] for a language other than English,
    /// [`LocalError::Cancelled`], [`LocalError::Runtime`].
    pub fn transcribe(
        &mut self,
        jobs: &[TranscribeRequest],
    ) -> Vec<Result<Transcript, LocalError>> {
        let mut results: Vec<Result<Transcript, LocalError>> = jobs.iter().map(accept).collect();
        let mut pieces = Vec::new();
        for (job, request) in jobs.iter().enumerate() {
            if results[job].is_ok() {
                self.cut(job, request, &mut pieces);
            }
        }
        let mut outcomes: Vec<Option<Outcome>> = pieces.iter().map(|_| None).collect();
        let mut longest = 0;
        for batch in batches(&pieces) {
            longest = batch
                .iter()
                .map(|at| pieces[*at].scratch_frames())
                .fold(longest, usize::max);
            match self.run(&batch, &pieces, jobs) {
                Ok(done) => {
                    for (at, outcome) in batch.into_iter().zip(done) {
                        outcomes[at] = Some(outcome);
                    }
                }
                Err(error) => {
                    for at in batch {
                        results[pieces[at].job] = Err(same_for_all(&error));
                    }
                }
            }
        }
        if longest >= WORTH_TRIMMING_FRAMES {
            memory::give_back_after(longest as u64 * 10);
        }
        for (piece, outcome) in pieces.iter().zip(outcomes) {
            let (Ok(transcript), Some(outcome)) = (&mut results[piece.job], outcome) else {
                continue;
            };
            self.append(transcript, piece, &outcome, &jobs[piece.job]);
        }
        for (request, result) in jobs.iter().zip(&mut results) {
            if request.cancel.is_cancelled() {
                *result = Err(LocalError::Cancelled);
            } else if let Ok(transcript) = result {
                finish(transcript);
            }
        }
        results
    }

    fn cut(&self, job: usize, request: &TranscribeRequest, pieces: &mut Vec<Piece>) {
        // times are only reliable in the window the model was trained on
        let window = if request.timestamps {
            Window::Full
        } else {
            self.window
        };
        let prefix = self.prefix(request);
        pieces.extend(
            window::windows(&request.audio)
                .into_iter()
                .map(|samples| Piece {
                    job,
                    samples,
                    window,
                    prefix: prefix.clone(),
                }),
        );
    }

    /// Tokens before the transcript. tiny.en has no language and no task token.
    fn prefix(&self, request: &TranscribeRequest) -> Vec<u32> {
        let special = self.vocabulary.special;
        let mut prefix = Vec::new();
        if let Some(prompt) = request
            .prompt
            .as_deref()
            .map(str::trim)
            .filter(|p| !p.is_empty())
        {
            // the model was trained on earlier text that begins with a space
            let tokens = self.vocabulary.encode(&format!(" {prompt}"));
            prefix.push(special.previous);
            prefix.extend(&tokens[tokens.len().saturating_sub(MOST_TOKENS - 1)..]);
        }
        prefix.push(special.start);
        if !request.timestamps {
            prefix.push(special.no_timestamps);
        }
        prefix
    }

    /// Transcribes the pieces `batch` at once; a piece whose transcript loops or ends in an echo is
    /// heard again in a full window.
    fn run(
        &mut self,
        batch: &[usize],
        pieces: &[Piece],
        jobs: &[TranscribeRequest],
    ) -> Result<Vec<Outcome>, LocalError> {
        let cancels: Vec<&Cancel> = batch
            .iter()
            .map(|at| &jobs[pieces[*at].job].cancel)
            .collect();
        let (all, _hooks) = all_cancelled(&cancels);
        let run = CancellableRun::new(&all)?;
        let pieces: Vec<&Piece> = batch.iter().map(|at| &pieces[*at]).collect();
        let sounds: Vec<&[i16]> = pieces
            .iter()
            .map(|p| &jobs[p.job].audio[p.samples.clone()])
            .collect();
        let cross = self.encode(&sounds, pieces[0].window, &run)?;
        let tasks: Vec<Task> = pieces
            .iter()
            .map(|p| self.task(p, &jobs[p.job], p.window))
            .collect();
        let mut outcomes = self.decoder.decode(cross, &tasks, &run)?;
        for (at, piece) in pieces.iter().enumerate() {
            let doubtful = |outcome: &Outcome| {
                outcome.looped || guard::echoes(&self.vocabulary.text(&outcome.tokens))
            };
            if piece.window == Window::Clip && doubtful(&outcomes[at]) {
                let cross = self.encode(&sounds[at..=at], Window::Full, &run)?;
                let task = self.task(piece, &jobs[piece.job], Window::Full);
                let again = self.decoder.decode(cross, &[task], &run)?;
                outcomes.splice(at..=at, again);
            }
        }
        Ok(outcomes)
    }

    fn task(&self, piece: &Piece, request: &TranscribeRequest, window: Window) -> Task {
        let start = self.vocabulary.special.start;
        let seconds = piece.samples.len().div_ceil(16_000);
        let room = decode::CONTEXT - piece.prefix.len();
        Task {
            start: piece
                .prefix
                .iter()
                .position(|token| *token == start)
                .unwrap_or(0),
            prefix: piece.prefix.clone(),
            timestamps: request.timestamps,
            limit: (seconds * TOKENS_PER_SECOND + 10)
                .min(MOST_TOKENS)
                .min(room),
            guard: if window == Window::Clip {
                Guard::Clip
            } else {
                Guard::Full
            },
            cancel: request.cancel.clone(),
        }
    }

    /// Runs the encoder over `sounds`, all padded with silence to the same length.
    fn encode(
        &mut self,
        sounds: &[&[i16]],
        window: Window,
        run: &CancellableRun,
    ) -> Result<Cross, LocalError> {
        let longest = sounds.iter().map(|sound| sound.len()).max().unwrap_or(0);
        let frames = match window {
            Window::Clip => frames(longest),
            Window::Full => FULL_FRAMES,
        };
        let mut mel = vec![0f32; sounds.len() * BINS * frames];
        for (sound, out) in sounds.iter().zip(mel.chunks_exact_mut(BINS * frames)) {
            let sound: Vec<f32> = sound
                .iter()
                .map(|sample| f32::from(*sample) / 32768.0)
                .collect();
            self.mel.compute(&sound, frames, out);
        }
        let mel = tensor([sounds.len(), BINS, frames], mel)?;
        let mut outputs = self
            .encoder
            .run_with_options(ort::inputs!["mel" => mel], run.options())
            .map_err(|error| run.error("run the whisper encoder", &error))?;
        decode::cross_names()
            .iter()
            .map(|name| {
                outputs.remove(name).ok_or_else(|| {
                    LocalError::runtime("run the whisper encoder", "an output is missing")
                })
            })
            .collect()
    }

    fn append(
        &self,
        transcript: &mut Transcript,
        piece: &Piece,
        outcome: &Outcome,
        request: &TranscribeRequest,
    ) {
        transcript.tokens += outcome.tokens.len() as u32;
        if outcome.no_speech > NO_SPEECH && outcome.avg_logprob() < UNSURE_LOGPROB {
            return;
        }
        // a running sum until `finish`, weighted by tokens
        transcript.avg_logprob += outcome.logprobs.iter().sum::<f32>() + outcome.end_logprob;
        transcript
            .text
            .push_str(&self.vocabulary.text(&outcome.tokens));
        if request.timestamps {
            let place = Place {
                start_ms: ms(piece.samples.start),
                end_ms: ms(piece.samples.end),
            };
            segments::append(&mut transcript.segments, outcome, &self.vocabulary, place);
        }
    }
}

impl Outcome {
    /// Mean log probability of the tokens and the end.
    fn avg_logprob(&self) -> f32 {
        let sum = self.logprobs.iter().sum::<f32>() + self.end_logprob;
        sum / (self.logprobs.len() + 1) as f32
    }
}

fn accept(request: &TranscribeRequest) -> Result<Transcript, LocalError> {
    request.cancel.check()?;
    if let Some(language) = &request.language {
        let name = language
            .split(['-', '_'])
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        if !matches!(name.as_str(), "" | "en" | "eng" | "english") {
            return Err(LocalError::BadInput(format!(
                "{MODEL} transcribes English only, language {language:?} was asked for"
            )));
        }
    }
    Ok(Transcript {
        language: "en".to_owned(),
        audio_ms: ms(request.audio.len()),
        ..Transcript::default()
    })
}

fn finish(transcript: &mut Transcript) {
    transcript.text = transcript.text.trim().to_owned();
    if transcript.text.is_empty() {
        transcript.avg_logprob = 0.0;
    } else {
        transcript.avg_logprob /= (transcript.tokens + 1) as f32;
    }
}

/// Groups pieces that can share a run: the same window, prefixes of the same length, and lengths so
/// close that padding wastes little.
fn batches(pieces: &[Piece]) -> Vec<Vec<usize>> {
    let key = |at: &usize| {
        let piece = &pieces[*at];
        (
            piece.window == Window::Full,
            piece.prefix.len(),
            piece.samples.len(),
        )
    };
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    order.sort_by_key(key);
    order
        .chunk_by(|a, b| {
            let ((window_a, prefix_a, _), (window_b, prefix_b, _)) = (key(a), key(b));
            window_a == window_b && prefix_a == prefix_b
        })
        .flat_map(|group| {
            let mut batches: Vec<Vec<usize>> = Vec::new();
            for at in group {
                match batches.last_mut() {
                    Some(batch) if batch.len() < MAX_BATCH && fits(pieces, batch, *at) => {
                        batch.push(*at);
                    }
                    _ => batches.push(vec![*at]),
                }
            }
            batches
        })
        .collect()
}

/// Whether padding the shortest of `batch` to the length of piece `at` costs less than a quarter.
fn fits(pieces: &[Piece], batch: &[usize], at: usize) -> bool {
    let shortest = frames(pieces[batch[0]].samples.len());
    pieces[at].window == Window::Full || frames(pieces[at].samples.len()) * 4 <= shortest * 5
}

/// Frames for a clip of `samples` and its tail, even because the encoder halves them.
fn frames(samples: usize) -> usize {
    (samples + TAIL)
        .div_ceil(HOP)
        .next_multiple_of(2)
        .min(FULL_FRAMES)
}

fn ms(samples: usize) -> u32 {
    (samples / 16) as u32
}

/// A flag that is raised once all of `cancels` are, and the hooks that do it.
fn all_cancelled(cancels: &[&Cancel]) -> (Cancel, Vec<CancelHook>) {
    let all = Cancel::new();
    let left = Arc::new(AtomicUsize::new(cancels.len()));
    let hooks = cancels
        .iter()
        .map(|cancel| {
            let (all, left) = (all.clone(), Arc::clone(&left));
            cancel.on_cancel(move || {
                if left.fetch_sub(1, Ordering::AcqRel) == 1 {
                    all.cancel();
                }
            })
        })
        .collect();
    (all, hooks)
}

/// A batch fails as one; each of its jobs is told the same.
fn same_for_all(error: &LocalError) -> LocalError {
    match error {
        LocalError::Cancelled => LocalError::Cancelled,
        LocalError::Runtime { tried, reason } => LocalError::runtime(tried, reason),
        other => LocalError::runtime("transcribe", other),
    }
}

#[cfg(test)]
mod tests;
