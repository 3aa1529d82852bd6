//! `antiphon dlq`: looks after jobs that no worker could do.
//! `main` calls it; it needs the Redis that gateways and workers use.
//! It never shows what was said in a job.

use std::{io::Write, time::Duration};

use anyhow::{Context as _, bail};
use chrono::DateTime;
use clap::{Args, Subcommand};
use gateway::Config;
use serde_json::{Value, json};
use store::live::{
    Link, Queue, WorkError, WorkKind, WorkLimits,
    work::{
        Message,
        dead::Letter,
        inbox::{Inbox, News},
    },
};

use crate::worker::Kinds;

/// Dead letters shown of each kind.
const SHOWN: u32 = 200;
/// How long a worker may take for a job that is tried again: three tries, and what lies between them.
const TRIED_WITHIN: Duration = Duration::from_mins(2);

/// Jobs that no worker could do, kept for seven days.
#[derive(Debug, Subcommand)]
pub(crate) enum DlqCommand {
    /// Show them, newest first, without what was said
    List(ListArgs),
    /// Let workers try again, and wait for the outcome; a job that is done at last is dropped
    Retry(LetterArgs),
    /// Throw one away
    Drop(LetterArgs),
}

/// Which to show.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Kind of work
    #[arg(value_enum, default_value = "all")]
    kinds: Kinds,
    /// One JSON document for programs
    #[arg(long)]
    json: bool,
}

/// Which one.
#[derive(Debug, Args)]
pub(crate) struct LetterArgs {
    /// Its id, as `dlq list` shows it: the kind of work, a colon, and a number
    id: String,
    /// One JSON document for programs
    #[arg(long)]
    json: bool,
}

/// Runs `command` on the Redis of `config`.
pub(crate) async fn run(
    command: DlqCommand,
    config: &Config,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let Some(url) = &config.redis.url else {
        bail!(
            "redis.url is not set: dead letters are in Redis; set REDIS_URL to the one that the workers use"
        );
    };
    let link = Link::open(url.reveal(), &config.redis.namespace).await?;
    let queue = |kind| Queue::new(link.clone(), kind, WorkLimits::default());
    match command {
        DlqCommand::List(args) => list(&args, queue, out).await,
        DlqCommand::Retry(args) => {
            let (kind, id) = letter(&args.id)?;
            retry(&queue(kind), id, &args, out).await
        }
        DlqCommand::Drop(args) => {
            let (kind, id) = letter(&args.id)?;
            if !queue(kind).drop_letter(id).await? {
                bail!(
                    "there is no dead letter {}; `antiphon dlq list` shows them",
                    args.id
                );
            }
            tell(out, &args, "dropped", &json!({}))
        }
    }
}

/// The kind of work and the place of a letter.
fn letter(id: &str) -> anyhow::Result<(WorkKind, &str)> {
    let known = |name: &str| WorkKind::ALL.into_iter().find(|kind| kind.name() == name);
    let parts = id
        .split_once(':')
        .and_then(|(kind, id)| Some((known(kind)?, id)));
    parts.with_context(|| format!("{id:?} is no dead letter: expected an id such as tts:1795000000000-0, as `antiphon dlq list` shows it"))
}

async fn list(
    args: &ListArgs,
    queue: impl Fn(WorkKind) -> Queue,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for kind in args.kinds.list() {
        for letter in queue(kind).letters(SHOWN).await? {
            all.push((kind, letter));
        }
    }
    if args.json {
        let document: Vec<Value> = all.iter().map(|(kind, it)| document(*kind, it)).collect();
        writeln!(out, "{}", Value::from(document))?;
        return Ok(());
    }
    writeln!(
        out,
        "{:<24} {:<20} {:<12} {:<28} {:<6} reason",
        "id", "at", "tenant", "session", "again"
    )?;
    for (kind, letter) in all {
        writeln!(
            out,
            "{:<24} {:<20} {:<12} {:<28} {:<6} {}",
            format!("{}:{}", kind.name(), letter.id),
            at(&letter),
            letter.tenant,
            letter.session,
            if letter.kept { "yes" } else { "no" },
            letter.reason,
        )?;
    }
    Ok(())
}

