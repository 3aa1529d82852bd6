//! Passing a caller on: to a number at once, or to somebody who is told first what it is about.
//! Asked by `POST /v1/calls/{id}/transfer` and by the tool `transfer_call`; the telephone edge answers the carrier with what
//! was agreed on here.
//! Never lets a model choose whom to call: it picks one of the agent's targets, and numbers are for whoever has a key.
//!
//! A cold transfer is one request to the carrier. In a warm one the other person is called first, while the caller talks on;
//! once they answer, the caller is moved into a conference and waits there, and the other person hears what it is about
//! and then comes in. When nobody answers, the caller has not left.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use engine::call::number::E164;
use engine::call::state::{CallState, HangupReason, Outcome, Party, Step};
use providers::carrier::{CarrierError, Machines, NewDial, Trouble};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{CallNews, NewCallEvent, Place, StoreError, StoredCall};
use wire::rest::agents::AgentTool;
use wire::rest::calls::TransferMode;
use wire::telephony::Dialect;

use super::{CallKey, Details, Order};
use crate::App;
use crate::agents::AgentError;
use crate::auth::chain;
use crate::dialler::Line;
use crate::edge::telephony::addresses;

/// How long it rings when nobody says otherwise, in s.
pub const RINGS_S: u32 = 30;
/// How often details are written anew when somebody else has changed the call meanwhile.
const TRIES: usize = 8;
/// A transfer is given up so long after it has rung out.
const GRACE: TimeDelta = TimeDelta::seconds(15);
/// Most characters of what the other person is told.
const SUMMARY_CHARS: usize = 1000;

/// What is asked for.
#[derive(Clone, PartialEq, Eq)]
pub struct Wish {
    /// A number in international form, or the name of one of the agent's targets.
    pub to: String,
    /// How.
    pub mode: TransferMode,
    /// How long it may ring, in s.
    pub timeout_s: u32,
    /// What the other person is told.
    pub summary: Option<String>,
    /// Who asks.
    pub by: Party,
}

/// A transfer that has begun, as it stands sealed with the call.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passing {
    /// Whom, in E.164.
    pub to: String,
    /// How.
    pub mode: TransferMode,
    /// How long it may ring, in s.
    pub timeout_s: u32,
    /// What the other person is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Who wanted it.
    pub by: Party,
    /// Of which attempt.
    pub attempt: i64,
    /// The carrier was asked to move the caller, or is about to be.
    pub moving: bool,
    /// When it is given up, in Unix seconds.
    pub until: i64,
}

/// Why a caller is not passed on.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// Nobody is on the line.
    #[error("only a call that goes on can be passed on")]
    NotLive,
    /// One is under way.
    #[error("the caller is being passed on already")]
    UnderWay,
    /// Neither a number nor a target.
    #[error(
        "'to' must be a number in international form, such as +14155550100, or the name of a target of the agent's transfer_call"
    )]
    Target,
    /// The agent does not know the target. With the names that there are.
    #[error("there is no such target; there are {0}")]
    Unknown(String),
    /// A rule forbids the number.
    #[error("dialling.allowed_prefixes does not allow calls to that number")]
    Forbidden,
    /// The carrier, or its account here, cannot do it. Says why.
    #[error("{0}")]
    Unsupported(String),
    /// The carrier was asked and has not done it.
    #[error("{0}")]
    Carrier(CarrierError),
    /// The database does not answer.
    #[error("the call cannot be read or written")]
    Store(#[from] StoreError),
}

impl TransferError {
    /// In a word, for metrics and the interface.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotLive => "call_not_live",
            Self::UnderWay => "transfer_under_way",
            Self::Target => "invalid_target",
            Self::Unknown(_) => "unknown_target",
            Self::Forbidden => "blocked_number",
            Self::Unsupported(_) => "transfer_unsupported",
            Self::Carrier(_) => "carrier_refused",
            Self::Store(_) => "service_unavailable",
        }
    }
}

