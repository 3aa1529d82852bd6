//! Signatures as the carriers make them: written from their documentation, apart from the code that checks them.
//! The fake carrier signs with these.
//! Never shares a line with the server's own.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::Brand;

/// What a request carries beside its body.
pub(crate) type Headers = Vec<(&'static str, String)>;

/// The header that Twilio and `SignalWire` sign in.
pub(crate) const fn header(brand: Brand) -> &'static str {
    match brand {
        Brand::SignalWire => "x-signalwire-signature",
        _ => "x-twilio-signature",
    }
}

/// Of a form: the address, then names and values by name.
pub(crate) fn form(url: &str, fields: &[(String, String)], token: &str) -> String {
    let mut sorted = fields.to_vec();
    sorted.sort();
    let mut text = url.to_owned();
    for (name, value) in sorted {
        text.push_str(&name);
        text.push_str(&value);
    }
    mac(&text, token)
}

/// Of an upgrade: the address of the socket alone.
pub(crate) fn upgrade(url: &str, token: &str) -> String {
    mac(url, token)
}

fn mac(text: &str, token: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, token.as_bytes());
    STANDARD.encode(hmac::sign(&key, text.as_bytes()))
}

/// The public half of the key that Telnyx signs with, as its portal shows it.
pub(crate) fn telnyx_key() -> String {
    STANDARD.encode(telnyx_pair(7).public_key().as_ref())
}

fn telnyx_pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

/// Telnyx: the time and the raw body, under the key of this seed; its own is 7.
pub(crate) fn telnyx(body: &str, now_s: i64, seed: u8) -> Headers {
    let signed = telnyx_pair(seed).sign(format!("{now_s}|{body}").as_bytes());
    vec![
        ("telnyx-timestamp", now_s.to_string()),
        ("telnyx-signature-ed25519", STANDARD.encode(signed.as_ref())),
    ]
}

/// Plivo, version 3: the address with its query sorted, a dot, the sorted form without anything between, a dot, a nonce.
pub(crate) fn plivo(url: &str, fields: &[(String, String)], token: &str) -> Headers {
    const NONCE: &str = "05429567804466091622";
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let mut query: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    query.sort();
    let query: Vec<String> = query
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mut form = fields.to_vec();
    form.sort();
    let form: String = form
        .into_iter()
        .flat_map(|(name, value)| [name, value])
        .collect();
    let dot = if query.is_empty() { "" } else { "." };
    let text = format!("{place}?{}{dot}{form}.{NONCE}", query.join("&"));
    vec![
        ("x-plivo-signature-v3", sha256_mac(&text, token.as_bytes())),
        ("x-plivo-signature-v3-nonce", NONCE.to_owned()),
    ]
}

/// Vonage: a token (RFC 7519) with the hash of the body.
pub(crate) fn vonage(body: &str, secret: &str, now_s: i64) -> Headers {
    let hash = digest(&SHA256, body.as_bytes());
    let hash: String = hash
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let head = json!({ "alg": "HS256", "typ": "JWT" }).to_string();
    let claims = json!({ "iss": "Vonage", "iat": now_s, "jti": "c6b1b2a2", "payload_hash": hash });
    let text = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(head),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mac = URL_SAFE_NO_PAD.encode(hmac::sign(&key, text.as_bytes()));
    vec![("authorization", format!("Bearer {text}.{mac}"))]
}

/// A name and a password in an address.
pub(crate) fn basic(name: &str, password: &str) -> Headers {
    let text = STANDARD.encode(format!("{name}:{password}"));
    vec![("authorization", format!("Basic {text}"))]
}

/// The key that Genesys names.
pub(crate) const GENESYS_KEY: &str = "key-of-the-integration";

/// Genesys: an HTTP message signature over the request of this session.
pub(crate) fn genesys(
    url: &str,
    ids: (&str, &str),
    secret: &[u8],
    (nonce, now_s): (&str, i64),
) -> Headers {
    let (organization, session) = ids;
    let correlation = "e160e428-53e2-487c-977d-96989bf5c99d";
    let (_, rest) = url.split_once("://").unwrap();
    let (authority, path) = rest.split_once('/').unwrap();
    let lines = [
        ("@request-target", format!("/{path}")),
        ("@authority", authority.to_owned()),
        ("audiohook-organization-id", organization.to_owned()),
        ("audiohook-session-id", session.to_owned()),
        ("audiohook-correlation-id", correlation.to_owned()),
        ("x-api-key", GENESYS_KEY.to_owned()),
    ];
    let names: Vec<String> = lines
        .iter()
        .map(|(name, _)| format!("\"{name}\""))
        .collect();
    let input = format!(
        "({});keyid=\"{GENESYS_KEY}\";nonce=\"{nonce}\";alg=\"hmac-sha256\";created={now_s};expires={}",
        names.join(" "),
        now_s + 10
    );
    let mut text: String = lines
        .iter()
        .map(|(name, value)| format!("\"{name}\": {value}\n"))
        .collect();
    text.push_str("\"@signature-params\": ");
    text.push_str(&input);
    let mut headers: Headers = lines
        .into_iter()
        .filter(|(name, _)| !name.starts_with('@'))
        .collect();
    headers.push(("signature-input", format!("sig1={input}")));
    headers.push(("signature", format!("sig1=:{}:", sha256_mac(&text, secret))));
    headers
}

fn sha256_mac(text: &str, secret: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    STANDARD.encode(hmac::sign(&key, text.as_bytes()))
}
