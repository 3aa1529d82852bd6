//! `ElevenLabs`' voices: a connection per reply, opened before it is needed.

use std::time::Duration;

use engine::ask::SpeakOptions;
use providers::{
    Kind, Vendor, http,
    ports::{Piece, Tts as _, TtsEvent},
    tts::elevenlabs::ElevenLabsTts,
};
use tokio::time::Instant;

use super::{begin, failed_reply, vendor};
use crate::{
    conformance::{self, speak_options, speech},
    fakes::{
        elevenlabs,
        wire::{Fake, Fault, KEY},
    },
};

fn open(fake: &Fake) -> ElevenLabsTts {
    ElevenLabsTts::new(http::client().unwrap(), vendor(fake, "/v1")).unwrap()
}

#[tokio::test]
async fn the_suite_passes() {
    let fake = elevenlabs::start().await;
    conformance::tts_speaks_in_order(&open(&fake)).await;
    // twice the speed is not to be had; every voice speaks
    for voice in ["alloy", "nobody-has-this-voice", ""] {
        let spoken = speech(&open(&fake), speak_options(voice), &["Good morning."]).await;
        assert_eq!(spoken.pieces, [12 * 1_200]);
    }
    fake.is_content();
}

#[tokio::test]
async fn pieces_end_with_their_own_audio_at_the_callers_rate() {
    let fake = elevenlabs::start().await;
    let options = SpeakOptions {
        preferred_rate_hz: 8_000,
        speed: 9.0,
        ..speak_options("pNInz6obpgDQGcFmaJgB")
    };
    let texts = ["Hello there.", "You?", "I am well, thank you."];
    let spoken = speech(&open(&fake), options, &texts).await;
    let chars = [11, 4, 17];
    // the fastest there is
    for (samples, chars) in spoken.pieces.iter().zip(chars) {
        let expected = chars * 400 * 10 / 12;
        assert!(samples.abs_diff(expected) < 20, "{samples} of {expected}");
    }
    assert_eq!(spoken.rate_hz, 8_000);
    let handshake = fake.world.with(|seen| seen.handshakes[0].clone());
    assert!(handshake.contains("/pNInz6obpgDQGcFmaJgB/stream-input"));
    fake.is_content();
}

#[tokio::test]
async fn the_next_reply_finds_a_connection() {
    let fake = elevenlabs::start().await;
    let tts = open(&fake);
    tts.prepare(&speak_options("alloy"));
    fake.world.until(|seen| seen.handshakes.len() == 1).await;
    speech(&tts, speak_options("alloy"), &["Hello."]).await;
    // opened behind the first reply, not before the second
    fake.world.until(|seen| seen.handshakes.len() == 2).await;
    speech(&tts, speak_options("alloy"), &["Hello."]).await;
    fake.world.until(|seen| seen.handshakes.len() == 3).await;
    let firsts = fake
        .texts()
        .iter()
        .filter(|text| text["text"] == " ")
        .count();
    assert_eq!(firsts, 2);
}

#[tokio::test]
async fn a_reply_that_says_nothing_leaves_its_connection_to_the_next() {
    let fake = elevenlabs::start().await;
    let tts = open(&fake);
    for _ in 0..3 {
        let mut stream = begin(&tts, speak_options("alloy"), &["…"]).await;
        let done = TtsEvent::PieceDone { index: 0 };
        assert_eq!(stream.events.recv().await, Some(done));
        drop(stream.pieces);
        assert_eq!(stream.events.recv().await, None);
        fake.world.until(|seen| seen.handshakes.len() == 1).await;
    }
    assert!(fake.texts().is_empty());
}

#[tokio::test]
async fn a_reply_that_is_dropped_is_closed() {
    let fake = elevenlabs::start().await;
    let tts = open(&fake);
    let long = "word ".repeat(400);
    let mut stream = begin(&tts, speak_options("alloy"), &[&long, &long]).await;
    assert!(matches!(
        stream.events.recv().await,
        Some(TtsEvent::Audio { .. })
    ));
    drop(stream);
    fake.world.until(|seen| seen.closed.len() == 1).await;
    let spoken = speech(&tts, speak_options("alloy"), &["Hello."]).await;
    assert_eq!(spoken.pieces, [6 * 1_200]);
}

