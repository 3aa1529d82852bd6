//! Limits: never more than them, all or none of them, and the one that refuses is named.

use engine::guard::{Rate, Reserved, Window};
use store::live::Live;
use store::live::limiter::{Decider, Decision, Demand, Level, LevelKind, Measure, Refused, Tally};

use crate::live::Gateways;
use crate::redis_servers::Servers;

/// Within a test nothing fades.
const DAY_MS: u64 = 86_400_000;
/// Unix time in ms for the memory; Redis has its own.
const NOW: u64 = 20_000 * DAY_MS + 5;

fn per_day(limit: u64) -> Rate {
    Rate::new(limit, DAY_MS)
}

fn level(
    kind: LevelKind,
    requests: impl Into<Option<Rate>>,
    tokens: impl Into<Option<Rate>>,
) -> Level {
    Level {
        kind,
        id: "one".to_owned(),
        requests: requests.into(),
        tokens: tokens.into(),
        audio_s: None,
    }
}

async fn take(live: &Live, levels: &[Level], demand: Demand) -> Decision {
    let decision = live.limiter.take(levels, demand, NOW).await;
    assert_eq!(decision.decider, Decider::Ordinary);
    decision
}

/// What remains of the requests of one level.
async fn remaining(live: &Live, level: &Level) -> u64 {
    // more than there can be, so that nothing is taken
    let demand = Demand {
        requests: 1_000_000,
        ..Demand::default()
    };
    let levels = std::slice::from_ref(level);
    take(live, levels, demand)
        .await
        .outcome
        .unwrap_err()
        .remaining
}

