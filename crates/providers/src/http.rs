//! The one HTTP client of this crate.
//! Built by the catalog, shared by every vendor that is reached over HTTP.
//! Never follows a redirect: it would carry a key to an address nobody configured.

use std::time::Duration;

use reqwest::{RequestBuilder, Response, StatusCode};
use tokio::time::timeout;

use crate::{ProviderError, Vendor, failure};

/// Limit for a connection to be made, name resolution and TLS included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// An unused connection is closed after this time; most servers close theirs after 60 to 75 s.
const POOL_IDLE: Duration = Duration::from_secs(50);
/// Unused connections kept per server.
const POOL_SIZE: usize = 32;
/// Interval of the probes that find a connection whose other end vanished.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// The end of an answer that is only asked for as a check is waited for so long.
const AFTER_CHECK: Duration = Duration::from_secs(1);
/// Bytes of an error's body that are read.
const ERROR_BYTES: usize = 16 * 1024;

/// A client with pooled connections. It sets no limit on a whole answer: streams last as long as
/// they have something to say, and their readers watch the gaps.
///
/// Errors: when the platform's certificates cannot be read.
pub fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(POOL_SIZE)
        .tcp_keepalive(KEEP_ALIVE)
        .tcp_nodelay(true)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("antiphon/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// The body of an error, as far as it is worth reading.
pub(crate) async fn error_body(mut response: reqwest::Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = ERROR_BYTES - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == ERROR_BYTES {
            break;
        }
    }
    body
}

/// What a vendor answers to `question`, up to its headers; only a success.
///
/// Errors: silence within the vendor's limit, trouble on the way, or what the status asks for.
pub(crate) async fn ask(
    vendor: &Vendor,
    question: RequestBuilder,
) -> Result<Response, ProviderError> {
    ask_for(vendor, question, None).await
}

/// Asks whether a vendor would answer: a success does, and so does the status that is `tolerated`.
///
/// Errors: as [`ask`].
pub(crate) async fn check(
    vendor: &Vendor,
    question: RequestBuilder,
    tolerated: Option<StatusCode>,
) -> Result<(), ProviderError> {
    let mut response = ask_for(vendor, question, tolerated).await?;
    let rest = async { while let Ok(Some(_)) = response.chunk().await {} };
    // read to its end, the connection serves the first question; if it has none, that is no failure
    let _ = timeout(AFTER_CHECK, rest).await;
    Ok(())
}

async fn ask_for(
    vendor: &Vendor,
    question: RequestBuilder,
    tolerated: Option<StatusCode>,
) -> Result<Response, ProviderError> {
    let (name, limit) = (&vendor.name, vendor.limits.first_event);
    let asking = async {
        let response = question
            .send()
            .await
            .map_err(|error| failure::of_transport(name, &error))?;
        let status = response.status();
        if status.is_success() || Some(status) == tolerated {
            Ok(response)
        } else {
            Err(failure::of_answer(name, response).await)
        }
    };
    timeout(limit, asking)
        .await
        .map_err(|_| failure::silent(name, "the server did not answer", limit))?
}
