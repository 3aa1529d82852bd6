//! Whose a call is that comes in: by the number that was called, from the configuration or from the database.
//! Asked by the routes that answer calls, and for carriers that open a stream without asking.
//! Never tells a caller whose a number is not.

use engine::call::number::E164;
use store::{StoreError, StoredCall};

use crate::App;
use crate::auth::{DEFAULT_PROJECT, DEFAULT_TENANT};

/// Who answers a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Whose it is.
    pub(super) tenant: String,
    /// In which project.
    pub(super) project: String,
    /// Name of the agent.
    pub(super) agent: Option<String>,
    /// The pipeline, where there is no agent and it is not the default one.
    pub(super) pipeline: Option<String>,
    /// The carrier account that it is with; any when absent.
    pub(super) account: Option<String>,
}

impl Line {
    /// Who answers calls that nobody was named for, while carriers are believed without a signature.
    pub(super) fn of_operator() -> Self {
        Self {
            tenant: DEFAULT_TENANT.to_owned(),
            project: DEFAULT_PROJECT.to_owned(),
            agent: None,
            pipeline: None,
            account: None,
        }
    }

    /// Whether calls to it may come over this account.
    pub(super) fn takes(&self, account: Option<&str>) -> bool {
        let own = self.account.as_deref().filter(|own| !own.is_empty());
        own.is_none_or(|own| account.is_none_or(|account| account == own))
    }
}

/// Whether a report or a stream over `account` may be of `call`: nothing is known where either has none.
pub(super) fn is_with(call: &StoredCall, account: Option<&str>) -> bool {
    call.account.is_empty() || account.is_none_or(|account| account == call.account)
}

/// A number as it is stored: carriers write some of them without a plus.
pub(super) fn normal(text: &str) -> Option<String> {
    let trimmed = text.trim();
    let parsed = E164::parse(trimmed);
    let parsed = parsed.or_else(|_| E164::parse(&format!("+{trimmed}")));
    parsed.ok().map(|number| number.as_str().to_owned())
}

/// Who answers `number`.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn find(app: &App, number: &str) -> Result<Option<Line>, StoreError> {
    let Some(number) = normal(number) else {
        return Ok(None);
    };
    if let Some(own) = app.config.telephony.number(&number) {
        let project = own.project.as_deref().filter(|own| !own.is_empty());
        return Ok(Some(Line {
            tenant: own.tenant().to_owned(),
            project: project.unwrap_or(DEFAULT_PROJECT).to_owned(),
            agent: own.agent.clone().filter(|name| !name.is_empty()),
            pipeline: own.pipeline.clone().filter(|name| !name.is_empty()),
            account: own.account.clone(),
        }));
    }
    let stored = app.store.sql.route_call(&number).await?;
    // the number of an account is the operator's, also where somebody was faster
    let operators = app.config.telephony.is_shown(&number);
    let stored = stored.filter(|line| !operators || line.tenant == DEFAULT_TENANT);
    Ok(stored.map(|line| Line {
        tenant: line.tenant,
        project: line.project,
        agent: Some(line.agent),
        pipeline: None,
        account: Some(line.account),
    }))
}
