//! `AssemblyAI`'s transcription: one connection per session, messages of the length it takes.

use std::time::Duration;

use engine::ask::SttOptions;
use providers::{
    Kind, Vendor, http,
    ports::{Stt as _, SttCommand},
    stt::assemblyai::AssemblyAiStt,
};
use tokio::time::Instant;

use super::{counting, tell, utterance, vendor};
use crate::{
    conformance::{self, stt_options},
    fakes::{
        assemblyai,
        wire::{Fake, Fault, KEY},
    },
};

fn open(fake: &Fake) -> AssemblyAiStt {
    AssemblyAiStt::new(http::client().unwrap(), vendor(fake, "/v3")).unwrap()
}

#[tokio::test]
async fn the_suite_passes() {
    let fake = assemblyai::start().await;
    let stt = open(&fake);
    let text = conformance::stt_answers_without_judging(&stt, counting(16_000)).await;
    assert_eq!(text, "1-8000 8001-16000");
    conformance::stt_keeps_what_it_said_at_the_pause(&stt, counting(8_000)).await;
    conformance::stt_tells_nothing_from_given_up(&stt).await;
    fake.is_content();
    assert_eq!(fake.handshakes(), 1);
}

#[tokio::test]
async fn the_utterances_of_a_session_share_a_connection() {
    let fake = assemblyai::start().await;
    let stt = open(&fake);
    stt.prepare(&stt_options());
    // shorter than a message may be, longer than one may be, and in between
    for samples in [100, 30_000, 1_700] {
        let text = utterance(&stt, &counting(samples)).await.unwrap();
        assert_eq!(text, format!("1-{samples}"));
    }
    assert_eq!(fake.handshakes(), 1);
    let handshake = fake.world.with(|seen| seen.handshakes[0].clone());
    assert!(handshake.contains("speech_model=universal-streaming-multilingual"));
    fake.is_content();
}

#[tokio::test]
async fn an_utterance_given_up_leaves_nothing_to_the_next() {
    let fake = assemblyai::start().await;
    let stt = open(&fake);
    let mut stream = stt.open(stt_options()).await.unwrap();
    tell(&stream, SttCommand::Audio(counting(5_000))).await;
    assert!(stream.events.recv().await.is_some());
    drop(stream);
    fake.world.until(|seen| !seen.texts.is_empty()).await;
    assert_eq!(utterance(&stt, &counting(900)).await.unwrap(), "1-900");
}

#[tokio::test]
async fn a_lost_connection_is_opened_again_and_hears_everything() {
    for after in [1, 2] {
        let fake = assemblyai::start().await;
        fake.misbehave(Fault::Break(after));
        let text = utterance(&open(&fake), &counting(6_000)).await.unwrap();
        assert_eq!(text, "1-6000", "broken after {after} messages");
        assert_eq!(fake.handshakes(), 2);
        fake.is_content();
    }
    let fake = assemblyai::start().await;
    fake.misbehave(Fault::AlwaysBreak(1));
    let error = utterance(&open(&fake), &counting(6_000)).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_short_sound_that_is_no_speech_is_an_empty_transcript() {
    let fake = assemblyai::start().await;
    let since = Instant::now();
    assert_eq!(utterance(&open(&fake), &[0; 8_000]).await.unwrap(), "");
    assert!(since.elapsed() < Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_nobody_uses_is_closed_politely() {
    let fake = assemblyai::start().await;
    let options = SttOptions {
        language: Some("en".to_owned()),
        ..stt_options()
    };
    open(&fake).prepare(&options);
    fake.world.until(|seen| seen.closed == [1000]).await;
    assert_eq!(fake.count("Terminate"), 1);
    let handshake = fake.world.with(|seen| seen.handshakes[0].clone());
    assert!(handshake.contains("speech_model=universal-streaming-english"));
}

#[tokio::test]
async fn what_is_refused_tells_what_to_do_and_never_the_key() {
    for (fault, kind) in [
        (Fault::Status(401), Kind::Unauthorized),
        (Fault::Status(429), Kind::RateLimited),
        (Fault::Status(500), Kind::Unavailable),
        (Fault::Status(400), Kind::Rejected),
        (
            Fault::Close(1008, "Unauthorized connection"),
            Kind::Unauthorized,
        ),
        (
            Fault::Close(1008, "Too many concurrent sessions"),
            Kind::RateLimited,
        ),
        (Fault::Close(3005, "Server error"), Kind::Unavailable),
    ] {
        let fake = assemblyai::start().await;
        fake.misbehave(fault);
        let error = utterance(&open(&fake), &counting(900)).await.unwrap_err();
        assert_eq!(error.kind, kind, "{fault:?}");
        assert!(!format!("{error:?}").contains(KEY));
    }
    let fake = assemblyai::start().await;
    assert_eq!(open(&fake).check().await, Ok(()));
    let wrong = Vendor {
        api_key: Some("sk-wrong-key".into()),
        ..vendor(&fake, "/v3")
    };
    let stt = AssemblyAiStt::new(http::client().unwrap(), wrong).unwrap();
    let error = stt.check().await.unwrap_err();
    assert_eq!(error.kind, Kind::Unauthorized);
    assert!(!format!("{error:?}").contains("sk-wrong-key"));
    let missing = Vendor {
        api_key: None,
        ..vendor(&fake, "/v3")
    };
    assert!(AssemblyAiStt::new(http::client().unwrap(), missing).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_says_nothing_is_not_waited_for_long() {
    let fake = assemblyai::start().await;
    fake.misbehave(Fault::Stall);
    let since = Instant::now();
    let error = utterance(&open(&fake), &counting(30_000))
        .await
        .unwrap_err();
    assert_eq!(error.kind, Kind::Timeout);
    assert!(since.elapsed() < Duration::from_secs(16));
}

#[tokio::test(start_paused = true)]
async fn noise_is_no_transcript() {
    let fake = assemblyai::start().await;
    fake.misbehave(Fault::Noise);
    let since = Instant::now();
    let error = utterance(&open(&fake), &counting(30_000))
        .await
        .unwrap_err();
    assert_eq!(error.kind, Kind::Timeout);
    assert!(since.elapsed() < Duration::from_secs(16));
}

#[tokio::test]
async fn nonsense_is_the_vendors_fault() {
    let fake = assemblyai::start().await;
    fake.misbehave(Fault::Garbage);
    let error = utterance(&open(&fake), &counting(900)).await.unwrap_err();
    assert_eq!(error.kind, Kind::Protocol);
}
