//! What telephone carriers say over their media sockets, and what may be said to them: one vocabulary, a codec per dialect.
//! Used by the gateway's telephony edge, by the tools that play a carrier, and by the fuzzer.
//! Never does I/O, keeps no clock, and never writes a frame that the dialect does not have.
//!
//! # For the edge
//!
//! 1. Before the upgrade: check the signature or token that the carrier gives, then accept.
//! 2. Make a [`detect::Detector`] with the dialect of the route, show it frames until it is sure, make a [`Codec`], and
//!    give the same frames to [`Codec::read`].
//! 3. After every `read`, act on the [`Heard`]; then send whatever [`Codec::owed`] writes, until it is `None`. (Only
//!    `AudioHook` owes anything. To refuse one of its sessions, write [`Say::HangUp`] before asking what is owed.)
//! 4. On [`Heard::Start`], find the call: our call id and token are [`Start::parameter`]s, [`Start::call_id`] is the
//!    carrier's. Sound goes through [`Codec::decode`]; [`Track::Outbound`] is not the caller.
//! 5. Speak: cut the sound with a [`framing::Cutter`] made of [`Codec::delivery`], [`Codec::write`] each piece, and send
//!    the buffer as [`Sent`] says (`out.split().freeze()` gives the bytes away without a copy). After the sound that a
//!    mark is to cover, write `Say::Mark(n)` with rising numbers, and remember what `n` stood for.
//! 6. Barge-in: write [`Say::Clear`], clear the cutter. Marks that come back with [`MarkEcho::played`] false were not
//!    heard.
//! 7. An [`Unsayable::NoSuchFrame`] says which other way leads there: REST, closing the socket, tones, the clock.
//! 8. A [`Refused`] that [`Refused::ends_the_stream`] closes the socket with [`Refused::close_code`]; the others, and
//!    [`Heard::Ignored`], are counted in [`Codec::counters`].
//!
//! Beside the socket, [`answer`] writes the documents that tell a carrier what to do with a call, and [`callback`] reads
//! what it reports about one.
//!
//! [`Heard::Stop`] and the close of the socket both end a call, and both may come: finish once.

pub mod answer;
pub(crate) mod asyncapi;
pub mod audiohook;
mod base64_media;
pub mod callback;
pub mod detect;
pub mod exotel;
pub mod format;
mod frame;
pub mod framing;
pub mod heard;
mod lenient;
pub mod limits;
pub mod plivo;
pub mod relay;
pub mod say;
pub mod signalwire;
mod stream;
pub mod telnyx;
pub mod twilio;
pub mod vonage;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::BytesMut;

pub use format::Format;
pub use framing::Delivery;
pub use heard::{
    BadAudio, Flow, Heard, Ignored, Interrupted, Key, MarkEcho, Media, Payload, Playback, Prompt,
    Refused, Start, Stop, Track, Trouble,
};
pub use say::{HangUp, Instead, Language, Say, Sent, Unsayable, Why, Words};
pub use stream::Counters;

use audiohook::AudioHook;
use exotel::Exotel;
use plivo::Plivo;
use relay::Relay;
use signalwire::SignalWire;
use stream::Stream;
use telnyx::Telnyx;
use twilio::Twilio;
use vonage::Vonage;

/// The ways of speaking that we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dialect {
    /// Twilio Media Streams.
    Twilio,
    /// `SignalWire` cXML streams.
    SignalWire,
    /// Telnyx media streaming.
    Telnyx,
    /// Plivo audio streaming.
    Plivo,
    /// Exotel `AgentStream`.
    Exotel,
    /// Vonage Voice API.
    Vonage,
    /// Genesys `AudioHook` and Audio Connector.
    AudioHook,
    /// Twilio `ConversationRelay`: text instead of sound.
    Relay,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Twilio,
        Self::SignalWire,
        Self::Telnyx,
        Self::Plivo,
        Self::Exotel,
        Self::Vonage,
        Self::AudioHook,
        Self::Relay,
    ];

    /// The name in paths, configuration and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Twilio => "twilio",
            Self::SignalWire => "signalwire",
            Self::Telnyx => "telnyx",
            Self::Plivo => "plivo",
            Self::Exotel => "exotel",
            Self::Vonage => "vonage",
            Self::AudioHook => "genesys",
            Self::Relay => "relay",
        }
    }

    /// The dialect that a path or a configuration names.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == name)
    }
}

