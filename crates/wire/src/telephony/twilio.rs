//! Twilio Media Streams, two-way: <https://www.twilio.com/docs/voice/media-streams/websocket-messages>, spec/telephony §2.
//! Used through [`super::Codec`]; `signalwire` builds on it.
//! Never sends anything but `media`, `mark` and `clear`: all else is error 31924.

use bytes::BytesMut;

use super::base64_media::Envelope;
use super::format::Format;
use super::frame::{self, Frame, StartKeys};
use super::framing::{Delivery, FrameLength};
use super::heard::{Heard, Ignored, Refused, Start};
use super::limits::{MAX_AUDIO_BYTES, TWILIO_QUEUE_MS};
use super::say::{Instead, Say, Sent, Unsayable};
use super::stream::{Lacking, Stream, format, identity, key, optional_identity, party};

/// Where it leads what there is no frame for.
const INSTEAD: Lacking = Lacking {
    keys: Instead::Tones,
    hang_up: Instead::Rest,
};

/// One stream of Twilio's.
#[derive(Debug, Default)]
pub struct Twilio {
    pub(super) stream: Stream,
    pub(super) envelope: Envelope,
}

impl Twilio {
    pub(super) fn text<'a>(&mut self, text: &'a str) -> Result<Heard<'a>, Refused> {
        let frame = frame::read(text)?;
        self.stream.number(frame.sequence.0);
        match frame.event.as_str() {
            "connected" => Ok(Heard::Connected),
            "start" => self.start(frame),
            "stop" => Ok(self.stream.end(frame.stop.or_empty().reason.given())),
            event @ ("media" | "mark" | "dtmf") => {
                if let Some(closed) = self.stream.closed_to_events() {
                    return Ok(closed);
                }
                Ok(match event {
                    "media" => self.stream.media(frame.media.or_empty(), frame.sequence.0),
                    "mark" => self.stream.marks.echo(frame.mark.or_empty().name.as_str()),
                    _ => key(&frame.dtmf.or_empty()),
                })
            }
            _ => Ok(Heard::Ignored(Ignored::UnknownEvent)),
        }
    }

    /// Identity is bound here, once; later frames need not repeat it. Also the minimal start without `connected`, account
    /// or format that the seed's own test sends.
    fn start<'a>(&mut self, frame: Frame<'a>) -> Result<Heard<'a>, Refused> {
        if let Some(closed) = self.stream.closed_to_start() {
            return Ok(closed);
        }
        let keys: StartKeys<'_> = frame.start.or_empty();
        let stream_id = if keys.twilio_stream.as_str().is_empty() {
            frame.twilio_stream
        } else {
            keys.twilio_stream
        };
        let start = Start {
            stream_id: identity(stream_id, "streamSid")?,
            call_id: Some(identity(keys.twilio_call, "callSid")?),
            account_id: optional_identity(keys.twilio_account, "accountSid")?,
            from: party(keys.from),
            to: party(keys.to),
            format: Some(format(keys.camel_format.0, Format::Mulaw8k)?),
            parameters: keys.twilio_parameters.checked()?,
            probe: false,
        };
        self.envelope = Envelope::media("streamSid", &start.stream_id);
        Ok(self.stream.begin(start))
    }

    pub(super) fn write(&mut self, say: Say<'_>, out: &mut BytesMut) -> Result<Sent, Unsayable> {
        let length = self.delivery().frame;
        self.stream
            .write(&self.envelope, say, (length, INSTEAD), out)
    }

    pub(super) const fn delivery(&self) -> Delivery {
        Delivery {
            frame: FrameLength::any(self.stream.format, MAX_AUDIO_BYTES),
            queue_ms: Some(TWILIO_QUEUE_MS),
            rate: None,
        }
    }
}
