//! Feeds a session frames of 20 ms as they come from a socket: JSON, base64, resampling, voice detection.
//! Run it under callgrind with two counts; the difference divided by the difference of counts is the price of a frame
//! (docs/performance.md). With a second argument, `manual`, the client ends its turns itself, which transcription hears as a
//! whole, and every tenth frame is followed by a clear. It never measures time, because instructions do not depend on who else is computing.

use bytes::Bytes;
use engine::ask::Hears;
use engine::audio::b64;
use engine::session::settings::{Template, defaults};
use engine::session::{Input, Policy, Session};
use wire::realtime::client::ClientAction;
use wire::realtime::{ClientEvent, SessionKind, fast};

/// Samples of 20 ms at 24 kHz.
const FRAME: usize = 480;

fn main() {
    let count: usize = std::env::args()
        .nth(1)
        .and_then(|count| count.parse().ok())
        .unwrap_or(1000);
    let template = Template {
        id: "sess_cost".to_owned(),
        kind: SessionKind::Realtime,
        model: "cost".to_owned(),
        instructions: String::new(),
        voice: "alloy".to_owned(),
        expires_at: 0,
    };
    let manual = std::env::args().nth(2).is_some_and(|mode| mode == "manual");
    let mut settings = defaults(template);
    let mut policy = Policy::default();
    if manual {
        settings.input.turn_detection = None;
        policy.hears = Hears::Whole;
    }
    let mut session = Session::new(settings, policy, 1);
    let mut outputs = Vec::new();
    // a quiet hum: every stage runs, and no utterance opens
    let samples: Vec<u8> = (0..FRAME)
        .map(|at| (60.0 * (at as f32 * 0.05).sin()) as i16)
        .flat_map(i16::to_le_bytes)
        .collect();
    let mut audio = String::new();
    b64::encode(&samples, &mut audio);
    let frame = format!(r#"{{"type":"input_audio_buffer.append","audio":"{audio}"}}"#);
    for at in 0..count {
        let Some(append) = fast::append(&frame) else {
            return;
        };
        let mut bytes = Vec::new();
        if b64::decode(append.audio, &mut bytes).is_err() {
            return;
        }
        let now_ms = at as u64 * 20;
        session.on(Input::Audio(Bytes::from(bytes)), now_ms, &mut outputs);
        if manual && at % 10 == 9 {
            let action = ClientAction::AudioClear;
            let clear = ClientEvent {
                event_id: None,
                action,
            };
            session.on(Input::Client(Box::new(clear)), now_ms, &mut outputs);
        }
        outputs.clear();
    }
}
