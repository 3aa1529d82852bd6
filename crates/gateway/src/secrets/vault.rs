//! Vault's transit engine, which wraps data keys and never shows the key it does that with
//! (<https://developer.hashicorp.com/vault/api-docs/secret/transit>).
//! Asked by the store through `KeySource`, once for each tenant and process.
//! Never shows its token, and never waits for Vault without a limit.

use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use store::seal::{Keeper, KeyError};

use crate::config::{Encryption, Secret};

/// How long Vault may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// What it wraps begins with.
const PREFIX: &str = "vault:v";

/// Vault, as somebody who holds a token sees it.
#[derive(Debug)]
pub(super) struct Vault {
    client: Client,
    /// `https://host:8200/v1/transit`.
    engine: String,
    key: String,
    token: Secret,
}

impl Vault {
    pub(super) fn new(
        address: &str,
        token: Secret,
        encryption: &Encryption,
    ) -> Result<Self, reqwest::Error> {
        let (address, mount) = (
            address.trim_end_matches('/'),
            encryption.vault_mount.trim_matches('/'),
        );
        Ok(Self {
            client: providers::http::client()?,
            engine: format!("{address}/v1/{mount}"),
            key: encryption.vault_key.clone(),
            token,
        })
    }

    /// Does `what` (`encrypt`, `decrypt`, `rewrap`) with `body`, and gives the field `wanted` of the answer.
    async fn ask(&self, what: &str, body: Value, wanted: &str) -> Result<String, KeyError> {
        let place = format!("{}/{what}/{}", self.engine, self.key);
        let question = self
            .client
            .post(&place)
            .timeout(ANSWER_WITHIN)
            .header("X-Vault-Token", self.token.reveal())
            .json(&body);
        // the error of the client names the address, and no token
        let failed = |error: reqwest::Error| KeyError::Keeper(format!("vault: {error}"));
        let answer = question.send().await.map_err(failed)?;
        let status = answer.status();
        let told: Value = answer.json().await.unwrap_or_default();
        if !status.is_success() {
            return Err(KeyError::Keeper(refusal(status, &place, &told)));
        }
        let field = told["data"][wanted].as_str();
        field.map(str::to_owned).ok_or_else(|| {
            KeyError::Keeper(format!("vault: the answer of {place} has no data.{wanted}"))
        })
    }
}

/// What the operator has to do.
fn refusal(status: StatusCode, place: &str, told: &Value) -> String {
    let errors = told["errors"].as_array().into_iter().flatten();
    let said: Vec<&str> = errors.filter_map(Value::as_str).collect();
    let said = said.join(", ");
    let next = match status {
        StatusCode::FORBIDDEN => {
            "see that encryption.vault_token is valid and may update encrypt, decrypt and rewrap of this key"
        }
        StatusCode::NOT_FOUND => {
            "see that the transit engine is enabled there and the key exists (encryption.vault_mount, encryption.vault_key)"
        }
        StatusCode::SERVICE_UNAVAILABLE => "it is sealed or in maintenance: unseal it",
        _ => "see the log of Vault",
    };
    format!("vault: {place} answers {status} ({said}): {next}")
}

#[async_trait]
impl Keeper for Vault {
    async fn wrap(&self, key: &[u8]) -> Result<String, KeyError> {
        let body = json!({ "plaintext": STANDARD.encode(key) });
        self.ask("encrypt", body, "ciphertext").await
    }

    async fn unwrap(&self, wrapped: &str) -> Result<Vec<u8>, KeyError> {
        if !wrapped.starts_with(PREFIX) {
            return Err(KeyError::Foreign);
        }
        let body = json!({ "ciphertext": wrapped });
        let key = self.ask("decrypt", body, "plaintext").await?;
        STANDARD.decode(key).map_err(|_| KeyError::Damaged)
    }

    async fn renew(&self, wrapped: &str) -> Result<Option<String>, KeyError> {
        let version = version(wrapped).ok_or(KeyError::Foreign)?;
        let body = json!({ "ciphertext": wrapped });
        let anew = self.ask("rewrap", body, "ciphertext").await?;
        // under the same version it is another text for the same thing
        Ok((self::version(&anew) != Some(version)).then_some(anew))
    }
}

/// The `3` of `vault:v3:…`.
fn version(wrapped: &str) -> Option<&str> {
    let (version, _) = wrapped.strip_prefix(PREFIX)?.split_once(':')?;
    Some(version)
}
