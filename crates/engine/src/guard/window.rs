//! A sliding window: how much of something may be had in any stretch of time, as two weighted buckets.
//! Called by `store::live`'s limiter in memory; its Redis side runs the same formula, written again in `window.lua`.
//! Never reads a clock, never allocates, and takes the same few steps for one token as for a million.
//!
//! Time is cut into buckets as long as the window. What counts at a moment is all of the bucket that runs, and of the
//! bucket before it the share that the window still covers, rounded up. With an even flow that is the exact sliding
//! count; it forgets nothing at a bucket's edge, where a fixed window would let twice the limit through.

#[cfg(test)]
mod tests;

/// Largest limit, and largest count of a bucket.
pub const LIMIT_MAX: u64 = 100_000_000;

/// Longest window: a day, in ms. Times [`LIMIT_MAX`] it stays below 2^53, so that Lua, whose numbers are doubles, works
/// out the very same integers.
pub const WINDOW_MAX_MS: u64 = 86_400_000;

/// So much within so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    limit: u64,
    window_ms: u64,
}

impl Rate {
    /// `limit` within any `window_ms`; both are brought into 1 to [`LIMIT_MAX`] and 1 to [`WINDOW_MAX_MS`].
    #[must_use]
    pub const fn new(limit: u64, window_ms: u64) -> Self {
        Self {
            limit: into_bounds(limit, LIMIT_MAX),
            window_ms: into_bounds(window_ms, WINDOW_MAX_MS),
        }
    }

    /// `limit` within any minute.
    #[must_use]
    pub const fn per_minute(limit: u64) -> Self {
        Self::new(limit, 60_000)
    }

    /// How much.
    pub const fn limit(self) -> u64 {
        self.limit
    }

    /// Within how long, in ms.
    pub const fn window_ms(self) -> u64 {
        self.window_ms
    }

    /// `percent` of this rate, rounded down but at least one.
    #[must_use]
    pub const fn share(self, percent: u64) -> Self {
        Self::new(self.limit.saturating_mul(percent) / 100, self.window_ms)
    }

    /// The number of the bucket that `now_ms` falls into.
    pub const fn bucket(self, now_ms: u64) -> u64 {
        now_ms / self.window_ms
    }
}

const fn into_bounds(value: u64, max: u64) -> u64 {
    match value {
        0 => 1,
        value if value > max => max,
        value => value,
    }
}

const fn at_most_max(count: u64) -> u64 {
    if count < LIMIT_MAX { count } else { LIMIT_MAX }
}

/// What is left of a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// May still be taken at this moment.
    pub remaining: u64,
    /// Until everything may be taken again if nothing more is, in ms.
    pub reset_ms: u64,
    /// Until one may be taken if nothing more is, in ms; 0 while any remain.
    pub wait_ms: u64,
}

/// Why nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// May still be taken at this moment; less than was asked for.
    pub remaining: u64,
    /// Until as much as was asked for may be taken if nothing else is, in ms; `None` when it is more than the limit.
    pub retry_after_ms: Option<u64>,
}

/// The two buckets of one rate of somebody. It follows one [`Rate`]'s window; a limit may change at any time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    /// Number of the bucket that runs.
    bucket: u64,
    /// Taken in the bucket before it.
    previous: u64,
    /// Taken in it.
    current: u64,
}

impl std::fmt::Display for Window {
    /// As Redis keeps it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.bucket, self.previous, self.current)
    }
}

impl Window {
    /// A window that was kept elsewhere: `current` was taken in `bucket` and `previous` in the one before. No bucket
    /// holds more than [`LIMIT_MAX`].
    #[must_use]
    pub const fn of(bucket: u64, previous: u64, current: u64) -> Self {
        Self {
            bucket,
            previous: at_most_max(previous),
            current: at_most_max(current),
        }
    }

    /// Whether `amount` may be taken, and how it stands afterwards; takes nothing.
    ///
    /// # Errors
    /// [`Refusal`] when less remains.
    pub fn check(&self, rate: Rate, amount: u64, now_ms: u64) -> Result<Standing, Refusal> {
        let here = self.at(rate, now_ms);
        let remaining = rate.limit.saturating_sub(here.used(rate, now_ms));
        if amount <= remaining {
            return Ok(here.plus(amount).standing(rate, now_ms));
        }
        Err(Refusal {
            remaining,
            retry_after_ms: here.wait_ms(rate, amount, now_ms),
        })
    }

