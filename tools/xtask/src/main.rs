//! Repository chores in Rust: the house rules, the dependency rules, the one check sequence.
//! People and CI call it as `cargo xtask VERB`; nothing that ships depends on it.
//! It never edits a file, except for `generate`, which rewrites the generated ones.

mod deny;
mod finding;
mod graph;
mod rules;
mod steps;
mod tree;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

const USAGE: &str = "\
usage: cargo xtask VERB

  ci           every check and every test; what `make test` runs after set-up
  check        formatting, lints and rules: the fast half, before a commit
  check-rules  house rules, dependency rules and the policy of deny.toml, in a second
  generate     rewrite docs/generated/ and config.default.toml from the code";

fn main() -> ExitCode {
    let verbs: Vec<String> = std::env::args().skip(1).collect();
    match run(&verbs) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verbs: &[String]) -> Result<ExitCode> {
    let root = repository_root()?;
    let passed = match verbs {
        [verb] if verb == "ci" => steps::ci(&root)?,
        [verb] if verb == "check" => steps::check(&root)?,
        [verb] if verb == "check-rules" => steps::rules(&root)?,
        [verb] if verb == "generate" => steps::generate(&root)?,
        _ => bail!("{USAGE}"),
    };
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The folder that holds the workspace manifest: two levels above this crate's own.
fn repository_root() -> Result<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = own
        .ancestors()
        .nth(2)
        .context("xtask lies two levels below the repository root")?;
    Ok(root.to_path_buf())
}
