//! Cartesia's voices: one connection per session, a context per reply.

use std::time::Duration;

use engine::ask::SpeakOptions;
use providers::{
    Kind, Vendor, http,
    ports::{Piece, TtsEvent},
};

use super::{begin, failed_reply, vendor, voices::CARTESIA};
use crate::conformance::{speak_options, speech};

#[tokio::test]
async fn the_replies_of_a_session_share_a_connection_and_have_contexts_of_their_own() {
    let (fake, tts) = CARTESIA.pair().await;
    let options = SpeakOptions {
        preferred_rate_hz: 48_000,
        ..speak_options("694f9389-aac1-45b6-b726-9d9369183238")
    };
    tts.prepare(&options);
    for texts in [["Hello.", "You?"], ["And so", "on."]] {
        let spoken = speech(&*tts, options.clone(), &texts).await;
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

#[tokio::test(start_paused = true)]
async fn a_reply_that_pauses_begins_another_context() {
    let (fake, tts) = CARTESIA.pair().await;
    let mut stream = begin(&*tts, speak_options("alloy"), &["Let me see."]).await;
    for index in 0..2 {
        loop {
            match stream.events.recv().await.expect("no last event") {
                TtsEvent::PieceDone { index: done } => break assert_eq!(done, index),
                TtsEvent::Audio { .. } => {}
                TtsEvent::Another(voice) => panic!("{voice:?}"),
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
async fn an_error_of_the_contracts_own_is_understood() {
    let fake = CARTESIA.start().await;
    let unknown = Vendor {
        model: Some("sonic-0".to_owned()),
        ..vendor(&fake, CARTESIA.path)
    };
    let tts = (CARTESIA.open)(http::client().unwrap(), unknown).unwrap();
    assert_eq!(failed_reply(&*tts, "Hello.").await.1.kind, Kind::Rejected);
}
