//! What sessions used is known after a restart, at other servers, and in sums for whoever pays.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use gateway::Server;
use gateway::audit::Actor;
use gateway::auth::{NewKey, Scope, Scopes};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use store::{Change, Entry, SessionKey, Sql};

use crate::caller::Caller;
use crate::redis_servers::until;
use crate::tenants::{first_key, operator};
use crate::world::{KEY, PATIENCE, World, config};

const PATH: &str = "/v1/realtime?model=gpt-realtime";

async fn get(world: &World, key: &str, path: &str) -> (StatusCode, Value) {
    let asked = world.anonymous(Method::GET, path).bearer_auth(key);
    let answer = asked.send().await.unwrap();
    let status = answer.status();
    (status, answer.json().await.unwrap())
}

/// One spoken turn.
async fn ask(caller: &mut Caller) {
    caller.write("how much is that").await;
    caller.until("response.done").await;
}

async fn delivered(world: &World) {
    let journal = world.app().journal.clone().unwrap();
    until("the journal is delivered", || async {
        journal.state().waiting == 0
    })
    .await;
}

fn settings() -> Value {
    json!({ "type": "realtime", "instructions": "Be brief." })
}

#[tokio::test]
async fn usage_outlives_the_server_that_counted_it() {
    let world = World::start(|_| {}).await;
    let mut caller = Caller::call(&world, PATH, &settings()).await;
    ask(&mut caller).await;
    ask(&mut caller).await;
    let path = format!("/v1/sessions/{}/usage", caller.session_id());
    caller.hang_up().await;
    let (status, counted) = get(&world, KEY, &path).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(counted["turns"].as_array().unwrap().len(), 2);
    let (server, folder) = world.into_server();
    server.stop(Duration::from_secs(10)).await;

    let mut again = config(&folder);
    again.server.data_dir = Some(folder.path().display().to_string());
    let server = Server::start(again).await.unwrap();
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .build()
        .unwrap();
    let url = format!("http://{}{path}", server.address);
    let answer = client.get(url).bearer_auth(KEY).send().await.unwrap();
    let known: Value = answer.json().await.unwrap();
    assert_eq!(known, counted);
    let url = format!("http://{}/v1/sessions/sess_nobody/usage", server.address);
    let nobody = client.get(url).bearer_auth(KEY).send().await.unwrap();
    assert_eq!(nobody.status(), StatusCode::NOT_FOUND);
    server.stop(Duration::from_secs(10)).await;
}

