//! Measures the voices on this machine: time per clause and memory, for docs/performance.md.
//! Run by hand: `cargo run --release -p antiphon-local --example voice_bench -- MODELS_DIR`.
//! It is not a test: nothing fails when a number is bad.
#![expect(clippy::print_stdout, reason = "a program whose output is a table")]
#![expect(clippy::disallowed_methods, reason = "measuring time is the purpose")]
#![expect(
    clippy::unwrap_used,
    reason = "a measurement that cannot run should stop"
)]

use std::{fs, path::Path, time::Instant};

use local::{
    Audio, Cancel, LocalError, Piper,
    runtime::{Memory, SessionConfig},
};

const CLAUSES: [(&str, &str); 5] = [
    ("2 words", "Hello there."),
    ("3 words", "How are you?"),
    ("5 words", "Yes, we open at nine."),
    (
        "12 words",
        "You can bring the package back to any shop within thirty days.",
    ),
    (
        "30 words",
        "The weather tomorrow will be mostly dry with some clouds in the morning, and in the \
         afternoon the sun comes out and temperatures climb to about twenty degrees near the coast.",
    ),
];

fn memory_mb(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        / 1024
}

fn table(name: &str, mut speak: impl FnMut(&str) -> Result<Audio, LocalError>) {
    for (label, text) in CLAUSES {
        speak(text).unwrap();
        let mut runs: Vec<(u128, u64)> = (0..7)
            .map(|_| {
                let start = Instant::now();
                let audio = speak(text).unwrap();
                (start.elapsed().as_millis(), audio.duration_ms())
            })
            .collect();
        runs.sort_unstable();
        let (ms, spoken_ms) = runs[3];
        println!(
            "{name:24} {label:9} {ms:5} ms (min {:4}) for {spoken_ms} ms of speech, rss {} MB, peak {} MB",
            runs[0].0,
            memory_mb("VmRSS"),
            memory_mb("VmHWM")
        );
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let models = arguments.next().unwrap_or_else(|| "models".to_owned());
    let only = arguments.next().unwrap_or_default();
    let models = Path::new(&models);
    let cancel = Cancel::new();
    println!("start: rss {} MB", memory_mb("VmRSS"));
    for threads in [1, 2] {
        for memory in [Memory::Lean, Memory::Smallest, Memory::Arena] {
            let name = format!("piper {threads}t {memory:?}");
            if !name.contains(&only) {
                continue;
            }
            let config = SessionConfig { threads, memory };
            let mut piper = Piper::open_with(models, config).unwrap();
            println!(
                "{name}: loaded, rss {} MB, peak {} MB",
                memory_mb("VmRSS"),
                memory_mb("VmHWM")
            );
            table(&name, |text| piper.synthesise(text, 1.0, &cancel));
        }
    }
}
