//! Transcription over HTTP: asked at the pause, not asked again at the end.

use std::sync::Arc;

use engine::ask::SttOptions;
use providers::{
    Kind, Vendor, http,
    ports::{Stt, SttCommand, SttEvent},
};

use super::{counting, ears::OPENAI, rest, tell, utterance, vendor};
use crate::{
    conformance::{self, stt_options},
    fakes::{Fault, wire::Fake},
};

fn open(fake: &Fake, model: &str) -> Arc<dyn Stt> {
    let other = Vendor {
        model: Some(model.to_owned()),
        ..vendor(fake, OPENAI.path)
    };
    (OPENAI.open)(http::client().unwrap(), other).unwrap()
}

#[tokio::test]
async fn a_model_that_streams_nothing_passes_as_well() {
    let fake = OPENAI.start().await;
    let stt = open(&fake, "whisper-1");
    let text = conformance::stt_answers_without_judging(&*stt, counting(16_000)).await;
    assert_eq!(text, "1-16000");
    conformance::stt_keeps_what_it_said_at_the_pause(&*stt, counting(8_000)).await;
    conformance::stt_tells_nothing_from_given_up(&*stt).await;
}

#[tokio::test]
async fn a_pause_that_holds_is_asked_for_once() {
    let (fake, stt) = OPENAI.pair().await;
    let mut stream = stt.open(stt_options()).await.unwrap();
    tell(&stream, SttCommand::Audio(counting(4_000))).await;
    tell(&stream, SttCommand::Pause).await;
    let partial = SttEvent::Partial {
        text: "1-4000".to_owned(),
    };
    assert_eq!(stream.events.recv().await, Some(partial));
    tell(&stream, SttCommand::Audio(vec![0; 1_600].into())).await;
    tell(&stream, SttCommand::End).await;
    assert_eq!(rest(&mut stream).await.1, Ok(("1-4000".to_owned(), 350)));
    assert_eq!(fake.world.with(|seen| seen.recordings.len()), 1);
}

#[tokio::test]
async fn a_caller_who_goes_on_is_asked_for_again_and_the_guess_is_given_up() {
    let (fake, stt) = OPENAI.pair().await;
    fake.misbehave(Fault::StallBefore).await;
    let stream = stt.open(stt_options()).await.unwrap();
    tell(&stream, SttCommand::Audio(counting(4_000))).await;
    tell(&stream, SttCommand::Pause).await;
    fake.world.until(|seen| seen.recordings.len() == 1).await;
    tell(&stream, SttCommand::Resume).await;
    fake.world.until(|seen| seen.given_up == 1).await;
    tell(&stream, SttCommand::End).await;
    fake.world.until(|seen| seen.recordings.len() == 2).await;
    // so is the request of an utterance that is dropped
    drop(stream);
    fake.world.until(|seen| seen.given_up == 2).await;
}

#[tokio::test]
async fn the_hints_are_passed_on_and_short_audio_is_filled_up() {
    let (fake, stt) = OPENAI.pair().await;
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
    let (fields, samples) = fake.world.with(|seen| seen.recordings[0].clone());
    assert_eq!(samples, 1_600);
    assert_eq!(fields["language"], "de");
    assert_eq!(fields["prompt"], "Antiphon");
    assert_eq!(fields["include[]"], "logprobs");
    assert_eq!(fields["stream"], "true");
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_is_no_transcript_is_a_failure() {
    let fake = OPENAI.start().await;
    for (model, kind) in [
        ("cut", Kind::Unavailable),
        ("a page", Kind::Protocol),
        ("not a transcript", Kind::Protocol),
    ] {
        let stt = open(&fake, model);
        let error = utterance(&*stt, &counting(500)).await.unwrap_err();
        assert_eq!(error.kind, kind, "{model}");
    }
}

#[tokio::test]
async fn a_connection_is_prepared() {
    let (fake, stt) = OPENAI.pair().await;
    stt.prepare(&stt_options());
    fake.world.until(|seen| seen.checks == 1).await;
}