impl std::fmt::Display for Dialect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A frame as the socket gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A text frame.
    Text(&'a str),
    /// A binary frame.
    Binary(&'a [u8]),
}

/// One side of one socket, in whichever dialect.
#[derive(Debug)]
pub enum Codec {
    /// Twilio.
    Twilio(Twilio),
    /// `SignalWire`.
    SignalWire(SignalWire),
    /// Telnyx.
    Telnyx(Telnyx),
    /// Plivo.
    Plivo(Plivo),
    /// Exotel.
    Exotel(Exotel),
    /// Vonage.
    Vonage(Vonage),
    /// Genesys.
    AudioHook(AudioHook),
    /// Text mode.
    Relay(Relay),
}

impl Codec {
    /// A codec before its first frame.
    pub fn new(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Twilio => Self::Twilio(Twilio::default()),
            Dialect::SignalWire => Self::SignalWire(SignalWire::default()),
            Dialect::Telnyx => Self::Telnyx(Telnyx::default()),
            Dialect::Plivo => Self::Plivo(Plivo::default()),
            Dialect::Exotel => Self::Exotel(Exotel::default()),
            Dialect::Vonage => Self::Vonage(Vonage::default()),
            Dialect::AudioHook => Self::AudioHook(AudioHook::default()),
            Dialect::Relay => Self::Relay(Relay::default()),
        }
    }

    /// Which dialect it is.
    pub const fn dialect(&self) -> Dialect {
        match self {
            Self::Twilio(_) => Dialect::Twilio,
            Self::SignalWire(_) => Dialect::SignalWire,
            Self::Telnyx(_) => Dialect::Telnyx,
            Self::Plivo(_) => Dialect::Plivo,
            Self::Exotel(_) => Dialect::Exotel,
            Self::Vonage(_) => Dialect::Vonage,
            Self::AudioHook(_) => Dialect::AudioHook,
            Self::Relay(_) => Dialect::Relay,
        }
    }

    /// Reads one frame. Unknown events, missing fields and wrong types are no errors; see [`Refused`] for what is.
    ///
    /// # Errors
    /// The frame is refused; [`Refused::ends_the_stream`] says whether that is the end.
    pub fn read<'a>(&mut self, incoming: Incoming<'a>) -> Result<Heard<'a>, Refused> {
        let heard = match incoming {
            Incoming::Text(text) => self.text(text),
            Incoming::Binary(bytes) => self.binary(bytes),
        };
        let counters = &mut self.stream_mut().counters;
        match &heard {
            Ok(Heard::Ignored(_)) => counters.ignored += 1,
            Err(_) => counters.refused += 1,
            Ok(_) => {}
        }
        heard
    }

    fn text<'a>(&mut self, text: &'a str) -> Result<Heard<'a>, Refused> {
        match self {
            Self::Twilio(twilio) => twilio.text(text),
            Self::SignalWire(signalwire) => signalwire.text(text),
            Self::Telnyx(telnyx) => telnyx.text(text),
            Self::Plivo(plivo) => plivo.text(text),
            Self::Exotel(exotel) => exotel.text(text),
            Self::Vonage(vonage) => vonage.text(text),
            Self::AudioHook(audiohook) => audiohook.text(text),
            Self::Relay(relay) => relay.text(text),
        }
    }

    fn binary<'a>(&mut self, bytes: &'a [u8]) -> Result<Heard<'a>, Refused> {
        match self {
            Self::Vonage(vonage) => vonage.binary(bytes),
            Self::AudioHook(audiohook) => audiohook.binary(bytes),
            _ if bytes.len() > limits::MAX_FRAME_BYTES => {
                Err(Refused::TooLarge { bytes: bytes.len() })
            }
            _ => Ok(Heard::Ignored(Ignored::BinaryFrame)),
        }
    }

    /// The sound of `media` in the stream's format, mono, into `out`, whose old contents are dropped and whose memory is
    /// kept. Missing padding is forgiven, an odd last byte of 16-bit samples is dropped and counted, and of two channels
    /// the caller's is kept.
    ///
    /// # Errors
    /// The payload is no base64; `out` is empty then.
    pub fn decode(&mut self, media: &Media<'_>, out: &mut Vec<u8>) -> Result<(), BadAudio> {
        out.clear();
        match &media.payload {
            Payload::Raw(bytes) => out.extend_from_slice(bytes),
            Payload::Base64(text) => {
                if BASE64.decode_vec(text.as_bytes(), out).is_err() {
                    out.clear();
                    self.stream_mut().counters.bad_audio += 1;
                    return Err(BadAudio);
                }
            }
        }
        let stream = self.stream_mut();
        let odd = out.len() % stream.format.bytes_per_sample();
        if odd != 0 {
            stream.counters.bad_audio += 1;
            out.truncate(out.len() - odd);
        }
        if let Self::AudioHook(audiohook) = self {
            audiohook.caller_only(out);
        }
        Ok(())
    }

    /// Writes what the protocol demands as an answer to what was read, if anything, into `out`, whose old contents are
    /// dropped. Call it until it returns `None`.
    pub fn owed(&mut self, out: &mut BytesMut) -> Option<Sent> {
        out.clear();
        match self {
            Self::AudioHook(audiohook) => audiohook.owed(out).then_some(Sent::Text),
            _ => None,
        }
    }

    /// Writes one frame into `out`, whose old contents are dropped.
    ///
    /// # Errors
    /// It cannot be said in this dialect, now, or at this length; `out` is empty then.
    pub fn write(&mut self, say: Say<'_>, out: &mut BytesMut) -> Result<Sent, Unsayable> {
        out.clear();
        // a session of AudioHook can be refused before it has begun; it looks for itself
        let ready = match self {
            Self::AudioHook(_) => Ok(()),
            _ => self.stream_mut().ready(),
        };
        let written = ready.and_then(|()| match self {
            Self::Twilio(twilio) => twilio.write(say, out),
            Self::SignalWire(signalwire) => signalwire.write(say, out),
            Self::Telnyx(telnyx) => telnyx.write(say, out),
            Self::Plivo(plivo) => plivo.write(say, out),
            Self::Exotel(exotel) => exotel.write(say, out),
            Self::Vonage(vonage) => vonage.write(say, out),
            Self::AudioHook(audiohook) => audiohook.write(say, out),
            Self::Relay(_) => Relay::write(say, out),
        });
        if written.is_err() {
            out.clear();
        }
        written
    }

    /// What the carrier bears of our sound. Ask after the start: it depends on the format.
    pub const fn delivery(&self) -> Delivery {
        match self {
            Self::Twilio(twilio) => twilio.delivery(),
            Self::SignalWire(signalwire) => signalwire.twilio.delivery(),
            Self::Telnyx(telnyx) => telnyx.delivery(),
            Self::Plivo(plivo) => plivo.delivery(),
            Self::Exotel(_) => Exotel::delivery(),
            Self::Vonage(vonage) => vonage.delivery(),
            Self::AudioHook(audiohook) => audiohook.delivery(),
            Self::Relay(relay) => relay.delivery(),
        }
    }

    /// How the stream's sound looks, both ways. Ask after the start.
    pub const fn format(&self) -> Format {
        match self {
            Self::Twilio(twilio) => twilio.stream.format,
            Self::SignalWire(signalwire) => signalwire.twilio.stream.format,
            Self::Telnyx(telnyx) => telnyx.stream.format,
            Self::Plivo(plivo) => plivo.stream.format,
            Self::Exotel(exotel) => exotel.stream.format,
            Self::Vonage(vonage) => vonage.stream.format,
            Self::AudioHook(audiohook) => audiohook.stream.format,
            Self::Relay(relay) => relay.stream.format,
        }
    }

    /// What went by and what went wrong so far.
    pub const fn counters(&self) -> Counters {
        match self {
            Self::Twilio(twilio) => twilio.stream.counters,
            Self::SignalWire(signalwire) => signalwire.twilio.stream.counters,
            Self::Telnyx(telnyx) => telnyx.stream.counters,
            Self::Plivo(plivo) => plivo.stream.counters,
            Self::Exotel(exotel) => exotel.stream.counters,
            Self::Vonage(vonage) => vonage.stream.counters,
            Self::AudioHook(audiohook) => audiohook.stream.counters,
            Self::Relay(relay) => relay.stream.counters,
        }
    }

    const fn stream_mut(&mut self) -> &mut Stream {
        match self {
            Self::Twilio(twilio) => &mut twilio.stream,
            Self::SignalWire(signalwire) => &mut signalwire.twilio.stream,
            Self::Telnyx(telnyx) => &mut telnyx.stream,
            Self::Plivo(plivo) => &mut plivo.stream,
            Self::Exotel(exotel) => &mut exotel.stream,
            Self::Vonage(vonage) => &mut vonage.stream,
            Self::AudioHook(audiohook) => &mut audiohook.stream,
            Self::Relay(relay) => &mut relay.stream,
        }
    }
}

/// Carriers pad, but a missing pad or stray bits at the end cost no sound.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);
