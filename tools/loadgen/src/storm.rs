//! Appends as fast as the server takes them.
//! The mode `storm`; shows that memory stays bounded and that the session still answers afterwards.
//! It never waits for an answer while it floods.

use std::time::Duration;

use anyhow::Context as _;
use engine::audio::{Format, SampleRate};
use futures_util::{SinkExt as _, StreamExt as _, future::join_all};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::{Storm, caller::ms, clip::append, report::Report, server::Usage, target::Target};

/// Longest wait for the first event after the flood.
const PATIENCE: Duration = Duration::from_secs(20);

/// What one socket did.
struct Flood {
    bytes: u64,
    audio_ms: u64,
    /// Time to the answer to the last event, in ms; none when the server had closed the connection.
    answered_ms: Option<f64>,
}

/// Floods and reports.
pub(crate) async fn run(target: &Target, storm: &Storm, report: &mut Report) -> anyhow::Result<()> {
    let samples = vec![0; SampleRate::HZ_24K.samples(u64::from(storm.append_ms)) as usize];
    let message = append(&samples, SampleRate::HZ_24K, Format::Pcm24k);
    let floods = (0..storm.sockets).map(|_| flood(target, storm, &message));
    let (floods, usage) = Usage::during(target.server_pid, join_all(floods)).await?;
    let (mut bytes, mut audio_ms, mut answers, mut closed, mut broken) = (0, 0, Vec::new(), 0, 0);
    for flood in floods {
        match flood {
            Ok(flood) => {
                bytes += flood.bytes;
                audio_ms += flood.audio_ms;
                match flood.answered_ms {
                    Some(answered) => answers.push(answered),
                    None => closed += 1,
                }
            }
            Err(error) => {
                eprintln!("loadgen: {error:#}");
                broken += 1;
            }
        }
    }
    report.value("sockets", storm.sockets);
    report.value("sockets_broken", broken);
    report.value("sockets_closed_by_the_server", closed);
    report.value("append_ms", storm.append_ms);
    report.value("sent_mb", bytes as f64 / 1e6);
    report.value(
        "audio_s_per_s",
        audio_ms as f64 / 1000.0 / storm.seconds.max(1) as f64,
    );
    report.spread("answer_after_the_storm_ms", &answers);
    if let Some(usage) = usage {
        usage.tell(storm.sockets, report)?;
    }
    report.finish()
}

async fn flood(target: &Target, storm: &Storm, message: &Utf8Bytes) -> anyhow::Result<Flood> {
    let (mut sink, mut stream) = target.open().await?.split();
    let until = Instant::now() + Duration::from_secs(storm.seconds);
    let (mut bytes, mut audio_ms) = (0, 0);
    let sending = async {
        while Instant::now() < until {
            sink.send(Message::Text(message.clone())).await?;
            bytes += message.len() as u64;
            audio_ms += u64::from(storm.append_ms);
        }
        // an event whose answer cannot be mistaken for another
        let last = "{\"type\":\"conversation.item.retrieve\",\"item_id\":\"storm_is_over\"}";
        sink.send(Message::Text(Utf8Bytes::from_static(last)))
            .await?;
        Ok::<_, tokio_tungstenite::tungstenite::Error>(Instant::now())
    };
    let hearing = async {
        while let Some(Ok(message)) = stream.next().await {
            if let Message::Text(text) = message
                && text.contains("storm_is_over")
            {
                return Some(Instant::now());
            }
        }
        None
    };
    let limit = Duration::from_secs(storm.seconds) + PATIENCE;
    let (sent, heard) = timeout(limit, async { tokio::join!(sending, hearing) })
        .await
        .context("the session did not answer after the storm")?;
    let answered_ms = match (sent, heard) {
        (Ok(sent), Some(heard)) => Some(ms(heard.saturating_duration_since(sent))),
        _ => None,
    };
    Ok(Flood {
        bytes,
        audio_ms,
        answered_ms,
    })
}
