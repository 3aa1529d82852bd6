//! Taking a call in: what was asked for is read and checked, and put in the queue once.
//! Used by `POST /v1/calls` and by whoever else asks for calls.
//! Never takes in a call that a rule forbids now, and never two under one name.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use engine::call::gate::{Facts, Gate, Rule, Wish};
use engine::call::number::{E164, NumberError};
use engine::call::state::CallState;
use engine::call::zones;
use store::{Enqueued, StoreError, StoredCall};
use wire::ids::Ids;
use wire::rest::calls::{ConsentKind, NewCall, VoicemailPolicy};

use super::{Details, chance};
use crate::App;
use crate::auth::DEFAULT_TENANT;

/// Shortest and longest objective, in characters.
const OBJECTIVE: std::ops::RangeInclusive<usize> = 10..=2000;
/// Longest instructions, in characters.
const INSTRUCTIONS_MAX: usize = 16_000;
/// Longest message for a machine, in characters: what a carrier takes in a document.
const MESSAGE_MAX: usize = 1000;
/// Longest id of somebody else's: of a lead, a business, a person.
const ID_MAX: usize = 128;
/// Values of the asker's own, and how long their names and texts may be.
const METADATA: (usize, usize, usize) = (16, 64, 512);
/// How far ahead a call may be asked for.
const AHEAD: TimeDelta = TimeDelta::days(366);

/// Who asks, and under which name.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// Whose call it will be.
    pub tenant: &'a str,
    /// In which project.
    pub project: &'a str,
    /// Who asks, for the record.
    pub initiator: &'a str,
    /// What the asker calls the request: a second one of that name is the first.
    pub request_key: Option<&'a str>,
    /// Of calls that are due, those with a lower one go first.
    pub priority: i64,
}

/// A call that was taken in.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// It.
    pub call: StoredCall,
    /// Whether it was there before.
    pub known: bool,
}

/// Why a call is not taken in.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// A field is none.
    #[error("{message}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// What is wrong, and what to do.
        message: String,
    },
    /// A rule forbids it.
    #[error("{}", forbidden(*.0))]
    Forbidden(Rule),
    /// Nothing here can place it.
    #[error("{0}")]
    NoAccount(&'static str),
    /// The request's name was used for another call.
    #[error("this idempotency key was used for another call; use a new key for a new call")]
    OtherRequest,
    /// The database did not do it.
    #[error("cannot take the call in")]
    Store(#[from] StoreError),
}

const fn forbidden(rule: Rule) -> &'static str {
    match rule {
        Rule::DoNotCall => "this number must not be called: it is on the tenant's do-not-call list",
        Rule::NoConsent => {
            "no consent to be called by an artificial voice is on file for this number; note it with POST /v1/consents, or set dialling.require_consent = false"
        }
        Rule::Limit => "this number was dialled as often as may be within 24 hours",
        Rule::Window => {
            "there is no hour at which this number may be called: give time_zone, for the number may be in many zones"
        }
        Rule::Number => "numbers like this may not be called; see dialling.allowed_prefixes",
    }
}

fn invalid(field: &'static str, message: impl Into<String>) -> NotTaken {
    NotTaken::Invalid {
        field,
        message: format!("Invalid '{field}': {}.", message.into()),
    }
}

