//! Puts providers in a row: the first that answers, does, and where one breaks off the next takes over.
//! Made by the catalog for every configured pipeline; the session sees one provider per stage.
//! Never says or hears anything twice: what was already said is known, and what was heard is kept until it is understood.

mod answers;
mod bill;
mod duplex;
mod feed;
mod hedged;
mod llm;
mod stt;
mod tts;
mod watch;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use engine::guard::{Admission, Breaker, BreakerPolicy};
use tokio::time::Instant;

pub use duplex::GuardedDuplex;
pub use hedged::HedgedLlm;
pub use llm::GuardedLlm;
pub use stt::GuardedStt;
pub use tts::GuardedTts;
pub use watch::{Incident, OpenWork, Stage, Watch};

use crate::{Kind, ProviderError};

/// Wait of a rate limit that does not say how long it lasts.
const LIMITED_FOR: Duration = Duration::from_secs(5);
/// The models of this machine have the stages' limits so many times over: nobody else does what they are doing.
const AT_HOME: u32 = 6;
/// A key that was refused is not tried again for so long.
const REFUSED_FOR: Duration = Duration::from_mins(1);
/// A provider that has another one behind it has so long for its first result; without one, its stage's limit.
const TAKE_OVER_AFTER: Duration = Duration::from_millis(4500);

/// A provider with what is known of its health; shared by every pipeline that names it.
pub struct Member<P: ?Sized> {
    name: Arc<str>,
    /// Where its key is configured.
    key_setting: String,
    provider: Arc<P>,
    stage: Stage,
    /// Part of this process: it is not left alone, and it is waited for.
    at_home: bool,
    breaker: Mutex<Breaker>,
    /// Why its key opens nothing, and until when that is believed.
    refused: Mutex<Option<(Instant, ProviderError)>>,
    watch: Watch,
    born: Instant,
}

/// What a member said about being asked.
enum Answerable {
    Yes,
    No(ProviderError),
}

impl<P: ?Sized> Member<P> {
    /// A provider of which nothing is known yet.
    pub fn new(name: &str, stage: Stage, provider: Arc<P>, watch: Watch) -> Self {
        Self {
            name: name.into(),
            key_setting: format!(
                "providers.{}.api_key",
                name.split('/').next().unwrap_or(name)
            ),
            provider,
            stage,
            at_home: false,
            breaker: Mutex::new(Breaker::new(BreakerPolicy::default())),
            refused: Mutex::default(),
            watch,
            born: Instant::now(),
        }
    }

    fn now_ms(&self) -> u64 {
        Instant::now().duration_since(self.born).as_millis() as u64
    }

    fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same provider, whose key is configured elsewhere.
    #[must_use]
    pub fn with_key_in(self, key_setting: &str) -> Self {
        Self {
            key_setting: key_setting.to_owned(),
            ..self
        }
    }

    /// The same provider, which is part of this process: leaving it alone would not heal it.
    #[must_use]
    pub fn at_home(self) -> Self {
        Self {
            at_home: true,
            ..self
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The provider itself, for questions that nobody guards.
    pub(crate) fn provider(&self) -> &P {
        &self.provider
    }

    /// The stage it does.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Why its key opens nothing, if that is known.
    fn refusal(&self) -> Option<ProviderError> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, error) = refused.as_ref()?;
        (Instant::now() < *until).then(|| error.clone())
    }

    /// Takes note of what a question that makes it do no work was answered.
    pub fn note_check(&self, outcome: Result<(), &ProviderError>) {
        let refusal = outcome.err().filter(|it| it.kind == Kind::Unauthorized);
        let refusal = refusal.map(|error| ProviderError {
            message: format!("{}; check {}", error.message, self.key_setting),
            ..error.clone()
        });
        let until = Instant::now() + REFUSED_FOR;
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused = refusal.map(|error| (until, error));
    }

    /// Whether it may be asked; every yes is followed by exactly one of the three below.
    fn admit(&self) -> Answerable {
        if self.at_home {
            return Answerable::Yes;
        }
        if let Some(refusal) = self.refusal() {
            return Answerable::No(refusal);
        }
        match self.breaker().admit(self.now_ms()) {
            Admission::Ask | Admission::Probe => Answerable::Yes,
            Admission::Rest { for_ms } => {
                let message = "it failed or refused lately and is left alone for a moment";
                Answerable::No(ProviderError {
                    retry_after: Some(Duration::from_millis(for_ms)),
                    ..ProviderError::new(self.name.to_string(), Kind::Overloaded, message)
                })
            }
        }
    }

    fn succeeded(&self) {
        let was_resting = {
            let mut breaker = self.breaker();
            let was = breaker.is_open();
            breaker.succeeded();
            was
        };
        if was_resting {
            self.watch.tell(&Incident::Closed {
                stage: self.stage,
                provider: &self.name,
            });
        }
    }

    /// A request that was refused for what it is says nothing about the provider's health.
    fn failed(&self, error: &ProviderError) {
        let now_ms = self.now_ms();
        let opened = match error.kind {
            Kind::Rejected => {
                self.breaker().succeeded();
                false
            }
            Kind::RateLimited | Kind::Overloaded => {
                let wait = error.retry_after.unwrap_or(LIMITED_FOR);
                self.breaker().limited(now_ms, wait.as_millis() as u64);
                false
            }
            Kind::Unauthorized => {
                self.note_check(Err(error));
                self.breaker().abandoned(now_ms);
                false
            }
            Kind::Unavailable | Kind::Protocol | Kind::Timeout => self.breaker().failed(now_ms),
        };
        if opened {
            self.watch.tell(&Incident::Opened {
                stage: self.stage,
                provider: &self.name,
            });
        }
    }

