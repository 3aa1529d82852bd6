//! What keeping a change costs the session that waits for it.
//! Run by hand (`cargo run --release --package antiphon-store --example journal_speed`); docs/performance.md has the numbers.
//! Never asserts anything: time is measured, not tested.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a tool for a person: it prints, reads the clock, and ends with the line of what failed"
)]

use std::time::Instant;

use store::{Change, Entry, Journal, JournalOptions, SessionKey};

const ROUNDS: i64 = 20_000;

#[tokio::main]
async fn main() {
    let folder = std::env::temp_dir().join(format!("antiphon-journal-{}", std::process::id()));
    let options = JournalOptions {
        folder: folder.clone(),
        limit_bytes: 1 << 30,
        keys: None,
    };
    let (journal, _delivery) = Journal::open(options).await.unwrap();
    let session = SessionKey::new("acme", "sess_1", chrono::DateTime::UNIX_EPOCH);
    let mut took = Vec::new();
    for revision in 0..ROUNDS {
        let change = Change::Put {
            item: format!("item_{revision}"),
            position: revision,
            created_at: session.started_at(),
            content: "x".repeat(400),
        };
        let entry = Entry {
            session: session.clone(),
            revision,
            change,
        };
        let begun = Instant::now();
        journal.append(&entry).await.unwrap();
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    for (name, part) in [("p50", 50), ("p99", 99)] {
        println!("{name} {:?}", took[took.len() * part / 100]);
    }
    println!("longest {:?}", took[took.len() - 1]);
    drop(journal);
    std::fs::remove_dir_all(folder).unwrap();
}
