//! Units and prices: what a provider's work costs, to the micro-dollar.

use engine::meter::{Cost, Price, PriceTable, Rates, Units};
use proptest::prelude::*;

fn table(prices: &[(&str, &str, Rates)]) -> PriceTable {
    PriceTable {
        version: "test".to_owned(),
        prices: prices
            .iter()
            .map(|(provider, model, rates)| Price {
                provider: (*provider).to_owned(),
                model: (*model).to_owned(),
                rates: *rates,
            })
            .collect(),
    }
}

fn language(input: u64, cached: Option<u64>, output: u64) -> Rates {
    Rates {
        million_input_tokens: Some(input),
        million_cached_tokens: cached,
        million_output_tokens: Some(output),
        ..Rates::default()
    }
}

#[test]
fn tokens_cost_what_the_table_says_and_cached_ones_less() {
    let rates = language(150_000, Some(75_000), 600_000);
    let units = Units {
        input_tokens: 10_000,
        cached_tokens: 4_000,
        output_tokens: 500,
        ..Units::default()
    };
    // 6,000 at 0.15 + 4,000 at 0.075 + 500 at 0.60 dollars a million
    assert_eq!(
        rates.cost(&units).map(Cost::micro_dollars),
        Some(900 + 300 + 300)
    );
    let no_discount = language(150_000, None, 600_000);
    assert_eq!(
        no_discount.cost(&units).map(Cost::micro_dollars),
        Some(1_800)
    );
}

#[test]
fn a_token_costs_less_than_a_micro_dollar_and_a_million_of_them_exactly_a_million_times_that() {
    let rates = language(50_000, None, 80_000);
    let one = Units {
        input_tokens: 1,
        ..Units::default()
    };
    let mut sum = Cost::default();
    for _ in 0..1_000_000 {
        sum += rates.cost(&one).unwrap();
    }
    assert_eq!(rates.cost(&one).unwrap().micro_dollars(), 0);
    assert_eq!(sum.micro_dollars(), 50_000);
}

#[test]
fn ears_are_paid_by_the_minute_and_voices_by_character_or_minute() {
    let ears = Rates {
        audio_minute: Some(7_700),
        ..Rates::default()
    };
    let heard = Units {
        audio_ms: 90_000,
        ..Units::default()
    };
    assert_eq!(ears.cost(&heard).map(Cost::micro_dollars), Some(11_550));
    let said = Units {
        characters: 1_000,
        speech_ms: 60_000,
        ..Units::default()
    };
    let by_character = Rates {
        million_characters: Some(15_000_000),
        ..Rates::default()
    };
    let by_minute = Rates {
        speech_minute: Some(15_000),
        ..Rates::default()
    };
    assert_eq!(
        by_character.cost(&said).map(Cost::micro_dollars),
        Some(15_000)
    );
    assert_eq!(by_minute.cost(&said).map(Cost::micro_dollars), Some(15_000));
}

#[test]
fn what_has_no_rate_has_no_cost_and_not_the_cost_nothing() {
    let ears = Rates {
        audio_minute: Some(7_700),
        ..Rates::default()
    };
    let spoken = Units {
        characters: 5,
        speech_ms: 300,
        ..Units::default()
    };
    assert_eq!(ears.cost(&spoken), None);
    assert_eq!(ears.cost(&Units::default()), Some(Cost::default()));
    let table = table(&[("deepgram", "nova-3*", ears)]);
    assert_eq!(table.cost("deepgram", "aura-2", &spoken), None);
    assert_eq!(table.cost("nobody", "nova-3", &spoken), None);
}

#[test]
fn the_most_exact_entry_counts_and_of_equals_the_first() {
    let (dear, cheap, free) = (
        language(3, None, 3),
        language(2, None, 2),
        language(0, None, 0),
    );
    let table = table(&[
        ("openai", "*", dear),
        ("openai", "gpt-4o-mini*", cheap),
        ("openai", "gpt-4o-mini", free),
        ("openai", "gpt-4o-mini", dear),
    ]);
    assert_eq!(table.rates("openai", "gpt-4o-mini"), Some(&free));
    assert_eq!(
        table.rates("openai", "gpt-4o-mini-2024-07-18"),
        Some(&cheap)
    );
    assert_eq!(table.rates("openai", "gpt-5"), Some(&dear));
    assert_eq!(table.rates("groq", "gpt-5"), None);
}

proptest! {
    #[test]
    fn costs_add_up_whatever_the_order(parts in proptest::collection::vec(0u64..100_000, 1..20)) {
        let rates = language(123_457, Some(61_728), 765_433);
        let units = |n: u64| Units { input_tokens: n, cached_tokens: n / 3, output_tokens: n / 7, ..Units::default() };
        let (mut forth, mut back, mut all) = (Cost::default(), Cost::default(), Units::default());
        for n in &parts {
            forth += rates.cost(&units(*n)).unwrap();
            all += units(*n);
        }
        for n in parts.iter().rev() {
            back += rates.cost(&units(*n)).unwrap();
        }
        prop_assert_eq!(forth, back);
        prop_assert_eq!(Some(forth), rates.cost(&all));
    }
}