    fn abandoned(&self) {
        self.breaker().abandoned(self.now_ms());
    }
}

/// The members of one stage, in the order in which they are asked.
struct Row<P: ?Sized> {
    members: Vec<Arc<Member<P>>>,
    stage: Stage,
    watch: Watch,
}

impl<P: ?Sized> Row<P> {
    fn new(members: Vec<Arc<Member<P>>>, stage: Stage, watch: Watch) -> Self {
        Self {
            members,
            stage,
            watch,
        }
    }

    fn name(&self) -> &str {
        self.members.first().map_or("nobody", |member| &member.name)
    }

    /// The next member behind `at` that may be asked, and its place; the error that keeps the others away.
    fn next(&self, at: usize) -> Result<(usize, &Arc<Member<P>>), ProviderError> {
        let mut refused = None;
        for (place, member) in self.members.iter().enumerate().skip(at) {
            match member.admit() {
                Answerable::Yes => return Ok((place, member)),
                Answerable::No(error) => refused = refused.or(Some(error)),
            }
        }
        Err(refused.unwrap_or_else(|| {
            let message = "no provider is left to ask";
            ProviderError::new(self.name().to_owned(), Kind::Unavailable, message)
        }))
    }

    /// The first of the row, where the one at `place` is asked without it: it has failed often enough to be left alone.
    fn resting(&self, place: usize) -> Option<(&Arc<Member<P>>, ProviderError)> {
        let first = self.members.first().filter(|_| place > 0)?;
        let message = "it is left alone for a while, having failed";
        let refused = ProviderError::new(first.name.to_string(), Kind::Unavailable, message);
        Some((first, refused))
    }

    /// Whether any member has a key that opens something, as far as is known.
    fn usable(&self) -> Result<(), ProviderError> {
        let mut refusal = None;
        for member in &self.members {
            match member.refusal() {
                None => return Ok(()),
                Some(error) => refusal = refusal.or(Some(error)),
            }
        }
        refusal.map_or(Ok(()), Err)
    }

    /// How long the member at `place` has for its first result.
    fn patience(&self, place: usize, stage_limit: Duration) -> Duration {
        if place + 1 < self.members.len() {
            stage_limit.min(TAKE_OVER_AFTER)
        } else if self.members[place].at_home {
            stage_limit * AT_HOME
        } else {
            stage_limit
        }
    }

    fn failed_over(&self, session: &str, from: &str, to: &str) {
        self.watch.tell(&Incident::FailedOver {
            session,
            stage: self.stage,
            from,
            to,
        });
    }
}

/// How one member did.
enum Attempt {
    /// It did the job.
    Done,
    /// Nobody waits for the outcome any more.
    Unheard,
    /// It did not, or only in part.
    Failed(ProviderError),
    /// More was asked for than anybody does; it did not fail.
    Overflowed(ProviderError),
}

/// What members are tried at until one has done it.
trait Job: Send {
    /// A provider's port.
    type Provider: ?Sized + Send + Sync + 'static;
    /// Whose it is.
    fn session(&self) -> &str;
    /// Whether the member at `place` may try: somebody else may be asking it for this very job.
    fn may_ask(&mut self, _place: usize) -> bool {
        true
    }
    /// Returns when nobody waits for the outcome any more.
    fn unheard(&self) -> impl Future<Output = ()> + Send + 'static;
    /// Lets `member` try; it has so long for its first result.
    fn attempt(
        &mut self,
        member: &Member<Self::Provider>,
        patience: Duration,
    ) -> impl Future<Output = Attempt> + Send;
    /// Gets ready for another member to go on; `false` where nobody can.
    fn hand_over(&mut self) -> impl Future<Output = bool> + Send;
    /// Tells that `to` does what `from` was to do.
    fn taken_over(
        &mut self,
        _from: &str,
        _to: &str,
        _why: &ProviderError,
    ) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
    /// Tells that nobody did it.
    fn fail(&mut self, error: ProviderError) -> impl Future<Output = ()> + Send;
}

/// Lets the members of `row` try in turn; `limit` is how long the last of them has for its first result.
async fn run<J: Job>(row: &Row<J::Provider>, job: &mut J, limit: Duration) {
    let mut at = 0;
    let mut last: Option<(Arc<str>, ProviderError)> = None;
    loop {
        let (place, member) = match row.next(at) {
            Ok(next) => next,
            Err(refused) => return job.fail(last.map_or(refused, |(_, error)| error)).await,
        };
        if !job.may_ask(place) {
            member.abandoned();
            let message = "somebody else asks those behind it";
            let name = row.name().to_owned();
            let taken = || ProviderError::new(name, Kind::Unavailable, message);
            return job.fail(last.map_or_else(taken, |(_, error)| error)).await;
        }
        if let Some((from, error)) = &last {
            row.failed_over(job.session(), from, &member.name);
            job.taken_over(from, &member.name, error).await;
        } else if let Some((resting, refused)) = row.resting(place) {
            job.taken_over(&resting.name, &member.name, &refused).await;
        }
        let unheard = job.unheard();
        let attempt = tokio::select! {
            biased;
            () = unheard => Attempt::Unheard,
            attempt = job.attempt(member, row.patience(place, limit)) => attempt,
        };
        match attempt {
            Attempt::Done => return member.succeeded(),
            Attempt::Unheard => return member.abandoned(),
            Attempt::Overflowed(error) => {
                member.abandoned();
                return job.fail(error).await;
            }
            Attempt::Failed(error) => {
                member.failed(&error);
                if !job.hand_over().await {
                    return job.fail(error).await;
                }
                last = Some((Arc::clone(&member.name), error));
                at = place + 1;
            }
        }
    }
}
