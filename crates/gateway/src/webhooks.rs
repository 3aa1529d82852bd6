//! Endpoints of webhooks, as a tenant sets them up: their secrets, and what is wrong with an address.
//! Used by the routes of `/v1/webhook_endpoints` and by the outbox, which sends.
//! Never shows a secret after the answer that made it.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

/// What messages to one endpoint are signed with.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Secrets {
    /// `whsec_…`.
    current: String,
    /// The one before, while it goes on working.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<Previous>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Previous {
    secret: String,
    /// Unix seconds.
    until: i64,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets")
            .field("rotating", &self.previous.is_some())
            .finish_non_exhaustive()
    }
}

impl Secrets {
    /// One secret.
    pub fn of(secret: &SecretString) -> Self {
        Self {
            current: secret.expose_secret().to_owned(),
            previous: None,
        }
    }

    /// As they were stored; what cannot be read signs nothing.
    pub fn read(stored: &[u8]) -> Self {
        serde_json::from_slice(stored).unwrap_or_default()
    }

    /// As they are stored.
    pub fn written(&self) -> Vec<u8> {
        // two texts and a number always serialise
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The next secret takes over; the one before goes on working until `until`.
    #[must_use]
    pub fn rotated(self, next: &SecretString, until: DateTime<Utc>) -> Self {
        Self {
            current: next.expose_secret().to_owned(),
            previous: Some(Previous {
                secret: self.current,
                until: until.timestamp(),
            }),
        }
    }

    /// What a message is signed with now.
    pub fn in_force(&self, now: DateTime<Utc>) -> Vec<SecretString> {
        let previous = self.previous.as_ref();
        let previous = previous.filter(|previous| previous.until > now.timestamp());
        let secrets = [
            Some(&self.current),
            previous.map(|previous| &previous.secret),
        ];
        secrets
            .into_iter()
            .flatten()
            .filter(|secret| !secret.is_empty())
            .map(|secret| SecretString::from(secret.as_str()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_is_replaced_works_for_a_while_and_is_never_shown() {
        let at = |second| DateTime::from_timestamp(second, 0).unwrap();
        let shown = |secrets: &Secrets, second| -> Vec<String> {
            let secrets = secrets.in_force(at(second));
            let texts = secrets
                .iter()
                .map(|secret| secret.expose_secret().to_owned());
            texts.collect()
        };
        let secrets = Secrets::of(&"whsec_one".into());
        assert_eq!(shown(&secrets, 0), ["whsec_one"]);
        let secrets = Secrets::read(&secrets.rotated(&"whsec_two".into(), at(10)).written());
        assert_eq!(shown(&secrets, 9), ["whsec_two", "whsec_one"]);
        assert_eq!(shown(&secrets, 10), ["whsec_two"]);
        assert!(!format!("{secrets:?}").contains("whsec"));
        assert!(shown(&Secrets::read(b"nonsense"), 0).is_empty());
    }
}
