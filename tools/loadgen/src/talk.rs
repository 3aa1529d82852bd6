//! Callers who ask, listen and ask again.
//! The mode `talk`; measures the end of speech to the first reply audio.
//! It never counts a missed turn as a fast one.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::Instant;

use crate::{
    Voice,
    caller::{Caller, between},
    clip::Clip,
    report::Report,
    server::Usage,
    target::Target,
};

/// Silence before the first question, so that the detector knows the line.
pub(crate) const SETTLE: Duration = Duration::from_millis(1500);
/// A reply that has not begun by then is missed.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest time a reply is listened to.
const LISTEN: Duration = Duration::from_secs(30);
/// Callers do not all begin at once: each a little later, within this span.
const STAGGER: Duration = Duration::from_secs(5);

/// One question and its answer.
#[derive(Debug)]
struct Turn {
    /// From the last voiced frame to the first reply audio, in ms; none when missed.
    reply_ms: Option<f64>,
    /// From the last voiced frame to `speech_stopped`, in ms.
    decided_ms: Option<f64>,
    answer_ms: u64,
    question: Option<String>,
    answer: Option<String>,
}

/// All turns of one caller.
struct Call {
    turns: Vec<Turn>,
    connect_ms: f64,
    late_ms: Vec<f64>,
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
    let mut broken = 0;
    let (mut replies, mut beyond, mut decided) = (Vec::new(), Vec::new(), Vec::new());
    let (mut late, mut connect, mut missed) = (Vec::new(), Vec::new(), 0);
    for (number, call) in calls.into_iter().enumerate() {
        let call = match call {
            Ok(call) => call,
            Err(error) => {
                eprintln!("loadgen: caller {number}: {error:#}");
                broken += 1;
                continue;
            }
        };
        for turn in &call.turns {
            report.line(&json!({
                "caller": number,
                "reply_ms": turn.reply_ms,
                "speech_stopped_ms": turn.decided_ms,
                "answer_ms": turn.answer_ms,
                "question": turn.question,
                "answer": turn.answer,
            }))?;
            match turn.reply_ms {
                Some(reply) => {
                    replies.push(reply);
                    beyond.push(reply - f64::from(voice.silence_ms));
                }
                None => missed += 1,
            }
            decided.extend(turn.decided_ms);
        }
        late.extend(call.late_ms);
        connect.push(call.connect_ms);
    }
    report.value("calls", voice.calls);
    report.value("calls_broken", broken);
    report.value("turns", replies.len());
    report.value("turns_missed", missed);
    report.value("speech_ms", clip.speech_ms());
    report.value("hold_ms", voice.silence_ms);
    report.spread("connect_ms", &connect);
    report.spread("speech_end_to_speech_stopped_ms", &decided);
    report.spread("speech_end_to_reply_audio_ms", &replies);
    report.spread("beyond_the_hold_ms", &beyond);
    report.spread("sender_late_ms", &late);
    if let Some(usage) = usage {
        usage.tell(voice.calls, report)?;
    }
    report.finish()
}

/// When caller `number` begins.
pub(crate) fn start(number: usize) -> Duration {
    let ms = number as u64 * 370 % STAGGER.as_millis() as u64;
    Duration::from_millis(ms)
}

async fn call(target: &Target, clip: Arc<Clip>, voice: &Voice) -> anyhow::Result<Call> {
    let mut caller = Caller::connect(target, clip, voice).await?;
    caller.wait(SETTLE, |_| false).await?;
    let mut turns = Vec::new();
    for _ in 0..voice.turns {
        turns.push(turn(&mut caller, voice).await?);
    }
    let caller = caller.hang_up().await;
    Ok(Call {
        turns,
        connect_ms: caller.connect_ms,
        late_ms: caller.late_ms,
    })
}

async fn turn(caller: &mut Caller, voice: &Voice) -> anyhow::Result<Turn> {
    caller.listen_anew();
    let (_, end) = caller.speak().await?;
    let answered = caller
        .wait(PATIENCE, |caller| caller.heard.first_audio.is_some())
        .await?;
    if answered {
        caller
            .wait(LISTEN, |caller| caller.heard.done.is_some())
            .await?;
        let first = caller.heard.first_audio.unwrap_or(end);
        let played = first + caller.answer_length();
        let rest = played.saturating_duration_since(Instant::now());
        caller
            .wait(rest + Duration::from_millis(voice.gap_ms), |_| false)
            .await?;
    }
    let heard = caller.heard.clone();
    Ok(Turn {
        reply_ms: heard.first_audio.map(|at| between(end, at)),
        decided_ms: heard.speech_stopped.map(|at| between(end, at)),
        answer_ms: caller.answer_length().as_millis() as u64,
        question: heard.question,
        answer: heard.answer,
    })
}
