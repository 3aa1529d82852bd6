//! Sessions that are opened, greeted and left again: time from the connection to `session.created`.
//! The mode `create`; one after the other, or several at a time.
//! It never says anything in a session.

use anyhow::Context as _;
use futures_util::future::try_join_all;
use tokio::time::Instant;

use crate::{Create, idle::open, report::Report, server::Usage, target::Target};

/// Opens the sessions and reports.
pub(crate) async fn run(
    target: &Target,
    create: &Create,
    report: &mut Report,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let at_once = usize::from(create.at_once);
    let rows = (0..at_once).map(|row| {
        let sessions = create.sessions / at_once + usize::from(row < create.sessions % at_once);
        one_by_one(target, sessions)
    });
    let (opened, usage) = Usage::during(target.server_pid, try_join_all(rows)).await?;
    let took: Vec<f64> = opened?.into_iter().flatten().collect();
    report.value("sessions", took.len());
    report.value("at_once", create.at_once);
    report.value(
        "sessions_per_s",
        took.len() as f64 / begun.elapsed().as_secs_f64(),
    );
    report.spread("connect_to_session_created_ms", &took);
    if let Some(usage) = usage {
        usage.tell(at_once, report)?;
    }
    report.finish()
}

async fn one_by_one(target: &Target, sessions: usize) -> anyhow::Result<Vec<f64>> {
    let mut took = Vec::with_capacity(sessions);
    for at in 0..sessions {
        let (mut socket, ms) = open(target)
            .await
            .with_context(|| format!("session {at} of a row"))?;
        took.push(ms);
        // how it ends is not what is measured
        let _ = socket.close(None).await;
    }
    Ok(took)
}
