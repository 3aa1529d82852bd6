//! Telnyx media streaming in RTP mode: <https://developers.telnyx.com/api-reference/websockets/stream-call-media-over-websocket>.
//! Used through [`super::Codec`]; the stream must be asked for with `stream_bidirectional_mode=rtp` (spec/telephony §3.1).
//! Never passes on G.722, Opus, AMR-WB or L16: they are refused at the start instead of played as noise.

use bytes::BytesMut;

use super::base64_media::Envelope;
use super::format::Format;
use super::frame::{self, Frame, StartKeys};
use super::framing::{Delivery, FrameLength};
use super::heard::{Heard, Ignored, Refused, Start, Trouble};
use super::lenient::Text;
use super::limits::{MAX_AUDIO_BYTES, TELNYX_FRAME_MS};
use super::say::{Instead, Say, Sent, Unsayable};
use super::stream::{Lacking, Stream, format, identity, key, optional_identity, party};

/// The name under which `client_state`, still in base64, stands among the parameters of a start.
pub const CLIENT_STATE: &str = "client_state";

/// Where it leads what there is no frame for.
const INSTEAD: Lacking = Lacking {
    keys: Instead::Rest,
    hang_up: Instead::Rest,
};

/// One stream of Telnyx's. Frames may come out of order; the edge can sort by [`super::heard::Media::timestamp_ms`].
#[derive(Debug, Default)]
pub struct Telnyx {
    pub(super) stream: Stream,
    envelope: Envelope,
}

impl Telnyx {
    pub(super) fn text<'a>(&mut self, text: &'a str) -> Result<Heard<'a>, Refused> {
        let frame = frame::read(text)?;
        self.stream.number(frame.sequence_number.0);
        match frame.event.as_str() {
            "connected" => Ok(Heard::Connected),
            "start" => self.start(frame),
            "stop" => Ok(self.stream.end(frame.stop.or_empty().reason.given())),
            "error" => {
                let keys = frame.payload.or_empty();
                let message = keys.detail.given().or(keys.title.given());
                Ok(Heard::Trouble(Trouble {
                    code: keys.code.0,
                    message: message.unwrap_or_default(),
                    retry_after_ms: None,
                }))
            }
            event @ ("media" | "mark" | "dtmf") => {
                if let Some(closed) = self.stream.closed_to_events() {
                    return Ok(closed);
                }
                let sequence = frame.sequence_number.0;
                Ok(match event {
                    "media" => self.stream.media(frame.media.or_empty(), sequence),
                    "mark" => self.stream.marks.echo(frame.mark.or_empty().name.as_str()),
                    _ => key(&frame.dtmf.or_empty()),
                })
            }
            _ => Ok(Heard::Ignored(Ignored::UnknownEvent)),
        }
    }

    fn start<'a>(&mut self, frame: Frame<'a>) -> Result<Heard<'a>, Refused> {
        if let Some(closed) = self.stream.closed_to_start() {
            return Ok(closed);
        }
        let keys: StartKeys<'_> = frame.start.or_empty();
        let format = format(keys.snake_format.0, Format::Mulaw8k)?;
        // RTP carries L16 with the high byte first (RFC 3551 §4.5.11), and the vendor does not say whether it swaps
        if !matches!(format, Format::Mulaw8k | Format::Alaw8k) {
            return Err(Refused::Format);
        }
        let mut parameters = keys.custom_parameters;
        if let Text(Some(state)) = keys.client_state {
            parameters.add(CLIENT_STATE.to_owned(), state.into_owned());
        }
        let start = Start {
            stream_id: optional_identity(frame.telnyx_stream, "stream_id")?.unwrap_or_default(),
            call_id: Some(identity(keys.call_control_id, "call_control_id")?),
            account_id: optional_identity(keys.user_id, "user_id")?,
            from: party(keys.from),
            to: party(keys.to),
            format: Some(format),
            parameters: parameters.checked()?,
            probe: false,
        };
        // our frames carry no id here
        self.envelope = Envelope::media("", "");
        Ok(self.stream.begin(start))
    }

    pub(super) fn write(&mut self, say: Say<'_>, out: &mut BytesMut) -> Result<Sent, Unsayable> {
        let length = self.delivery().frame;
        self.stream
            .write(&self.envelope, say, (length, INSTEAD), out)
    }

    pub(super) const fn delivery(&self) -> Delivery {
        let per_ms = self.stream.format.bytes_per_ms();
        let shortest = TELNYX_FRAME_MS.0 as usize * per_ms;
        let any = FrameLength::any(self.stream.format, MAX_AUDIO_BYTES);
        Delivery {
            frame: FrameLength {
                min: shortest,
                ..any
            },
            queue_ms: None,
            rate: None,
        }
    }
}
