//! Deepgram's transcription: one connection per session, nothing lost, nothing doubled.

use std::{sync::Arc, time::Duration};

use providers::{
    Kind, Vendor, http,
    ports::{Stt as _, SttCommand, SttEvent},
    stt::deepgram::DeepgramStt,
};
use tokio::time::{Instant, advance};

use super::{counting, rest, tell, utterance, vendor};
use crate::{
    conformance::{self, stt_options},
    fakes::{
        deepgram,
        wire::{Fake, Fault, KEY},
    },
};

fn open(fake: &Fake) -> DeepgramStt {
    DeepgramStt::new(http::client().unwrap(), vendor(fake, "/v1")).unwrap()
}

#[tokio::test]
async fn the_suite_passes() {
    let fake = deepgram::start().await;
    let stt = open(&fake);
    let text = conformance::stt_answers_without_judging(&stt, counting(16_000)).await;
    assert_eq!(text, "1-8000 8001-16000");
    conformance::stt_keeps_what_it_said_at_the_pause(&stt, counting(8_000)).await;
    conformance::stt_tells_nothing_from_given_up(&stt).await;
    fake.is_content();
    assert_eq!(fake.handshakes(), 1);
}

#[tokio::test]
async fn text_comes_while_it_is_spoken() {
    let fake = deepgram::start().await;
    let mut stream = open(&fake).open(stt_options()).await.unwrap();
    let audio = counting(2_000);
    for end in [1_000, 2_000] {
        tell(&stream, SttCommand::Audio(audio[end - 1_000..end].into())).await;
        let partial = SttEvent::Partial {
            text: format!("1-{end}"),
        };
        assert_eq!(stream.events.recv().await, Some(partial));
    }
    tell(&stream, SttCommand::End).await;
    assert_eq!(rest(&mut stream).await.1, Ok(("1-2000".to_owned(), 125)));
}

#[tokio::test]
async fn the_utterances_of_a_session_share_a_connection() {
    let fake = deepgram::start().await;
    let stt = open(&fake);
    stt.prepare(&stt_options());
    stt.prepare(&stt_options());
    for samples in [4_000, 100, 16_000] {
        let text = utterance(&stt, &counting(samples)).await.unwrap();
        assert_eq!(text, format!("1-{samples}"));
    }
    assert_eq!(fake.handshakes(), 1);
    let handshake = fake.world.with(|seen| seen.handshakes[0].clone());
    assert!(handshake.contains("model=nova-3") && handshake.contains("language=multi"));
    fake.is_content();
}

#[tokio::test]
async fn an_utterance_given_up_leaves_nothing_to_the_next() {
    let fake = deepgram::start().await;
    let stt = open(&fake);
    let mut stream = stt.open(stt_options()).await.unwrap();
    tell(&stream, SttCommand::Audio(counting(5_000))).await;
    assert!(stream.events.recv().await.is_some());
    drop(stream);
    fake.world
        .until(|seen| seen.texts.iter().any(|text| text["type"] == "Finalize"))
        .await;
    assert_eq!(utterance(&stt, &counting(700)).await.unwrap(), "1-700");
}

#[tokio::test]
async fn a_pause_is_transcribed_early_and_what_follows_is_held_back() {
    let fake = deepgram::start().await;
    let mut stream = open(&fake).open(stt_options()).await.unwrap();
    let audio = counting(3_000);
    tell(&stream, SttCommand::Audio(audio[..1_000].into())).await;
    tell(&stream, SttCommand::Pause).await;
    fake.world.until(|seen| seen.texts.len() == 1).await;
    tell(&stream, SttCommand::Audio(vec![0; 1_600].into())).await;
    tell(&stream, SttCommand::End).await;
    let (_, last) = rest(&mut stream).await;
    // the length is that of the whole utterance
    assert_eq!(last, Ok(("1-1000".to_owned(), 162)));
    let bytes = fake.world.with(|seen| seen.binaries.iter().sum::<usize>());
    assert_eq!(bytes, 2_000);
    assert_eq!(fake.count("Finalize"), 1);
}

#[tokio::test]
async fn a_caller_who_goes_on_is_heard_whole() {
    let fake = deepgram::start().await;
    let mut stream = open(&fake).open(stt_options()).await.unwrap();
    let audio = counting(3_000);
    for part in audio.chunks(1_000) {
        tell(&stream, SttCommand::Audio(part.into())).await;
        tell(&stream, SttCommand::Pause).await;
        tell(&stream, SttCommand::Resume).await;
    }
    tell(&stream, SttCommand::End).await;
    let (text, _) = rest(&mut stream).await.1.unwrap();
    // Deepgram forms its text anew behind every mark
    assert_eq!(text.replace(' ', ","), pieces(&text));
    assert!(text.starts_with("1-") && text.ends_with("-3000"), "{text}");
    fake.is_content();
}

