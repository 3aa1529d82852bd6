//! How each carrier puts things: its frames for what every carrier says, and what it accepts of ours.
//! Spoken by [`super::leg::Leg`], which has the buffer and knows what is played.
//! Never forgives a frame that the carrier does not have: the story fails with the carrier's own error.

mod exotel;
mod genesys;
mod plivo;
mod relay;
mod telnyx;
mod twilio;
mod vonage;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::audio::g711::Law;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

use super::document::Document;
use super::{Brand, Call};

/// What a call is called, and who talks.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    pub(crate) brand: Brand,
    pub(crate) stream: String,
    pub(crate) call: String,
    pub(crate) account: String,
    pub(crate) from: String,
    pub(crate) to: String,
}

impl Names {
    pub(crate) fn of(call: &Call<'_>) -> Self {
        Self {
            brand: call.brand,
            stream: call.brand.id("MZ", call.stream),
            call: call.sid.clone(),
            account: call.brand.id("AC", 1),
            from: call.number(super::CALLER),
            to: call.number(&call.to),
        }
    }
}

/// What a frame of the server's asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asks {
    /// To play sound: so many eighths of a millisecond, which are bytes where it is mu-law.
    Play(usize),
    /// To speak words (text mode).
    Speak(String),
    /// To say when everything before it was played.
    Mark(String),
    /// To throw away what was not played.
    Clear,
    /// To press keys.
    Keys(String),
    /// Nothing: it is the protocol's answer of this name.
    Answer(String),
    /// To end the session.
    End,
}

/// One side of a socket in a carrier's own words.
pub(crate) trait Tongue: Send {
    /// What is said first.
    fn begin(&mut self, document: &Document) -> Vec<Message>;
    /// A frame of the caller's sound, in mu-law, that begins at this time.
    fn sound(&mut self, sound: &[u8], at_ms: u64) -> Message;
    /// A key of the caller's.
    fn key(&mut self, key: char) -> Message;
    /// A mark was played.
    fn echo(&mut self, mark: &str) -> Message;
    /// The buffer was emptied because we asked, these marks with it.
    fn cleared(&mut self, marks: Vec<String>) -> Vec<Message>;
    /// The caller hangs up. Nothing where the carrier just closes its socket.
    fn hang_up(&mut self) -> Vec<Message>;
    /// Messages were sent that this did not make; of those that count theirs.
    fn said(&mut self, _messages: u64) {}
    /// The session has another id.
    fn renamed(&mut self, _id: &str) {}
    /// What a frame of the server's asks for.
    fn read(&mut self, message: &Message) -> Asks;
    /// Mu-law bytes of a frame of the caller's sound.
    fn frame_bytes(&self) -> usize {
        160
    }
}

/// The carrier of a call.
pub(crate) fn of(call: &Call<'_>) -> Box<dyn Tongue> {
    let names = Names::of(call);
    match call.brand {
        Brand::Twilio | Brand::SignalWire => Box::new(twilio::Twilio::new(names)),
        Brand::Telnyx => Box::new(telnyx::Telnyx::new(names)),
        Brand::Plivo => Box::new(plivo::Plivo::new(names)),
        Brand::Exotel => Box::new(exotel::Exotel::new(names)),
        Brand::Vonage => Box::new(vonage::Vonage::new()),
        Brand::Genesys => Box::new(genesys::Genesys::new(names, call.world.app().clock.clone())),
        Brand::Relay => Box::new(relay::Relay::new(names)),
    }
}

/// A text frame as an object.
fn object(message: &Message) -> Value {
    let Message::Text(text) = message else {
        panic!("this carrier takes text alone: {message:?}");
    };
    let frame: Value = serde_json::from_str(text).unwrap();
    assert!(frame.is_object(), "{frame}");
    frame
}

/// The keys of an object, in the order of the alphabet.
fn keys(frame: &Value) -> Vec<&str> {
    let object = frame.as_object().unwrap();
    let mut keys: Vec<&str> = object.keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// The bytes of a payload.
fn payload(media: &Value) -> Vec<u8> {
    STANDARD.decode(media["payload"].as_str().unwrap()).unwrap()
}

fn text(frame: &Value) -> Message {
    Message::text(frame.to_string())
}

/// Mu-law as linear samples.
fn linear(sound: &[u8]) -> Vec<i16> {
    let mut samples = Vec::new();
    Law::Mu.decode(sound, &mut samples);
    samples
}

/// Samples with the low byte first.
fn little_endian(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|it| it.to_le_bytes()).collect()
}

/// Custom parameters of a document, as an object.
fn parameters(document: &Document) -> Value {
    let pairs = document.parameters.iter();
    let pairs = pairs.map(|(name, value)| (name.clone(), value.as_str().into()));
    Value::Object(pairs.collect())
}
