//! Named operating-system threads that each own one model and serve one queue.
//! `LocalModels::open` starts them and waits until every model is loaded.
//! An idle worker sleeps; a job that panics is reported and the worker lives on.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

use super::{
    pending::Reply,
    queue::{Batch, Queue},
};
use crate::{
    Audio, Cancel, Kokoro, LocalError, Piper, SmartTurn, TranscribeRequest, Transcript, Whisper,
    memory, whisper,
};

/// An utterance to transcribe.
pub(crate) struct SttJob {
    pub request: TranscribeRequest,
    pub reply: Reply<Transcript>,
}

/// A pause to judge.
pub(crate) struct TurnJob {
    pub audio: Arc<[i16]>,
    pub cancel: Cancel,
    pub reply: Reply<f32>,
}

/// A piece of text to speak.
pub(crate) struct TtsJob {
    pub text: String,
    pub voice: String,
    pub speed: f32,
    pub cancel: Cancel,
    pub reply: Reply<Audio>,
}

/// Threads that are starting or started.
#[derive(Default)]
pub(crate) struct Workers {
    threads: Vec<JoinHandle<()>>,
    loading: Vec<mpsc::Receiver<Result<(), LocalError>>>,
}

impl Workers {
    /// Starts a thread that loads something with `load` and then runs `serve` until the queue that
    /// `serve` takes from is closed.
    ///
    /// Errors: [`LocalError::Runtime`] when the system gives no thread.
    pub(crate) fn start<M>(
        &mut self,
        name: &str,
        load: impl FnOnce() -> Result<M, LocalError> + Send + 'static,
        serve: impl FnOnce(M) + Send + 'static,
    ) -> Result<(), LocalError> {
        let (loaded, loading) = mpsc::sync_channel(1);
        let thread = thread::Builder::new()
            .name(format!("local-{name}"))
            .spawn(move || match load() {
                Ok(model) => {
                    // whoever opened has given up when this fails; then the queue is closed too
                    drop(loaded.send(Ok(())));
                    serve(model);
                }
                Err(error) => drop(loaded.send(Err(error))),
            })
            .map_err(|error| LocalError::runtime(format!("start thread {name}"), error))?;
        self.threads.push(thread);
        self.loading.push(loading);
        Ok(())
    }

    /// Waits until everything is loaded.
    ///
    /// Errors: the first that a thread reported.
    pub(crate) fn loaded(&mut self) -> Result<(), LocalError> {
        for loading in self.loading.drain(..) {
            loading
                .recv()
                .unwrap_or_else(|_| Err(LocalError::runtime("load a model", "the loader died")))?;
        }
        Ok(())
    }

    /// Waits for the threads to end; their queues must be closed.
    pub(crate) fn join(&mut self) {
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a local model thread panicked");
            }
        }
    }
}

/// Runs a job and turns a panic into a log line; the job's reply is dropped by the unwinding and
/// reads as failed.
fn guarded(what: &'static str, job: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(job)).is_err() {
        tracing::error!(what, "a local model job panicked");
    }
}

/// Transcribes until the queue closes, up to [`whisper::MAX_BATCH`] utterances at a time when that
/// many are waiting already.
pub(crate) fn transcribe(mut model: Whisper, queue: &Arc<Queue<SttJob>>) {
    while let Some(mut batch) = queue.take(whisper::MAX_BATCH, may_share) {
        let jobs = std::mem::take(&mut batch.jobs);
        guarded("stt", || {
            let (requests, replies): (Vec<_>, Vec<_>) =
                jobs.into_iter().map(|job| (job.request, job.reply)).unzip();
            for (reply, result) in replies.into_iter().zip(model.transcribe(&requests)) {
                reply.send(result);
            }
        });
    }
}

/// A batch takes as long as its longest clip, so only clips of similar length share one.
fn may_share(first: &SttJob, other: &SttJob) -> bool {
    let (a, b) = (first.request.audio.len(), other.request.audio.len());
    a.max(b) <= 2 * a.min(b).max(16_000) && first.request.timestamps == other.request.timestamps
}

/// Judges pauses until the queue closes.
pub(crate) fn judge(mut model: SmartTurn, queue: &Arc<Queue<TurnJob>>) {
    serve_one_by_one("turn", queue, |job| {
        job.reply
            .send(model.complete_unless(&job.audio, &job.cancel));
    });
}

/// Speaks with Piper until the queue closes.
pub(crate) fn speak_piper(mut model: Piper, queue: &Arc<Queue<TtsJob>>) {
    let waiting = Arc::clone(queue);
    serve_one_by_one("tts", queue, move |job| {
        let result = model.synthesise(&job.text, job.speed, &job.cancel);
        let spoken_ms = result.as_ref().map_or(0, Audio::duration_ms);
        job.reply.send(result);
        if waiting.waiting() == 0 {
            memory::give_back_after(spoken_ms);
        }
    });
}

/// Speaks with Kokoro until the queue closes. The model is opened by the first job, because most
/// servers never need it and it is large.
pub(crate) fn speak_kokoro(
    open: impl Fn() -> Result<Kokoro, LocalError>,
    queue: &Arc<Queue<TtsJob>>,
) {
    let mut model: Option<Kokoro> = None;
    let waiting = Arc::clone(queue);
    serve_one_by_one("kokoro", queue, move |job| {
        let opened = match model.take() {
            Some(opened) => Ok(opened),
            None => open(),
        };
        let result = opened.and_then(|opened| {
            let opened = model.insert(opened);
            opened.synthesise(&job.text, &job.voice, job.speed, &job.cancel)
        });
        let spoken_ms = result.as_ref().map_or(0, Audio::duration_ms);
        job.reply.send(result);
        if waiting.waiting() == 0 {
            memory::give_back_after(spoken_ms);
        }
    });
}

fn serve_one_by_one<J>(what: &'static str, queue: &Arc<Queue<J>>, mut serve: impl FnMut(J)) {
    while let Some(mut batch) = queue.take(1, |_, _| false) {
        for job in std::mem::take(&mut batch.jobs) {
            guarded(what, || serve(job));
        }
        drop::<Batch<J>>(batch);
    }
}
