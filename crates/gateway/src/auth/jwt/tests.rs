//! Tokens as issuers make them, and as others do who would like to come in.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::*;

const SECRET: &str = "a secret of two servers";

fn shared(clock: &Clock) -> Verifier {
    let settings = Settings {
        secret: Some(Secret::new(SECRET)),
        ..Settings::default()
    };
    let lifecycle = Lifecycle::default();
    Verifier::new(&settings, clock.clone(), &lifecycle)
        .unwrap()
        .unwrap()
}

fn signed(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    encode(&Header::new(algorithm), claims, &key).unwrap()
}

#[tokio::test]
async fn a_token_of_the_shared_secret_says_who_it_is_until_its_minute_of_grace_is_over() {
    let clock = Clock::default();
    let verifier = shared(&clock);
    let end = clock.utc().timestamp() + 100;
    let claims = json!({ "sub": "u1", "role": "", "exp": end });
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let token = verifier
            .verify(&signed(algorithm, SECRET, &claims))
            .await
            .unwrap();
        assert_eq!((token.text("sub"), token.text("role")), (Some("u1"), None));
        assert_eq!(token.expires_at.map(|at| at.timestamp()), Some(end));
    }
    let text = signed(Algorithm::HS256, SECRET, &claims);
    clock.advance(Duration::from_secs(155));
    let token = verifier.verify(&text).await.unwrap();
    assert!(!token.is_expired(clock.utc()));
    clock.advance(Duration::from_secs(10));
    assert!(token.is_expired(clock.utc()), "while it is in use");
    assert_eq!(verifier.verify(&text).await, Err(TokenError::Expired));
    let endless = signed(Algorithm::HS256, SECRET, &json!({ "sub": "u1" }));
    assert_eq!(verifier.verify(&endless).await.unwrap().expires_at, None);
}

#[tokio::test]
async fn a_token_opens_nothing_when_anything_is_wrong_with_it() {
    let clock = Clock::default();
    let verifier = shared(&clock);
    let now = clock.utc().timestamp();
    let right = signed(Algorithm::HS256, SECRET, &json!({ "sub": "u1" }));
    let (head, _) = right.rsplit_once('.').unwrap();
    // {"alg":"none"}
    let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1MSJ9.";
    for (token, expected) in [
        (
            signed(Algorithm::HS256, "another", &json!({})),
            TokenError::Signature,
        ),
        (format!("{head}."), TokenError::Signature),
        (unsigned.to_owned(), TokenError::Malformed),
        ("not.a.token".to_owned(), TokenError::Malformed),
        (String::new(), TokenError::Malformed),
        (
            format!("{right}{}", "A".repeat(MAX_TOKEN_BYTES)),
            TokenError::Malformed,
        ),
        (
            signed(Algorithm::HS256, SECRET, &json!({ "nbf": now + 70 })),
            TokenError::NotYetValid,
        ),
        (
            signed(Algorithm::HS256, SECRET, &json!({ "exp": "tomorrow" })),
            TokenError::Malformed,
        ),
        (
            signed(Algorithm::HS256, SECRET, &json!({ "exp": 1e300 })),
            TokenError::Malformed,
        ),
        (
            signed(Algorithm::HS256, SECRET, &json!(["u1"])),
            TokenError::Malformed,
        ),
    ] {
        let found = verifier.verify(&token).await;
        assert_eq!(found, Err(expected), "{}", &token[..token.len().min(80)]);
    }
    let early = signed(Algorithm::HS256, SECRET, &json!({ "nbf": now + 50 }));
    assert!(
        verifier.verify(&early).await.is_ok(),
        "clocks differ by a minute"
    );
    let nobody = Verifier::new(&Settings::default(), clock, &Lifecycle::default()).unwrap();
    assert!(nobody.is_none(), "nothing to check against");
}

/// An issuer's server: its keys, how often they were asked for, and whether it answers at all.
#[derive(Default)]
struct Issuer {
    keys: Mutex<Vec<Value>>,
    asked: AtomicUsize,
    is_away: Mutex<bool>,
}

impl Issuer {
    async fn start() -> (Arc<Self>, String) {
        let issuer = Arc::new(Self::default());
        let router = Router::new()
            .route("/keys", get(Self::answer))
            .with_state(Arc::clone(&issuer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (issuer, format!("http://{address}/keys"))
    }

    #[expect(clippy::unused_async, reason = "a handler is a future")]
    async fn answer(State(issuer): State<Arc<Self>>) -> Result<Json<Value>, StatusCode> {
        issuer.asked.fetch_add(1, Ordering::Relaxed);
        if *issuer.is_away.lock().unwrap() {
            return Err(StatusCode::BAD_GATEWAY);
        }
        Ok(Json(json!({ "keys": *issuer.keys.lock().unwrap() })))
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Publishes a fresh key under this name.
    fn publish(&self, kid: &str) -> Signer {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let key = EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref());
        let mut public = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        public.common.key_id = Some(kid.to_owned());
        self.keys
            .lock()
            .unwrap()
            .push(serde_json::to_value(&public).unwrap());
        Signer {
            kid: kid.to_owned(),
            key,
            public,
        }
    }
}

struct Signer {
    kid: String,
    key: EncodingKey,
    public: Jwk,
}

impl Signer {
    fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.kid.clone());
        encode(&header, claims, &self.key).unwrap()
    }
}

