//! Agents in files: `NAME.toml` in a folder, for people without a database.
//! Read when a session asks for one, on a thread that may wait: a saved file counts for the next session.
//! Never lets a mistake in a file take an agent away that worked: the last good one goes on, and the log says why.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use providers::tools::Outbound;
use wire::rest::agents::{AgentSource, AgentSpec};

use super::{Agent, build, is_name};
use crate::app::LateCatalog;

/// A secret that begins so is read from the environment.
const FROM_ENVIRONMENT: &str = "env:";

/// A file that is no agent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the agent in {path} cannot be used: {problem}")]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: String,
}

/// Where the file is wrong and why, without the line itself: it may hold a key.
fn said(error: &toml::de::Error, text: &str) -> String {
    let why = error.message().replace('\n', " ");
    let Some(span) = error.span() else {
        return why;
    };
    let line = text
        .bytes()
        .take(span.start)
        .filter(|b| *b == b'\n')
        .count()
        + 1;
    format!("line {line}: {why}")
}

/// A file as it was read last.
#[derive(Debug, Clone)]
struct Known {
    changed: Option<SystemTime>,
    spec: AgentSpec,
}

/// A folder of agents.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    outbound: Outbound,
    catalog: LateCatalog,
    known: Mutex<HashMap<String, Known>>,
}

impl Files {
    pub(super) fn new(folder: PathBuf, outbound: Outbound, catalog: LateCatalog) -> Self {
        Self {
            folder,
            outbound,
            catalog,
            known: Mutex::default(),
        }
    }

    fn error(&self, name: &str, problem: String) -> FileError {
        FileError {
            path: self.path(name),
            problem,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.toml"))
    }

    /// Reads every agent of the folder; a folder that does not exist has none.
    pub(super) fn read_all(&self) -> Result<(), FileError> {
        self.names()
            .iter()
            .try_for_each(|name| self.load(name).map(drop))
    }

    /// The agents that can be used.
    pub(super) fn agents(&self) -> Vec<Agent> {
        let names = self.names();
        names.iter().filter_map(|name| self.read(name)).collect()
    }

    /// The agent with this name, as its file says now, or as it said before the file was broken.
    pub(super) fn read(&self, name: &str) -> Option<Agent> {
        let changed = changed(&self.path(name))?;
        let before = self.known().get(name).cloned();
        let spec = match before {
            Some(known) if known.changed == Some(changed) => known.spec,
            before => match self.load(name) {
                Ok(known) => known.spec,
                Err(error) => {
                    tracing::error!(%error, "an agent's file is broken");
                    before?.spec
                }
            },
        };
        Some(Agent {
            name: name.to_owned(),
            source: AgentSource::File,
            spec,
            times: None,
        })
    }

    fn load(&self, name: &str) -> Result<Known, FileError> {
        let path = self.path(name);
        // looked at first: a file that is written meanwhile is read again
        let changed = changed(&path);
        let text =
            std::fs::read_to_string(&path).map_err(|error| self.error(name, error.to_string()))?;
        let mut spec: AgentSpec =
            toml::from_str(&text).map_err(|error| self.error(name, said(&error, &text)))?;
        spec.map_secrets(|secret| match secret.strip_prefix(FROM_ENVIRONMENT) {
            None => Ok(secret.to_owned()),
            Some(variable) => from_environment(variable).ok_or_else(|| {
                self.error(name, format!("the environment has no variable {variable}"))
            }),
        })?;
        // pipelines are looked up where the models are loaded already
        let catalog = self.catalog.get().ok();
        build::check(&spec, catalog.as_ref(), &self.outbound).map_err(|problem| {
            self.error(name, format!("{}: {}", problem.place, problem.message))
        })?;
        let known = Known { changed, spec };
        self.known().insert(name.to_owned(), known.clone());
        Ok(known)
    }

    fn names(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        let name = |path: &Path| {
            let is_toml = path
                .extension()
                .is_some_and(|extension| extension == "toml");
            let stem = path.file_stem()?.to_str()?.to_owned();
            (is_toml && is_name(&stem)).then_some(stem)
        };
        let mut names: Vec<String> = entries
            .filter_map(|entry| name(&entry.ok()?.path()))
            .collect();
        names.sort_unstable();
        names
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a file names the variable that holds its secret, which the configuration cannot know"
)]
fn from_environment(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

fn changed(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn files(folder: &tempfile::TempDir) -> Files {
        let outbound = Outbound::new(&[]).unwrap();
        Files::new(folder.path().to_owned(), outbound, LateCatalog::default())
    }

    fn write(files: &Files, name: &str, text: &str, at: u64) {
        std::fs::write(files.path(name), text).unwrap();
        // file systems tell times coarsely
        let file = std::fs::File::options()
            .write(true)
            .open(files.path(name))
            .unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(at))
            .unwrap();
    }

    fn greeting(files: &Files, name: &str) -> Option<String> {
        files.read(name)?.spec.greeting
    }

    #[test]
    fn a_saved_file_counts_at_once_and_a_broken_one_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(&folder);
        assert_eq!(greeting(&files, "ann"), None);
        write(&files, "ann", "greeting = \"one\"", 1);
        assert_eq!(greeting(&files, "ann").as_deref(), Some("one"));
        write(&files, "ann", "greeting = \"two\"", 2);
        assert_eq!(greeting(&files, "ann").as_deref(), Some("two"));
        write(&files, "ann", "greeting = ", 3);
        assert_eq!(greeting(&files, "ann").as_deref(), Some("two"));
        // what can be read and cannot be done counts as broken as well
        let inside = "[[tools]]\ntype = \"http\"\nname = \"x\"\nurl = \"http://127.0.0.1/\"\n";
        for (at, broken) in [
            inside,
            "turn_detection = { type = \"telepathy\" }",
            "voice = \"\"",
        ]
        .into_iter()
        .enumerate()
        {
            write(
                &files,
                "ann",
                &format!("greeting = \"three\"\n{broken}"),
                4 + at as u64,
            );
            assert_eq!(greeting(&files, "ann").as_deref(), Some("two"), "{broken}");
        }
        assert!(
            files
                .read_all()
                .unwrap_err()
                .to_string()
                .contains("ann.toml")
        );
        std::fs::remove_file(files.path("ann")).unwrap();
        assert_eq!(greeting(&files, "ann"), None);
        assert!(files.agents().is_empty());
    }

    #[test]
    fn secrets_come_from_the_environment_and_names_from_files_alone() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(&folder);
        let tool = "[[tools]]\ntype = \"http\"\nname = \"x\"\nurl = \"https://example.org\"\n";
        write(&files, "ann", &format!("{tool}secret = \"env:PATH\""), 1);
        let spec = files.read("ann").unwrap().spec;
        let json = serde_json::to_value(&spec).unwrap();
        let path = from_environment("PATH").unwrap();
        assert_eq!(json["tools"][0]["secret"], path);
        write(
            &files,
            "bob",
            &format!("{tool}secret = \"env:NO_SUCH_VARIABLE\""),
            1,
        );
        assert!(
            files
                .read_all()
                .unwrap_err()
                .problem
                .contains("NO_SUCH_VARIABLE")
        );
        let open = format!("{tool}secret = \"sk-never-shown");
        write(&files, "bob", &open, 2);
        let told = files.read_all().unwrap_err().problem;
        assert!(
            told.contains("line 5") && !told.contains("never-shown"),
            "{told}"
        );
        write(&files, "not an agent", "", 1);
        std::fs::write(folder.path().join("readme.md"), "").unwrap();
        assert_eq!(files.names(), ["ann", "bob"]);
    }
}