fn at(letter: &Letter) -> String {
    let ms = letter.id.split('-').next().and_then(|ms| ms.parse().ok());
    let at = ms.and_then(DateTime::from_timestamp_millis);
    at.map(|at| at.format("%Y-%m-%d %H:%M:%SZ").to_string())
        .unwrap_or_default()
}

fn document(kind: WorkKind, letter: &Letter) -> Value {
    json!({
        "id": format!("{}:{}", kind.name(), letter.id),
        "kind": kind.name(),
        "at": at(letter),
        "job": letter.job,
        "tenant": letter.tenant,
        "session": letter.session,
        "correlation": letter.correlation,
        "reason": letter.reason,
        "tries": letter.tries.parse::<u64>().unwrap_or_default(),
        "can_retry": letter.kept,
    })
}

/// Asks for the job again, with nobody but this command listening.
async fn retry(
    queue: &Queue,
    id: &str,
    args: &LetterArgs,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let listener = format!("dlq-{}", std::process::id());
    let mut inbox = Inbox::open(queue, &listener).await?;
    let outcome = match queue.reopen(id, &listener).await {
        Ok(job) => tokio::time::timeout(TRIED_WITHIN, outcome(queue, &mut inbox, &job)).await,
        Err(WorkError::Gone) => bail!(
            "there is no dead letter {}, it is being tried, or it was too large to be kept whole; `antiphon dlq list` shows what can be tried again",
            args.id
        ),
        Err(error) => return Err(error.into()),
    };
    inbox.leave().await?;
    let Ok(outcome) = outcome else {
        bail!(
            "no worker took the job within {} s; the dead letter stays",
            TRIED_WITHIN.as_secs()
        );
    };
    // whatever came of it: a job that failed again has left a letter of its own
    let (answers, bytes) = match outcome {
        Ok(done) => done,
        Err(reason) => {
            queue.drop_letter(id).await?;
            bail!("it failed again: {reason}");
        }
    };
    queue.drop_letter(id).await?;
    tell(
        out,
        args,
        "done",
        &json!({"answers": answers, "bytes": bytes}),
    )
}

/// How many answers came, and their size in bytes; why it failed.
async fn outcome(queue: &Queue, inbox: &mut Inbox, job: &str) -> Result<(u64, usize), String> {
    let (mut count, mut bytes) = (0, 0);
    loop {
        let News::Answers(answers) = inbox.next().await else {
            return Err("redis has lost it".to_owned());
        };
        for answer in answers.into_iter().filter(|answer| answer.job == job) {
            let Message { kind, data } = &answer.message;
            if kind == Message::DEAD {
                return Err(String::from_utf8_lossy(data).into_owned());
            }
            if gateway::remote::codec::is_failure(&answer.message) {
                return Err("the provider refused what was asked".to_owned());
            }
            count += 1;
            bytes += data.len();
            if gateway::remote::codec::is_last(queue.kind(), &answer.message) {
                return Ok((count, bytes));
            }
            if count % gateway::remote::MORE_EVERY == 0 {
                let more = Message::new(gateway::remote::codec::MORE, Vec::new());
                // a job that has ended meanwhile needs no room
                let _ = queue.tell(job, &[more]).await;
            }
        }
    }
}

fn tell(out: &mut impl Write, args: &LetterArgs, what: &str, more: &Value) -> anyhow::Result<()> {
    if args.json {
        let document = json!({"id": args.id, "outcome": what, "detail": more});
        writeln!(out, "{document}")?;
    } else {
        writeln!(out, "{} {what}", args.id)?;
    }
    Ok(())
}
