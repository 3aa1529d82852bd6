//! What a stream brings along of ours: which call it is, and the token that proves it.
//! Written into answer documents, read at the start of a stream.
//! Never written in a form that a carrier does not pass on: Plivo takes letters and digits alone.

use wire::telephony::{Dialect, Start};

use super::trust::token;
use crate::calls::CallKey;

/// The call's id, under the name that LeadFlip gave it.
const CALL: &str = "callId";
/// Whose call it is.
const TENANT: &str = "tenant";

/// What a start says of its call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) tenant: Option<String>,
    pub(super) call: String,
    pub(super) token: Option<String>,
}

/// The parameters of a stream.
pub(super) fn write(carrier: Dialect, call: &CallKey, proof: &str) -> Vec<(&'static str, String)> {
    let text = |text: &str| {
        if carrier == Dialect::Plivo {
            hex(text)
        } else {
            text.to_owned()
        }
    };
    vec![
        (CALL, text(&call.id)),
        (TENANT, text(&call.tenant)),
        (token::PARAMETER, proof.to_owned()),
    ]
}

/// What `start` says of its call; nothing where it says nothing.
pub(super) fn read(carrier: Dialect, start: &Start) -> Option<Claim> {
    let text = |name| {
        let value = start.parameter(name)?;
        if carrier == Dialect::Plivo {
            unhex(value)
        } else {
            Some(value.to_owned())
        }
    };
    Some(Claim {
        call: text(CALL)?,
        tenant: text(TENANT),
        token: start.parameter(token::PARAMETER).map(str::to_owned),
    })
}

/// What a carrier is given with the address of the socket, because it sends nothing else of ours along (Telnyx).
pub(super) fn query(call: &CallKey, proof: &str) -> String {
    let pairs = write(Dialect::Telnyx, call, proof);
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs).finish()
}

/// What the query of a socket's address says of its call.
pub(super) fn of_query(query: &str) -> Option<Claim> {
    let pairs = url::form_urlencoded::parse(query.as_bytes()).into_owned();
    let start = Start {
        parameters: pairs.collect(),
        ..Start::default()
    };
    read(Dialect::Telnyx, &start)
}

fn hex(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, byte| {
        // writing to a string cannot fail
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn unhex(text: &str) -> Option<String> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let bytes: Option<Vec<u8>> = (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect();
    String::from_utf8(bytes?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_by_every_carrier() {
        let call = CallKey {
            tenant: "acme-1".to_owned(),
            id: "call_4fG".to_owned(),
            attempt: 1,
        };
        for carrier in Dialect::ALL {
            let written = write(carrier, &call, "00ff");
            let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
            let is_plain = written
                .iter()
                .all(|(name, value)| plain(name) && plain(value));
            assert_eq!(is_plain, carrier == Dialect::Plivo, "{carrier}");
            let start = Start {
                parameters: written
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect(),
                ..Start::default()
            };
            let claim = read(carrier, &start).unwrap();
            assert_eq!(
                (claim.call.as_str(), claim.tenant.as_deref()),
                ("call_4fG", Some("acme-1"))
            );
            assert_eq!(claim.token.as_deref(), Some("00ff"));
        }
        let claim = of_query(&query(&call, "00ff")).unwrap();
        assert_eq!(
            (claim.call.as_str(), claim.token.as_deref()),
            ("call_4fG", Some("00ff"))
        );
        assert_eq!(of_query("a=b&call=c"), None);
        assert_eq!(read(Dialect::Twilio, &Start::default()), None);
        assert_eq!(unhex("0g"), None);
        assert_eq!(unhex("é0"), None);
    }
}
