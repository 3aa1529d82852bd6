//! Log lines: pretty for people, JSON for machines, always on standard error.
//! Set up once by [`crate::run`].
//! Never prints a key: every line passes through `redact`.

use std::io::{self, IsTerminal as _};

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::redact::RedactingWriter;
use crate::config::{Log, LogFormat};

/// Parses a level or a list of directives such as `info,gateway=debug`.
///
/// # Errors
/// When it is neither.
pub fn filter(directives: &str) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    EnvFilter::builder().parse(directives)
}

/// What libraries say at length while they load; `log.level` can ask for it again.
const QUIET: &str = "llama-cpp-2=warn,llama_cpp_2=error";

/// What libraries would say of addresses with keys in them, of keys in handshakes and of what was spoken; no level asks
/// for it. Our own code tells of their failures.
const SECRET: &str =
    "rmcp=off,reqwest=info,hyper_util=info,tungstenite=info,tokio_tungstenite=info";

/// The filter of the process: what was asked for, between what may be changed and what may not.
fn whole(directives: &str) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    filter(&format!("{QUIET},{directives},{SECRET}"))
}

/// Standard error behind the redaction.
#[derive(Debug, Clone, Copy)]
struct SafeStderr;

impl<'a> MakeWriter<'a> for SafeStderr {
    type Writer = RedactingWriter<io::Stderr>;

    fn make_writer(&'a self) -> Self::Writer {
        RedactingWriter(io::stderr())
    }
}

/// One JSON object a line: the event's own fields, and under `spans` those of what it happened in: `request_id`,
/// and `session` in everything that a conversation causes.
pub fn json<S, W>(writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(true)
        .with_writer(writer)
}

/// Starts logging. In a process that logs already (a test runs many servers) nothing changes.
pub fn start(log: &Log) {
    let Ok(filter) = whole(&log.level) else {
        return;
    };
    let registry = tracing_subscriber::registry().with(filter);
    let started = match log.format {
        LogFormat::Json => registry.with(json(SafeStderr)).try_init(),
        LogFormat::Pretty => registry
            .with(
                tracing_subscriber::fmt::layer()
                    .with_ansi(io::stderr().is_terminal())
                    .with_target(false)
                    .with_writer(SafeStderr),
            )
            .try_init(),
    };
    // the only failure is "already started"
    drop(started);
}
