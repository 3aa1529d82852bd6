//! Fetches one file over HTTP: resumes where an earlier try stopped, tries again when that can help,
//! and gives the file its name only once its hash is right. `pull` and `index` call it.
//! It never trusts a length, a range or a hash that a server states.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use backon::{BackoffBuilder as _, ExponentialBuilder};
use futures_util::StreamExt as _;
use reqwest::{Response, StatusCode, header};
use tokio::{fs, io::AsyncWriteExt as _};
use url::Url;

use super::progress::Progress;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest silence in the middle of a transfer.
const SILENCE: Duration = Duration::from_secs(30);
/// Most bytes of an index page; the largest of ours, that of onnxruntime, has 0.5 MB.
const PAGE_BYTES: usize = 16 << 20;

/// Why a file could not be had from one address.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The server answered, and no further try would change the answer.
    #[error("{url} answered {status}")]
    Refused { url: String, status: StatusCode },
    /// Every try ended early.
    #[error("{url}: {reason} (tried {tries} times)")]
    Unreachable {
        url: String,
        reason: String,
        tries: usize,
    },
    /// The bytes are not those of the manifest.
    #[error("{url} has other bytes than the manifest says: {reason}")]
    WrongBytes { url: String, reason: String },
    /// The registry does not list the file.
    #[error("{0}")]
    NotListed(String),
    /// The disk refused.
    #[error("write {}: {source}", path.display())]
    Disk { path: PathBuf, source: io::Error },
}

/// How one try ended when it did not end well.
enum Setback {
    /// Worth another try.
    Passing(String),
    Final(FetchError),
}

/// A file to fetch and the bytes it must have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    /// What to call it in front of people.
    pub(crate) label: &'a str,
    /// Length in bytes.
    pub(crate) size: u64,
    /// SHA-256, 64 hexadecimal digits.
    pub(crate) sha256: &'a str,
    /// Where it goes; the unfinished file lies beside it with `.part` appended.
    pub(crate) to: &'a Path,
}

/// An HTTP client with this program's patience.
pub(crate) struct Fetcher {
    client: reqwest::Client,
    backoff: ExponentialBuilder,
}

impl Fetcher {
    /// A client that trusts the system's certificates (`SSL_CERT_FILE` and `SSL_CERT_DIR` are
    /// honoured) and waits between tries as `backoff` says.
    pub(crate) fn new(backoff: ExponentialBuilder) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("antiphon/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .build()
            .context("cannot set up HTTPS (are the system's certificates installed, as by ca-certificates?)")?;
        Ok(Self { client, backoff })
    }

    /// Waits of half a second up to eight, six tries in all without progress.
    pub(crate) fn patience() -> ExponentialBuilder {
        ExponentialBuilder::default()
            .with_jitter()
            .with_min_delay(Duration::from_millis(500))
            .with_max_delay(Duration::from_secs(8))
            .with_max_times(5)
    }

    /// The text at `url` and the address it came from in the end, after redirections.
    pub(crate) async fn page(&self, url: &Url, accept: &str) -> Result<Page, FetchError> {
        let mut delays = self.backoff.build();
        let mut tries = 1;
        loop {
            let reason = match self.page_once(url, accept).await {
                Ok(page) => return Ok(page),
                Err(Setback::Final(error)) => return Err(error),
                Err(Setback::Passing(reason)) => reason,
            };
            let Some(delay) = delays.next() else {
                return Err(FetchError::Unreachable {
                    url: shown(url),
                    reason,
                    tries,
                });
            };
            tries += 1;
            tokio::time::sleep(delay).await;
        }
    }

