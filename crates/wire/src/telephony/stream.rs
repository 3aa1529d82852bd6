//! What every dialect keeps of a stream: whether it runs, its format, its marks, and what went missing.
//! Held by each dialect; the counters are read by the edge for its metrics.
//! Never reads or writes a frame itself.

use std::borrow::Cow;

use bytes::{BufMut, BytesMut};

use super::base64_media::Envelope;
use super::format::Format;
use super::frame::{DtmfKeys, FormatKeys, MediaKeys};
use super::framing::FrameLength;
use super::heard::{Heard, Ignored, Key, MarkEcho, Media, Payload, Refused, Start, Stop, Track};
use super::lenient::Text;
use super::limits::{MAX_DIGITS, MAX_ID_BYTES};
use super::say::{Instead, Say, Sent, Unsayable};

/// What went by and what went wrong on one socket. Only sums; nothing personal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Frames with sound that were passed on.
    pub media: u64,
    /// Messages that the carrier's numbers show missing.
    pub missing: u64,
    /// Messages whose number did not rise: late, or twice. They are passed on all the same; Telnyx promises no order.
    pub disordered: u64,
    /// Frames that needed no action ([`Heard::Ignored`]).
    pub ignored: u64,
    /// Frames that were refused.
    pub refused: u64,
    /// Sound that could not be decoded, or lost an odd byte.
    pub bad_audio: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Phase {
    #[default]
    Awaiting,
    Live,
    Ended,
}

/// The state that the dialects have in common.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) phase: Phase,
    pub(super) format: Format,
    pub(super) counters: Counters,
    pub(super) marks: Marks,
    last_sequence: Option<u64>,
}

impl Stream {
    /// Whether an event other than the start may be acted on.
    pub(super) const fn closed_to_events(&self) -> Option<Heard<'static>> {
        match self.phase {
            Phase::Awaiting => Some(Heard::Ignored(Ignored::BeforeStart)),
            Phase::Live => None,
            Phase::Ended => Some(Heard::Ignored(Ignored::AfterStop)),
        }
    }

    /// Whether a start would be the first.
    pub(super) const fn closed_to_start(&self) -> Option<Heard<'static>> {
        match self.phase {
            Phase::Awaiting => None,
            Phase::Live => Some(Heard::Ignored(Ignored::SecondStart)),
            Phase::Ended => Some(Heard::Ignored(Ignored::AfterStop)),
        }
    }

    /// The stream begins.
    pub(super) fn begin(&mut self, start: Start) -> Heard<'static> {
        self.phase = Phase::Live;
        self.format = start.format.unwrap_or_default();
        Heard::Start(Box::new(start))
    }

    /// The stream is over; a stop without a start is one, too.
    pub(super) fn end<'a>(&mut self, reason: Option<Cow<'a, str>>) -> Heard<'a> {
        if self.phase == Phase::Ended {
            return Heard::Ignored(Ignored::AfterStop);
        }
        self.phase = Phase::Ended;
        Heard::Stop(Stop { reason })
    }

    /// Notes the number of a message: gaps are counted, nothing is put in order (spec/telephony §2.4).
    pub(super) fn number(&mut self, sequence: Option<u64>) {
        let Some(number) = sequence else { return };
        match self.last_sequence {
            Some(last) if number <= last => {
                self.counters.disordered += 1;
                return;
            }
            Some(last) => {
                let missing = number - last - 1;
                self.counters.missing = self.counters.missing.saturating_add(missing);
            }
            None => {}
        }
        self.last_sequence = Some(number);
    }

    /// A piece of sound.
    pub(super) fn media<'a>(&mut self, media: MediaKeys<'a>, sequence: Option<u64>) -> Heard<'a> {
        let Some(payload) = media.payload.given() else {
            return Heard::Ignored(Ignored::NoPayload);
        };
        self.counters.media += 1;
        Heard::Media(Media {
            payload: Payload::Base64(payload),
            timestamp_ms: media.timestamp.0,
            sequence,
            track: track(media.track.as_str()),
        })
    }

    /// Writes one frame in the way that Twilio, Telnyx and Exotel have in common: audio, marks and clearing; `lacking`
    /// says where the rest leads.
    ///
    /// # Errors
    /// Audio of a length that the carrier does not play, a mark whose number does not rise, or what has no frame.
    pub(super) fn write(
        &mut self,
        envelope: &Envelope,
        say: Say<'_>,
        (length, lacking): (FrameLength, Lacking),
        out: &mut BytesMut,
    ) -> Result<Sent, Unsayable> {
        match say {
            Say::Audio(audio) => {
                check_audio(length, audio)?;
                envelope.audio(audio, out);
            }
            Say::Mark(mark) => {
                self.marks.send(mark)?;
                envelope.mark(mark, out);
            }
            Say::Clear => {
                self.marks.clear();
                envelope.bare("clear", out);
            }
            Say::Dtmf(_) => return Err(Unsayable::NoSuchFrame(lacking.keys)),
            Say::HangUp(_) => return Err(Unsayable::NoSuchFrame(lacking.hang_up)),
            Say::Text(_) | Say::Play(_) | Say::Language(_) => {
                return Err(Unsayable::NoSuchFrame(Instead::Audio));
            }
        }
        Ok(Sent::Text)
    }

    /// Whether something may be written.
    pub(super) const fn ready(&self) -> Result<(), Unsayable> {
        match self.phase {
            Phase::Awaiting => Err(Unsayable::BeforeStart),
            Phase::Live => Ok(()),
            Phase::Ended => Err(Unsayable::AfterStop),
        }
    }
}

