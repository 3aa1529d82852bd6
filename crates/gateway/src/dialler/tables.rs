//! LeadFlip's tables `calls` and `leads`, kept through a `PostgREST` endpoint such as Supabase's (spec: telephony §6).
//! Put into the outbox with a call's summary, and worked off there.
//! Never moves a lead back, never changes a row that somebody has moved on meanwhile, and never calls a failure a contact.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use engine::call::lead::status_after;
use engine::call::state::{CallState, Outcome, legacy_status};
use reqwest::{Method, RequestBuilder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{Effect, NewEffect, Retries, StoredCall};
use url::Url;

use super::{CallKey, Details, summary};
use crate::App;
use crate::outbox::{Failed, Work};

/// Under this name a call's metadata holds the id of LeadFlip's own row.
const CALL_ID: &str = "leadflip_call_id";
/// The topic of this work.
const TOPIC: &str = "leadflip.tables";
/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(15);

/// Which call.
#[derive(Debug, Serialize, Deserialize)]
struct Wanted {
    call: String,
}

/// What makes the tables follow a call; nothing where there are none.
pub fn effect(app: &App, key: &CallKey, now: DateTime<Utc>) -> Option<NewEffect> {
    app.config.leadflip.tables_url.as_ref()?;
    let wanted = Wanted {
        call: key.id.clone(),
    };
    Some(NewEffect {
        id: format!("tables_{}", key.id),
        topic: TOPIC.to_owned(),
        payload: serde_json::to_string(&wanted).unwrap_or_default(),
        due_at: now,
    })
}

/// Keeps the tables.
pub struct Tables;

#[async_trait]
impl Work for Tables {
    fn topic(&self) -> &'static str {
        TOPIC
    }

    fn retries(&self) -> Retries {
        Retries {
            first: TimeDelta::seconds(5),
            longest: TimeDelta::hours(1),
            tries: 20,
        }
    }

    async fn run(&self, app: &Arc<App>, effect: &Effect) -> Result<(), Failed> {
        let wanted: Wanted = serde_json::from_str(&effect.payload)
            .map_err(|_| Failed::never("what was put in cannot be read"))?;
        let sql = &app.store.sql;
        let Some(call) = sql.find_call(&effect.tenant, &wanted.call).await? else {
            return Ok(());
        };
        let Some(tables) = Endpoint::of(app)? else {
            return Ok(());
        };
        let attempt = (
            effect.tenant.as_str(),
            wanted.call.as_str(),
            call.attempt_number,
        );
        let turns = sql.attempt_turns(attempt).await?;
        let details = Details::of(&call);
        if let Some(id) = details.metadata.get(CALL_ID) {
            let row = row(&call, &details, &summary::lines(&turns));
            tables.change("calls", &[("id", id)], &row).await?;
        }
        if let Some(lead) = &call.lead {
            tables.move_lead(lead, &call).await?;
        }
        Ok(())
    }
}

/// A row of `calls` as LeadFlip's pages read it.
fn row(call: &StoredCall, details: &Details, transcript: &str) -> Value {
    let outcome = call.outcome.as_deref().and_then(Outcome::parse);
    let state = CallState::parse(&call.state).unwrap_or(CallState::Ended);
    let time =
        |at: Option<DateTime<Utc>>| at.map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true));
    let talked = call.answered_at.zip(call.ended_at);
    let summary = details.summary.as_ref();
    let dollars = |micros: i64| micros as f64 / 1e6;
    json!({
        "status": legacy_status(state, outcome),
        "twilio_call_sid": call.carrier_call_id,
        "twilio_status": call.carrier_status,
        "attempt_number": call.attempt_number,
        "started_at": time(call.started_at),
        "ended_at": time(call.ended_at),
        "duration_seconds": talked.map(|(from, to)| (to - from).num_seconds()),
        "transcript": transcript,
        "summary": summary.map(|summary| &summary.summary),
        "outcome": call.outcome,
        "error_message": call.error_message,
        "consumer_interest_level": call.interest,
        "appointment_time": summary.and_then(|summary| summary.appointment_time.as_ref()),
        "quote_amount": summary.and_then(|summary| summary.quote_amount),
        "next_action": summary.and_then(|summary| summary.next_action.as_ref()),
        "recording_url": call.recording_url,
        "actual_cost_usd": call.actual_micros.map(dollars),
        "updated_at": time(Some(call.updated_at)),
    })
}

