//! The suite on the models of this machine, and what only they can show. Needs the directory that
//! `antiphon models pull` fills: `ANTIPHON_MODELS_DIR`, or its place in the data directory.
//! One process, one set of models: loading them takes longer than using them.

use std::{path::PathBuf, sync::Arc};

use engine::{
    ask::{SpeakOptions, SttOptions},
    audio::{Resampler, SampleRate},
};
use providers::{
    Catalog, CatalogConfig, Detail, Kind, Pipeline, QueueDepths,
    guarded::Watch,
    ports::{Piece, SttCommand, SttEvent, Tts, TtsEvent},
    transcribe_once,
};

use crate::conformance::{self, answer, ask, speak_options, speech, stt_options};

#[expect(
    clippy::disallowed_methods,
    reason = "a test binary has no other configuration"
)]
pub(crate) fn models_dir() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from);
    set("ANTIPHON_MODELS_DIR")
        .or_else(|| Some(set("HOME")?.join(".local/share/antiphon/models")))
        .expect("neither ANTIPHON_MODELS_DIR nor HOME is set")
}

fn open() -> Catalog {
    let config = CatalogConfig {
        models_dir: models_dir(),
        ..CatalogConfig::default()
    };
    Catalog::open(config, Watch::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// What the voice makes of a text, at the rate the ears want.
async fn say(tts: &dyn Tts, text: &str) -> Arc<[i16]> {
    let mut stream = tts.open(speak_options("alloy")).await.unwrap();
    stream
        .pieces
        .send(Piece {
            index: 0,
            text: text.to_owned(),
        })
        .await
        .unwrap();
    drop(stream.pieces);
    let mut resampler: Option<Resampler> = None;
    let mut heard = Vec::new();
    while let Some(event) = stream.events.recv().await {
        match event {
            TtsEvent::Audio {
                rate_hz, samples, ..
            } => {
                let rate = SampleRate::new(rate_hz).unwrap();
                resampler
                    .get_or_insert_with(|| Resampler::new(rate, SampleRate::HZ_16K))
                    .push(&samples, &mut heard);
            }
            TtsEvent::PieceDone { .. } => {}
            TtsEvent::Another(voice) => panic!("{voice:?}"),
            TtsEvent::Failed(error) => panic!("{error}"),
        }
    }
    if let Some(resampler) = &mut resampler {
        resampler.flush(&mut heard);
    }
    heard.into()
}

fn words(text: &str) -> Vec<String> {
    let letters: String = text
        .to_lowercase()
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { ' ' })
        .collect();
    letters.split_whitespace().map(str::to_owned).collect()
}

/// The voice draws noise for every reply, so a word may be misheard now and then.
fn assert_understood(text: &str) {
    let heard = words(text);
    let all = words(SENTENCE);
    let understood = all.iter().filter(|word| heard.contains(word)).count();
    assert!(understood + 2 >= all.len(), "heard {text:?}");
}

const SENTENCE: &str = "Please turn off the lights in the kitchen before you leave the house.";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_passes() {
    let catalog = open();
    let pipeline = catalog.pipeline("gpt-realtime").unwrap();
    let spoken = say(pipeline.tts.as_ref(), SENTENCE).await;

    let text =
        conformance::stt_answers_pause_and_end(pipeline.stt.as_ref(), Arc::clone(&spoken)).await;
    assert_understood(&text);
    conformance::stt_keeps_what_it_said_at_the_pause(pipeline.stt.as_ref(), Arc::clone(&spoken))
        .await;
    conformance::stt_tells_nothing_from_given_up(pipeline.stt.as_ref()).await;
    conformance::tts_speaks_in_order(pipeline.tts.as_ref()).await;
    conformance::tts_knows_voices_and_speed(pipeline.tts.as_ref()).await;
    conformance::llm_answers(pipeline.llm.as_ref()).await;
    assert_eq!(catalog.queue_depths(), QueueDepths::default());

    a_finished_sentence_is_more_of_an_end_than_half_of_one(&pipeline, &spoken).await;
    recordings_have_segments(&pipeline, &spoken).await;
    a_language_nobody_knows_is_rejected(&pipeline, &spoken).await;
    many_pieces_come_in_order(&pipeline).await;
    a_reply_that_nobody_hears_leaves_the_queue(&catalog, &pipeline).await;
}

async fn judged(pipeline: &Pipeline, audio: &[i16]) -> f32 {
    let mut stream = pipeline.stt.open(stt_options()).await.unwrap();
    stream
        .commands
        .send(SttCommand::Audio(audio.into()))
        .await
        .unwrap();
    stream.commands.send(SttCommand::Pause).await.unwrap();
    loop {
        match stream.events.recv().await.unwrap() {
            SttEvent::EndOfTurn { probability } => return probability,
            SttEvent::Partial { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn a_finished_sentence_is_more_of_an_end_than_half_of_one(
    pipeline: &Pipeline,
    spoken: &[i16],
) {
    let whole = judged(pipeline, spoken).await;
    let half = judged(pipeline, &spoken[..spoken.len() * 2 / 5]).await;
    assert!(
        whole > 0.5 && whole > half,
        "{whole} for the whole, {half} for a part"
    );
}

async fn recordings_have_segments(pipeline: &Pipeline, spoken: &Arc<[i16]>) {
    let recording = Arc::clone(spoken);
    let detailed = pipeline
        .transcriber
        .transcribe(recording, SttOptions::default(), Detail::Segments)
        .await
        .unwrap();
    assert_understood(&detailed.text);
    assert_eq!(detailed.language.as_deref(), Some("en"));
    let joined: String = detailed
        .segments
        .iter()
        .map(|segment| segment.text.clone() + " ")
        .collect();
    assert_eq!(words(&joined), words(&detailed.text));
    for segment in &detailed.segments {
        assert!(segment.start_ms < segment.end_ms && segment.end_ms <= detailed.audio_ms + 1000);
        assert!(!segment.tokens.is_empty() && segment.avg_logprob < 0.0);
    }
}

async fn a_language_nobody_knows_is_rejected(pipeline: &Pipeline, spoken: &Arc<[i16]>) {
    let german = SttOptions {
        language: Some("de".to_owned()),
        ..stt_options()
    };
    let refused = transcribe_once(pipeline.stt.as_ref(), Arc::clone(spoken), german)
        .await
        .unwrap_err();
    assert_eq!(refused.kind, Kind::Rejected);
}

async fn many_pieces_come_in_order(pipeline: &Pipeline) {
    let texts = ["One.", "Two three.", "...", "Four five six.", "Seven."];
    let fast = SpeakOptions {
        speed: 4.0,
        ..speak_options("alloy")
    };
    let spoken = speech(pipeline.tts.as_ref(), fast, &texts).await;
    assert_eq!(spoken.pieces[2], 0);
}

async fn a_reply_that_nobody_hears_leaves_the_queue(catalog: &Catalog, pipeline: &Pipeline) {
    let mut streams = Vec::new();
    for _ in 0..4 {
        let stream = pipeline.tts.open(speak_options("alloy")).await.unwrap();
        for index in 0..4 {
            let text = SENTENCE.to_owned();
            stream.pieces.send(Piece { index, text }).await.unwrap();
        }
        streams.push(stream);
    }
    drop(streams);
    // a later reply is spoken as if nothing had been asked before
    assert!(!say(pipeline.tts.as_ref(), "Still here.").await.is_empty());
    assert_eq!(catalog.queue_depths().tts, 0);
}

#[test]
fn a_missing_model_names_the_command_that_fetches_it() {
    let config = CatalogConfig {
        models_dir: "/nonexistent/models".into(),
        ..CatalogConfig::default()
    };
    let Err(error) = Catalog::open(config, Watch::default()) else {
        panic!("opened")
    };
    assert!(
        error.to_string().contains("antiphon models pull"),
        "{error}"
    );
}

#[cfg(not(feature = "llama"))]
#[tokio::test]
async fn without_a_language_model_the_answer_says_so() {
    let pipeline = open().default_pipeline();
    assert_eq!(pipeline.llm.name(), "unconfigured");
    let said = answer(pipeline.llm.as_ref(), ask("hello"))
        .await
        .unwrap()
        .text;
    assert!(said.contains("no language model is configured"), "{said}");
}

#[cfg(feature = "llama")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_small_model_answers_and_keeps_to_its_limit() {
    let pipeline = open().default_pipeline();
    assert_eq!(pipeline.llm.name(), "local");
    pipeline.llm.warm(&ask("hello"));
    conformance::llm_answers(pipeline.llm.as_ref()).await;
    conformance::llm_keeps_to_the_limit(pipeline.llm.as_ref()).await;
    let (_, usage) = answer(pipeline.llm.as_ref(), ask("hello"))
        .await
        .unwrap()
        .done();
    assert!(
        usage.input_tokens > 0 && usage.output_tokens > 0,
        "{usage:?}"
    );
}
