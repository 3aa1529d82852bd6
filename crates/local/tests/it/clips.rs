//! Speech to test with: human recordings, and sentences spoken by a voice model.
//! The `stt` and `turn` tests listen to it.
//! It never skips: a missing model or recording fails the test that wanted it.

use std::{
    collections::HashMap,
    f64::consts::PI,
    path::{Path, PathBuf},
    process::Command,
};

use local::{Cancel, Kokoro};

/// Samples per millisecond of everything here: 16 kHz.
pub(crate) const PER_MS: usize = 16;

/// Speech and what is said in it.
pub(crate) struct Clip {
    pub(crate) name: String,
    pub(crate) audio: Vec<i16>,
    pub(crate) words: &'static str,
}

/// The models directory, from `ANTIPHON_MODELS_DIR`.
#[expect(
    clippy::disallowed_methods,
    reason = "tests have no configuration to take it from"
)]
pub(crate) fn models_dir() -> PathBuf {
    std::env::var_os("ANTIPHON_MODELS_DIR").map(PathBuf::from).expect(
        "ANTIPHON_MODELS_DIR must name the models directory; run `antiphon models pull` to fill it",
    )
}

/// Where the recording `two_cities` is cut, in milliseconds, and what is said up to there.
const TWO_CITIES: [(usize, &str); 8] = [
    (
        4_930,
        "It was the best of times, it was the worst of times.",
    ),
    (
        8_730,
        "It was the age of wisdom, it was the age of foolishness.",
    ),
    (
        13_410,
        "It was the epoch of belief, it was the epoch of incredulity.",
    ),
    (
        17_450,
        "It was the season of light, it was the season of darkness.",
    ),
    (
        21_130,
        "It was the spring of hope, it was the winter of despair.",
    ),
    (
        24_300,
        "We had everything before us, we had nothing before us.",
    ),
    (
        28_600,
        "We were all going direct to heaven, we were all going direct the other way.",
    ),
    (
        44_374,
        "In short, the period was so far like the present period that some of its noisiest \
         authorities insisted on its being received for good or for evil in the superlative \
         degree of comparison only.",
    ),
];

const BECKETT: &str = "Ever tried, ever failed. No matter. Try again. Fail again. Fail better.";

/// A recording of a person, 16 kHz: `two_cities` (44 s), `beckett` (10 s).
pub(crate) fn recording(name: &str) -> Vec<i16> {
    let directory = models_dir().join("test-clips");
    let file = directory.join(format!("{name}.wav"));
    if !file.is_file() {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../local/tests/clips.sh");
        let done = Command::new("sh").arg(&script).arg(&directory).status();
        assert!(
            done.is_ok_and(|status| status.success()) && file.is_file(),
            "{} is missing and {} could not fetch it",
            file.display(),
            script.display()
        );
    }
    let mut reader = hound::WavReader::open(&file).expect("a recording is a WAV file");
    let rate_hz = reader.spec().sample_rate;
    let samples: Vec<i16> = reader
        .samples::<i16>()
        .collect::<Result<_, _>>()
        .expect("a recording has 16-bit samples");
    resample(&samples, rate_hz)
}

/// What people said, in clips of 3 to 16 s.
pub(crate) fn human() -> Vec<Clip> {
    let cities = recording("two_cities");
    let mut clips = Vec::new();
    let mut from = 0;
    for (to, words) in TWO_CITIES {
        let audio = cities[from * PER_MS..(to * PER_MS).min(cities.len())].to_vec();
        clips.push(Clip {
            name: format!("two_cities to {to} ms"),
            audio,
            words,
        });
        from = to;
    }
    clips.push(Clip {
        name: "beckett".to_owned(),
        audio: recording("beckett"),
        words: BECKETT,
    });
    clips
}

