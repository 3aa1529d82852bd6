//! Dialogues of the text survey that are open and wait for their next word.
//! The mode `survey`; measures the server's memory per dialogue and the time to a reply.
//! It never proves an address: what it types has no code, which the server has to look up each time.

use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::{SinkExt as _, StreamExt as _, future::join_all};
use tokio::{sync::watch, task::JoinSet, time::Instant};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    Survey,
    caller::ms,
    idle::stay,
    report::Report,
    server::Process,
    target::{Socket, Target},
};

/// Dialogues opened at the same time.
const AT_ONCE: usize = 50;

/// Opens the dialogues and reports.
pub(crate) async fn run(
    target: &Target,
    survey: &Survey,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut target = target.clone();
    target.path.clone_from(&survey.path);
    if survey.resume {
        target.path.push_str("?resume=new");
    }
    let process = target.server_pid.map(Process::new);
    let before = process.map(Process::read).transpose()?;
    let begun = Instant::now();
    let (leave, leaving) = watch::channel(());
    let (mut dialogues, mut connects, mut replies) = (JoinSet::new(), Vec::new(), Vec::new());
    while dialogues.len() < survey.dialogues {
        let first = dialogues.len();
        let batch = AT_ONCE.min(survey.dialogues - first);
        let opening = (first..first + batch).map(|number| open(&target, survey, number));
        for opened in join_all(opening).await {
            let (socket, connect, reply) =
                opened.with_context(|| format!("dialogue {}", dialogues.len()))?;
            dialogues.spawn(stay(socket, leaving.clone()));
            connects.push(connect);
            replies.push(reply);
        }
    }
    let took = begun.elapsed();
    tokio::time::sleep(Duration::from_millis(survey.settle_ms)).await;
    let during = process.map(Process::read).transpose()?;
    report.value("dialogues", dialogues.len());
    report.value(
        "dialogues_per_s",
        dialogues.len() as f64 / took.as_secs_f64(),
    );
    report.spread("connect_to_welcome_ms", &connects);
    report.spread("input_to_reply_ms", &replies);
    if let (Some(before), Some(during)) = (before, during) {
        let grown = during.rss_kb.saturating_sub(before.rss_kb);
        report.value("server_rss_before_kb", before.rss_kb);
        report.value("server_rss_during_kb", during.rss_kb);
        report.value(
            "server_kb_per_dialogue",
            grown as f64 / dialogues.len().max(1) as f64,
        );
    }
    drop(leave);
    let stayed = dialogues.join_all().await;
    let closed = stayed.iter().filter(|stayed| !**stayed).count();
    report.value("dialogues_closed_by_the_server", closed);
    report.finish()
}

/// A dialogue that has typed an address; how long the welcome and the reply took, in ms.
async fn open(
    target: &Target,
    survey: &Survey,
    number: usize,
) -> anyhow::Result<(Socket, f64, f64)> {
    let begun = Instant::now();
    let mut socket = target.open().await?;
    if survey.resume {
        frame(&mut socket).await?;
    }
    frame(&mut socket).await?;
    let connect = ms(begun.elapsed());
    let asked = Instant::now();
    let address = format!("agent{number}@load.example");
    socket
        .send(Message::text(address))
        .await
        .context("type an address")?;
    let reply = frame(&mut socket).await?;
    if !reply.contains("No verification code found") {
        bail!("the server said {reply}");
    }
    Ok((socket, connect, ms(asked.elapsed())))
}

async fn frame(socket: &mut Socket) -> anyhow::Result<String> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return Ok(text.to_string()),
            Some(Ok(Message::Close(_))) | None => bail!("the server closed the connection"),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error).context("the connection broke"),
        }
    }
}
