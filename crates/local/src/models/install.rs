//! Puts checked files in their place, each in one step, and writes down what was put there.
//! The binary's downloader calls it once the pieces of a model are on this disk.
//! It never leaves a half-written file under a model's name.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    digest::{Sha256, sha256_of_file},
    manifest::{Model, ModelFile},
};
use crate::LocalError;

/// Record of what was installed, inside each model's directory.
pub(super) const RECORD: &str = "installed.json";

/// Bytes copied at a time.
const BLOCK_BYTES: usize = 1 << 18;

/// What [`record`] writes: the pins of every file, those computed on this machine included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Installed {
    pub(super) model: String,
    pub(super) files: BTreeMap<String, Pin>,
}

/// Length and SHA-256 of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pin {
    pub(super) size: u64,
    pub(super) sha256: String,
}

/// A directory beside the models in which one model's files are put together; gone when dropped.
/// It is on the same file system, so that moving a file into place is one step.
#[derive(Debug)]
pub struct Staging {
    model: String,
    directory: PathBuf,
    target: PathBuf,
}

impl Staging {
    /// Opens an empty staging directory for `model` inside `models_dir`.
    ///
    /// Errors: [`LocalError::Io`] when it cannot be made.
    pub fn open(models_dir: &Path, model: &Model) -> Result<Self, LocalError> {
        let directory = models_dir.join(".staging").join(&model.id);
        // what an interrupted run left behind
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).map_err(|source| LocalError::Io {
            tried: "make directory",
            path: directory.clone(),
            source,
        })?;
        let target = models_dir.join(&model.id);
        Ok(Self {
            model: model.id.clone(),
            directory,
            target,
        })
    }

    /// A path inside the staging directory for a piece or a whole file.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Joins `pieces` in order, checks length and hash, and moves the result to its place.
    ///
    /// Errors: [`LocalError::Damaged`] when the bytes are not the manifest's (nothing is moved then),
    /// [`LocalError::Io`] when the disk refuses.
    pub fn install(&self, file: &ModelFile, pieces: &[PathBuf]) -> Result<(), LocalError> {
        let target = self.target.join(&file.path);
        let whole = if let [whole] = pieces {
            let sha256 = sha256_of_file(whole).map_err(io_error("read", whole))?;
            self.compare(file, whole, &sha256)?;
            whole.clone()
        } else {
            let whole = self.path("joined");
            let sha256 = join(pieces, &whole)?;
            self.compare(file, &whole, &sha256)?;
            whole
        };
        if let Some(directory) = target.parent() {
            fs::create_dir_all(directory).map_err(io_error("make directory", directory))?;
        }
        // the name must not reach the disk before the bytes do
        File::open(&whole)
            .and_then(|it| it.sync_all())
            .map_err(io_error("sync", &whole))?;
        fs::rename(&whole, &target).map_err(io_error("move into place", &target))
    }

    fn compare(&self, file: &ModelFile, whole: &Path, sha256: &str) -> Result<(), LocalError> {
        let size = fs::metadata(whole).map_err(io_error("read", whole))?.len();
        if size == file.size && sha256 == file.sha256 {
            return Ok(());
        }
        let reason = format!(
            "{size} bytes, sha256 {sha256}; expected {} and {}",
            file.size, file.sha256
        );
        Err(LocalError::damaged(&self.model, &file.path, reason))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // a leftover directory costs space only, and the next run empties it
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Writes `installed.json` for a complete model: the manifest's pins, and the hash of every file in
/// [`Model::made`], which no manifest can know.
///
/// Errors: [`LocalError::Missing`] when a made file is not there, [`LocalError::Io`] otherwise.
pub fn record(models_dir: &Path, model: &Model) -> Result<(), LocalError> {
    let directory = models_dir.join(&model.id);
    let mut files = BTreeMap::new();
    for file in model.files_here()? {
        files.insert(
            file.path.clone(),
            Pin {
                size: file.size,
                sha256: file.sha256.clone(),
            },
        );
    }
    for name in &model.made {
        let path = directory.join(name);
        let open_error = |error| LocalError::open(&model.id, &path, error);
        let size = fs::metadata(&path).map_err(open_error)?.len();
        let sha256 = sha256_of_file(&path).map_err(open_error)?;
        files.insert(name.clone(), Pin { size, sha256 });
    }
    let installed = Installed {
        model: model.id.clone(),
        files,
    };
    let path = directory.join(RECORD);
    let text = serde_json::to_vec_pretty(&installed)
        .map_err(|error| io_error("write", &path)(io::Error::other(error)))?;
    let part = directory.join(format!(".{RECORD}.part"));
    fs::write(&part, text).map_err(io_error("write", &part))?;
    fs::rename(&part, &path).map_err(io_error("move into place", &path))
}

/// The record of a model, when there is a readable one.
pub(super) fn recorded(models_dir: &Path, model: &Model) -> Option<Installed> {
    let text = fs::read(models_dir.join(&model.id).join(RECORD)).ok()?;
    serde_json::from_slice(&text).ok()
}

fn io_error(tried: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LocalError {
    let path = path.to_owned();
    move |source| LocalError::Io {
        tried,
        path,
        source,
    }
}

/// Joins files into `to` and returns the SHA-256 of the whole.
fn join(pieces: &[PathBuf], to: &Path) -> Result<String, LocalError> {
    let mut out = File::create(to).map_err(io_error("write", to))?;
    let mut hash = Sha256::new();
    let mut block = vec![0; BLOCK_BYTES];
    for piece in pieces {
        let mut file = File::open(piece).map_err(io_error("read", piece))?;
        loop {
            let read = file.read(&mut block).map_err(io_error("read", piece))?;
            if read == 0 {
                break;
            }
            hash.update(&block[..read]);
            out.write_all(&block[..read])
                .map_err(io_error("write", to))?;
        }
    }
    Ok(hash.finish())
}
