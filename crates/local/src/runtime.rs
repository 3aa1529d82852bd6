//! ONNX Runtime, loaded once from the models directory, and the sessions made with it.
//! Every model of this crate that is an ONNX graph opens its sessions and runs them through here.
//! It never spins a waiting thread and never keeps scratch memory between runs unless asked.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use ort::{
    environment::Environment,
    ep,
    session::{
        NoSelectedOutputs, RunOptions, Session,
        builder::{GraphOptimizationLevel, SessionBuilder},
    },
};

use crate::{Cancel, CancelHook, LocalError};

/// Path of the library inside the models directory.
pub const LIBRARY: &str = "onnxruntime/libonnxruntime.so";

/// The one environment of the process: ONNX Runtime allows no second one, and it must outlive every
/// session, so it is kept until the process ends.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// How one session uses threads and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionConfig {
    /// Threads that work on one run, the calling thread included.
    pub threads: usize,
    /// What to trade between memory held and speed.
    pub memory: Memory,
}

/// What a session keeps in memory besides its weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// Weights are re-laid out once for the CPU's kernels (faster); scratch memory goes back to the
    /// allocator after each operator.
    Lean,
    /// As [`Lean`](Self::Lean), and weights stay as they are in the file: smallest, slower.
    Smallest,
    /// Keeps an arena of scratch memory between runs: fastest for graphs of many small operators,
    /// holds on to its high-water mark.
    Arena,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            threads: 1,
            memory: Memory::Lean,
        }
    }
}

/// The environment, loading `<models_dir>/onnxruntime/libonnxruntime.so` on the first call.
/// Later calls return the same environment whatever directory they name.
///
/// Errors: [`LocalError::Missing`] without the library, [`LocalError::Runtime`] when it does not load.
pub fn environment(models_dir: &Path) -> Result<Environment, LocalError> {
    let mut slot = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = slot.as_ref() {
        return Ok(environment.clone());
    }
    let library = models_dir.join(LIBRARY);
    if !library.is_file() {
        return Err(LocalError::Missing {
            model: "onnxruntime".to_owned(),
            path: library,
        });
    }
    let environment = ort::init_from(&library)
        .map_err(|error| LocalError::runtime("load onnx runtime", error))?
        .with_name("antiphon")
        .with_telemetry(false)
        .build()
        .map_err(|error| LocalError::runtime("start onnx runtime", error))?;
    environment.set_log_level(ort::logging::LogLevel::Error);
    *slot = Some(environment.clone());
    Ok(environment)
}

/// Opens the graph in `file` as one session.
///
/// Errors: [`LocalError::Missing`] without the file or the library, [`LocalError::Damaged`] when
/// the graph is refused.
pub fn session(
    models_dir: &Path,
    model: &str,
    file: &Path,
    config: SessionConfig,
) -> Result<Session, LocalError> {
    let environment = environment(models_dir)?;
    if !file.is_file() {
        return Err(LocalError::Missing {
            model: model.to_owned(),
            path: file.to_owned(),
        });
    }
    let mut builder = builder(&environment, config)
        .map_err(|error| LocalError::runtime(format!("configure a session for {model}"), error))?;
    builder
        .commit_from_file(file)
        .map_err(|error| LocalError::damaged(model, file, error.to_string()))
}

fn builder(environment: &Environment, config: SessionConfig) -> ort::Result<SessionBuilder> {
    let arena = config.memory == Memory::Arena;
    let prepack = config.memory != Memory::Smallest;
    Ok(Session::builder(environment)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(config.threads)?
        .with_inter_threads(1)?
        .with_parallel_execution(false)?
        // an idle session must cost no processor time
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?
        // patterns pre-allocate one block per input shape; our shapes change with every utterance
        .with_memory_pattern(false)?
        .with_prepacking(prepack)?
        // its fused kernel takes four times as long over many positions as the two it replaces
        .with_disabled_optimizers("SkipLayerNormFusion")?
        .with_execution_providers([ep::CPU::default().with_arena_allocator(arena).build()])?)
}

/// The options of one run, tied to a [`Cancel`]: cancelling stops the run between two operators.
pub struct CancellableRun {
    options: Arc<RunOptions<NoSelectedOutputs>>,
    cancel: Cancel,
    _hook: CancelHook,
}

impl CancellableRun {
    /// Options for one or more runs that end early when `cancel` is raised.
    ///
    /// Errors: [`LocalError::Cancelled`] when it already is, [`LocalError::Runtime`] when the
    /// library refuses to create options.
    pub fn new(cancel: &Cancel) -> Result<Self, LocalError> {
        cancel.check()?;
        let options =
            RunOptions::new().map_err(|error| LocalError::runtime("create run options", error))?;
        let options = Arc::new(options);
        let terminated = Arc::clone(&options);
        let hook = cancel.on_cancel(move || {
            if let Err(error) = terminated.terminate() {
                tracing::warn!(%error, "could not terminate a model run");
            }
        });
        Ok(Self {
            options,
            cancel: cancel.clone(),
            _hook: hook,
        })
    }

    /// The options to pass to `Session::run_with_options`.
    pub fn options(&self) -> &RunOptions<NoSelectedOutputs> {
        &self.options
    }

    /// The error of a run made with these options: [`LocalError::Cancelled`] when the run failed
    /// because it was stopped.
    pub fn error(&self, tried: &str, error: &ort::Error) -> LocalError {
        if self.cancel.is_cancelled() {
            LocalError::Cancelled
        } else {
            LocalError::runtime(tried, error)
        }
    }
}
