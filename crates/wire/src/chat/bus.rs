//! How rooms speak to each other over Redis: the original's messages, with a mark of ours behind them.
//! Written and read by the chat edge; servers of the original publish on the same channel and read what we publish.
//! Never shown to a client of ours: the mark is cut off before a message goes out.
//!
//! The channel `chat:{id}` carries what clients are told, as JSON. Whatever is published there is passed on, so that a
//! server of the original can pass ours on; it hands the mark to its clients too, who do not look at it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// What the mark is called, as it stands in the text.
const MEMBER: &str = r#","antiphon":{"#;

/// Longest part of a mark, in bytes.
const PART_BYTES: usize = 64;

/// Where a message stands in its room, and who has sent it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Mark {
    /// Its place in the room's stream.
    pub cursor: String,
    /// The place of the one before it; empty for the first.
    pub prev: String,
    /// Who has sent it: a server and one of its connections.
    pub via: String,
    /// What it is known by; the same is not told twice. Empty where every one counts.
    pub key: String,
}

/// What was published, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published<'a> {
    /// What clients are told.
    pub text: Cow<'a, str>,
    /// Its `type`, if it has one.
    pub kind: Option<String>,
    /// Ours, if it is from one of ours.
    pub mark: Option<Mark>,
    /// What tells two of it apart: of `message` its id, of `message_updated` also when; `None` where every one counts.
    pub key: Option<String>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    antiphon: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Known {
    id: Option<String>,
    updated_at: Option<String>,
    agent_id: Option<String>,
    timestamp: Option<String>,
}

/// A message of ours as it is published: `text` is the JSON of an object that is not empty. Parts of the mark may hold
/// letters, digits and `.:_-` only; others are left out.
pub fn mark(text: &str, mark: &Mark) -> String {
    let Some(open) = text.strip_suffix('}') else {
        return text.to_owned();
    };
    let (cursor, prev) = (part(&mark.cursor), part(&mark.prev));
    let (via, key) = (part(&mark.via), part(&mark.key));
    format!(r#"{open}{MEMBER}"cursor":"{cursor}","prev":"{prev}","via":"{via}","key":"{key}"}}}}"#)
}

/// Reads what was published; `None` where it is no JSON, which the original drops as well.
pub fn read(payload: &str) -> Option<Published<'_>> {
    let payload = payload.trim();
    // serde would take an array for the members in their order
    let object = Some(payload).filter(|payload| payload.starts_with('{'));
    let envelope = object.and_then(|object| serde_json::from_str::<Envelope<'_>>(object).ok());
    let Some(envelope) = envelope else {
        // an array, a text or an object whose members occur twice is passed on all the same
        let _: &RawValue = serde_json::from_str(payload).ok()?;
        return Some(Published {
            text: payload.into(),
            kind: None,
            mark: None,
            key: None,
        });
    };
    let kind: Option<String> = envelope.kind.and_then(of_raw);
    let mark = envelope.antiphon.and_then(of_raw::<Mark>);
    let mark = mark.zip(cut(payload));
    let key = key(kind.as_deref(), envelope.data);
    Some(match mark {
        Some((mark, text)) => Published {
            key: key.or_else(|| Some(mark.key.clone()).filter(|key| !key.is_empty())),
            text: text.into(),
            kind,
            mark: Some(mark),
        },
        None => Published {
            text: payload.into(),
            kind,
            mark: None,
            key,
        },
    })
}

/// What two publications of the same happening have in common.
fn key(kind: Option<&str>, data: Option<&RawValue>) -> Option<String> {
    let data: Known = of_raw(data?)?;
    match kind? {
        "message" => data.id.map(|id| format!("m:{id}")),
        "message_updated" => {
            let at = data.updated_at.unwrap_or_default();
            data.id.map(|id| format!("u:{id}:{at}"))
        }
        "agent_joined" => {
            let at = data.timestamp?;
            data.agent_id.map(|id| format!("j:{id}:{at}"))
        }
        _ => None,
    }
}

/// The text without the mark, which is its last member.
fn cut(payload: &str) -> Option<String> {
    let at = payload.rfind(MEMBER)?;
    let text = format!("{}}}", &payload[..at]);
    let _: &RawValue = serde_json::from_str(&text).ok()?;
    Some(text)
}

fn of_raw<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}

fn part(text: &str) -> String {
    let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '_' | '-');
    text.chars().filter(allowed).take(PART_BYTES).collect()
}
