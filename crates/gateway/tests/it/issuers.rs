//! Users whose tokens an issuer signs with keys that it publishes (RFC 7517): the voice door and the chat rooms fetch them.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use axum::routing::get;
use axum::{Json, Router};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::app_voice::app::{App, start};
use crate::room_guest::Guest;
use crate::world::World;

/// A key, and its public half as an issuer publishes it.
fn key(name: &str) -> (EncodingKey, Value) {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let key = EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref());
    let mut public = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
    public.common.key_id = Some(name.to_owned());
    (key, serde_json::to_value(&public).unwrap())
}

fn signed((name, key): (&str, &EncodingKey), claims: &Value) -> String {
    let mut header = Header::new(Algorithm::ES256);
    header.kid = Some(name.to_owned());
    encode(&header, claims, key).unwrap()
}

#[tokio::test]
async fn tokens_of_published_keys_open_calls_and_rooms_and_forged_ones_do_not() {
    let (ours, public) = key("k1");
    let (forger, _) = key("k1");
    let keys = Json(json!({ "keys": [public] }));
    let routes = Router::new().route("/keys", get(|| async move { keys }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let world = World::start(|config| {
        config.voice.token_jwks_url = Some(url.clone());
        config.chat.jwks_url = Some(url);
        config.scripted.transcripts = vec!["say: Yes.".to_owned()];
    })
    .await;
    let exp = world.app().clock.unix_s() + 600;
    let claims = json!({ "sub": "u1", "userId": "u1", "chatId": "c", "exp": exp });
    let mut app = App::open(&world).await;
    app.send(&start(&signed(("k1", &ours), &claims))).await;
    app.until("session_started").await;
    assert_eq!(app.turn().await["text"], "Yes.");
    let room = |token: &str| {
        let address = world.url(&format!("/chat?token={token}"));
        address.replacen("http", "ws", 1)
    };
    let mut guest = Guest::dial(&room(&signed(("k1", &ours), &claims))).await;
    assert_eq!(guest.next().await["type"], "connected");
    for forged in [
        signed(("k1", &forger), &claims),
        signed(("k2", &forger), &claims),
    ] {
        let mut app = App::open(&world).await;
        app.send(&start(&forged)).await;
        assert_eq!(app.until("error").await["code"], "AUTH_INVALID");
        assert_eq!(app.until_closed().await.0, 4001);
        let mut guest = Guest::dial(&room(&forged)).await;
        let closed = guest.closed().await;
        assert_eq!(closed, (4002, "Invalid token".to_owned()));
    }
}
