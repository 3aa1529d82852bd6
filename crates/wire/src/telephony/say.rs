//! What we say to a carrier, in one vocabulary, and the typed answers where a dialect has no word for it.
//! Given to the codecs by the gateway's edge.
//! Never an illegal frame: what cannot be said is an [`Unsayable`] that names the other way.

/// One thing we say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Say<'a> {
    /// Sound in the stream's format. [`super::Codec::delivery`] says which lengths one frame may have, and
    /// [`super::framing::Cutter`] cuts them.
    Audio(&'a [u8]),
    /// Tell me when everything before has been played. Numbers must rise; begin with 1.
    Mark(u64),
    /// Throw away what has not been played.
    Clear,
    /// Press these keys: `0`-`9`, `*`, `#`, `A`-`D`.
    Dtmf(&'a str),
    /// End the call, or at least the stream.
    HangUp(HangUp<'a>),
    /// Text mode: words to speak.
    Text(Words<'a>),
    /// Text mode: a sound file to play.
    Play(&'a str),
    /// Text mode: which language is spoken and heard from now on.
    Language(Language<'a>),
}

/// The end, and what to leave behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HangUp<'a> {
    /// Why.
    pub why: Why,
    /// For the flow that goes on after us: text that Twilio hands to `action` (text mode), or that Genesys keeps as
    /// `info`.
    pub note: Option<&'a str>,
}

/// Why we end a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Why {
    /// It is done.
    #[default]
    Completed,
    /// The carrier may not do this.
    Unauthorized,
    /// Something failed on our side.
    Error,
}

/// Words to speak, as they come from a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words<'a> {
    /// The next piece.
    pub token: &'a str,
    /// Whether the turn ends with it.
    pub last: bool,
}

/// Languages as tags such as `en-US`; what is `None` stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Language<'a> {
    /// Of the voice.
    pub spoken: Option<&'a str>,
    /// Of the transcription.
    pub heard: Option<&'a str>,
}

/// How the bytes that were written have to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// As a text frame; the bytes are UTF-8.
    Text,
    /// As a binary frame.
    Binary,
}

/// Why something could not be written. Nothing was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsayable {
    /// The dialect has no such frame; sending one would be a protocol error (Twilio: 31924).
    #[error("this carrier has no frame for that; {0}")]
    NoSuchFrame(Instead),
    /// The stream has not begun, so that there is nothing to address.
    #[error("the stream has not begun")]
    BeforeStart,
    /// The stream is over.
    #[error("the stream is over")]
    AfterStop,
    /// Audio of a length that the carrier does not play: cut it with [`super::framing::Cutter`].
    #[error("a frame of {bytes} bytes of audio is not allowed here")]
    AudioLength {
        /// The length that was given.
        bytes: usize,
    },
    /// Keys that telephones do not have, none, or too many.
    #[error(
        "the keys must be 1 to {} of 0-9, *, # and A-D",
        super::limits::MAX_DIGITS
    )]
    Digits,
    /// A mark whose number does not rise.
    #[error("marks must rise, and the last one was {last}")]
    MarkOrder {
        /// The last number.
        last: u64,
    },
    /// Text with a NUL, or longer than a frame.
    #[error("the text holds a NUL or is longer than a frame")]
    Text,
}

/// What to do where a dialect has no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instead {
    /// Ask the carrier's REST interface (spec/telephony §2.6, §3.1).
    Rest,
    /// Close the socket: the call goes on in its flow, and ends where nothing follows.
    Close,
    /// Send the tones as audio, or redirect the call to an answer document that presses the keys.
    Tones,
    /// Reckon from the clock: there are no marks (spec/telephony §4.5).
    Clock,
    /// Send audio: this stream carries no text.
    Audio,
    /// Send text: this stream carries no audio.
    Text,
}

impl std::fmt::Display for Instead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Rest => "ask its REST interface",
            Self::Close => "close the socket",
            Self::Tones => "send the tones as audio or redirect the call",
            Self::Clock => "reckon with the clock",
            Self::Audio => "send audio",
            Self::Text => "send text",
        })
    }
}
