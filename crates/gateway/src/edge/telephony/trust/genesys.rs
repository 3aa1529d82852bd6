//! Genesys' HTTP message signature on the upgrade of an `AudioHook` session (spec/telephony §3.3;
//! <https://developer.genesys.cloud/devapps/audiohook/security>). Called by the route of Genesys.
//! Never accepts a signature that leaves out one of [`COVERED`], or a nonce that could be guessed.
//!
//! After a failure the route waits until about 500 ms have passed since the request came, whatever failed; after the
//! `open`, its organisation must be the one of the header.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Asked, Distrust, Once, any_mac};

const SIGNATURE: &str = "signature";
const INPUT: &str = "signature-input";
const API_KEY: &str = "x-api-key";

/// What the signature must cover.
pub const COVERED: [&str; 6] = [
    "@request-target",
    "@authority",
    "audiohook-organization-id",
    "audiohook-session-id",
    "audiohook-correlation-id",
    API_KEY,
];

/// How old a signature may be, in seconds.
pub const MAX_AGE_S: u64 = 10;
/// How far the clocks may be apart, in seconds.
pub const SKEW_S: u64 = 3;
/// Shortest nonce, in characters of base64: 128 bits.
pub const MIN_NONCE: usize = 22;

/// The API key that the request names: look up its secret with it, then [`verify`].
///
/// # Errors
/// The header is missing or no text.
pub fn api_key<'a>(asked: &Asked<'a>) -> Result<&'a str, Distrust> {
    asked.header(API_KEY)
}

/// Checks the signature under the client secret of [`api_key`]; `None` for a key that nobody knows, which takes as long.
/// `authority` is our public host, with the port when it is not 443.
///
/// # Errors
/// See [`Distrust`].
pub fn verify(
    asked: &Asked<'_>,
    authority: &str,
    secret: Option<&[u8]>,
    now_s: u64,
) -> Result<Once, Distrust> {
    let (label, member) = asked
        .header(INPUT)?
        .trim()
        .split_once('=')
        .ok_or(Distrust::Malformed(INPUT))?;
    let input = Input::parse(member).ok_or(Distrust::Malformed(INPUT))?;
    let signature = asked
        .header(SIGNATURE)?
        .trim()
        .strip_prefix(label)
        .and_then(|rest| rest.strip_prefix("=:")?.strip_suffix(':'))
        .and_then(|text| STANDARD.decode(text).ok())
        .ok_or(Distrust::Malformed(SIGNATURE))?;
    let covers = |name: &str| {
        input
            .components
            .iter()
            .filter(|other| **other == name)
            .count()
    };
    if !COVERED.iter().all(|name| covers(name) == 1) || input.keyid != api_key(asked)? {
        return Err(Distrust::Malformed(INPUT));
    }
    if input.alg.is_some_and(|alg| alg != "hmac-sha256") || input.nonce.len() < MIN_NONCE {
        return Err(Distrust::Malformed(INPUT));
    }
    let text = base(asked, authority, &input)?;
    // a secret that nobody has, so that an unknown key costs the same
    let unknown = [0x5A; 32];
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.unwrap_or(&unknown));
    any_mac(&key, &[text], &[signature])?;
    if secret.is_none_or(<[u8]>::is_empty) {
        return Err(Distrust::BadKey);
    }
    let expired = input
        .expires
        .is_some_and(|at| at.saturating_add(SKEW_S) < now_s);
    let old = input.created.saturating_add(MAX_AGE_S + SKEW_S) < now_s;
    if expired || old || input.created > now_s + SKEW_S {
        return Err(Distrust::Stale);
    }
    Ok(Once {
        id: input.nonce.to_owned(),
        until_s: input.created.saturating_add(MAX_AGE_S + 2 * SKEW_S),
    })
}

/// One line for each component, then the parameters as they came.
fn base(asked: &Asked<'_>, authority: &str, input: &Input<'_>) -> Result<String, Distrust> {
    let mut text = String::new();
    for name in &input.components {
        let value = match *name {
            "@request-target" => target(asked.url).ok_or(Distrust::Mismatch)?,
            "@authority" => authority,
            name if name.starts_with('@') => return Err(Distrust::Malformed(INPUT)),
            name => {
                let value = asked.headers.get(name).ok_or(Distrust::Mismatch)?;
                value.to_str().map_err(|_| Distrust::Mismatch)?.trim()
            }
        };
        text.push_str(&format!("\"{name}\": {value}\n"));
    }
    text.push_str(&format!("\"@signature-params\": {}", input.member));
    Ok(text)
}

/// Path and query.
fn target(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    Some(rest.find('/').map_or("/", |at| &rest[at..]))
}

/// `("a" "b");keyid="…";nonce="…";alg="…";created=1;expires=2`, in this strict form: what was signed is what was parsed.
struct Input<'a> {
    member: &'a str,
    components: Vec<&'a str>,
    keyid: &'a str,
    nonce: &'a str,
    alg: Option<&'a str>,
    created: u64,
    expires: Option<u64>,
}

impl<'a> Input<'a> {
    fn parse(member: &'a str) -> Option<Self> {
        let (list, mut parameters) = member.strip_prefix('(')?.split_once(')')?;
        let components = list.split(' ').map(quoted).collect::<Option<Vec<_>>>()?;
        let (mut keyid, mut nonce, mut alg, mut created, mut expires) =
            (None, None, None, None, None);
        while let Some(rest) = parameters.strip_prefix(';') {
            let end = rest.find(';').unwrap_or(rest.len());
            let (pair, after) = rest.split_at(end);
            let (name, value) = pair.split_once('=')?;
            let repeated = match name {
                "keyid" => keyid.replace(quoted(value)?).is_some(),
                "nonce" => nonce.replace(quoted(value)?).is_some(),
                "alg" => alg.replace(quoted(value)?).is_some(),
                "created" => created.replace(value.parse().ok()?).is_some(),
                "expires" => expires.replace(value.parse().ok()?).is_some(),
                _ => return None,
            };
            if repeated {
                return None;
            }
            parameters = after;
        }
        parameters.is_empty().then_some(())?;
        Some(Self {
            member,
            components,
            keyid: keyid?,
            nonce: nonce?,
            alg,
            created: created?,
            expires,
        })
    }
}

/// A string without anything in it that would need escaping.
fn quoted(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    let plain = |byte: u8| (0x20..0x7F).contains(&byte) && byte != b'"' && byte != b'\\';
    inner.bytes().all(plain).then_some(inner)
}
