//! Compares a decision of the limiter with one round trip to the same Redis: `cargo run -p antiphon-store --example
//! limiter_speed redis://127.0.0.1:6379`. Run by hand; the numbers are in docs/performance.md.
//! Never part of the server.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a measurement, run by hand"
)]

use std::time::{Duration, Instant};

use engine::guard::Rate;
use store::live::limiter::{Demand, Level, LevelKind};
use store::{Live, LiveOptions};

const ROUNDS: usize = 20_000;

fn level(kind: LevelKind) -> Level {
    Level {
        kind,
        id: "speed".to_owned(),
        requests: Some(Rate::per_minute(100_000_000)),
        tokens: None,
        audio_s: None,
    }
}

async fn measure(live: &Live, levels: &[Level]) -> Duration {
    let begun = Instant::now();
    live.limiter.take(levels, Demand::REQUEST, 0).await;
    begun.elapsed()
}

async fn ping(live: &Live) -> Duration {
    let begun = Instant::now();
    let link = live.link().expect("an address was given");
    link.ping().await.expect("redis answers");
    begun.elapsed()
}

fn show(what: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at = |percent: usize| took[took.len() * percent / 100].as_micros();
    println!("{what:>8}: p50 {} us, p99 {} us", at(50), at(99));
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let options = LiveOptions {
        redis_url: std::env::args().nth(1),
        ..LiveOptions::memory(1)
    };
    let live = Live::open(&options).await.expect("an address of redis");
    let four = [
        LevelKind::Global,
        LevelKind::Tenant,
        LevelKind::Key,
        LevelKind::Ip,
    ]
    .map(level);
    let (mut pings, mut ones, mut fours) = (Vec::new(), Vec::new(), Vec::new());
    // in turn, so that whatever else the machine does falls on all alike
    for _ in 0..ROUNDS {
        pings.push(ping(&live).await);
        ones.push(measure(&live, &four[1..2]).await);
        fours.push(measure(&live, &four).await);
    }
    show("ping", pings);
    show("1 level", ones);
    show("4 levels", fours);
}
