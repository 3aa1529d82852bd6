//! Keys that several gateways know of through Redis: the database is asked once, and a change counts everywhere at once.

use gateway::audit::Actor;
use gateway::auth::AuthError;
use gateway::config::Secret;
use gateway::tenants;
use serde_json::{Value, json};
use store::{Store, TenantStatus};

use crate::redis_servers::{Servers, ask, until};
use crate::world::World;

/// A gateway of the installation whose database is in `first`'s folder.
async fn gateway(servers: &Servers, first: Option<&World>) -> World {
    let database = first.map(|first| first.app().config.database().url);
    World::start(|config| {
        config.redis.url = Some(Secret::new(servers.url.as_str()));
        config.database.url = database.map(Secret::new);
    })
    .await
}

/// A key of the tenant `acme`, as its id and its text.
async fn key(world: &World) -> (String, String) {
    let made = world.tenant("acme").await;
    let key = &made["api_key"];
    let text = |part: &str| key[part].as_str().unwrap_or_default().to_owned();
    (text("id"), text("key"))
}

/// How often somebody knew what a `key` or a `tenant` is.
async fn lookups(world: &World, of: &str, layer: &str) -> u64 {
    let metrics = world
        .get("/metrics")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let name = format!("antiphon_key_lookups_total{{of=\"{of}\",layer=\"{layer}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.map_or(0, |number| number.parse().unwrap())
}

async fn refused(world: &World, key: &str) -> AuthError {
    world.app().keys.verify(key).await.unwrap_err()
}

/// The time has passed for which a process goes by what it knows.
fn a_second_later(world: &World) {
    world.app().clock.advance(std::time::Duration::from_secs(1));
}

#[tokio::test]
async fn gateways_that_start_cold_ask_the_database_once_for_a_key() {
    let servers = Servers::single().await;
    let first = gateway(&servers, None).await;
    let (id, key) = key(&first).await;
    let mut gateways = vec![first];
    for _ in 0..3 {
        let next = gateway(&servers, gateways.first()).await;
        gateways.push(next);
    }
    for world in &gateways {
        for _ in 0..3 {
            let principal = world.app().keys.verify(&key).await.unwrap();
            assert_eq!(
                (&*principal.tenant, &*principal.allowance.plan),
                ("acme", "pro")
            );
            a_second_later(world);
        }
        world.app().keys.verify(&key).await.unwrap();
        world.app().keys.verify(&key).await.unwrap();
        assert!(lookups(world, "key", "process").await >= 1);
        assert!(lookups(world, "key", "redis").await >= 3);
    }
    for of in ["key", "tenant"] {
        let mut asked = 0;
        for world in &gateways {
            asked += lookups(world, of, "database").await;
        }
        assert_eq!(asked, 1, "{of}");
    }
    // the key's own id is not among the names
    let names: Option<Vec<String>> = ask(servers.nodes[0].port, &["KEYS", "*:key:*"]).await;
    let names = names.unwrap();
    assert!(
        !names.is_empty() && names.iter().all(|name| !name.contains(&id)),
        "{names:?}"
    );
}

#[tokio::test]
async fn what_is_changed_at_one_gateway_counts_at_the_others() {
    let servers = Servers::single().await;
    let one = gateway(&servers, None).await;
    let other = gateway(&servers, Some(&one)).await;
    let (id, text) = key(&one).await;
    other.app().keys.verify(&text).await.unwrap();

    // a limit, a suspension, and the end of it
    let patch = json!({ "limits": { "concurrent_sessions": 3 } });
    let changed = one
        .request(reqwest::Method::PATCH, "/v1/admin/tenants/acme")
        .json(&patch);
    assert!(changed.send().await.unwrap().status().is_success());
    a_second_later(&other);
    let known = other.app().keys.verify(&text).await.unwrap();
    assert_eq!(known.allowance.limits.concurrent_sessions, Some(3));
    for (way, opens) in [("suspend", false), ("activate", true)] {
        let route = format!("/v1/admin/tenants/acme/{way}");
        let turned = one.post(&route, &json!({})).send().await.unwrap();
        assert!(turned.status().is_success(), "{way}");
        a_second_later(&other);
        assert_eq!(other.app().keys.verify(&text).await.is_ok(), opens, "{way}");
    }

    let gone = one
        .app()
        .keys
        .revoke("acme", &id, &Actor::command_line())
        .await;
    assert!(gone.unwrap());
    assert!(matches!(refused(&one, &text).await, AuthError::Revoked));
    a_second_later(&other);
    assert!(matches!(refused(&other, &text).await, AuthError::Revoked));
    // nor does a gateway that has never seen it take it
    let third = gateway(&servers, Some(&one)).await;
    assert!(matches!(refused(&third, &text).await, AuthError::Revoked));
}

/// What the command line does: a process of its own, on the same database and the same Redis.
#[tokio::test]
async fn a_tenant_that_another_process_closes_is_refused() {
    let servers = Servers::single().await;
    let world = gateway(&servers, None).await;
    let (_, text) = key(&world).await;
    world.app().keys.verify(&text).await.unwrap();
    let app = world.app();
    let store = Store::open(&app.config.database(), &app.config.live())
        .await
        .unwrap();
    let status = (TenantStatus::Suspended, None);
    let by = Actor::command_line();
    tenants::turn(&store, "acme", status, &by, app.clock.utc())
        .await
        .unwrap();
    a_second_later(&world);
    assert!(matches!(refused(&world, &text).await, AuthError::Suspended));
}

#[tokio::test]
async fn a_known_key_works_while_the_database_is_away_and_any_while_redis_is() {
    let mut servers = Servers::single().await;
    let one = gateway(&servers, None).await;
    let other = gateway(&servers, Some(&one)).await;
    let (_, text) = key(&one).await;
    one.app().keys.verify(&text).await.unwrap();
    // this one has never asked, and its database is away from now on
    other.app().store.sql.close().await;
    let principal = other.app().keys.verify(&text).await.unwrap();
    assert_eq!(principal.tenant, "acme");
    a_second_later(&other);
    other.app().keys.verify(&text).await.unwrap();
    // once nobody knows it any more, it is no wrong key either
    let forget: Option<String> = ask(servers.nodes[0].port, &["FLUSHALL"]).await;
    assert!(forget.is_some());
    a_second_later(&other);
    assert!(matches!(refused(&other, &text).await, AuthError::Store(_)));

    servers.nodes[0].kill();
    until("redis counts as away", || async {
        a_second_later(&one);
        one.app().keys.verify(&text).await.unwrap();
        !one.app().store.live.facts.is_here()
    })
    .await;
    let before = lookups(&one, "key", "database").await;
    a_second_later(&one);
    one.app().keys.verify(&text).await.unwrap();
    assert_eq!(lookups(&one, "key", "database").await, before + 1);
}

/// A session that its client has left goes with its tenant.
#[tokio::test]
async fn what_a_deleted_tenant_left_for_its_clients_is_forgotten() {
    let world = World::start(|_| {}).await;
    let (_, text) = key(&world).await;
    let session = json!({ "type": "realtime", "instructions": "Be brief." });
    let path = "/v1/realtime?model=gpt-realtime";
    let caller = crate::caller::Caller::call_with(&world, path, &text, &session).await;
    let id = caller.session_id().to_owned();
    drop(caller.drop_line());
    let live = world.app().store.live.clone();
    let now = world.app().clock.utc();
    until("the client has gone", || async {
        let found = live.sessions.find("acme", &id, now).await.unwrap();
        found.is_some_and(|it| it.holding == store::live::sessions::Holding::Parted)
    })
    .await;
    let deleted = world.request(reqwest::Method::DELETE, "/v1/admin/tenants/acme");
    let deleted: Value = deleted.send().await.unwrap().json().await.unwrap();
    assert_eq!(deleted["deleted"], true);
    assert_eq!(live.sessions.find("acme", &id, now).await.unwrap(), None);
}
