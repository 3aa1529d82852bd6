//! Prints one server event of every type as JSON lines, for an event validator:
//! `cargo run -p antiphon-wire --example server_events [beta]`.

#[path = "../tests/it/samples.rs"]
mod samples;

use std::io::Write as _;

use wire::realtime::{beta, fast};

fn main() -> std::io::Result<()> {
    let old = std::env::args().any(|argument| argument == "beta");
    let mut out = std::io::stdout().lock();
    for (index, event) in samples::events().iter().enumerate() {
        let id = format!("event_{index}");
        let frames = if old {
            beta::write_events(event, &id)
        } else {
            let mut text = String::new();
            fast::write_event(event, &id, &mut text);
            vec![text]
        };
        for frame in frames {
            writeln!(out, "{frame}")?;
        }
    }
    Ok(())
}
