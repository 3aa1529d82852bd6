//! Sockets that are open and say nothing.
//! The mode `idle`; measures the server's memory per session.
//! It never sends an event; it answers pings.

use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::{StreamExt as _, future::join_all};
use tokio::{sync::watch, task::JoinSet, time::Instant};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    Idle,
    caller::ms,
    report::Report,
    server::Process,
    target::{Socket, Target},
};

/// Sockets opened at the same time.
const AT_ONCE: usize = 50;

/// Opens the sockets and reports.
pub(crate) async fn run(target: &Target, idle: &Idle, report: &mut Report) -> anyhow::Result<()> {
    let process = target.server_pid.map(Process::new);
    let before = process.map(Process::read).transpose()?;
    let begun = Instant::now();
    let (leave, leaving) = watch::channel(());
    let (mut sockets, mut connect) = (JoinSet::new(), Vec::new());
    while sockets.len() < idle.sockets {
        let batch = AT_ONCE.min(idle.sockets - sockets.len());
        for opened in join_all((0..batch).map(|_| open(target))).await {
            let (socket, took) = opened.with_context(|| format!("socket {}", sockets.len()))?;
            sockets.spawn(stay(socket, leaving.clone()));
            connect.push(took);
        }
    }
    let took = begun.elapsed();
    tokio::time::sleep(Duration::from_millis(idle.settle_ms)).await;
    let during = process.map(Process::read).transpose()?;
    report.value("sockets", sockets.len());
    report.value(
        "connections_per_s",
        sockets.len() as f64 / took.as_secs_f64(),
    );
    report.spread("connect_to_session_created_ms", &connect);
    if let (Some(before), Some(during)) = (before, during) {
        let grown = during.rss_kb.saturating_sub(before.rss_kb);
        report.value("server_rss_before_kb", before.rss_kb);
        report.value("server_rss_during_kb", during.rss_kb);
        report.value(
            "server_kb_per_socket",
            grown as f64 / sockets.len().max(1) as f64,
        );
    }
    drop(leave);
    let stayed = sockets.join_all().await;
    let closed = stayed.iter().filter(|stayed| !**stayed).count();
    report.value("sockets_closed_by_the_server", closed);
    tokio::time::sleep(Duration::from_millis(idle.settle_ms)).await;
    if let Some(after) = process.map(Process::read).transpose()? {
        report.value("server_rss_after_kb", after.rss_kb);
    }
    report.finish()
}

/// Listens, which answers pings, until all leave; says whether the connection was there to the end.
pub(crate) async fn stay(mut socket: Socket, mut leaving: watch::Receiver<()>) -> bool {
    loop {
        tokio::select! {
            heard = socket.next() => match heard {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return false,
                Some(Ok(_)) => {}
            },
            // an error: the sender is gone
            _ = leaving.changed() => break,
        }
    }
    let _ = socket.close(None).await;
    true
}

/// A session, and how long it took from the connection to `session.created`, in ms.
pub(crate) async fn open(target: &Target) -> anyhow::Result<(Socket, f64)> {
    let begun = Instant::now();
    let mut socket = target.open().await?;
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) if text.contains("session.created") => break,
            Some(Ok(Message::Text(text))) => bail!("the server said {text} first"),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error).context("the connection broke"),
            None => bail!("the server closed the connection"),
        }
    }
    Ok((socket, ms(begun.elapsed())))
}
