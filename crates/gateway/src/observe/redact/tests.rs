//! What is hidden, wherever it stands, and what is not, however much it looks like it.

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::*;

fn assert_hidden(line: &str, clean: &str) {
    assert_eq!(redact(line), clean, "{line}");
}

fn assert_kept(line: &str) {
    assert!(
        matches!(redact(line), Cow::Borrowed(same) if same == line),
        "{line} became {}",
        redact(line)
    );
}

#[test]
fn keys_are_hidden_wherever_they_stand() {
    let key = "ap_0123456789abcdefghijABCDEFGHIJ0123456789";
    assert_hidden(
        &format!("GET /v1/realtime?key={key} openai-insecure-api-key.{key}, realtime"),
        "GET /v1/realtime?key=ap_[hidden] openai-insecure-api-key.ap_[hidden], realtime",
    );
    assert_hidden(
        "authorization: Bearer my-own-bootstrap-key",
        "authorization: Bearer [hidden]",
    );
    assert_hidden("got ek_abcdefghijklmnopqrst!", "got ek_[hidden]!");
}

#[test]
fn what_stands_behind_the_name_of_a_secret_is_hidden() {
    for (line, clean) in [
        (
            r#"{"password":"short","n":1}"#,
            r#"{"password":"[hidden]","n":1}"#,
        ),
        ("GET /x?token=abc&n=1", "GET /x?token=[hidden]&n=1"),
        ("API_KEY=abc next", "API_KEY=[hidden] next"),
        (
            r#"{"Authorization": "Basic dXNlcjpwYXNz"}"#,
            r#"{"Authorization": "Basic [hidden]"}"#,
        ),
        ("client_secret=x", "client_secret=[hidden]"),
    ] {
        assert_hidden(line, clean);
    }
}