fn published(url: &str, clock: &Clock) -> Verifier {
    let settings = Settings {
        keys_url: Some(url.to_owned()),
        issuer: Some("https://issuer.example".to_owned()),
        audience: Some("authenticated".to_owned()),
        ..Settings::default()
    };
    let lifecycle = Lifecycle::default();
    Verifier::new(&settings, clock.clone(), &lifecycle)
        .unwrap()
        .unwrap()
}

fn right() -> Value {
    json!({ "sub": "u1", "iss": "https://issuer.example", "aud": ["other", "authenticated"] })
}

#[tokio::test]
async fn published_keys_are_fetched_once_and_anew_when_one_is_unknown_or_old() {
    let clock = Clock::default();
    let (issuer, url) = Issuer::start().await;
    let first = issuer.publish("one");
    let verifier = published(&url, &clock);
    for _ in 0..3 {
        assert!(verifier.verify(&first.sign(&right())).await.is_ok());
    }
    assert_eq!(issuer.asked(), 1, "kept");
    let second = issuer.publish("two");
    let token = second.sign(&right());
    assert_eq!(verifier.verify(&token).await, Err(TokenError::UnknownKey));
    assert_eq!(issuer.asked(), 1, "asked a moment ago");
    clock.advance(Duration::from_secs(31));
    assert!(verifier.verify(&token).await.is_ok());
    assert_eq!(issuer.asked(), 2);
    issuer.keys.lock().unwrap().remove(0);
    clock.advance(Duration::from_secs(601));
    let withdrawn = verifier.verify(&first.sign(&right())).await;
    assert_eq!(withdrawn, Err(TokenError::UnknownKey));
    assert_eq!(issuer.asked(), 3);
}

#[tokio::test]
async fn whoever_goes_away_keeps_nobody_from_the_keys() {
    let clock = Clock::default();
    let (issuer, url) = Issuer::start().await;
    let signer = issuer.publish("one");
    let verifier = published(&url, &clock);
    let token = signer.sign(&right());
    {
        let mut first = std::pin::pin!(verifier.verify(&token));
        // it has begun to ask, and is not heard of again
        assert!(futures_util::poll!(first.as_mut()).is_pending());
    }
    assert!(verifier.verify(&token).await.is_ok());
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn known_keys_hold_for_a_day_while_the_issuer_is_away() {
    let clock = Clock::default();
    let (issuer, url) = Issuer::start().await;
    let signer = issuer.publish("one");
    *issuer.is_away.lock().unwrap() = true;
    let verifier = published(&url, &clock);
    let token = signer.sign(&right());
    assert_eq!(
        verifier.verify(&token).await,
        Err(TokenError::KeysUnavailable)
    );
    *issuer.is_away.lock().unwrap() = false;
    clock.advance(Duration::from_secs(31));
    assert!(verifier.verify(&token).await.is_ok());
    *issuer.is_away.lock().unwrap() = true;
    clock.advance(Duration::from_hours(1));
    assert!(verifier.verify(&token).await.is_ok());
    clock.advance(Duration::from_hours(24));
    assert_eq!(
        verifier.verify(&token).await,
        Err(TokenError::KeysUnavailable)
    );
}

#[tokio::test]
async fn a_public_key_is_no_secret_and_issuer_and_audience_count() {
    let clock = Clock::default();
    let (issuer, url) = Issuer::start().await;
    let signer = issuer.publish("one");
    let verifier = published(&url, &clock);
    // the published key used as if it were a shared secret
    let public = serde_json::to_string(&signer.public).unwrap();
    let forged = signed(Algorithm::HS256, &public, &right());
    assert_eq!(verifier.verify(&forged).await, Err(TokenError::Algorithm));
    // a secret in the published set would be everybody's
    let secret = json!({ "kty": "oct", "kid": "two", "k": "c2VjcmV0" });
    issuer.keys.lock().unwrap().push(secret);
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("two".to_owned());
    let open = encode(&header, &right(), &EncodingKey::from_secret(b"secret")).unwrap();
    assert_eq!(verifier.verify(&open).await, Err(TokenError::Algorithm));
    let another = json!({ "sub": "u1", "iss": "https://other.example", "aud": "authenticated" });
    assert_eq!(
        verifier.verify(&signer.sign(&another)).await,
        Err(TokenError::Issuer)
    );
    let for_others = json!({ "sub": "u1", "iss": "https://issuer.example", "aud": "anon" });
    assert_eq!(
        verifier.verify(&signer.sign(&for_others)).await,
        Err(TokenError::Audience)
    );
    let for_nobody = json!({ "sub": "u1", "iss": "https://issuer.example" });
    assert_eq!(
        verifier.verify(&signer.sign(&for_nobody)).await,
        Err(TokenError::Audience)
    );
    // another's signature under the name of a published key
    let mut thief = issuer.publish("three");
    thief.kid = "one".to_owned();
    assert_eq!(
        verifier.verify(&thief.sign(&right())).await,
        Err(TokenError::Signature)
    );
}