pub(crate) async fn all(open: impl AsyncFn(&'static str) -> Gateways) {
    of_many_at_once_exactly_the_limit_is_admitted(open("many").await).await;
    all_levels_are_taken_or_none(open("levels").await).await;
    the_longest_wait_is_told(open("longest").await).await;
    tokens_are_reserved_and_settled(open("tokens").await).await;
    another_limit_counts_at_once(open("changed").await).await;
    nobody_pays_for_another(open("others").await).await;
    what_is_counted_afterwards_counts_for_all(open("counted").await).await;
}

async fn of_many_at_once_exactly_the_limit_is_admitted(gateways: Gateways) {
    let levels = [level(LevelKind::Tenant, per_day(50), None)];
    let calls: Vec<_> = (0..100)
        .map(|call| {
            let live = [&gateways.one, &gateways.other][call % 2].clone();
            let levels = levels.clone();
            tokio::spawn(async move { take(&live, &levels, Demand::REQUEST).await.outcome.is_ok() })
        })
        .collect();
    let mut admitted = 0;
    for call in calls {
        admitted += usize::from(call.await.unwrap());
    }
    assert_eq!(admitted, 50);
}

async fn all_levels_are_taken_or_none(Gateways { one, other }: Gateways) {
    let tenant = level(LevelKind::Tenant, per_day(10), per_day(1000));
    let key = level(LevelKind::Key, per_day(1), None);
    let levels = [tenant.clone(), key];
    let granted = take(&one, &levels, Demand::REQUEST).await.outcome.unwrap();
    let left: Vec<_> = granted
        .left
        .iter()
        .map(|left| (left.kind, left.measure, left.limit, left.standing.remaining))
        .collect();
    assert_eq!(
        left,
        [
            (LevelKind::Tenant, Measure::Requests, 10, 9),
            (LevelKind::Key, Measure::Requests, 1, 0),
        ]
    );
    for _ in 0..3 {
        let refused = take(&other, &levels, Demand::REQUEST).await.outcome;
        let refused = refused.unwrap_err();
        assert_eq!(
            (refused.kind, refused.measure),
            (LevelKind::Key, Measure::Requests)
        );
        assert_eq!((refused.limit, refused.remaining), (1, 0));
        let wait = refused.retry_after_ms.unwrap();
        assert!(wait > 0 && wait <= 2 * DAY_MS);
    }
    assert_eq!(remaining(&one, &tenant).await, 9, "refusals took nothing");
}

async fn the_longest_wait_is_told(Gateways { one, .. }: Gateways) {
    let levels = [
        level(LevelKind::Global, per_day(100), None),
        level(LevelKind::Ip, Rate::new(1, 1000), None),
        level(LevelKind::Project, per_day(1), None),
        level(LevelKind::Key, None, per_day(5)),
    ];
    let demand = |tokens| Demand {
        requests: 1,
        tokens,
        audio_s: 0,
    };
    assert!(take(&one, &levels, demand(1)).await.outcome.is_ok());
    let refused = take(&one, &levels, demand(1)).await.outcome.unwrap_err();
    assert_eq!(refused.kind, LevelKind::Project);
    // more than a limit can never be had, which is longer than any wait
    let refused = take(&one, &levels, demand(6)).await.outcome.unwrap_err();
    let never = Refused {
        kind: LevelKind::Key,
        measure: Measure::Tokens,
        limit: 5,
        remaining: 4,
        retry_after_ms: None,
    };
    assert_eq!(refused, never);
}

async fn tokens_are_reserved_and_settled(Gateways { one, other }: Gateways) {
    let levels = [level(LevelKind::Tenant, None, per_day(100_000))];
    let tokens = |tokens| Demand {
        tokens,
        ..Demand::default()
    };
    let granted = take(&one, &levels, tokens(60_000)).await.outcome.unwrap();
    assert!(take(&other, &levels, tokens(60_000)).await.outcome.is_err());
    one.limiter.settle(granted.reservation, 10_000, NOW).await;
    let granted = take(&other, &levels, tokens(90_000)).await.outcome.unwrap();
    assert_eq!(granted.left[0].standing.remaining, 0);
    // what was used beyond the reservation is owed
    other.limiter.settle(granted.reservation, 95_000, NOW).await;
    let refused = take(&one, &levels, tokens(1)).await.outcome.unwrap_err();
    assert_eq!(refused.remaining, 0);
}

async fn another_limit_counts_at_once(Gateways { one, other }: Gateways) {
    let of = |limit| [level(LevelKind::Tenant, per_day(limit), None)];
    for _ in 0..2 {
        assert!(take(&one, &of(2), Demand::REQUEST).await.outcome.is_ok());
    }
    assert!(take(&one, &of(2), Demand::REQUEST).await.outcome.is_err());
    assert!(take(&other, &of(3), Demand::REQUEST).await.outcome.is_ok());
    assert!(take(&other, &of(1), Demand::REQUEST).await.outcome.is_err());
}

async fn nobody_pays_for_another(Gateways { one, .. }: Gateways) {
    let of = |id: &str| {
        [Level {
            id: id.to_owned(),
            ..level(LevelKind::Tenant, per_day(1), None)
        }]
    };
    assert!(take(&one, &of("a"), Demand::REQUEST).await.outcome.is_ok());
    assert!(take(&one, &of("b"), Demand::REQUEST).await.outcome.is_ok());
    assert!(take(&one, &of("a"), Demand::REQUEST).await.outcome.is_err());
    // no limit at all asks nobody
    let free = [level(LevelKind::Tenant, None, None)];
    assert!(take(&one, &free, Demand::REQUEST).await.outcome.is_ok());
}

async fn what_is_counted_afterwards_counts_for_all(Gateways { one, other }: Gateways) {
    let levels = [Level {
        audio_s: Some(per_day(600)),
        ..level(LevelKind::Tenant, per_day(3), per_day(1000))
    }];
    let used = Demand {
        tokens: 400,
        audio_s: 570,
        ..Demand::default()
    };
    let tally = one.limiter.count(&levels, used, NOW).await;
    assert_eq!(tally.decider, Decider::Ordinary);
    let left = |tally: &Tally| -> Vec<_> {
        let left = tally.left.iter();
        left.map(|left| (left.measure, left.limit, left.standing.remaining))
            .collect()
    };
    let stands = [
        (Measure::Requests, 3, 3),
        (Measure::Tokens, 1000, 600),
        (Measure::Audio, 600, 30),
    ];
    assert_eq!(left(&tally), stands);
    // looking takes nothing
    for _ in 0..3 {
        let tally = other.limiter.count(&levels, Demand::default(), NOW).await;
        assert_eq!(left(&tally), stands);
        assert!(tally.left.iter().all(|left| left.standing.wait_ms == 0));
    }
    // more than there is counts as well, and tells when some may be had again
    let tally = other.limiter.count(&levels, used, NOW).await;
    let audio = tally.left[2];
    assert_eq!(
        (audio.measure, audio.standing.remaining),
        (Measure::Audio, 0)
    );
    assert!(audio.standing.wait_ms > 0 && audio.standing.wait_ms <= audio.standing.reset_ms);
    let refused = take(&one, &levels, used).await.outcome.unwrap_err();
    assert_eq!(refused.measure, Measure::Audio);
}

/// Runs one step of the Lua side: the state before, then the same calls as the Rust side makes.
const STEP: &str = "
local a = {}
for i = 1, #ARGV do a[i] = tonumber(ARGV[i]) end
local w = { bucket = a[1], previous = a[2], current = a[3] }
local limit, window, amount, now = a[4], a[5], a[6], a[7]
local here = window_at(w, limit, window, now)
local remaining = window_remaining(here, limit, window, now)
local after = window_plus(here, amount)
local settled = window_settle(window_at(after, limit, window, a[8]), a[9], a[10], a[11])
return { remaining, amount <= remaining and window_reset(after, window, now) or window_wait(here, limit, window, amount, now),
  window_text(after), window_text(settled) }
";

#[tokio::test]
async fn the_script_computes_what_the_engine_computes() {
    let servers = Servers::single().await;
    let client = redis::Client::open(servers.url.as_str()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let window_lua = include_str!("../../src/live/limiter/window.lua");
    let script = redis::Script::new(&format!("{window_lua}{STEP}"));
    // numbers that look random and are the same every time
    let mut seed: u64 = 1;
    let mut below = |bound: u64| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 16) % bound
    };
    for round in 0..4000 {
        // small numbers meet every edge, large ones every rounding
        let (limits, windows) = if round % 2 == 0 {
            (30, 50)
        } else {
            (100_000_000, DAY_MS)
        };
        let rate = Rate::new(1 + below(limits), 1 + below(windows));
        let (bucket, previous, current) = (below(4) + 1_000_000, below(limits), below(limits));
        let start = bucket * rate.window_ms();
        let now = start - rate.window_ms() + below(4 * rate.window_ms());
        let (amount, used) = (below(limits + limits / 8), below(limits));
        let later = now + below(3 * rate.window_ms());
        let reserved = Reserved {
            bucket: rate.bucket(now),
            amount,
        };

        let mut window = Window::of(bucket, previous, current);
        let checked = window.check(rate, amount, now);
        let (remaining, wait) = match checked {
            Ok(standing) => (
                standing.remaining + amount,
                i64::try_from(standing.reset_ms).unwrap(),
            ),
            Err(refused) => (
                refused.remaining,
                refused
                    .retry_after_ms
                    .map_or(-1, |ms| i64::try_from(ms).unwrap()),
            ),
        };
        window.add(rate, amount, now);
        let after = window.to_string();
        window.settle(rate, reserved, used, later);
        let mine = (
            i64::try_from(remaining).unwrap(),
            wait,
            after,
            window.to_string(),
        );

        let mut call = script.prepare_invoke();
        for number in [
            bucket,
            previous,
            current,
            rate.limit(),
            rate.window_ms(),
            amount,
            now,
            later,
            reserved.bucket,
            amount,
            used,
        ] {
            call.arg(number);
        }
        let theirs: (i64, i64, String, String) = call.invoke_async(&mut connection).await.unwrap();
        assert_eq!(
            theirs, mine,
            "round {round}: {rate:?}, {bucket} {previous} {current}, {amount} at {now}"
        );
    }
}
