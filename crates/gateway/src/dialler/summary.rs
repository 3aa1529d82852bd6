//! What a call came to: once it is over, a language model reads what was said, and what it puts down is kept, acted on and told.
//! Put into the outbox where a call is finally dealt with, and worked off there: once, however often it is tried.
//! Never keeps a call waiting, and never takes a failure for a conversation: a lead whose call was not summed up stays where it is.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use engine::ask::LlmRequest;
use engine::call::number::E164;
use engine::call::state::Outcome;
use engine::call::summary::{self, Call, MAX_TOKENS, NoSummary};
use engine::call::zones;
use providers::ports::{Llm, LlmEvent};
use serde::{Deserialize, Serialize};
use store::{Effect, NewEffect, Retries, StoreError, StoredCall, StoredTurn};
use wire::rest::calls::CallSummary;
use wire::rest::calls::webhook::SummaryNews;

use super::{CallKey, Details, announce, tables};
use crate::App;
use crate::metering::Opening;
use crate::outbox::{Failed, Work};

/// The topic of this work.
const TOPIC: &str = "call.summary";
/// How long a model may take.
const MODEL_LIMIT: Duration = Duration::from_secs(40);
/// Questions to the model for one try: the second one names what was wrong with the first answer.
const QUESTIONS: usize = 2;
/// Tries, with pauses between them, before a call counts as not summed up.
const TRIES: u32 = 4;

/// Which call.
#[derive(Debug, Serialize, Deserialize)]
struct Wanted {
    call: String,
    attempt: i64,
}

/// What makes a call be summed up: put it in where the call is finally dealt with.
pub fn effect(key: &CallKey, now: DateTime<Utc>) -> NewEffect {
    let wanted = Wanted {
        call: key.id.clone(),
        attempt: key.attempt,
    };
    NewEffect {
        id: format!("summary_{}", key.id),
        topic: TOPIC.to_owned(),
        // a text and a number always serialise
        payload: serde_json::to_string(&wanted).unwrap_or_default(),
        due_at: now,
    }
}

/// Sums calls up.
pub struct Summary;

#[async_trait]
impl Work for Summary {
    fn topic(&self) -> &'static str {
        TOPIC
    }

    fn retries(&self) -> Retries {
        Retries {
            first: TimeDelta::seconds(10),
            longest: TimeDelta::minutes(5),
            // one more than is used: the last try keeps the failure, and is done
            tries: TRIES + 1,
        }
    }

    fn at_once(&self) -> u32 {
        2
    }

    async fn run(&self, app: &Arc<App>, effect: &Effect) -> Result<(), Failed> {
        let wanted: Wanted = serde_json::from_str(&effect.payload)
            .map_err(|_| Failed::never("what was put in cannot be read"))?;
        let key = CallKey {
            tenant: effect.tenant.clone(),
            id: wanted.call,
            attempt: wanted.attempt,
        };
        let sql = &app.store.sql;
        let Some(call) = sql.find_call(&key.tenant, &key.id).await? else {
            return Ok(());
        };
        if call.summary_status.is_some() {
            return Ok(());
        }
        let turns = sql.attempt_turns(key.at_attempt()).await?;
        let transcript = lines(&turns);
        let summed = match model(app)? {
            Some((pipeline, model)) if !transcript.is_empty() => {
                // the call's own account is closed, and may be another server's
                let account = effect.id.as_str();
                let opening = Opening {
                    tenant: key.tenant.clone(),
                    project: call.project.clone(),
                    model: pipeline.clone(),
                    pipeline,
                    started_at: app.clock.unix_s(),
                };
                let _billed = app.meter.request(account, opening);
                let asked = ask(app, account, &call, (&*model, transcript.as_str())).await;
                if let Err(problem) = &asked
                    && effect.tries < i64::from(TRIES)
                {
                    return Err(Failed::again(problem.as_str()));
                }
                Some(asked)
            }
            // nothing was said, or nobody sums up: what came of it is known without a model
            _ => None,
        };
        keep(app, &key, call, (summed, transcript)).await
    }
}

