//! Many sockets that speak at once, and what the server adds to an event that stands behind their sound.
//! The mode `stream`; one frame every `frame_ms` on each socket, the sockets evenly spread over that time.
//! It never sends a frame before its time, and counts its own lateness apart.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use engine::audio::{Format, SampleRate};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _, future::join_all};
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt as _,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

use crate::{
    Stream,
    caller::ms,
    clip::append,
    report::Report,
    server::{Process, Usage},
    target::{Socket, Target},
};

/// Sockets opened at the same time.
const AT_ONCE: usize = 50;
/// Longest wait for one socket's session.
const OPENING: Duration = Duration::from_secs(20);
/// Time between the last socket's opening and the first frame that counts.
const START_AFTER: Duration = Duration::from_millis(500);
/// Empties the buffer of the session; answered by `input_audio_buffer.cleared`.
const CLEAR: &str = r#"{"type":"input_audio_buffer.clear"}"#;

/// The frames that all sockets send, masked once (RFC 6455 §5.3), so that the sender is cheaper than the server.
struct Frames {
    sound: Vec<Vec<u8>>,
    clear: Vec<u8>,
}

/// When frames are due.
#[derive(Clone, Copy)]
struct Pace {
    first: Instant,
    /// Frames before this are not counted.
    counted_from: Instant,
    until: Instant,
    every: Duration,
    /// An event stands behind every so many frames.
    probe_every: usize,
}

/// What one socket saw.
#[derive(Default)]
struct Seen {
    frames: u64,
    late_ms: Vec<f64>,
    answer_ms: Vec<f64>,
    /// Events without an answer when the next one was due.
    unanswered: u64,
    /// Why it ended before its time.
    broken: Option<String>,
}

/// Opens the sockets, streams and reports.
pub(crate) async fn run(
    target: &Target,
    stream: &Stream,
    report: &mut Report,
) -> anyhow::Result<()> {
    ensure!(
        stream.frame_ms > 0 && stream.probe_every > 0,
        "--frame-ms and --probe-every begin at 1"
    );
    let frames = Arc::new(frames(stream));
    let process = target.server_pid.map(Process::new);
    let before = process.map(Process::read).transpose()?;
    let sockets = open_all(target, stream).await?;
    let opened = process.map(Process::read).transpose()?;
    let count = sockets.len();
    let usage = Usage::during(target.server_pid, speak(stream, sockets, &frames)).await?;
    let (seen, usage) = usage;
    let all =
        |part: fn(&Seen) -> &[f64]| -> Vec<f64> { seen.iter().flat_map(part).copied().collect() };
    report.value("sockets", count);
    let broken: Vec<_> = seen.iter().filter_map(|one| one.broken.as_ref()).collect();
    report.value("sockets_broken", broken.len());
    if let Some(why) = broken.first() {
        report.value("first_broken", why.as_str());
    }
    let sent: u64 = seen.iter().map(|seen| seen.frames).sum();
    report.value("frames_per_s", sent as f64 / stream.seconds.max(1) as f64);
    report.value(
        "frames_due_per_s",
        count as f64 * 1000.0 / f64::from(stream.frame_ms),
    );
    report.value(
        "unanswered",
        seen.iter().map(|seen| seen.unanswered).sum::<u64>(),
    );
    report.spread("generator_late_ms", &all(|seen| &seen.late_ms));
    report.spread("event_behind_sound_ms", &all(|seen| &seen.answer_ms));
    if let (Some(before), Some(opened)) = (before, opened) {
        report.value(
            "server_rss_without_sockets_mb",
            before.rss_kb as f64 / 1024.0,
        );
        report.value("server_rss_before_sound_mb", opened.rss_kb as f64 / 1024.0);
    }
    if let Some(usage) = usage {
        usage.tell(count, report)?;
    }
    report.finish()
}

/// A quiet hum: every stage of the server runs, and no turn begins.
fn frames(stream: &Stream) -> Frames {
    let samples: Vec<i16> = (0..SampleRate::HZ_24K.samples(u64::from(stream.frame_ms)))
        .map(|at| (60.0 * (at as f32 * 0.05).sin()) as i16)
        .collect();
    let text = append(&samples, SampleRate::HZ_24K, Format::Pcm24k);
    Frames {
        sound: vec![masked(text.as_str())],
        clear: masked(CLEAR),
    }
}

/// A text frame as it goes over the wire.
fn masked(text: &str) -> Vec<u8> {
    let mut frame = Frame::message(text.to_owned(), OpCode::Data(Data::Text), true);
    frame.header_mut().mask = Some([0x5a, 0x17, 0xc3, 0x88]);
    let mut bytes = Vec::with_capacity(frame.len());
    // writing to memory does not fail
    let _ = frame.format(&mut bytes);
    bytes
}

