//! Deepgram's transcription: one connection per session, nothing lost, nothing doubled.

use std::time::Duration;

use providers::{
    Vendor, http,
    ports::{SttCommand, SttEvent},
};
use tokio::time::advance;

use super::{counting, ears::DEEPGRAM, rest, tell, utterance, vendor};
use crate::{conformance::stt_options, fakes::wire::Mischief};

#[tokio::test]
async fn text_comes_while_it_is_spoken() {
    let (_fake, stt) = DEEPGRAM.pair().await;
    let mut stream = stt.open(stt_options()).await.unwrap();
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
async fn a_pause_is_transcribed_early_and_what_follows_is_held_back() {
    let (fake, stt) = DEEPGRAM.pair().await;
    let mut stream = stt.open(stt_options()).await.unwrap();
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
    let (fake, stt) = DEEPGRAM.pair().await;
    let mut stream = stt.open(stt_options()).await.unwrap();
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

#[tokio::test(start_paused = true)]
async fn a_long_silence_does_not_cost_the_connection() {
    let (fake, stt) = DEEPGRAM.pair().await;
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

#[tokio::test]
async fn a_connection_lost_behind_the_end_mark_is_opened_again() {
    for (mischief, hears) in [
        (Mischief::Break(3), true),
        (Mischief::AlwaysBreak(3), false),
    ] {
        let (fake, stt) = DEEPGRAM.pair().await;
        fake.misbehave(mischief).await;
        let text = utterance(&*stt, &counting(6_000)).await;
        assert_eq!(text.is_ok_and(|text| text == "1-6000"), hears);
        assert_eq!(fake.handshakes(), 2);
        fake.is_content();
    }
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

#[tokio::test]
async fn a_refusal_has_the_vendors_own_words() {
    let fake = DEEPGRAM.start().await;
    let wrong = Vendor {
        api_key: Some("sk-wrong-key".into()),
        ..vendor(&fake, "/v1")
    };
    let client = http::client().unwrap();
    let stt = (DEEPGRAM.open)(client.clone(), wrong).unwrap();
    let error = utterance(&*stt, &counting(500)).await.unwrap_err();
    assert_eq!(error.message, "the server answered 401 with INVALID_AUTH");
    let elsewhere = (DEEPGRAM.open)(client, vendor(&fake, "/v2")).unwrap();
    let error = elsewhere.check().await.unwrap_err();
    let told = "the server answered 404 with NOT_FOUND: refused";
    assert_eq!(error.message_for_client(), told);
}

#[tokio::test]
async fn a_recording_is_heard_at_once_while_answers_are_read() {
    let (_fake, stt) = DEEPGRAM.pair().await;
    let mut stream = stt.open(stt_options()).await.unwrap();
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
    let (fake, stt) = DEEPGRAM.pair().await;
    let mut stream = stt.open(stt_options()).await.unwrap();
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
