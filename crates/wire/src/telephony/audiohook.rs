//! Genesys `AudioHook`, version 2, and Audio Connector: <https://developer.genesys.cloud/devapps/audiohook/protocol-reference>.
//! Built from the vendor's reference implementation; used through [`super::Codec`].
//! Never adds `position` to what the server says, and never answers more than the protocol asks (spec/telephony §3.3).

use std::collections::VecDeque;

use bytes::BytesMut;
use serde::Deserialize;
use serde_json::Value;

use super::format::Format;
use super::frame::DtmfKeys;
use super::framing::{Delivery, FrameLength};
use super::heard::{Flow, Heard, Ignored, Playback, Refused, Start, Trouble};
use super::lenient::{Number, Object, Parameters, Text, object};
use super::limits::{AUDIOHOOK_RATE, MAX_AUDIO_BYTES, MAX_FRAME_BYTES};
use super::say::{HangUp, Instead, Say, Sent, Unsayable, Why};
use super::stream::{
    Phase, Stream, check_audio, identity, key, optional_identity, party, push_json, push_number,
};
use super::vonage::raw_media;

/// The conversation id of a connection probe.
const NO_CONVERSATION: &str = "00000000-0000-0000-0000-000000000000";

/// Answers that wait to be written; the edge takes them after every frame, so that more than a few are a flood.
const MAX_OWED: usize = 16;

/// One session of Genesys'. After every frame that was read, write what [`super::Codec::owed`] returns: the protocol
/// demands answers (`opened`, `pong`, `updated`, `closed`).
#[derive(Debug, Default)]
pub struct AudioHook {
    pub(super) stream: Stream,
    id: String,
    /// The number of our last message.
    seq: u64,
    /// The highest number of theirs.
    client_seq: u64,
    owed: VecDeque<Owed>,
    media: Offer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owed {
    Opened,
    Pong,
    Updated,
    Closed,
}

/// The one offer that was taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Offer {
    /// None, as a probe may offer.
    #[default]
    Nothing,
    /// The caller alone.
    External,
    /// Both, the caller first in every pair of samples.
    Both,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    #[serde(borrow)]
    version: Text<'a>,
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
    seq: Number,
    #[serde(borrow)]
    parameters: Object<Content<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Content<'a> {
    #[serde(borrow)]
    organization_id: Text<'a>,
    #[serde(borrow)]
    conversation_id: Text<'a>,
    #[serde(borrow)]
    participant: Object<Participant<'a>>,
    media: Value,
    custom_config: Parameters,
    input_variables: Parameters,
    #[serde(borrow)]
    reason: Text<'a>,
    code: Number,
    #[serde(borrow)]
    message: Text<'a>,
    #[serde(borrow)]
    retry_after: Text<'a>,
    #[serde(borrow)]
    discarded: Text<'a>,
    #[serde(borrow)]
    digit: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Participant<'a> {
    #[serde(borrow)]
    ani: Text<'a>,
    #[serde(borrow)]
    dnis: Text<'a>,
}