const SPOKEN: [(&str, &str); 6] = [
    (
        "af_heart",
        "Please turn off the kitchen lights and lock the front door.",
    ),
    (
        "am_michael",
        "I would like to book a table for four people on Friday evening.",
    ),
    (
        "af_sarah",
        "My order arrived damaged, and I need to speak to someone about a refund.",
    ),
    (
        "am_adam",
        "What time does the pharmacy on Market Street open tomorrow morning?",
    ),
    (
        "af_bella",
        "Could you send me a copy of the last invoice by email?",
    ),
    (
        "am_michael",
        "No, that is not what I said, please cancel the appointment.",
    ),
];

/// What a voice model said, in clips of 3 to 5 s.
pub(crate) fn synthetic() -> Vec<Clip> {
    let mut kokoro = kokoro();
    SPOKEN
        .iter()
        .map(|(voice, words)| Clip {
            name: format!("{voice}: {words}"),
            audio: speak(&mut kokoro, voice, words),
            words,
        })
        .collect()
}

/// `words` in the Kokoro voice `voice`, 16 kHz: the same at every call, while Piper varies.
pub(crate) fn spoken(voice: &str, words: &str) -> Vec<i16> {
    speak(&mut kokoro(), voice, words)
}

fn kokoro() -> Kokoro {
    Kokoro::open(&models_dir()).unwrap_or_else(|error| panic!("kokoro does not open: {error}"))
}

fn speak(kokoro: &mut Kokoro, voice: &str, words: &str) -> Vec<i16> {
    let speech = kokoro
        .synthesise(words, voice, 1.0, &Cancel::new())
        .expect("it speaks");
    resample(&speech.samples, speech.rate_hz)
}

/// `samples` at 16 kHz: a windowed sinc, low-pass at the lower of the two rates.
pub(crate) fn resample(samples: &[i16], rate_hz: u32) -> Vec<i16> {
    const REACH: f64 = 16.0;
    let rate = rate_hz as usize;
    let cutoff = (16_000.0 / f64::from(rate_hz)).min(1.0) * 0.95;
    let taps = (REACH / cutoff).ceil() as usize;
    // where an output falls between two inputs repeats, so each set of weights is made once
    let mut filters: HashMap<usize, Vec<f64>> = HashMap::new();
    (0..samples.len() * 16_000 / rate)
        .map(|at| {
            let (before, phase) = (at * rate / 16_000, at * rate % 16_000);
            let filter = filters.entry(phase).or_insert_with(|| {
                (0..=2 * taps)
                    .map(|tap| {
                        let x = tap as f64 - taps as f64 - phase as f64 / 16_000.0;
                        let angle = PI * x * cutoff;
                        let sinc = if angle.abs() < 1e-9 {
                            1.0
                        } else {
                            angle.sin() / angle
                        };
                        let window = 0.5 + 0.5 * (PI * x / (taps + 1) as f64).cos();
                        cutoff * sinc * window
                    })
                    .collect()
            });
            let sum: f64 = filter
                .iter()
                .enumerate()
                .filter_map(|(tap, weight)| {
                    let sample = samples.get((before + tap).checked_sub(taps)?)?;
                    Some(f64::from(*sample) * weight)
                })
                .sum();
            sum.clamp(f64::from(i16::MIN), f64::from(i16::MAX)) as i16
        })
        .collect()
}

/// How many words of `said` are wrong in `heard` (substituted, left out or added), and how many
/// there are.
pub(crate) fn word_errors(said: &str, heard: &str) -> (usize, usize) {
    let words = |text: &str| -> Vec<String> {
        text.split(|c: char| !c.is_alphanumeric() && c != '\'')
            .filter(|word| !word.is_empty())
            .map(str::to_lowercase)
            .collect()
    };
    let (said, heard) = (words(said), words(heard));
    let mut row: Vec<usize> = (0..=heard.len()).collect();
    for (i, said) in said.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, heard) in heard.iter().enumerate() {
            let replaced = diagonal + usize::from(said != heard);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    (row[heard.len()], said.len())
}

#[test]
fn word_errors_count_edits() {
    assert_eq!(
        word_errors("It's the best, of times.", "it's the BEST of times"),
        (0, 5)
    );
    assert_eq!(word_errors("one two three four", "one too three"), (2, 4));
    assert_eq!(word_errors("one two", "one two two two"), (2, 2));
}
