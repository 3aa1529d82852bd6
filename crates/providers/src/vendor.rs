//! How a vendor is reached: the same few things for every one of them.
//! Built by the catalog from a section of the configuration; each vendor's file takes one.
//! Never shows a key: what is printed of a header is that it is sensitive.

use std::sync::Arc;

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Duration;
use url::Url;

use crate::{Kind, ProviderError};

/// How long a vendor may be silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the question to the first event of the answer, connection included.
    pub first_event: Duration,
    /// Between two events, and between the last one and the end of the stream's bytes.
    pub between_events: Duration,
}

impl Default for Limits {
    /// 15 s each: nobody waits longer in a conversation.
    fn default() -> Self {
        Self {
            first_event: Duration::from_secs(15),
            between_events: Duration::from_secs(15),
        }
    }
}

/// A vendor, as the configuration describes it.
#[derive(Debug, Clone)]
pub struct Vendor {
    /// Name in the configuration, for logs, metrics and errors.
    pub name: Arc<str>,
    /// Address up to and including the version, for example `http://127.0.0.1:11434/v1`.
    pub base_url: Url,
    /// Absent for servers that ask for none.
    pub api_key: Option<SecretString>,
    /// Model for requests that name none; each vendor has a default of its own where it can.
    pub model: Option<String>,
    /// Voice for requests whose voice the vendor does not know.
    pub voice: Option<String>,
    /// How long the vendor may be silent.
    pub limits: Limits,
}

impl Vendor {
    /// A vendor without a key, a model or a voice.
    pub fn new(name: &str, base_url: Url) -> Self {
        Self {
            name: name.into(),
            base_url,
            api_key: None,
            model: None,
            voice: None,
            limits: Limits::default(),
        }
    }

    /// A failure of this vendor.
    pub(crate) fn error(&self, kind: Kind, message: impl Into<String>) -> ProviderError {
        ProviderError::new(self.name.to_string(), kind, message)
    }

    /// The address of `path` (which begins with a slash) below the base address.
    ///
    /// Errors: [`Kind::Rejected`] for a base address that is not HTTP.
    pub(crate) fn address(&self, path: &str) -> Result<Url, ProviderError> {
        if !matches!(self.base_url.scheme(), "http" | "https") {
            let scheme = self.base_url.scheme();
            let message = format!("the base url must begin with http, not {scheme}");
            return Err(self.error(Kind::Rejected, message));
        }
        let mut address = self.base_url.clone();
        address.set_path(&format!("{}{path}", address.path().trim_end_matches('/')));
        Ok(address)
    }

    /// The key, if there is one that is not empty.
    pub(crate) fn key(&self) -> Option<&str> {
        let key = self.api_key.as_ref()?.expose_secret().trim();
        (!key.is_empty()).then_some(key)
    }

    /// The key of a vendor that answers nobody without one.
    ///
    /// Errors: [`Kind::Unauthorized`], with the setting that is missing.
    pub(crate) fn required_key(&self) -> Result<&str, ProviderError> {
        let name = &self.name;
        self.key().ok_or_else(|| {
            let message = format!("it needs a key: set providers.{name}.api_key");
            self.error(Kind::Unauthorized, message)
        })
    }

    /// A header that carries a key, hidden wherever headers are shown.
    ///
    /// Errors: [`Kind::Unauthorized`] for a key that cannot stand in a header.
    pub(crate) fn secret_header(&self, value: &str) -> Result<HeaderValue, ProviderError> {
        let mut value = HeaderValue::try_from(value).map_err(|_| {
            let message = "the api key has characters that no header may have";
            self.error(Kind::Unauthorized, message)
        })?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// `Bearer KEY`, where there is a key.
    ///
    /// Errors: as [`Self::secret_header`].
    pub(crate) fn bearer(&self) -> Result<Option<HeaderValue>, ProviderError> {
        self.key()
            .map(|key| self.secret_header(&format!("Bearer {key}")))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vendor(base_url: &str, key: Option<&str>) -> Vendor {
        Vendor {
            api_key: key.map(SecretString::from),
            ..Vendor::new("acme", base_url.parse().unwrap())
        }
    }

    #[test]
    fn paths_are_appended_with_and_without_a_slash() {
        for base in ["http://a/v1", "http://a/v1/"] {
            let address = vendor(base, None).address("/models").unwrap();
            assert_eq!(address.as_str(), "http://a/v1/models");
        }
        let refused = vendor("ftp://a/v1", None).address("/models").unwrap_err();
        assert_eq!(refused.kind, Kind::Rejected);
    }

    #[test]
    fn a_missing_key_names_its_setting_and_a_key_is_never_shown() {
        for key in [None, Some(""), Some("  ")] {
            let refused = vendor("http://a", key).required_key().unwrap_err();
            assert_eq!(refused.kind, Kind::Unauthorized);
            assert!(refused.to_string().contains("providers.acme.api_key"));
        }
        let vendor = vendor("http://a", Some("hunter2"));
        assert_eq!(vendor.required_key().unwrap(), "hunter2");
        let shown = format!("{vendor:?} {:?}", vendor.bearer().unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
