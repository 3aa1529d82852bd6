//! Several generations at once in one context: each step evaluates one small batch that holds the
//! next token of every running answer and a stretch of prompt of those that have not begun.
//! The `llm` thread admits tasks and calls `step` in a loop; a step is the unit of cancellation.
//! It never blocks on a reader: each answer's channel holds every event it can ever send.

use std::num::NonZeroU32;

use llama_cpp_2::{
    DecodeError,
    context::{
        LlamaContext,
        params::{KvCacheType, LlamaContextParams},
    },
    llama_batch::LlamaBatch,
    sampling::LlamaSampler,
    token::LlamaToken,
};
use tokio::sync::mpsc;

use super::{Llama, prompt, slots::Slots, text::TextStream};
use crate::{
    Cancel, FinishReason, LlmConfig, LlmEvent, LocalError, Priority, Sampling, chat::ChatMessage,
};

/// Generated tokens that the repeat penalty looks back on.
const PENALTY_TOKENS: i32 = 64;
/// Candidates kept before sampling by temperature.
const TOP_K: i32 = 40;
const TOP_P: f32 = 0.95;

/// What is to be generated.
pub(crate) struct Task {
    pub session: String,
    pub priority: Priority,
    pub messages: Vec<ChatMessage>,
    pub cancel: Cancel,
    pub kind: TaskKind,
}

/// Whether anybody wants an answer.
pub(crate) enum TaskKind {
    /// Only fill the prompt cache.
    Warm,
    Answer {
        events: mpsc::Sender<LlmEvent>,
        max_tokens: u32,
        sampling: Sampling,
        stop: Vec<String>,
    },
}

/// What became of a task that was offered.
pub(crate) enum Admission {
    /// It runs under this number.
    Running(u64),
    /// There is no room until a running task ends.
    NoRoom(Task),
    /// It ended at once: refused or cancelled. Its channel says so.
    Ended,
}

struct Running {
    id: u64,
    session: String,
    priority: Priority,
    cancel: Cancel,
    slot: usize,
    prompt: Vec<LlamaToken>,
    /// Cells this task may come to need.
    reserved: usize,
    cached_tokens: usize,
    /// The token chosen last, not evaluated yet.
    next: Option<LlamaToken>,
    /// Tokens of this step's batch that belong to this task, and where its last one lies.
    stepped: Vec<LlamaToken>,
    output_at: Option<i32>,
    answer: Option<Answer>,
}

struct Answer {
    events: mpsc::Sender<LlmEvent>,
    sampler: LlamaSampler,
    text: TextStream,
    max_tokens: u32,
    output_tokens: u32,
}

/// How a running task ends.
enum End {
    Finished(FinishReason),
    Failed(LocalError),
}

/// The shared context and what runs in it.
pub(crate) struct Engine<'m> {
    llama: &'m Llama,
    context: LlamaContext<'m>,
    batch: LlamaBatch<'static>,
    slots: Slots<LlamaToken>,
    running: Vec<Running>,
    ended: Vec<u64>,
    next_id: u64,
}

impl Llama {
    /// The context in which generations run.
    ///
    /// Errors: [`LocalError::Runtime`] when it does not fit into memory.
    pub(crate) fn engine(&self) -> Result<Engine<'_>, LocalError> {
        let LlmConfig {
            context_tokens,
            sequences,
            threads,
            prefill_tokens,
            ..
        } = self.config;
        // one batch holds a token of every answer besides the stretch of prompt
        let batch_tokens = prefill_tokens + sequences;
        let params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(context_tokens))
            .with_n_seq_max(sequences)
            .with_n_batch(batch_tokens)
            .with_n_ubatch(batch_tokens)
            .with_n_threads(threads as i32)
            .with_n_threads_batch(threads as i32)
            .with_kv_unified(true)
            .with_type_k(KvCacheType::F16)
            .with_type_v(KvCacheType::F16)
            .with_no_perf(true);
        let context = self
            .model
            .new_context(self.backend, params)
            .map_err(|error| LocalError::runtime("create a llama.cpp context", error))?;
        Ok(Engine {
            llama: self,
            context,
            batch: LlamaBatch::new(batch_tokens as usize, 1),
            slots: Slots::new(sequences as usize),
            running: Vec::new(),
            ended: Vec::new(),
            next_id: 0,
        })
    }
}

