//! Piper and Kokoro with their real weights: what they say is understood, as long as it should be,
//! sounds like speech, and stops when told.

use std::{f64::consts::PI, thread, time::Duration};

use local::{Audio, Cancel, Kokoro, LocalError, Piper, TranscribeRequest, VoiceModel, Whisper};

use crate::clips::{models_dir, resample, word_errors};

fn piper() -> Piper {
    Piper::open(&models_dir()).unwrap_or_else(|error| panic!("piper does not open: {error}"))
}

fn kokoro() -> Kokoro {
    Kokoro::open(&models_dir()).unwrap_or_else(|error| panic!("kokoro does not open: {error}"))
}

fn say(piper: &mut Piper, text: &str) -> Audio {
    piper
        .synthesise(text, 1.0, &Cancel::new())
        .expect("piper speaks")
}

fn heard(whisper: &mut Whisper, speech: &Audio) -> String {
    let audio = resample(&speech.samples, speech.rate_hz).into();
    let request = TranscribeRequest {
        audio,
        ..TranscribeRequest::default()
    };
    whisper
        .transcribe(&[request])
        .remove(0)
        .expect("it transcribes")
        .text
}

/// Mean power at `hz`, relative to the power of the whole signal.
fn share_at(audio: &Audio, hz: f64) -> f64 {
    let step = 2.0 * PI * hz / f64::from(audio.rate_hz);
    let window = audio.rate_hz as usize / 20;
    let (mut at_hz, mut whole) = (0.0, 0.0);
    for part in audio.samples.chunks_exact(window) {
        let (mut re, mut im) = (0.0, 0.0);
        for (n, sample) in part.iter().enumerate() {
            let value = f64::from(*sample);
            re += value * (step * n as f64).cos();
            im += value * (step * n as f64).sin();
            whole += value * value;
        }
        at_hz += (re * re + im * im) / window as f64;
    }
    at_hz / whole
}

const REPLIES: [&str; 4] = [
    "Yes, we are open on Sunday from early in the morning until late in the evening.",
    "I have moved your appointment with the doctor to the first week of March.",
    "The last train to London leaves from the other side of the station.",
    "Please call the front desk if you need another key for your room.",
];

#[test]
fn what_the_voices_say_is_understood() {
    let mut whisper = Whisper::open(&models_dir()).expect("whisper opens");
    let (mut piper, mut kokoro) = (piper(), kokoro());
    let (mut wrong, mut all) = ([0, 0], 0);
    for reply in REPLIES {
        let spoken = [
            say(&mut piper, reply),
            kokoro
                .synthesise(reply, "bf_emma", 1.0, &Cancel::new())
                .expect("kokoro speaks"),
        ];
        for (voice, speech) in spoken.iter().enumerate() {
            let text = heard(&mut whisper, speech);
            let (errors, words) = word_errors(reply, &text);
            if errors > 0 {
                println!("voice {voice}: {errors} of {words} wrong: {text}");
            }
            wrong[voice] += errors;
            all += words;
        }
    }
    let words = all / 2;
    assert!(
        wrong[0] * 100 <= 6 * words,
        "piper: {} of {words} words misheard",
        wrong[0]
    );
    assert!(
        wrong[1] * 100 <= 6 * words,
        "kokoro: {} of {words} words misheard",
        wrong[1]
    );
}

#[test]
fn speech_is_as_long_as_its_words_and_looks_like_a_voice() {
    let mut piper = piper();
    let short = say(&mut piper, "Yes.");
    let long = say(&mut piper, REPLIES[0]);
    assert_eq!(short.rate_hz, 22_050);
    assert!(
        (150..1_500).contains(&short.duration_ms()),
        "{} ms",
        short.duration_ms()
    );
    assert!(
        (3_000..7_000).contains(&long.duration_ms()),
        "{} ms",
        long.duration_ms()
    );
    let peak = long
        .samples
        .iter()
        .map(|sample| sample.unsigned_abs())
        .max()
        .expect("samples");
    assert!(peak > 6_000, "peak {peak} is too quiet");
    // voices are strong between 100 and 700 Hz and weak at 8 kHz
    let voice: f64 = (2..14).map(|n| share_at(&long, f64::from(n) * 50.0)).sum();
    let hiss: f64 = (0..12)
        .map(|n| share_at(&long, 8_000.0 + f64::from(n) * 50.0))
        .sum();
    assert!(voice > 20.0 * hiss, "voice {voice:.4}, hiss {hiss:.4}");
}