/// Takes a call in.
///
/// # Errors
/// [`NotTaken`] says what to do.
#[expect(
    clippy::too_many_lines,
    reason = "one field of a request after the other"
)]
pub async fn take(app: &App, asker: Asker<'_>, new: NewCall) -> Result<Taken, NotTaken> {
    let now = app.clock.utc();
    let print = print_of(&new);
    let number = number("to", &new.to)?;
    let zone = check(app, &new, now)?;
    let sql = &app.store.sql;
    // what was taken in stays so, whatever the rules say by now
    if let Some(name) = asker.request_key
        && let Some(id) = sql.find_request(asker.tenant, name).await?
    {
        return same(app, asker.tenant, &id, &print).await;
    }
    let callee = sql.callee(number.as_str()).await?;
    let zones = match zone {
        Some(zone) => vec![zone],
        None => zones::of(&number),
    };
    let kind = ConsentKind::AiCall.name();
    let consent = sql.find_consent(asker.tenant, (&callee, kind), now).await?;
    let refuses = sql.is_do_not_call(asker.tenant, &callee).await?;
    let facts = Facts {
        number: &number,
        zones: &zones,
        wish: match consent {
            _ if refuses => Wish::Never,
            Some(_) => Wish::Agreed,
            None => Wish::Unknown,
        },
        // counted when it is due: by then they may have been called less, or more
        attempts_today: 0,
    };
    let wished = new
        .scheduled_at
        .and_then(|at| DateTime::from_timestamp(at, 0));
    let from = wished.map_or(now, |wished| wished.max(now));
    let due_at = match app.dialler.rules.judge(&facts, from, chance(app)) {
        Gate::Open => from,
        Gate::Later(at) => at,
        Gate::Closed(rule) => return Err(NotTaken::Forbidden(rule)),
    };
    let (account, shown) = account(app, asker.tenant, new.from.as_deref()).await?;
    let line = app.dialler.line(&account);
    let state = if due_at > now {
        CallState::Scheduled
    } else {
        CallState::Queued
    };
    let details = Details {
        from: shown,
        to: Some(number.as_str().to_owned()),
        objective: Some(new.objective),
        instructions: new.instructions,
        time_zone: new.time_zone,
        max_duration_s: new.max_duration_s,
        voicemail: new.voicemail,
        recording: new.recording,
        metadata: new.metadata,
        request_print: asker.request_key.map(|_| print.clone()),
        ..Details::default()
    };
    let call = StoredCall {
        id: Ids::seeded(app.seed()).next("call"),
        project: asker.project.to_owned(),
        provider: line
            .map_or("", |line| line.carrier.dialect().name())
            .to_owned(),
        direction: "outbound".to_owned(),
        state: state.name().to_owned(),
        request_key: asker.request_key.map(str::to_owned),
        call_type: new.call_type,
        account,
        callee: Some(callee.as_str().to_owned()),
        priority: asker.priority,
        due_at: Some(due_at),
        scheduled_at: wished.map(|_| due_at),
        attempt_number: 1,
        agent: new.agent,
        lead: new.lead_id,
        business: new.business_id,
        consumer: new.consumer_id,
        initiator: Some(asker.initiator.to_owned()),
        details: details.to_bytes(),
        created_at: now,
        updated_at: now,
        ..StoredCall::default()
    };
    match sql.enqueue_call(asker.tenant, &call, &[]).await? {
        Enqueued::New => {
            app.dialler.wake();
            Ok(Taken { call, known: false })
        }
        // somebody was faster a moment ago
        Enqueued::Known(id) => same(app, asker.tenant, &id, &print).await,
        Enqueued::Taken => Err(NotTaken::OtherRequest),
    }
}

/// The call that was asked for before under the same name.
async fn same(app: &App, tenant: &str, id: &str, print: &str) -> Result<Taken, NotTaken> {
    let known = app.store.sql.find_call(tenant, id).await?;
    let known = known.ok_or(NotTaken::OtherRequest)?;
    // the same name for something else is a mistake
    if Details::of(&known).request_print.as_deref() != Some(print) {
        return Err(NotTaken::OtherRequest);
    }
    Ok(Taken {
        call: known,
        known: true,
    })
}

