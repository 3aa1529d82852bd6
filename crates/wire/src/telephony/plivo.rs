//! Plivo audio streaming, two-way: <https://www.plivo.com/docs/voice/audio-streaming/audio-streaming>.
//! Used through [`super::Codec`].
//! Never waits for checkpoints after a clear: Plivo forgets them, so that we do, too (spec/telephony §3.1).

use bytes::BytesMut;

use super::base64_media::Envelope;
use super::format::Format;
use super::frame::{self, Frame, StartKeys};
use super::framing::{Delivery, FrameLength};
use super::heard::{Heard, Ignored, Refused, Start};
use super::lenient::{Number, Parameters};
use super::limits::MAX_AUDIO_BYTES;
use super::say::{Instead, Say, Sent, Unsayable};
use super::stream::{
    Stream, check_audio, check_digits, format, identity, key, optional_identity, party, push_json,
    push_number,
};

/// One stream of Plivo's.
#[derive(Debug, Default)]
pub struct Plivo {
    pub(super) stream: Stream,
    envelope: Envelope,
    /// Its timestamps are milliseconds since 1970; ours count from the first.
    first_timestamp: Option<u64>,
}

impl Plivo {
    pub(super) fn text<'a>(&mut self, text: &'a str) -> Result<Heard<'a>, Refused> {
        let frame = frame::read(text)?;
        let sequence = frame.sequence.0;
        self.stream.number(sequence);
        match frame.event.as_str() {
            "start" => self.start(frame),
            // its pages list no stop, clients have seen one
            "stop" => Ok(self.stream.end(frame.stop.or_empty().reason.given())),
            event @ ("media" | "dtmf" | "playedStream" | "clearedAudio") => {
                if let Some(closed) = self.stream.closed_to_events() {
                    return Ok(closed);
                }
                Ok(match event {
                    "media" => {
                        let mut media = frame.media.or_empty();
                        media.timestamp = self.since_first(media.timestamp);
                        self.stream.media(media, sequence)
                    }
                    "playedStream" => self.stream.marks.echo(frame.name.as_str()),
                    "clearedAudio" => Heard::Cleared,
                    _ => key(&frame.dtmf.or_empty()),
                })
            }
            "connected" => Ok(Heard::Connected),
            _ => Ok(Heard::Ignored(Ignored::UnknownEvent)),
        }
    }

    fn since_first(&mut self, timestamp: Number) -> Number {
        let Some(at) = timestamp.0 else {
            return Number(None);
        };
        let first = *self.first_timestamp.get_or_insert(at);
        Number(Some(at.saturating_sub(first)))
    }

    fn start<'a>(&mut self, frame: Frame<'a>) -> Result<Heard<'a>, Refused> {
        if let Some(closed) = self.stream.closed_to_start() {
            return Ok(closed);
        }
        let keys: StartKeys<'_> = frame.start.or_empty();
        let stream_id = if keys.plivo_stream.as_str().is_empty() {
            frame.plivo_stream
        } else {
            keys.plivo_stream
        };
        let outside = frame.extra_headers;
        let headers = if outside == Parameters::default() {
            keys.extra_headers
        } else {
            outside
        };
        let format = format(keys.camel_format.0, Format::Mulaw8k)?;
        if !matches!(format, Format::Mulaw8k | Format::L16At8k | Format::L16At16k) {
            return Err(Refused::Format);
        }
        let start = Start {
            stream_id: identity(stream_id, "streamId")?,
            call_id: Some(identity(keys.plivo_call, "callId")?),
            account_id: optional_identity(keys.plivo_account, "accountId")?,
            from: party(keys.from),
            to: party(keys.to),
            format: Some(format),
            parameters: read_headers(headers)?,
            probe: false,
        };
        self.envelope = envelope(format, &start.stream_id);
        Ok(self.stream.begin(start))
    }

    pub(super) fn write(&mut self, say: Say<'_>, out: &mut BytesMut) -> Result<Sent, Unsayable> {
        match say {
            Say::Audio(audio) => {
                check_audio(self.delivery().frame, audio)?;
                self.envelope.audio(audio, out);
            }
            Say::Mark(mark) => {
                self.stream.marks.send(mark)?;
                self.envelope.open("checkpoint", out);
                out.extend_from_slice(br#","name":""#);
                push_number(mark, out);
                out.extend_from_slice(br#""}"#);
            }
            Say::Clear => {
                self.stream.marks.drop_all();
                self.envelope.bare("clearAudio", out);
            }
            Say::Dtmf(digits) => {
                check_digits(digits)?;
                self.envelope.open("sendDTMF", out);
                out.extend_from_slice(br#","dtmf":"#);
                push_json(digits, out);
                out.extend_from_slice(b"}");
            }
            Say::HangUp(_) => return Err(Unsayable::NoSuchFrame(Instead::Rest)),
            Say::Text(_) | Say::Play(_) | Say::Language(_) => {
                return Err(Unsayable::NoSuchFrame(Instead::Audio));
            }
        }
        Ok(Sent::Text)
    }

    pub(super) const fn delivery(&self) -> Delivery {
        Delivery {
            frame: FrameLength::any(self.stream.format, MAX_AUDIO_BYTES),
            queue_ms: None,
            rate: None,
        }
    }
}

fn envelope(format: Format, stream_id: &str) -> Envelope {
    let mut head = BytesMut::from(&br#"{"event":"playAudio","media":{"contentType":"#[..]);
    push_json(format.encoding(), &mut head);
    head.extend_from_slice(br#","sampleRate":"#);
    push_number(u64::from(format.rate_hz()), &mut head);
    head.extend_from_slice(br#","payload":""#);
    Envelope::with_head(head, "streamId", stream_id)
}

/// `userId=12345;sessionId=abc`, also with `:` and `,` and in braces as older pages show it, or an object.
fn read_headers(mut headers: Parameters) -> Result<Vec<(String, String)>, Refused> {
    if let Some(text) = headers.text.take() {
        let text = text.trim().trim_start_matches('{').trim_end_matches('}');
        for pair in text.split([';', ',']) {
            if let Some((name, value)) = pair.split_once(['=', ':']) {
                let clean = |text: &str| text.trim().trim_matches(['"', '\'']).to_owned();
                headers.add(clean(name), clean(value));
            }
        }
    }
    headers.checked()
}
