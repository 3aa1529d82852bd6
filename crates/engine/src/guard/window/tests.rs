use proptest::prelude::*;

use super::*;

const MINUTE: Rate = Rate::per_minute(100);

#[test]
fn a_fresh_window_gives_its_limit_and_no_more() {
    let mut window = Window::default();
    let now = 60_000;
    let standing = window.take(MINUTE, 100, now).unwrap();
    assert_eq!(standing.remaining, 0);
    // all of it was taken at a bucket's first moment: it counts in full until its end and fades in the next
    assert_eq!(standing.reset_ms, 120_000);
    let refused = window.take(MINUTE, 1, now).unwrap_err();
    assert_eq!(refused.remaining, 0);
    assert_eq!(refused.retry_after_ms, Some(60_600));
}

#[test]
fn the_bucket_before_fades_with_time() {
    let mut window = Window::default();
    window.take(MINUTE, 100, 0).unwrap();
    let remaining = |now| window.check(MINUTE, 0, now).unwrap().remaining;
    assert_eq!(remaining(59_999), 0);
    assert_eq!(remaining(60_000), 0);
    assert_eq!(remaining(60_599), 0);
    assert_eq!(remaining(60_600), 1);
    assert_eq!(remaining(90_000), 50);
    assert_eq!(remaining(119_999), 99);
    assert_eq!(remaining(120_000), 100);
}

#[test]
fn an_edge_between_buckets_does_not_give_the_limit_twice() {
    let mut window = Window::default();
    window.take(MINUTE, 100, 59_999).unwrap();
    assert!(window.take(MINUTE, 2, 60_600).is_err());
    assert!(window.take(MINUTE, 1, 60_600).is_ok());
}

#[test]
fn more_than_the_limit_is_never_told_to_come_back() {
    let refused = Window::default().take(MINUTE, 101, 5).unwrap_err();
    assert_eq!(refused.remaining, 100);
    assert_eq!(refused.retry_after_ms, None);
}

#[test]
fn a_reservation_is_settled_where_it_was_made() {
    let reserved = |window: &mut Window, now| {
        window.take(MINUTE, 80, now).unwrap();
        Reserved {
            bucket: MINUTE.bucket(now),
            amount: 80,
        }
    };
    // 80 taken in advance, 30 used
    let mut window = Window::default();
    let there = reserved(&mut window, 0);
    window.settle(MINUTE, there, 30, 1000);
    assert_eq!(window.check(MINUTE, 0, 1000).unwrap().remaining, 70);
    // in the next bucket the half of those 30 that the window covers
    let mut window = Window::default();
    let there = reserved(&mut window, 0);
    window.settle(MINUTE, there, 30, 90_000);
    assert_eq!(window.check(MINUTE, 0, 90_000).unwrap().remaining, 85);
    // long after: nothing that counts is touched
    let mut window = Window::default();
    let there = reserved(&mut window, 0);
    window.take(MINUTE, 10, 200_000).unwrap();
    window.settle(MINUTE, there, 0, 200_000);
    assert_eq!(window.check(MINUTE, 0, 200_000).unwrap().remaining, 90);
    // more used than taken: the rest counts now, beyond the limit if need be
    let mut window = Window::default();
    let there = reserved(&mut window, 0);
    window.settle(MINUTE, there, 150, 1000);
    let refused = window.check(MINUTE, 1, 1000).unwrap_err();
    assert_eq!(refused.remaining, 0);
    // until 99 of the 150 are left: 34 % of the next bucket
    assert_eq!(refused.retry_after_ms, Some(59_000 + 20_400));
}

#[test]
fn a_clock_that_steps_back_gives_nothing_away_and_locks_nobody_out() {
    let mut window = Window::default();
    let day = 86_400_000;
    window.take(MINUTE, 60, 10 * day).unwrap();
    let refused = window.take(MINUTE, 50, 9 * day + 1000).unwrap_err();
    assert_eq!(refused.remaining, 40);
    assert!(refused.retry_after_ms.unwrap() <= 120_000);
    assert!(window.take(MINUTE, 40, 9 * day + 1000).is_ok());
    assert_eq!(
        window.check(MINUTE, 0, 9 * day + 121_000),
        Ok(Standing {
            remaining: 100,
            reset_ms: 0,
            wait_ms: 0,
        })
    );
}

#[test]
fn the_largest_numbers_fit_into_a_double() {
    const { assert!(LIMIT_MAX * WINDOW_MAX_MS + LIMIT_MAX < 1 << 53) };
    let rate = Rate::new(u64::MAX, u64::MAX);
    assert_eq!((rate.limit(), rate.window_ms()), (LIMIT_MAX, WINDOW_MAX_MS));
    let none = Rate::new(0, 0);
    assert_eq!((none.limit(), none.window_ms()), (1, 1));
    assert_eq!(Rate::per_minute(1).share(50).limit(), 1);
    assert_eq!(Rate::per_minute(101).share(50).limit(), 50);
}

/// Time passes by `after_ms` (or steps back), then `amount` is asked for.
#[derive(Debug, Clone, Copy)]
struct Step {
    after_ms: i64,
    amount: u64,
}

