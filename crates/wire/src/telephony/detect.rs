//! Which dialect a socket speaks: by its route, else by its first frames (spec/telephony §3.2).
//! Asked by the gateway's edge before there is a codec; the frames that were looked at go through the codec afterwards.
//! Never keeps a frame, and looks at no more than [`MAX_FRAMES`].

use super::frame::{self, Frame, StartKeys};
use super::heard::Refused;
use super::lenient::object;
use super::vonage::Entries;
use super::{Dialect, Incoming};

/// Text frames that are looked at before giving up: `connected` and `start`.
pub const MAX_FRAMES: u32 = 2;

/// What is known so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is this one.
    Is(Dialect),
    /// Show the next frame.
    More,
    /// None that we know: close with 1008.
    Unknown,
}

/// Looks at the first frames of a socket.
#[derive(Debug, Default)]
pub struct Detector {
    route: Option<Dialect>,
    frames: u32,
    signalwire: bool,
}

impl Detector {
    /// For a socket whose path names a dialect, or none (the path that the seed's clients use).
    pub const fn new(route: Option<Dialect>) -> Self {
        Self {
            route,
            frames: 0,
            signalwire: false,
        }
    }

    /// Looks at the next frame. A route decides at once, but that a carrier in text mode says `setup` first on the
    /// route of its media.
    ///
    /// # Errors
    /// The frame cannot be read: too large, no JSON, no object. Frames that are refused count as looked at.
    pub fn look(&mut self, incoming: Incoming<'_>) -> Result<Verdict, Refused> {
        if let Incoming::Binary(_) = incoming
            && self.route.is_none()
        {
            // a carrier of binary sound says what it is in text first
            return Ok(self.count());
        }
        let Incoming::Text(text) = incoming else {
            return Ok(self.route.map_or(Verdict::Unknown, Verdict::Is));
        };
        let found = match frame::read(text) {
            Ok(frame) => self.judge(frame),
            Err(Refused::DuplicateKey) if begins_vonage(text) => Some(Dialect::Vonage),
            Err(refused) => {
                self.frames += 1;
                return Err(refused);
            }
        };
        Ok(match (self.route, found) {
            (
                Some(Dialect::Twilio | Dialect::SignalWire | Dialect::Telnyx),
                Some(Dialect::Relay),
            ) => Verdict::Is(Dialect::Relay),
            (Some(route), _) => Verdict::Is(route),
            (None, Some(found)) => Verdict::Is(found),
            (None, None) => self.count(),
        })
    }

    const fn count(&mut self) -> Verdict {
        self.frames += 1;
        if self.frames >= MAX_FRAMES {
            Verdict::Unknown
        } else {
            Verdict::More
        }
    }

    fn judge(&mut self, frame: Frame<'_>) -> Option<Dialect> {
        match (frame.kind.as_str(), frame.version.as_str()) {
            ("setup", _) => return Some(Dialect::Relay),
            ("open", "2") => return Some(Dialect::AudioHook),
            _ => {}
        }
        match frame.event.as_str() {
            "websocket:connected" => Some(Dialect::Vonage),
            "connected" => {
                self.signalwire = frame.version.as_str() == "0.2.0";
                None
            }
            "start" => {
                let stream = frame.telnyx_stream.given().is_some();
                self.start(frame.start.or_empty(), stream)
            }
            _ => None,
        }
    }

    fn start(&self, keys: StartKeys<'_>, telnyx_stream: bool) -> Option<Dialect> {
        if let Some(call) = keys.twilio_call.given() {
            let uuids = is_uuid(&call);
            return Some(if self.signalwire || uuids {
                Dialect::SignalWire
            } else {
                Dialect::Twilio
            });
        }
        if keys.call_control_id.given().is_some() || telnyx_stream {
            return Some(Dialect::Telnyx);
        }
        if keys.plivo_call.given().is_some() && keys.plivo_stream.given().is_some() {
            return Some(Dialect::Plivo);
        }
        (keys.exotel_call.given().is_some() && keys.exotel_stream.given().is_some())
            .then_some(Dialect::Exotel)
    }
}

fn begins_vonage(text: &str) -> bool {
    object::<Entries<'_>>(text).is_ok_and(|entries| entries.begins())
}

/// 8-4-4-4-12 hexadecimal digits.
fn is_uuid(text: &str) -> bool {
    let lengths = [8, 4, 4, 4, 12];
    let mut parts = text.split('-');
    lengths.into_iter().all(|length| {
        parts.next().is_some_and(|part| {
            part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    }) && parts.next().is_none()
}