impl From<CarrierError> for TransferError {
    fn from(error: CarrierError) -> Self {
        match error.trouble {
            Trouble::Gone => Self::NotLive,
            Trouble::Unsupported => Self::Unsupported(error.to_string()),
            _ => Self::Carrier(error),
        }
    }
}

/// Passes a caller on, or begins to.
///
/// # Errors
/// [`TransferError`]; the call goes on as it was.
pub async fn pass_on(app: &Arc<App>, key: &CallKey, wish: &Wish) -> Result<(), TransferError> {
    let mode = match wish.mode {
        TransferMode::Cold => "cold",
        TransferMode::Warm => "warm",
    };
    let begun = begin(app, key, wish).await;
    let result = begun
        .as_ref()
        .map_or_else(TransferError::code, |()| "begun");
    app.metrics.calls().transferred(mode, result);
    begun
}

async fn begin(app: &Arc<App>, key: &CallKey, wish: &Wish) -> Result<(), TransferError> {
    let call = live(app, key).await?;
    let details = Details::of(&call);
    let now = app.clock.utc();
    if under_way(&details, key, now).is_some() {
        return Err(TransferError::UnderWay);
    }
    let to = target(app, key, &call, wish).await?;
    if !app.dialler.rules.prefixes.allow(&to) {
        return Err(TransferError::Forbidden);
    }
    let lacking = |what: &str| TransferError::Unsupported(what.to_owned());
    let (Some(line), Some(carrier_call)) = (
        app.dialler.line(&call.account),
        call.carrier_call_id.clone(),
    ) else {
        return Err(lacking(
            "the call's carrier account cannot change calls here: set account_id and auth_token of telephony.accounts.NAME",
        ));
    };
    let Some(base) = app.config.telephony.external_url.as_deref() else {
        return Err(lacking(
            "the carrier cannot ask this server what to do: set telephony.external_url",
        ));
    };
    let dialect = line.carrier.dialect();
    if wish.mode == TransferMode::Warm && !takes_warm(dialect) {
        return Err(lacking(
            "calls of this carrier are passed on cold only: twilio and signalwire have warm transfers here",
        ));
    }
    let passing = Passing {
        to: to.as_str().to_owned(),
        mode: wish.mode,
        timeout_s: wish.timeout_s,
        summary: wish
            .summary
            .as_deref()
            .map(|words| words.chars().take(SUMMARY_CHARS).collect()),
        by: wish.by,
        attempt: key.attempt,
        moving: wish.mode == TransferMode::Cold,
        until: (now + TimeDelta::seconds(wish.timeout_s.into()) + GRACE).timestamp(),
    };
    note(app, key, Some(passing.clone())).await?;
    let base = base.trim_end_matches('/');
    let from = shown_number(&call, &details, line);
    let asked = match wish.mode {
        TransferMode::Cold => cold(app, key, (line, &carrier_call), (base, &from), &passing).await,
        TransferMode::Warm => warm(app, key, line, (base, &from), &passing).await,
    };
    if let Err(error) = asked {
        note(app, key, None).await?;
        return Err(error.into());
    }
    if wish.mode == TransferMode::Cold {
        passed(app, key, &passing).await?;
    }
    Ok(())
}

/// Carriers whose conferences are answer documents, and whose calls are placed with one.
const fn takes_warm(dialect: Dialect) -> bool {
    matches!(
        dialect,
        Dialect::Twilio | Dialect::SignalWire | Dialect::Relay
    )
}

async fn cold(
    app: &App,
    key: &CallKey,
    (line, carrier_call): (&Line, &str),
    (base, from): (&str, &str),
    passing: &Passing,
) -> Result<(), CarrierError> {
    let now = app.clock.utc();
    let carrier = &line.carrier;
    if carrier.dialect() == Dialect::Telnyx {
        let numbers = (passing.to.as_str(), from);
        return carrier
            .transfer(carrier_call, numbers, passing.timeout_s)
            .await;
    }
    let url = addresses::transfer(app, base, carrier.dialect(), key);
    carrier.redirect(carrier_call, &url, now).await
}

