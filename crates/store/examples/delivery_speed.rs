//! How many changes a second the journal brings to a database while sessions talk, and how long the last of them waits.
//! Run by hand (`DATABASE_URL=… cargo run --release --package antiphon-store --example delivery_speed`);
//! docs/performance.md has the numbers.
//! Never asserts anything: time is measured, not tested.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a tool for a person: it prints, reads the clock and the environment, and ends with the line of what failed"
)]

use std::time::Instant;

use chrono::{DateTime, Utc};
use engine::meter::Units;
use store::{
    Change, Entry, Journal, JournalOptions, JournalState, Piece, SessionKey, Settings, Sql,
};

/// Conversations that talk at once, each with as many turns.
const SESSIONS: i64 = 50;
const TURNS: i64 = 100;

#[tokio::main]
async fn main() {
    let url = std::env::var("DATABASE_URL").unwrap();
    let tenants: i64 = std::env::args().nth(1).map_or(1, |n| n.parse().unwrap());
    let mut settings = Settings::at(url);
    settings.owner_url = std::env::var("DATABASE_OWNER_URL").ok();
    let sql = Sql::open(&settings).await.unwrap();
    let folder = std::env::temp_dir().join(format!("antiphon-delivery-{}", std::process::id()));
    let options = JournalOptions {
        folder: folder.clone(),
        limit_bytes: 1 << 30,
        keys: None,
    };
    let (journal, delivery) = Journal::open(options).await.unwrap();
    let delivering = tokio::spawn(delivery.run(sql.clone(), std::future::pending()));
    let begun = Instant::now();
    let mut talking = tokio::task::JoinSet::new();
    for number in 0..SESSIONS {
        let journal = journal.clone();
        let tenant = format!("tenant{}", number % tenants);
        let id = format!("sess_{}_{number}", std::process::id());
        let session = SessionKey::new(tenant, id, Utc::now());
        talking.spawn(async move { talk(&journal, &session).await });
    }
    talking.join_all().await;
    let told = begun.elapsed();
    while journal.state().waiting > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let took = begun.elapsed();
    let JournalState {
        delivered, refused, ..
    } = journal.state();
    println!(
        "{delivered} changes of {SESSIONS} sessions and {tenants} tenants ({refused} refused)"
    );
    println!("told in {told:?}, delivered in {took:?}");
    println!(
        "{:.0} changes a second",
        delivered as f64 / took.as_secs_f64()
    );
    drop(journal);
    delivering.await.unwrap();
    std::fs::remove_dir_all(folder).unwrap();
}

/// What a conversation by voice writes: the words of the caller twice (without and with their transcript), the answer twice, three
/// pieces of work, and which response they belong to.
async fn talk(journal: &Journal, session: &SessionKey) {
    let mut revision = 0;
    let mut tell = async |change| {
        let counts = !matches!(change, Change::Used(_) | Change::Answered { .. });
        revision += i64::from(counts);
        let entry = Entry {
            session: session.clone(),
            revision: if counts { revision } else { 0 },
            change,
        };
        journal.append(&entry).await.unwrap();
    };
    tell(Change::Settings {
        project: "default".to_owned(),
        model: "scripted".to_owned(),
        settings: format!(r#"{{"instructions":"{}"}}"#, "x".repeat(600)),
    })
    .await;
    let now = session.started_at();
    for turn in 0..TURNS {
        for (place, text) in [(0, 0), (0, 200), (1, 0), (1, 400)] {
            tell(put(now, turn * 2 + place, text)).await;
        }
        for number in 1..=3 {
            tell(used(now, turn, number)).await;
        }
        tell(Change::Answered {
            run: "run".to_owned(),
            turn: turn as u32,
            response: format!("resp_{turn}"),
        })
        .await;
    }
    tell(Change::Ended {
        at: now,
        outcome: "closed".to_owned(),
    })
    .await;
}

fn put(at: DateTime<Utc>, position: i64, text: usize) -> Change {
    Change::Put {
        item: format!("item_{position}"),
        position,
        created_at: at,
        content: format!(
            r#"{{"type":"message","text":"{}","id":"item_{position}"}}"#,
            "x".repeat(text)
        ),
    }
}

fn used(at: DateTime<Utc>, turn: i64, number: i64) -> Change {
    Change::Used(Box::new(Piece {
        run: "run".to_owned(),
        number: (turn * 3 + number).unsigned_abs(),
        project: "default".to_owned(),
        at,
        turn: turn as u32,
        stage: "llm".to_owned(),
        provider: "openai".to_owned(),
        model: "gpt-4o-mini".to_owned(),
        wanted: "scripted".to_owned(),
        pipeline: "main".to_owned(),
        prices: "2026-11".to_owned(),
        units: Units {
            input_tokens: 100,
            output_tokens: 10,
            ..Units::default()
        },
        cost_pico: Some(2_500_000),
    }))
}
