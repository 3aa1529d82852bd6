//! Limits of all gateways, in Redis.
//! Used by [`super::Limiter`]; the arithmetic is `window.lua`, on the clock of Redis.
//! Never waits for a Redis that is known to be away, and never asks twice: a decision is taken once or not at all.

use std::sync::{Arc, LazyLock};

use engine::guard::Standing;

use super::memory::Memory;
use super::{Decider, Grant, Left, Measure, Meter, Origin, Refused, Reservation, reservation};
use crate::live::link::{Away, LIMITS, Link, Script};

static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        include_str!("window.lua"),
        include_str!("take.lua")
    ))
});
static COUNT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        include_str!("window.lua"),
        include_str!("count.lua")
    ))
});
static SETTLE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        include_str!("window.lua"),
        include_str!("settle.lua")
    ))
});

/// The limits of all gateways, and those of this process for when Redis is away; clones share both.
#[derive(Debug, Clone)]
pub struct Shared {
    parts: Arc<Parts>,
}

#[derive(Debug)]
struct Parts {
    link: Link,
    local: Memory,
    share_percent: u64,
}

impl Shared {
    pub(super) fn new(link: Link, share_percent: u64) -> Self {
        let parts = Parts {
            link,
            local: Memory::default(),
            share_percent,
        };
        Self {
            parts: Arc::new(parts),
        }
    }

    pub(super) async fn take(
        &self,
        meters: Vec<Meter>,
        now_ms: u64,
    ) -> (Result<Grant, Refused>, Decider) {
        if meters.is_empty() {
            return (self.parts.local.take(meters, now_ms), Decider::Ordinary);
        }
        if let Ok(answer) = self.ask(&meters).await {
            return (outcome(meters, &answer), Decider::Ordinary);
        }
        let mut local = self.local(meters);
        for meter in &mut local {
            if meter.measure == Measure::Tokens {
                // an estimate that fits into the limit is no reason to keep somebody out of its share
                meter.amount = meter.amount.min(meter.rate.limit());
            }
        }
        (self.parts.local.take(local, now_ms), Decider::Degraded)
    }

    pub(super) async fn count(&self, meters: Vec<Meter>, now_ms: u64) -> (Vec<Left>, Decider) {
        if meters.is_empty() {
            return (Vec::new(), Decider::Ordinary);
        }
        let (keys, arguments) = self.listed(&meters);
        let answer: Result<Vec<i64>, Away> = self.parts.link.run(&COUNT, &keys, &arguments).await;
        if let Ok(values) = answer
            && let Some(standings) = standings(&values, meters.len())
        {
            return (left(&meters, &standings), Decider::Ordinary);
        }
        let local = self.local(meters);
        (self.parts.local.count(&local, now_ms), Decider::Degraded)
    }

    pub(super) async fn settle(&self, reservation: &Reservation, used: u64, now_ms: u64) {
        if reservation.held.is_empty() {
            return;
        }
        if reservation.origin == Origin::Memory {
            return self.parts.local.settle(reservation, used, now_ms);
        }
        let mut arguments = vec![used];
        let keys = reservation.held.iter().map(|(meter, reserved)| {
            let rate = meter.rate;
            arguments.extend([
                rate.limit(),
                rate.window_ms(),
                reserved.bucket,
                reserved.amount,
            ]);
            self.key(meter)
        });
        let keys: Vec<_> = keys.collect();
        // Redis is away: what was reserved fades with its window, which is the safe side
        let _: Result<i64, Away> = self.parts.link.run(&SETTLE, &keys, &arguments).await;
    }

    async fn ask(&self, meters: &[Meter]) -> Result<Answer, Away> {
        let (keys, arguments) = self.listed(meters);
        let values: Vec<i64> = self.parts.link.run(&TAKE, &keys, &arguments).await?;
        Answer::read(&values, meters.len()).ok_or(Away)
    }

    /// The keys of `meters`, and what the scripts are told of each.
    fn listed(&self, meters: &[Meter]) -> (Vec<String>, Vec<u64>) {
        let keys = meters.iter().map(|meter| self.key(meter)).collect();
        let arguments = meters
            .iter()
            .flat_map(|meter| [meter.rate.limit(), meter.rate.window_ms(), meter.amount]);
        (keys, arguments.collect())
    }

    fn key(&self, meter: &Meter) -> String {
        self.parts.link.key(LIMITS, &meter.key())
    }

    /// `meters` as this process gives them while Redis is away.
    fn local(&self, mut meters: Vec<Meter>) -> Vec<Meter> {
        for meter in &mut meters {
            meter.rate = meter.rate.share(self.parts.share_percent);
        }
        meters
    }
}

/// What `take.lua` answers.
struct Answer {
    now_ms: u64,
    /// Which meter refused, what remains of it, and when to come back.
    refused: Option<(usize, u64, Option<u64>)>,
    standings: Vec<Standing>,
}

impl Answer {
    fn read(values: &[i64], meters: usize) -> Option<Self> {
        let [now, refused, wait, remaining, rest @ ..] = values else {
            return None;
        };
        let standings = standings(rest, meters)?;
        let refused = usize::try_from(*refused).ok()?;
        if refused > meters {
            return None;
        }
        let remaining = remaining.unsigned_abs();
        Some(Self {
            now_ms: u64::try_from(*now).ok()?,
            refused: refused
                .checked_sub(1)
                .map(|meter| (meter, remaining, u64::try_from(*wait).ok())),
            standings,
        })
    }
}

/// Three numbers of an answer for each of so many meters.
fn standings(values: &[i64], meters: usize) -> Option<Vec<Standing>> {
    let (standings, []) = values.as_chunks::<3>() else {
        return None;
    };
    let standing = |[remaining, reset, wait]: &[i64; 3]| Standing {
        remaining: remaining.unsigned_abs(),
        reset_ms: reset.unsigned_abs(),
        wait_ms: wait.unsigned_abs(),
    };
    (standings.len() == meters).then(|| standings.iter().map(standing).collect())
}

fn left(meters: &[Meter], standings: &[Standing]) -> Vec<Left> {
    let left = meters.iter().zip(standings);
    let left = left.map(|(meter, standing)| Left {
        kind: meter.kind,
        measure: meter.measure,
        limit: meter.rate.limit(),
        standing: *standing,
    });
    left.collect()
}

fn outcome(meters: Vec<Meter>, answer: &Answer) -> Result<Grant, Refused> {
    if let Some((index, remaining, retry_after_ms)) = answer.refused {
        let meter = &meters[index];
        return Err(Refused {
            kind: meter.kind,
            measure: meter.measure,
            limit: meter.rate.limit(),
            remaining,
            retry_after_ms,
        });
    }
    Ok(Grant {
        left: left(&meters, &answer.standings),
        reservation: reservation(meters, Origin::Redis, answer.now_ms),
    })
}
