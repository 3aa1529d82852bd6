//! Short-lived state on every backend: the stories of `client_secrets`, `limits` and `leases`, and what happens when Redis dies.

use std::time::Duration;

use engine::guard::Rate;
use store::live::limiter::{Decider, Demand, Level, LevelKind};
use store::live::sessions::{Hold, Kept, LiveItem};
use store::live::{Health, Live};
use store::{LiveOptions, StoreError};

use crate::redis_servers::{Servers, ask as ask_redis, until};
use crate::sealing::{NEW, OLD, ring};
use crate::{client_secrets, facts, leases, limits, live_sessions, rooms, surveys, work};

/// Length of windows in tests: within a test nothing fades.
const DAY_MS: u64 = 86_400_000;

/// What two gateways of one installation see.
pub(crate) struct Gateways {
    pub(crate) one: Live,
    pub(crate) other: Live,
}

impl Gateways {
    pub(crate) async fn open(
        url: Option<&str>,
        namespace: &str,
        max_client_secrets: usize,
    ) -> Self {
        let options = LiveOptions {
            redis_url: url.map(str::to_owned),
            namespace: namespace.to_owned(),
            max_client_secrets,
            share_percent: 50,
            keys: None,
            rooms: store::live::RoomLimits::default(),
        };
        let one = Live::open(&options).await.unwrap();
        let other = match url {
            Some(_) => Live::open(&options).await.unwrap(),
            None => one.clone(),
        };
        Self { one, other }
    }
}

/// Every story on one backend, each with keys of its own.
async fn all(url: Option<&str>) {
    client_secrets::all(async |story, limit| Gateways::open(url, story, limit).await).await;
    limits::all(async |story| Gateways::open(url, story, 10).await).await;
    live_sessions::all(async |story| Gateways::open(url, story, 10).await).await;
    leases::all(async |story| Gateways::open(url, story, 10).await).await;
    rooms::all(async |story| Gateways::open(url, story, 10).await).await;
    if url.is_some() {
        // work for other processes needs a place that they share
        work::all(async |story| Gateways::open(url, story, 10).await).await;
        facts::all(async |story| Gateways::open(url, story, 10).await).await;
        surveys::shared(Gateways::open(url, "surveys", 10).await).await;
        letters_arrive_in_order(Gateways::open(url, "letters", 10).await).await;
    }
}

async fn letters_arrive_in_order(Gateways { one, other }: Gateways) {
    let mut letters = one.post.letters("one");
    other.post.write("one", "first").await.unwrap();
    other.post.write("another", "not for one").await.unwrap();
    assert_eq!(letters.next().await, ["first"]);
    let (read, written) = tokio::join!(letters.next(), other.post.write("one", "second"));
    written.unwrap();
    assert_eq!(read, ["second"]);
}

#[tokio::test]
async fn memory_passes_every_story() {
    all(None).await;
}

#[tokio::test]
async fn one_redis_passes_every_story() {
    let servers = Servers::single().await;
    all(Some(&servers.url)).await;
}

#[tokio::test]
async fn redis_with_sentinel_passes_every_story() {
    let servers = Servers::sentinel().await;
    all(Some(&servers.url)).await;
}

#[tokio::test]
async fn a_redis_cluster_passes_every_story() {
    let servers = Servers::cluster().await;
    all(Some(&servers.url)).await;
}

/// One tenant who may have `limit` a day.
fn tenant(limit: u64) -> [Level; 1] {
    [Level {
        kind: LevelKind::Tenant,
        id: "t".to_owned(),
        requests: Some(Rate::new(limit, DAY_MS)),
        tokens: None,
        audio_s: None,
    }]
}

/// Asks for one of `limit` a day, and says whether it was had and who decided.
async fn ask(live: &Live, limit: u64) -> (bool, Decider) {
    let decision = live
        .limiter
        .take(&tenant(limit), Demand::REQUEST, DAY_MS)
        .await;
    (decision.outcome.is_ok(), decision.decider)
}

async fn open(servers: &Servers) -> Live {
    let gateways = Gateways::open(Some(&servers.url), "fault", 10).await;
    gateways.one
}

async fn recovers(live: &Live) {
    until("redis is found again", || async {
        // of a level that no story counts
        let level = [Level {
            id: "other".to_owned(),
            ..tenant(1_000_000)[0].clone()
        }];
        let decision = live.limiter.take(&level, Demand::REQUEST, DAY_MS).await;
        decision.decider == Decider::Ordinary
    })
    .await;
    assert_eq!(live.link().unwrap().health(), Health::Here);
}

/// While Redis is away this process gives half of a limit of ten, and says who decides.
async fn goes_on_locally(live: &Live) {
    let mut admitted = 0;
    for _ in 0..20 {
        let (had, decider) = ask(live, 10).await;
        assert_eq!(decider, Decider::Degraded);
        admitted += u64::from(had);
    }
    assert_eq!(admitted, 5);
    assert!(matches!(live.link().unwrap().health(), Health::Away(_)));
    // a secret is not guessed about
    let refused = live.secrets.take("ek_a", 0).await;
    assert!(matches!(refused, Err(StoreError::RedisAway(_))));
}

