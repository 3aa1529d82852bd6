//! Bad keys of several shapes, in turn.
//! The mode `refuse`; compares the time to 401 between the shapes, for what it tells a guesser.
//! It never sends a key that works.

use anyhow::{Context as _, ensure};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use crate::{
    Refuse,
    caller::ms,
    report::{Report, Spread},
    target::Target,
};

/// Length of the public id behind `ap_`.
const ID: usize = 10;
/// Characters behind the public id: secret and checksum.
const REST: usize = 49;

/// A kind of wrong key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Text without any form.
    Formless,
    /// Our form, with a checksum that cannot be right.
    UnknownId,
    /// The id of a real key with another secret.
    KnownId,
    /// The prefix of an ephemeral secret.
    Ephemeral,
    /// Four thousand characters.
    Long,
}

/// Knocks and reports.
pub(crate) async fn run(
    target: &Target,
    refuse: &Refuse,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut shapes = vec![
        Shape::Formless,
        Shape::UnknownId,
        Shape::Ephemeral,
        Shape::Long,
    ];
    if refuse.known.is_some() {
        shapes.push(Shape::KnownId);
    }
    let mut times = vec![Vec::new(); shapes.len()];
    for attempt in 0..refuse.attempts {
        // shapes take turns, so that a slow moment of the machine meets all of them
        for (index, shape) in shapes.iter().enumerate() {
            let key = key(*shape, attempt, refuse.known.as_deref().unwrap_or_default());
            let took = knock(target, &key).await?;
            report.line(&json!({"shape": format!("{shape:?}"), "ms": took}))?;
            times[index].push(took);
        }
    }
    report.value("attempts_per_shape", refuse.attempts);
    let mut medians = Vec::new();
    for (shape, times) in shapes.iter().zip(&times) {
        report.spread(&format!("{shape:?}_ms"), times);
        medians.extend(Spread::of(times).map(|spread| spread.p50));
    }
    if let Some(spread) = Spread::of(&medians) {
        report.value("largest_difference_of_medians_ms", spread.max - spread.min);
    }
    report.finish()
}

/// Time to the refusal of `key`, in ms, on a new connection that already stands.
async fn knock(target: &Target, key: &str) -> anyhow::Result<f64> {
    let mut stream = target.tcp().await?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {key}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        target.path, target.host
    );
    let begun = Instant::now();
    stream
        .write_all(request.as_bytes())
        .await
        .context("send the request")?;
    let mut head = [0; 64];
    let length = stream.read(&mut head).await.context("read the answer")?;
    let took = ms(begun.elapsed());
    let head = String::from_utf8_lossy(&head[..length]);
    let status = head.split(' ').nth(1).unwrap_or_default().to_owned();
    ensure!(status == "401", "a bad key was answered with {status}");
    Ok(took)
}

/// A key of this shape, another for every attempt.
fn key(shape: Shape, attempt: usize, known: &str) -> String {
    match shape {
        Shape::Formless => format!("sk-{attempt}"),
        Shape::UnknownId => format!("ap_{attempt:0>ID$}{attempt:0>REST$}"),
        Shape::Ephemeral => format!("ek_{attempt:0>32}"),
        Shape::Long => format!("ap_{attempt:0>4000}"),
        Shape::KnownId => {
            let id: String = known.chars().take("ap_".len() + ID).collect();
            format!("{id}{attempt:0>REST$}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attempt_knocks_with_another_key() {
        let known = "ap_0123456789secret";
        for shape in [
            Shape::Formless,
            Shape::UnknownId,
            Shape::KnownId,
            Shape::Ephemeral,
            Shape::Long,
        ] {
            assert_ne!(key(shape, 1, known), key(shape, 2, known));
            assert_ne!(key(shape, 1, known), known);
        }
        assert!(key(Shape::KnownId, 1, known).starts_with("ap_0123456789"));
        assert_eq!(
            key(Shape::KnownId, 1, known).len(),
            key(Shape::UnknownId, 1, known).len()
        );
    }
}
