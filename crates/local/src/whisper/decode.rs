//! The greedy decode loop: encoder output in, tokens out, a batch of utterances at a time.
//! `Whisper` calls it with utterances whose prefixes have the same length.
//! It never sees text: only token ids.

use std::{borrow::Cow, path::Path};

use ort::{
    session::{Session, SessionInputValue},
    value::{DynValue, Tensor},
};

use super::{
    guard::{Guard, repetition},
    rules::{Rules, best, log_sum},
    tokens::Special,
};
use crate::{
    Cancel, LocalError,
    export::{self, HEAD_WIDTH, HEADS, LAYERS, WIDTH, ct2::Weights},
    runtime::{self, CancellableRun, SessionConfig},
};

const MODEL: &str = "whisper-tiny-en";
const EMBEDDING: &str = "decoder/embeddings/weight";
/// Positions the decoder knows: prefix and transcript together.
pub(crate) const CONTEXT: usize = 448;

/// One utterance to decode.
pub(crate) struct Task {
    /// Tokens before the transcript: earlier text, start, mode.
    pub(crate) prefix: Vec<u32>,
    /// Where in `prefix` the start token is; its scores tell whether there is speech.
    pub(crate) start: usize,
    pub(crate) timestamps: bool,
    /// Most tokens the transcript may have.
    pub(crate) limit: usize,
    pub(crate) guard: Guard,
    pub(crate) cancel: Cancel,
}

/// What was decoded.
#[derive(Debug, Default, Clone)]
pub(crate) struct Outcome {
    /// Text tokens and times, without the end token.
    pub(crate) tokens: Vec<u32>,
    /// Log probability of each token.
    pub(crate) logprobs: Vec<f32>,
    /// Log probability of the end token; 0 if it was not reached.
    pub(crate) end_logprob: f32,
    /// Probability that there is no speech.
    pub(crate) no_speech: f32,
    /// The guard cut the transcript.
    pub(crate) looped: bool,
}

/// What the encoder found, per layer key then value, each `[batch, 6, positions, 64]`.
pub(crate) type Cross = Vec<DynValue>;

/// The decoder graph and what it needs besides.
pub(crate) struct Decoder {
    session: Session,
    weights: Weights,
    positions: Vec<f32>,
    rules: Rules,
    special: Special,
    names: Names,
}

/// Names of inputs and outputs, per layer key then value.
struct Names {
    past: Vec<String>,
    next: Vec<String>,
    cross: Vec<String>,
}

/// A task on its way.
struct Row<'a> {
    index: usize,
    task: &'a Task,
    outcome: Outcome,
    /// The token to feed next.
    last: u32,
}

impl Decoder {
    /// Opens `decoder.onnx` and its companions in `dir`.
    pub(crate) fn open(
        models_dir: &Path,
        dir: &Path,
        special: Special,
        config: SessionConfig,
    ) -> Result<Self, LocalError> {
        let weights = Weights::open(&dir.join(export::SOURCE))?;
        let positions = weights.read("decoder/position_encodings/encodings")?.data;
        if positions.len() != CONTEXT * WIDTH {
            let source = dir.join(export::SOURCE);
            return Err(LocalError::damaged(
                MODEL,
                source,
                "wrong number of positions",
            ));
        }
        Ok(Self {
            session: runtime::session(models_dir, MODEL, &dir.join(export::DECODER), config)?,
            weights,
            positions,
            rules: Rules::open(&dir.join("config.json"))?,
            special,
            names: Names {
                past: layered("past_key", "past_value"),
                next: layered("key", "value"),
                cross: cross_names(),
            },
        })
    }

