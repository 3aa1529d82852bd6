//! Finds the key in a request: three headers, two query parameters, one subprotocol (spec/realtime §2.1).
//! Used by the REST extractor and the edges.
//! Never shows the key: not in `Debug`, not in errors.

use axum::http::{HeaderMap, Uri, header};
use url::form_urlencoded;

use super::{ephemeral, key_text};
use crate::config::Secret;

/// Browsers cannot set headers on a WebSocket; the SDKs put the key into this subprotocol.
const KEY_PROTOCOL: &str = "openai-insecure-api-key.";

/// A key as it came in, not verified yet.
#[derive(Debug, Clone)]
pub struct Credential {
    secret: Secret,
}

impl Credential {
    /// A credential from its text.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            secret: Secret::new(text),
        }
    }

    /// The first key found in `Authorization: Bearer`, `api-key`, `X-API-Key`, `Sec-WebSocket-Protocol`,
    /// `?api_key=`, `?key=`, in this order.
    pub fn from_request(headers: &HeaderMap, uri: &Uri) -> Option<Self> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        bearer(headers)
            .or_else(|| text("api-key").map(str::to_owned))
            .or_else(|| text("x-api-key").map(str::to_owned))
            .or_else(|| from_protocols(headers))
            .or_else(|| from_query(uri))
            .map(|key| key.trim().to_owned())
            .filter(|key| !key.is_empty())
            .map(Self::new)
    }

    /// Whether this claims to be an ephemeral client secret (`ek_…`).
    pub fn is_ephemeral(&self) -> bool {
        self.reveal().starts_with(ephemeral::PREFIX)
    }

    /// Whether this claims to be one of ours, a key (`ap_…`) or a client secret.
    pub(crate) fn is_own(&self) -> bool {
        self.is_ephemeral() || self.reveal().starts_with(key_text::PREFIX)
    }

    pub(crate) fn reveal(&self) -> &str {
        self.secret.reveal()
    }
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| key.to_owned())
}

fn from_protocols(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|entry| entry.trim().strip_prefix(KEY_PROTOCOL).map(str::to_owned))
}

fn from_query(uri: &Uri) -> Option<String> {
    form_urlencoded::parse(uri.query()?.as_bytes())
        .find(|(name, _)| matches!(name.as_ref(), "api_key" | "key" | "access_token"))
        .map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(headers: &[(&'static str, &'static str)], uri: &'static str) -> Option<String> {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect::<Vec<(header::HeaderName, header::HeaderValue)>>()
            .into_iter()
            .collect();
        Credential::from_request(&headers, &Uri::from_static(uri)).map(|c| c.reveal().to_owned())
    }

    #[test]
    fn a_key_is_found_wherever_clients_put_it() {
        let protocols = "realtime, openai-insecure-api-key.k1 , openai-beta.realtime-v1";
        for headers in [
            ("authorization", "Bearer k1"),
            ("authorization", "bearer k1"),
            ("api-key", "k1"),
            ("x-api-key", "k1"),
            ("sec-websocket-protocol", protocols),
        ] {
            assert_eq!(
                find(&[headers], "/v1/realtime").as_deref(),
                Some("k1"),
                "{headers:?}"
            );
        }
        assert_eq!(
            find(&[], "/v1/realtime?model=m&api_key=k%2B1").as_deref(),
            Some("k+1")
        );
        for query in ["key=k1", "access_token=k1"] {
            let uri = format!("/v1/realtime?{query}").leak();
            assert_eq!(find(&[], uri).as_deref(), Some("k1"));
        }
    }

    #[test]
    fn nothing_is_taken_for_a_key_that_is_none() {
        for headers in [
            ("authorization", "Basic dTpw"),
            ("authorization", "Bearer "),
            ("sec-websocket-protocol", "realtime"),
        ] {
            assert_eq!(find(&[headers], "/"), None, "{headers:?}");
        }
        assert_eq!(find(&[], "/?model=key&key="), None);
    }

    #[test]
    fn debug_shows_no_key() {
        assert!(!format!("{:?}", Credential::new("my-secret")).contains("my-secret"));
    }
}
