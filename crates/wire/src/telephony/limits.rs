//! What carriers and we ourselves allow: sizes and counts, each with its source.
//! Used by the codecs, by the answer documents and by the gateway's edge.
//! Never enforced here; whoever reads or writes does that.

/// Longest frame that is read, in bytes: 64 kB (spec/telephony §8.6). The reference server of `AudioHook` draws the same
/// line, and 20 ms of telephone audio need less than 1 kB. Longer ones are refused before they are parsed.
pub const MAX_FRAME_BYTES: usize = 65_535;

/// Longest id of a stream, call or account, in bytes. Those of the carriers are at most about 100 bytes long
/// (Telnyx's call control id); ids are repeated in every frame we send.
pub const MAX_ID_BYTES: usize = 256;

/// Most custom parameters that are kept of one start.
pub const MAX_PARAMETERS: usize = 64;

/// Longest custom parameter at a start, name and value together, in bytes. Carriers allow 256 to 512.
pub const MAX_PARAMETER_BYTES: usize = 2_048;

/// Most bytes of audio in one frame that we write to a carrier without a limit of its own. Two seconds of G.711: a
/// longer frame would only delay the mark behind it.
pub const MAX_AUDIO_BYTES: usize = 16_000;

/// Most keys in one `Dtmf` that we write.
pub const MAX_DIGITS: usize = 64;

/// How long the edge waits for a `start`, in milliseconds, before it closes with 1008 (spec/telephony §2.4).
pub const START_WITHIN_MS: u64 = 10_000;

/// Audio that Twilio queues before it drops some and reports 31931, in milliseconds: about ten minutes
/// (spec/telephony §2.1).
pub const TWILIO_QUEUE_MS: u64 = 600_000;

/// Shortest and longest audio in one frame for Telnyx, in milliseconds
/// (<https://developers.telnyx.com/api-reference/websockets/stream-call-media-over-websocket>).
pub const TELNYX_FRAME_MS: (u64, u64) = (20, 30_000);

/// Exotel: a frame is a multiple of this many bytes, otherwise there are gaps in the sound
/// (<https://developer.exotel.com/docs/agentstream/stream-voicebot-applet>).
pub const EXOTEL_STEP_BYTES: usize = 320;

/// Exotel: the shortest and the longest frame, in bytes (same page).
pub const EXOTEL_FRAME_BYTES: (usize, usize) = (3_200, 100_000);

/// Vonage: length of a frame, in milliseconds
/// (<https://developer.vonage.com/en/voice/voice-api/guides/websockets>).
pub const VONAGE_FRAME_MS: u64 = 20;

/// Vonage: frames that it queues, about a minute of sound; more are lost
/// (<https://developer.vonage.com/en/tutorials/play-audio-into-a-websocket/create-the-websocket/node>).
pub const VONAGE_QUEUE_FRAMES: u64 = 3_072;

/// `AudioHook`: binary messages a second that we send, and how many at once. The vendor limits them and answers 429;
/// the exact figures could not be settled (spec/telephony §12 f), so that the edge should make them configurable.
pub const AUDIOHOOK_RATE: (u32, u32) = (5, 25);

/// Name and value of a `<Parameter>` together, in characters, for Twilio and those that follow it
/// (spec/telephony §2.5).
pub const TWIML_PARAMETER_CHARS: usize = 500;

/// Plivo: all of `extraHeaders`, in bytes; letters and digits only (spec/telephony §3.1).
pub const PLIVO_HEADERS_BYTES: usize = 512;

/// Exotel: custom parameters at most, and their text together in characters (spec/telephony §3.1).
pub const EXOTEL_PARAMETERS: (usize, usize) = (3, 256);

/// Exotel: the longest stream URL, in characters (<https://developer.exotel.com/docs/agentstream/developer-guide>).
pub const EXOTEL_URL_CHARS: usize = 600;

/// Vonage: all `headers` of a WebSocket endpoint as JSON, in bytes. The vendor's pages name no figure today; this is
/// what they used to say, and more than our own parameters need.
pub const VONAGE_HEADERS_BYTES: usize = 512;
