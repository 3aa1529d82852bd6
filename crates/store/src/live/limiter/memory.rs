//! Limits of one process.
//! Used where there is no Redis, and by `redis` while it is away.
//! Never keeps more than [`WINDOWS`] windows: whoever comes when it is full shares one with the others who do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::guard::{Rate, Refusal, Window};

use super::{Grant, Left, Meter, Origin, Refused, Reservation, reservation};

/// Windows kept, of about 150 bytes each.
const WINDOWS: usize = 200_000;

/// Between two searches for windows that nothing counts in any more, in ms: a full table is not searched at every call.
const PURGE_EVERY_MS: u64 = 10_000;

#[derive(Debug, Default)]
struct Table {
    windows: HashMap<String, (Window, Rate)>,
    purged_at_ms: u64,
}

impl Table {
    /// What `meter` is kept under: its own key while there is room.
    fn place(&mut self, meter: &Meter, now_ms: u64) -> String {
        let key = meter.key();
        if self.windows.len() < WINDOWS || self.windows.contains_key(&key) {
            return key;
        }
        if now_ms.abs_diff(self.purged_at_ms) >= PURGE_EVERY_MS {
            self.purged_at_ms = now_ms;
            self.windows
                .retain(|_, (window, rate)| !window.is_idle(*rate, now_ms));
            self.windows.shrink_to(self.windows.len() * 2);
            if self.windows.len() < WINDOWS {
                return key;
            }
        }
        format!("{}:{}", meter.kind.name(), meter.measure.name())
    }
}

/// The limits of this process; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    table: Arc<Mutex<Table>>,
}

impl Memory {
    pub(super) fn take(&self, meters: Vec<Meter>, now_ms: u64) -> Result<Grant, Refused> {
        let mut table = self.lock();
        let mut refused: Option<Refused> = None;
        let mut left = Vec::with_capacity(meters.len());
        let mut places = Vec::with_capacity(meters.len());
        for meter in &meters {
            let place = table.place(meter, now_ms);
            let window = table.windows.get(&place).map(|(window, _)| *window);
            let window = window.unwrap_or_default();
            match window.check(meter.rate, meter.amount, now_ms) {
                Ok(standing) => left.push(Left {
                    kind: meter.kind,
                    measure: meter.measure,
                    limit: meter.rate.limit(),
                    standing,
                }),
                Err(refusal) => {
                    let wait = |refused: &Refused| refused.retry_after_ms.unwrap_or(u64::MAX);
                    let this = refusal_of(meter, refusal);
                    if refused.is_none_or(|longest| wait(&this) > wait(&longest)) {
                        refused = Some(this);
                    }
                }
            }
            places.push(place);
        }
        if let Some(refused) = refused {
            return Err(refused);
        }
        for (meter, place) in meters.iter().zip(places) {
            let (window, rate) = table
                .windows
                .entry(place)
                .or_insert((Window::default(), meter.rate));
            *rate = meter.rate;
            window.add(meter.rate, meter.amount, now_ms);
        }
        Ok(Grant {
            left,
            reservation: reservation(meters, Origin::Memory, now_ms),
        })
    }

    pub(super) fn count(&self, meters: &[Meter], now_ms: u64) -> Vec<Left> {
        let mut table = self.lock();
        let left = meters.iter().map(|meter| {
            let place = table.place(meter, now_ms);
            let kept = table.windows.get(&place).map(|(window, _)| *window);
            let mut window = kept.unwrap_or_default();
            if meter.amount > 0 {
                window.add(meter.rate, meter.amount, now_ms);
                table.windows.insert(place, (window, meter.rate));
            }
            Left {
                kind: meter.kind,
                measure: meter.measure,
                limit: meter.rate.limit(),
                standing: window.standing(meter.rate, now_ms),
            }
        });
        left.collect()
    }

    pub(super) fn settle(&self, reservation: &Reservation, used: u64, now_ms: u64) {
        let mut table = self.lock();
        for (meter, reserved) in &reservation.held {
            let place = table.place(meter, now_ms);
            let (window, _) = table
                .windows
                .entry(place)
                .or_insert((Window::default(), meter.rate));
            window.settle(meter.rate, *reserved, used, now_ms);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refusal_of(meter: &Meter, refusal: Refusal) -> Refused {
    Refused {
        kind: meter.kind,
        measure: meter.measure,
        limit: meter.rate.limit(),
        remaining: refusal.remaining,
        retry_after_ms: refusal.retry_after_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LevelKind, Measure};
    use super::*;

    fn meter(id: usize) -> Vec<Meter> {
        vec![Meter {
            kind: LevelKind::Ip,
            measure: Measure::Requests,
            id: id.to_string(),
            rate: Rate::per_minute(2),
            amount: 1,
        }]
    }

    #[test]
    fn a_flood_of_strangers_shares_one_window_and_is_forgotten() {
        let memory = Memory::default();
        for id in 0..WINDOWS {
            assert!(memory.take(meter(id), 100_000).is_ok());
        }
        for id in 0..2 {
            assert!(memory.take(meter(WINDOWS + id), 100_000).is_ok());
        }
        assert!(memory.take(meter(WINDOWS + 2), 100_000).is_err());
        assert!(memory.take(meter(0), 100_000).is_ok(), "the known go on");
        assert_eq!(memory.lock().windows.len(), WINDOWS + 1);
        // when nothing of them counts any more there is room again
        assert!(memory.take(meter(WINDOWS + 2), 300_000).is_ok());
        assert_eq!(memory.lock().windows.len(), 1);
    }
}