/// Calls the other person; what follows is the carrier's question when they have answered.
async fn warm(
    app: &App,
    key: &CallKey,
    line: &Line,
    (base, from): (&str, &str),
    passing: &Passing,
) -> Result<(), CarrierError> {
    let dialect = line.carrier.dialect();
    let answer_url = addresses::consult(app, base, dialect, key);
    let status_url = addresses::consulted(app, base, dialect, key);
    let correlation = format!("{}.{}.{}.consult", key.tenant, key.id, key.attempt);
    let dial = NewDial {
        to: &passing.to,
        from,
        answer_url: &answer_url,
        status_url: &status_url,
        machine_url: &status_url,
        stream_url: "",
        correlation: &correlation,
        ring_s: passing.timeout_s,
        limit_s: 4 * 3600,
        machines: Machines::Ignore,
    };
    line.carrier.dial(&dial, app.clock.utc()).await.map(drop)
}

/// The number that the other person is shown: ours.
pub(crate) fn shown_number(call: &StoredCall, details: &Details, line: &Line) -> String {
    let own = if call.direction == "inbound" {
        details.to.clone()
    } else {
        details.from.clone()
    };
    own.or_else(|| line.number.clone()).unwrap_or_default()
}

/// The other person has answered a warm transfer: the caller is moved to where they meet. What they are to be told; nothing
/// when the caller has gone, or the transfer was given up.
///
/// # Errors
/// [`TransferError`]; the caller has not left.
pub(crate) async fn meet(app: &Arc<App>, key: &CallKey) -> Result<Option<Passing>, TransferError> {
    let call = match live(app, key).await {
        Ok(call) => call,
        Err(TransferError::NotLive) => return Ok(None),
        Err(error) => return Err(error),
    };
    let details = Details::of(&call);
    let Some(passing) = under_way(&details, key, app.clock.utc()) else {
        return Ok(None);
    };
    let passing = Passing {
        moving: true,
        ..passing.clone()
    };
    let (Some(line), Some(carrier_call), Some(base)) = (
        app.dialler.line(&call.account),
        &call.carrier_call_id,
        app.config.telephony.external_url.as_deref(),
    ) else {
        return Ok(None);
    };
    let base = base.trim_end_matches('/');
    let url = addresses::transfer(app, base, line.carrier.dialect(), key);
    note(app, key, Some(passing.clone())).await?;
    let moved = line.carrier.redirect(carrier_call, &url, app.clock.utc());
    match moved.await.map_err(TransferError::from) {
        Ok(()) => {}
        Err(error) => {
            failed(app, key, error.code()).await?;
            return match error {
                TransferError::NotLive => Ok(None),
                error => Err(error),
            };
        }
    }
    app.metrics.calls().transferred("warm", "met");
    passed(app, key, &passing).await?;
    Ok(Some(passing))
}

/// Nobody has taken a warm transfer: the caller is told by the agent, who still talks to them.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn failed(app: &App, key: &CallKey, why: &str) -> Result<(), StoreError> {
    let Some(call) = app.store.sql.find_call(&key.tenant, &key.id).await? else {
        return Ok(());
    };
    let open = Details::of(&call)
        .transfer
        .is_some_and(|one| one.attempt == key.attempt && call.state == CallState::Live.name());
    if !open {
        return Ok(());
    }
    super::details::change(app, key, TRIES, |details| details.transfer = None).await?;
    let content = json!({ "why": why }).to_string();
    let mut event = NewCallEvent::new("carrier", "transfer_failed", app.clock.utc());
    event.content = &content;
    app.store.sql.add_call_event(key.named(), event).await?;
    app.metrics.calls().transferred("warm", "failed");
    let order = Order::NotPassed(format!("nobody took the call ({why})"));
    app.phone.live.order(key.named(), order);
    Ok(())
}

