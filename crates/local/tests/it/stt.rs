//! Whisper with its real weights: word error rate, batches, prompts, times, cancellation.

use std::{
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};

use local::{LocalError, TranscribeRequest, Transcript, Whisper, whisper::Window};

use crate::clips::{Clip, PER_MS, human, models_dir, recording, spoken, synthetic, word_errors};

fn whisper() -> Whisper {
    Whisper::open(&models_dir()).unwrap_or_else(|error| panic!("whisper does not open: {error}"))
}

fn request(audio: &[i16]) -> TranscribeRequest {
    TranscribeRequest {
        audio: audio.into(),
        ..TranscribeRequest::default()
    }
}

fn transcribe(whisper: &mut Whisper, request: TranscribeRequest) -> Transcript {
    whisper
        .transcribe(&[request])
        .remove(0)
        .expect("it transcribes")
}

/// Word error rate over all clips, in percent; prints what was misheard.
fn error_rate(whisper: &mut Whisper, clips: &[Clip], window: Window) -> f64 {
    whisper.set_window(window);
    let (mut wrong, mut all) = (0, 0);
    for clip in clips {
        let heard = transcribe(whisper, request(&clip.audio)).text;
        let (errors, words) = word_errors(clip.words, &heard);
        if errors > 0 {
            println!(
                "{window:?}, {}: {errors} of {words} wrong: {heard}",
                clip.name
            );
        }
        wrong += errors;
        all += words;
    }
    let rate = wrong as f64 * 100.0 / all as f64;
    println!("{window:?}: {wrong} of {all} words wrong, {rate:.1} %");
    rate
}

#[test]
fn a_clip_is_understood_as_well_as_in_the_full_window() {
    let mut clips = human();
    clips.extend(synthetic());
    assert!(clips.len() >= 10);
    let mut whisper = whisper();
    let full = error_rate(&mut whisper, &clips, Window::Full);
    let clip = error_rate(&mut whisper, &clips, Window::Clip);
    assert!(full <= 5.0, "full window: {full:.1} % of words wrong");
    assert!(
        clip <= full + 2.0,
        "{clip:.1} % of words wrong, {full:.1} % in the full window"
    );
}

#[test]
fn several_utterances_at_once_give_what_each_gives_alone() {
    let clips = human();
    let mut whisper = whisper();
    // six of similar length share batches, the long one runs apart
    let requests: Vec<TranscribeRequest> = clips.iter().map(|clip| request(&clip.audio)).collect();
    let together = whisper.transcribe(&requests);
    let (mut wrong, mut all) = (0, 0);
    for (request, together) in requests.into_iter().zip(together) {
        let alone = transcribe(&mut whisper, request);
        let together = together.expect("it transcribes");
        assert_eq!(alone.audio_ms, together.audio_ms);
        let (errors, words) = word_errors(&alone.text, &together.text);
        wrong += errors;
        all += words;
    }
    assert!(
        wrong * 50 <= all,
        "{wrong} of {all} words differ in a batch"
    );
}

#[test]
fn a_prompt_teaches_a_name() {
    let audio = spoken("af_heart", "Please ask Antiphon to call me back.");
    let mut whisper = whisper();
    let mut biased = request(&audio);
    biased.prompt = Some("Antiphon is a voice server. I use Antiphon every day.".to_owned());
    let text = transcribe(&mut whisper, biased).text;
    assert!(text.contains("Antiphon"), "with the prompt: {text}");
    let text = transcribe(&mut whisper, request(&audio)).text;
    assert!(
        !text.contains("Antiphon"),
        "the name is known without a prompt, choose another: {text}"
    );
}

