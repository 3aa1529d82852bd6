//! Aura's voices: one connection per session, a flush per piece while flushes last.

use engine::ask::SpeakOptions;

use super::voices::DEEPGRAM;
use crate::conformance::{speak_options, speech};

#[tokio::test]
async fn the_replies_of_a_session_share_a_connection_at_the_callers_rate() {
    let (fake, tts) = DEEPGRAM.pair().await;
    let options = SpeakOptions {
        preferred_rate_hz: 8_000,
        ..speak_options("aura-2-orion-en")
    };
    tts.prepare(&options);
    for texts in [["Hello.", "You?"], ["And so", "on."]] {
        let spoken = speech(&*tts, options.clone(), &texts).await;
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

#[tokio::test(start_paused = true)]
async fn many_pieces_share_the_flushes_that_are_left() {
    let (fake, tts) = DEEPGRAM.pair().await;
    let texts = vec!["A"; 120];
    // little audio: with a clock that jumps, no byte may be on its way for long
    let options = SpeakOptions {
        preferred_rate_hz: 8_000,
        ..speak_options("alloy")
    };
    let spoken = speech(&*tts, options, &texts).await;
    // what shares a flush is heard with the first of it
    let all: usize = spoken.pieces.iter().sum();
    assert!(all >= 120 * 400, "{all} samples");
    assert_eq!(fake.count("Speak"), 120);
    fake.is_content();
}