impl Engine<'_> {
    /// Whether nothing runs, so that the thread may sleep.
    pub(crate) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Takes a task on. A session's unfinished warming gives way to any later task of that session.
    pub(crate) fn admit(&mut self, task: Task) -> Admission {
        if task.cancel.is_cancelled() {
            task.fail(LocalError::Cancelled);
            return Admission::Ended;
        }
        self.stop_warming(&task.session);
        let prompt = prompt::tokens(&self.llama.model.vocab(), &task.messages);
        let LlmConfig {
            context_tokens,
            conversation_tokens,
            ..
        } = self.llama.config;
        let limit_tokens = conversation_tokens.min(context_tokens) as usize;
        let answer_tokens = match &task.kind {
            TaskKind::Warm => 0,
            TaskKind::Answer { max_tokens, .. } => *max_tokens as usize,
        };
        let reserved = prompt.len() + answer_tokens;
        if reserved > limit_tokens || prompt.is_empty() {
            task.fail(LocalError::ContextFull {
                prompt_tokens: prompt.len(),
                limit_tokens,
            });
            return Admission::Ended;
        }
        let taken: usize = self.running.iter().map(|running| running.reserved).sum();
        if taken + reserved > context_tokens as usize {
            return Admission::NoRoom(task);
        }
        let Some(plan) = self.slots.occupy(&task.session, &prompt) else {
            return Admission::NoRoom(task);
        };
        if let Err(error) = self.prepare(&plan) {
            self.slots.release(plan.slot);
            task.fail(error);
            return Admission::Ended;
        }
        let id = self.next_id;
        self.next_id += 1;
        self.running.push(Running {
            id,
            session: task.session,
            priority: task.priority,
            cancel: task.cancel,
            slot: plan.slot,
            reserved,
            cached_tokens: plan.cached(),
            prompt,
            next: None,
            stepped: Vec::new(),
            output_at: None,
            answer: task.kind.into_answer(self.llama.model.n_vocab()),
        });
        Admission::Running(id)
    }

    /// Ends what warms the cache for `session`; what it evaluated so far stays cached.
    fn stop_warming(&mut self, session: &str) {
        let is_warming = |running: &Running| running.answer.is_none() && running.session == session;
        while let Some(at) = self.running.iter().position(is_warming) {
            self.end(at, End::Failed(LocalError::Cancelled));
        }
    }

    fn prepare(&mut self, plan: &super::slots::Plan) -> Result<(), LocalError> {
        let failed = |error| LocalError::runtime("arrange the prompt cache", error);
        let slot = plan.slot as i32;
        self.context
            .kv_cache_seq_rm(slot, Some(plan.keep as u32), None)
            .map_err(failed)?;
        if let Some((from, end)) = plan.copy {
            let (start, end) = (Some(plan.keep as u32), Some(end as u32));
            self.context
                .kv_cache_seq_cp(from as i32, slot, start, end)
                .map_err(failed)?;
        }
        Ok(())
    }

    /// Evaluates one small batch and reports what came of it. Returns the numbers of the tasks
    /// that ended.
    pub(crate) fn step(&mut self) -> Vec<u64> {
        self.end_cancelled();
        if !self.running.is_empty() {
            self.fill_batch();
            match self.decode() {
                Ok(()) => self.collect(),
                Err(error) => self.fail_all(&error),
            }
        }
        std::mem::take(&mut self.ended)
    }

    fn end_cancelled(&mut self) {
        while let Some(at) = self.running.iter().position(|r| r.cancel.is_cancelled()) {
            self.end(at, End::Failed(LocalError::Cancelled));
        }
    }

    /// Puts the next token of every answer and a stretch of prompt into the batch. While anything
    /// live runs, speculative tasks pause.
    fn fill_batch(&mut self) {
        self.batch.clear();
        let first = self.running.iter().map(|running| running.priority).min();
        let mut budget = self.llama.config.prefill_tokens as usize;
        for running in &mut self.running {
            running.stepped.clear();
            running.output_at = None;
            if Some(running.priority) > first {
                continue;
            }
            let done = self.slots.tokens(running.slot).len();
            if let Some(token) = running.next {
                running.stepped.push(token);
            } else {
                let count = budget.min(running.prompt.len() - done);
                budget -= count;
                running
                    .stepped
                    .extend_from_slice(&running.prompt[done..done + count]);
            }
            let total = done + running.stepped.len();
            for (offset, token) in running.stepped.iter().enumerate() {
                let position = done + offset;
                let speaks = position + 1 == total && total >= running.prompt.len();
                let output = speaks && running.answer.is_some();
                if output {
                    running.output_at = Some(self.batch.n_tokens());
                }
                // the batch has room for every sequence and the whole budget
                let added = self
                    .batch
                    .add(*token, position as i32, &[running.slot as i32], output);
                debug_assert!(added.is_ok(), "the batch is as large as a step");
            }
        }
    }

    fn decode(&mut self) -> Result<(), LocalError> {
        let needed = self.batch.n_tokens() as usize;
        let cells = self.llama.config.context_tokens as usize;
        while self.slots.cells() + needed > cells && self.evict() {}
        loop {
            match self.context.decode(&mut self.batch) {
                Ok(()) => return Ok(()),
                Err(DecodeError::NoKvCacheSlot) if self.evict() => {}
                Err(error) => return Err(LocalError::runtime("run the language model", error)),
            }
        }
    }

    /// Forgets the idle conversation unused for longest; false when there is none.
    fn evict(&mut self) -> bool {
        let Some(slot) = self.slots.evict() else {
            return false;
        };
        if let Err(error) = self.context.kv_cache_seq_rm(slot as i32, None, None) {
            tracing::warn!(%error, slot, "could not clear a sequence of the prompt cache");
        }
        true
    }

    /// Books the evaluated tokens and chooses the next token of every answer.
    fn collect(&mut self) {
        let mut ends = Vec::new();
        for (at, running) in self.running.iter_mut().enumerate() {
            self.slots.extend(running.slot, &running.stepped);
            if running.answer.is_none() {
                if self.slots.tokens(running.slot).len() >= running.prompt.len() {
                    ends.push((at, End::Finished(FinishReason::Stop)));
                }
                continue;
            }
            let (Some(answer), Some(output_at)) = (&mut running.answer, running.output_at) else {
                continue;
            };
            let token = answer.sampler.sample(&self.context, output_at);
            running.next = Some(token);
            if let Some(end) = answer.take(&self.llama.model.vocab(), token) {
                ends.push((at, end));
            }
        }
        for (at, end) in ends.into_iter().rev() {
            self.end(at, end);
        }
    }

    /// A failed batch leaves the cache in an unknown state: everything starts afresh.
    fn fail_all(&mut self, error: &LocalError) {
        tracing::error!(%error, tasks = self.running.len(), "language model step failed");
        let reason = error.to_string();
        while !self.running.is_empty() {
            let failed = LocalError::runtime("generate", &reason);
            self.end(self.running.len() - 1, End::Failed(failed));
        }
        self.context.clear_kv_cache();
        self.slots = Slots::new(self.llama.config.sequences as usize);
    }

    fn end(&mut self, at: usize, end: End) {
        let running = self.running.remove(at);
        self.slots.release(running.slot);
        self.ended.push(running.id);
        let Some(mut answer) = running.answer else {
            return;
        };
        let event = match end {
            End::Finished(finish) => {
                answer.show(super::text::TextStream::finish);
                LlmEvent::Done {
                    prompt_tokens: running.prompt.len() as u32,
                    cached_tokens: running.cached_tokens as u32,
                    output_tokens: answer.output_tokens,
                    finish,
                }
            }
            End::Failed(error) => LlmEvent::Failed(error),
        };
        answer.send(event);
    }
}

