//! Keys in Vault's transit engine, spoken to over HTTP; a stand-in holds the server to Vault's published contract.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway::config::{Encryption, Secret};
use gateway::secrets::key_source;
use serde_json::{Value, json};
use store::seal::KeyError;
use store::{Change, Entry, SessionKey, Settings, Sql, StoreError};
use tokio::net::TcpListener;

const TOKEN: &str = "hvs.a-token-for-stories";

/// What a Vault knows.
#[derive(Debug)]
struct Transit {
    /// Versions of the key `antiphon`, each with what it has encrypted.
    versions: Vec<BTreeMap<String, String>>,
    sealed: bool,
    token: &'static str,
    asked: Vec<String>,
}

type Shared = Arc<Mutex<Transit>>;
type Answer = (StatusCode, Json<Value>);

fn refused(status: StatusCode, errors: &[&str]) -> Answer {
    (status, Json(json!({ "errors": errors })))
}

async fn transit(
    State(vault): State<Shared>,
    Path((what, key)): Path<(String, String)>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Answer {
    let mut vault = vault.lock().unwrap();
    vault.asked.push(what.clone());
    if vault.sealed {
        return refused(StatusCode::SERVICE_UNAVAILABLE, &["Vault is sealed"]);
    }
    let token = headers.get("x-vault-token").and_then(|it| it.to_str().ok());
    if token != Some(vault.token) {
        return refused(StatusCode::FORBIDDEN, &["permission denied"]);
    }
    if key != "antiphon" {
        return refused(StatusCode::NOT_FOUND, &[]);
    }
    let found = |vault: &Transit| {
        let text = body["ciphertext"].as_str()?;
        let (version, number) = text.strip_prefix("vault:v")?.split_once(':')?;
        let version: usize = version.parse().ok()?;
        vault
            .versions
            .get(version.checked_sub(1)?)?
            .get(number)
            .cloned()
    };
    let plaintext = if what == "encrypt" {
        let Some(plaintext) = body["plaintext"].as_str() else {
            return refused(StatusCode::BAD_REQUEST, &["missing plaintext to encrypt"]);
        };
        if STANDARD.decode(plaintext).is_err() {
            let said = "failed to base64-decode plaintext";
            return refused(StatusCode::BAD_REQUEST, &[said]);
        }
        plaintext.to_owned()
    } else {
        let Some(plaintext) = found(&vault) else {
            let said = "invalid ciphertext: unable to decrypt";
            return refused(StatusCode::BAD_REQUEST, &[said]);
        };
        plaintext
    };
    if what == "decrypt" {
        return (
            StatusCode::OK,
            Json(json!({ "data": { "plaintext": plaintext } })),
        );
    }
    let version = vault.versions.len();
    let number = STANDARD.encode(vault.asked.len().to_string());
    vault.versions[version - 1].insert(number.clone(), plaintext);
    let ciphertext = format!("vault:v{version}:{number}");
    let data = json!({ "data": { "ciphertext": ciphertext, "key_version": version } });
    (StatusCode::OK, Json(data))
}

async fn vault() -> (Shared, Encryption) {
    let shared = Arc::new(Mutex::new(Transit {
        versions: vec![BTreeMap::new()],
        sealed: false,
        token: TOKEN,
        asked: Vec::new(),
    }));
    let router = Router::new()
        .route("/v1/team/transit/{what}/{key}", post(transit))
        .with_state(Arc::clone(&shared));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let encryption = Encryption {
        vault_address: Some(address),
        vault_token: Some(Secret::new(TOKEN)),
        vault_mount: "team/transit".to_owned(),
        ..Encryption::default()
    };
    (shared, encryption)
}

struct Place(tempfile::TempDir);

impl Place {
    async fn open(&self, encryption: &Encryption) -> Sql {
        let file = self.0.path().join("antiphon.db");
        let mut settings = Settings::at(format!("sqlite:{}", file.display()));
        settings.keys = key_source(encryption).unwrap();
        Sql::open(&settings).await.unwrap()
    }
}

fn here() -> SessionKey {
    SessionKey::new("acme", "sess_1", chrono::DateTime::UNIX_EPOCH)
}

async fn begin(sql: &Sql) -> Result<(), StoreError> {
    let change = Change::Settings {
        project: "default".to_owned(),
        model: "m".to_owned(),
        settings: "{}".to_owned(),
    };
    let entry = Entry {
        session: here(),
        revision: 1,
        change,
    };
    sql.write_changes("acme", &[&entry]).await
}

async fn reads(sql: &Sql) -> Result<Vec<u8>, StoreError> {
    let found = sql.find_session("acme", "sess_1").await?;
    Ok(found.unwrap().settings)
}

#[tokio::test]
async fn vault_wraps_the_keys_and_is_asked_once() {
    let (vault, encryption) = vault().await;
    let place = Place(tempfile::tempdir().unwrap());
    let sql = place.open(&encryption).await;
    begin(&sql).await.unwrap();
    assert_eq!(reads(&sql).await.unwrap(), b"{}");
    assert_eq!(vault.lock().unwrap().asked, ["encrypt", "decrypt"]);
    let sql = place.open(&encryption).await;
    for _ in 0..3 {
        assert_eq!(reads(&sql).await.unwrap(), b"{}");
    }
    assert_eq!(vault.lock().unwrap().asked.len(), 3);
}

#[tokio::test]
async fn a_new_version_of_the_key_in_vault_takes_over() {
    let (vault, encryption) = vault().await;
    let place = Place(tempfile::tempdir().unwrap());
    let sql = place.open(&encryption).await;
    begin(&sql).await.unwrap();
    assert_eq!(sql.renew_data_keys().await.unwrap(), 0);
    vault.lock().unwrap().versions.push(BTreeMap::new());
    assert_eq!(sql.renew_data_keys().await.unwrap(), 1);
    assert_eq!(sql.renew_data_keys().await.unwrap(), 0);
    // the old version may be destroyed now
    vault.lock().unwrap().versions[0].clear();
    assert_eq!(reads(&place.open(&encryption).await).await.unwrap(), b"{}");
}

#[tokio::test]
async fn what_is_wrong_with_vault_is_told_with_the_next_step_and_without_the_token() {
    let (vault, encryption) = vault().await;
    let place = Place(tempfile::tempdir().unwrap());
    let says = async |encryption: &Encryption, expected: &str| {
        let refused = begin(&place.open(encryption).await).await.unwrap_err();
        let told = format!("{refused} {refused:?}");
        assert!(
            matches!(refused, StoreError::Keys(KeyError::Keeper(_))),
            "{told}"
        );
        assert!(told.contains(expected) && !told.contains("hvs."), "{told}");
    };
    let with = |change: fn(&mut Encryption)| {
        let mut other = encryption.clone();
        change(&mut other);
        other
    };
    let stranger = with(|it| it.vault_token = Some(Secret::new("hvs.a-strange-token")));
    says(&stranger, "permission denied").await;
    says(&stranger, "encryption.vault_token").await;
    let other_key = with(|it| it.vault_key = "nobody".to_owned());
    says(&other_key, "encryption.vault_key").await;
    let other_mount = with(|it| it.vault_mount = "transit".to_owned());
    says(&other_mount, "encryption.vault_mount").await;
    vault.lock().unwrap().sealed = true;
    says(&encryption, "Vault is sealed").await;
    says(&encryption, "unseal it").await;
    let nowhere = with(|it| it.vault_address = Some("http://127.0.0.1:1".to_owned()));
    says(&nowhere, "vault: ").await;
    vault.lock().unwrap().sealed = false;
    begin(&place.open(&encryption).await).await.unwrap();
}

#[tokio::test]
async fn a_ring_does_not_open_what_vault_wrapped() {
    let (_vault, encryption) = vault().await;
    let place = Place(tempfile::tempdir().unwrap());
    begin(&place.open(&encryption).await).await.unwrap();
    let ring = Encryption {
        keys: Some(Secret::new(
            "k1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",
        )),
        ..Encryption::default()
    };
    let refused = reads(&place.open(&ring).await).await;
    assert!(
        matches!(refused, Err(StoreError::Keys(KeyError::Foreign))),
        "{refused:?}"
    );
}
