//! `antiphon worker`: does speech and language work for gateways, as much as it has places for.
//! `main` calls it, and service managers through it.
//! It never talks to a client.

use clap::{Args, ValueEnum};
use gateway::{
    Config,
    worker::{self, Plan},
};
use store::live::WorkKind;

/// Kinds of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kinds {
    /// Speech to text
    Stt,
    /// Text to speech
    Tts,
    /// Language
    Llm,
    /// All of them
    All,
}

impl Kinds {
    pub(crate) fn list(self) -> Vec<WorkKind> {
        match self {
            Self::Stt => vec![WorkKind::Stt],
            Self::Tts => vec![WorkKind::Tts],
            Self::Llm => vec![WorkKind::Llm],
            Self::All => WorkKind::ALL.to_vec(),
        }
    }
}

/// How to work.
#[derive(Debug, Args)]
pub(crate) struct WorkerArgs {
    /// What to do for the gateways that share one Redis
    kinds: Kinds,
    /// Jobs of each kind at the same time [default: as configured]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: Option<u16>,
    /// Address of /health, /ready and /metrics [default: as configured]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<std::net::SocketAddr>,
}

/// Runs until a signal and a clean drain.
pub(crate) async fn run(args: &WorkerArgs, mut config: Config) -> anyhow::Result<()> {
    if let Some(listen) = args.listen {
        config.worker.listen = listen.to_string();
    }
    let plan = Plan {
        concurrency: args.concurrency.map(usize::from),
        ..Plan::of(args.kinds.list())
    };
    Ok(Box::pin(worker::run(config, plan)).await?)
}
