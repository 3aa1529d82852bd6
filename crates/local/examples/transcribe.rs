//! Times Whisper on this machine: `cargo run --release -p antiphon-local --example transcribe --
//! MODELS_DIR CLIP.wav…` prints, per clip, the median of several runs with the encoder cut to the
//! clip and with the full window, the memory held, and the text. Numbers go to
//! `docs/performance.md`. Clips: 16 kHz, one channel, 16 bit.
#![expect(clippy::print_stdout, reason = "a command-line tool")]
#![expect(clippy::disallowed_methods, reason = "measuring time is its purpose")]

use std::{env, fs, path::Path, time::Instant};

use local::{
    TranscribeRequest, Whisper,
    runtime::{Memory, SessionConfig},
    whisper::Window,
};

const RUNS: usize = 7;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = env::args().skip(1);
    let models_dir = arguments
        .next()
        .ok_or("usage: transcribe MODELS_DIR CLIP.wav…")?;
    let memory = match env::var("MEMORY").as_deref() {
        Ok("arena") => Memory::Arena,
        Ok("smallest") => Memory::Smallest,
        _ => Memory::Lean,
    };
    println!("before {} MB", resident_mb()?);
    let start = Instant::now();
    let config = SessionConfig { threads: 1, memory };
    let mut whisper = Whisper::open_with(Path::new(&models_dir), config)?;
    println!(
        "opened in {} ms, {} MB",
        start.elapsed().as_millis(),
        resident_mb()?
    );
    for clip in arguments {
        let audio = fs::read(&clip)?;
        let samples: Vec<i16> = audio[44..]
            .chunks_exact(2)
            .map(|b| i16::from_le_bytes([b[0], b[1]]))
            .collect();
        let request = TranscribeRequest {
            audio: samples.into(),
            ..TranscribeRequest::default()
        };
        let windows: &[Window] = match env::var("WINDOW").as_deref() {
            Ok("clip") => &[Window::Clip],
            _ => &[Window::Clip, Window::Full],
        };
        for window in windows.iter().copied() {
            whisper.set_window(window);
            let mut times = Vec::new();
            let mut text = String::new();
            for _ in 0..RUNS {
                let start = busy_ms()?;
                let result = whisper
                    .transcribe(std::slice::from_ref(&request))
                    .remove(0)?;
                times.push(busy_ms()? - start);
                text = format!(
                    "{} tokens, {:.2}: {}",
                    result.tokens, result.avg_logprob, result.text
                );
            }
            times.sort_by(f64::total_cmp);
            println!(
                "{clip} {} ms, {window:?}: median {:.1} ms, least {:.1} ms, {} MB; {text}",
                request.audio.len() / 16,
                times[RUNS / 2],
                times[0],
                resident_mb()?
            );
        }
        if let Some(copies) = env::var("BATCH").ok().and_then(|n| n.parse().ok()) {
            whisper.set_window(Window::Clip);
            let jobs = vec![request; copies];
            let start = busy_ms()?;
            whisper.transcribe(&jobs);
            println!("  {copies} at once: {:.1} ms", busy_ms()? - start);
        }
    }
    Ok(())
}

/// Processor time of this thread, which does all the work: other programs do not disturb it.
fn busy_ms() -> Result<f64, Box<dyn std::error::Error>> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text
        .split_whitespace()
        .next()
        .ok_or("no time")?
        .parse::<f64>()?
        / 1e6)
}

fn resident_mb() -> Result<u64, Box<dyn std::error::Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .ok_or("no VmRSS")?;
    Ok(line
        .split_whitespace()
        .nth(1)
        .ok_or("no number")?
        .parse::<u64>()?
        / 1024)
}
