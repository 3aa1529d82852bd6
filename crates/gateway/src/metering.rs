//! What conversations make providers do, and what that costs.
//! Told by the providers' guards through [`Meter::watch`]; read by `GET /v1/sessions/{id}/usage` and by `/metrics`.
//! Never bills anybody, and never takes what is not known for nothing.

mod ledger;
mod prices;
mod requests;
mod stored;
mod tabs;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use engine::meter::{PriceTable, Units};
use providers::guarded::{Incident, OpenWork, Stage, Watch};
use store::Journal;
use wire::rest::usage::SessionUsage;

use crate::clock::Clock;
use crate::observe::{Event, Metrics};
use crate::quota::Tab;

pub use ledger::Opening;
pub(crate) use ledger::shown;
pub use prices::{PricesError, load};
pub use requests::Billed;
pub use tabs::Attached;

use ledger::Ledger;
use requests::Requests;
use stored::Desk;
use tabs::Tabs;

pub(crate) use stored::session_usage;

/// Ended sessions whose usage is still shown, on top of all that run.
const REMEMBERED: usize = 5_000;
/// Those of one tenant: a busy one does not take the others' away.
const REMEMBERED_OF_TENANT: usize = 200;

/// A provider's work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Used<'a> {
    /// `sess_…`, or a request's id.
    pub session: &'a str,
    /// The session's turn, counted from 1.
    pub turn: u32,
    /// `stt`, `llm`, `tts`, `duplex` or `tool`.
    pub stage: &'static str,
    /// Its name in the configuration.
    pub provider: &'a str,
    /// Its model; empty where there is only one.
    pub model: &'a str,
    /// What it did.
    pub units: Units,
}

/// Counts everything that providers do; cheap to clone.
#[derive(Debug, Clone)]
pub struct Meter(Arc<Counting>);

#[derive(Debug)]
struct Counting {
    prices: PriceTable,
    metrics: Metrics,
    books: Mutex<Books>,
    /// The way to the database, where usage is stored.
    desk: Option<Desk>,
    /// Work that providers have begun and not told of yet.
    open: OpenWork,
}

#[derive(Debug, Default)]
struct Books {
    /// Boxed: the map keeps room for twice as many.
    ledgers: HashMap<String, Box<Ledger>>,
    /// Ended ones, the oldest first.
    ended: VecDeque<String>,
    /// How many of them each tenant has.
    by_tenant: HashMap<String, usize>,
    /// Requests over REST, which nobody asks for by their name.
    requests: Requests,
    /// Who is told of work, besides.
    tabs: Tabs,
}

impl Books {
    fn close(&mut self, session: &str) {
        let Some(tenant) = self.tenant(session) else {
            return;
        };
        self.ended.push_back(session.to_owned());
        let of_tenant = self.by_tenant.entry(tenant.clone()).or_default();
        *of_tenant += 1;
        let oldest = if *of_tenant > REMEMBERED_OF_TENANT {
            let theirs = |session: &String| {
                let ledger = self.ledgers.get(session);
                ledger.is_some_and(|ledger| ledger.tenant() == tenant)
            };
            self.ended.iter().position(theirs)
        } else {
            (self.ended.len() > REMEMBERED).then_some(0)
        };
        if let Some(oldest) = oldest.and_then(|at| self.ended.remove(at)) {
            self.forget(&oldest);
        }
    }

    /// Whether there is a closed ledger of this session of `tenant`; it is open again then.
    fn reopen(&mut self, session: &str, tenant: &str) -> bool {
        if self.tenant(session).as_deref() != Some(tenant) {
            return false;
        }
        // from the end: a client comes back soon
        if let Some(at) = self.ended.iter().rposition(|ended| ended == session) {
            self.ended.remove(at);
            self.leave_tenant(tenant);
        }
        true
    }

    fn forget(&mut self, session: &str) {
        let tenant = self.tenant(session).unwrap_or_default();
        self.ledgers.remove(session);
        self.leave_tenant(&tenant);
    }

    fn leave_tenant(&mut self, tenant: &str) {
        if let Some(of_tenant) = self.by_tenant.get_mut(tenant) {
            *of_tenant -= 1;
            if *of_tenant == 0 {
                self.by_tenant.remove(tenant);
            }
        }
    }

    /// The ledger of a session or a request.
    fn ledger(&mut self, account: &str) -> Option<&mut Ledger> {
        let of_session = self.ledgers.get_mut(account).map(Box::as_mut);
        of_session.or_else(|| self.requests.find(account))
    }

    fn tenant(&self, session: &str) -> Option<String> {
        let ledger = self.ledgers.get(session)?;
        Some(ledger.tenant().to_owned())
    }
}

impl Meter {
    /// Counts at these prices.
    pub fn new(prices: PriceTable, metrics: Metrics) -> Self {
        Self::with(prices, metrics, None)
    }

    /// Counts at these prices, and stores everything that sessions use as well, through `journal`.
    pub fn storing(
        prices: PriceTable,
        metrics: Metrics,
        (journal, clock): (Journal, Clock),
    ) -> Self {
        Self::with(prices, metrics, Some(Desk::new(journal, clock)))
    }

    fn with(prices: PriceTable, metrics: Metrics, desk: Option<Desk>) -> Self {
        Self(Arc::new(Counting {
            prices,
            metrics,
            books: Mutex::default(),
            desk,
            open: OpenWork::default(),
        }))
    }

    /// Who is told what happens to providers: their work comes here, their health goes to the metrics.
    pub fn watch(&self) -> Watch {
        let meter = self.clone();
        Watch::new(move |incident| meter.tell(incident)).counting(self.0.open.clone())
    }

