//! What is known of keys and tenants: shared by all gateways, and never older than a change.

use store::LiveOptions;
use store::live::facts::{Asked, Mark, Subject};
use store::live::{Facts, Live};

use crate::live::Gateways;
use crate::redis_servers::{Servers, ask as ask_redis, until};
use crate::sealing::{NEW, OLD, ring};

const KEY: Subject<'_> = Subject::Key("f00d");
const ACME: Subject<'_> = Subject::Tenant("acme");

/// The mark that somebody gets who finds nothing.
async fn mark(facts: &Facts, subject: Subject<'_>) -> Mark {
    match facts.ask(subject).await {
        Asked::Unknown(Some(mark)) => mark,
        other => panic!("{other:?}"),
    }
}

fn known(text: &str) -> Asked {
    Asked::Known(text.to_owned())
}

/// Opens two gateways that share a place, with keys of their own for a story.
pub(crate) async fn all(open: impl AsyncFn(&'static str) -> Gateways) {
    what_one_is_told_the_other_knows(open("known").await).await;
    what_was_read_before_a_change_is_not_kept(open("race").await).await;
    nothing_is_kept_while_a_change_is_under_way(open("under way").await).await;
    of_two_changes_each_ends_itself(open("two changes").await).await;
    of_many_who_change_and_read_none_keeps_the_old(open("many facts").await).await;
}

async fn what_one_is_told_the_other_knows(Gateways { one, other }: Gateways) {
    let mark_of_key = mark(&one.facts, KEY).await;
    assert!(one.facts.tell(KEY, &mark_of_key, "works").await);
    assert_eq!(other.facts.ask(KEY).await, known("works"));
    // of another key, and of a tenant of the same name, nothing is known
    for subject in [Subject::Key("f00e"), Subject::Tenant("f00d"), ACME] {
        let mark = mark(&other.facts, subject).await;
        assert_ne!(mark, mark_of_key);
    }
}

/// A gateway reads the row, the key is revoked, and only then the gateway tells what it read.
async fn what_was_read_before_a_change_is_not_kept(Gateways { one, other }: Gateways) {
    for subject in [KEY, ACME] {
        let early = mark(&one.facts, subject).await;
        let change = other.facts.changing(subject).await;
        other.facts.changed(subject, change).await.unwrap();
        assert!(!one.facts.tell(subject, &early, "works").await);
        let late = mark(&one.facts, subject).await;
        assert!(!one.facts.tell(subject, &early, "works").await);
        assert!(one.facts.tell(subject, &late, "revoked").await);
        assert_eq!(other.facts.ask(subject).await, known("revoked"));
        // what is known goes with a change as well
        let change = other.facts.changing(subject).await;
        other.facts.changed(subject, change).await.unwrap();
        mark(&one.facts, subject).await;
    }
}

async fn nothing_is_kept_while_a_change_is_under_way(Gateways { one, other }: Gateways) {
    let first = mark(&one.facts, KEY).await;
    assert!(one.facts.tell(KEY, &first, "works").await);
    let change = other.facts.changing(KEY).await;
    // the change is not stored yet, and may be at any moment
    assert_eq!(one.facts.ask(KEY).await, Asked::Unknown(None));
    assert!(!one.facts.tell(KEY, &first, "works").await);
    other.facts.changed(KEY, change).await.unwrap();
    let then = mark(&one.facts, KEY).await;
    assert!(one.facts.tell(KEY, &then, "revoked").await);
}

/// The end of one change is not the end of another.
async fn of_two_changes_each_ends_itself(Gateways { one, other }: Gateways) {
    for first_ends_first in [true, false] {
        let first = one.facts.changing(KEY).await;
        let second = other.facts.changing(KEY).await;
        let (early, late) = if first_ends_first {
            (first, second)
        } else {
            (second, first)
        };
        one.facts.changed(KEY, early).await.unwrap();
        assert_eq!(
            other.facts.ask(KEY).await,
            Asked::Unknown(None),
            "{first_ends_first}"
        );
        other.facts.changed(KEY, late).await.unwrap();
        mark(&one.facts, KEY).await;
    }
}

/// The row is a number that only grows. Once a change is over, nobody may find a smaller one.
async fn of_many_who_change_and_read_none_keeps_the_old(gateways: Gateways) {
    let row = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let order = std::sync::atomic::Ordering::SeqCst;
    let mut readers = tokio::task::JoinSet::new();
    for reader in 0..8 {
        let facts = [&gateways.one, &gateways.other][reader % 2].facts.clone();
        let row = std::sync::Arc::clone(&row);
        readers.spawn(async move {
            for _ in 0..200 {
                if let Asked::Unknown(Some(mark)) = facts.ask(KEY).await {
                    let read = row.load(order);
                    tokio::task::yield_now().await;
                    facts.tell(KEY, &mark, &read.to_string()).await;
                }
            }
        });
    }
    for number in 1..=100 {
        let change = gateways.one.facts.changing(KEY).await;
        row.store(number, order);
        gateways.one.facts.changed(KEY, change).await.unwrap();
        if let Asked::Known(text) = gateways.other.facts.ask(KEY).await {
            assert_eq!(text, number.to_string());
        }
    }
    readers.join_all().await;
    if let Asked::Known(text) = gateways.other.facts.ask(KEY).await {
        assert_eq!(text, "100");
    }
}

#[tokio::test]
async fn a_process_alone_asks_its_database() {
    let live = Live::open(&LiveOptions::memory(1)).await.unwrap();
    assert!(!live.facts.is_here());
    assert_eq!(live.facts.ask(KEY).await, Asked::Away);
    let change = live.facts.changing(KEY).await;
    live.facts.changed(KEY, change).await.unwrap();
}

#[tokio::test]
async fn facts_lie_sealed_in_redis_and_end_by_themselves() {
    let servers = Servers::single().await;
    let open = async |keys: &[&str]| {
        let options = LiveOptions {
            redis_url: Some(servers.url.clone()),
            keys: (!keys.is_empty()).then(|| ring(keys)),
            ..LiveOptions::memory(1)
        };
        Live::open(&options).await.unwrap().facts
    };
    let one = open(&[OLD]).await;
    let first = mark(&one, KEY).await;
    assert!(one.tell(KEY, &first, "{\"hash\":\"hush\"}").await);
    let port = servers.nodes[0].port;
    let name = "{antiphon:key:f00d}:known";
    let dumped: Option<Vec<u8>> = ask_redis(port, &["DUMP", name]).await;
    assert!(!dumped.unwrap().windows(4).any(|bytes| bytes == b"hush"));
    let left: Option<i64> = ask_redis(port, &["PTTL", name]).await;
    assert!((1..=60_000).contains(&left.unwrap()));
    assert_eq!(
        open(&[NEW, OLD]).await.ask(KEY).await,
        known("{\"hash\":\"hush\"}")
    );
    // who cannot open it asks the database, and may tell what it says
    let keyless = open(&[]).await;
    let own = mark(&keyless, KEY).await;
    assert!(keyless.tell(KEY, &own, "{}").await);
    assert_eq!(one.ask(KEY).await, known("{}"));
    // what was moved from one key to another does not open
    let moved = "{antiphon:key:f00e}:known";
    let other = Subject::Key("f00e");
    let own = mark(&one, other).await;
    assert!(one.tell(other, &own, "{}").await);
    let first = mark_again(&one).await;
    assert!(one.tell(KEY, &first, "{\"a\":1}").await);
    let copied: Option<i64> = ask_redis(port, &["COPY", name, moved, "REPLACE"]).await;
    assert_eq!(copied, Some(1));
    assert!(matches!(one.ask(other).await, Asked::Unknown(Some(_))));
}

/// A mark after what was known has been forgotten.
async fn mark_again(facts: &Facts) -> Mark {
    let change = facts.changing(KEY).await;
    facts.changed(KEY, change).await.unwrap();
    mark(facts, KEY).await
}

#[tokio::test]
async fn a_redis_that_was_away_is_told_of_a_change_when_it_is_back() {
    let mut servers = Servers::single().await;
    let gateways = Gateways::open(Some(&servers.url), "away", 1).await;
    let facts = &gateways.one.facts;
    for subject in [KEY, ACME] {
        let mark = mark(facts, subject).await;
        assert!(facts.tell(subject, &mark, "works").await);
    }
    let port = servers.nodes[0].port;
    let saved: Option<String> = ask_redis(port, &["SAVE"]).await;
    assert!(saved.is_some());
    servers.nodes[0].kill();
    let change = facts.changing(KEY).await;
    assert!(facts.changed(KEY, change).await.is_err());
    assert!(!facts.is_here());
    assert_eq!(facts.ask(KEY).await, Asked::Away);
    // it comes back with what it knew
    servers.nodes[0].restart().await;
    let exists = async |key: &str| ask_redis::<i64>(port, &["EXISTS", key]).await;
    assert_eq!(exists("{away:tenant:acme}:known").await, Some(1));
    until("redis is told of the change", || async {
        exists("{away:key:f00d}:known").await == Some(0)
    })
    .await;
    assert_eq!(exists("{away:tenant:acme}:known").await, Some(1));
}
