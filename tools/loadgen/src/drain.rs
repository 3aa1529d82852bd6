//! A server that is told to end while people talk to it.
//! The mode `drain`; counts the turns that were lost, and how long the server took to be gone.
//! It never speaks again once the signal is out.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::Instant;

use crate::{
    Voice,
    caller::{Caller, between, ms},
    clip::Clip,
    report::Report,
    server::Process,
    talk::{SETTLE, start},
    target::Target,
};

/// Longest a server may take, in s: its own limit and a little more.
const LONGEST: Duration = Duration::from_secs(40);
/// Longest wait for an answer before the signal.
const PATIENCE: Duration = Duration::from_secs(10);
/// When the signal is sent: all callers have begun and are somewhere in their turns.
const SIGNAL_AFTER: Duration = Duration::from_secs(9);
/// Time between two looks whether the process still runs.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How the call of one caller went on after the signal.
#[derive(Debug)]
struct Outcome {
    /// Whether the answer to a question that had been asked before the signal came whole; none when no answer was owed.
    answered: Option<bool>,
    code: u16,
    closed: Instant,
}

/// Runs the callers, sends the signal, and reports.
pub(crate) async fn run(target: &Target, voice: &Voice, report: &mut Report) -> anyhow::Result<()> {
    let process = Process::new(target.server_pid.context("drain needs --server-pid")?);
    let clip = Arc::new(Clip::read(&voice.wav, voice.format)?);
    let signal = Cell::new(None);
    let signal = &signal;
    let calls = join_all((0..voice.calls).map(|number| {
        let clip = Arc::clone(&clip);
        async move {
            tokio::time::sleep(start(number)).await;
            call(target, clip, voice, signal).await
        }
    }));
    let ending = async {
        tokio::time::sleep(SIGNAL_AFTER).await;
        process.terminate()?;
        let sent = Instant::now();
        signal.set(Some(sent));
        while process.runs() && sent.elapsed() < LONGEST {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        ensure!(
            !process.runs(),
            "the server still runs {} s after SIGTERM",
            LONGEST.as_secs()
        );
        Ok((sent, sent.elapsed()))
    };
    let (calls, ended) = tokio::join!(calls, ending);
    let (sent, exit) = ended?;
    let (mut broken, mut owed, mut lost, mut closes) = (0, 0, 0, Vec::new());
    let mut codes = std::collections::BTreeMap::<String, u32>::new();
    for call in calls {
        let outcome = match call {
            Ok(outcome) => outcome,
            Err(error) => {
                eprintln!("loadgen: {error:#}");
                broken += 1;
                continue;
            }
        };
        report.line(&json!({
            "owed": outcome.answered.is_some(),
            "answered": outcome.answered,
            "code": outcome.code,
            "closed_ms": between(sent, outcome.closed),
        }))?;
        owed += u32::from(outcome.answered.is_some());
        lost += u32::from(outcome.answered == Some(false));
        *codes.entry(outcome.code.to_string()).or_default() += 1;
        closes.push(between(sent, outcome.closed));
    }
    report.value("calls", voice.calls);
    report.value("calls_broken_before_the_signal", broken);
    report.value("turns_owed_at_the_signal", owed);
    report.value("turns_lost", lost);
    report.value("close_codes", json!(codes));
    report.spread("signal_to_close_ms", &closes);
    report.value("signal_to_exit_ms", ms(exit));
    report.finish()
}

async fn call(
    target: &Target,
    clip: Arc<Clip>,
    voice: &Voice,
    signal: &Cell<Option<Instant>>,
) -> anyhow::Result<Outcome> {
    let mut caller = Caller::connect(target, clip, voice).await?;
    let mut owed = false;
    let result = talk(&mut caller, voice, signal, &mut owed).await;
    let (Some(ended), Some(_)) = (caller.ended, signal.get()) else {
        return Err(result
            .err()
            .unwrap_or_else(|| anyhow::anyhow!("the line stayed open")));
    };
    let heard = &caller.heard;
    let answered = heard
        .done
        .as_ref()
        .is_some_and(|(_, status)| status == "completed");
    Ok(Outcome {
        answered: owed.then_some(answered),
        code: ended.code,
        closed: Instant::now(),
    })
}

/// Turn after turn until the signal, then silence until the server hangs up, which is the error this ends with.
async fn talk(
    caller: &mut Caller,
    voice: &Voice,
    signal: &Cell<Option<Instant>>,
    owed: &mut bool,
) -> anyhow::Result<()> {
    caller.wait(SETTLE, |_| signal.get().is_some()).await?;
    while signal.get().is_none() {
        caller.listen_anew();
        *owed = false;
        caller.speak_while(|| signal.get().is_none()).await?;
        if signal.get().is_some() {
            break;
        }
        *owed = true;
        caller
            .wait(PATIENCE, |caller| {
                caller.heard.done.is_some() || signal.get().is_some()
            })
            .await?;
        if signal.get().is_none() {
            *owed = false;
            caller
                .wait(Duration::from_millis(voice.gap_ms), |_| {
                    signal.get().is_some()
                })
                .await?;
        }
    }
    caller.wait(LONGEST, |_| false).await?;
    Ok(())
}
