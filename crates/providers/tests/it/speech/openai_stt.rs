//! Transcription over HTTP: asked at the pause, not asked again at the end.

use std::time::Duration;

use engine::ask::SttOptions;
use providers::{
    Kind, Vendor, http,
    ports::{Stt as _, SttCommand, SttEvent},
    stt::openai::OpenAiStt,
};
use tokio::time::Instant;

use super::{counting, rest, tell, utterance};
use crate::{
    conformance::{self, stt_options},
    fakes::{openai_audio::OpenAiAudio, wire::KEY},
};

fn open(fake: &OpenAiAudio, model: Option<&str>) -> OpenAiStt {
    let vendor = Vendor {
        api_key: Some(KEY.into()),
        model: model.map(str::to_owned),
        ..Vendor::new("acme", format!("{}/v1", fake.base_url).parse().unwrap())
    };
    OpenAiStt::new(http::client().unwrap(), vendor).unwrap()
}

#[tokio::test]
async fn the_suite_passes_streamed_and_whole() {
    let fake = OpenAiAudio::start().await;
    for model in [None, Some("whisper-1")] {
        let stt = open(&fake, model);
        let text = conformance::stt_answers_without_judging(&stt, counting(16_000)).await;
        assert_eq!(text, "1-16000");
        conformance::stt_keeps_what_it_said_at_the_pause(&stt, counting(8_000)).await;
        conformance::stt_tells_nothing_from_given_up(&stt).await;
    }
}

#[tokio::test]
async fn a_pause_that_holds_is_asked_for_once() {
    let fake = OpenAiAudio::start().await;
    let mut stream = open(&fake, None).open(stt_options()).await.unwrap();
    tell(&stream, SttCommand::Audio(counting(4_000))).await;
    tell(&stream, SttCommand::Pause).await;
    let partial = SttEvent::Partial {
        text: "1-4000".to_owned(),
    };
    assert_eq!(stream.events.recv().await, Some(partial));
    tell(&stream, SttCommand::Audio(vec![0; 1_600].into())).await;
    tell(&stream, SttCommand::End).await;
    assert_eq!(rest(&mut stream).await.1, Ok(("1-4000".to_owned(), 350)));
    assert_eq!(fake.seen().recordings.len(), 1);
}

#[tokio::test]
async fn a_caller_who_goes_on_is_asked_for_again_and_the_guess_is_given_up() {
    let fake = OpenAiAudio::start().await;
    let stt = open(&fake, Some("stall"));
    let stream = stt.open(stt_options()).await.unwrap();
    tell(&stream, SttCommand::Audio(counting(4_000))).await;
    tell(&stream, SttCommand::Pause).await;
    fake.until(|seen| seen.recordings.len() == 1).await;
    tell(&stream, SttCommand::Resume).await;
    fake.until(|seen| seen.given_up == 1).await;
    tell(&stream, SttCommand::End).await;
    fake.until(|seen| seen.recordings.len() == 2).await;
    // so is the request of an utterance that is dropped
    drop(stream);
    fake.until(|seen| seen.given_up == 2).await;
}

#[tokio::test]
async fn the_hints_are_passed_on_and_short_audio_is_filled_up() {
    let fake = OpenAiAudio::start().await;
    let stt = open(&fake, None);
    let options = SttOptions {
        language: Some("de".to_owned()),
        prompt: Some("Antiphon".to_owned()),
        logprobs: true,
        ..stt_options()
    };
    let mut stream = stt.open(options).await.unwrap();
    tell(&stream, SttCommand::Audio(counting(160))).await;
    tell(&stream, SttCommand::End).await;
    assert_eq!(rest(&mut stream).await.1, Ok(("1-160".to_owned(), 10)));
    let (fields, samples) = fake.seen().recordings[0].clone();
    assert_eq!(samples, 1_600);
    assert_eq!(fields["language"], "de");
    assert_eq!(fields["prompt"], "Antiphon");
    assert_eq!(fields["include[]"], "logprobs");
    assert_eq!(fields["stream"], "true");
}

#[tokio::test]
async fn what_is_refused_tells_what_to_do_and_never_the_key() {
    let fake = OpenAiAudio::start().await;
    for (status, kind) in [
        (401, Kind::Unauthorized),
        (429, Kind::RateLimited),
        (500, Kind::Unavailable),
        (413, Kind::Rejected),
    ] {
        let stt = open(&fake, Some(&format!("status {status}")));
        let error = utterance(&stt, &counting(500)).await.unwrap_err();
        assert_eq!(error.kind, kind, "{status}");
        let wait = (status == 429).then_some(Duration::from_secs(3));
        assert_eq!(error.retry_after, wait);
        assert!(!format!("{error:?}").contains(KEY));
    }
    let wrong = Vendor {
        api_key: Some("sk-wrong-key".into()),
        ..Vendor::new("acme", format!("{}/v1", fake.base_url).parse().unwrap())
    };
    let stt = OpenAiStt::new(http::client().unwrap(), wrong).unwrap();
    for error in [
        stt.check().await.unwrap_err(),
        utterance(&stt, &counting(500)).await.unwrap_err(),
    ] {
        assert_eq!(error.kind, Kind::Unauthorized);
        assert!(!format!("{error:?}").contains("sk-wrong-key"));
    }
    assert_eq!(open(&fake, None).check().await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stalls_is_not_waited_for_long() {
    let fake = OpenAiAudio::start().await;
    for model in ["stall", "stall midway"] {
        let since = Instant::now();
        let stt = open(&fake, Some(model));
        let error = utterance(&stt, &counting(500)).await.unwrap_err();
        assert_eq!(error.kind, Kind::Timeout, "{model}");
        assert!(since.elapsed() < Duration::from_secs(31), "{model}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_is_no_transcript_is_a_failure() {
    let fake = OpenAiAudio::start().await;
    for (model, kind) in [
        ("cut", Kind::Unavailable),
        ("garbage", Kind::Protocol),
        ("a page", Kind::Protocol),
        ("not a transcript", Kind::Protocol),
    ] {
        let stt = open(&fake, Some(model));
        let error = utterance(&stt, &counting(500)).await.unwrap_err();
        assert_eq!(error.kind, kind, "{model}");
    }
}

#[tokio::test]
async fn a_connection_is_prepared() {
    let fake = OpenAiAudio::start().await;
    open(&fake, None).prepare(&stt_options());
    fake.until(|seen| seen.checks == 1).await;
}
