//! `AssemblyAI`'s transcription: silence of which nothing is said, errors behind the handshake, audio at its pace.

use std::time::Duration;

use providers::{
    Kind,
    ports::{SttCommand, SttEvent},
};
use tokio::time::Instant;

use super::{counting, ears::ASSEMBLYAI, rest, tell, utterance, walk};
use crate::{
    conformance::stt_options,
    fakes::wire::{KEY, Mischief},
};

#[tokio::test(start_paused = true)]
async fn a_short_sound_that_is_no_speech_is_an_empty_transcript() {
    let (_fake, stt) = ASSEMBLYAI.pair().await;
    let since = Instant::now();
    assert_eq!(utterance(&*stt, &[0; 8_000]).await.unwrap(), "");
    assert!(since.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_closing_tells_what_to_do_and_never_the_key() {
    for (code, reason, kind) in [
        (1008, "Unauthorized connection", Kind::Unauthorized),
        (1008, "Too many concurrent sessions", Kind::RateLimited),
        (3005, "Server error", Kind::Unavailable),
        (3007, "Audio Transmission Rate Exceeded", Kind::Overloaded),
        (3007, "Input duration violation", Kind::Rejected),
    ] {
        let (fake, stt) = ASSEMBLYAI.pair().await;
        fake.misbehave(Mischief::Close(code, reason)).await;
        let error = utterance(&*stt, &counting(900)).await.unwrap_err();
        assert_eq!(error.kind, kind, "{code} {reason}");
        assert!(!format!("{error:?}").contains(KEY));
    }
}

#[tokio::test(start_paused = true)]
async fn audio_is_sent_again_no_faster_than_it_is_taken() {
    walk();
    let (fake, stt) = ASSEMBLYAI.pair().await;
    let mut stream = stt.open(stt_options()).await.unwrap();
    let minute = vec![0; 60 * 16_000];
    let begun = Instant::now();
    // as it is spoken
    for second in minute.chunks(16_000) {
        tell(&stream, SttCommand::Audio(second.into())).await;
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    let after = fake.world.with(|seen| seen.binaries.len());
    assert!(after >= 59, "{after} messages");
    fake.misbehave(Mischief::Break(0)).await;
    tell(&stream, SttCommand::Audio(counting(4_000))).await;
    let partial = SttEvent::Partial {
        text: "1-4000".to_owned(),
    };
    assert_eq!(stream.events.recv().await, Some(partial));
    // half of it at once, the rest in its own time
    let taken = begun.elapsed().as_secs();
    assert!((85..100).contains(&taken), "{taken} s");
    tell(&stream, SttCommand::End).await;
    assert_eq!(rest(&mut stream).await.1, Ok(("1-4000".to_owned(), 60_250)));
    assert_eq!(fake.handshakes(), 2);
    fake.is_content();
}

#[tokio::test(start_paused = true)]
async fn a_recording_that_would_take_too_long_is_not_waited_for() {
    walk();
    let (fake, stt) = ASSEMBLYAI.pair().await;
    for (seconds, heard) in [(40, true), (120, false)] {
        let options = engine::ask::SttOptions {
            session: format!("sess_{seconds}"),
            ..stt_options()
        };
        let mut stream = stt.open(options).await.unwrap();
        let since = Instant::now();
        tell(&stream, SttCommand::Audio(vec![0; seconds * 16_000].into())).await;
        tell(&stream, SttCommand::Audio(counting(4_000))).await;
        tell(&stream, SttCommand::End).await;
        match rest(&mut stream).await.1 {
            Ok((text, _)) => assert_eq!((text.as_str(), heard), ("1-4000", true)),
            Err(error) => assert_eq!((error.kind, heard), (Kind::Timeout, false)),
        }
        let taken = since.elapsed().as_secs();
        assert!((10..16).contains(&taken), "{taken} s");
    }
    fake.is_content();
}
