//! Cartesia's voices: one connection per session, a context per reply.

use std::time::Duration;

use engine::ask::SpeakOptions;
use providers::{
    Kind, Vendor, http,
    ports::{Piece, Tts as _, TtsEvent},
    tts::cartesia::CartesiaTts,
};
use tokio::time::Instant;

use super::{begin, failed_reply, vendor};
use crate::{
    conformance::{self, speak_options, speech},
    fakes::{
        cartesia,
        wire::{Fake, Fault, KEY},
    },
};

fn open(fake: &Fake) -> CartesiaTts {
    CartesiaTts::new(http::client().unwrap(), vendor(fake, "")).unwrap()
}

#[tokio::test]
async fn the_suite_passes() {
    let fake = cartesia::start().await;
    conformance::tts_speaks_in_order(&open(&fake)).await;
    conformance::tts_knows_voices_and_speed(&open(&fake)).await;
    fake.is_content();
}

#[tokio::test]
async fn the_replies_of_a_session_share_a_connection_and_have_contexts_of_their_own() {
    let fake = cartesia::start().await;
    let tts = open(&fake);
    let options = SpeakOptions {
        preferred_rate_hz: 48_000,
        ..speak_options("694f9389-aac1-45b6-b726-9d9369183238")
    };
    tts.prepare(&options);
    for texts in [["Hello.", "You?"], ["And so", "on."]] {
        let spoken = speech(&tts, options.clone(), &texts).await;
        assert_eq!(spoken.pieces, texts.map(|text| text.len() * 2_400));
        assert_eq!(spoken.rate_hz, 48_000);
    }
    assert_eq!(fake.handshakes(), 1);
    let texts = fake.texts();
    let mut contexts: Vec<&str> = texts
        .iter()
        .filter_map(|text| text["context_id"].as_str())
        .collect();
    contexts.dedup();
    assert_eq!(contexts, ["reply-1", "reply-2"]);
    assert_eq!(
        texts[0]["voice"]["id"],
        "694f9389-aac1-45b6-b726-9d9369183238"
    );
    fake.is_content();
}

#[tokio::test]
async fn a_reply_that_is_dropped_is_cancelled_and_leaves_nothing_to_the_next() {
    let fake = cartesia::start().await;
    let tts = open(&fake);
    let long = "word ".repeat(200);
    let mut stream = begin(&tts, speak_options("alloy"), &[&long, &long]).await;
    assert!(matches!(
        stream.events.recv().await,
        Some(TtsEvent::Audio { .. })
    ));
    drop(stream);
    fake.world
        .until(|seen| seen.texts.iter().any(|text| text["cancel"] == true))
        .await;
    let spoken = speech(&tts, speak_options("alloy"), &["Hello."]).await;
    assert_eq!(spoken.pieces, [6 * 1_200]);
    assert_eq!(fake.handshakes(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_pauses_begins_another_context() {
    let fake = cartesia::start().await;
    let tts = open(&fake);
    let mut stream = begin(&tts, speak_options("alloy"), &["Let me see."]).await;
    for index in 0..2 {
        loop {
            match stream.events.recv().await.expect("no last event") {
                TtsEvent::PieceDone { index: done } => break assert_eq!(done, index),
                TtsEvent::Audio { .. } => {}
                TtsEvent::Failed(error) => panic!("{error}"),
            }
        }
        tokio::time::advance(Duration::from_secs(20)).await;
        let more = Piece {
            index: index + 1,
            text: "Here it is.".to_owned(),
        };
        stream.pieces.send(more).await.unwrap();
    }
    drop(stream.pieces);
    while let Some(event) = stream.events.recv().await {
        assert!(!matches!(event, TtsEvent::Failed(_)), "{event:?}");
    }
    fake.is_content();
}

#[tokio::test]
async fn a_connection_lost_before_anything_was_heard_is_opened_again() {
    let fake = cartesia::start().await;
    fake.misbehave(Fault::Break(2));
    let spoken = speech(&open(&fake), speak_options("alloy"), &["Hello.", "You?"]).await;
    assert_eq!(spoken.pieces, [6 * 1_200, 4 * 1_200]);
    assert_eq!(fake.handshakes(), 2);
    fake.misbehave(Fault::AlwaysBreak(1));
    let (heard, error) = failed_reply(&open(&fake), "Hello.").await;
    assert_eq!((heard, error.kind), (0, Kind::Unavailable));
}

#[tokio::test]
async fn a_connection_lost_in_the_middle_of_a_piece_is_a_failure() {
    let fake = cartesia::start().await;
    fake.misbehave(Fault::CloseMidway);
    let (heard, error) = failed_reply(&open(&fake), "Good morning to everyone.").await;
    assert!(heard > 0);
    assert_eq!(error.kind, Kind::Unavailable);
    // said once is said: nothing was asked for again
    assert_eq!(fake.handshakes(), 1);
}

#[tokio::test(start_paused = true)]
async fn noise_is_no_speech() {
    let fake = cartesia::start().await;
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
        let fake = cartesia::start().await;
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
    let fake = cartesia::start().await;
    assert_eq!(open(&fake).check().await, Ok(()));
    // an error of the contract's own
    let unknown = Vendor {
        model: Some("sonic-0".to_owned()),
        ..vendor(&fake, "")
    };
    let tts = CartesiaTts::new(http::client().unwrap(), unknown).unwrap();
    assert_eq!(failed_reply(&tts, "Hello.").await.1.kind, Kind::Rejected);
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_stalls_is_not_waited_for_long() {
    let fake = cartesia::start().await;
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
    let fake = cartesia::start().await;
    fake.misbehave(Fault::Garbage);
    let (heard, error) = failed_reply(&open(&fake), "Hello.").await;
    assert_eq!((heard, error.kind), (0, Kind::Protocol));
}