#[tokio::test(start_paused = true)]
async fn a_reply_may_wait_for_its_text() {
    let fake = elevenlabs::start().await;
    let tts = open(&fake);
    let mut stream = begin(&tts, speak_options("alloy"), &["Let me see."]).await;
    while !matches!(
        stream.events.recv().await,
        Some(TtsEvent::PieceDone { index: 0 })
    ) {}
    tokio::time::advance(Duration::from_secs(100)).await;
    let more = Piece {
        index: 1,
        text: "Here it is.".to_owned(),
    };
    stream.pieces.send(more).await.unwrap();
    while !matches!(
        stream.events.recv().await,
        Some(TtsEvent::PieceDone { index: 1 })
    ) {}
    drop(stream.pieces);
    assert_eq!(stream.events.recv().await, None);
    assert_eq!(fake.texts().len(), 3);
    fake.is_content();
}

#[tokio::test]
async fn a_connection_lost_before_anything_was_heard_is_opened_again() {
    let fake = elevenlabs::start().await;
    fake.misbehave(Fault::Break(2));
    let spoken = speech(&open(&fake), speak_options("alloy"), &["Hello.", "You?"]).await;
    assert_eq!(spoken.pieces, [6 * 1_200, 4 * 1_200]);
    fake.misbehave(Fault::AlwaysBreak(1));
    let (heard, error) = failed_reply(&open(&fake), "Hello.").await;
    assert_eq!((heard, error.kind), (0, Kind::Unavailable));
}

#[tokio::test]
async fn a_connection_lost_in_the_middle_of_a_piece_is_a_failure() {
    let fake = elevenlabs::start().await;
    fake.misbehave(Fault::CloseMidway);
    let (heard, error) = failed_reply(&open(&fake), "Good morning to everyone.").await;
    assert!(heard > 0);
    assert_eq!(error.kind, Kind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn noise_is_no_speech() {
    let fake = elevenlabs::start().await;
    fake.misbehave(Fault::Noise);
    let since = Instant::now();
    let (heard, error) = failed_reply(&open(&fake), "Hello.").await;
    assert_eq!((heard, error.kind), (0, Kind::Timeout));
    assert!(since.elapsed() < Duration::from_secs(16));
}

#[tokio::test]
async fn what_is_refused_tells_what_to_do_and_never_the_key() {
    for (status, kind) in [
        (401, Kind::Unauthorized),
        (429, Kind::RateLimited),
        (500, Kind::Unavailable),
        (403, Kind::Unauthorized),
    ] {
        let fake = elevenlabs::start().await;
        fake.misbehave(Fault::Status(status));
        let tts = open(&fake);
        for error in [
            failed_reply(&tts, "Hello.").await.1,
            tts.check().await.unwrap_err(),
        ] {
            assert_eq!(error.kind, kind, "{status}");
            assert!(!format!("{error:?}").contains(KEY));
        }
    }
    let fake = elevenlabs::start().await;
    assert_eq!(open(&fake).check().await, Ok(()));
    let missing = Vendor {
        api_key: None,
        ..vendor(&fake, "/v1")
    };
    assert!(ElevenLabsTts::new(http::client().unwrap(), missing).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_stalls_is_not_waited_for_long() {
    let fake = elevenlabs::start().await;
    for text in ["midway and on", "stall"] {
        if text == "stall" {
            fake.misbehave(Fault::Stall);
        }
        let since = Instant::now();
        let (heard, error) = failed_reply(&open(&fake), text).await;
        assert_eq!(error.kind, Kind::Timeout, "{text}");
        assert_eq!(heard > 0, text != "stall");
        assert!(since.elapsed() < Duration::from_secs(31));
    }
}

#[tokio::test]
async fn nonsense_is_the_vendors_fault() {
    let fake = elevenlabs::start().await;
    fake.misbehave(Fault::Garbage);
    let (heard, error) = failed_reply(&open(&fake), "Hello.").await;
    assert_eq!((heard, error.kind), (0, Kind::Protocol));
}
