//! `ElevenLabs`' voices: a connection per reply, opened before it is needed.

use std::time::Duration;

use engine::ask::SpeakOptions;
use providers::ports::{Piece, TtsEvent};

use super::{begin, voices::ELEVENLABS};
use crate::conformance::{speak_options, speech};

#[tokio::test]
async fn pieces_end_with_their_own_audio_at_the_callers_rate() {
    let (fake, tts) = ELEVENLABS.pair().await;
    let options = SpeakOptions {
        preferred_rate_hz: 8_000,
        speed: 9.0,
        ..speak_options("pNInz6obpgDQGcFmaJgB")
    };
    let texts = ["Hello there.", "You?", "I am well, thank you."];
    let spoken = speech(&*tts, options, &texts).await;
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
    let (fake, tts) = ELEVENLABS.pair().await;
    tts.prepare(&speak_options("alloy"));
    fake.world.until(|seen| seen.handshakes.len() == 1).await;
    speech(&*tts, speak_options("alloy"), &["Hello."]).await;
    // opened behind the first reply, not before the second
    fake.world.until(|seen| seen.handshakes.len() == 2).await;
    speech(&*tts, speak_options("alloy"), &["Hello."]).await;
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
    let (fake, tts) = ELEVENLABS.pair().await;
    for _ in 0..3 {
        let mut stream = begin(&*tts, speak_options("alloy"), &["…"]).await;
        let done = TtsEvent::PieceDone { index: 0 };
        assert_eq!(stream.events.recv().await, Some(done));
        drop(stream.pieces);
        assert_eq!(stream.events.recv().await, None);
        fake.world.until(|seen| seen.handshakes.len() == 1).await;
    }
    assert!(fake.texts().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_reply_may_wait_for_its_text() {
    let (fake, tts) = ELEVENLABS.pair().await;
    let mut stream = begin(&*tts, speak_options("alloy"), &["Let me see."]).await;
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