#[tokio::test]
async fn sentinel_promotes_and_the_limits_go_on() {
    let mut servers = Servers::sentinel().await;
    let live = open(&servers).await;
    for _ in 0..7 {
        assert_eq!(ask(&live, 10).await, (true, Decider::Ordinary));
    }
    servers.replica_has_all().await;
    servers.nodes[0].kill();
    goes_on_locally(&live).await;
    recovers(&live).await;
    let left: Vec<_> = [
        ask(&live, 10).await,
        ask(&live, 10).await,
        ask(&live, 10).await,
        ask(&live, 10).await,
    ]
    .into();
    assert_eq!(
        left.iter().filter(|(had, _)| *had).count(),
        3,
        "the promoted server knows the seven"
    );
}

#[tokio::test]
async fn a_cluster_promotes_and_the_limits_go_on() {
    let mut servers = Servers::cluster().await;
    let live = open(&servers).await;
    assert_eq!(ask(&live, 10).await, (true, Decider::Ordinary));
    // the primary of the limits' slot
    let slot: Option<i64> = crate::redis_servers::ask(
        servers.nodes[0].port,
        &["CLUSTER", "KEYSLOT", "{fault:limits}"],
    )
    .await;
    let owner = usize::try_from(slot.unwrap()).unwrap() * 3 / 16384;
    servers.nodes[owner].kill();
    goes_on_locally(&live).await;
    recovers(&live).await;
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_is_used_again() {
    let mut servers = Servers::single().await;
    let live = open(&servers).await;
    let secret = || client_secrets::entry(600);
    live.secrets.put("ek_a", secret(), 0).await.unwrap();
    for _ in 0..10 {
        assert_eq!(ask(&live, 10).await, (true, Decider::Ordinary));
    }
    assert_eq!(ask(&live, 10).await, (false, Decider::Ordinary));
    servers.nodes[0].kill();
    goes_on_locally(&live).await;
    servers.nodes[0].restart().await;
    recovers(&live).await;
    // it forgot: scripts, limits and secrets begin anew
    assert_eq!(ask(&live, 10).await, (true, Decider::Ordinary));
    assert_eq!(live.secrets.take("ek_a", 1).await.unwrap(), None);
    live.secrets.put("ek_a", secret(), 0).await.unwrap();
    assert!(live.secrets.take("ek_a", 1).await.unwrap().is_some());
}

#[tokio::test]
async fn a_redis_that_is_late_is_found() {
    let mut servers = Servers::single().await;
    servers.nodes[0].kill();
    let live = open(&servers).await;
    goes_on_locally(&live).await;
    servers.nodes[0].restart().await;
    recovers(&live).await;
}

/// A server that accepts and says nothing costs one caller the time-out, and nobody after that.
#[tokio::test]
async fn a_redis_that_hangs_is_away() {
    let servers = Servers::single().await;
    let live = open(&servers).await;
    let pause = ["CLIENT", "PAUSE", "10000"];
    let paused: Option<String> = crate::redis_servers::ask(servers.nodes[0].port, &pause).await;
    assert!(paused.is_some());
    // all of them are made before it speaks again
    let all = tokio::time::timeout(Duration::from_secs(8), goes_on_locally(&live));
    all.await
        .expect("decisions do not wait for Redis one by one");
    recovers(&live).await;
}

#[tokio::test]
async fn what_is_said_lies_sealed_in_redis_and_opens_at_any_gateway() {
    let servers = Servers::single().await;
    let open = async |keys: &[&str]| {
        let options = LiveOptions {
            redis_url: Some(servers.url.clone()),
            keys: (!keys.is_empty()).then(|| ring(keys)),
            ..LiveOptions::memory(1)
        };
        Live::open(&options).await.unwrap()
    };
    let one = open(&[OLD]).await;
    let mut hold = Hold::first("acme", "sess_a");
    let now = chrono::DateTime::UNIX_EPOCH;
    let kept = Kept {
        head: "{\"instructions\":\"hush\"}".to_owned(),
        state: "{}".to_owned(),
        items: vec![LiveItem {
            id: "item_1".to_owned(),
            position: 0,
            content: "{\"said\":\"hush\"}".to_owned(),
        }],
        parted: Some("[\"hush\"]".to_owned()),
    };
    let begun = one
        .sessions
        .begin(&mut hold, ("default", "one"), &kept, now);
    begun.await.unwrap();
    let port = servers.nodes[0].port;
    let keys: Option<Vec<String>> = ask_redis(port, &["KEYS", "*session*"]).await;
    for key in keys.unwrap() {
        let dumped: Option<Vec<u8>> = ask_redis(port, &["DUMP", &key]).await;
        let dumped = dumped.unwrap();
        assert!(!dumped.windows(4).any(|bytes| bytes == b"hush"), "{key}");
    }
    // without the key it does not open, nothing is changed, and another can still go on with all of it
    let claim = async |live: &Live| {
        let claimed = live.sessions.claim(("acme", "default"), "sess_a", "x", now);
        claimed.await
    };
    for wrong in [open(&[]).await, open(&[NEW]).await] {
        assert!(claim(&wrong).await.is_err());
    }
    let other = open(&[NEW, OLD]).await;
    let (hold, found) = claim(&other).await.unwrap().unwrap();
    assert_eq!((hold.number, found), (2, kept));
}