    /// How much may still be had at `now_ms`.
    pub fn standing(&self, rate: Rate, now_ms: u64) -> Standing {
        let here = self.at(rate, now_ms);
        Standing {
            remaining: rate.limit.saturating_sub(here.used(rate, now_ms)),
            reset_ms: here.reset_ms(rate, now_ms),
            wait_ms: here.wait_ms(rate, 1, now_ms).unwrap_or(0),
        }
    }

    /// Counts `amount`, whether or not it may be had: for what was checked, and for what turned out to be used.
    pub fn add(&mut self, rate: Rate, amount: u64, now_ms: u64) {
        *self = self.at(rate, now_ms).plus(amount);
    }

    /// [`Self::check`], then [`Self::add`].
    ///
    /// # Errors
    /// [`Refusal`] when less remains; nothing is taken then.
    pub fn take(&mut self, rate: Rate, amount: u64, now_ms: u64) -> Result<Standing, Refusal> {
        let standing = self.check(rate, amount, now_ms)?;
        self.add(rate, amount, now_ms);
        Ok(standing)
    }

    /// Replaces the `reserved` amount that was taken while `bucket` ran (see [`Rate::bucket`]) by what was `used`.
    /// What is given back leaves the bucket it was taken in, if that still counts; what was used beyond the
    /// reservation counts from now on.
    pub fn settle(&mut self, rate: Rate, reserved: Reserved, used: u64, now_ms: u64) {
        let mut here = self.at(rate, now_ms);
        let refund = reserved.amount.saturating_sub(used);
        // a clock that stepped back has moved everything into the bucket that runs
        if reserved.bucket >= here.bucket {
            here.current = here.current.saturating_sub(refund);
        } else if reserved.bucket + 1 == here.bucket {
            here.previous = here.previous.saturating_sub(refund);
        }
        *self = here.plus(used.saturating_sub(reserved.amount));
    }

    /// Whether nothing counts any more, so that it may be forgotten.
    pub fn is_idle(&self, rate: Rate, now_ms: u64) -> bool {
        self.at(rate, now_ms).used(rate, now_ms) == 0
    }

    /// The buckets as they are at `now_ms`.
    const fn at(self, rate: Rate, now_ms: u64) -> Self {
        let bucket = rate.bucket(now_ms);
        if bucket == self.bucket {
            return self;
        }
        let (previous, current) = if bucket < self.bucket {
            // The clock stepped back. All that may still count counts in the bucket that runs, up to the limit: nobody
            // gets more than that, and nobody waits longer than two windows, however far the step was.
            let all = self.previous + self.current;
            (0, if all < rate.limit { all } else { rate.limit })
        } else if bucket == self.bucket + 1 {
            (self.current, 0)
        } else {
            (0, 0)
        };
        Self {
            bucket,
            previous,
            current,
        }
    }

    const fn plus(self, amount: u64) -> Self {
        Self {
            current: at_most_max(self.current.saturating_add(amount)),
            ..self
        }
    }

    /// What counts at `now_ms`, which lies in the bucket that runs.
    const fn used(&self, rate: Rate, now_ms: u64) -> u64 {
        let covered_ms = rate.window_ms - now_ms % rate.window_ms;
        self.current + (self.previous * covered_ms).div_ceil(rate.window_ms)
    }

    /// From `now_ms` until nothing counts.
    const fn reset_ms(&self, rate: Rate, now_ms: u64) -> u64 {
        let to_edge_ms = rate.window_ms - now_ms % rate.window_ms;
        match (self.previous, self.current) {
            (0, 0) => 0,
            (_, 0) => to_edge_ms,
            _ => to_edge_ms + rate.window_ms,
        }
    }

    /// From `now_ms` until `amount` may be taken.
    const fn wait_ms(&self, rate: Rate, amount: u64, now_ms: u64) -> Option<u64> {
        let Some(room) = rate.limit.checked_sub(amount) else {
            return None;
        };
        let elapsed_ms = now_ms % rate.window_ms;
        // in the bucket that runs, once enough of the one before it is no longer covered; else in the next bucket,
        // where the one that runs is the one before
        let free_at_ms = match room.checked_sub(self.current) {
            Some(room) => uncovered_ms(rate, self.previous, room),
            None => rate.window_ms + uncovered_ms(rate, self.current, room),
        };
        Some(free_at_ms.saturating_sub(elapsed_ms))
    }
}

/// How far into a bucket no more than `room` of the `count` in the bucket before it still counts.
const fn uncovered_ms(rate: Rate, count: u64, room: u64) -> u64 {
    if count <= room {
        return 0;
    }
    rate.window_ms - room * rate.window_ms / count
}

/// What was taken in advance, to be settled later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserved {
    /// The bucket in which it was taken.
    pub bucket: u64,
    /// How much.
    pub amount: u64,
}
