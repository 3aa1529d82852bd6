//! The check sequence, the same for people and CI, cheap steps first.
//! `main` calls one function a verb; each prints what it ran and how long it took.
//! A failing step never stops the later ones, so that one run shows everything that is wrong.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::deny::Policy;
use crate::finding::Finding;
use crate::graph::Graph;
use crate::rules;
use crate::tree::{Tree, extension};

/// The one feature set of the whole sequence. Lints, documents and tests share it, so that nothing is compiled
/// a second time for different features and llama.cpp is built once (CONTRIBUTING.md, "What CI builds").
const FEATURES: [&str; 2] = ["--features", "antiphon/llama"];

/// What ran, whether it passed and for how long.
struct Run<'a> {
    root: &'a Path,
    steps: Vec<(&'static str, bool, Duration)>,
}

/// Every check and every test.
pub(crate) fn ci(root: &Path) -> Result<bool> {
    let graph = Graph::read(root)?;
    let mut run = Run {
        root,
        steps: Vec::new(),
    };
    fast(&mut run)?;
    run.command("typos", Command::new("typos").args(["--format", "brief"]))?;
    run.command("shell", &mut shellcheck(&Tree::read(root)?))?;
    let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--locked"]);
    run.command("doc", doc.args(FEATURES).env("RUSTDOCFLAGS", "-D warnings"))?;
    // with the tests: what they add to the features of dependencies would have all of them built a second time
    let mut build = cargo(&["build", "--workspace", "--bins", "--tests", "--locked"]);
    let ready = run.command("build", build.args(FEATURES))?;
    if ready {
        let mut server = Command::new(graph.target.join("debug").join("antiphon"));
        run.command("models", server.args(["models", "pull", "--set", "all"]))?;
    }
    // what is said over the doors in the stories; judged with the clients
    let recordings = graph.target.join("door-recordings");
    empty(&recordings)?;
    let mut tests = cargo(&[
        "nextest",
        "run",
        "--workspace",
        "--profile",
        "ci",
        "--locked",
    ]);
    tests.env("ANTIPHON_DOOR_RECORDINGS", &recordings);
    run.command("tests", tests.args(FEATURES))?;
    if ready {
        let server = graph.target.join("debug").join("antiphon");
        run.command(
            "clients",
            script("tests/clients/run.sh")
                .env("ANTIPHON_BIN", &server)
                .env("ANTIPHON_DOOR_RECORDINGS", &recordings),
        )?;
        run.command(
            "portal",
            script("portal/test.sh").env("ANTIPHON_BIN", &server),
        )?;
    }
    Ok(run.close())
}

/// Formatting, rules and lints: what to run before a commit.
pub(crate) fn check(root: &Path) -> Result<bool> {
    let mut run = Run {
        root,
        steps: Vec::new(),
    };
    fast(&mut run)?;
    Ok(run.close())
}

/// The rules alone.
pub(crate) fn rules(root: &Path) -> Result<bool> {
    let mut run = Run {
        root,
        steps: Vec::new(),
    };
    run.rules()?;
    Ok(run.close())
}

/// Writes the generated files. Built with the whole workspace's features, so that it shares what the tests built.
pub(crate) fn generate(root: &Path) -> Result<bool> {
    let graph = Graph::read(root)?;
    let mut run = Run {
        root,
        steps: Vec::new(),
    };
    // an example asks for the features of tests, with which everything is built anyway
    let mut build = cargo(&[
        "build",
        "--workspace",
        "--bin",
        "generate",
        "--example",
        "server_events",
    ]);
    if run.command("build", build.args(FEATURES))? {
        run.command(
            "write",
            &mut Command::new(graph.target.join("debug").join("generate")),
        )?;
    }
    Ok(run.close())
}

fn fast(run: &mut Run<'_>) -> Result<()> {
    run.command("format", &mut cargo(&["fmt", "--all", "--check"]))?;
    run.rules()?;
    let mut clippy = cargo(&["clippy", "--workspace", "--all-targets", "--locked"]);
    run.command(
        "clippy",
        clippy.args(FEATURES).args(["--", "-D", "warnings"]),
    )?;
    Ok(())
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments);
    command
}

/// An empty folder at this place.
fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())
}

/// The linter over every shell script of the tree.
fn shellcheck(tree: &Tree) -> Command {
    let mut command = Command::new("shellcheck");
    let scripts = tree
        .files()
        .map(|(path, _)| path)
        .filter(|path| extension(path) == "sh");
    command
        .arg("--external-sources")
        .args(scripts)
        .arg(".ci/run");
    command
}

/// A shell script of the repository; its path is relative to the root, where every step runs.
fn script(path: &str) -> Command {
    let mut command = Command::new("bash");
    command.arg(path);
    command
}

impl Run<'_> {
    /// Runs one command in the repository root; its output goes straight to the terminal.
    fn command(&mut self, name: &'static str, command: &mut Command) -> Result<bool> {
        eprintln!("\n==> {name}");
        let started = now();
        let program = command.get_program().to_owned();
        let status = command.current_dir(self.root).status().with_context(|| {
            format!("start {}: run `make test` to install it", program.display())
        })?;
        self.steps.push((name, status.success(), started.elapsed()));
        Ok(status.success())
    }

    /// The house rules, the direction of dependencies and the policy of deny.toml.
    fn rules(&mut self) -> Result<()> {
        eprintln!("\n==> rules");
        let started = now();
        let graph = Graph::read(self.root)?;
        let mut findings: Vec<Finding> = rules::check(&Tree::read(self.root)?);
        findings.extend(graph.check());
        findings.extend(Policy::read(self.root)?.check(&graph));
        for finding in &findings {
            eprintln!("{finding}");
        }
        self.steps
            .push(("rules", findings.is_empty(), started.elapsed()));
        Ok(())
    }

    /// Prints the table of steps and the closing line; says whether everything passed.
    #[expect(clippy::print_stdout, reason = "the closing line is the tool's result")]
    fn close(self) -> bool {
        eprintln!();
        for (name, passed, took) in &self.steps {
            let verdict = if *passed { "passed" } else { "FAILED" };
            eprintln!("{name:>8}  {verdict}  {:6.1} s", took.as_secs_f64());
        }
        let passed = self.steps.iter().filter(|(_, passed, _)| *passed).count();
        let failed = self.steps.len() - passed;
        println!("checks: {passed} passed, {failed} failed");
        failed == 0
    }
}

/// The time a step starts at.
#[expect(
    clippy::disallowed_methods,
    reason = "the tool times its own steps and decides nothing by it"
)]
fn now() -> Instant {
    Instant::now()
}
