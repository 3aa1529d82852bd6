//! An agent's answer for a part of this server that is no request, such as a chat room.
//! Called by the chat edge.
//! Never costs less than a request: it takes a place, asks the limits and is billed.

use std::sync::Arc;

use engine::ask::LlmRequest;
use providers::ports::LlmEvent;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::Receiver;

use super::answer;
use crate::App;
use crate::agents::PREFIX;
use crate::api::v1::asking::{admit, billed, catalog};
use crate::auth::Principal;
use crate::http::ApiError;
use crate::metering::Billed;
use crate::quota;

/// An answer that is being made. Dropping it cancels.
pub(crate) struct InsideAnswer {
    /// Ends after `Done` or `Failed`.
    pub(crate) events: Receiver<LlmEvent>,
    _counted: (quota::Asked, Billed),
    _place: Arc<OwnedSemaphorePermit>,
}

/// Lets the agent called `name` answer on the account of `who`.
///
/// # Errors
/// As the route's, in words.
pub(crate) async fn answer_as_agent(
    app: &App,
    who: &Principal,
    name: &str,
    question: LlmRequest,
) -> Result<InsideAnswer, String> {
    begin(app, who, name, question)
        .await
        .map_err(|error| error.message)
}

async fn begin(
    app: &App,
    who: &Principal,
    name: &str,
    question: LlmRequest,
) -> Result<InsideAnswer, ApiError> {
    let place = Arc::new(admit(app)?);
    let catalog = catalog(app).await?;
    let agent = app.agents.find(who.place(), name).await?;
    let agent = app.agents.build(&agent, &catalog)?;
    let model = format!("{PREFIX}{name}");
    let asked = quota::question(app, who, &question).await?;
    let billed = billed(app, who, &question.session, &model, &agent.pipeline);
    let stream = answer(app, agent, question, Arc::clone(&place));
    Ok(InsideAnswer {
        events: stream.events,
        _counted: (asked, billed),
        _place: place,
    })
}
