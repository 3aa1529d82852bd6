//! The text frames of the five carriers that send audio as base64: one borrowed shape that holds all their spellings.
//! Read by those dialects and by `detect`, once per frame.
//! Never decides what a frame means, and allocates nothing for media without escapes.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::heard::Refused;
use super::lenient::{Number, Object, Parameters, Text, object};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Frame<'a> {
    #[serde(borrow)]
    pub(super) event: Text<'a>,
    /// Where the discriminator has another name: `ConversationRelay` and `AudioHook`; for `detect`.
    #[serde(rename = "type", borrow)]
    pub(super) kind: Text<'a>,
    #[serde(borrow)]
    pub(super) protocol: Text<'a>,
    #[serde(borrow)]
    pub(super) version: Text<'a>,
    /// Telnyx and Exotel.
    pub(super) sequence_number: Number,
    /// Twilio, `SignalWire` and Plivo.
    #[serde(rename = "sequenceNumber")]
    pub(super) sequence: Number,
    #[serde(rename = "streamSid", borrow)]
    pub(super) twilio_stream: Text<'a>,
    #[serde(rename = "stream_id", borrow)]
    pub(super) telnyx_stream: Text<'a>,
    #[serde(rename = "streamId", borrow)]
    pub(super) plivo_stream: Text<'a>,
    #[serde(rename = "stream_sid", borrow)]
    pub(super) exotel_stream: Text<'a>,
    #[serde(borrow)]
    pub(super) start: Object<StartKeys<'a>>,
    #[serde(borrow)]
    pub(super) media: Object<MediaKeys<'a>>,
    #[serde(borrow)]
    pub(super) dtmf: Object<DtmfKeys<'a>>,
    #[serde(borrow)]
    pub(super) mark: Object<Named<'a>>,
    #[serde(borrow)]
    pub(super) stop: Object<StopKeys<'a>>,
    /// Plivo: the checkpoint.
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    /// Plivo: beside `start`, or in it.
    pub(super) extra_headers: Parameters,
    /// Telnyx: what is wrong.
    #[serde(borrow)]
    pub(super) payload: Object<ErrorKeys<'a>>,
    #[serde(rename = "rawEvent", borrow)]
    raw_event: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StartKeys<'a> {
    #[serde(rename = "streamSid", borrow)]
    pub(super) twilio_stream: Text<'a>,
    #[serde(rename = "callSid", borrow)]
    pub(super) twilio_call: Text<'a>,
    #[serde(rename = "accountSid", borrow)]
    pub(super) twilio_account: Text<'a>,
    #[serde(borrow)]
    pub(super) call_control_id: Text<'a>,
    #[serde(borrow)]
    pub(super) user_id: Text<'a>,
    #[serde(borrow)]
    pub(super) client_state: Text<'a>,
    #[serde(rename = "streamId", borrow)]
    pub(super) plivo_stream: Text<'a>,
    #[serde(rename = "callId", borrow)]
    pub(super) plivo_call: Text<'a>,
    #[serde(rename = "accountId", borrow)]
    pub(super) plivo_account: Text<'a>,
    #[serde(rename = "stream_sid", borrow)]
    pub(super) exotel_stream: Text<'a>,
    #[serde(rename = "call_sid", borrow)]
    pub(super) exotel_call: Text<'a>,
    #[serde(rename = "account_sid", borrow)]
    pub(super) exotel_account: Text<'a>,
    #[serde(borrow)]
    pub(super) from: Text<'a>,
    #[serde(borrow)]
    pub(super) to: Text<'a>,
    #[serde(rename = "customParameters")]
    pub(super) twilio_parameters: Parameters,
    pub(super) custom_parameters: Parameters,
    pub(super) extra_headers: Parameters,
    #[serde(rename = "mediaFormat", borrow)]
    pub(super) camel_format: Object<FormatKeys<'a>>,
    #[serde(rename = "media_format", borrow)]
    pub(super) snake_format: Object<FormatKeys<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FormatKeys<'a> {
    #[serde(borrow)]
    pub(super) encoding: Text<'a>,
    #[serde(rename = "sampleRate")]
    pub(super) rate: Number,
    pub(super) sample_rate: Number,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct MediaKeys<'a> {
    #[serde(borrow)]
    pub(super) track: Text<'a>,
    pub(super) timestamp: Number,
    #[serde(borrow)]
    pub(super) payload: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct DtmfKeys<'a> {
    #[serde(borrow)]
    pub(super) digit: Text<'a>,
    pub(super) duration: Number,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Named<'a> {
    #[serde(borrow)]
    pub(super) name: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StopKeys<'a> {
    #[serde(borrow)]
    pub(super) reason: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ErrorKeys<'a> {
    pub(super) code: Number,
    #[serde(borrow)]
    pub(super) title: Text<'a>,
    #[serde(borrow)]
    pub(super) detail: Text<'a>,
}

/// Reads a frame, and what is inside it when it is wrapped as one page of `SignalWire`'s showed it
/// (spec/telephony §2.2): `{timestamp, direction, eventType, rawEvent: {…}}`.
pub(super) fn read(text: &str) -> Result<Frame<'_>, Refused> {
    let frame: Frame<'_> = object(text)?;
    match frame.raw_event {
        Some(inner) => object(inner.get()),
        None => Ok(frame),
    }
}
