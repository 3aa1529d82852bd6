//! Whether a model is on this disk and whole.
//! `antiphon models list|verify|pull` and `doctor` ask, and the server before it opens a model.
//! It never repairs anything: it says which command does.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    digest::sha256_of_file,
    install::recorded,
    manifest::{Manifest, Model},
};
use crate::LocalError;

/// How closely to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Presence and length of every file: microseconds.
    Quick,
    /// The SHA-256 of every file as well: about half a second for the default set.
    Full,
}

/// What [`check`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Every file is there and as it should be.
    Ready,
    /// A file is not there.
    Missing(PathBuf),
    /// A file is there with other bytes than it should have.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl State {
    /// The state as a result, for callers that need the model.
    ///
    /// Errors: [`LocalError::Missing`] or [`LocalError::Damaged`], which name the command to run.
    pub fn into_result(self, model: &str) -> Result<(), LocalError> {
        match self {
            Self::Ready => Ok(()),
            Self::Missing(path) => Err(LocalError::Missing {
                model: model.to_owned(),
                path,
            }),
            Self::Damaged { path, reason } => Err(LocalError::damaged(model, path, reason)),
        }
    }
}

/// Compares the files of `model` in `models_dir` with the manifest, and files made on this machine
/// with the record of their making (a directory copied from elsewhere without its record has them
/// checked for presence only). The first difference is the answer.
///
/// Errors: [`LocalError::Io`] when a file cannot be read, [`LocalError::BadInput`] when the model
/// has no files for this platform.
pub fn check(models_dir: &Path, model: &Model, depth: Depth) -> Result<State, LocalError> {
    let directory = models_dir.join(&model.id);
    for file in model.files_here()? {
        let path = directory.join(&file.path);
        let state = compare(&path, Some((file.size, &file.sha256)), depth)?;
        if state != State::Ready {
            return Ok(state);
        }
    }
    let record = recorded(models_dir, model);
    for name in &model.made {
        let pin = record.as_ref().and_then(|record| record.files.get(name));
        let pin = pin.map(|pin| (pin.size, pin.sha256.as_str()));
        let state = compare(&directory.join(name), pin, depth)?;
        if state != State::Ready {
            return Ok(state);
        }
    }
    Ok(State::Ready)
}

/// Fails unless the model called `id` is in `models_dir`, by a [`Depth::Quick`] look.
///
/// Errors: [`LocalError::Missing`] or [`LocalError::Damaged`] as one sentence that names the command
/// to run; [`LocalError::BadInput`] for a model the manifest does not have.
pub fn require(models_dir: &Path, id: &str) -> Result<(), LocalError> {
    let model = Manifest::embedded()?.model(id)?;
    check(models_dir, model, Depth::Quick)?.into_result(id)
}

fn compare(path: &Path, pin: Option<(u64, &str)>, depth: Depth) -> Result<State, LocalError> {
    let read_error = |source| LocalError::Io {
        tried: "read",
        path: path.to_owned(),
        source,
    };
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(State::Missing(path.to_owned()));
        }
        Err(error) => return Err(read_error(error)),
    };
    let damaged = |reason| {
        Ok(State::Damaged {
            path: path.to_owned(),
            reason,
        })
    };
    let Some((size, sha256)) = pin else {
        return Ok(State::Ready);
    };
    if found.len() != size {
        return damaged(format!("{} bytes instead of {size}", found.len()));
    }
    if depth == Depth::Full {
        let actual = sha256_of_file(path).map_err(read_error)?;
        if actual != sha256 {
            return damaged(format!("sha256 {actual} instead of {sha256}"));
        }
    }
    Ok(State::Ready)
}