/// Where it leads what a dialect has no frame for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lacking {
    /// Pressing keys.
    pub(super) keys: Instead,
    /// Ending the call.
    pub(super) hang_up: Instead,
}

/// Refuses audio of a length that the carrier would not play.
pub(super) const fn check_audio(length: FrameLength, audio: &[u8]) -> Result<(), Unsayable> {
    if length.allows(audio.len()) {
        Ok(())
    } else {
        Err(Unsayable::AudioLength { bytes: audio.len() })
    }
}

fn track(name: &str) -> Track {
    if name.starts_with("outbound") {
        Track::Outbound
    } else {
        Track::Inbound
    }
}

/// A key press, or why there is none.
pub(super) fn key(dtmf: &DtmfKeys<'_>) -> Heard<'static> {
    let mut letters = dtmf.digit.as_str().chars();
    match (
        letters.next().map(|key| key.to_ascii_uppercase()),
        letters.next(),
    ) {
        (Some(digit), None) if is_key(digit) => Heard::Dtmf(Key {
            digit,
            duration_ms: dtmf.duration.0,
        }),
        _ => Heard::Ignored(Ignored::NoDigit),
    }
}

const fn is_key(digit: char) -> bool {
    matches!(digit, '0'..='9' | '*' | '#' | 'A'..='D')
}

/// Checks keys that we are to press.
pub(super) fn check_digits(digits: &str) -> Result<(), Unsayable> {
    if digits.is_empty() || digits.len() > MAX_DIGITS || !digits.chars().all(is_key) {
        return Err(Unsayable::Digits);
    }
    Ok(())
}

/// An id that must be there.
pub(super) fn identity(text: Text<'_>, what: &'static str) -> Result<String, Refused> {
    optional_identity(text, what)?.ok_or(Refused::NoIdentity(what))
}

/// An id that may be missing.
pub(super) fn optional_identity(
    text: Text<'_>,
    what: &'static str,
) -> Result<Option<String>, Refused> {
    match text.given() {
        Some(id) if id.len() > MAX_ID_BYTES || id.chars().any(char::is_control) => {
            Err(Refused::BadIdentity(what))
        }
        id => Ok(id.map(Cow::into_owned)),
    }
}

/// A telephone number or address; what no carrier would send is left out rather than kept.
pub(super) fn party(text: Text<'_>) -> Option<String> {
    let given = text.given()?;
    (given.len() <= MAX_ID_BYTES && !given.chars().any(char::is_control))
        .then(|| given.into_owned())
}

/// The format of a start: `default` when the carrier names none.
pub(super) fn format(keys: Option<FormatKeys<'_>>, default: Format) -> Result<Format, Refused> {
    let Some(keys) = keys else {
        return Ok(default);
    };
    let rate = keys.rate.0.or(keys.sample_rate.0);
    match keys.encoding.given() {
        Some(encoding) => Format::named(&encoding, rate).ok_or(Refused::Format),
        None if rate.is_none() => Ok(default),
        None => Format::named(default.encoding(), rate).ok_or(Refused::Format),
    }
}

/// The marks of one stream. Numbers rise and echoes come in order, so that three of them say everything.
#[derive(Debug, Default)]
pub(super) struct Marks {
    sent: u64,
    echoed: u64,
    cleared: u64,
}

impl Marks {
    /// A mark is about to be sent.
    pub(super) fn send(&mut self, mark: u64) -> Result<(), Unsayable> {
        if mark <= self.sent {
            return Err(Unsayable::MarkOrder { last: self.sent });
        }
        self.sent = mark;
        Ok(())
    }

    /// A `Clear` is about to be sent: what is under way was not heard.
    pub(super) const fn clear(&mut self) {
        self.cleared = self.sent;
    }

    /// A `Clear` was sent to a carrier that forgets its marks then: no echo of them is ours.
    pub(super) const fn drop_all(&mut self) {
        self.cleared = self.sent;
        self.echoed = self.sent;
    }

    /// An echo has come; the name is the number as we wrote it.
    pub(super) fn echo(&mut self, name: &str) -> Heard<'static> {
        let ours = name.bytes().all(|byte| byte.is_ascii_digit()) && !name.starts_with('0');
        match name.parse::<u64>() {
            Ok(mark) if ours && mark > self.echoed && mark <= self.sent => {
                self.echoed = mark;
                Heard::Mark(MarkEcho {
                    mark,
                    played: mark > self.cleared,
                })
            }
            _ => Heard::Ignored(Ignored::ForeignMark),
        }
    }
}

/// Appends `text` as a JSON string.
pub(super) fn push_json(text: &str, out: &mut BytesMut) {
    #[expect(
        clippy::expect_used,
        reason = "text always serialises, and the buffer grows as far as it has to"
    )]
    serde_json::to_writer(out.writer(), text).expect("text becomes JSON");
}

/// Appends `audio` as base64.
pub(super) fn push_base64(audio: &[u8], out: &mut BytesMut) {
    use base64::Engine as _;
    let begin = out.len();
    let length = audio.len().div_ceil(3) * 4;
    out.resize(begin + length, 0);
    #[expect(
        clippy::expect_used,
        reason = "the room is exactly as long as padded base64"
    )]
    base64::engine::general_purpose::STANDARD
        .encode_slice(audio, &mut out[begin..])
        .expect("the text fits");
}

/// Appends a number.
pub(super) fn push_number(number: u64, out: &mut BytesMut) {
    use std::fmt::Write as _;
    // writing to a buffer that grows cannot fail
    let _ = write!(out, "{number}");
}
