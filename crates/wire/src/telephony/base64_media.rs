//! Writing the frames that Twilio, `SignalWire`, Telnyx, Exotel and Plivo share but for their names.
//! Held by those dialects, made once at the start.
//! Never allocates for a frame of audio: the envelope is ready, the sound goes between its halves.

use bytes::BytesMut;

use super::stream::{push_base64, push_json, push_number};

/// The two halves of a frame of audio around its base64.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    head: BytesMut,
    tail: &'static [u8],
    /// `,"streamSid":"MZ…"`, or nothing for a carrier that wants no id.
    address: BytesMut,
}

impl Envelope {
    /// For frames like `{"event":"media","streamSid":"…","media":{"payload":"…"}}`; `key` is the name of the id.
    pub(super) fn media(key: &'static str, stream_id: &str) -> Self {
        let address = address(key, stream_id);
        let mut head = BytesMut::from(&br#"{"event":"media""#[..]);
        head.extend_from_slice(&address);
        head.extend_from_slice(br#","media":{"payload":""#);
        Self {
            head,
            tail: br#""}}"#,
            address,
        }
    }

    /// With a head of the dialect's own.
    pub(super) fn with_head(head: BytesMut, key: &'static str, stream_id: &str) -> Self {
        Self {
            head,
            tail: br#""}}"#,
            address: address(key, stream_id),
        }
    }

    /// A frame of audio.
    pub(super) fn audio(&self, audio: &[u8], out: &mut BytesMut) {
        out.extend_from_slice(&self.head);
        push_base64(audio, out);
        out.extend_from_slice(self.tail);
    }

    /// `{"event":"…","streamSid":"…"}`.
    pub(super) fn bare(&self, event: &str, out: &mut BytesMut) {
        self.open(event, out);
        out.extend_from_slice(b"}");
    }

    /// `{"event":"mark","streamSid":"…","mark":{"name":"7"}}`.
    pub(super) fn mark(&self, mark: u64, out: &mut BytesMut) {
        self.open("mark", out);
        out.extend_from_slice(br#","mark":{"name":""#);
        push_number(mark, out);
        out.extend_from_slice(br#""}}"#);
    }

    /// `{"event":"…","streamSid":"…"`, left open.
    pub(super) fn open(&self, event: &str, out: &mut BytesMut) {
        out.extend_from_slice(br#"{"event":""#);
        out.extend_from_slice(event.as_bytes());
        out.extend_from_slice(br#"""#);
        out.extend_from_slice(&self.address);
    }
}

fn address(key: &'static str, stream_id: &str) -> BytesMut {
    let mut address = BytesMut::new();
    if !key.is_empty() {
        address.extend_from_slice(b",");
        push_json(key, &mut address);
        address.extend_from_slice(b":");
        push_json(stream_id, &mut address);
    }
    address
}
