//! The program `antiphon`: reads the command line and the environment, and calls the crate that does it.
//! Run by people, by `make run` and by service managers.
//! It never decides anything about a conversation; that is the server's business.

mod audit;
mod call;
mod dlq;
mod doctor;
mod keys;
#[cfg(feature = "local")]
mod models;
mod serve;
mod space;
mod talk;
mod tenants;
mod worker;

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Parser, Subcommand, error::ErrorKind};
use gateway::{Config, ConfigError, RunError, worker::WorkerError};

/// Thousands of connections take and give back memory in frames of the same sizes; with the system's allocator that is
/// a sixth of the processor time of a server that listens to 5,000 of them (docs/performance.md).
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Bad configuration or command line (DESIGN section 2; `EX_USAGE` of sysexits.h).
const BAD_CONFIGURATION: u8 = 64;
/// Everything else that goes wrong.
const FAILED: u8 = 1;

/// Variables that `antiphon models pull` reads by itself: they look like configuration keys, but the
/// server has no use for them.
const PULL_ONLY: [&str; 3] = [
    "ANTIPHON_MODELS__PYPI_INDEX",
    "ANTIPHON_MODELS__NPM_REGISTRY",
    "ANTIPHON_MODELS__HUB",
];

/// One self-hosted server for live conversations with AI agents
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    /// Configuration file (TOML); the environment goes over it
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server until SIGTERM or Ctrl-C
    Serve(serve::ServeArgs),
    /// Do speech or language work for servers, until SIGTERM or Ctrl-C
    Worker(worker::WorkerArgs),
    /// Show, try again or drop what no worker could do
    #[command(subcommand)]
    Dlq(dlq::DlqCommand),
    /// Fetch, list and verify the models on this machine
    #[cfg(feature = "local")]
    #[command(subcommand)]
    Models(models::ModelsCommand),
    /// Make, list and revoke API keys
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Make, list, suspend and delete tenants
    #[command(subcommand)]
    Tenants(tenants::TenantsCommand),
    /// Check what administrators did against its hashes
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Check this machine and say what to do
    Doctor,
    /// Say a recording to a server and save its spoken answer
    Talk(talk::TalkArgs),
    /// Call a server as a telephone carrier would, say a recording, and listen
    Call(call::CallArgs),
    /// Print the OpenAPI document of the REST interface
    Openapi,
    /// Print the AsyncAPI document of the WebSocket interfaces
    Asyncapi,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // help and version are answers, not errors
            let asked = matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            );
            let _ = error.print();
            return if asked {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(BAD_CONFIGURATION)
            };
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let outcome = runtime
        .context("cannot start the runtime")
        .and_then(|runtime| runtime.block_on(Box::pin(run(cli))));
    match outcome {
        Ok(code) => code,
        // `antiphon models list | head` is not a failure
        Err(error) if reader_is_gone(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "antiphon: {error:#}");
            ExitCode::from(exit_code(&error))
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let config = || load(cli.config.as_deref());
    match cli.command {
        Command::Serve(args) => serve::run(&args, config()?).await?,
        Command::Worker(args) => worker::run(&args, config()?).await?,
        Command::Dlq(command) => dlq::run(command, &config()?, &mut io::stdout()).await?,
        #[cfg(feature = "local")]
        Command::Models(command) => models::run(command, &config()?.models_dir()).await?,
        Command::Keys(command) => keys::run(command, &config()?, &mut io::stdout()).await?,
        Command::Tenants(command) => {
            tenants::run(command, &config()?, &mut io::stdout()).await?;
        }
        Command::Audit(command) => {
            if !audit::run(command, &config()?, &mut io::stdout()).await? {
                return Ok(ExitCode::from(FAILED));
            }
        }
        Command::Doctor => {
            if !doctor::run(&config()?, &mut io::stdout()).await? {
                return Ok(ExitCode::from(FAILED));
            }
        }
        Command::Call(args) => call::run(&args, &config()?).await?,
        Command::Talk(args) => talk::run(&args, &config()?).await?,
        Command::Openapi => writeln!(io::stdout(), "{}", gateway::openapi_json())?,
        Command::Asyncapi => writeln!(io::stdout(), "{}", gateway::asyncapi_json())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The configuration from the file and the process environment.
fn load(file: Option<&Path>) -> Result<Config, ConfigError> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    let environment = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
    Config::load(
        file,
        environment.filter(|(name, _)| !PULL_ONLY.contains(&name.as_str())),
    )
}

/// Whether `error` is nothing but the closed end of a pipe that the output goes to.
fn reader_is_gone(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    error.chain().count() == 1 && io.is_some_and(|it| it.kind() == io::ErrorKind::BrokenPipe)
}

/// What the process tells its parent about `error`.
fn exit_code(error: &anyhow::Error) -> u8 {
    let unusable = |error: &RunError| error.is_bad_configuration();
    let useless = |error: &WorkerError| error.is_bad_configuration();
    if error.is::<ConfigError>()
        || error.downcast_ref().is_some_and(unusable)
        || error.downcast_ref().is_some_and(useless)
    {
        BAD_CONFIGURATION
    } else {
        FAILED
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn bad_configuration_has_its_own_exit_code() {
        let bad = Config::load(None, [("ANTIPHON_LISTEN".into(), "here".into())]).unwrap_err();
        let sentence = bad.to_string();
        assert!(
            sentence.contains("server.listen") && sentence.contains("here"),
            "{sentence}"
        );
        assert_eq!(exit_code(&bad.into()), 64);
        assert_eq!(exit_code(&anyhow::anyhow!("the disk is full")), 1);
    }

    #[test]
    fn only_the_output_s_own_pipe_is_excused() {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(reader_is_gone(&broken().into()));
        assert!(!reader_is_gone(
            &anyhow::Error::from(broken()).context("cannot reach the server")
        ));
        assert!(!reader_is_gone(
            &io::Error::from(io::ErrorKind::NotFound).into()
        ));
    }
}
