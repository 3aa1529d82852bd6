//! What the operator sees: logs, metrics, health.
//! Fed by every other module through [`Metrics::emit`]; read by people and by Prometheus.
//! Never carries a secret or a spoken word.

pub mod calls;
pub mod events;
pub mod health;
mod incidents;
mod kept;
mod keys;
mod limits;
mod lines;
pub mod logging;
pub mod metrics;
mod outgoing;
pub mod redact;
mod rooms;
mod surveys;
mod usage;
mod work;

pub use events::{Event, Outcome, Stage};
pub use keys::Layer;
pub use metrics::{Metrics, metrics_markdown};
pub use outgoing::{EffectResult, Outgoing};
pub use work::WorkOutcome;

use crate::Config;

/// What people must know about who answers, and the one setting that changes it: for the banner, `/info` and the page.
/// `None` when a real language model is configured.
pub fn llm_notice(config: &Config) -> Option<String> {
    let default = config.pipelines.get(&config.pipeline.name);
    let local = default.is_none_or(|own| own.llm.first().is_some_and(|first| first == "local"));
    if config.llm.base_url.is_some() || !local {
        return None;
    }
    Some(match config.pipeline.name.as_str() {
        "scripted" => "a script answers, for tests".to_owned(),
        _ if cfg!(not(feature = "llama")) => "no language model is built in; set ANTIPHON_LLM__BASE_URL (and ANTIPHON_LLM__MODEL) to \
                                              use Ollama or any OpenAI-compatible server, or build with the feature `llama`"
            .to_owned(),
        _ => "a small demo model answers; set ANTIPHON_LLM__BASE_URL (and ANTIPHON_LLM__MODEL) to use Ollama or any \
              OpenAI-compatible server"
            .to_owned(),
    })
}
