//! Exotel `AgentStream`, the two-way Voicebot applet: <https://developer.exotel.com/docs/agentstream/websocket-protocol>.
//! Used through [`super::Codec`].
//! Never sends a frame whose length is no multiple of 320 bytes: that makes gaps in the sound (spec/telephony §3.3).

use bytes::BytesMut;

use super::base64_media::Envelope;
use super::format::Format;
use super::frame::{self, Frame, StartKeys};
use super::framing::{Delivery, FrameLength};
use super::heard::{Heard, Ignored, Refused, Start};
use super::limits::{EXOTEL_FRAME_BYTES, EXOTEL_STEP_BYTES, MAX_FRAME_BYTES};
use super::say::{Instead, Say, Sent, Unsayable};
use super::stream::{Lacking, Stream, format, identity, key, optional_identity, party};

/// Where it leads what there is no frame for.
const INSTEAD: Lacking = Lacking {
    keys: Instead::Tones,
    hang_up: Instead::Close,
};

/// One stream of Exotel's. Its marks may not come back after a clear; the vendor does not say.
#[derive(Debug, Default)]
pub struct Exotel {
    pub(super) stream: Stream,
    envelope: Envelope,
}

impl Exotel {
    pub(super) fn text<'a>(&mut self, text: &'a str) -> Result<Heard<'a>, Refused> {
        let frame = frame::read(text)?;
        let sequence = frame.sequence_number.0;
        self.stream.number(sequence);
        match frame.event.as_str() {
            "connected" => Ok(Heard::Connected),
            "start" => self.start(frame),
            "stop" => Ok(self.stream.end(frame.stop.or_empty().reason.given())),
            event @ ("media" | "mark" | "dtmf") => {
                if let Some(closed) = self.stream.closed_to_events() {
                    return Ok(closed);
                }
                Ok(match event {
                    "media" => self.stream.media(frame.media.or_empty(), sequence),
                    "mark" => self.stream.marks.echo(frame.mark.or_empty().name.as_str()),
                    _ => key(&frame.dtmf.or_empty()),
                })
            }
            // the applet's own `clear` tells that the caller's side was reset; nothing of ours hangs on it
            "clear" => Ok(Heard::Ignored(Ignored::Notice)),
            _ => Ok(Heard::Ignored(Ignored::UnknownEvent)),
        }
    }

    fn start<'a>(&mut self, frame: Frame<'a>) -> Result<Heard<'a>, Refused> {
        if let Some(closed) = self.stream.closed_to_start() {
            return Ok(closed);
        }
        let keys: StartKeys<'_> = frame.start.or_empty();
        let stream_id = if keys.exotel_stream.as_str().is_empty() {
            frame.exotel_stream
        } else {
            keys.exotel_stream
        };
        let start = Start {
            stream_id: identity(stream_id, "stream_sid")?,
            call_id: Some(identity(keys.exotel_call, "call_sid")?),
            account_id: optional_identity(keys.exotel_account, "account_sid")?,
            from: party(keys.from),
            to: party(keys.to),
            format: Some(format(keys.snake_format.0, Format::L16At8k)?),
            parameters: keys.custom_parameters.checked()?,
            probe: false,
        };
        self.envelope = Envelope::media("stream_sid", &start.stream_id);
        Ok(self.stream.begin(start))
    }

    pub(super) fn write(&mut self, say: Say<'_>, out: &mut BytesMut) -> Result<Sent, Unsayable> {
        let length = Self::delivery().frame;
        self.stream
            .write(&self.envelope, say, (length, INSTEAD), out)
    }

    pub(super) const fn delivery() -> Delivery {
        // the vendor allows 100 kB; in base64 that would be twice what we ourselves accept in a frame
        let most = if EXOTEL_FRAME_BYTES.1 < MAX_FRAME_BYTES / 2 {
            EXOTEL_FRAME_BYTES.1
        } else {
            MAX_FRAME_BYTES / 2
        };
        Delivery {
            frame: FrameLength {
                min: EXOTEL_FRAME_BYTES.0,
                max: most / EXOTEL_STEP_BYTES * EXOTEL_STEP_BYTES,
                step: EXOTEL_STEP_BYTES,
            },
            queue_ms: None,
            rate: None,
        }
    }
}