    /// Decodes `tasks`, whose prefixes have the same length, against `cross`. The outcome of a task
    /// that was cancelled on the way is what it had so far.
    pub(crate) fn decode(
        &mut self,
        mut cross: Cross,
        tasks: &[Task],
        run: &CancellableRun,
    ) -> Result<Vec<Outcome>, LocalError> {
        let mut outcomes = vec![Outcome::default(); tasks.len()];
        let mut rows: Vec<Row> = tasks
            .iter()
            .enumerate()
            .map(|(index, task)| Row {
                index,
                task,
                outcome: Outcome::default(),
                last: 0,
            })
            .collect();
        let mut past = self.no_past(tasks.len())?;
        let mut length = 0;
        while !rows.is_empty() {
            let tokens: Vec<&[u32]> = rows
                .iter()
                .map(|row| match length {
                    0 => row.task.prefix.as_slice(),
                    _ => std::slice::from_ref(&row.last),
                })
                .collect();
            let new = tokens[0].len();
            let embedded = self.embed(&tokens, length)?;
            let wanted = wanted(rows[0].task, length, new);
            past = self.step(
                Step {
                    embedded,
                    wanted,
                    past,
                    cross: &cross,
                },
                &mut rows,
                run,
            )?;
            length += new;

            let going: Vec<usize> = (0..rows.len())
                .filter(|i| goes_on(&rows[*i], length))
                .collect();
            if going.len() < rows.len() {
                let mut next = Vec::with_capacity(going.len());
                for (i, row) in rows.into_iter().enumerate() {
                    if going.contains(&i) {
                        next.push(row);
                    } else {
                        outcomes[row.index] = row.outcome;
                    }
                }
                rows = next;
                if !rows.is_empty() {
                    past = past
                        .iter()
                        .map(|v| keep_rows(v, &going))
                        .collect::<Result<_, _>>()?;
                    cross = cross
                        .iter()
                        .map(|v| keep_rows(v, &going))
                        .collect::<Result<_, _>>()?;
                }
            }
        }
        Ok(outcomes)
    }

    fn no_past(&self, batch: usize) -> Result<Vec<DynValue>, LocalError> {
        (0..2 * LAYERS)
            .map(|_| {
                Tensor::<f32>::new(self.session.allocator(), [batch, HEADS, 0, HEAD_WIDTH])
                    .map(Tensor::into_dyn)
                    .map_err(|error| LocalError::runtime("create an empty memory", error))
            })
            .collect()
    }

    fn embed(&self, tokens: &[&[u32]], first: usize) -> Result<Tensor<f32>, LocalError> {
        let new = tokens[0].len();
        let mut embedded = Vec::with_capacity(tokens.len() * new * WIDTH);
        for row in tokens {
            for (at, token) in row.iter().enumerate() {
                let position = &self.positions[(first + at) * WIDTH..][..WIDTH];
                let embedding = self.weights.row(EMBEDDING, *token as usize)?;
                embedded.extend(embedding.iter().zip(position).map(|(a, b)| a + b));
            }
        }
        tensor([tokens.len(), new, WIDTH], embedded)
    }

    /// Runs the graph once, lets every row choose its token, and returns the longer memory.
    fn step(
        &mut self,
        step: Step,
        rows: &mut [Row],
        run: &CancellableRun,
    ) -> Result<Vec<DynValue>, LocalError> {
        let wanted = step.wanted.len();
        let mut inputs: Vec<(Cow<str>, SessionInputValue)> = vec![
            ("embedded".into(), step.embedded.into()),
            ("wanted".into(), tensor([wanted], step.wanted)?.into()),
        ];
        for (name, value) in self.names.past.iter().zip(step.past) {
            inputs.push((name.into(), value.into()));
        }
        for (name, value) in self.names.cross.iter().zip(step.cross) {
            inputs.push((name.into(), value.into()));
        }
        let mut outputs = self
            .session
            .run_with_options(inputs, run.options())
            .map_err(|error| run.error("run the whisper decoder", &error))?;
        let missing = || LocalError::runtime("run the whisper decoder", "an output is missing");
        let bad = |error: ort::Error| LocalError::runtime("read the whisper decoder", error);
        let mut scores = outputs.remove("scores").ok_or_else(missing)?;
        let (shape, scores) = scores.try_extract_tensor_mut::<f32>().map_err(bad)?;
        let tokens = shape[2] as usize;
        for (row, scores) in rows
            .iter_mut()
            .zip(scores.chunks_exact_mut(wanted * tokens))
        {
            if row.outcome.tokens.is_empty() {
                let silence = scores[self.special.no_speech as usize];
                row.outcome.no_speech = (silence - log_sum(&scores[..tokens])).exp();
            }
            row.choose(
                &mut scores[(wanted - 1) * tokens..],
                &self.rules,
                &self.special,
            );
        }
        self.names
            .next
            .iter()
            .map(|name| outputs.remove(name).ok_or_else(missing))
            .collect()
    }
}

