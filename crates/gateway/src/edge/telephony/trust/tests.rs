//! Vectors: those of spec/telephony §2.7 and §3.3, and others computed with Python's `hmac` after the vendors' descriptions.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::token::Purpose;
use super::twilio::Kind;
use super::{Asked, Distrust, basic, genesys, plivo, shared_secret, signalwire, telnyx, token};
use super::{twilio, vonage};

const JSON: &[u8] = br#"{"a":1}"#;
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const NOW: u64 = 1_700_000_000;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &str)| {
        let value = HeaderValue::from_str(value).expect("a header");
        (HeaderName::from_static(name), value)
    };
    pairs.iter().map(pair).collect()
}

fn asked<'a>(url: &'a str, headers: &'a HeaderMap, body: &'a [u8]) -> Asked<'a> {
    let method = if body.is_empty() { "GET" } else { "POST" };
    Asked {
        method,
        url,
        headers,
        body,
    }
}

fn twilio_says(
    kind: Kind,
    url: &str,
    more: &[(&'static str, &str)],
    body: &[u8],
) -> Result<(), Distrust> {
    let headers = headers(more);
    twilio::verify(&asked(url, &headers, body), kind, b"12345")
}

#[test]
fn twilio_forms_are_signed_by_name_and_value() {
    let url = "https://mycompany.com/myapp.php?foo=1&bar=2";
    let body = b"To=%2B18005551212&From=%2B14158675309&Digits=1234&Caller=%2B14158675309&CallSid=CA1234567890ABCDE";
    let signed = ("x-twilio-signature", "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
    let check = |url, more: &[(&'static str, &str)], body: &[u8]| {
        twilio_says(Kind::Request, url, more, body)
    };
    assert_eq!(check(url, &[FORM, signed], body), Ok(()));
    let charset = (
        "content-type",
        "application/x-www-form-urlencoded; charset=UTF-8",
    );
    assert_eq!(check(url, &[charset, signed], body), Ok(()));
    let other = b"To=%2B18005551212&From=%2B12349013030&Digits=1234&Caller=%2B12349013030&CallSid=CA1234567890ABCDE";
    assert_eq!(check(url, &[FORM, signed], other), Err(Distrust::Mismatch));
    let second = ("x-twilio-signature", "0/KCTR6DLpKmkAf8muzZqo1nDgQ=");
    assert_eq!(check(url, &[FORM, second], other), Ok(()));
    let missing = Distrust::Missing("x-twilio-signature");
    assert_eq!(check(url, &[FORM], body), Err(missing));
    let garbage = ("x-twilio-signature", "not base64");
    let malformed = Distrust::Malformed("x-twilio-signature");
    assert_eq!(check(url, &[FORM, garbage], body), Err(malformed));
    // as JSON, the same body is not covered by that signature
    assert_eq!(check(url, &[signed], body), Err(Distrust::Mismatch));
    let query = "https://mycompany.com/myapp.php?bar=2&foo=1";
    assert_eq!(check(query, &[FORM, signed], body), Err(Distrust::Mismatch));
    let given = headers(&[FORM, signed]);
    let empty = twilio::verify(&asked(url, &given, body), Kind::Request, b"");
    assert_eq!(empty, Err(Distrust::BadKey));
}

#[test]
fn twilio_sockets_are_signed_as_wss_with_or_without_port() {
    let path = "/v1/telephony/twilio/stream";
    let plain = ("x-twilio-signature", "3BIsi+iYUWmKnO2YEyCteYgVFfw=");
    let ported = ("x-twilio-signature", "i+PT9V4BjJLNQc8QSKAxc5K0W7s=");
    let slashed = ("x-twilio-signature", "ilCp0osXaSDYSwAht2WhVzag3Zs=");
    for origin in [
        "https://example.com",
        "https://example.com:443",
        "wss://example.com",
    ] {
        let url = format!("{origin}{path}");
        for signed in [plain, ported] {
            assert_eq!(twilio_says(Kind::Upgrade, &url, &[signed], b""), Ok(()));
            let request = twilio_says(Kind::Request, &url, &[signed], b"");
            assert_eq!(request, Err(Distrust::Mismatch), "wss is for upgrades");
        }
        let other = twilio_says(Kind::Upgrade, &url, &[slashed], b"");
        assert_eq!(other, Err(Distrust::Mismatch), "a slash is another path");
        let url = format!("{url}/");
        assert_eq!(twilio_says(Kind::Upgrade, &url, &[slashed], b""), Ok(()));
    }
    let other = format!("https://example.com:8443{path}");
    let refused = twilio_says(Kind::Upgrade, &other, &[ported], b"");
    assert_eq!(refused, Err(Distrust::Mismatch));
    let url = "https://example.com/s?b=2&a=1";
    for signature in [
        "A8MZJe5Y2mBc1YdLgahKWfcFOlM=",
        "GE4J87vDPnzc9FUfGDc70bz7+Ns=",
    ] {
        let signed = ("x-twilio-signature", signature);
        assert_eq!(twilio_says(Kind::Upgrade, url, &[signed], b""), Ok(()));
    }
    for url in ["", "example.com", "ftp://example.com/", "https:///x"] {
        let refused = twilio_says(Kind::Upgrade, url, &[plain], b"");
        assert_eq!(refused, Err(Distrust::Mismatch), "{url}");
    }
}

#[test]
fn twilio_json_is_hashed_in_the_address() {
    let hash = "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862";
    let url = format!("https://example.com/cb?bodySHA256={hash}");
    let json = ("content-type", "application/json");
    let signed = ("x-twilio-signature", "1GgN8nEpt8zPd8zDAaVw1GrLTTo=");
    let check = |body: &[u8]| twilio_says(Kind::Request, &url, &[json, signed], body);
    assert_eq!(check(JSON), Ok(()));
    assert_eq!(check(br#"{"a":2}"#), Err(Distrust::Mismatch));
}

#[test]
fn signalwire_has_three_ways() {
    let url = "https://example.com/cb";
    let check = |more: &[(&'static str, &str)], body: &[u8]| {
        let headers = headers(more);
        signalwire::verify(&asked(url, &headers, body), Kind::Request, b"PSK_key")
    };
    let sha1 = "76de4ccd0e2141dd46f60639ac511254b66d559c";
    let sha256 = "10bbcad09e7f56086a9fb9b24bfdeadc1dccfa582fe049726bb6e6dff112ada7";
    assert_eq!(check(&[("x-signalwire-signature", sha1)], JSON), Ok(()));
    assert_eq!(check(&[("x-twilio-signature", sha1)], JSON), Ok(()));
    let strong = ("x-signalwire-sha256-signature", sha256);
    assert_eq!(check(&[strong], JSON), Ok(()));
    // the weak header is not looked at when the strong one is wrong
    let wrong = (
        "x-signalwire-sha256-signature",
        &sha256.replace('1', "2")[..],
    );
    let both = [wrong, ("x-signalwire-signature", sha1)];
    assert_eq!(check(&both, JSON), Err(Distrust::Mismatch));
    let form = "ypmWdp869KTHIUlBE7TNYgiS2qA+UyCK6Yjtk7nwYGQ=";
    let form = ("x-signalwire-sha256-signature", form);
    assert_eq!(check(&[FORM, form], b"B=2&A=1"), Ok(()));
    assert_eq!(check(&[FORM, form], b"B=2&A=3"), Err(Distrust::Mismatch));
    let missing = Distrust::Missing("x-twilio-signature");
    assert_eq!(check(&[FORM], b"B=2&A=1"), Err(missing));
}

#[test]
fn telnyx_signs_the_time_and_the_body() {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a seed");
    let public = STANDARD.encode(pair.public_key().as_ref());
    let sign = |text: &str| STANDARD.encode(pair.sign(text.as_bytes()).as_ref());
    let signature = sign(r#"1700000000|{"a":1}"#);
    let check = |signature: &str, at: &str, key: &str, now| {
        let headers = headers(&[
            ("telnyx-signature-ed25519", signature),
            ("telnyx-timestamp", at),
        ]);
        telnyx::verify(&asked("https://example.com/", &headers, JSON), key, now)
    };
    let at = "1700000000";
    assert_eq!(check(&signature, at, &public, NOW), Ok(()));
    assert_eq!(check(&signature, at, &public, NOW + 300), Ok(()));
    assert_eq!(check(&signature, at, &public, NOW - 300), Ok(()));
    let stale = Err(Distrust::Stale);
    assert_eq!(check(&signature, at, &public, NOW + 301), stale);
    assert_eq!(check(&signature, at, &public, NOW - 301), stale);
    let mismatch = Err(Distrust::Mismatch);
    assert_eq!(check(&signature, "1700000001", &public, NOW), mismatch);
    let other = sign(r#"1700000000|{"a":2}"#);
    assert_eq!(check(&other, at, &public, NOW), mismatch);
    for key in ["", "AAAA", "no key"] {
        assert_eq!(check(&signature, at, key, NOW), Err(Distrust::BadKey));
    }
    let malformed = Err(Distrust::Malformed("telnyx-timestamp"));
    assert_eq!(check(&signature, "now", &public, NOW), malformed);
}

#[test]
fn plivo_signs_address_parameters_and_nonce() {
    let check = |url: &str, signature: &str, nonce: &str, body: &[u8]| {
        let headers = headers(&[
            FORM,
            ("x-plivo-signature-v3", signature),
            ("x-plivo-signature-v3-nonce", nonce),
        ]);
        plivo::verify(&asked(url, &headers, body), b"my_auth_token")
    };
    let form = b"From=1555&CallUUID=u1";
    let get = "GjGQn8rSFd9c8ByvOB7kmpLb3uZumJcXleFuPTkcWPw=";
    let bare = "2tUVd+6dOTo/13hSmD0yrftTKb57pVvy0kxqkPKxcqk=";
    let query = "lqIVGm+lTJwZAO2oCz/EgahQDuUhfesQMt2e1nEBukw=";
    let post = "sHauqsttJ+qZlYn3dl+uOsNQCkmw7mMaaCLrO/skrRI=";
    let url = "https://answer.url/cb";
    assert_eq!(
        check("https://answer.url/cb?b=2&a=1", get, "12345", b""),
        Ok(())
    );
    assert_eq!(
        check("https://answer.url:443/cb?b=2&a=1", get, "12345", b""),
        Ok(())
    );
    assert_eq!(check("https://answer.url", bare, "12345", b""), Ok(()));
    assert_eq!(
        check("https://answer.url/cb?z=1", query, "12345", form),
        Ok(())
    );
    assert_eq!(check(url, post, "12345", form), Ok(()));
    let two = format!("{bare}, {post}");
    assert_eq!(check(url, &two, "12345", form), Ok(()), "one of two tokens");
    let mismatch = Err(Distrust::Mismatch);
    assert_eq!(check(url, post, "12346", form), mismatch);
    assert_eq!(
        check(url, post, "12345", b"From=1556&CallUUID=u1"),
        mismatch
    );
    assert_eq!(
        check("https://answer.url/other", post, "12345", form),
        mismatch
    );
    let malformed = Err(Distrust::Malformed("x-plivo-signature-v3-nonce"));
    assert_eq!(check(url, post, "", form), malformed);
    let json = headers(&[
        ("x-plivo-signature-v3", post),
        ("x-plivo-signature-v3-nonce", "12345"),
    ]);
    let json = plivo::verify(&asked(url, &json, form), b"my_auth_token");
    assert_eq!(json, mismatch, "a body that is no form");
}

const HEAD: &str = "eyJ0eXAiOiAiSldUIiwgImFsZyI6ICJIUzI1NiJ9";
const CLAIMS: &str = "eyJpYXQiOiAxNzAwMDAwMDAwLCAianRpIjogImoiLCAiaXNzIjogIlZvbmFnZSIsICJwYXlsb2FkX2hhc2giOiAiMDE1YWJkN2Y1Y2M1N2EyZGQ5NGI3NTkwZjA0YWQ4MDg0MjczOTA1ZWUzM2VjNWNlYmVhZTYyMjc2YTk3Zjg2MiIsICJhcGlfa2V5IjogImsifQ";
const MAC: &str = "ZQLykKr7Ii-8kAjqk5Z0d_5bPU_VPHxlccHamc7HvC8";
const NONE: &str = "eyJ0eXAiOiAiSldUIiwgImFsZyI6ICJub25lIn0.eyJpYXQiOiAxNzAwMDAwMDAwLCAicGF5bG9hZF9oYXNoIjogIjAxNWFiZDdmNWNjNTdhMmRkOTRiNzU5MGYwNGFkODA4NDI3MzkwNWVlMzNlYzVjZWJlYWU2MjI3NmE5N2Y4NjIifQ.c-iqLxc93Hee18lQFqcXGWz7k3uGuVDVZnlePbHTD-Y";
const NO_HASH: &str = "eyJ0eXAiOiAiSldUIiwgImFsZyI6ICJIUzI1NiJ9.eyJpYXQiOiAxNzAwMDAwMDAwfQ.WtdQoXyJTOnaaTjgn8IlrRNK5_6Dlt7G8oOEeanev-s";

#[test]
fn vonage_signs_a_token_with_the_hash_of_the_body() {
    let check = |token: &str, body: &[u8], now| {
        let headers = headers(&[("authorization", &format!("Bearer {token}"))]);
        let asked = asked("https://example.com/", &headers, body);
        vonage::verify(&asked, b"vonage-secret", now)
    };
    let good = format!("{HEAD}.{CLAIMS}.{MAC}");
    assert_eq!(check(&good, JSON, NOW), Ok(()));
    assert_eq!(check(&good, JSON, NOW + 301), Err(Distrust::Stale));
    assert_eq!(check(&good, br#"{"a":2}"#, NOW), Err(Distrust::Mismatch));
    assert_eq!(check(&good, b"", NOW), Err(Distrust::Mismatch));
    assert_eq!(check(NO_HASH, b"", NOW), Ok(()), "a GET has no body");
    assert_eq!(check(NO_HASH, JSON, NOW), Err(Distrust::Mismatch));
    let malformed = Err(Distrust::Malformed("authorization"));
    assert_eq!(check(NONE, JSON, NOW), malformed, "another algorithm");
    for token in ["", "a", "a.b", "a.b.c.d", &format!("{HEAD}.{CLAIMS}.")] {
        assert!(check(token, JSON, NOW).is_err(), "{token}");
    }
    let headers = headers(&[("authorization", "Basic abc")]);
    let other = vonage::verify(&asked("https://example.com/", &headers, b""), b"s", NOW);
    assert_eq!(other, malformed);
}

const SAMPLE_KEY: &str = "SGVsbG8sIEkgYW0gdGhlIEFQSSBrZXkh";
const SAMPLE_SECRET: &str = "TXlTdXBlclNlY3JldEtleVRlbGxOby0xITJAMyM0JDU=";
const SAMPLE_INPUT: &str = r#"sig1=("@request-target" "@authority" "audiohook-organization-id" "audiohook-session-id" "audiohook-correlation-id" "x-api-key");keyid="SGVsbG8sIEkgYW0gdGhlIEFQSSBrZXkh";nonce="VGhpc0lzQVVuaXF1ZU5vbmNl";alg="hmac-sha256";created=1641013200;expires=3282026430"#;
const SAMPLE_SIGNATURE: &str = "sig1=:NZBwyBHRRyRoeLqy1IzOa9VYBuI8TgMFt2GRDkDuJh4=:";

fn genesys_says(input: &str, signature: &str, change: (&str, &str), now: u64) -> String {
    let headers = headers(&[
        (
            "audiohook-organization-id",
            "d7934305-0972-4844-938e-9060eef73d05",
        ),
        (
            "audiohook-session-id",
            "30b0e395-84d3-4570-ac13-9a62d8f514c0",
        ),
        (
            "audiohook-correlation-id",
            "e160e428-53e2-487c-977d-96989bf5c99d",
        ),
        ("x-api-key", SAMPLE_KEY),
        ("signature", signature),
        ("signature-input", input),
    ]);
    let secret = STANDARD.decode(SAMPLE_SECRET).expect("base64");
    let (authority, secret) = match change {
        ("authority", other) => (other, Some(&secret[..])),
        ("secret", "") => ("audiohook.example.com", None),
        _ => ("audiohook.example.com", Some(&secret[..])),
    };
    let url = match change {
        ("url", other) => other,
        _ => "https://audiohook.example.com/api/v1/voicebiometrics/ws",
    };
    let asked = asked(url, &headers, b"");
    assert_eq!(genesys::api_key(&asked), Ok(SAMPLE_KEY));
    match genesys::verify(&asked, authority, secret, now) {
        Ok(once) => format!("{} until {}", once.id, once.until_s),
        Err(distrust) => format!("{distrust:?}"),
    }
}

#[test]
fn genesys_signs_the_upgrade() {
    let created = 1_641_013_200;
    let same = ("", "");
    let check = |now| genesys_says(SAMPLE_INPUT, SAMPLE_SIGNATURE, same, now);
    let good = "VGhpc0lzQVVuaXF1ZU5vbmNl until 1641013216";
    assert_eq!(check(created), good);
    assert_eq!(check(created + 13), good);
    assert_eq!(check(created - 3), good);
    assert_eq!(check(created + 14), "Stale");
    assert_eq!(check(created - 4), "Stale");
    let changed = |change| genesys_says(SAMPLE_INPUT, SAMPLE_SIGNATURE, change, created);
    assert_eq!(changed(("authority", "other.example.com")), "Mismatch");
    assert_eq!(
        changed(("url", "https://audiohook.example.com/x")),
        "Mismatch"
    );
    assert_eq!(
        changed(("secret", "")),
        "Mismatch",
        "a key that nobody knows"
    );
    let inputs = [
        SAMPLE_INPUT.replace(r#" "x-api-key""#, ""),
        SAMPLE_INPUT.replace(r#""x-api-key""#, r#""x-api-key" "x-api-key""#),
        SAMPLE_INPUT.replace("hmac-sha256", "rsa-v1_5-sha256"),
        SAMPLE_INPUT.replace("VGhpc0lzQVVuaXF1ZU5vbmNl", "short"),
        SAMPLE_INPUT.replace(r#"keyid="SGVs"#, r#"keyid="other"#),
        SAMPLE_INPUT.replace(";created=1641013200", ""),
        SAMPLE_INPUT.replace(";created=", ";created=1;created="),
        SAMPLE_INPUT.replace(";alg=", ";unknown="),
        "sig1=()".to_owned(),
        "sig1".to_owned(),
        String::new(),
    ];
    for input in inputs {
        let said = genesys_says(&input, SAMPLE_SIGNATURE, same, created);
        assert_eq!(said, r#"Malformed("signature-input")"#, "{input}");
    }
    let later = SAMPLE_INPUT.replace("created=1641013200", "created=1641013300");
    let said = genesys_says(&later, SAMPLE_SIGNATURE, same, created + 100);
    assert_eq!(said, "Mismatch", "parameters are signed, too");
    for signature in ["sig2=:NZBw:", "sig1=NZBw", "sig1=:!:", ""] {
        let said = genesys_says(SAMPLE_INPUT, signature, same, created);
        assert_eq!(said, r#"Malformed("signature")"#, "{signature}");
    }
}

#[test]
fn tokens_are_for_one_call_and_a_short_time() {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"installation");
    let text = token::mint(
        &key,
        (Purpose::Stream, "acme", "call-1"),
        2,
        NOW + token::LIFETIME_S,
        [9; 16],
    );
    assert_eq!(text.len(), token::LENGTH);
    assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let own = (Purpose::Stream, "acme", "call-1");
    let proof = token::check(&key, own, &text, NOW).expect("a good token");
    assert_eq!(proof.once.id, format!("token:{}", "09".repeat(16)));
    assert_eq!((proof.once.until_s, proof.attempt), (NOW + 120, 2));
    assert!(token::check(&key, own, &text, NOW + 120).is_ok());
    // what is good for a stream is no address, and the other way round
    let address = (Purpose::Address, "acme", "call-1");
    let crossed = token::check(&key, address, &text, NOW).err();
    assert_eq!(crossed, Some(Distrust::Mismatch));
    let other_attempt = format!("{}00000001{}", &text[..48], &text[56..]);
    let crossed = token::check(&key, own, &other_attempt, NOW).err();
    assert_eq!(crossed, Some(Distrust::Mismatch));
    let check = |call: &str, text: &str, now| {
        token::check(&key, (Purpose::Stream, "acme", call), text, now).err()
    };
    assert_eq!(check("call-1", &text, NOW + 121), Some(Distrust::Stale));
    assert_eq!(check("call-2", &text, NOW), Some(Distrust::Mismatch));
    assert_eq!(check("", &text, NOW), Some(Distrust::Mismatch));
    let later = format!("ffffffffffffffff{}", &text[16..]);
    assert_eq!(check("call-1", &later, NOW), Some(Distrust::Mismatch));
    let malformed = Some(Distrust::Malformed("token"));
    assert_eq!(check("call-1", "", NOW), malformed);
    assert_eq!(
        check("call-1", &"é".repeat(token::LENGTH / 2), NOW),
        malformed
    );
    assert_eq!(check("call-1", &"g".repeat(token::LENGTH), NOW), malformed);
    for (tenant, call) in [("rival", "call-1"), ("acmec", "all-1"), ("", "acmecall-1")] {
        let foreign = token::check(&key, (Purpose::Stream, tenant, call), &text, NOW).err();
        assert_eq!(foreign, Some(Distrust::Mismatch), "{tenant} {call}");
    }
    let other = hmac::Key::new(hmac::HMAC_SHA256, b"other");
    let foreign = token::check(&other, own, &text, NOW).err();
    assert_eq!(foreign, Some(Distrust::Mismatch));
}

#[test]
fn secrets_that_are_sent_as_they_are() {
    let bearer = headers(&[
        ("authorization", "Bearer abc"),
        ("x-telnyx-streaming-auth-token", "t"),
    ]);
    let asked_bearer = asked("https://example.com/", &bearer, b"");
    let check = |header, secret: &[u8]| shared_secret(&asked_bearer, header, secret);
    assert_eq!(check("authorization", b"abc"), Ok(()));
    assert_eq!(check("authorization", b"abcd"), Err(Distrust::Mismatch));
    assert_eq!(check("authorization", b""), Err(Distrust::BadKey));
    assert_eq!(check(telnyx::STREAM_TOKEN, b"t"), Ok(()));
    assert_eq!(check("x-other", b"t"), Err(Distrust::Missing("x-other")));
    let exotel = headers(&[("authorization", "Basic bmFtZTpwYXNz")]);
    let asked_exotel = asked("https://example.com/", &exotel, b"");
    assert_eq!(basic(&asked_exotel, "name", "pass"), Ok(()));
    assert_eq!(
        basic(&asked_exotel, "name", "word"),
        Err(Distrust::Mismatch)
    );
    assert_eq!(basic(&asked_exotel, "name:pass", ""), Err(Distrust::BadKey));
    let malformed = Err(Distrust::Malformed("authorization"));
    assert_eq!(basic(&asked_bearer, "name", "pass"), malformed);
}
