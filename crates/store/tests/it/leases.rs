//! Conversations at the same time: never more than the limits, all of them or none, and nothing is lost with a gateway.

use store::live::Live;
use store::live::leases::{Lease, Room};
use store::live::limiter::{Decider, LevelKind};

use crate::live::Gateways;
use crate::redis_servers::{Servers, ask, until};

fn room(kind: LevelKind, places: u64) -> Room {
    Room {
        kind,
        id: "one".to_owned(),
        places,
    }
}

fn tenant(places: u64) -> [Room; 1] {
    [room(LevelKind::Tenant, places)]
}

/// A place, where the limits say that there is one.
async fn enter(live: &Live, rooms: &[Room]) -> Option<Lease> {
    let entry = live.leases.enter(rooms).await;
    assert_eq!(entry.decider, Decider::Ordinary);
    entry.outcome.ok()
}

/// Gives back what was left, as the gateway's own task does.
async fn given_back(gateways: &Gateways) {
    gateways.one.leases.give_back().await;
    gateways.other.leases.give_back().await;
}

pub(crate) async fn all(open: impl AsyncFn(&'static str) -> Gateways) {
    of_many_at_once_exactly_the_limit_comes_in(open("crowd").await).await;
    all_rooms_are_entered_or_none(open("rooms").await).await;
    a_place_is_free_once_it_is_given_back(open("again").await).await;
    a_limit_that_shrinks_sends_nobody_away(open("shrinks").await).await;
    other_limits_count_who_runs_already(open("amended").await).await;
}

async fn of_many_at_once_exactly_the_limit_comes_in(gateways: Gateways) {
    let calls: Vec<_> = (0..100)
        .map(|call| {
            let live = [&gateways.one, &gateways.other][call % 2].clone();
            tokio::spawn(async move { enter(&live, &tenant(50)).await })
        })
        .collect();
    let mut leases = Vec::new();
    for call in calls {
        leases.extend(call.await.unwrap());
    }
    assert_eq!(leases.len(), 50);
    // renewed twice: nobody else gets in, and nobody falls out
    for live in [&gateways.one, &gateways.other] {
        live.leases.renew().await;
        live.leases.renew().await;
    }
    assert!(enter(&gateways.one, &tenant(50)).await.is_none());
    drop(leases);
    given_back(&gateways).await;
    assert!(enter(&gateways.other, &tenant(1)).await.is_some());
}

async fn all_rooms_are_entered_or_none(gateways: Gateways) {
    let (one, other) = (&gateways.one, &gateways.other);
    let both = [room(LevelKind::Tenant, 5), room(LevelKind::Key, 1)];
    let first = enter(one, &both).await;
    assert!(first.is_some());
    let refused = other.leases.enter(&both).await.outcome.unwrap_err();
    assert_eq!((refused.kind, refused.places), (LevelKind::Key, 1));
    // the refusal has taken nothing from the tenant
    let mut more = Vec::new();
    while let Some(lease) = enter(other, &tenant(5)).await {
        more.push(lease);
    }
    assert_eq!(more.len(), 4);
    // nothing is asked where there is no limit
    assert!(enter(one, &[]).await.is_some());
}

async fn a_place_is_free_once_it_is_given_back(gateways: Gateways) {
    for _ in 0..3 {
        let lease = enter(&gateways.one, &tenant(1)).await;
        assert!(lease.is_some());
        assert!(enter(&gateways.other, &tenant(1)).await.is_none());
        drop(lease);
        given_back(&gateways).await;
        let lease = enter(&gateways.other, &tenant(1)).await;
        assert!(lease.is_some());
        drop(lease);
        given_back(&gateways).await;
    }
}

async fn a_limit_that_shrinks_sends_nobody_away(gateways: Gateways) {
    let first = enter(&gateways.one, &tenant(3)).await;
    let second = enter(&gateways.other, &tenant(3)).await;
    assert!(first.is_some() && second.is_some());
    assert!(enter(&gateways.one, &tenant(1)).await.is_none());
    drop(second);
    given_back(&gateways).await;
    assert!(enter(&gateways.one, &tenant(1)).await.is_none());
    assert!(enter(&gateways.one, &tenant(2)).await.is_some());
}

async fn other_limits_count_who_runs_already(gateways: Gateways) {
    let free = enter(&gateways.one, &[]).await.unwrap();
    gateways.one.leases.amend(free.number(), &tenant(1));
    gateways.one.leases.renew().await;
    assert!(enter(&gateways.other, &tenant(1)).await.is_none());
    gateways.one.leases.amend(free.number(), &[]);
    given_back(&gateways).await;
    assert!(enter(&gateways.other, &tenant(1)).await.is_some());
}

/// The same as waiting: everything that Redis knows of places is `ms` older.
async fn age(servers: &Servers, namespace: &str, ms: u64) {
    let script = "for _, place in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do \
                  redis.call('ZINCRBY', KEYS[1], -ARGV[1], place) end return 1";
    let key = format!("{{{namespace}:limits}}:tenant:sessions:one");
    let ms = ms.to_string();
    let aged: Option<i64> = ask(servers.nodes[0].port, &["EVAL", script, "1", &key, &ms]).await;
    assert_eq!(aged, Some(1));
}

#[tokio::test]
async fn a_gateway_that_died_loses_its_places_and_one_that_renews_does_not() {
    let servers = Servers::single().await;
    let gateways = Gateways::open(Some(&servers.url), "died", 10).await;
    let (one, other) = (&gateways.one, &gateways.other);
    let kept = enter(one, &tenant(2)).await;
    let lost = enter(other, &tenant(2)).await;
    assert!(kept.is_some() && lost.is_some());
    for _ in 0..2 {
        age(&servers, "died", 20_000).await;
        one.leases.renew().await;
    }
    assert!(enter(one, &tenant(1)).await.is_none(), "one is held");
    let next = enter(one, &tenant(2)).await;
    assert!(next.is_some(), "the other has ended");
    // who was taken for dead and is not goes on, and counts again
    other.leases.renew().await;
    drop(next);
    one.leases.give_back().await;
    assert!(enter(one, &tenant(2)).await.is_none());
    assert!(enter(one, &tenant(3)).await.is_some());
}

#[tokio::test]
async fn while_redis_is_away_each_gateway_gives_its_share() {
    let mut servers = Servers::single().await;
    let gateways = Gateways::open(Some(&servers.url), "apart", 10).await;
    let live = &gateways.one;
    let mut leases = Vec::new();
    for _ in 0..3 {
        leases.extend(enter(live, &tenant(10)).await);
    }
    servers.nodes[0].kill();
    // half of ten, of which three run here
    for _ in 0..10 {
        let entry = live.leases.enter(&tenant(10)).await;
        assert_eq!(entry.decider, Decider::Degraded);
        leases.extend(entry.outcome.ok());
    }
    assert_eq!(leases.len(), 5);
    assert_eq!(live.leases.here(LevelKind::Tenant, "one"), 5);
    // a limit of one is still one
    let single = Room {
        id: "single".to_owned(),
        ..room(LevelKind::Key, 1)
    };
    assert!(live.leases.enter(&[single]).await.outcome.is_ok());
    // Redis comes back empty: who runs is written down again
    servers.nodes[0].restart().await;
    until("redis is found again", || async {
        let links = [live.link().unwrap(), gateways.other.link().unwrap()];
        links[0].ping().await.is_ok() && links[1].ping().await.is_ok()
    })
    .await;
    live.leases.renew().await;
    assert!(enter(&gateways.other, &tenant(5)).await.is_none());
    assert!(enter(&gateways.other, &tenant(6)).await.is_some());
}
