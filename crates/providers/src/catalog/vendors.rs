//! The vendors that pipelines name, apart from their pipelines.
//! Asked at start and by `antiphon doctor` whether they would answer, and how long that takes.
//! Never makes a vendor do any work.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::time::{Instant, timeout};

use crate::{
    Kind, ProviderError,
    guarded::{Member, Stage},
    ports::{Duplex, Llm, Stt, Tts},
};

/// What a vendor said when it was asked whether it would answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// As the pipeline names it.
    pub provider: String,
    /// What it is named for.
    pub stage: Stage,
    /// How long it took to say yes, the connection included.
    pub outcome: Result<Duration, ProviderError>,
}

/// Vendors, by what they are named for.
#[derive(Default)]
pub struct Vendors {
    pub(super) stt: Vec<Arc<Member<dyn Stt>>>,
    pub(super) llm: Vec<Arc<Member<dyn Llm>>>,
    pub(super) tts: Vec<Arc<Member<dyn Tts>>>,
    pub(super) duplex: Vec<Arc<Member<dyn Duplex>>>,
}

impl Vendors {
    /// Asks all of them at once, each for at most `limit`. Whoever refuses its key is not asked for work for a minute.
    pub async fn check(&self, limit: Duration) -> Vec<Checked> {
        let stt = self.stt.iter().map(|member| ask(member, limit, Stt::check));
        let llm = self.llm.iter().map(|member| ask(member, limit, Llm::check));
        let tts = self.tts.iter().map(|member| ask(member, limit, Tts::check));
        let duplex = self.duplex.iter();
        let duplex = duplex.map(|member| ask(member, limit, Duplex::check));
        let (mut stt, llm, tts, duplex) = futures_util::join!(
            join_all(stt),
            join_all(llm),
            join_all(tts),
            join_all(duplex)
        );
        stt.extend(llm);
        stt.extend(tts);
        stt.extend(duplex);
        stt
    }
}

impl Vendors {
    /// Every member as its stage, its provider's name and its model; the voice's model for the voice it speaks with.
    pub fn members(&self) -> Vec<(Stage, &str, &str)> {
        let stt = self
            .stt
            .iter()
            .map(|m| (m.stage(), m.name(), m.provider().model()));
        let llm = self
            .llm
            .iter()
            .map(|m| (m.stage(), m.name(), m.provider().model()));
        let tts = self
            .tts
            .iter()
            .map(|m| (m.stage(), m.name(), m.provider().model("")));
        let duplex = self
            .duplex
            .iter()
            .map(|m| (m.stage(), m.name(), m.provider().model()));
        let named = stt.chain(llm).chain(tts).chain(duplex);
        let mut members: Vec<_> = named
            .map(|(stage, name, model)| (stage, name.split('/').next().unwrap_or(name), model))
            .collect();
        members.sort_unstable();
        members.dedup();
        members
    }
}

async fn ask<'a, P, F>(
    member: &'a Member<P>,
    limit: Duration,
    check: impl FnOnce(&'a P) -> F,
) -> Checked
where
    P: ?Sized,
    F: Future<Output = Result<(), ProviderError>>,
{
    let begun = Instant::now();
    let outcome = timeout(limit, check(member.provider()))
        .await
        .unwrap_or_else(|_| {
            let message = format!("it did not answer within {} ms", limit.as_millis());
            let name = member.name().to_owned();
            Err(ProviderError::new(name, Kind::Timeout, message))
        });
    member.note_check(outcome.as_ref().map(drop));
    Checked {
        provider: member.name().to_owned(),
        stage: member.stage(),
        outcome: outcome.map(|()| begun.elapsed()),
    }
}