/// A digest of what was asked for.
fn print_of(new: &NewCall) -> String {
    let text = serde_json::to_vec(new).unwrap_or_default();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &text);
    digest.as_ref().iter().fold(String::new(), |mut out, byte| {
        use std::fmt::Write as _;
        // writing to a string cannot fail
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn number(field: &'static str, text: &str) -> Result<E164, NotTaken> {
    E164::parse(text).map_err(|error: NumberError| invalid(field, error.to_string()))
}

/// Checks everything but the numbers, and reads the zone.
fn check(app: &App, new: &NewCall, now: DateTime<Utc>) -> Result<Option<Tz>, NotTaken> {
    let length = |text: &str| text.chars().count();
    let texts = [
        Some(&new.objective),
        new.instructions.as_ref(),
        new.agent.as_ref(),
    ];
    if texts.into_iter().flatten().any(|text| text.contains('\0')) {
        return Err(invalid(
            "objective",
            "no text may hold the character U+0000",
        ));
    }
    if !OBJECTIVE.contains(&length(new.objective.trim())) {
        let (least, most) = OBJECTIVE.into_inner();
        return Err(invalid(
            "objective",
            format!("it must have {least} to {most} characters"),
        ));
    }
    if new
        .instructions
        .as_deref()
        .is_some_and(|text| length(text) > INSTRUCTIONS_MAX)
    {
        return Err(invalid(
            "instructions",
            format!("it may have {INSTRUCTIONS_MAX} characters"),
        ));
    }
    if let VoicemailPolicy::LeaveMessage { message } = &new.voicemail
        && (message.trim().is_empty() || length(message) > MESSAGE_MAX)
    {
        let expected = format!("the message must have 1 to {MESSAGE_MAX} characters");
        return Err(invalid("voicemail", expected));
    }
    for (field, id) in [
        ("call_type", &new.call_type),
        ("lead_id", &new.lead_id),
        ("business_id", &new.business_id),
        ("consumer_id", &new.consumer_id),
    ] {
        if id
            .as_deref()
            .is_some_and(|id| length(id) > ID_MAX || id.contains('\0'))
        {
            return Err(invalid(
                field,
                format!("it may have {ID_MAX} characters and no NUL"),
            ));
        }
    }
    let (entries, name_max, text_max) = METADATA;
    let fits =
        |(name, text): (&String, &String)| length(name) <= name_max && length(text) <= text_max;
    if new.metadata.len() > entries || !new.metadata.iter().all(fits) {
        let expected = format!(
            "up to {entries} values with names of {name_max} and texts of {text_max} characters"
        );
        return Err(invalid("metadata", expected));
    }
    let longest_s = app.config.telephony.max_call_s;
    if new
        .max_duration_s
        .is_some_and(|seconds| !(30..=longest_s).contains(&u64::from(seconds)))
    {
        let expected = format!("it must be 30 to {longest_s}; see telephony.max_call_s");
        return Err(invalid("max_duration_s", expected));
    }
    if let Some(at) = new.scheduled_at {
        let at = DateTime::from_timestamp(at, 0);
        if at.is_none_or(|at| at > now + AHEAD) {
            return Err(invalid(
                "scheduled_at",
                "it must be Unix seconds within the next year",
            ));
        }
    }
    let zone = new.time_zone.as_deref().map(str::parse::<Tz>).transpose();
    zone.map_err(|_| invalid("time_zone", "it must be a zone such as America/Chicago"))
}

/// The account that places a call of `tenant`, and the number that is shown.
async fn account(
    app: &App,
    tenant: &str,
    from: Option<&str>,
) -> Result<(String, Option<String>), NotTaken> {
    let Some(from) = from else {
        let Some((name, line)) = app.dialler.default_line() else {
            return Err(NotTaken::NoAccount(
                "No carrier account places calls: set telephony.accounts.NAME with account_id and auth_token, and dialling.account where there are several.",
            ));
        };
        return Ok((name.to_owned(), line.number.clone()));
    };
    let from = number("from", from)?;
    // whoever shows a number that is not theirs is a swindler, and carriers refuse it
    let theirs = invalid(
        "from",
        "it is none of this tenant's numbers; see telephony.numbers and PUT /v1/phone_numbers",
    );
    let of_account = app.dialler.line_of(from.as_str()).map(|(name, _)| name);
    let telephony = &app.config.telephony;
    let named = if let Some(own) = telephony.number(from.as_str()) {
        if own.tenant() != tenant {
            return Err(theirs);
        }
        own.account.clone().or(of_account.map(str::to_owned))
    } else if let Some(name) = of_account {
        if tenant != DEFAULT_TENANT {
            return Err(theirs);
        }
        Some(name.to_owned())
    } else {
        let Some(line) = app.store.sql.find_line(tenant, from.as_str()).await? else {
            return Err(theirs);
        };
        let account = telephony.accounts.get(&line.account);
        let serves = account.is_some_and(|account| account.serves(tenant));
        if !serves && tenant != DEFAULT_TENANT {
            return Err(theirs);
        }
        Some(line.account).filter(|account| !account.is_empty())
    };
    let named = named.or_else(|| app.dialler.default_line().map(|(name, _)| name.to_owned()));
    let named = named.filter(|name| app.dialler.line(name).is_some());
    named
        .map(|name| (name, Some(from.as_str().to_owned())))
        .ok_or(theirs)
}
