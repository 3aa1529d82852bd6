//! Vonage Voice API over WebSocket: <https://developer.vonage.com/en/voice/voice-api/guides/websockets>; its Video Audio Connector
//! frames sound the same way. Used through [`super::Codec`].
//! Never believes a header field that shadows `event`: the vendor merges our own headers into the first frame.

use std::borrow::Cow;
use std::fmt;

use bytes::BytesMut;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::format::Format;
use super::frame::DtmfKeys;
use super::framing::{Delivery, FrameLength};
use super::heard::{Heard, Ignored, Media, Payload, Refused, Start, Track};
use super::lenient::{Number, Object, Parameters, Text, object};
use super::limits::{MAX_FRAME_BYTES, VONAGE_FRAME_MS, VONAGE_QUEUE_FRAMES};
use super::say::{Instead, Say, Sent, Unsayable};
use super::stream::{Stream, check_audio, key, push_number};

const CONNECTED: &str = "websocket:connected";

/// One stream of Vonage's. It has no ids: put ours into the `headers` of the endpoint.
#[derive(Debug, Default)]
pub struct Vonage {
    pub(super) stream: Stream,
}

/// The first frame: every key, the repeated ones, too.
#[derive(Debug, Default)]
pub(super) struct Entries<'a>(Vec<(Cow<'a, str>, Text<'a>)>);

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    #[serde(borrow)]
    event: Text<'a>,
    #[serde(borrow)]
    digit: Text<'a>,
    duration: Number,
    #[serde(borrow)]
    dtmf: Object<DtmfKeys<'a>>,
    #[serde(borrow)]
    payload: Object<Notified<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Notified<'a> {
    #[serde(borrow)]
    mark: Text<'a>,
}

impl Vonage {
    pub(super) fn text<'a>(&mut self, text: &'a str) -> Result<Heard<'a>, Refused> {
        if let Some(heard) = self.stream.closed_to_events() {
            if self.stream.closed_to_start().is_some() {
                return Ok(heard);
            }
            let first: Entries<'_> = object(text)?;
            if !first.begins() {
                return Ok(heard);
            }
            let start = first.start()?;
            return Ok(self.stream.begin(start));
        }
        let message: Message<'_> = object(text)?;
        Ok(match message.event.as_str() {
            CONNECTED => Heard::Ignored(Ignored::SecondStart),
            "websocket:dtmf" => {
                let nested = message.dtmf.or_empty();
                let flat = DtmfKeys {
                    digit: message.digit,
                    duration: message.duration,
                };
                key(if flat.digit.as_str().is_empty() {
                    &nested
                } else {
                    &flat
                })
            }
            "websocket:cleared" => Heard::Cleared,
            "websocket:notify" => self
                .stream
                .marks
                .echo(message.payload.or_empty().mark.as_str()),
            _ => Heard::Ignored(Ignored::UnknownEvent),
        })
    }

    pub(super) fn binary<'a>(&mut self, audio: &'a [u8]) -> Result<Heard<'a>, Refused> {
        if audio.len() > MAX_FRAME_BYTES {
            return Err(Refused::TooLarge { bytes: audio.len() });
        }
        if let Some(closed) = self.stream.closed_to_events() {
            return Ok(closed);
        }
        Ok(raw_media(&mut self.stream, audio))
    }

    pub(super) fn write(&mut self, say: Say<'_>, out: &mut BytesMut) -> Result<Sent, Unsayable> {
        match say {
            Say::Audio(audio) => {
                check_audio(self.delivery().frame, audio)?;
                out.extend_from_slice(audio);
                return Ok(Sent::Binary);
            }
            Say::Mark(mark) => {
                self.stream.marks.send(mark)?;
                out.extend_from_slice(br#"{"action":"notify","payload":{"mark":"#);
                push_number(mark, out);
                out.extend_from_slice(b"}}");
            }
            Say::Clear => {
                self.stream.marks.clear();
                out.extend_from_slice(br#"{"action":"clear"}"#);
            }
            Say::Dtmf(_) => return Err(Unsayable::NoSuchFrame(Instead::Rest)),
            Say::HangUp(_) => return Err(Unsayable::NoSuchFrame(Instead::Close)),
            Say::Text(_) | Say::Play(_) | Say::Language(_) => {
                return Err(Unsayable::NoSuchFrame(Instead::Audio));
            }
        }
        Ok(Sent::Text)
    }

    pub(super) const fn delivery(&self) -> Delivery {
        let bytes = VONAGE_FRAME_MS as usize * self.stream.format.bytes_per_ms();
        Delivery {
            frame: FrameLength {
                min: bytes,
                max: bytes,
                step: bytes,
            },
            queue_ms: Some(VONAGE_QUEUE_FRAMES * VONAGE_FRAME_MS),
            rate: None,
        }
    }
}

/// A binary frame of sound.
pub(super) fn raw_media<'a>(stream: &mut Stream, audio: &'a [u8]) -> Heard<'a> {
    if audio.is_empty() {
        return Heard::Ignored(Ignored::NoPayload);
    }
    stream.counters.media += 1;
    Heard::Media(Media {
        payload: Payload::Raw(audio),
        timestamp_ms: None,
        sequence: None,
        track: Track::Inbound,
    })
}

impl Entries<'_> {
    /// Whether this is the frame that opens a stream, whatever a header field has made of `event`.
    pub(super) fn begins(&self) -> bool {
        self.0.iter().any(|(key, value)| match key.as_ref() {
            "event" => value.as_str() == CONNECTED,
            "content-type" => value.as_str().starts_with("audio/"),
            _ => false,
        })
    }

    fn start(self) -> Result<Start, Refused> {
        let mut format = None;
        let mut parameters = Parameters::default();
        for (key, value) in self.0 {
            match (key.as_ref(), value.0) {
                ("event", _) | (_, None) => {}
                ("content-type", Some(_)) if format.is_some() => {
                    return Err(Refused::DuplicateKey);
                }
                ("content-type", Some(value)) => {
                    format = Some(Format::named(&value, None).ok_or(Refused::Format)?);
                }
                (_, Some(value)) => parameters.add(key.into_owned(), value.into_owned()),
            }
        }
        // the Video Audio Connector's default, and what answer documents of ours ask for
        let format = format.unwrap_or(Format::L16At16k);
        if matches!(format, Format::Mulaw8k | Format::Alaw8k) {
            return Err(Refused::Format);
        }
        Ok(Start {
            format: Some(format),
            parameters: parameters.checked()?,
            ..Start::default()
        })
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<'de>, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = map.next_entry::<Text<'de>, Text<'de>>()? {
            entries.push((key.0.unwrap_or_default(), value));
        }
        Ok(Entries(entries))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}
