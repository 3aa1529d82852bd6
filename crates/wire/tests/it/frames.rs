//! Frames as real clients send them: none may be refused (an `error` event ends some of them).

use serde_json::Value;
use wire::realtime::client::ClientAction;
use wire::realtime::{beta, decode, fast};

const GA: [(&str, &str); 5] = [
    ("openai", include_str!("frames/openai.jsonl")),
    ("agents-js", include_str!("frames/agents-js.jsonl")),
    ("agents-python", include_str!("frames/agents-python.jsonl")),
    ("livekit", include_str!("frames/livekit.jsonl")),
    ("pipecat", include_str!("frames/pipecat.jsonl")),
];

#[test]
fn every_frame_of_every_client_is_accepted() {
    for (client, frames) in GA {
        assert!(frames.lines().count() > 5, "{client} has frames");
        for frame in frames.lines() {
            let event = decode::client_event(frame)
                .unwrap_or_else(|error| panic!("{client}: {frame} was refused: {error:?}"));
            let sent: Value = serde_json::from_str(frame).expect("JSON");
            assert_eq!(
                event.event_id.as_deref(),
                sent["event_id"].as_str(),
                "{frame}"
            );
        }
    }
}

#[test]
fn the_fast_path_takes_every_clients_audio() {
    for (client, frames) in GA {
        let appends: Vec<&str> = frames
            .lines()
            .filter(|frame| frame.contains("input_audio_buffer.append"))
            .collect();
        assert!(!appends.is_empty(), "{client} sends audio");
        for frame in appends {
            let append = fast::append(frame).unwrap_or_else(|| panic!("{client}: {frame}"));
            let event = decode::client_event(frame).expect("accepted");
            assert_eq!(append.event_id, event.event_id.as_deref());
            let ClientAction::AudioAppend(bytes) = event.action else {
                panic!("not audio: {frame}");
            };
            assert_eq!(append.audio, "AAABAAIA");
            assert_eq!(bytes, [0, 0, 1, 0, 2, 0].as_slice());
        }
    }
}

#[test]
fn every_beta_frame_is_accepted_after_translation() {
    for frame in include_str!("frames/beta.jsonl").lines() {
        let beta: Value = serde_json::from_str(frame).expect("JSON");
        let ga = beta::client_to_ga(beta);
        decode::client_value(&ga).unwrap_or_else(|error| panic!("{frame} became {ga}: {error:?}"));
    }
}
