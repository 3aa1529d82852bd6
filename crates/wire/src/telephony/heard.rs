//! What a carrier says, in one vocabulary for all of them.
//! Made by the codecs of the dialects, used by the gateway's edge.
//! Never owns a frame: audio, text and names are borrowed from it where they can be.

use std::borrow::Cow;
use std::fmt;

use super::format::Format;

/// One thing a carrier said.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard<'a> {
    /// The socket is open on their side too; a `Start` follows. Some carriers leave this out.
    Connected,
    /// The stream begins: who, to whom, and how the audio looks. Once a socket.
    Start(Box<Start>),
    /// A piece of the call's sound.
    Media(Media<'a>),
    /// A key was pressed.
    Dtmf(Key),
    /// What we sent before this mark has been played, or was thrown away.
    Mark(MarkEcho),
    /// The carrier has emptied its queue because we asked (Plivo, Vonage).
    Cleared,
    /// The carrier plays what we sent, or has played all of it (`AudioHook`; it has no marks).
    Playback(Playback),
    /// The carrier sends no sound for a while, or sends some again (`AudioHook`).
    Flow(Flow),
    /// Text mode: what the caller said.
    Prompt(Prompt<'a>),
    /// Text mode: the caller spoke over us.
    Interrupted(Interrupted<'a>),
    /// The stream is over. A closed socket says the same; finish once.
    Stop(Stop<'a>),
    /// The carrier reports an error. The stream goes on unless a `Stop` or a close follows.
    Trouble(Trouble<'a>),
    /// Nothing to act on; count it.
    Ignored(Ignored),
}

/// The beginning of a stream. Its `Debug` shows neither numbers nor parameters: one of them may be the token.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Start {
    /// The carrier's id of this stream. Empty for Vonage, which has none.
    pub stream_id: String,
    /// The carrier's id of the call, to be used with its REST interface. Vonage and Genesys have none here: Vonage
    /// wants it in the endpoint's `headers`, Genesys names the conversation.
    pub call_id: Option<String>,
    /// The carrier's account, project or organisation.
    pub account_id: Option<String>,
    /// Who calls, as the carrier writes it. Personal.
    pub from: Option<String>,
    /// Who is called, as the carrier writes it. Personal.
    pub to: Option<String>,
    /// How the audio looks, both ways; `None` in text mode.
    pub format: Option<Format>,
    /// What our own answer document or REST request gave the stream, in the carrier's order: our call id and token.
    pub parameters: Vec<(String, String)>,
    /// The carrier only tries whether we answer (`AudioHook`): reply, expect a close, start nothing.
    pub probe: bool,
}

impl Start {
    /// The custom parameter `name`.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Start")
            .field("stream_id", &self.stream_id)
            .field("call_id", &self.call_id)
            .field("account_id", &self.account_id)
            .field("format", &self.format)
            .field("parameters", &self.parameters.len())
            .field("probe", &self.probe)
            .finish_non_exhaustive()
    }
}

/// A piece of sound. [`super::Codec::decode`] makes bytes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media<'a> {
    /// The sound as it came.
    pub payload: Payload<'a>,
    /// When it began, in milliseconds since the stream's first sound or start. A jump means that sound is missing.
    pub timestamp_ms: Option<u64>,
    /// The number of the message, where the carrier counts them.
    pub sequence: Option<u64>,
    /// Whose sound it is. Only [`Track::Inbound`] belongs into the conversation.
    pub track: Track,
}

/// Sound as it came over the socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload<'a> {
    /// Base64 inside a text frame, not yet known to be valid.
    Base64(Cow<'a, str>),
    /// A binary frame.
    Raw(&'a [u8]),
}

/// Whose sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Track {
    /// What the person on the telephone says.
    #[default]
    Inbound,
    /// What that person hears; only streams that watch both ways carry it.
    Outbound,
}

/// A key of the telephone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// `0`-`9`, `*`, `#` or `A`-`D`.
    pub digit: char,
    /// How long it was held, in milliseconds, where the carrier says so.
    pub duration_ms: Option<u64>,
}

/// The echo of a mark of ours. It stands for all marks before it, too: an echo that comes after that of a later mark is
/// [`Ignored::ForeignMark`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkEcho {
    /// The number that [`super::Say::Mark`] gave.
    pub mark: u64,
    /// False when a `Clear` was sent after the mark: its sound was thrown away, or the echo crossed the `Clear` on
    /// the way, which nobody can tell. Do not count it as heard.
    pub played: bool,
}