/// What one run of the graph is given.
struct Step<'a> {
    embedded: Tensor<f32>,
    wanted: Vec<i64>,
    past: Vec<DynValue>,
    cross: &'a [DynValue],
}

impl Row<'_> {
    fn choose(&mut self, scores: &mut [f32], rules: &Rules, special: &Special) {
        let sum = log_sum(scores);
        let outcome = &mut self.outcome;
        if self.task.timestamps {
            rules.with_times(scores, &outcome.tokens, special);
        } else {
            rules.without_times(scores, &outcome.tokens, special);
        }
        let choice = best(scores, sum);
        self.last = choice.token;
        if choice.token == special.end {
            outcome.end_logprob = choice.logprob;
            return;
        }
        outcome.tokens.push(choice.token);
        outcome.logprobs.push(choice.logprob);
        let cut = if self.task.timestamps {
            let words: Vec<u32> = outcome
                .tokens
                .iter()
                .copied()
                .filter(|token| *token < special.end)
                .collect();
            // times differ between repetitions, so the cut is found among words alone
            repetition(&words, self.task.guard)
                .map(|words| with_times(&outcome.tokens, words, special))
        } else {
            repetition(&outcome.tokens, self.task.guard)
        };
        if let Some(cut) = cut {
            outcome.tokens.truncate(cut);
            outcome.logprobs.truncate(cut);
            outcome.looped = true;
        }
    }
}

/// How many tokens of `tokens`, times included, hold its first `words` words.
fn with_times(tokens: &[u32], words: usize, special: &Special) -> usize {
    tokens
        .iter()
        .enumerate()
        .filter(|(_, token)| **token < special.end)
        .nth(words)
        .map_or(tokens.len(), |(at, _)| at)
}

fn goes_on(row: &Row, length: usize) -> bool {
    let tokens = &row.outcome.tokens;
    !row.outcome.looped
        && tokens.last() == Some(&row.last)
        && tokens.len() < row.task.limit
        && length < CONTEXT
        && !row.task.cancel.is_cancelled()
}

/// Which of the new tokens to score: the last, and at first the start token too, for the probability
/// that there is no speech.
fn wanted(task: &Task, length: usize, new: usize) -> Vec<i64> {
    let last = new as i64 - 1;
    if length == 0 && task.start + 1 < new {
        vec![task.start as i64, last]
    } else {
        vec![last]
    }
}

fn keep_rows(value: &DynValue, rows: &[usize]) -> Result<DynValue, LocalError> {
    let (shape, data) = value
        .try_extract_tensor::<f32>()
        .map_err(|error| LocalError::runtime("read the decoder's memory", error))?;
    let row_length = data.len() / shape[0] as usize;
    let mut kept = Vec::with_capacity(rows.len() * row_length);
    for row in rows {
        kept.extend_from_slice(&data[row * row_length..][..row_length]);
    }
    let dims = [
        rows.len(),
        shape[1] as usize,
        shape[2] as usize,
        shape[3] as usize,
    ];
    Ok(tensor(dims, kept)?.into_dyn())
}

/// An owned tensor.
pub(crate) fn tensor<T, const N: usize>(
    dims: [usize; N],
    data: Vec<T>,
) -> Result<Tensor<T>, LocalError>
where
    T: ort::value::PrimitiveTensorElementType + std::fmt::Debug + Clone + 'static,
{
    Tensor::from_array((dims, data)).map_err(|error| LocalError::runtime("create a tensor", error))
}

/// Names of the encoder's outputs, per layer key then value.
pub(crate) fn cross_names() -> Vec<String> {
    layered("cross_key", "cross_value")
}

fn layered(key: &str, value: &str) -> Vec<String> {
    (0..LAYERS)
        .flat_map(|i| [format!("{key}_{i}"), format!("{value}_{i}")])
        .collect()
}
