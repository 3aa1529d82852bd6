//! Chat rooms whose messages PostgreSQL keeps, as the role that may work on the tables and do nothing else; two servers, one Redis.

use gateway::config::Secret;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::postgres::{APPLICATION, Database, OWNER, Server};
use crate::redis_servers::Servers;
use crate::room_guest::{Guest, customer, helper, with_rooms};
use crate::world::{PATIENCE, World};

async fn member(database: &Database<'_>, redis: Option<&Servers>) -> World {
    World::start(|config| {
        with_rooms(config);
        config.database.url = Some(Secret::new(database.url(APPLICATION)));
        config.database.owner_url = Some(Secret::new(database.url(OWNER)));
        config.redis.url = redis.map(|redis| Secret::new(redis.url.as_str()));
        let key = "k1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
        config.encryption.keys = Some(Secret::new(key));
    })
    .await
}

fn words(page: &Value) -> Vec<&str> {
    let messages = page["messages"].as_array().unwrap().iter();
    messages.map(|it| it["content"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_is_said_at_one_server_is_kept_read_changed_and_said_once_at_the_other() {
    let (redis, database) = (Servers::single().await, Server::shared().database(OWNER));
    let one = member(&database, Some(&redis)).await;
    let other = member(&database, Some(&redis)).await;
    let mut ann = Guest::enter(&one, &customer("ann", "c"), "").await;
    let mut bob = Guest::enter(&other, &helper("bob", "c"), "").await;
    let said =
        json!({ "type": "message", "content": "my secret", "role": "USER", "clientId": "k1" });
    ann.send(&said).await;
    let heard = ann.until("ack").await;
    let id = heard[0]["data"]["id"].clone();
    assert_eq!(bob.next().await["data"]["id"], id);
    // not sure that it arrived, she says it again, over the other server
    ann.leave().await;
    let mut ann = Guest::enter(&other, &customer("ann", "c"), "").await;
    ann.send(&said).await;
    let again = ann.next().await;
    assert_eq!((&again["type"], &again["data"]["id"]), (&json!("ack"), &id));
    ann.send(&json!({ "type": "edit", "id": id, "content": "no secret" }))
        .await;
    for guest in [&mut ann, &mut bob] {
        let updated = guest.hears("message_updated").await;
        assert_eq!(updated["data"]["content"], "no secret");
    }
    bob.say("I see", "ASSISTANT").await;
    bob.words_until("I see").await;
    let mut eve = Guest::enter(&one, &helper("eve", "c"), "").await;
    eve.send(&json!({ "type": "history" })).await;
    let page = eve.hears("history").await;
    assert_eq!(words(&page), ["no secret", "I see"]);
    let page = one.get("/v1/rooms/c/messages").send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    let page: Value = page.json().await.unwrap();
    assert_eq!(words(&page), ["no secret", "I see"]);
    let open = "encode(content, 'escape') LIKE '%secret%'";
    let kept = format!("SELECT count(*), count(*) FILTER (WHERE {open}) FROM chat_messages");
    assert_eq!(database.psql("postgres", &kept).unwrap().trim(), "2|0");
}

#[tokio::test]
async fn who_comes_back_after_a_restart_gets_what_was_missed_out_of_postgres_alone() {
    let database = Server::shared().database(OWNER);
    let first = member(&database, None).await;
    let mut ann = Guest::enter(&first, &customer("ann", "c"), "").await;
    for words in ["one", "two", "three"] {
        ann.say(words, "USER").await;
    }
    let seen = ann.next().await["data"]["id"].as_str().unwrap().to_owned();
    ann.words_until("three").await;
    let (server, _folder) = first.into_server();
    let stopping = tokio::spawn(server.stop(PATIENCE));
    assert_eq!(ann.closed().await.0, 1001);
    drop(ann);
    stopping.await.unwrap();
    let second = member(&database, None).await;
    let since = format!("&since={seen}");
    let mut ann = Guest::enter(&second, &customer("ann", "c"), &since).await;
    assert_eq!(ann.words_until("three").await, ["two", "three"]);
    assert_eq!(ann.next().await["complete"], true);
}