    async fn page_once(&self, url: &Url, accept: &str) -> Result<Page, Setback> {
        let request = self.client.get(url.clone()).header(header::ACCEPT, accept);
        let response = checked(request.send().await.map_err(passing)?, url)?;
        let base = response.url().clone();
        let kind = response.headers().get(header::CONTENT_TYPE);
        let kind = kind
            .and_then(|it| it.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let mut bytes = Vec::new();
        let mut body = response.bytes_stream();
        while let Some(chunk) = body.next().await {
            bytes.extend_from_slice(&chunk.map_err(passing)?);
            if bytes.len() > PAGE_BYTES {
                let reason = format!("more than {PAGE_BYTES} bytes for an index page");
                return Err(Setback::Final(FetchError::WrongBytes {
                    url: shown(url),
                    reason,
                }));
            }
        }
        Ok(Page {
            base,
            kind,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        })
    }

    /// Fetches `target` from `url`. A file that is there with the right bytes is left alone.
    pub(crate) async fn file(
        &self,
        url: &Url,
        target: Target<'_>,
        progress: &mut Progress,
    ) -> Result<(), FetchError> {
        let disk = |source| FetchError::Disk {
            path: target.to.to_owned(),
            source,
        };
        if sha256(target.to)
            .await
            .is_ok_and(|actual| actual == target.sha256)
        {
            return Ok(());
        }
        let part = part_of(target.to);
        let mut delays = self.backoff.build();
        let (mut tries, mut wrong) = (1, false);
        progress.begin(target.label, target.size, length(&part).await);
        loop {
            let before = length(&part).await;
            let reason = match self.file_once(url, target, &part, progress).await {
                Ok(()) => {
                    let actual = sha256(&part).await.map_err(disk)?;
                    if actual == target.sha256 {
                        fs::rename(&part, target.to).await.map_err(disk)?;
                        progress.end("is here");
                        return Ok(());
                    }
                    fs::remove_file(&part).await.map_err(disk)?;
                    let reason = format!("sha256 {actual} instead of {}", target.sha256);
                    if wrong {
                        progress.end("failed");
                        return Err(FetchError::WrongBytes {
                            url: shown(url),
                            reason,
                        });
                    }
                    // the beginning may be another source's, or a bit was flipped: once from the start
                    wrong = true;
                    reason
                }
                Err(Setback::Final(error)) => {
                    progress.end("failed");
                    return Err(error);
                }
                Err(Setback::Passing(reason)) => reason,
            };
            if length(&part).await > before {
                // a slow line that moves is no reason to give up
                delays = self.backoff.build();
            }
            let Some(delay) = delays.next() else {
                progress.end("failed");
                return Err(FetchError::Unreachable {
                    url: shown(url),
                    reason,
                    tries,
                });
            };
            tries += 1;
            progress.note(&format!("{}: {reason}; trying again", target.label));
            tokio::time::sleep(delay).await;
        }
    }

    /// One try: afterwards the part file is longer, complete, or gone.
    async fn file_once(
        &self,
        url: &Url,
        target: Target<'_>,
        part: &Path,
        progress: &mut Progress,
    ) -> Result<(), Setback> {
        let disk = |source| {
            Setback::Final(FetchError::Disk {
                path: part.to_owned(),
                source,
            })
        };
        let mut have = length(part).await;
        if have > target.size {
            fs::remove_file(part).await.map_err(disk)?;
            have = 0;
        }
        if have == target.size {
            return Ok(());
        }
        // compression would change lengths and ranges
        let mut request = self
            .client
            .get(url.clone())
            .header(header::ACCEPT_ENCODING, "identity");
        if have > 0 {
            request = request.header(header::RANGE, format!("bytes={have}-"));
        }
        let response = request.send().await.map_err(passing)?;
        if have > 0 && response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            fs::remove_file(part).await.map_err(disk)?;
            return Err(Setback::Passing("the server cannot resume".to_owned()));
        }
        let response = checked(response, url)?;
        let resumed = response.status() == StatusCode::PARTIAL_CONTENT;
        if resumed && range_start(&response) != Some(have) {
            fs::remove_file(part).await.map_err(disk)?;
            return Err(Setback::Passing(
                "the server resumed at the wrong place".to_owned(),
            ));
        }
        let mut done = if resumed { have } else { 0 };
        let mut options = fs::OpenOptions::new();
        options
            .create(true)
            .write(true)
            .append(resumed)
            .truncate(!resumed);
        let mut file = options.open(part).await.map_err(disk)?;
        let mut body = response.bytes_stream();
        while let Some(chunk) = body.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => {
                    file.flush().await.map_err(disk)?;
                    return Err(passing(error));
                }
            };
            done += chunk.len() as u64;
            if done > target.size {
                drop(file);
                fs::remove_file(part).await.map_err(disk)?;
                let reason = format!("longer than {} bytes", target.size);
                return Err(Setback::Final(FetchError::WrongBytes {
                    url: shown(url),
                    reason,
                }));
            }
            file.write_all(&chunk).await.map_err(disk)?;
            progress.at(done);
        }
        file.flush().await.map_err(disk)?;
        if done < target.size {
            let reason = format!("connection ended after {done} of {} bytes", target.size);
            return Err(Setback::Passing(reason));
        }
        Ok(())
    }
}

/// A page of a registry.
pub(crate) struct Page {
    /// Where it came from; relative links start here.
    pub(crate) base: Url,
    /// Its media type as stated.
    pub(crate) kind: String,
    pub(crate) text: String,
}

/// An address without user, password and query, fit to be shown.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // both fail only for addresses that cannot have a user
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

fn checked(response: Response, url: &Url) -> Result<Response, Setback> {
    let status = response.status();
    let overloaded = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
    if status.is_server_error() || overloaded {
        return Err(Setback::Passing(format!("the server answered {status}")));
    }
    if !status.is_success() {
        return Err(Setback::Final(FetchError::Refused {
            url: shown(url),
            status,
        }));
    }
    Ok(response)
}

/// A transport error as a reason: the innermost cause says most, and the address is said elsewhere.
fn passing(error: reqwest::Error) -> Setback {
    let error = error.without_url();
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        reason = inner.to_string();
        source = inner.source();
    }
    Setback::Passing(reason)
}

/// First byte of a partial answer (RFC 9110 section 14.4: `bytes 100-199/1000`).
fn range_start(response: &Response) -> Option<u64> {
    let range = response
        .headers()
        .get(header::CONTENT_RANGE)?
        .to_str()
        .ok()?;
    range
        .strip_prefix("bytes ")?
        .split_once('-')?
        .0
        .trim()
        .parse()
        .ok()
}

fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

async fn length(path: &Path) -> u64 {
    fs::metadata(path).await.map_or(0, |found| found.len())
}

async fn sha256(path: &Path) -> io::Result<String> {
    let path = path.to_owned();
    let hashed = tokio::task::spawn_blocking(move || local::models::sha256_of_file(&path)).await;
    hashed.map_err(io::Error::other)?
}
