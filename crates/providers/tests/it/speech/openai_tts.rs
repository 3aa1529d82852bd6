//! Speech over HTTP: one request a piece, one piece ahead.

use std::time::Duration;

use engine::ask::SpeakOptions;
use providers::{
    Kind, ProviderError, Vendor, http,
    ports::{Tts as _, TtsEvent},
    tts::openai::OpenAiTts,
};
use tokio::time::Instant;

use super::begin;
use crate::{
    conformance::{self, speak_options, speech},
    fakes::{openai_audio::OpenAiAudio, wire::KEY},
};

fn vendor(fake: &OpenAiAudio) -> Vendor {
    Vendor {
        api_key: Some(KEY.into()),
        ..Vendor::new("acme", format!("{}/v1", fake.base_url).parse().unwrap())
    }
}

fn open(fake: &OpenAiAudio) -> OpenAiTts {
    OpenAiTts::new(http::client().unwrap(), vendor(fake)).unwrap()
}

/// What one piece comes to: the samples heard, and the failure.
async fn failed(fake: &OpenAiAudio, text: &str) -> (usize, ProviderError) {
    let mut stream = begin(&open(fake), speak_options("alloy"), &[text]).await;
    let mut heard = 0;
    loop {
        match stream.events.recv().await.expect("no last event") {
            TtsEvent::Audio { samples, .. } => {
                heard += samples.len();
                if heard > 4_000 {
                    fake.release();
                }
            }
            TtsEvent::PieceDone { .. } => panic!("{text:?} was spoken"),
            TtsEvent::Failed(error) => return (heard, error),
        }
    }
}

#[tokio::test]
async fn the_suite_passes() {
    let fake = OpenAiAudio::start().await;
    conformance::tts_speaks_in_order(&open(&fake)).await;
    conformance::tts_knows_voices_and_speed(&open(&fake)).await;
}

#[tokio::test]
async fn no_sample_is_lost_between_chunks() {
    let fake = OpenAiAudio::start().await;
    let spoken = speech(&open(&fake), speak_options("coral"), &["Hello.", "You?"]).await;
    assert_eq!(spoken.pieces, [6 * 1_200, 4 * 1_200]);
    assert_eq!(spoken.rate_hz, 24_000);
    let asked = &fake.seen().speeches[0];
    assert_eq!(asked["voice"], "coral");
    assert_eq!(asked["input"], "Hello.");
    assert_eq!(asked.get("speed"), None);
}

#[tokio::test]
async fn the_next_piece_is_asked_for_while_this_one_is_spoken_and_no_more() {
    let fake = OpenAiAudio::start().await;
    let stream = begin(
        &open(&fake),
        speak_options("alloy"),
        &["endless", "Two.", "Three."],
    )
    .await;
    fake.until(|seen| seen.speeches.len() == 2).await;
    // a reply that is dropped is given up: both requests
    drop(stream);
    fake.until(|seen| seen.given_up == 1).await;
    assert_eq!(fake.seen().speeches.len(), 2);
}

#[tokio::test]
async fn a_configured_voice_speaks_for_unknown_names() {
    let fake = OpenAiAudio::start().await;
    let own = Vendor {
        voice: Some("af_heart".to_owned()),
        model: Some("kokoro".to_owned()),
        ..vendor(&fake)
    };
    let tts = OpenAiTts::new(http::client().unwrap(), own).unwrap();
    assert_eq!(tts.voices()[0].name, "af_heart");
    for voice in ["nobody", "", "marin"] {
        speech(&tts, speak_options(voice), &["Hello."]).await;
    }
    // a server of unknown voices is asked for them by name
    let fast = SpeakOptions {
        speed: 9.0,
        ..speak_options("bm_george")
    };
    speech(&open(&fake), fast, &["Hello."]).await;
    let asked = fake.seen().speeches;
    let voices: Vec<&str> = asked
        .iter()
        .filter_map(|body| body["voice"].as_str())
        .collect();
    assert_eq!(voices, ["af_heart", "af_heart", "marin", "bm_george"]);
    assert_eq!(asked[0]["model"], "kokoro");
    assert_eq!(asked[3]["speed"], 4.0);
}

#[tokio::test]
async fn what_is_refused_tells_what_to_do_and_never_the_key() {
    let fake = OpenAiAudio::start().await;
    for (status, kind) in [
        (401, Kind::Unauthorized),
        (429, Kind::RateLimited),
        (500, Kind::Unavailable),
        (400, Kind::Rejected),
    ] {
        let (heard, error) = failed(&fake, &format!("status {status}")).await;
        assert_eq!((heard, error.kind), (0, kind), "{status}");
        let wait = (status == 429).then_some(Duration::from_secs(3));
        assert_eq!(error.retry_after, wait);
    }
    let wrong = Vendor {
        api_key: Some("sk-wrong-key".into()),
        ..vendor(&fake)
    };
    let tts = OpenAiTts::new(http::client().unwrap(), wrong).unwrap();
    let error = tts.check().await.unwrap_err();
    assert_eq!(error.kind, Kind::Unauthorized);
    assert!(!format!("{error:?}").contains("sk-wrong-key"));
    assert_eq!(open(&fake).check().await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stalls_is_not_waited_for_long() {
    let fake = OpenAiAudio::start().await;
    for (text, heard_something) in [("stall", false), ("stall midway", true)] {
        let since = Instant::now();
        let (heard, error) = failed(&fake, text).await;
        assert_eq!(error.kind, Kind::Timeout, "{text}");
        assert_eq!(heard > 0, heard_something);
        assert!(since.elapsed() < Duration::from_secs(16));
    }
}

#[tokio::test]
async fn an_answer_that_breaks_or_is_no_speech_is_a_failure() {
    let fake = OpenAiAudio::start().await;
    let (heard, error) = failed(&fake, "close midway").await;
    assert!(heard > 4_000);
    assert_eq!(error.kind, Kind::Unavailable);
    for text in ["a page", "a file"] {
        let (heard, error) = failed(&fake, text).await;
        assert_eq!((heard, error.kind), (0, Kind::Protocol), "{text}");
    }
}

#[tokio::test]
async fn a_connection_is_prepared() {
    let fake = OpenAiAudio::start().await;
    open(&fake).prepare(&speak_options("alloy"));
    fake.until(|seen| seen.checks == 1).await;
}