#[test]
fn speed_changes_the_duration_in_proportion() {
    let mut piper = piper();
    let mut at = |speed| {
        let cancel = Cancel::new();
        piper
            .synthesise(REPLIES[2], speed, &cancel)
            .expect("piper speaks")
            .duration_ms() as f64
    };
    let (slow, normal, fast) = (at(0.5), at(1.0), at(1.5));
    assert!(
        (1.7..2.3).contains(&(slow / normal)),
        "{slow} ms, {normal} ms"
    );
    assert!(
        (1.3..1.7).contains(&(normal / fast)),
        "{normal} ms, {fast} ms"
    );
    assert!(at(4.0) < fast, "four times is faster than one and a half");
    for speed in [0.0, -1.0, 4.5, f32::NAN] {
        let refused = piper.synthesise("hello", speed, &Cancel::new());
        assert!(
            matches!(refused, Err(LocalError::BadInput(_))),
            "speed {speed}"
        );
    }
}

#[test]
fn nothing_to_say_is_no_samples_and_long_text_keeps_every_sentence() {
    let mut piper = piper();
    assert!(say(&mut piper, " … 😀\n").samples.is_empty());
    let one = say(&mut piper, REPLIES[1]).duration_ms();
    let text = format!("{0} {0} {0} {0}", REPLIES[1]);
    let four = say(&mut piper, &text).duration_ms();
    assert!(
        (one * 3..one * 6).contains(&four),
        "{one} ms once, {four} ms four times"
    );
}

#[test]
fn a_cancelled_voice_stops_before_it_has_said_everything() {
    let mut piper = piper();
    let long = REPLIES.join(" ").repeat(20);
    let cancel = Cancel::new();
    let caller = cancel.clone();
    let stopper = thread::spawn(move || {
        // any moment during the run will do: the text takes many seconds to synthesise
        thread::park_timeout(Duration::from_millis(200));
        caller.cancel();
    });
    let result = piper.synthesise(&long, 1.0, &cancel);
    stopper.join().expect("the stopping thread ends");
    assert!(matches!(result, Err(LocalError::Cancelled)));
    // the model is in order afterwards
    assert!(!say(&mut piper, "Still here.").samples.is_empty());
    assert!(matches!(
        piper.synthesise("no", 1.0, &cancel),
        Err(LocalError::Cancelled)
    ));
}

#[test]
fn kokoro_has_several_voices_with_sounds_of_their_own() {
    let voices = Kokoro::installed_voices(&models_dir()).expect("kokoro is installed");
    assert!(voices.len() >= 20, "{} voices", voices.len());
    assert!(voices.iter().all(|voice| voice.model == VoiceModel::Kokoro));
    assert!(voices.iter().any(|voice| voice.language == "en-GB"));
    let mut kokoro = kokoro();
    let mut say = |voice: &str| {
        kokoro
            .synthesise("Good evening to you.", voice, 1.0, &Cancel::new())
            .expect("it speaks")
    };
    let (woman, man) = (say("af_heart"), say("am_michael"));
    assert_eq!((woman.rate_hz, man.rate_hz), (24_000, 24_000));
    assert!(
        (800..3_000).contains(&woman.duration_ms()),
        "{} ms",
        woman.duration_ms()
    );
    // a man's fundamental lies below 160 Hz, a woman's above
    let low = |audio: &Audio| share_at(audio, 100.0) + share_at(audio, 120.0);
    assert!(
        low(&man) > 2.0 * low(&woman),
        "{} and {}",
        low(&man),
        low(&woman)
    );
    for unknown in ["nobody", "af_nobody", "../af_heart", ""] {
        let refused = kokoro.synthesise("hello", unknown, 1.0, &Cancel::new());
        assert!(
            matches!(refused, Err(LocalError::BadInput(_))),
            "voice {unknown}"
        );
    }
}

#[test]
fn an_absent_or_damaged_voice_names_the_command_that_fetches_it() {
    let empty = tempfile::tempdir().expect("a temporary directory");
    for error in [
        Piper::open(empty.path()).err().expect("no piper here"),
        Kokoro::open(empty.path()).err().expect("no kokoro here"),
    ] {
        assert!(matches!(error, LocalError::Missing { .. }), "{error}");
        assert!(
            error.to_string().contains("antiphon models pull"),
            "{error}"
        );
    }
    let folder = empty.path().join("piper-en-us-joe");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join("voice.onnx.json"), "{").expect("a file");
    let error = Piper::open(empty.path()).err().expect("half a card");
    assert!(matches!(error, LocalError::Damaged { .. }), "{error}");
}