#[tokio::test]
async fn sums_are_shown_to_whoever_they_belong_to() {
    let world = World::start(|_| {}).await;
    let acme = first_key(&world, "acme").await;
    let rival = first_key(&world, "rival").await;
    let mut sessions = Vec::new();
    for (key, turns) in [(&acme, 2), (&acme, 1), (&rival, 1)] {
        let mut caller = Caller::call_with(&world, PATH, key, &settings()).await;
        for _ in 0..turns {
            ask(&mut caller).await;
        }
        sessions.push(caller.session_id().to_owned());
        caller.hang_up().await;
    }
    delivered(&world).await;
    let mut characters = Vec::new();
    for (key, session) in [(&acme, 0), (&acme, 1), (&rival, 2)] {
        let path = format!("/v1/sessions/{}/usage", sessions[session]);
        let (_, used) = get(&world, key, &path).await;
        characters.push(used["units"]["characters"].as_u64().unwrap());
    }
    assert!(characters.iter().all(|count| *count > 0), "{characters:?}");

    let (_, by_model) = get(&world, &acme, "/v1/usage").await;
    let lines = by_model["data"].as_array().unwrap();
    let tts = lines.iter().find(|line| line["stage"] == "tts").unwrap();
    assert_eq!(tts["units"]["characters"], characters[0] + characters[1]);
    assert_eq!(
        (&tts["tenant"], &tts["provider"]),
        (&json!("acme"), &json!("scripted"))
    );
    assert_eq!(tts["cost_micro_dollars"], 0);
    let (_, by_project) = get(&world, &rival, "/v1/usage?group_by=project").await;
    let lines = by_project["data"].as_array().unwrap();
    assert_eq!((lines.len(), &lines[0]["project"]), (1, &json!("default")));
    assert_eq!(lines[0]["units"]["characters"], characters[2]);
    // a tenant sees itself, the operator everybody
    let tenants = |list: &Value| -> Vec<String> {
        let lines = list["data"].as_array().unwrap().iter();
        lines
            .map(|line| line["tenant"].as_str().unwrap().to_owned())
            .collect()
    };
    let (_, own) = get(&world, &rival, "/v1/usage?group_by=tenant").await;
    assert_eq!(tenants(&own), ["rival"]);
    let (_, all) = get(&world, KEY, "/v1/usage?group_by=tenant").await;
    assert_eq!(tenants(&all), ["acme", "rival"]);
    let (_, one) = get(&world, KEY, "/v1/usage?tenant=acme&group_by=project").await;
    assert_eq!(
        one["data"][0]["units"]["characters"],
        characters[0] + characters[1]
    );
    // nothing was used before any of this
    let (_, none) = get(&world, &acme, "/v1/usage?from=0&to=1000000").await;
    assert_eq!(none["data"], json!([]));

    for (key, path, status, param) in [
        (&rival, "/v1/usage?tenant=acme", 404, None),
        (&acme, "/v1/usage?group_by=colour", 400, Some("group_by")),
        (&acme, "/v1/usage?from=20&to=10", 400, Some("from")),
        (&acme, "/v1/usage?to=-5", 400, Some("to")),
    ] {
        let (told, body) = get(&world, key, path).await;
        assert_eq!(told.as_u16(), status, "{path} {body}");
        if let Some(param) = param {
            assert_eq!(body["error"]["param"], param, "{path}");
        }
    }
    let new = NewKey {
        tenant: "acme".to_owned(),
        project: "default".to_owned(),
        name: "phone".to_owned(),
        scopes: std::iter::once(Scope::RealtimeConnect).collect::<Scopes>(),
        expires_at: None,
    };
    let talker = world
        .app()
        .keys
        .create(&new, &Actor::command_line())
        .await
        .unwrap();
    let (status, _) = get(&world, talker.text.reveal(), "/v1/usage").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

/// A session of `tenant` that began so many days ago.
async fn stored(sql: &Sql, tenant: &str, days: i64) {
    #[expect(
        clippy::disallowed_methods,
        reason = "before there is a server, and its clock"
    )]
    let began = Utc::now() - TimeDelta::days(days);
    let entry = Entry {
        session: SessionKey::new(tenant, format!("sess_{days}"), began),
        revision: 1,
        change: Change::Settings {
            project: "default".to_owned(),
            model: "gpt-realtime".to_owned(),
            settings: "{}".to_owned(),
        },
    };
    sql.write_changes(tenant, &[&entry]).await.unwrap();
}

#[tokio::test]
async fn conversations_are_kept_for_as_long_as_the_plan_or_the_tenant_says() {
    let ages = [20, 40, 100, 400];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("antiphon.db");
    let url = format!("sqlite:{}", file.display());
    {
        let world =
            World::start(|config| config.database.url = Some(gateway::config::Secret::new(&url)))
                .await;
        for (id, plan) in [
            ("free-one", "free"),
            ("pro-one", "pro"),
            ("large", "enterprise"),
        ] {
            let made = json!({ "id": id, "name": id, "plan": plan });
            operator(&world, "POST /v1/admin/tenants", made).await;
        }
        let own = json!({ "id": "own", "name": "own", "plan": "pro", "limits": { "retention_days": 30 } });
        let (status, made) = operator(&world, "POST /v1/admin/tenants", own).await;
        assert_eq!(
            (status, &made["limits"]["retention_days"]),
            (201, &json!(30))
        );
        let more = json!({ "limits": { "retention_days": 365 } });
        let (status, _) = operator(&world, "PATCH /v1/admin/tenants/own", more).await;
        assert_eq!(status, 200);
        for days in [0, 3651] {
            let wrong = json!({ "limits": { "retention_days": days } });
            let (status, told) = operator(&world, "PATCH /v1/admin/tenants/own", wrong).await;
            assert_eq!(status, 400);
            assert_eq!(told["error"]["param"], "limits.retention_days");
        }
        let sql = &world.app().store.sql;
        for tenant in ["free-one", "pro-one", "large", "own", "default"] {
            for days in ages {
                stored(sql, tenant, days).await;
            }
        }
        let (server, _folder) = world.into_server();
        server.stop(Duration::from_secs(10)).await;
    }
    // the job runs at every start
    let world = World::start(|config| {
        config.database.url = Some(gateway::config::Secret::new(&url));
        config.conversations.retention_days = 50;
    })
    .await;
    let sql = &world.app().store.sql;
    for (tenant, kept) in [
        ("free-one", 1),
        ("pro-one", 2),
        ("large", 3),
        ("own", 3),
        ("default", 2),
    ] {
        for (place, days) in ages.into_iter().enumerate() {
            let id = format!("sess_{days}");
            let expected = place < kept;
            until("the job has run", || async {
                sql.find_session(tenant, &id).await.unwrap().is_some() == expected
            })
            .await;
        }
    }
}
