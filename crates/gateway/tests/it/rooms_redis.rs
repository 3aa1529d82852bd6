//! Chat rooms on two servers over one Redis, beside servers of the original: once, in order, and through outages.

use futures_util::StreamExt as _;
use gateway::config::Secret;
use serde_json::{Value, json};

use crate::eclipse::{self, Eclipse};
use crate::redis_servers::{Servers, address, ask, until};
use crate::room_guest::{Guest, customer, helper, with_rooms};
use crate::world::{PATIENCE, World};

async fn gateway(servers: &Servers) -> World {
    World::start(|config| {
        with_rooms(config);
        config.redis.url = Some(Secret::new(servers.url.as_str()));
        config.chat.messages_per_minute = 0;
    })
    .await
}

async fn publish(servers: &Servers, room: &str, payload: &str) {
    let channel = format!("chat:{room}");
    let heard = ask::<u64>(servers.nodes[0].port, &["PUBLISH", &channel, payload]).await;
    assert!(heard.unwrap() > 0, "nobody listens on {channel}");
}

async fn two(servers: &Servers) -> (World, World) {
    (gateway(servers).await, gateway(servers).await)
}

#[tokio::test]
async fn two_servers_tell_everybody_the_same_once_and_in_one_order() {
    const EACH: usize = 25;
    let servers = Servers::single().await;
    let (one, other) = two(&servers).await;
    let mut guests = Vec::new();
    for (number, world) in [&one, &other, &one, &other].into_iter().enumerate() {
        guests.push(Guest::enter(world, &helper(&format!("u{number}"), "c"), "").await);
    }
    let talking = guests.into_iter().enumerate().map(|(number, mut guest)| {
        tokio::spawn(async move {
            for count in 0..EACH {
                guest.say(&format!("{number}.{count}"), "ASSISTANT").await;
            }
            let mut heard = Vec::new();
            while heard.len() < 4 * EACH {
                let message = guest.next().await;
                assert_eq!(message["type"], "message");
                heard.push(message["data"]["content"].as_str().unwrap().to_owned());
            }
            (guest, heard)
        })
    });
    let mut all = Vec::new();
    for guest in talking.collect::<Vec<_>>() {
        all.push(guest.await.unwrap());
    }
    let (_, first) = &all[0];
    for (_, heard) in &all {
        assert_eq!(heard, first, "everybody hears the same order");
    }
    for number in 0..4 {
        let own = format!("{number}.");
        let of_one: Vec<&String> = first.iter().filter(|it| it.starts_with(&own)).collect();
        let expected: Vec<String> = (0..EACH).map(|count| format!("{own}{count}")).collect();
        assert_eq!(of_one, expected.iter().collect::<Vec<_>>());
    }
    // and nothing more comes
    for (mut guest, _) in all {
        guest.send(&json!({ "type": "ping" })).await;
        assert_eq!(guest.next().await["type"], "pong");
    }
}

