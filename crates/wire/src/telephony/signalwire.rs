//! `SignalWire`'s cXML streams: Twilio's, with ids that are UUIDs, more formats, and keys that we may press.
//! Used through [`super::Codec`].
//! Never requires what `SignalWire` leaves out: `streamSid` on later frames, `sequenceNumber` on marks (spec/telephony §2.2).

use bytes::BytesMut;

use super::heard::{Heard, Refused};
use super::say::{Say, Sent, Unsayable};
use super::stream::{check_digits, push_json};
use super::twilio::Twilio;

/// One stream of `SignalWire`'s.
#[derive(Debug, Default)]
pub struct SignalWire {
    pub(super) twilio: Twilio,
}

impl SignalWire {
    pub(super) fn text<'a>(&mut self, text: &'a str) -> Result<Heard<'a>, Refused> {
        self.twilio.text(text)
    }

    pub(super) fn write(&mut self, say: Say<'_>, out: &mut BytesMut) -> Result<Sent, Unsayable> {
        let Say::Dtmf(digits) = say else {
            return self.twilio.write(say, out);
        };
        // the vendor's pages show one key; whether several are pressed could not be settled, so the edge sends one at a time
        check_digits(digits)?;
        self.twilio.envelope.open("dtmf", out);
        out.extend_from_slice(br#","dtmf":{"digit":"#);
        push_json(digits, out);
        out.extend_from_slice(b"}}");
        Ok(Sent::Text)
    }
}
