//! A small language model in GGUF form through llama.cpp: several conversations in one context.
//! The scheduler's `llm` thread owns one; everybody else asks through [`crate::LocalModels`].
//! It never queues: a step takes what it was given and returns within some tens of milliseconds.
//!
//! The default, SmolLM2-135M, shows that the wiring works; it is too small to be a useful agent.

mod engine;
mod prompt;
mod slots;
mod text;

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use llama_cpp_2::{
    LogOptions,
    llama_backend::LlamaBackend,
    model::{LlamaModel, params::LlamaModelParams},
    send_logs_to_tracing,
};

pub(crate) use engine::{Admission, Engine, Task, TaskKind};

use crate::{LlmConfig, LocalError};

/// llama.cpp is initialised once per process and never shut down.
static BACKEND: Mutex<Option<&'static LlamaBackend>> = Mutex::new(None);

/// The weights, mapped from the file.
pub(crate) struct Llama {
    model: LlamaModel,
    backend: &'static LlamaBackend,
    config: LlmConfig,
}

impl Llama {
    /// Maps `<models_dir>/<config.model>/model.gguf`.
    ///
    /// Errors: [`LocalError::Missing`] and [`LocalError::Damaged`] name the model to pull;
    /// [`LocalError::Runtime`] on a processor without AVX2.
    pub(crate) fn open(models_dir: &Path, config: LlmConfig) -> Result<Self, LocalError> {
        check_processor()?;
        let path = models_dir.join(&config.model).join("model.gguf");
        if !path.is_file() {
            return Err(LocalError::Missing {
                model: config.model,
                path,
            });
        }
        let backend = backend()?;
        let params = LlamaModelParams::default()
            .with_n_gpu_layers(0)
            .with_use_mmap(true);
        let model = LlamaModel::load_from_file(backend, &path, &params)
            .map_err(|error| LocalError::damaged(&config.model, &path, error.to_string()))?;
        Ok(Self {
            model,
            backend,
            config,
        })
    }
}

fn backend() -> Result<&'static LlamaBackend, LocalError> {
    let mut slot = BACKEND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(backend) = *slot {
        return Ok(backend);
    }
    send_logs_to_tracing(LogOptions::default());
    let backend =
        LlamaBackend::init().map_err(|error| LocalError::runtime("start llama.cpp", error))?;
    Ok(*slot.insert(Box::leak(Box::new(backend))))
}

/// llama.cpp is compiled for AVX2, FMA and F16C; without them it would die of an illegal instruction.
fn check_processor() -> Result<(), LocalError> {
    #[cfg(target_arch = "x86_64")]
    if !(is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c"))
    {
        return Err(LocalError::runtime(
            "start llama.cpp",
            "this processor lacks AVX2, FMA or F16C; use a language model server instead",
        ));
    }
    Ok(())
}