/// How far the carrier is with our sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Playback {
    /// It begins to play.
    Started,
    /// It has played everything.
    Completed,
}

/// Whether sound flows from the carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// It stopped.
    Paused,
    /// It goes on; this much was left out meanwhile, in milliseconds.
    Resumed {
        /// Sound that was never sent, in milliseconds.
        missing_ms: u64,
    },
    /// Sound was thrown away on their side, in milliseconds.
    Discarded {
        /// Sound that was never sent, in milliseconds.
        missing_ms: u64,
    },
}

/// Text mode: words of the caller, transcribed by the carrier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt<'a> {
    /// The words. Personal.
    pub text: Cow<'a, str>,
    /// Their language as a tag such as `en-US`.
    pub language: Option<Cow<'a, str>>,
    /// Whether the turn is complete.
    pub last: bool,
}

/// Text mode: what the caller had heard when speaking over us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interrupted<'a> {
    /// The heard beginning of what was being spoken: cut the transcript to it.
    pub heard: Cow<'a, str>,
    /// How long it had been spoken, in milliseconds.
    pub after_ms: Option<u64>,
}

/// The end of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stop<'a> {
    /// The carrier's word for why, where it gives one (Exotel: `stopped`, `callended`; Genesys: `end`, `error`, …).
    pub reason: Option<Cow<'a, str>>,
}

/// An error that the carrier reports.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trouble<'a> {
    /// The carrier's number for it.
    pub code: Option<u64>,
    /// The carrier's words. They may repeat what we sent: do not log them unread.
    pub message: Cow<'a, str>,
    /// How long to send nothing, in milliseconds (`AudioHook`, code 429).
    pub retry_after_ms: Option<u64>,
}

/// Why a frame needs no action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ignored {
    /// An event that this dialect does not have, or that means nothing to us.
    UnknownEvent,
    /// Anything but a start, before the start.
    BeforeStart,
    /// Anything after the stop.
    AfterStop,
    /// A start on a socket that has one.
    SecondStart,
    /// A binary frame in a dialect without them.
    BinaryFrame,
    /// Media without a payload, or an empty one.
    NoPayload,
    /// A key that telephones do not have, or none.
    NoDigit,
    /// The echo of a mark that was never sent, was echoed before, or has no name of ours.
    ForeignMark,
    /// The carrier's acknowledgement of something that needs none from us.
    Notice,
}

/// Why a frame was refused. The messages hold nothing of the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Longer than [`super::limits::MAX_FRAME_BYTES`]; not parsed. Close with 1009.
    #[error(
        "the frame has {bytes} bytes and may have {}",
        super::limits::MAX_FRAME_BYTES
    )]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// No JSON, or JSON nested beyond reason.
    #[error("the frame is not JSON from column {column} on")]
    NotJson {
        /// Where reading ended.
        column: usize,
    },
    /// JSON, but no object.
    #[error("the frame is not a JSON object")]
    NotAnObject,
    /// A key stands twice, so that two readers could disagree about what was said.
    #[error("the frame holds a key twice")]
    DuplicateKey,
    /// A start without the ids that later frames and the REST interface need.
    #[error("the start names no {0}")]
    NoIdentity(&'static str),
    /// An id that is too long or holds control characters.
    #[error("the start's {0} is longer than {max} bytes or holds control characters", max = super::limits::MAX_ID_BYTES)]
    BadIdentity(&'static str),
    /// Too many or too long custom parameters, one twice, or one with a NUL.
    #[error("the start's custom parameters are too many, too long, repeated, or hold a NUL")]
    Parameters,
    /// Audio that we cannot take or give. Ask the carrier for one of [`Format`].
    #[error(
        "the start announces audio that is neither G.711 at 8 kHz nor linear at 8, 16 or 24 kHz"
    )]
    Format,
}

impl Refused {
    /// Whether the socket has to be closed. Other refusals cost one frame.
    pub const fn ends_the_stream(self) -> bool {
        !matches!(
            self,
            Self::NotJson { .. } | Self::NotAnObject | Self::DuplicateKey
        )
    }

    /// The WebSocket close code that fits, when the stream has to end.
    pub const fn close_code(self) -> u16 {
        if matches!(self, Self::TooLarge { .. }) {
            1009
        } else {
            1008
        }
    }
}

/// Sound that cannot be decoded; the frame is lost, the stream goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the payload is not base64")]
pub struct BadAudio;
