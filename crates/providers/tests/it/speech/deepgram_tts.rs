//! Aura's voices: one connection per session, a flush per piece while flushes last.

use std::time::Duration;

use engine::ask::SpeakOptions;
use providers::{
    Kind, Vendor, http,
    ports::{Tts as _, TtsEvent},
    tts::deepgram::DeepgramTts,
};
use tokio::time::Instant;

use super::{begin, failed_reply, vendor};
use crate::{
    conformance::{self, speak_options, speech},
    fakes::{
        deepgram,
        wire::{Fake, Fault, KEY},
    },
};

fn open(fake: &Fake) -> DeepgramTts {
    DeepgramTts::new(http::client().unwrap(), vendor(fake, "/v1")).unwrap()
}

#[tokio::test]
async fn the_suite_passes() {
    let fake = deepgram::start().await;
    conformance::tts_speaks_in_order(&open(&fake)).await;
    conformance::tts_knows_voices_and_speed(&open(&fake)).await;
    fake.is_content();
}

#[tokio::test]
async fn the_replies_of_a_session_share_a_connection_at_the_callers_rate() {
    let fake = deepgram::start().await;
    let tts = open(&fake);
    let options = SpeakOptions {
        preferred_rate_hz: 8_000,
        ..speak_options("aura-2-orion-en")
    };
    tts.prepare(&options);
    for texts in [["Hello.", "You?"], ["And so", "on."]] {
        let spoken = speech(&tts, options.clone(), &texts).await;
        let expected = texts.map(|text| text.len() * 400);
        assert_eq!(spoken.pieces, expected);
        assert_eq!(spoken.rate_hz, 8_000);
    }
    let handshakes = fake.world.with(|seen| seen.handshakes.clone());
    assert_eq!(
        handshakes,
        ["/v1/speak?model=aura-2-orion-en&encoding=linear16&sample_rate=8000"]
    );
    assert_eq!(fake.count("Flush"), 4);
    fake.is_content();
}

#[tokio::test]
async fn a_reply_that_is_dropped_is_cleared_and_leaves_nothing_to_the_next() {
    let fake = deepgram::start().await;
    let tts = open(&fake);
    let long = "word ".repeat(200);
    let mut stream = begin(&tts, speak_options("alloy"), &[&long, &long, &long]).await;
    assert!(matches!(
        stream.events.recv().await,
        Some(TtsEvent::Audio { .. })
    ));
    drop(stream);
    fake.world
        .until(|seen| seen.texts.iter().any(|text| text["type"] == "Clear"))
        .await;
    let spoken = speech(&tts, speak_options("alloy"), &["Hello."]).await;
    assert_eq!(spoken.pieces, [6 * 1_200]);
    assert_eq!(fake.handshakes(), 1);
    // two pieces were asked for, and one of the next reply
    assert_eq!(fake.count("Flush"), 3);
}

#[tokio::test(start_paused = true)]
async fn many_pieces_share_the_flushes_that_are_left() {
    let fake = deepgram::start().await;
    let tts = open(&fake);
    let texts = vec!["A"; 120];
    // little audio: with a clock that jumps, no byte may be on its way for long
    let options = SpeakOptions {
        preferred_rate_hz: 8_000,
        ..speak_options("alloy")
    };
    let spoken = speech(&tts, options, &texts).await;
    // what shares a flush is heard with the first of it
    let all: usize = spoken.pieces.iter().sum();
    assert!(all >= 120 * 400, "{all} samples");
    assert_eq!(fake.count("Speak"), 120);
    fake.is_content();
}

#[tokio::test]
async fn a_connection_lost_before_anything_was_heard_is_opened_again() {
    let fake = deepgram::start().await;
    let tts = open(&fake);
    fake.misbehave(Fault::Break(2));
    let spoken = speech(&tts, speak_options("alloy"), &["Hello.", "You?"]).await;
    assert_eq!(spoken.pieces, [6 * 1_200, 4 * 1_200]);
    assert_eq!(fake.handshakes(), 2);
    fake.misbehave(Fault::AlwaysBreak(1));
    let (heard, error) = failed_reply(&tts, "Hello.").await;
    assert_eq!((heard, error.kind), (0, Kind::Unavailable));
}

#[tokio::test]
async fn a_connection_lost_in_the_middle_of_a_piece_is_a_failure() {
    let fake = deepgram::start().await;
    fake.misbehave(Fault::CloseMidway);
    let (heard, error) = failed_reply(&open(&fake), "Good morning to everyone.").await;
    assert!(heard > 0);
    assert_eq!(error.kind, Kind::Unavailable);
    // said once is said: nothing was asked for again
    assert_eq!(fake.handshakes(), 1);
}

#[tokio::test(start_paused = true)]
async fn noise_is_no_speech() {
    let fake = deepgram::start().await;
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
        (400, Kind::Rejected),
    ] {
        let fake = deepgram::start().await;
        fake.misbehave(Fault::Status(status));
        let tts = open(&fake);
        for error in [
            failed_reply(&tts, "Hello.").await.1,
            tts.check().await.unwrap_err(),
        ] {
            assert_eq!(error.kind, kind, "{status}");
            let wait = (status == 429).then_some(Duration::from_secs(3));
            assert_eq!(error.retry_after, wait);
            assert!(!format!("{error:?}").contains(KEY));
        }
    }
    let fake = deepgram::start().await;
    assert_eq!(open(&fake).check().await, Ok(()));
    let missing = Vendor {
        api_key: None,
        ..vendor(&fake, "/v1")
    };
    assert!(DeepgramTts::new(http::client().unwrap(), missing).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_stalls_is_not_waited_for_long() {
    let fake = deepgram::start().await;
    for text in ["midway", "stall"] {
        if text == "stall" {
            fake.misbehave(Fault::Stall);
        }
        let since = Instant::now();
        let (heard, error) = failed_reply(&open(&fake), text).await;
        assert_eq!(error.kind, Kind::Timeout, "{text}");
        assert_eq!(heard > 0, text == "midway");
        assert!(since.elapsed() < Duration::from_secs(16));
    }
}

#[tokio::test]
async fn nonsense_is_the_vendors_fault() {
    let fake = deepgram::start().await;
    fake.misbehave(Fault::Garbage);
    let (heard, error) = failed_reply(&open(&fake), "Hello.").await;
    assert_eq!((heard, error.kind), (0, Kind::Protocol));
}
