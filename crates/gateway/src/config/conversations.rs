//! The sections about what is kept of conversations, and the keys it is sealed with.
//! Read by the composition root; documented from these comments.
//! Never shows a key.

use serde::{Deserialize, Serialize};
use store::seal::Ring;
use utoipa::ToSchema;

use super::Secret;
use super::check::{Problem, within};
use crate::retention::RETENTION_DAYS;

/// `[conversations]`: what is kept of them in the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Conversations {
    /// Whether sessions and what was said in them are kept at all.
    pub keep: bool,
    /// For how many days conversations of the tenant `default` are kept, and of plans that do not say; then a conversation
    /// is removed with everything in it. Other tenants: `retention_days` of their plan, or their own.
    pub retention_days: u32,
    /// What may wait on this machine's disk while the database is away, in bytes; beyond that calls go on and are not kept.
    pub journal_bytes: u64,
}

impl Default for Conversations {
    fn default() -> Self {
        Self {
            keep: true,
            retention_days: 90,
            journal_bytes: 1 << 30,
        }
    }
}

/// `[retention]`: for how long it is remembered what went out and what came in. Conversations and calls have the time of
/// their tenant, see `conversations.retention_days`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Remembered {
    /// For how many days work that was done outside (webhooks and the like) is remembered, 1 to 3650.
    pub outbox_done_days: u32,
    /// For how many days work that was given up can still be looked at and tried again, 1 to 3650.
    pub outbox_dead_days: u32,
    /// For how many days whoever sends the same request again is given the same answer, 1 to 3650.
    pub inbox_days: u32,
}

impl Default for Remembered {
    fn default() -> Self {
        Self {
            outbox_done_days: 7,
            outbox_dead_days: 30,
            inbox_days: 7,
        }
    }
}

/// `[encryption]`: what wraps the keys that seal conversations; they are stored plain when nothing is set. One of `keys`,
/// `key_file` and `vault_address`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Encryption {
    /// Keys as `NAME:BASE64` of 32 bytes, with commas between them, the newest first: it wraps, the others only unwrap.
    #[schema(value_type = Option<String>, format = "password")]
    pub keys: Option<Secret>,
    /// A file with such keys, one a line.
    pub key_file: Option<String>,
    /// Vault whose transit engine wraps instead, such as `https://vault.example:8200`.
    pub vault_address: Option<String>,
    /// Its token, which may encrypt, decrypt and rewrap with that key.
    #[schema(value_type = Option<String>, format = "password")]
    pub vault_token: Option<Secret>,
    /// Where the transit engine is mounted.
    pub vault_mount: String,
    /// Name of the key in it.
    pub vault_key: String,
}

impl Default for Encryption {
    fn default() -> Self {
        Self {
            keys: None,
            key_file: None,
            vault_address: None,
            vault_token: None,
            vault_mount: "transit".to_owned(),
            vault_key: "antiphon".to_owned(),
        }
    }
}

/// The first value of these sections that is not accepted.
pub(super) fn check(
    kept: &Conversations,
    remembered: &Remembered,
    encryption: &Encryption,
) -> Result<(), Problem> {
    for (key, days) in [
        ("retention.outbox_done_days", remembered.outbox_done_days),
        ("retention.outbox_dead_days", remembered.outbox_dead_days),
        ("retention.inbox_days", remembered.inbox_days),
    ] {
        within(key, days, RETENTION_DAYS)?;
    }
    within(
        "conversations.retention_days",
        kept.retention_days,
        RETENTION_DAYS,
    )?;
    within(
        "conversations.journal_bytes",
        kept.journal_bytes,
        1 << 20..=1 << 40,
    )?;
    check_encryption(encryption)
}