async fn open_all(target: &Target, stream: &Stream) -> anyhow::Result<Vec<Socket>> {
    let mut sockets = Vec::new();
    while sockets.len() < stream.sockets {
        let batch = AT_ONCE.min(stream.sockets - sockets.len());
        for opened in join_all((0..batch).map(|_| timeout(OPENING, open(target, stream)))).await {
            let socket = opened
                .context("the session was not configured in time")?
                .with_context(|| format!("socket {}", sockets.len()))?;
            sockets.push(socket);
        }
    }
    Ok(sockets)
}

async fn open(target: &Target, stream: &Stream) -> anyhow::Result<Socket> {
    let mut socket = target.open().await?;
    let detection = if stream.vad {
        json!({"type": "server_vad"})
    } else {
        Value::Null
    };
    let session = json!({"type": "realtime", "audio": {"input": {"turn_detection": detection}}});
    let update = json!({"type": "session.update", "session": session});
    socket
        .send(Message::text(update.to_string()))
        .await
        .context("configure the session")?;
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) if text.contains("session.updated") => return Ok(socket),
            Some(Ok(Message::Text(text))) if text.contains("\"type\":\"error\"") => {
                bail!("the server said {text}")
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error).context("the connection broke"),
            None => bail!("the server closed the connection"),
        }
    }
}

async fn speak(stream: &Stream, sockets: Vec<Socket>, frames: &Arc<Frames>) -> Vec<Seen> {
    let every = Duration::from_millis(u64::from(stream.frame_ms));
    let begun = Instant::now() + START_AFTER;
    let counted_from = begun + Duration::from_secs(stream.warm_up_s);
    let count = sockets.len().max(1) as u32;
    let mut speaking = JoinSet::new();
    for (at, socket) in sockets.into_iter().enumerate() {
        let pace = Pace {
            first: begun + every * at as u32 / count,
            counted_from,
            until: counted_from + Duration::from_secs(stream.seconds),
            every,
            probe_every: stream.probe_every,
        };
        // events are as evenly spread as frames
        let offset = at % stream.probe_every;
        let frames = Arc::clone(frames);
        speaking.spawn(async move {
            let mut seen = Seen::default();
            if let Err(error) = speak_on(socket, pace, offset, &frames, &mut seen).await {
                seen.broken = Some(format!("{error:#}"));
            }
            seen
        });
    }
    speaking.join_all().await
}

async fn speak_on(
    mut socket: Socket,
    pace: Pace,
    offset: usize,
    frames: &Frames,
    seen: &mut Seen,
) -> anyhow::Result<()> {
    let mut asked: Option<Instant> = None;
    let mut sound = frames.sound.iter().cycle();
    let mut both = Vec::new();
    for at in 0_u32.. {
        let due = pace.first + pace.every * at;
        if due >= pace.until {
            break;
        }
        loop {
            tokio::select! {
                biased;
                readable = socket.get_ref().readable() => readable.context("the connection broke")?,
                () = sleep_until(due) => break,
            }
            // asked only when there is something: asking clears the library's whole buffer
            while let Some(message) = socket.next().now_or_never() {
                let message = message.context("the server closed the connection")?;
                let message = message.context("the connection broke")?;
                let Message::Text(text) = message else {
                    continue;
                };
                if text.contains("input_audio_buffer.cleared")
                    && let Some(asked) = asked.take()
                    && asked >= pace.counted_from
                {
                    seen.answer_ms.push(ms(asked.elapsed()));
                }
            }
        }
        let counts = due >= pace.counted_from;
        if counts {
            seen.frames += 1;
            seen.late_ms.push(ms(due.elapsed()));
        }
        let Some(frame) = sound.next() else { break };
        let writer = socket.get_mut();
        if (at as usize + offset).is_multiple_of(pace.probe_every) {
            both.clear();
            both.extend_from_slice(frame);
            both.extend_from_slice(&frames.clear);
            if asked.replace(Instant::now()).is_some() && counts {
                seen.unanswered += 1;
            }
            writer.write_all(&both).await.context("send sound")?;
        } else {
            writer.write_all(frame).await.context("send sound")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_masked_text() {
        let bytes = masked("abc");
        assert_eq!(&bytes[..2], [0x81, 0x83]);
        let plain: Vec<u8> = bytes[6..]
            .iter()
            .zip(&bytes[2..6])
            .map(|(byte, mask)| byte ^ mask)
            .collect();
        assert_eq!(plain, b"abc");
    }
}