/// What the runs in a text should look like when they follow each other without a gap.
fn pieces(text: &str) -> String {
    let ends = text.split([' ', ',']).filter_map(|run| run.split_once('-'));
    let mut from = 1;
    let mut runs = Vec::new();
    for (_, end) in ends {
        let end: i16 = end.parse().unwrap();
        runs.push(format!("{from}-{end}"));
        from = end + 1;
    }
    runs.join(",")
}

#[tokio::test]
async fn a_lost_connection_is_opened_again_and_hears_everything() {
    for after in [1, 2, 3] {
        let fake = deepgram::start().await;
        fake.misbehave(Fault::Break(after));
        let text = utterance(&open(&fake), &counting(6_000)).await.unwrap();
        assert_eq!(text, "1-6000", "broken after {after} messages");
        assert_eq!(fake.handshakes(), 2);
        fake.is_content();
    }
}

#[tokio::test]
async fn a_connection_that_is_lost_again_is_given_up() {
    let fake = deepgram::start().await;
    fake.misbehave(Fault::AlwaysBreak(3));
    let error = utterance(&open(&fake), &counting(6_000)).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable);
    assert_eq!(fake.handshakes(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_long_silence_does_not_cost_the_connection() {
    let fake = deepgram::start().await;
    let stt = open(&fake);
    stt.prepare(&stt_options());
    fake.world.until(|seen| !seen.handshakes.is_empty()).await;
    // between two utterances
    silence(45).await;
    let mut stream = stt.open(stt_options()).await.unwrap();
    tell(&stream, SttCommand::Audio(counting(1_000))).await;
    assert!(stream.events.recv().await.is_some());
    // and within one
    silence(45).await;
    tell(&stream, SttCommand::End).await;
    assert_eq!(rest(&mut stream).await.1, Ok(("1-1000".to_owned(), 62)));
    assert_eq!(fake.handshakes(), 1);
    assert!(fake.count("KeepAlive") >= 20);
    fake.is_content();
}

/// Lets time pass in steps: the clock is the test's own, so nobody waits.
async fn silence(seconds: u64) {
    for _ in 0..seconds {
        advance(Duration::from_secs(1)).await;
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_nobody_uses_is_closed_politely() {
    let fake = deepgram::start().await;
    let stt = open(&fake);
    utterance(&stt, &counting(1_000)).await.unwrap();
    let since = Instant::now();
    fake.world.until(|seen| seen.closed == [1000]).await;
    assert!(since.elapsed() >= Duration::from_mins(1));
    assert_eq!(fake.count("CloseStream"), 1);
    // and the next utterance has another
    assert_eq!(utterance(&stt, &counting(500)).await.unwrap(), "1-500");
    assert_eq!(fake.handshakes(), 2);
}

#[tokio::test]
async fn what_is_refused_tells_what_to_do_and_never_the_key() {
    for (status, kind) in [
        (401, Kind::Unauthorized),
        (402, Kind::Unauthorized),
        (429, Kind::RateLimited),
        (500, Kind::Unavailable),
        (503, Kind::Unavailable),
        (400, Kind::Rejected),
    ] {
        let fake = deepgram::start().await;
        fake.misbehave(Fault::Status(status));
        let stt = open(&fake);
        for error in [
            utterance(&stt, &counting(500)).await.unwrap_err(),
            stt.check().await.unwrap_err(),
        ] {
            assert_eq!(error.kind, kind, "{status}");
            let wait = (status == 429).then_some(Duration::from_secs(3));
            assert_eq!(error.retry_after, wait);
            assert!(!format!("{error:?}").contains(KEY));
        }
    }
}

#[tokio::test]
async fn a_refusal_has_the_vendors_own_words() {
    let fake = deepgram::start().await;
    let wrong = Vendor {
        api_key: Some("sk-wrong-key".into()),
        ..vendor(&fake, "/v1")
    };
    let stt = DeepgramStt::new(http::client().unwrap(), wrong).unwrap();
    let error = utterance(&stt, &counting(500)).await.unwrap_err();
    assert_eq!(error.message, "the server answered 401 with INVALID_AUTH");
    let elsewhere = DeepgramStt::new(http::client().unwrap(), vendor(&fake, "/v2")).unwrap();
    let error = elsewhere.check().await.unwrap_err();
    let told = "the server answered 404 with NOT_FOUND: refused";
    assert_eq!(error.message_for_client(), told);
}

#[tokio::test]
async fn the_key_is_asked_for_and_checked() {
    let fake = deepgram::start().await;
    let client = http::client().unwrap();
    assert_eq!(open(&fake).check().await, Ok(()));
    let missing = Vendor {
        api_key: None,
        ..vendor(&fake, "/v1")
    };
    let Err(error) = DeepgramStt::new(client.clone(), missing) else {
        panic!("nobody asked for a key");
    };
    assert_eq!(error.kind, Kind::Unauthorized);
    assert!(error.message.contains("providers.acme.api_key"));
    let wrong = Vendor {
        api_key: Some("sk-wrong-key".into()),
        ..vendor(&fake, "/v1")
    };
    let stt = DeepgramStt::new(client, wrong).unwrap();
    for error in [
        stt.check().await.unwrap_err(),
        utterance(&stt, &counting(500)).await.unwrap_err(),
    ] {
        assert_eq!(error.kind, Kind::Unauthorized);
        assert!(!format!("{error:?}").contains("sk-wrong-key"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_says_nothing_is_not_waited_for_long() {
    let fake = deepgram::start().await;
    fake.misbehave(Fault::Stall);
    let since = Instant::now();
    let error = utterance(&open(&fake), &counting(500)).await.unwrap_err();
    assert_eq!(error.kind, Kind::Timeout);
    assert!(since.elapsed() < Duration::from_secs(16));
}

#[tokio::test(start_paused = true)]
async fn noise_is_no_transcript() {
    let fake = deepgram::start().await;
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
    let fake = deepgram::start().await;
    fake.misbehave(Fault::Garbage);
    let error = utterance(&open(&fake), &counting(500)).await.unwrap_err();
    assert_eq!(error.kind, Kind::Protocol);
    assert!(!error.to_string().contains("html"));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_nobody_is_a_timeout() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    let vendor = Vendor {
        api_key: Some(KEY.into()),
        ..Vendor::new("acme", base_url.parse().unwrap())
    };
    let stt = DeepgramStt::new(http::client().unwrap(), vendor).unwrap();
    let error = utterance(&stt, &counting(500)).await.unwrap_err();
    assert_eq!(error.kind, Kind::Timeout);
}

#[tokio::test]
async fn a_recording_is_heard_at_once_while_answers_are_read() {
    let fake = deepgram::start().await;
    let mut stream = open(&fake).open(stt_options()).await.unwrap();
    // ten minutes, far more than the buffers between here and there hold
    let minute = vec![0; 60 * 16_000];
    for _ in 0..10 {
        tell(&stream, SttCommand::Audio(minute.clone().into())).await;
    }
    tell(&stream, SttCommand::Audio(counting(4_000))).await;
    tell(&stream, SttCommand::End).await;
    let (_, last) = rest(&mut stream).await;
    assert_eq!(last, Ok(("1-4000".to_owned(), 600_250)));
}

#[tokio::test]
async fn a_pause_of_which_everything_is_known_ends_at_once() {
    let fake = deepgram::start().await;
    let mut stream = open(&fake).open(stt_options()).await.unwrap();
    tell(&stream, SttCommand::Audio(counting(4_000))).await;
    tell(&stream, SttCommand::Pause).await;
    fake.world.until(|seen| seen.texts.len() == 1).await;
    tell(&stream, SttCommand::Resume).await;
    tell(&stream, SttCommand::End).await;
    // nothing answers the second mark: nothing was left to finalize
    assert_eq!(rest(&mut stream).await.1, Ok(("1-4000".to_owned(), 250)));
    fake.world.until(|seen| seen.texts.len() == 2).await;
    assert_eq!(fake.count("Finalize"), 2);
}

#[tokio::test]
async fn sessions_do_not_share_connections() {
    let fake = deepgram::start().await;
    let stt = Arc::new(open(&fake));
    for session in ["sess_a", "sess_b"] {
        let options = engine::ask::SttOptions {
            session: session.to_owned(),
            language: Some("de".to_owned()),
            ..stt_options()
        };
        let mut stream = stt.open(options).await.unwrap();
        tell(&stream, SttCommand::Audio(counting(900))).await;
        tell(&stream, SttCommand::End).await;
        assert_eq!(rest(&mut stream).await.1.unwrap().0, "1-900");
    }
    let handshakes = fake.world.with(|seen| seen.handshakes.clone());
    assert_eq!(handshakes.len(), 2);
    assert!(handshakes.iter().all(|query| query.contains("language=de")));
}