impl Answer {
    /// Adds a chosen token to the answer; tells when the answer is over.
    fn take(
        &mut self,
        vocab: &llama_cpp_2::vocab::LlamaVocab<'_>,
        token: LlamaToken,
    ) -> Option<End> {
        if vocab.is_eog(token) {
            return Some(End::Finished(FinishReason::Stop));
        }
        self.output_tokens += 1;
        let bytes = vocab.token_to_piece(token, false, None);
        if !self.show(|text| text.push(&bytes)) {
            return Some(End::Failed(LocalError::Cancelled));
        }
        if self.text.stopped() {
            Some(End::Finished(FinishReason::Stop))
        } else if self.output_tokens >= self.max_tokens {
            Some(End::Finished(FinishReason::Length))
        } else {
            None
        }
    }

    /// Sends what `step` lets out; false when nobody listens any more.
    fn show(&mut self, step: impl FnOnce(&mut TextStream) -> String) -> bool {
        let text = step(&mut self.text);
        text.is_empty() || self.send(LlmEvent::Text(text))
    }

    fn send(&mut self, event: LlmEvent) -> bool {
        // the channel has room for every token and the end, so this fails only when it is closed
        self.events.try_send(event).is_ok()
    }
}

impl Task {
    /// Ends a task that never ran.
    pub(crate) fn fail(self, error: LocalError) {
        if let TaskKind::Answer { events, .. } = self.kind {
            // a closed channel means that nobody wants to know
            drop(events.try_send(LlmEvent::Failed(error)));
        }
    }
}

impl TaskKind {
    fn into_answer(self, n_vocab: i32) -> Option<Answer> {
        match self {
            Self::Warm => None,
            Self::Answer {
                events,
                max_tokens,
                sampling,
                stop,
            } => Some(Answer {
                events,
                sampler: sampler(&sampling, n_vocab),
                text: TextStream::new(stop),
                max_tokens,
                output_tokens: 0,
            }),
        }
    }
}

fn sampler(sampling: &Sampling, n_vocab: i32) -> LlamaSampler {
    let mut chain = Vec::new();
    if sampling.repeat_penalty > 1.0 {
        chain.push(LlamaSampler::penalties(
            n_vocab,
            PENALTY_TOKENS,
            sampling.repeat_penalty,
            0.0,
            0.0,
        ));
    }
    if sampling.temperature > 0.0 {
        chain.push(LlamaSampler::top_k(TOP_K));
        chain.push(LlamaSampler::top_p(TOP_P, 1));
        chain.push(LlamaSampler::temp(sampling.temperature));
        chain.push(LlamaSampler::dist(sampling.seed));
    } else {
        chain.push(LlamaSampler::greedy());
    }
    LlamaSampler::chain(chain, true)
}
