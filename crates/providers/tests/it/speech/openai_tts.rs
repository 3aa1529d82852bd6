//! Speech over HTTP: one request a piece, one piece ahead.

use engine::ask::SpeakOptions;
use providers::{Kind, Vendor, http};

use super::{begin, failed_reply, vendor, voices::OPENAI};
use crate::conformance::{speak_options, speech};

#[tokio::test]
async fn a_request_says_no_more_than_it_must() {
    let (fake, tts) = OPENAI.pair().await;
    speech(&*tts, speak_options("coral"), &["Hello."]).await;
    let asked = fake.world.with(|seen| seen.speeches[0].clone());
    assert_eq!(asked["voice"], "coral");
    assert_eq!(asked["input"], "Hello.");
    assert_eq!(asked.get("speed"), None);
}

#[tokio::test]
async fn a_file_is_no_speech() {
    let (_fake, tts) = OPENAI.pair().await;
    let (heard, error) = failed_reply(&*tts, "a file").await;
    assert_eq!((heard, error.kind), (0, Kind::Protocol));
}

#[tokio::test]
async fn the_next_piece_is_asked_for_while_this_one_is_spoken_and_no_more() {
    let (fake, tts) = OPENAI.pair().await;
    let pieces = ["endless", "Two.", "Three."];
    let stream = begin(&*tts, speak_options("alloy"), &pieces).await;
    fake.world.until(|seen| seen.speeches.len() == 2).await;
    // a reply that is dropped is given up: both requests
    drop(stream);
    fake.world.until(|seen| seen.given_up == 1).await;
    assert_eq!(fake.world.with(|seen| seen.speeches.len()), 2);
}

#[tokio::test]
async fn a_configured_voice_speaks_for_unknown_names() {
    let fake = OPENAI.start().await;
    let own = Vendor {
        voice: Some("af_heart".to_owned()),
        model: Some("kokoro".to_owned()),
        ..vendor(&fake, OPENAI.path)
    };
    let tts = (OPENAI.open)(http::client().unwrap(), own).unwrap();
    assert_eq!(tts.voices()[0].name, "af_heart");
    for voice in ["nobody", "", "marin"] {
        speech(&*tts, speak_options(voice), &["Hello."]).await;
    }
    // a server of unknown voices is asked for them by name
    let fast = SpeakOptions {
        speed: 9.0,
        ..speak_options("bm_george")
    };
    speech(&*OPENAI.open(&fake), fast, &["Hello."]).await;
    let asked = fake.world.with(|seen| seen.speeches.clone());
    let voices: Vec<&str> = asked
        .iter()
        .filter_map(|body| body["voice"].as_str())
        .collect();
    assert_eq!(voices, ["af_heart", "af_heart", "marin", "bm_george"]);
    assert_eq!(asked[0]["model"], "kokoro");
    assert_eq!(asked[3]["speed"], 4.0);
}

#[tokio::test]
async fn a_connection_is_prepared() {
    let (fake, tts) = OPENAI.pair().await;
    tts.prepare(&speak_options("alloy"));
    fake.world.until(|seen| seen.checks == 1).await;
}
