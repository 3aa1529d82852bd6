//! Chat rooms beyond the original: acknowledgements, history, replay, presence, receipts, edits, an inbox, an agent.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::room_guest::{Guest, customer, helper, token, with_rooms};
use crate::world::World;

async fn world() -> World {
    World::start(with_rooms).await
}

/// A world whose database is in `folder`, which outlives it.
async fn in_folder(folder: &TempDir) -> World {
    World::start(|config| {
        with_rooms(config);
        config.server.data_dir = Some(folder.path().display().to_string());
    })
    .await
}

fn said(id: &str, words: &str) -> Value {
    json!({ "type": "message", "content": words, "role": "USER", "clientId": id })
}

#[tokio::test]
async fn a_message_with_an_id_of_the_senders_is_acknowledged_and_said_once() {
    let world = world().await;
    let mut ann = Guest::enter(&world, &customer("ann", "c"), "").await;
    let mut bob = Guest::enter(&world, &helper("bob", "c"), "").await;
    ann.send(&said("one", "hello")).await;
    let heard = ann.until("ack").await;
    let [message, ack] = &heard[..] else {
        panic!("{heard:?}");
    };
    assert_eq!(ack["data"]["clientId"], "one");
    assert_eq!(ack["data"]["id"], message["data"]["id"]);
    assert_eq!(ack["data"]["delivery"], "all");
    // not sure that it arrived, the client comes back and sends it again
    ann.leave().await;
    let mut ann = Guest::enter(&world, &customer("ann", "c"), "").await;
    ann.send(&said("one", "hello")).await;
    let again = ann.next().await;
    assert_eq!(
        (&again["type"], &again["data"]["id"]),
        (&json!("ack"), &ack["data"]["id"])
    );
    ann.send(&said("two", "bye")).await;
    assert_eq!(bob.words_until("bye").await, ["hello", "bye"]);
}

#[tokio::test]
async fn who_comes_back_gets_what_they_missed_also_from_a_new_server() {
    let folder = tempfile::tempdir().unwrap();
    let world = in_folder(&folder).await;
    let mut ann = Guest::enter(&world, &customer("ann", "c"), "").await;
    let mut bob = Guest::enter(&world, &helper("bob", "c"), "").await;
    ann.say("seen", "USER").await;
    let seen = ann.next().await["data"]["id"].as_str().unwrap().to_owned();
    ann.leave().await;
    for words in ["missed one", "missed two"] {
        bob.say(words, "ASSISTANT").await;
    }
    bob.words_until("missed two").await;
    let since = format!("&since={seen}");
    let mut ann = Guest::enter(&world, &customer("ann", "c"), &since).await;
    let replay = ann.until("replayed").await;
    let words: Vec<&Value> = replay.iter().map(|it| &it["data"]["content"]).collect();
    assert_eq!(words[..2], ["missed one", "missed two"]);
    assert_eq!(
        replay[2],
        json!({ "type": "replayed", "count": 2, "complete": true })
    );
    bob.say("live", "ASSISTANT").await;
    assert_eq!(ann.next().await["data"]["content"], "live");
    // a restart in the middle
    drop((ann, bob));
    let (server, _folder) = world.into_server();
    server.stop(crate::world::PATIENCE).await;
    let world = in_folder(&folder).await;
    let mut ann = Guest::enter(&world, &customer("ann", "c"), &since).await;
    let words = ann.words_until("live").await;
    assert_eq!(words, ["missed one", "missed two", "live"]);
    assert_eq!(
        ann.next().await,
        json!({ "type": "replayed", "count": 3, "complete": true })
    );
    // nobody knows this one: what there is comes, and that it may not be all
    let mut eve = Guest::enter(&world, &customer("eve", "c"), "&since=nothing").await;
    assert_eq!(
        eve.next().await,
        json!({ "type": "replayed", "count": 0, "complete": false })
    );
}