fn rate() -> impl Strategy<Value = Rate> {
    (1..200u64, 1..5000u64).prop_map(|(limit, window)| Rate::new(limit, window))
}

fn step(after_ms: std::ops::Range<i64>) -> impl Strategy<Value = Step> {
    (after_ms, 0..120u64).prop_map(|(after_ms, amount)| Step { after_ms, amount })
}

fn moved(now: u64, step: Step) -> u64 {
    now.saturating_add_signed(step.after_ms)
}

proptest! {
    /// The oracle keeps every admission: whatever weight the window gives to the bucket before, what was admitted in
    /// the two buckets never weighs more than the limit.
    #[test]
    fn what_is_admitted_never_weighs_more_than_the_limit(
        rate in rate(), steps in prop::collection::vec(step(0..3000), 1..200)
    ) {
        let mut window = Window::default();
        let mut admitted: Vec<(u64, u64)> = Vec::new();
        let mut now = 1_000_000;
        for step in steps {
            now = moved(now, step);
            if window.take(rate, step.amount, now).is_ok() {
                admitted.push((rate.bucket(now), step.amount));
            }
            let sum = |bucket| -> u64 {
                admitted.iter().filter(|(b, _)| *b == bucket).map(|(_, n)| n).sum()
            };
            let bucket = rate.bucket(now);
            let covered = rate.window_ms() - now % rate.window_ms();
            let weighted = sum(bucket) * rate.window_ms() + sum(bucket - 1) * covered;
            prop_assert!(weighted <= rate.limit() * rate.window_ms());
            // nobody gets the limit twice within a bucket
            prop_assert!(sum(bucket) <= rate.limit());
        }
    }

    #[test]
    fn whoever_is_refused_is_told_the_very_moment(
        rate in rate(), steps in prop::collection::vec(step(0..3000), 1..100)
    ) {
        let mut window = Window::default();
        let mut now = 1_000_000;
        for step in steps {
            now = moved(now, step);
            match window.take(rate, step.amount, now) {
                Ok(standing) => {
                    let rest = window.check(rate, 0, now).unwrap();
                    prop_assert_eq!(standing, rest);
                    let reset = window.check(rate, 0, now + rest.reset_ms).unwrap();
                    prop_assert_eq!(reset.remaining, rate.limit());
                    if rest.reset_ms > 0 {
                        let before = window.check(rate, 0, now + rest.reset_ms - 1).unwrap();
                        prop_assert!(before.remaining < rate.limit());
                    }
                }
                Err(Refusal { remaining, retry_after_ms: None }) => {
                    prop_assert!(step.amount > rate.limit() && remaining <= rate.limit());
                }
                Err(Refusal { retry_after_ms: Some(wait), .. }) => {
                    prop_assert!(wait > 0);
                    prop_assert!(window.check(rate, step.amount, now + wait - 1).is_err());
                    prop_assert!(window.check(rate, step.amount, now + wait).is_ok());
                }
            }
        }
    }

    #[test]
    fn a_clock_that_jumps_makes_nobody_wait_longer_than_two_windows(
        rate in rate(), steps in prop::collection::vec(step(-9000..9000), 1..100)
    ) {
        let mut window = Window::default();
        let mut now = 1_000_000;
        for step in steps {
            let before = now;
            now = moved(now, step);
            let used = rate.limit() - window.check(rate, 0, before).unwrap().remaining;
            let remaining = window.check(rate, 0, now).unwrap().remaining;
            if now < before {
                // going back gives nothing away
                prop_assert!(remaining <= rate.limit() - used);
            }
            if let Err(refused) = window.take(rate, step.amount, now) {
                prop_assert!(refused.retry_after_ms.is_none_or(|wait| wait <= 2 * rate.window_ms()));
            }
        }
    }

    /// Debug builds check every addition and multiplication for overflow.
    #[test]
    fn no_number_overflows(
        limit: u64, window_ms: u64,
        steps in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u64>()), 1..50)
    ) {
        let rate = Rate::new(limit, window_ms);
        let mut window = Window::default();
        for (now, amount, used) in steps {
            let _ = window.take(rate, amount, now);
            let _ = window.take(rate, amount % LIMIT_MAX, now.saturating_add(used % window_ms.max(1)));
            let reserved = Reserved { bucket: rate.bucket(used), amount };
            window.settle(rate, reserved, used, now);
            window.add(rate, amount, now);
            let _ = window.check(rate, amount % LIMIT_MAX, now);
            let _ = window.is_idle(rate, now);
        }
    }

    #[test]
    fn a_settled_reservation_leaves_what_was_used(
        limit in 1..200u64, window_ms in 1..5000u64, reserved in 0..200u64, used in 0..200u64, later in 0..9000u64
    ) {
        let rate = Rate::new(limit, window_ms);
        let (mut window, now) = (Window::default(), 1_000_000);
        prop_assume!(window.take(rate, reserved, now).is_ok());
        window.settle(rate, Reserved { bucket: rate.bucket(now), amount: reserved }, used, now + later);
        let mut exact = Window::default();
        exact.add(rate, used.min(reserved), now);
        exact.add(rate, used.saturating_sub(reserved), now + later);
        prop_assert_eq!(window.check(rate, 0, now + later), exact.check(rate, 0, now + later));
    }
}
