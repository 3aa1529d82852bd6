use bytes::Bytes;
use wire::realtime::client::ClientAction;
use wire::realtime::{ClientEvent, SessionKind};

use super::*;
use crate::session::settings::{Template, defaults};
use crate::session::{Input, Policy};

/// Twelve and more MB of audio: four minutes and more at 48 bytes a ms.
const LONG_BYTES: usize = 12 << 20;

fn manual() -> Session {
    let mut settings = defaults(Template {
        id: "sess_test".to_owned(),
        kind: SessionKind::Realtime,
        model: "test".to_owned(),
        instructions: String::new(),
        voice: "alloy".to_owned(),
        expires_at: 0,
    });
    settings.input.turn_detection = None;
    Session::new(settings, Policy::default(), 1)
}

fn held_bytes(listener: &Listener) -> usize {
    let samples =
        listener.recent.capacity() + listener.unheard.capacity() + listener.scratch.capacity();
    listener.buffer.capacity() + samples * size_of::<i16>()
}

#[test]
fn a_long_append_leaves_nothing_behind_once_it_is_committed_or_cleared() {
    for action in [ClientAction::AudioCommit, ClientAction::AudioClear] {
        let mut session = manual();
        let mut out = Vec::new();
        session.on(Input::Audio(Bytes::from(vec![0; LONG_BYTES])), 0, &mut out);
        assert_eq!(session.listener.buffer.len(), LONG_BYTES);
        let event = ClientEvent {
            event_id: None,
            action,
        };
        session.on(Input::Client(Box::new(event)), 0, &mut out);
        let held = held_bytes(&session.listener);
        assert!(held < 256 * 1024, "{held} bytes are still held");
    }
}