/// The carrier has moved the caller: the call is over for us.
async fn passed(app: &App, key: &CallKey, passing: &Passing) -> Result<(), StoreError> {
    let by = passing.by;
    let content = json!({ "mode": passing.mode }).to_string();
    let mut event = NewCallEvent::new("edge", "transfer", app.clock.utc());
    let source_key = format!("{} transfer", key.attempt);
    event.source_key = Some(&source_key);
    event.content = &content;
    let mut step =
        Step::to(key.engine_attempt(), CallState::Ending).because(HangupReason::Transfer, by);
    step.outcome = Some(Outcome::Transferred);
    let sql = &app.store.sql;
    sql.tell_call(key.named(), &CallNews::of(step, event), &[])
        .await?;
    let order = Order::HangUp {
        say: None,
        reason: HangupReason::Transfer,
        by,
    };
    app.phone.live.order(key.named(), order);
    Ok(())
}

/// The transfer of this attempt that has begun and was not given up.
pub(crate) fn under_way<'a>(
    details: &'a Details,
    key: &CallKey,
    now: DateTime<Utc>,
) -> Option<&'a Passing> {
    let passing = details.transfer.as_ref()?;
    (passing.attempt == key.attempt && passing.until > now.timestamp()).then_some(passing)
}

/// The call, while somebody is on the line.
async fn live(app: &App, key: &CallKey) -> Result<StoredCall, TransferError> {
    let call = app.store.sql.find_call(&key.tenant, &key.id).await?;
    call.filter(|call| {
        call.state == CallState::Live.name()
            && call.attempt_number == key.attempt
            && call.finalized_at.is_none()
    })
    .ok_or(TransferError::NotLive)
}

/// Writes down that a transfer has begun, or that there is none.
async fn note(app: &App, key: &CallKey, passing: Option<Passing>) -> Result<(), TransferError> {
    let change = |details: &mut Details| details.transfer.clone_from(&passing);
    if super::details::change(app, key, TRIES, change).await? {
        return Ok(());
    }
    Err(TransferError::NotLive)
}

/// Whom the wish means.
async fn target(
    app: &App,
    key: &CallKey,
    call: &StoredCall,
    wish: &Wish,
) -> Result<E164, TransferError> {
    let known = targets(app, key, call).await?;
    let named = known
        .iter()
        .find(|(name, number)| name.eq_ignore_ascii_case(wish.to.trim()) || *number == wish.to);
    if let Some((_, number)) = named {
        return E164::parse(number).map_err(|_| TransferError::Target);
    }
    if wish.by == Party::Agent {
        let own: Vec<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
        let own = if own.is_empty() {
            "none: give the agent's transfer_call some".to_owned()
        } else {
            own.join(", ")
        };
        return Err(TransferError::Unknown(own));
    }
    E164::parse(wish.to.trim()).map_err(|_| TransferError::Target)
}

/// The targets of the call's agent.
async fn targets(
    app: &App,
    key: &CallKey,
    call: &StoredCall,
) -> Result<Vec<(String, String)>, TransferError> {
    let Some(name) = &call.agent else {
        return Ok(Vec::new());
    };
    let place = Place {
        tenant: &key.tenant,
        project: &call.project,
    };
    let agent = match app.agents.find(place, name).await {
        Ok(agent) => agent,
        Err(AgentError::Store(error)) => return Err(error.into()),
        Err(error) => {
            tracing::warn!(call = key.id, error = %chain(&error), "the agent's targets cannot be read");
            return Ok(Vec::new());
        }
    };
    let found = agent.spec.tools.into_iter().find_map(|tool| match tool {
        AgentTool::TransferCall { targets } => Some(targets.into_iter().collect()),
        _ => None,
    });
    Ok(found.unwrap_or_default())
}

/// How long a transfer of this length is waited for.
pub const fn patience(timeout_s: u32) -> Duration {
    Duration::from_secs(timeout_s as u64 + 20)
}
