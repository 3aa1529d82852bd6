//! Measures the local language model on this machine, for docs/performance.md: time to the first
//! token with and without a cached prompt, tokens per second alone and together, memory, cancelling.
//! Run by hand: `cargo run --release -p antiphon-local --features llama --example llm_bench -- MODELS_DIR THREADS PREFILL`.
//! It is not a test: nothing fails when a number is bad.
#![expect(clippy::print_stdout, reason = "a program whose output is a table")]
#![expect(clippy::disallowed_methods, reason = "measuring time is the purpose")]
#![expect(
    clippy::unwrap_used,
    reason = "a measurement that cannot run should stop"
)]

use std::{fs, time::Instant};

use local::{
    ChatMessage, ChatRole, GenerateRequest, Generation, LlmConfig, LlmEvent, LocalConfig,
    LocalModels, Origin, Part, Priority, Sampling,
};

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

fn request(session: &str, turns: &[&str], max_tokens: u32) -> GenerateRequest {
    let rules = "You are the receptionist of a small hotel by the sea. You answer in one short \
        sentence and never invent anything. Breakfast is served from seven to ten in the garden \
        room. The pool is on the roof and open until nine. Dogs are welcome and cost ten dollars \
        a night. Parking is behind the house and free. Check-out is at eleven, later on request. \
        The airport bus leaves every half hour from the station square, five minutes on foot. \
        Rooms have a view of the sea or of the garden; those with a balcony are on the top floor. \
        If you do not know an answer, say that you will ask the manager and call back.";
    let speakers = [ChatRole::User, ChatRole::Assistant].into_iter().cycle();
    let mut messages = vec![ChatMessage::new(ChatRole::System, rules)];
    messages.extend(
        turns
            .iter()
            .zip(speakers)
            .map(|(text, role)| ChatMessage::new(role, *text)),
    );
    GenerateRequest {
        origin: Origin {
            session: session.to_owned(),
            priority: Priority::Live,
        },
        messages,
        max_tokens,
        sampling: Sampling {
            temperature: 0.0,
            ..Sampling::default()
        },
        ..GenerateRequest::default()
    }
}

/// Waits for the first text, then for the end.
fn timed(mut generation: Generation, start: Instant) -> String {
    let mut first = None;
    while let Some(event) = generation.next_blocking() {
        match event {
            LlmEvent::Text(_) if first.is_none() => first = Some(start.elapsed()),
            LlmEvent::Text(_) => {}
            LlmEvent::Done {
                prompt_tokens,
                cached_tokens,
                output_tokens,
                ..
            } => {
                let first = first.unwrap();
                let rest = start.elapsed().saturating_sub(first).as_secs_f64();
                let speed = f64::from(output_tokens - 1) / rest;
                return format!(
                    "first token {} ms, prompt {prompt_tokens} ({cached_tokens} cached), \
                     {output_tokens} tokens at {speed:.0}/s",
                    first.as_millis()
                );
            }
            LlmEvent::Failed(error) => return error.to_string(),
        }
    }
    "no end".to_owned()
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let models = arguments.next().unwrap_or_else(|| "models".to_owned());
    let number = |text: Option<String>, default| text.map_or(default, |n| n.parse().unwrap());
    let threads = number(arguments.next(), 2);
    let prefill_tokens = number(arguments.next(), 32);
    let llm = LlmConfig {
        threads,
        prefill_tokens,
        ..LlmConfig::default()
    };
    let config = LocalConfig {
        parts: vec![Part::Llm],
        llm,
        ..LocalConfig::new(models)
    };
    println!("{threads} threads, {prefill_tokens} prompt tokens a step");
    println!("start: rss {} MB", memory_mb("VmRSS"));
    let start = Instant::now();
    let models = LocalModels::open(&config).unwrap();
    println!(
        "open: {} ms, rss {} MB",
        start.elapsed().as_millis(),
        memory_mb("VmRSS")
    );
    let ask = |session: &str, turns: &[&str], tokens| {
        let start = Instant::now();
        timed(
            models.generate(request(session, turns, tokens)).unwrap(),
            start,
        )
    };
    println!("cold:        {}", ask("a", &["When is breakfast?"], 40));
    let turns = [
        "When is breakfast?",
        "Breakfast is from seven to ten.",
        "Thank you. And where can I park?",
    ];
    for _ in 0..3 {
        println!("next turn:   {}", ask("a", &turns, 40));
    }
    println!(
        "new session: {}",
        ask("b", &["May I bring my dog with me?"], 40)
    );
    println!(
        "rss {} MB, peak {} MB",
        memory_mb("VmRSS"),
        memory_mb("VmHWM")
    );
    for count in [1, 2, 4, 8] {
        let start = Instant::now();
        let answers: Vec<_> = (0..count)
            .map(|n| models.generate(request(&n.to_string(), &["Tell me about the hotel."], 32)))
            .collect();
        let mut tokens = 0;
        for answer in answers {
            let mut answer = answer.unwrap();
            while let Some(event) = answer.next_blocking() {
                if let LlmEvent::Done { output_tokens, .. } = event {
                    tokens += output_tokens;
                }
            }
        }
        let speed = f64::from(tokens) / start.elapsed().as_secs_f64();
        println!("{count} at once: {tokens} tokens at {speed:.0}/s with prompts");
    }
    let long = "and then ".repeat(400);
    let generation = models.generate(request("z", &[&long], 400)).unwrap();
    let cancel = Instant::now();
    drop(generation);
    let waited = ask("y", &["Hello?"], 1);
    println!(
        "after cancelling a long prompt: {} ms until {waited}",
        cancel.elapsed().as_millis()
    );
    println!(
        "rss {} MB, peak {} MB",
        memory_mb("VmRSS"),
        memory_mb("VmHWM")
    );
}