fn check_encryption(encryption: &Encryption) -> Result<(), Problem> {
    let sources = [
        ("encryption.keys", encryption.keys.is_some()),
        ("encryption.key_file", encryption.key_file.is_some()),
        (
            "encryption.vault_address",
            encryption.vault_address.is_some(),
        ),
    ];
    let mut set = sources.into_iter().filter(|(_, set)| *set);
    if let (Some(_), Some((second, _))) = (set.next(), set.next()) {
        return problem(
            second,
            Secret::HIDDEN,
            "one source of keys: keys, key_file or vault_address",
        );
    }
    if let Some(Err(error)) = encryption
        .keys
        .as_ref()
        .map(|keys| Ring::parse(keys.reveal()))
    {
        return Err(Problem {
            key: "encryption.keys".into(),
            value: Secret::HIDDEN.to_owned(),
            expected: error.to_string().into(),
        });
    }
    let Some(address) = &encryption.vault_address else {
        return Ok(());
    };
    let usable = url::Url::parse(address).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
    });
    if !usable {
        return problem(
            "encryption.vault_address",
            Secret::HIDDEN,
            "an http or https address without user and password, such as https://vault.example:8200",
        );
    }
    if encryption.vault_token.is_none() {
        return problem(
            "encryption.vault_token",
            "not set",
            "the token that encryption.vault_address takes",
        );
    }
    for (key, value) in [
        ("encryption.vault_mount", &encryption.vault_mount),
        ("encryption.vault_key", &encryption.vault_key),
    ] {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
        if value.is_empty() || !value.chars().all(fits) || value.contains("..") {
            return problem(key, value, "letters, digits, - _ . and /, such as transit");
        }
    }
    Ok(())
}

fn problem(key: &'static str, value: &str, expected: &'static str) -> Result<(), Problem> {
    Err(Problem {
        key: key.into(),
        value: value.to_owned(),
        expected: expected.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(kept: &Conversations, encryption: &Encryption) -> Option<String> {
        check(kept, &Remembered::default(), encryption)
            .err()
            .map(|problem| {
                assert!(!problem.value.contains("hunter2"), "{}", problem.value);
                problem.key.into_owned()
            })
    }

    #[test]
    fn what_is_kept_how_long_is_checked() {
        let mut kept = Conversations::default();
        let keyless = Encryption::default();
        assert_eq!(refused(&kept, &keyless), None);
        kept.retention_days = 3651;
        let key = Some("conversations.retention_days".to_owned());
        assert_eq!(refused(&kept, &keyless), key);
        let never = Conversations {
            retention_days: 0,
            ..Conversations::default()
        };
        assert_eq!(refused(&never, &keyless), key);
        let never = Remembered {
            inbox_days: 0,
            ..Remembered::default()
        };
        let told = check(&Conversations::default(), &never, &keyless).unwrap_err();
        assert_eq!(told.key, "retention.inbox_days");
    }

    #[test]
    fn one_usable_source_of_keys_is_accepted() {
        let kept = Conversations::default();
        let keys = Some(Secret::new(
            "k1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",
        ));
        let vault = |address: &str| Encryption {
            vault_address: Some(address.to_owned()),
            vault_token: Some(Secret::new("hunter2")),
            ..Encryption::default()
        };
        let mut ring = Encryption {
            keys: keys.clone(),
            ..Encryption::default()
        };
        assert_eq!(refused(&kept, &ring), None);
        ring.key_file = Some("/etc/keys".to_owned());
        assert_eq!(
            refused(&kept, &ring).as_deref(),
            Some("encryption.key_file")
        );
        ring = Encryption {
            keys: Some(Secret::new("k1:hunter2")),
            ..Encryption::default()
        };
        assert_eq!(refused(&kept, &ring).as_deref(), Some("encryption.keys"));

        assert_eq!(refused(&kept, &vault("https://vault:8200")), None);
        for wrong in ["vault:8200", "https://u:hunter2@vault", "ftp://vault"] {
            let key = refused(&kept, &vault(wrong));
            assert_eq!(key.as_deref(), Some("encryption.vault_address"), "{wrong}");
        }
        let tokenless = Encryption {
            vault_token: None,
            ..vault("https://vault:8200")
        };
        assert_eq!(
            refused(&kept, &tokenless).as_deref(),
            Some("encryption.vault_token")
        );
        let strange = Encryption {
            vault_mount: "../sys".to_owned(),
            ..vault("https://vault:8200")
        };
        assert_eq!(
            refused(&kept, &strange).as_deref(),
            Some("encryption.vault_mount")
        );
    }
}