/// What was said, a line each, in the words that LeadFlip's pages look for.
pub fn lines(turns: &[StoredTurn]) -> String {
    let lines = turns.iter().map(|turn| {
        let who = if turn.role == "agent" { "AI" } else { "User" };
        format!("{who}: {}", String::from_utf8_lossy(&turn.content).trim())
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A pipeline's name, and its model.
type Named = (String, Arc<dyn Llm>);

/// The model that sums up; nothing when none is to.
fn model(app: &App) -> Result<Option<Named>, Failed> {
    let named = app.config.dialling.summary_pipeline.as_deref();
    if named == Some("none") {
        return Ok(None);
    }
    let catalog = app.catalog();
    let catalog = catalog.ok_or_else(|| Failed::again("the models are still being loaded"))?;
    let name = named.unwrap_or(&app.config.pipeline.name);
    let pipeline = catalog.pipeline(name);
    let missing = || Failed::never(format!("there is no pipeline '{name}' to sum calls up"));
    pipeline
        .map(|pipeline| Some((name.to_owned(), pipeline.llm)))
        .ok_or_else(missing)
}

/// Where the called party is, if only one zone comes into question.
fn zone(details: &Details) -> Option<chrono_tz::Tz> {
    if let Some(named) = details
        .time_zone
        .as_deref()
        .and_then(|zone| zone.parse().ok())
    {
        return Some(named);
    }
    let number = E164::parse(details.to.as_deref()?).ok()?;
    match zones::of(&number).as_slice() {
        [only] => Some(*only),
        _ => None,
    }
}

async fn ask(
    app: &App,
    account: &str,
    call: &StoredCall,
    (model, transcript): (&dyn Llm, &str),
) -> Result<CallSummary, String> {
    let details = Details::of(call);
    let about = Call {
        objective: details.objective.as_deref().unwrap_or_default(),
        transcript,
        zone: zone(&details),
        began: call.answered_at.unwrap_or(call.created_at),
    };
    let mut problem: Option<NoSummary> = None;
    for turn in 1..=QUESTIONS {
        let request = LlmRequest {
            session: account.to_owned(),
            turn: u32::try_from(turn).unwrap_or(1),
            messages: summary::question(&about, problem.as_ref()),
            max_tokens: Some(MAX_TOKENS),
            temperature: Some(0.2),
            ..LlmRequest::default()
        };
        let answer = tokio::time::timeout(MODEL_LIMIT, collect(model, request)).await;
        let answer =
            answer.map_err(|_| format!("no answer within {} s", MODEL_LIMIT.as_secs()))??;
        match summary::read(&answer, &about) {
            Ok(summary) => return Ok(summary),
            Err(error) => problem = Some(error),
        }
    }
    app.metrics.outgoing().summed("unusable");
    Err(problem.map_or_else(String::new, |problem| problem.to_string()))
}

async fn collect(model: &dyn Llm, request: LlmRequest) -> Result<String, String> {
    let asked = model.ask(request).await;
    let mut stream = asked.map_err(|error| format!("the model failed: {}", error.code()))?;
    let mut text = String::new();
    while let Some(event) = stream.events.recv().await {
        match event {
            LlmEvent::Text(more) => text.push_str(&more),
            LlmEvent::Done { .. } => return Ok(text),
            LlmEvent::Failed(error) => return Err(format!("the model failed: {}", error.code())),
            LlmEvent::ToolCall { .. } | LlmEvent::ToolArguments(_) => {}
        }
    }
    Err("the answer ended before it was complete".to_owned())
}

/// Keeps what came of it with everything that follows from it, in one transaction.
async fn keep(
    app: &App,
    key: &CallKey,
    mut call: StoredCall,
    (summed, transcript): (Option<Result<CallSummary, String>>, String),
) -> Result<(), Failed> {
    let now = app.clock.utc();
    let mut details = Details::of(&call);
    let (status, summary) = match summed {
        Some(Ok(summary)) => ("done", Some(summary)),
        Some(Err(problem)) => {
            tracing::error!(call = key.id, problem, "a call could not be summed up");
            ("failed", None)
        }
        // there is nothing to sum up
        None => ("done", None),
    };
    app.metrics.outgoing().summed(status);
    if let Some(summary) = &summary {
        // a carrier's word and our own are believed before a model's: it knows what was said, and not how it ended
        let said = Outcome::parse(&summary.status);
        call.outcome = call
            .outcome
            .or_else(|| said.map(|said| said.name().to_owned()));
        call.interest.clone_from(&summary.consumer_interest_level);
        let agreed = summary.appointment_time.as_deref();
        let agreed = agreed.and_then(|time| DateTime::parse_from_rfc3339(time).ok());
        call.appointment_at = agreed.map(|time| time.with_timezone(&Utc));
        call.quote_micros = summary
            .quote_amount
            .map(|quote| (quote * 1e6).round() as i64);
        if summary.do_not_call {
            listen(app, key, &details, now).await?;
        }
    }
    call.summary_status = Some(status.to_owned());
    call.updated_at = now;
    details.summary.clone_from(&summary);
    call.details = details.to_bytes();
    let news = SummaryNews {
        summary_status: status.to_owned(),
        summary,
        transcript,
    };
    let mut effects = announce::summary(app, key, news, now).await?;
    effects.extend(tables::effect(app, key, now));
    if !app
        .store
        .sql
        .update_call(&key.tenant, &call, &effects)
        .await?
    {
        // somebody has changed it since: it is read again, and its summary made anew
        return Err(Failed::again("the call was changed meanwhile"));
    }
    app.outbox.wake();
    Ok(())
}

/// Somebody said that they do not want to be called again.
async fn listen(
    app: &App,
    key: &CallKey,
    details: &Details,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let Some(number) = details.to.as_deref().and_then(|to| E164::parse(to).ok()) else {
        return Ok(());
    };
    let sql = &app.store.sql;
    let callee = sql.callee(number.as_str()).await?;
    let content = serde_json::json!({ "number": number.as_str(), "note": format!("said so in call {}", key.id) });
    let content = content.to_string();
    sql.add_do_not_call(&key.tenant, &callee, ("call", &content), now)
        .await?;
    Ok(())
}