#[tokio::test]
async fn servers_of_the_original_and_the_web_application_are_heard_and_understood() {
    let servers = Servers::single().await;
    let (one, other) = two(&servers).await;
    let mut ann = Guest::enter(&one, &customer("ann", "c"), "").await;
    let mut bob = Guest::enter(&other, &helper("bob", "c"), "").await;
    // three times, as the original does
    let message = r#"{"type":"message","data":{"id":"m1","content":"hi","role":"user","timestamp":"T","sender":{"id":"x"}},"timestamp":"T"}"#;
    for _ in 0..3 {
        publish(&servers, "c", message).await;
    }
    let updated = r#"{"type":"message_updated","data":{"id":"m1","content":"hello","role":"assistant","timestamp":"T","sender":{"id":"x"},"updatedAt":"U"},"timestamp":"T"}"#;
    publish(&servers, "c", updated).await;
    publish(&servers, "c", "no json {").await;
    publish(&servers, "c", r#"{ "type": "ticket_created", "data": 7 }"#).await;
    publish(&servers, "c", "[1,2]").await;
    for guest in [&mut ann, &mut bob] {
        assert_eq!(
            guest.next().await,
            serde_json::from_str::<Value>(message).unwrap()
        );
        assert_eq!(
            guest.next().await,
            serde_json::from_str::<Value>(updated).unwrap()
        );
        assert_eq!(
            guest.next().await,
            json!({ "type": "ticket_created", "data": 7 })
        );
        assert_eq!(guest.next().await, json!([1, 2]));
    }
    // what we publish is what the original's servers pass on
    let client = redis::Client::open(format!("redis://{}:{}", address(), servers.nodes[0].port));
    let mut listener = client.unwrap().get_async_pubsub().await.unwrap();
    listener.subscribe("chat:c").await.unwrap();
    ann.say("from us", "USER").await;
    let heard = listener.on_message().next().await.unwrap();
    let payload: Value = serde_json::from_str(&heard.get_payload::<String>().unwrap()).unwrap();
    let told = ann.next().await;
    assert_eq!(
        (&payload["type"], &payload["data"]),
        (&told["type"], &told["data"])
    );
    assert_eq!(payload["timestamp"], told["timestamp"]);
    assert!(
        told.get("antiphon").is_none(),
        "the mark is not shown to our clients"
    );
    // who comes back has what others have said as well
    let mut eve = Guest::enter(&other, &customer("eve", "c"), "&since=m1").await;
    let replay = eve.until("replayed").await;
    let kinds: Vec<&str> = replay
        .iter()
        .map(|it| it["type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["message_updated", "message", "replayed"]);
}

#[tokio::test]
async fn typing_is_not_told_to_who_types_also_over_redis() {
    let servers = Servers::single().await;
    let (one, other) = two(&servers).await;
    let mut ann = Guest::enter(&one, &customer("ann", "c"), "").await;
    let mut bob = Guest::enter(&other, &helper("bob", "c"), "&events=presence").await;
    ann.send(&json!({ "type": "typing", "isTyping": true }))
        .await;
    let typing = bob.hears("typing").await;
    assert_eq!(typing["data"], json!({ "userId": "ann", "isTyping": true }));
    // her server may be gone: his forgets it by itself
    other
        .app()
        .clock
        .advance(std::time::Duration::from_secs(11));
    assert_eq!(bob.hears("typing").await["data"]["isTyping"], false);
    ann.say("done", "USER").await;
    assert_eq!(ann.next().await["type"], "message");
    // and he is told who is here, wherever they are
    loop {
        let mut eve = Guest::enter(&one, &customer("eve", "c"), "&events=presence").await;
        let users = eve.hears("presence").await["data"]["users"].clone();
        if users == json!(["ann", "bob", "eve"]) {
            break;
        }
    }
}

#[tokio::test]
async fn while_redis_is_away_a_message_is_told_here_and_elsewhere_later_once() {
    let mut servers = Servers::single().await;
    let (one, other) = two(&servers).await;
    let mut ann = Guest::enter(&one, &customer("ann", "c"), "").await;
    let mut near = Guest::enter(&one, &helper("near", "c"), "").await;
    let mut far = Guest::enter(&other, &helper("far", "c"), "").await;
    ann.say("before", "USER").await;
    for guest in [&mut ann, &mut near, &mut far] {
        assert_eq!(guest.next().await["data"]["content"], "before");
    }
    servers.nodes[0].kill();
    for words in ["one", "two"] {
        let message =
            json!({ "type": "message", "content": words, "role": "USER", "clientId": words });
        ann.send(&message).await;
        let heard = ann.until("ack").await;
        assert_eq!(heard[0]["data"]["content"], words);
        assert_eq!(heard[1]["data"]["delivery"], "local");
        assert_eq!(near.next().await["data"]["content"], words);
    }
    // who comes now is let in
    let mut late = Guest::enter(&one, &helper("late", "c"), "").await;
    servers.nodes[0].restart().await;
    assert_eq!(far.words_until("two").await, ["one", "two"]);
    until("the first server hears again", || async {
        ask::<u64>(
            servers.nodes[0].port,
            &["PUBLISH", "chat:c", r#"{"type":"probe"}"#],
        )
        .await
            == Some(2)
    })
    .await;
    ann.say("after", "USER").await;
    for guest in [&mut ann, &mut near, &mut far] {
        assert_eq!(
            guest.words_until("after").await,
            ["after"],
            "nothing is told twice"
        );
    }
    assert_eq!(late.words_until("after").await.last().unwrap(), "after");
    let response = one.get("/chat/health").send().await.unwrap();
    let health: Value = response.json().await.unwrap();
    assert_eq!(health["status"], "healthy");
}

#[tokio::test]
async fn who_comes_while_redis_is_away_hears_what_is_told_elsewhere_meanwhile() {
    let mut servers = Servers::single().await;
    let (one, other) = two(&servers).await;
    let mut bob = Guest::enter(&other, &helper("bob", "c"), "").await;
    servers.nodes[0].kill();
    let mut ann = Guest::enter(&one, &customer("ann", "c"), "").await;
    for words in ["one", "two"] {
        bob.say(words, "ASSISTANT").await;
    }
    assert_eq!(bob.words_until("two").await, ["one", "two"]);
    servers.nodes[0].restart().await;
    assert_eq!(ann.words_until("two").await, ["one", "two"]);
    bob.say("three", "ASSISTANT").await;
    assert_eq!(ann.words_until("three").await, ["three"]);
}

#[tokio::test]
async fn the_agent_answers_on_one_server_at_a_time() {
    const ROUNDS: usize = 4;
    let servers = Servers::single().await;
    let start = async || {
        let world = World::start(|config| {
            with_rooms(config);
            config.redis.url = Some(Secret::new(servers.url.as_str()));
            config.chat.messages_per_minute = 0;
            // what was said is known to both
            config.chat.keep = false;
            config.chat.agent = Some("ann".to_owned());
        })
        .await;
        let words = "one two three four five six seven eight nine ten eleven twelve";
        let ann = json!({ "name": "ann", "instructions": format!("say: {words}.") });
        let made = world.post("/v1/agents", &ann).send().await.unwrap();
        assert_eq!(made.status(), 201);
        world
    };
    let (one, other) = (start().await, start().await);
    let more = "&events=message_delta";
    let mut here = Guest::enter(&one, &customer("here", "c"), more).await;
    let mut there = Guest::enter(&other, &customer("there", "c"), "").await;
    for _ in 0..ROUNDS {
        let ((), ()) = tokio::join!(here.say("well?", "USER"), there.say("well?", "USER"));
        // the pieces of an answer stand together
        let mut running: Option<Value> = None;
        let mut asked = 0;
        loop {
            let heard = here.next().await;
            match heard["type"].as_str().unwrap() {
                "message_delta" => {
                    let id = heard["data"]["id"].clone();
                    let of = running.get_or_insert(id.clone());
                    assert_eq!(*of, id, "two answers at once");
                    if heard["data"]["done"] == true {
                        running = None;
                    }
                }
                "message" if heard["data"]["role"] == "user" => asked += 1,
                "message" if asked == 2 => break,
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_restarts_costs_nobody_a_message() {
    let servers = Servers::single().await;
    let (one, other) = two(&servers).await;
    let mut ann = Guest::enter(&one, &customer("ann", "c"), "").await;
    let mut bob = Guest::enter(&other, &helper("bob", "c"), "").await;
    bob.say("first", "ASSISTANT").await;
    let seen = ann.next().await["data"]["id"].as_str().unwrap().to_owned();
    let (server, _folder) = one.into_server();
    let stopping = tokio::spawn(server.stop(PATIENCE));
    assert_eq!(ann.closed().await.0, 1001);
    for words in ["second", "third"] {
        bob.say(words, "ASSISTANT").await;
    }
    bob.words_until("third").await;
    drop(ann);
    stopping.await.unwrap();
    let again = gateway(&servers).await;
    let since = format!("&since={seen}");
    let mut ann = Guest::enter(&again, &customer("ann", "c"), &since).await;
    assert_eq!(ann.words_until("third").await, ["second", "third"]);
    assert_eq!(ann.next().await["complete"], true);
    bob.say("fourth", "ASSISTANT").await;
    assert_eq!(ann.words_until("fourth").await, ["fourth"]);
}

#[tokio::test]
async fn what_the_application_publishes_itself_is_told_once() {
    let servers = Servers::single().await;
    let eclipse = Eclipse::start(&["c"], Some(servers.nodes[0].port)).await;
    let start = async || {
        World::start(|config| {
            with_rooms(config);
            config.redis.url = Some(Secret::new(servers.url.as_str()));
            config.chat.backend_url = Some(eclipse.url.clone());
            config.chat.backend_secret = Some(Secret::new(eclipse::SECRET));
        })
        .await
    };
    let (one, other) = (start().await, start().await);
    let mut ann = Guest::enter(&one, &customer("ann", "c"), "").await;
    let mut bob = Guest::enter(&other, &helper("helper-1", "c"), "").await;
    for words in ["one", "two", "three"] {
        ann.say(words, "USER").await;
    }
    for guest in [&mut ann, &mut bob] {
        assert_eq!(guest.words_until("three").await, ["one", "two", "three"]);
        guest.send(&json!({ "type": "ping" })).await;
        assert_eq!(guest.next().await["type"], "pong");
    }
    assert_eq!(eclipse.words("c"), ["one", "two", "three"]);
}