    /// Waits until providers have told of everything they have begun: what is cut off is told of a moment later.
    pub async fn settled(&self) {
        self.0.open.none().await;
    }

    /// Takes note of what happened to a provider.
    pub(crate) fn tell(&self, incident: &Incident<'_>) {
        match *incident {
            Incident::Used {
                session,
                turn,
                stage,
                provider,
                model,
                units,
            } => self.note(&Used {
                session,
                turn,
                stage: stage.name(),
                provider,
                model,
                units,
            }),
            _ => self.0.metrics.incident(incident),
        }
    }

    /// Begins a session's ledger, or goes on with it where it is remembered; it is closed when the result is dropped.
    pub fn open(&self, session: &str, opening: Opening) -> Account {
        let mut books = self.books();
        if !books.reopen(session, &opening.tenant) {
            let mut ledger = Box::new(Ledger::new(opening));
            if let Some(desk) = &self.0.desk {
                ledger.counter = desk.counter();
            }
            books.ledgers.insert(session.to_owned(), ledger);
        }
        drop(books);
        Account {
            meter: self.clone(),
            session: session.to_owned(),
        }
    }

    /// Begins to count what a request over REST uses under the name `account`, until the result is dropped and for a while
    /// after.
    pub fn request(&self, account: &str, opening: Opening) -> Billed {
        let mut ledger = Ledger::new(opening);
        if let Some(desk) = &self.0.desk {
            ledger.counter = desk.counter();
        }
        self.books().requests.add(account, ledger);
        Billed::new(self.clone(), account)
    }

    /// Enters a provider's work. Work that is cut off when its session ends is entered as well.
    pub fn note(&self, used: &Used<'_>) {
        let cost = self.0.prices.cost(used.provider, used.model, &used.units);
        self.0.metrics.emit(&Event::Used { used, cost });
        let (entries, tab) = {
            let mut books = self.books();
            let tab = books.tabs.find(used.session);
            let desk = self.0.desk.as_ref();
            let entries = books.ledger(used.session).and_then(|ledger| {
                ledger.enter(used, cost);
                let desk = desk?;
                let piece = desk.piece(ledger, used, cost, &self.0.prices.version);
                // some work is told of when its turn has been answered: it is tied to the response as well
                let response = ledger.response(used.turn);
                let answered = response
                    .map(|response| Desk::answered(ledger, used.session, used.turn, response));
                Some((piece, answered))
            });
            (entries, tab)
        };
        if let (Some(desk), Some((piece, answered))) = (&self.0.desk, entries) {
            desk.post(&piece);
            if let Some(answered) = answered {
                desk.post(&answered);
            }
        }
        if let Some(tab) = tab {
            tab.note(used, cost);
        }
    }

    /// What is done for `session` counts on `tab` from now on, until the result is dropped and for a while after.
    pub fn attach(&self, session: &str, tab: Tab) -> Attached {
        self.books().tabs.add(session, tab.clone());
        Attached::new(self.clone(), session, tab)
    }

    fn detach(&self, session: &str) {
        self.books().tabs.part(session);
    }

    /// Whose session it is; `None` when there is none, as for a request over REST.
    pub fn tenant_of(&self, session: &str) -> Option<String> {
        self.books().tenant(session)
    }

    /// What a session of `tenant` has used so far, as this process counted it; `None` when there is no such session, or
    /// nobody remembers it here.
    pub fn usage(&self, tenant: &str, session: &str) -> Option<SessionUsage> {
        let ledger = self.ledger(tenant, session)?;
        Some(ledger.show(session, &self.0.prices.version))
    }

    fn ledger(&self, tenant: &str, session: &str) -> Option<Ledger> {
        let books = self.books();
        let ledger = books.ledgers.get(session)?;
        (ledger.tenant() == tenant).then(|| (**ledger).clone())
    }

    /// Models that would be used at prices nobody has told, as `stage provider model`.
    pub fn unpriced<'a>(
        &self,
        members: impl IntoIterator<Item = (Stage, &'a str, &'a str)>,
    ) -> Vec<(Stage, &'a str, &'a str)> {
        let known = |(stage, provider, model): &(Stage, &str, &str)| {
            let sample = ledger::sample(*stage);
            self.0.prices.cost(provider, model, &sample).is_none()
        };
        members.into_iter().filter(known).collect()
    }

    fn turn_ended(&self, session: &str, turn: u32, response: &str) {
        let entry = {
            let mut books = self.books();
            let Some(ledger) = books.ledgers.get_mut(session) else {
                return;
            };
            ledger.name_turn(turn, response);
            let desk = self.0.desk.as_ref();
            desk.map(|_| Desk::answered(ledger, session, turn, response))
        };
        if let (Some(desk), Some(entry)) = (&self.0.desk, entry) {
            desk.post(&entry);
        }
    }

    fn close(&self, session: &str) {
        self.books().close(session);
    }

    fn books(&self) -> std::sync::MutexGuard<'_, Books> {
        self.0.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session's place in the books.
#[derive(Debug)]
pub struct Account {
    meter: Meter,
    session: String,
}

impl Account {
    /// Ties a turn to the response that ended it.
    pub fn turn_ended(&self, turn: u32, response: &str) {
        self.meter.turn_ended(&self.session, turn, response);
    }

    /// What the session has cost so far, in micro-dollars; `None` where a price is missing.
    pub fn micro_dollars(&self) -> Option<u64> {
        let books = self.meter.books();
        books.ledgers.get(&self.session)?.micro_dollars()
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.meter.close(&self.session);
    }
}

#[cfg(test)]
mod tests;