/// A `PostgREST` endpoint.
struct Endpoint {
    http: reqwest::Client,
    base: Url,
    key: String,
}

impl Endpoint {
    fn of(app: &App) -> Result<Option<Self>, Failed> {
        let own = &app.config.leadflip;
        let Some(url) = &own.tables_url else {
            return Ok(None);
        };
        let base =
            Url::parse(url).map_err(|_| Failed::never("leadflip.tables_url is no address"))?;
        let key = own.tables_key.as_ref().map(|key| key.reveal().to_owned());
        Ok(Some(Self {
            http: app.http.clone(),
            base,
            key: key.unwrap_or_default(),
        }))
    }

    fn request(
        &self,
        method: Method,
        table: &str,
        filters: &[(&str, &str)],
    ) -> Result<RequestBuilder, Failed> {
        let mut address = self.base.clone();
        match address.path_segments_mut() {
            Ok(mut path) => {
                path.pop_if_empty().extend(["rest", "v1", table]);
            }
            Err(()) => {
                return Err(Failed::never(
                    "leadflip.tables_url is no address of the web",
                ));
            }
        }
        for (column, value) in filters {
            address
                .query_pairs_mut()
                .append_pair(column, &format!("eq.{value}"));
        }
        Ok(self
            .http
            .request(method, address)
            .timeout(LIMIT)
            .header("apikey", &self.key)
            .bearer_auth(&self.key))
    }

    /// Changes the rows that `filters` let through, and gives how many those were.
    async fn change(
        &self,
        table: &str,
        filters: &[(&str, &str)],
        row: &Value,
    ) -> Result<usize, Failed> {
        let request = self.request(Method::PATCH, table, filters)?;
        let request = request.header("prefer", "return=representation").json(row);
        let rows = read(request).await?;
        Ok(rows.as_array().map_or(0, Vec::len))
    }

    /// Where a lead stands after `call`, unless it stands further.
    async fn move_lead(&self, lead: &str, call: &StoredCall) -> Result<(), Failed> {
        let Some(outcome) = call.outcome.as_deref().and_then(Outcome::parse) else {
            return Ok(());
        };
        let request = self.request(Method::GET, "leads", &[("id", lead)])?;
        let found = read(request.query(&[("select", "status")])).await?;
        // a lead that was deleted meanwhile is nobody's
        let Some(found) = found.as_array().and_then(|rows| rows.first()) else {
            return Ok(());
        };
        let now = found["status"].as_str();
        let Some(next) = status_after(now, outcome, call.appointment_at.is_some()) else {
            return Ok(());
        };
        let mut filters = vec![("id", lead)];
        // whoever has moved it meanwhile is not overruled: it is looked at again
        filters.extend(now.map(|now| ("status", now)));
        let changed = self
            .change("leads", &filters, &json!({ "status": next }))
            .await?;
        if changed == 0 {
            return Err(Failed::again("the lead was changed meanwhile"));
        }
        Ok(())
    }
}

/// What an endpoint answers.
async fn read(request: RequestBuilder) -> Result<Value, Failed> {
    let response = request.send().await;
    let response = response.map_err(|_| Failed::again("the tables cannot be reached"))?;
    let status = response.status();
    let body: Value = response.json().await.unwrap_or_default();
    if status.is_success() {
        return Ok(body);
    }
    // the code is a word of `PostgREST`'s or of PostgreSQL's; the message may quote the row
    let code = body["code"].as_str().unwrap_or("no code");
    let problem = format!("the tables answered {} with {code}", status.as_u16());
    Err(match status.as_u16() {
        // a column or a table that is not there: an operator must act
        400 | 404 | 406 | 422 => Failed::never(problem),
        _ => Failed::again(problem),
    })
}
