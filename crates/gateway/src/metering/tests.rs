use std::io::Write as _;
use std::path::Path;

use super::*;

fn meter() -> Meter {
    Meter::new(load(None).unwrap(), Metrics::default())
}

fn opening(tenant: &str) -> Opening {
    Opening {
        tenant: tenant.to_owned(),
        project: "default".to_owned(),
        model: "antiphon".to_owned(),
        pipeline: "mixed".to_owned(),
        started_at: 1_790_000_000,
    }
}

fn read(session: &'static str, turn: u32, model: &'static str) -> Used<'static> {
    Used {
        session,
        turn,
        stage: "llm",
        provider: "openai",
        model,
        units: Units {
            input_tokens: 10_000,
            output_tokens: 1_000,
            ..Units::default()
        },
    }
}

#[test]
fn every_listed_entry_prices_something_and_names_its_provider_as_the_configuration_does() {
    let table = load(None).unwrap();
    for price in &table.prices {
        assert!(
            providers::catalog::well_known(&price.provider).is_some()
                || ["openai-realtime", "unconfigured"].contains(&&*price.provider),
            "{}",
            price.provider
        );
        assert_ne!(
            price.rates,
            engine::meter::Rates::default(),
            "{}",
            price.model
        );
    }
}

#[test]
fn what_is_used_is_shown_by_turn_by_provider_and_in_all() {
    let meter = meter();
    let account = meter.open("sess_1", opening("acme"));
    meter.note(&read("sess_1", 1, "gpt-4o-mini"));
    meter.note(&read("sess_1", 2, "gpt-4o-mini"));
    let voice = Units {
        characters: 100,
        speech_ms: 6_000,
        ..Units::default()
    };
    meter.note(&Used {
        stage: "tts",
        provider: "deepgram",
        units: voice,
        ..read("sess_1", 2, "aura-2-thalia-en")
    });
    account.turn_ended(1, "resp_1");
    account.turn_ended(2, "resp_2");
    account.turn_ended(2, "resp_beside");
    // 10,000 at 0.15 + 1,000 at 0.60 dollars a million; 100 characters at 30 dollars a million
    let language = 1_500 + 600;
    let usage = meter.usage("acme", "sess_1").unwrap();
    assert_eq!(usage.cost_micro_dollars, Some(2 * language + 3_000));
    assert_eq!(account.micro_dollars(), Some(2 * language + 3_000));
    assert_eq!(usage.units.characters, 100);
    let turns: Vec<_> = usage
        .turns
        .iter()
        .map(|turn| {
            (
                turn.turn,
                turn.response_id.as_deref(),
                turn.cost_micro_dollars,
            )
        })
        .collect();
    assert_eq!(
        turns,
        [
            (1, Some("resp_1"), Some(language)),
            (2, Some("resp_2"), Some(language + 3_000))
        ]
    );
    assert_eq!(usage.providers.len(), 2);
    assert_eq!(meter.usage("rival", "sess_1"), None);
}

#[test]
fn a_model_without_a_price_makes_the_cost_unknown_and_not_nothing() {
    let meter = meter();
    let account = meter.open("sess_1", opening("acme"));
    meter.note(&read("sess_1", 1, "gpt-4o-mini"));
    meter.note(&read("sess_1", 2, "somebody-elses-model"));
    let usage = meter.usage("acme", "sess_1").unwrap();
    assert_eq!(usage.cost_micro_dollars, None);
    assert_eq!(usage.turns[0].cost_micro_dollars, Some(2_100));
    assert_eq!(usage.turns[1].cost_micro_dollars, None);
    assert_eq!(account.micro_dollars(), None);
    let wire = serde_json::to_value(&usage).unwrap();
    assert!(wire["cost_micro_dollars"].is_null() && wire.get("cost_micro_dollars").is_some());
}

#[test]
fn work_that_ends_after_its_session_is_counted_and_old_sessions_are_forgotten() {
    let meter = meter();
    drop(meter.open("sess_first", opening("acme")));
    meter.note(&read("sess_first", 1, "gpt-4o-mini"));
    let usage = meter.usage("acme", "sess_first").unwrap();
    assert_eq!(usage.cost_micro_dollars, Some(2_100));
    for n in 0..REMEMBERED_OF_TENANT {
        drop(meter.open(&format!("sess_{n}"), opening("acme")));
    }
    assert_eq!(meter.usage("acme", "sess_first"), None);
    assert!(meter.usage("acme", "sess_0").is_some());
    assert_eq!(meter.books().ledgers.len(), REMEMBERED_OF_TENANT);
}

#[test]
fn a_session_that_goes_on_goes_on_in_its_ledger() {
    let meter = meter();
    drop(meter.open("sess_1", opening("acme")));
    meter.note(&read("sess_1", 1, "gpt-4o-mini"));
    let account = meter.open("sess_1", opening("acme"));
    for n in 0..2 * REMEMBERED_OF_TENANT {
        drop(meter.open(&format!("sess_other_{n}"), opening("acme")));
    }
    meter.note(&read("sess_1", 2, "gpt-4o-mini"));
    let usage = meter.usage("acme", "sess_1").unwrap();
    assert_eq!(usage.cost_micro_dollars, Some(4_200));
    drop(account);
    assert_eq!(
        meter.books().ended.back().map(String::as_str),
        Some("sess_1")
    );
    let books = meter.books();
    assert_eq!(books.by_tenant.values().sum::<usize>(), books.ended.len());
    drop(books);
    // another tenant's session of the same id begins anew
    let _other = meter.open("sess_1", opening("rival"));
    assert_eq!(meter.usage("acme", "sess_1"), None);
}