#[test]
fn segments_follow_each_other_and_hold_all_words() {
    let audio = recording("two_cities");
    let mut whisper = whisper();
    let heard = transcribe(
        &mut whisper,
        TranscribeRequest {
            timestamps: true,
            language: Some("en".to_owned()),
            ..request(&audio)
        },
    );
    assert_eq!(heard.language, "en");
    assert_eq!(heard.audio_ms as usize, audio.len() / PER_MS);
    assert!(heard.segments.len() >= 6, "{:?}", heard.segments);
    let mut last = 0;
    for segment in &heard.segments {
        assert!(
            segment.start_ms >= last && segment.start_ms <= segment.end_ms,
            "{segment:?}"
        );
        assert!(segment.end_ms <= heard.audio_ms && !segment.tokens.is_empty());
        assert!((0.0..=1.0).contains(&segment.no_speech_prob) && segment.avg_logprob < 0.0);
        assert!((0.5..2.4).contains(&segment.compression_ratio));
        last = segment.end_ms;
    }
    let joined: String = heard
        .segments
        .iter()
        .map(|segment| segment.text.as_str())
        .collect();
    assert_eq!(joined.trim(), heard.text);
    // the reader pauses before "In short", 28.7 s in
    let in_short = heard
        .segments
        .iter()
        .find(|segment| segment.text.contains("In short"));
    let start_ms = in_short.map_or(0, |segment| segment.start_ms);
    assert!(
        (27_500..30_000).contains(&start_ms),
        "\"In short\" at {start_ms} ms"
    );
}

#[test]
fn long_sound_is_heard_to_its_end() {
    let mut whisper = whisper();
    let clips = human();
    let said: Vec<&str> = clips[..8].iter().map(|clip| clip.words).collect();
    let heard = transcribe(&mut whisper, request(&recording("two_cities")));
    let (errors, words) = word_errors(&said.join(" "), &heard.text);
    assert!(
        errors * 20 <= words,
        "{errors} of {words} words wrong: {}",
        heard.text
    );
    assert!(heard.segments.is_empty() && heard.tokens > 100);
    assert!(
        (-0.5..0.0).contains(&heard.avg_logprob),
        "{}",
        heard.avg_logprob
    );
}

#[test]
fn silence_and_noise_are_not_words() {
    let mut whisper = whisper();
    assert_eq!(transcribe(&mut whisper, request(&[])).text, "");
    assert_eq!(
        transcribe(&mut whisper, request(&vec![0; 2 * 1000 * PER_MS])).text,
        ""
    );
}

#[test]
fn a_cancelled_job_stops_soon_and_leaves_the_others() {
    // ten minutes: far more than can be done before the cancellation
    let clip = recording("beckett");
    let long: Vec<i16> = clip
        .iter()
        .copied()
        .cycle()
        .take(600 * 1000 * PER_MS)
        .collect();
    let long = TranscribeRequest {
        audio: long.into(),
        ..TranscribeRequest::default()
    };
    let cancel = long.cancel.clone();
    let mut whisper = whisper();
    let start = Arc::new(Barrier::new(2));
    let started = Arc::clone(&start);
    let worker = thread::spawn(move || {
        started.wait();
        let result = whisper.transcribe(&[long]).remove(0);
        (result, now(), whisper)
    });
    start.wait();
    let cancelled_at = now();
    cancel.cancel();
    let (result, ended_at, mut whisper) = worker.join().expect("the worker ends");
    assert!(matches!(result, Err(LocalError::Cancelled)), "{result:?}");
    // 50 ms is the aim on an idle machine; other tests run beside this one
    let took = ended_at.duration_since(cancelled_at);
    assert!(took < Duration::from_millis(500), "stopped after {took:?}");

    let cancelled = request(&clip);
    cancelled.cancel.cancel();
    let mut results = whisper.transcribe(&[cancelled, request(&clip)]);
    assert!(
        results
            .remove(1)
            .is_ok_and(|transcript| transcript.text.starts_with("Ever tried"))
    );
    assert!(matches!(results.remove(0), Err(LocalError::Cancelled)));
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a cancellation takes is what is tested"
)]
fn now() -> Instant {
    Instant::now()
}
