//! `antiphon serve`: runs the server, or shows the configuration it would run with.
//! `main` calls it, and service managers through it.
//! It never prints a secret.

use std::io::{self, Write};

use clap::Args;
use gateway::Config;

/// How to serve.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Show the resulting configuration with secrets hidden, and stop
    #[arg(long)]
    print_config: bool,
}

/// Runs until a signal and a clean drain.
pub(crate) async fn run(args: &ServeArgs, config: Config) -> anyhow::Result<()> {
    if args.print_config {
        write!(io::stdout(), "{}", config.printed())?;
        return Ok(());
    }
    Ok(Box::pin(gateway::run(config)).await?)
}