impl AudioHook {
    pub(super) fn text<'a>(&mut self, text: &'a str) -> Result<Heard<'a>, Refused> {
        let message: Message<'_> = object(text)?;
        if message.version.as_str() != "2" {
            return Ok(Heard::Ignored(Ignored::UnknownEvent));
        }
        let kind = message.kind.as_str().to_owned();
        if kind != "open" && self.id != message.id.as_str() {
            return Ok(Heard::Ignored(if self.stream.phase == Phase::Awaiting {
                Ignored::BeforeStart
            } else {
                Ignored::UnknownEvent
            }));
        }
        self.stream.number(message.seq.0);
        self.client_seq = self.client_seq.max(message.seq.0.unwrap_or_default());
        if kind == "open" {
            return self.open(message);
        }
        let content = message.parameters.or_empty();
        if kind == "close" {
            self.owe(Owed::Closed);
            return Ok(self.stream.end(content.reason.given()));
        }
        if let Some(closed) = self.stream.closed_to_events() {
            return Ok(closed);
        }
        Ok(self.event(&kind, content))
    }

    fn event<'a>(&mut self, kind: &str, content: Content<'a>) -> Heard<'a> {
        let missing_ms = duration_ms(content.discarded.as_str()).unwrap_or_default();
        match kind {
            "ping" => {
                self.owe(Owed::Pong);
                Heard::Ignored(Ignored::Notice)
            }
            "update" => {
                self.owe(Owed::Updated);
                Heard::Ignored(Ignored::Notice)
            }
            "paused" => Heard::Flow(Flow::Paused),
            "resumed" => Heard::Flow(Flow::Resumed { missing_ms }),
            "discarded" => Heard::Flow(Flow::Discarded { missing_ms }),
            "dtmf" => key(&DtmfKeys {
                digit: content.digit,
                duration: Number(None),
            }),
            "playback_started" => Heard::Playback(Playback::Started),
            "playback_completed" => Heard::Playback(Playback::Completed),
            "error" => Heard::Trouble(Trouble {
                code: content.code.0,
                message: content.message.given().unwrap_or_default(),
                retry_after_ms: duration_ms(content.retry_after.as_str()),
            }),
            _ => Heard::Ignored(Ignored::UnknownEvent),
        }
    }

    fn open<'a>(&mut self, message: Message<'a>) -> Result<Heard<'a>, Refused> {
        if let Some(closed) = self.stream.closed_to_start() {
            return Ok(closed);
        }
        let content = message.parameters.or_empty();
        // bound first: a refusal has to carry it
        self.id = identity(message.id, "id")?;
        let call_id = identity(content.conversation_id, "conversationId")?;
        let probe = call_id == NO_CONVERSATION;
        let (media, format) = match choose(&content.media) {
            Some(chosen) => chosen,
            None if probe => (Offer::Nothing, Format::Mulaw8k),
            None => return Err(Refused::Format),
        };
        let mut parameters = content.input_variables;
        for (name, value) in content.custom_config.checked()? {
            parameters.add(name, value);
        }
        let participant = content.participant.or_empty();
        let start = Start {
            stream_id: self.id.clone(),
            call_id: Some(call_id),
            account_id: optional_identity(content.organization_id, "organizationId")?,
            from: party(participant.ani),
            to: party(participant.dnis),
            format: Some(format),
            parameters: parameters.checked()?,
            probe,
        };
        self.media = media;
        self.owe(Owed::Opened);
        Ok(self.stream.begin(start))
    }

    fn owe(&mut self, answer: Owed) {
        if self.owed.len() == MAX_OWED {
            self.owed.pop_front();
        }
        self.owed.push_back(answer);
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

    /// Keeps the caller's channel of what was decoded.
    pub(super) fn caller_only(&self, audio: &mut Vec<u8>) {
        if self.media != Offer::Both {
            return;
        }
        let sample = self.stream.format.bytes_per_sample();
        let mut kept = 0;
        let mut at = 0;
        while at + 2 * sample <= audio.len() {
            audio.copy_within(at..at + sample, kept);
            kept += sample;
            at += 2 * sample;
        }
        audio.truncate(kept);
    }

    pub(super) fn owed(&mut self, out: &mut BytesMut) -> bool {
        let Some(owed) = self.owed.pop_front() else {
            return false;
        };
        match owed {
            Owed::Opened => {
                self.head("opened", out);
                out.extend_from_slice(br#"{"media":["#);
                let channels: &[u8] = match self.media {
                    Offer::Nothing => b"",
                    Offer::External => br#""external""#,
                    Offer::Both => br#""external","internal""#,
                };
                if !channels.is_empty() {
                    let format: &[u8] = match self.stream.format {
                        Format::Mulaw8k | Format::Alaw8k => b"PCMU",
                        _ => b"L16",
                    };
                    out.extend_from_slice(br#"{"type":"audio","format":""#);
                    out.extend_from_slice(format);
                    out.extend_from_slice(br#"","channels":["#);
                    out.extend_from_slice(channels);
                    out.extend_from_slice(br#"],"rate":8000}"#);
                }
                out.extend_from_slice(br#"],"startPaused":false}}"#);
            }
            Owed::Pong => self.empty("pong", out),
            Owed::Updated => self.empty("updated", out),
            Owed::Closed => self.empty("closed", out),
        }
        true
    }

    pub(super) fn write(&mut self, say: Say<'_>, out: &mut BytesMut) -> Result<Sent, Unsayable> {
        match say {
            Say::Audio(audio) => {
                self.stream.ready()?;
                check_audio(self.delivery().frame, audio)?;
                out.extend_from_slice(audio);
                return Ok(Sent::Binary);
            }
            Say::Clear => {
                self.stream.ready()?;
                self.head("event", out);
                out.extend_from_slice(br#"{"entities":[{"type":"barge_in","data":{}}]}}"#);
            }
            Say::HangUp(hang_up) => self.disconnect(hang_up, out)?,
            Say::Mark(_) => return Err(Unsayable::NoSuchFrame(Instead::Clock)),
            Say::Dtmf(_) => return Err(Unsayable::NoSuchFrame(Instead::Tones)),
            Say::Text(_) | Say::Play(_) | Say::Language(_) => {
                return Err(Unsayable::NoSuchFrame(Instead::Audio));
            }
        }
        Ok(Sent::Text)
    }

    /// Also before `opened`: that is how a session is refused. Genesys closes; we answer `closed`.
    fn disconnect(&mut self, hang_up: HangUp<'_>, out: &mut BytesMut) -> Result<(), Unsayable> {
        if self.id.is_empty() {
            return Err(Unsayable::BeforeStart);
        }
        if self.stream.phase == Phase::Ended {
            return Err(Unsayable::AfterStop);
        }
        self.owed.retain(|owed| *owed != Owed::Opened);
        self.head("disconnect", out);
        out.extend_from_slice(br#"{"reason":""#);
        out.extend_from_slice(match hang_up.why {
            Why::Completed => b"completed",
            Why::Unauthorized => b"unauthorized",
            Why::Error => b"error",
        });
        out.extend_from_slice(br#"""#);
        if let Some(note) = hang_up.note {
            out.extend_from_slice(br#","info":"#);
            push_json(note, out);
        }
        out.extend_from_slice(b"}}");
        Ok(())
    }

    fn empty(&mut self, kind: &str, out: &mut BytesMut) {
        self.head(kind, out);
        out.extend_from_slice(b"{}}");
    }

    /// Everything up to the value of `parameters`.
    fn head(&mut self, kind: &str, out: &mut BytesMut) {
        self.seq += 1;
        out.extend_from_slice(br#"{"version":"2","id":"#);
        push_json(&self.id, out);
        out.extend_from_slice(br#","type":""#);
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(br#"","seq":"#);
        push_number(self.seq, out);
        out.extend_from_slice(br#","clientseq":"#);
        push_number(self.client_seq, out);
        out.extend_from_slice(br#","parameters":"#);
    }

    pub(super) const fn delivery(&self) -> Delivery {
        Delivery {
            frame: FrameLength::any(self.stream.format, MAX_AUDIO_BYTES),
            queue_ms: None,
            rate: Some(AUDIOHOOK_RATE),
        }
    }
}

/// Exactly one of the offers: G.711 before linear, the caller alone before both.
fn choose(media: &Value) -> Option<(Offer, Format)> {
    let offers = media.as_array()?;
    let wanted = [
        ("PCMU", &["external"][..], Offer::External, Format::Mulaw8k),
        (
            "PCMU",
            &["external", "internal"],
            Offer::Both,
            Format::Mulaw8k,
        ),
        ("L16", &["external"], Offer::External, Format::L16At8k),
        (
            "L16",
            &["external", "internal"],
            Offer::Both,
            Format::L16At8k,
        ),
    ];
    wanted
        .into_iter()
        .find(|(format, channels, _, _)| {
            offers.iter().any(|offer| {
                let names = offer["channels"].as_array();
                let same = names.is_some_and(|names| {
                    names.len() == channels.len()
                        && names.iter().zip(*channels).all(|(a, b)| a == b)
                });
                let audio = offer["type"].is_null() || offer["type"] == "audio";
                audio && offer["format"] == *format && offer["rate"] == 8_000 && same
            })
        })
        .map(|(_, _, offer, format)| (offer, format))
}

/// `PT1.5S` in milliseconds; `None` for anything else.
fn duration_ms(text: &str) -> Option<u64> {
    let seconds = text.strip_prefix("PT")?.strip_suffix('S')?;
    let value: f64 = seconds.parse().ok()?;
    (0.0..=1e12)
        .contains(&value)
        .then(|| (value * 1_000.0).round() as u64)
}
