//! Any bytes as frames of telephone carriers, one per line as in recordings, in every dialect.
//! Run by `cargo fuzz run telephony_frames`; see fuzz/README.md.
//! Never needs a seed, but finds more with our transcripts (crates/wire/tests/fixtures/telephony).

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use wire::telephony::detect::Detector;
use wire::telephony::limits::{MAX_ID_BYTES, MAX_PARAMETERS};
use wire::telephony::{Codec, Dialect, HangUp, Heard, Incoming, Say, Sent, Words};

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else {
        return;
    };
    let dialect = Dialect::ALL[usize::from(*choice) % Dialect::ALL.len()];
    let mut socket = Socket {
        codec: Codec::new(dialect),
        detector: Detector::new(None),
        out: BytesMut::new(),
        sound: Vec::new(),
        starts: 0,
    };
    for line in rest.split(|byte| *byte == b'\n') {
        // transcripts mark the carrier's text frames with this
        let line = line.strip_prefix(b"< ").unwrap_or(line);
        match std::str::from_utf8(line) {
            Ok(text) => socket.frame(Incoming::Text(text)),
            Err(_) => socket.frame(Incoming::Binary(line)),
        }
    }
});

struct Socket {
    codec: Codec,
    detector: Detector,
    out: BytesMut,
    sound: Vec<u8>,
    starts: u32,
}

impl Socket {
    fn frame(&mut self, incoming: Incoming<'_>) {
        let _ = self.detector.look(incoming);
        match self.codec.read(incoming) {
            Ok(Heard::Start(start)) => {
                self.starts += 1;
                assert_eq!(self.starts, 1, "two starts");
                assert!(start.stream_id.len() <= MAX_ID_BYTES, "{start:?}");
                assert!(start.parameters.len() <= MAX_PARAMETERS, "{start:?}");
            }
            Ok(Heard::Media(media)) => {
                assert_eq!(self.starts, 1, "sound before the start");
                let _ = self.codec.decode(&media, &mut self.sound);
            }
            _ => {}
        }
        while let Some(sent) = self.codec.owed(&mut self.out) {
            self.check(sent);
        }
        let words = Words {
            token: "\u{7}\"x\\",
            last: true,
        };
        let noise = [0x7F; 3_200];
        for say in [
            Say::Audio(&noise),
            Say::Mark(u64::from(self.starts)),
            Say::Clear,
            Say::Dtmf("1#"),
            Say::Text(words),
            Say::HangUp(HangUp::default()),
        ] {
            if let Ok(sent) = self.codec.write(say, &mut self.out) {
                self.check(sent);
            } else {
                assert!(self.out.is_empty(), "half a frame");
            }
        }
    }

    fn check(&self, sent: Sent) {
        if sent == Sent::Text {
            let frame: Value = serde_json::from_slice(&self.out).expect("our frames are JSON");
            assert!(frame.is_object(), "{frame}");
        }
    }
}