#[tokio::test]
async fn history_is_read_page_by_page() {
    let world = world().await;
    let mut ann = Guest::enter(&world, &customer("ann", "c"), "").await;
    for number in 0..5 {
        ann.say(&number.to_string(), "USER").await;
    }
    ann.words_until("4").await;
    ann.send(&json!({ "type": "history", "limit": 2 })).await;
    let newest = ann.next().await;
    let words = |page: &Value| -> Vec<String> {
        let messages = page["messages"].as_array().unwrap().iter();
        messages
            .map(|it| it["content"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        (words(&newest), &newest["more"]),
        (vec!["3".into(), "4".into()], &json!(true))
    );
    let before = newest["messages"][0]["id"].clone();
    ann.send(&json!({ "type": "history", "before": before, "limit": 10 }))
        .await;
    let older = ann.next().await;
    assert_eq!(words(&older), ["0", "1", "2"]);
    assert_eq!(older["more"], false);
}

#[tokio::test]
async fn those_who_ask_are_told_who_is_here_and_how_far_they_have_read() {
    let world = world().await;
    let mut bob = Guest::enter(&world, &helper("bob", "c"), "&events=presence,read").await;
    assert_eq!(bob.next().await["data"]["users"], json!(["bob"]));
    let mut ann = Guest::enter(&world, &customer("ann", "c"), "").await;
    assert_eq!(bob.next().await["data"]["users"], json!(["ann", "bob"]));
    bob.say("read this", "ASSISTANT").await;
    let id = ann.next().await["data"]["id"].clone();
    bob.next().await;
    ann.send(&json!({ "type": "read", "id": id })).await;
    let read = bob.next().await;
    assert_eq!(read["type"], "read");
    assert_eq!(
        (&read["data"]["userId"], &read["data"]["id"]),
        (&json!("ann"), &id)
    );
    // twice is no news, and neither is a message that nobody has sent
    ann.send(&json!({ "type": "read", "id": id })).await;
    ann.send(&json!({ "type": "read", "id": "nothing" })).await;
    ann.say("thanks", "USER").await;
    assert_eq!(bob.next().await["data"]["content"], "thanks");
    // who has not asked hears none of it
    assert_eq!(ann.next().await["data"]["content"], "thanks");
    ann.leave().await;
    assert_eq!(bob.next().await["data"]["users"], json!(["bob"]));
    let mut eve = Guest::enter(&world, &customer("eve", "d"), "&events=weather").await;
    assert!(
        eve.next().await["message"]
            .as_str()
            .unwrap()
            .contains("weather")
    );
}

#[tokio::test]
async fn ones_own_words_can_be_changed() {
    let world = world().await;
    let mut ann = Guest::enter(&world, &customer("ann", "c"), "").await;
    let mut bob = Guest::enter(&world, &helper("bob", "c"), "").await;
    ann.say("hallo", "USER").await;
    let id = ann.next().await["data"]["id"].clone();
    bob.next().await;
    bob.send(&json!({ "type": "edit", "id": id, "content": "not mine" }))
        .await;
    assert_eq!(bob.next().await["error"], "Failed to send message");
    ann.send(&json!({ "type": "edit", "id": id, "content": "hello" }))
        .await;
    for guest in [&mut ann, &mut bob] {
        let updated = guest.next().await;
        assert_eq!(updated["type"], "message_updated");
        let data = &updated["data"];
        assert_eq!((&data["id"], &data["content"]), (&id, &json!("hello")));
        assert!(data["updatedAt"].is_string());
    }
}

#[tokio::test]
async fn one_socket_follows_many_rooms() {
    let world = world().await;
    let mut claims = helper("bob", "c1");
    claims["chats"] = json!(["c2"]);
    let mut bob = Guest::enter(&world, &claims, "").await;
    let mut ann = Guest::enter(&world, &customer("ann", "c2"), "").await;
    let mut eve = Guest::enter(&world, &customer("eve", "c3"), "").await;
    bob.send(&json!({ "type": "message", "content": "x", "role": "ASSISTANT", "chatId": "c2" }))
        .await;
    assert_eq!(bob.next().await["error"], "Not in this chat");
    bob.send(&json!({ "type": "follow", "chatId": "c2" })).await;
    assert_eq!(bob.next().await["type"], "following");
    bob.send(&json!({ "type": "follow", "chatId": "c3" })).await;
    assert_eq!(bob.next().await["error"], "Cannot follow this chat");
    let other = token(&helper("bob", "c3"));
    bob.send(&json!({ "type": "follow", "token": other })).await;
    assert_eq!(bob.next().await["chatId"], "c3");
    ann.say("from two", "USER").await;
    let heard = bob.next().await;
    assert_eq!(
        (&heard["type"], &heard["chatId"]),
        (&json!("room"), &json!("c2"))
    );
    assert_eq!(heard["event"]["data"]["content"], "from two");
    ann.next().await;
    bob.send(
        &json!({ "type": "message", "content": "to three", "role": "ASSISTANT", "chatId": "c3" }),
    )
    .await;
    assert_eq!(eve.next().await["data"]["content"], "to three");
    assert_eq!(bob.next().await["chatId"], "c3");
    bob.send(&json!({ "type": "unfollow", "chatId": "c2" }))
        .await;
    assert_eq!(bob.next().await["following"], false);
    ann.say("unheard", "USER").await;
    ann.next().await;
    bob.say("own", "ASSISTANT").await;
    assert_eq!(bob.next().await["data"]["content"], "own");
}
