//! The scheduler with real models: shared by many callers, in order, refused or cancelled when it
//! should be.

use std::sync::Arc;

use local::{
    Cancel, Limits, LocalConfig, LocalError, LocalModels, Origin, Part, Priority, QueueLimits,
    SpeakRequest, TranscribeRequest, openai_voice_names,
};

use crate::clips::{models_dir, resample, word_errors};

fn open(parts: &[Part], limits: Limits) -> LocalModels {
    let config = LocalConfig {
        parts: parts.to_vec(),
        limits,
        ..LocalConfig::new(models_dir())
    };
    LocalModels::open(&config).unwrap_or_else(|error| panic!("models do not open: {error}"))
}

fn origin(session: &str) -> Origin {
    Origin {
        session: session.to_owned(),
        priority: Priority::Live,
    }
}

fn speak(text: &str) -> SpeakRequest {
    SpeakRequest {
        origin: origin("a"),
        text: text.to_owned(),
        speed: 1.0,
        ..SpeakRequest::default()
    }
}

#[test]
fn what_is_spoken_can_be_transcribed_by_many_sessions_at_once() {
    let models = open(&[Part::Stt, Part::Turn, Part::Tts], Limits::default());
    let text = "The library closes at eight o'clock this evening.";
    let speech = models
        .speak(speak(text))
        .expect("accepted")
        .wait()
        .expect("spoken");
    let audio: Arc<[i16]> = resample(&speech.samples, speech.rate_hz).into();
    let pending: Vec<_> = (0..6)
        .map(|session| {
            let request = TranscribeRequest {
                audio: Arc::clone(&audio),
                ..Default::default()
            };
            models
                .transcribe(origin(&format!("session {session}")), request)
                .expect("accepted")
        })
        .collect();
    let judge = |audio: &Arc<[i16]>| {
        models
            .judge_turn(origin("session 0"), Arc::clone(audio))
            .expect("accepted")
    };
    let judged = judge(&audio);
    for result in pending {
        let heard = result.wait().expect("transcribed").text;
        let (errors, words) = word_errors(text, &heard);
        // the voice draws noise for every sentence, so a word may be misheard now and then
        assert!(errors <= 2, "{errors} of {words} wrong: {heard}");
    }
    // its melody, too: one of three takes sounds finished
    let mut takes = vec![judged.wait().expect("judged")];
    while takes.len() < 3 && takes.iter().all(|finished| *finished <= 0.5) {
        let take = models.speak(speak(text)).expect("accepted");
        let take = take.wait().expect("spoken");
        let audio = resample(&take.samples, take.rate_hz).into();
        takes.push(judge(&audio).wait().expect("judged"));
    }
    let finished = takes.iter().any(|finished| *finished > 0.5);
    assert!(finished, "a whole sentence is over: {takes:?}");
    assert_eq!(models.queue_depths(), local::QueueDepths::default());
    assert!(!models.has_llm());
}

#[test]
fn every_voice_name_a_client_may_send_is_spoken_by_someone() {
    let models = open(&[Part::Tts], Limits::default());
    let voices = models.voices();
    assert!(voices.iter().any(|voice| voice.id == "joe"));
    for name in openai_voice_names().chain(["", "joe"]) {
        assert_eq!(
            models.resolve_voice(name).expect("known").id,
            "joe",
            "{name}"
        );
    }
    let unknown = SpeakRequest {
        voice: "nobody".to_owned(),
        ..speak("Hello.")
    };
    assert!(matches!(
        models.speak(unknown),
        Err(LocalError::BadInput(_))
    ));
    let kokoro = SpeakRequest {
        voice: "af_heart".to_owned(),
        ..speak("Hello.")
    };
    let speech = models
        .speak(kokoro)
        .expect("accepted")
        .wait()
        .expect("spoken");
    assert_eq!(speech.rate_hz, 24_000);
}

#[test]
fn more_speech_than_can_be_served_is_refused_and_cancelling_makes_room() {
    let limits = Limits {
        tts: QueueLimits {
            capacity: 3,
            max_wait_ms: 600_000,
        },
        ..Limits::default()
    };
    let models = open(&[Part::Tts], limits);
    let long = "This sentence is repeated to keep the voice busy for a good while. ".repeat(30);
    let running = models.speak(speak(&long)).expect("accepted");
    let reply = Cancel::new();
    let mut waiting = Vec::new();
    let refused = loop {
        let request = SpeakRequest {
            cancel: reply.clone(),
            piece: 1,
            ..speak(&long)
        };
        match models.speak(request) {
            Ok(pending) => waiting.push(pending),
            Err(error) => break error,
        }
    };
    assert!(
        matches!(
            refused,
            LocalError::Overloaded {
                queue: "tts",
                waiting: 3
            }
        ),
        "{refused}"
    );
    // the first was taken by the voice before or after the others were queued
    assert!(
        (2..=3).contains(&waiting.len()),
        "{} accepted",
        waiting.len()
    );
    reply.cancel();
    // only the first may still wait to be taken
    assert!(models.queue_depths().tts <= 1);
    let next = models.speak(SpeakRequest {
        origin: origin("b"),
        ..speak("Next.")
    });
    drop(running);
    assert!(
        !next
            .expect("accepted")
            .wait()
            .expect("spoken")
            .samples
            .is_empty()
    );
    for pending in waiting {
        assert!(matches!(pending.wait(), Err(LocalError::Cancelled)));
    }
}

#[test]
fn what_is_not_loaded_is_refused_and_says_so() {
    let models = open(&[Part::Turn], Limits::default());
    let refused = models.speak(speak("Hello.")).expect_err("no voice");
    assert!(
        refused.to_string().contains("speech synthesis"),
        "{refused}"
    );
    let refused = models
        .transcribe(origin("a"), TranscribeRequest::default())
        .expect_err("no ears");
    assert!(
        refused.to_string().contains("speech recognition"),
        "{refused}"
    );
    assert!(models.generate(local::GenerateRequest::default()).is_err());
    models.warm("a", Vec::new());
    assert!(models.voices().is_empty());
}

#[test]
fn closing_ends_what_runs_and_what_waits() {
    let models = open(&[Part::Tts], Limits::default());
    let long = "This sentence is repeated to keep the voice busy for a good while. ".repeat(6);
    let (first, second) = (
        models.speak(speak(&long)),
        models.speak(speak("Never said.")),
    );
    drop(models);
    assert!(matches!(
        first.expect("accepted").wait(),
        Err(LocalError::Cancelled)
    ));
    assert!(matches!(
        second.expect("accepted").wait(),
        Err(LocalError::Cancelled)
    ));
}

#[test]
fn a_missing_model_fails_the_opening_with_the_command_that_fetches_it() {
    let empty = tempfile::tempdir().expect("a temporary directory");
    let error = LocalModels::open(&LocalConfig::new(empty.path()))
        .err()
        .expect("nothing there");
    assert!(
        error.to_string().contains("antiphon models pull"),
        "{error}"
    );
}
