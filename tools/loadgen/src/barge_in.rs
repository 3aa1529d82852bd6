//! Callers who speak into a long answer, and then cancel one.
//! The mode `barge-in`; needs a server that hands audio out at the speed of speech (`scripted.speech_pace_percent`).
//! It never speaks before the answer has begun.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use futures_util::future::join_all;
use serde_json::json;

use crate::{
    Voice,
    caller::{Caller, PADDING_MS, between},
    clip::Clip,
    report::Report,
    server::Usage,
    talk::{SETTLE, start},
    target::Target,
};

/// Longest wait for anything to begin or to end.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much of the answer is heard before the caller speaks.
const INTO_THE_ANSWER: Duration = Duration::from_millis(800);
/// Speech that the server waits for before it believes that somebody speaks, in ms (`engine::audio::EndpointConfig`).
const DETECTOR_MS: u64 = 64;
/// Audio that arrives so long after the cut belongs to the next answer.
const QUIET: Duration = Duration::from_millis(100);

/// What one interruption took, in ms.
#[derive(Debug, Default)]
struct Cut {
    /// From the caller's first voiced frame to the last audio of the answer.
    speech_to_quiet: f64,
    /// From the frame that completed the detector's minimum to the last audio of the answer.
    minimum_to_quiet: f64,
    /// From the caller's first voiced frame to `response.done`.
    speech_to_done: f64,
    /// From `response.cancel` to the last audio of the answer.
    cancel_to_quiet: f64,
    /// From `response.cancel` to `response.done`.
    cancel_to_done: f64,
}

/// Runs the callers and reports.
pub(crate) async fn run(target: &Target, voice: &Voice, report: &mut Report) -> anyhow::Result<()> {
    let clip = Arc::new(Clip::read(&voice.wav, voice.format)?);
    let calls = (0..voice.calls).map(|number| {
        let clip = Arc::clone(&clip);
        async move {
            tokio::time::sleep(start(number)).await;
            call(target, clip, voice).await
        }
    });
    let (calls, usage) = Usage::during(target.server_pid, join_all(calls)).await?;
    let (mut cuts, mut broken, mut late) = (Vec::new(), 0, Vec::new());
    for call in calls {
        match call {
            Ok((turns, late_ms)) => {
                cuts.extend(turns);
                late.extend(late_ms);
            }
            Err(error) => {
                eprintln!("loadgen: {error:#}");
                broken += 1;
            }
        }
    }
    for cut in &cuts {
        report.line(&json!({
            "speech_to_quiet_ms": cut.speech_to_quiet,
            "minimum_to_quiet_ms": cut.minimum_to_quiet,
            "speech_to_done_ms": cut.speech_to_done,
            "cancel_to_quiet_ms": cut.cancel_to_quiet,
            "cancel_to_done_ms": cut.cancel_to_done,
        }))?;
    }
    let all = |value: fn(&Cut) -> f64| cuts.iter().map(value).collect::<Vec<_>>();
    report.value("calls", voice.calls);
    report.value("calls_broken", broken);
    report.spread(
        "first_speech_to_last_audio_ms",
        &all(|cut| cut.speech_to_quiet),
    );
    report.spread(
        "detector_minimum_to_last_audio_ms",
        &all(|cut| cut.minimum_to_quiet),
    );
    report.spread(
        "first_speech_to_response_done_ms",
        &all(|cut| cut.speech_to_done),
    );
    report.spread("cancel_to_last_audio_ms", &all(|cut| cut.cancel_to_quiet));
    report.spread("cancel_to_response_done_ms", &all(|cut| cut.cancel_to_done));
    report.spread("sender_late_ms", &late);
    if let Some(usage) = usage {
        usage.tell(voice.calls, report)?;
    }
    report.finish()
}

async fn call(
    target: &Target,
    clip: Arc<Clip>,
    voice: &Voice,
) -> anyhow::Result<(Vec<Cut>, Vec<f64>)> {
    let mut caller = Caller::connect(target, clip, voice).await?;
    caller.wait(SETTLE, |_| false).await?;
    let mut cuts = Vec::new();
    for _ in 0..voice.turns {
        let mut cut = Cut::default();
        ask(&mut caller).await?;
        interrupt(&mut caller, &mut cut).await?;
        // what was spoken over the answer is a question, too: the answer to it is the one to cancel
        hear_answer(&mut caller).await?;
        cancel(&mut caller, &mut cut).await?;
        caller
            .wait(Duration::from_millis(voice.gap_ms), |_| false)
            .await?;
        cuts.push(cut);
    }
    let caller = caller.hang_up().await;
    Ok((cuts, caller.late_ms))
}

async fn ask(caller: &mut Caller) -> anyhow::Result<()> {
    caller.listen_anew();
    caller.speak().await?;
    hear_answer(caller).await
}

async fn hear_answer(caller: &mut Caller) -> anyhow::Result<()> {
    let begun = caller
        .wait(PATIENCE, |caller| caller.heard.first_audio.is_some())
        .await?;
    ensure!(begun, "the answer did not begin");
    caller.wait(INTO_THE_ANSWER, |_| false).await?;
    ensure!(
        caller.heard.done.is_none(),
        "the answer was over before it could be interrupted"
    );
    Ok(())
}

async fn interrupt(caller: &mut Caller, cut: &mut Cut) -> anyhow::Result<()> {
    caller.listen_anew();
    let (first, _) = caller.speak().await?;
    let over = caller
        .wait(PATIENCE, |caller| caller.heard.done.is_some())
        .await?;
    ensure!(over, "the answer was not cut off");
    let heard = caller.heard.clone();
    let Some((done, _)) = heard.done else {
        return Ok(());
    };
    let (quiet, begun) = (heard.last_audio.unwrap_or(first), heard.speech_started);
    let decided = begun.and_then(|(_, start_ms)| caller.sent(start_ms + PADDING_MS + DETECTOR_MS));
    cut.speech_to_quiet = between(first, quiet);
    cut.minimum_to_quiet = between(decided.unwrap_or(first), quiet);
    cut.speech_to_done = between(first, done);
    caller.listen_anew();
    Ok(())
}

async fn cancel(caller: &mut Caller, cut: &mut Cut) -> anyhow::Result<()> {
    caller.listen_anew();
    let sent = caller.send("{\"type\":\"response.cancel\"}").await?;
    let over = caller
        .wait(PATIENCE, |caller| caller.heard.done.is_some())
        .await?;
    ensure!(over, "response.cancel had no effect");
    caller.wait(QUIET, |_| false).await?;
    let heard = &caller.heard;
    if let Some((done, _)) = heard.done {
        cut.cancel_to_done = between(sent, done);
    }
    cut.cancel_to_quiet = heard
        .last_audio
        .map_or(0.0, |last| between(sent, last).max(0.0));
    Ok(())
}
