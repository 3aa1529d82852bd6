//! Budgets of sessions and of days: what is held, what is spent, what is refused.

use super::*;
use crate::config::Voice;

fn terms(session_cents: u64, day_cents: u64) -> Terms {
    Terms {
        user: "acme/u".to_owned(),
        session_cents,
        day_cents,
        forgotten_micros: 0,
        warn_percent: 80,
        rates: Voice::default().rates(),
        by_provider: false,
    }
}

fn purse(session_cents: u64, day_cents: u64, limiter: &Limiter) -> Purse {
    Purse::new(
        terms(session_cents, day_cents),
        limiter.clone(),
        Clock::default(),
    )
}

fn spoken(characters: u64) -> Used<'static> {
    Used {
        session: "sess_1",
        turn: 1,
        stage: "tts",
        provider: "scripted",
        model: "",
        units: Units {
            characters,
            ..Units::default()
        },
    }
}

fn question() -> LlmRequest {
    LlmRequest {
        max_tokens: Some(150),
        ..LlmRequest::default()
    }
}

#[tokio::test]
async fn a_turn_is_paid_for_before_it_begins() {
    let purse = purse(2, 0, &Limiter::memory());
    // 150 tokens and 600 characters: nearly one cent
    assert!(purse.reserve(&question()).await.is_ok());
    purse.note(&spoken(1050), None);
    assert_eq!(purse.standing(), Standing::Plenty);
    let refused = purse.reserve(&question()).await.err().unwrap();
    assert_eq!(refused.code.as_deref(), Some(BUDGET_EXCEEDED));
    assert_eq!(refused.message, "Budget limit exceeded: $0.02");
    purse.note(&spoken(100), None);
    assert_eq!(purse.standing(), Standing::Near);
    purse.note(&spoken(234), None);
    assert_eq!(purse.standing(), Standing::UsedUp);
    assert!((purse.spent().dollars() - 0.020_76).abs() < 1e-9);
}

#[tokio::test]
async fn the_first_turn_of_a_small_budget_begins() {
    let mut terms = terms(1, 0);
    terms.rates.million_characters = Some(150_000_000);
    let purse = Purse::new(terms, Limiter::memory(), Clock::default());
    assert!(purse.reserve(&question()).await.is_ok());
    // whatever was heard before the first question costs something already
    purse.note(&spoken(1), None);
    assert!(purse.reserve(&question()).await.is_ok());
    purse.note(&spoken(100), None);
    assert!(purse.reserve(&question()).await.is_err());
}

#[tokio::test]
async fn what_is_held_for_one_session_is_not_there_for_another() {
    let limiter = Limiter::memory();
    let (one, other) = (purse(0, 1, &limiter), purse(0, 1, &limiter));
    let held = one.reserve(&question()).await.unwrap();
    let refused = other.reserve(&question()).await.err().unwrap();
    assert!(refused.message.starts_with("Daily budget"), "{refused:?}");
    drop(held);
    while other.left_today().await != Some(10_000) {
        tokio::task::yield_now().await;
    }
    assert!(other.reserve(&question()).await.is_ok());
}

#[tokio::test]
async fn what_the_limits_have_forgotten_is_gone_from_the_day_all_the_same() {
    let limiter = Limiter::memory();
    let open = |forgotten_micros| {
        let terms = Terms {
            forgotten_micros,
            ..terms(0, 2)
        };
        Purse::new(terms, limiter.clone(), Clock::default())
    };
    // a turn may cost nearly one cent of two
    assert!(open(0).reserve(&question()).await.is_ok());
    let after = open(15_000);
    while after.left_today().await != Some(5_000) {
        tokio::task::yield_now().await;
    }
    let refused = after.reserve(&question()).await.err().unwrap();
    let sentence = "Daily budget limit exceeded: $0.01";
    assert!(refused.message.starts_with(sentence), "{refused:?}");
    assert_eq!(after.day_micros(), Some(20_000));
}

#[tokio::test]
async fn a_day_of_more_than_a_hundred_dollars_is_counted_whole() {
    let limiter = Limiter::memory();
    let purse = purse(0, 50_000, &limiter);
    assert_eq!(purse.left_today().await, Some(500_000_000));
    // 12 cents in pieces smaller than one count
    for _ in 0..8_000 {
        purse.note(&spoken(1), None);
    }
    while purse.left_today().await != Some(499_880_000) {
        tokio::task::yield_now().await;
    }
    assert!(purse.reserve(&question()).await.is_ok());
}

#[tokio::test]
async fn the_day_is_one_for_all_sessions_of_a_user() {
    let limiter = Limiter::memory();
    let (one, other) = (purse(0, 3, &limiter), purse(0, 3, &limiter));
    assert_eq!(one.left_today().await, Some(30_000));
    one.note(&spoken(1500), None);
    while one.left_today().await != Some(7_500) {
        tokio::task::yield_now().await;
    }
    let refused = other.reserve(&question()).await.err().unwrap();
    assert!(
        refused
            .message
            .starts_with("Daily budget limit exceeded: $0.02"),
        "{refused:?}"
    );
    assert_eq!(one.standing(), Standing::Plenty);
}

#[tokio::test]
async fn listed_prices_go_first_where_that_is_wished() {
    let mut terms = terms(0, 0);
    terms.by_provider = true;
    let purse = Purse::new(terms, Limiter::memory(), Clock::default());
    purse.note(&spoken(1000), Some(Cost::from_pico_dollars(7)));
    assert_eq!(purse.spent().total().pico_dollars(), 7);
    purse.note(&spoken(1000), None);
    assert_eq!(purse.spent().total().micro_dollars(), 15_000);
    assert_eq!(purse.spent().units.characters, 2000);
}
