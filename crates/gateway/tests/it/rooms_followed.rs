//! Rooms that one socket follows beside its own: who it is there, what it missed there, and for how long.

use serde_json::{Value, json};

use crate::room_guest::{Guest, customer, helper, token, with_rooms};
use crate::world::World;

fn said_in(room: &str, role: &str) -> Value {
    json!({ "type": "message", "content": "it is me", "role": role, "chatId": room })
}

async fn follow(guest: &mut Guest, claims: &Value) -> Value {
    guest
        .send(&json!({ "type": "follow", "token": token(claims) }))
        .await;
    guest.next().await
}

#[tokio::test]
async fn in_a_followed_room_one_is_who_its_token_says() {
    let world = World::start(with_rooms).await;
    let mut bob = Guest::enter(&world, &helper("bob", "c1"), "").await;
    let mut ann = Guest::enter(&world, &customer("ann", "c2"), "").await;
    // of the team in one room, a customer in the other
    let other = follow(&mut bob, &customer("bob", "c2")).await;
    assert_eq!(other["chatId"], "c2", "{other}");
    for refused in [
        said_in("c2", "ASSISTANT"),
        json!({ "type": "agent_joined", "chatId": "c2" }),
        json!({ "type": "release", "chatId": "c2" }),
    ] {
        bob.send(&refused).await;
        let answer = bob.next().await;
        assert_eq!(answer["type"], "error", "{refused} {answer}");
    }
    bob.send(&said_in("c2", "USER")).await;
    let heard = ann.next().await;
    assert_eq!(heard["data"]["role"], "user");
    assert_eq!(bob.hears("room").await["chatId"], "c2");
    // and the other way round
    let mut eve = Guest::enter(&world, &customer("eve", "c3"), "").await;
    let own = follow(&mut eve, &helper("eve", "c2")).await;
    assert_eq!(own["chatId"], "c2", "{own}");
    eve.send(&said_in("c2", "ASSISTANT")).await;
    assert_eq!(ann.next().await["data"]["role"], "assistant");
    eve.hears("room").await;
    eve.send(&said_in("c3", "ASSISTANT")).await;
    assert_eq!(eve.next().await["type"], "error");
}

#[tokio::test]
async fn a_token_of_somebody_else_opens_no_room() {
    let world = World::start(with_rooms).await;
    let mut ann = Guest::enter(&world, &customer("ann", "c1"), "").await;
    let refused = follow(&mut ann, &helper("bob", "c2")).await;
    assert_eq!(refused["error"], "Cannot follow this chat");
    assert_eq!(refused["message"], "the token is for another user");
}

#[tokio::test]
async fn a_room_is_left_when_the_token_that_opened_it_ends() {
    let world = World::start(with_rooms).await;
    let mut bob = Guest::enter(&world, &helper("bob", "c1"), "").await;
    let mut claims = helper("bob", "c2");
    claims["exp"] = json!(world.app().clock.unix_s() - 58);
    assert_eq!(follow(&mut bob, &claims).await["following"], true);
    let left = bob.next().await;
    assert_eq!(
        (&left["chatId"], &left["following"]),
        (&json!("c2"), &json!(false))
    );
    bob.send(&said_in("c2", "ASSISTANT")).await;
    assert_eq!(bob.next().await["error"], "Not in this chat");
    // its own room stays
    bob.say("still here", "ASSISTANT").await;
    assert_eq!(bob.next().await["data"]["content"], "still here");
}

#[tokio::test]
async fn all_that_was_missed_in_a_followed_room_comes_in_order_however_short_the_queue() {
    const MISSED: usize = 40;
    let world = World::start(|config| {
        with_rooms(config);
        config.chat.send_queue_messages = 4;
    })
    .await;
    let mut ann = Guest::enter(&world, &customer("ann", "c2"), "").await;
    ann.say("seen", "USER").await;
    let seen = ann.next().await["data"]["id"].clone();
    for number in 0..MISSED {
        ann.say(&number.to_string(), "USER").await;
        ann.next().await;
    }
    let mut bob = Guest::enter(&world, &helper("bob", "c1"), "").await;
    let other = token(&helper("bob", "c2"));
    bob.send(&json!({ "type": "follow", "token": other, "since": seen }))
        .await;
    assert_eq!(bob.next().await["type"], "following");
    for number in 0..MISSED {
        let heard = bob.next().await;
        assert_eq!(heard["chatId"], "c2");
        assert_eq!(
            heard["event"]["data"]["content"],
            number.to_string(),
            "{heard}"
        );
    }
    let replayed = bob.next().await;
    assert_eq!(
        replayed["event"],
        json!({ "type": "replayed", "count": MISSED, "complete": true })
    );
    ann.say("live", "USER").await;
    assert_eq!(bob.next().await["event"]["data"]["content"], "live");
}