#[tokio::test]
async fn a_session_that_goes_on_keeps_its_tab_however_many_end_meanwhile() {
    let meter = meter();
    drop(meter.attach("sess_1", Tab::unlimited()));
    let _goes_on = meter.attach("sess_1", Tab::unlimited());
    for n in 0..3000 {
        drop(meter.attach(&format!("sess_other_{n}"), Tab::unlimited()));
    }
    assert!(meter.books().tabs.find("sess_1").is_some());
    assert!(meter.books().tabs.find("sess_other_0").is_none());
}

#[tokio::test]
async fn a_tab_that_outlasts_its_session_keeps_nothing_of_it() {
    let meter = meter();
    let attached = meter.attach("sess_1", Tab::unlimited());
    let (sender, mut receiver) = crate::edge::queue(4);
    attached.tab().listen(sender);
    drop(attached);
    // work that is told of late still finds the tab, and the session's queue has ended
    assert!(meter.books().tabs.find("sess_1").is_some());
    assert!(receiver.recv().await.is_none());
}

#[test]
fn a_busy_tenant_does_not_take_the_memory_of_others() {
    let meter = meter();
    drop(meter.open("sess_quiet", opening("quiet")));
    for n in 0..2 * REMEMBERED {
        drop(meter.open(&format!("sess_{n}"), opening("busy")));
    }
    assert!(meter.usage("quiet", "sess_quiet").is_some());
    assert_eq!(meter.books().ledgers.len(), REMEMBERED_OF_TENANT + 1);
    // in all there is a bound as well
    for n in 0..REMEMBERED {
        drop(meter.open(&format!("sess_many_{n}"), opening(&format!("tenant {n}"))));
    }
    let books = meter.books();
    assert_eq!(books.ledgers.len(), REMEMBERED);
    assert_eq!(books.by_tenant.values().sum::<usize>(), REMEMBERED);
    assert!(!books.ledgers.contains_key("sess_quiet"));
}

#[test]
fn an_endless_session_forgets_turns_but_not_what_they_cost() {
    let meter = meter();
    let _account = meter.open("sess_1", opening("acme"));
    for turn in 1..=700 {
        meter.note(&read("sess_1", turn, "gpt-4o-mini"));
    }
    meter.note(&read("sess_1", 3, "gpt-4o-mini"));
    let usage = meter.usage("acme", "sess_1").unwrap();
    assert_eq!(usage.cost_micro_dollars, Some(701 * 2_100));
    assert_eq!(usage.turns.len(), 500);
    assert_eq!(usage.turns[0].turn, 201);
    assert!(
        usage
            .turns
            .iter()
            .all(|turn| turn.cost_micro_dollars == Some(2_100))
    );
}

#[test]
fn what_has_no_price_is_known_before_it_is_used() {
    let members = [
        (Stage::Llm, "openai", "gpt-4o-mini"),
        (Stage::Llm, "groq", "llama"),
        (Stage::Tts, "elevenlabs", "eleven_flash_v2_5"),
        (Stage::Tts, "openai", "gpt-4o-mini-tts"),
        (Stage::Stt, "local", ""),
        // a language model's price is no price for speech
        (Stage::Tts, "openai", "gpt-4o-mini"),
    ];
    let unpriced = meter().unpriced(members);
    assert_eq!(unpriced, [members[1], members[2], members[5]]);
}

#[test]
fn the_operators_prices_count_before_the_listed_ones() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(
        file,
        "version = \"acme 7\"\n\
         [[price]]\nprovider = \"openai\"\nmodel = \"gpt-*\"\nmillion_input_tokens = 7\nmillion_output_tokens = 9\n\
         [[price]]\nprovider = \"groq\"\nmodel = \"*\"\nmillion_input_tokens = 1\nmillion_output_tokens = 1"
    )
    .unwrap();
    let table = load(Some(file.path())).unwrap();
    assert_eq!(table.version, "acme 7 over 2026-11-21");
    let input =
        |provider: &str, model: &str| table.rates(provider, model).unwrap().million_input_tokens;
    assert_eq!(input("openai", "gpt-4o-mini"), Some(7));
    assert_eq!(input("groq", "anything"), Some(1));
    assert_eq!(input("anthropic", "claude-haiku-5-5"), Some(100_000));

    let mut wrong = tempfile::NamedTempFile::new().unwrap();
    writeln!(wrong, "version = \"1\"\n[[price]]\nprovider = \"openai\"").unwrap();
    let told = load(Some(wrong.path())).unwrap_err().to_string();
    assert!(told.contains("model"), "{told}");
    let gone = load(Some(Path::new("/nowhere/prices.toml"))).unwrap_err();
    assert!(gone.to_string().contains("/nowhere/prices.toml"));
}