#[test]
fn people_are_hidden_and_can_be_told_apart() {
    for (line, clean) in [
        (
            "mail to ann_b-c.d+e@mail.example.org.",
            "mail to [hidden]@mail.example.org.",
        ),
        (r#"{"from":"+14155552671"}"#, r#"{"from":"[hidden]2671"}"#),
        ("call +49 (30) 123-456 78 now", "call [hidden]56 78 now"),
        ("call (415) 555-2671", "call [hidden]2671"),
        (
            "call 415-555-2671, 1.415.555.2672",
            "call [hidden]2671, [hidden]2672",
        ),
        ("ssn 219-09-9999;", "ssn [hidden];"),
        ("card=4111111111111111", "card=[hidden]"),
        ("card 4111 1111 1111 1111 12/29", "card [hidden] 12/29"),
        ("card-378282246310005", "card-[hidden]"),
        ("3782 822463 10005", "[hidden]"),
        (
            "postgres://ann:x1@db.example.org/antiphon",
            "postgres://ann:[hidden]@db.example.org/antiphon",
        ),
    ] {
        assert_hidden(line, clean);
    }
}

#[test]
fn other_text_stays_as_it_is() {
    for line in [
        "mapped map_size=3",
        "risk-free",
        "week_1",
        "Bearer of news",
        "",
        "ü ap_",
        "ann@localhost",
        "first_token=80 tokens=12 cached_tokens=5",
        "unexpected token: }",
        // no check digit, no issuer
        "4111111111111112",
        "9111111111111111",
        "2026-11-21T23:40:18.123456+00:00",
        "at 1763768418123 in 1763768418123456 or 1763768418123456789",
        "12345678-4111-1111-1111-111111111111",
        "a1b2c3d4-4111-4111-8111-111111111111",
        "resp_4111111111111111",
        "0.4111111111111111",
        "127.0.0.1:54321 [::1]:8080",
        "v1.202.555.0143-rc",
        "000-12-3456 and 900-12-3456",
        "1e+10 +0100 +1 234",
    ] {
        assert_kept(line);
    }
}

#[test]
fn the_writer_hides_keys() {
    let mut writer = RedactingWriter(Vec::new());
    writer
        .write_all(b"key=sk-abcdefghijklmnopqrstuvwx\n")
        .unwrap();
    assert_eq!(writer.0, b"key=sk-[hidden]\n");
}

/// What stands around a value in a line.
fn around() -> impl Strategy<Value = (&'static str, &'static str)> {
    prop::sample::select(vec![
        ("", ""),
        ("said ", " to nobody"),
        ("{\"a\":\"", "\"}"),
        ("a=", " b=2"),
        ("(", ")"),
        ("[1, ", ", 2]"),
        ("ü ", ", ü"),
        ("at 2026-11-21T10:00:00Z: ", "."),
        ("'", "';"),
    ])
}

/// The number of a card: how it begins, how long it is, and a check digit that fits.
fn card() -> impl Strategy<Value = String> {
    let issuers = prop::sample::select(vec![
        ("4", 16),
        ("4", 13),
        ("51", 16),
        ("2221", 16),
        ("37", 15),
        ("6011", 16),
        ("36", 14),
        ("3566", 16),
        ("62", 19),
    ]);
    let digits = prop::collection::vec(0_u32..10, 19);
    (issuers, digits).prop_map(|((begin, length), digits)| {
        let mut number: Vec<u32> = begin.bytes().map(|b| u32::from(b - b'0')).collect();
        number.extend(digits);
        number.truncate(length - 1);
        let doubled = |(place, digit): (usize, &u32)| match place % 2 {
            0 => digit * 2 / 10 + digit * 2 % 10,
            _ => *digit,
        };
        let sum: u32 = number.iter().rev().enumerate().map(doubled).sum();
        number.push((10 - sum % 10) % 10);
        number.iter().map(u32::to_string).collect()
    })
}

fn grouped(number: &str, separator: &str) -> String {
    let sizes: &[usize] = match number.len() {
        15 => &[4, 6, 5],
        14 => &[4, 6, 4],
        16 => &[4, 4, 4, 4],
        19 => &[4, 4, 4, 4, 3],
        _ => return number.to_owned(),
    };
    let mut rest = number;
    let mut groups = Vec::new();
    for size in sizes {
        let (group, behind) = rest.split_at(*size);
        groups.push(group);
        rest = behind;
    }
    groups.join(separator)
}

fn when() -> impl Strategy<Value = DateTime<Utc>> {
    // 2001 to 2036, to the nanosecond
    (1_000_000_000_i64..2_100_000_000, 0_u32..1_000_000_000)
        .prop_map(|(s, ns)| DateTime::from_timestamp(s, ns).unwrap_or_default())
}

proptest! {
    #[test]
    fn every_card_is_hidden((before, behind) in around(), number in card(), separator in prop::sample::select(vec!["", " ", "-"])) {
        let written = grouped(&number, separator);
        let clean = redact(&format!("{before}{written}{behind}")).into_owned();
        prop_assert_eq!(clean, format!("{before}[hidden]{behind}"));
    }

    #[test]
    fn every_number_of_a_telephone_is_hidden((before, behind) in around(), number in "[1-9][0-9]{7,14}") {
        let clean = redact(&format!("{before}+{number}{behind}")).into_owned();
        let last = &number[number.len() - 4..];
        prop_assert_eq!(clean, format!("{before}[hidden]{last}{behind}"));
    }

    #[test]
    fn every_address_is_hidden((before, behind) in around(), name in "[a-z0-9]([a-z0-9.+]{0,20}[a-z0-9])?", host in "[a-z]{1,9}[.](example|co)[.](org|uk)") {
        let clean = redact(&format!("{before}{name}@{host}{behind}")).into_owned();
        prop_assert_eq!(clean, format!("{before}[hidden]@{host}{behind}"));
    }

    #[test]
    fn no_time_is_hidden((before, behind) in around(), at in when()) {
        for written in [
            at.to_rfc3339(),
            at.to_string(),
            at.timestamp().to_string(),
            at.timestamp_millis().to_string(),
            at.timestamp_micros().to_string(),
            at.timestamp_nanos_opt().unwrap_or_default().to_string(),
            format!("{}.{:09}", at.timestamp(), at.timestamp_subsec_nanos()),
        ] {
            let line = format!("{before}{written}{behind}");
            prop_assert_eq!(redact(&line), line.as_str());
        }
    }

    #[test]
    fn no_id_or_measurement_is_hidden(
        (before, behind) in around(),
        id in "(sess|resp|item|call|event|req)_[A-Za-z0-9]{16,32}",
        uuid in "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
        trace in "[0-9a-f]{15}[a-f][0-9a-f]{16}",
        address in any::<std::net::SocketAddr>(),
        measured in -1e9_f64..1e9,
        counted in 0_u64..100_000_000_000,
    ) {
        for written in [id, uuid, trace, address.to_string(), measured.to_string(), counted.to_string()] {
            let line = format!("{before}{written}{behind}");
            prop_assert_eq!(redact(&line), line.as_str());
        }
    }

    #[test]
    fn any_text_is_taken_and_what_is_clean_stays_clean(text in ".{0,200}") {
        let once = redact(&text).into_owned();
        prop_assert_eq!(redact(&once), once.as_str());
    }
}
