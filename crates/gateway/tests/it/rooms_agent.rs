//! An agent as a member of chat rooms: it answers until a person does, and again when the person lets it.

use serde_json::{Value, json};

use crate::room_guest::{Guest, customer, helper, with_rooms};
use crate::world::World;

/// A world in whose rooms the agent `ann` answers.
async fn world(instructions: &str) -> World {
    let world = World::start(|config| {
        with_rooms(config);
        config.chat.agent = Some("ann".to_owned());
    })
    .await;
    let ann = json!({ "name": "ann", "instructions": instructions });
    let made = world.post("/v1/agents", &ann).send().await.unwrap();
    assert_eq!(made.status(), 201);
    world
}

fn deltas(heard: &[Value]) -> String {
    let deltas = heard.iter().filter(|it| it["type"] == "message_delta");
    deltas
        .map(|it| it["data"]["delta"].as_str().unwrap())
        .collect()
}

/// Everything up to the next message of the agent.
async fn until_agent(guest: &mut Guest) -> Vec<Value> {
    let mut heard = Vec::new();
    loop {
        heard.push(guest.next().await);
        let last = heard.last().unwrap();
        if last["type"] == "message" && last["data"]["role"] == "agent" {
            return heard;
        }
    }
}

#[tokio::test]
async fn it_answers_a_customer_and_its_words_come_as_it_finds_them() {
    let world = world("say: I am Ann, a machine.").await;
    let mut guest = Guest::enter(&world, &customer("guest", "c"), "&events=message_delta").await;
    let mut plain = Guest::enter(&world, &customer("other", "c"), "").await;
    guest.say("hello", "USER").await;
    let heard = until_agent(&mut guest).await;
    let message = heard.last().unwrap();
    assert_eq!(message["data"]["content"], "I am Ann, a machine.");
    assert_eq!(message["data"]["sender"]["id"], "agent:ann");
    assert_eq!(deltas(&heard), "I am Ann, a machine.");
    let done = heard.iter().filter(|it| it["data"]["done"] == true).count();
    assert_eq!(done, 1);
    // who has not asked for them hears whole messages only
    assert_eq!(plain.words_until("I am Ann, a machine.").await.len(), 2);
    // a person of the team is not answered
    let mut bob = Guest::enter(&world, &helper("bob", "c"), "").await;
    bob.say("a note", "ASSISTANT").await;
    guest.say("and now?", "USER").await;
    let words = plain.words_until("I am Ann, a machine.").await;
    assert_eq!(words, ["a note", "and now?", "I am Ann, a machine."]);
}

#[tokio::test]
async fn it_is_silent_once_a_person_answers_until_it_may_again() {
    let world = world("say: I am Ann.").await;
    let mut guest = Guest::enter(&world, &customer("guest", "c"), "&events=handover").await;
    let mut bob = Guest::enter(&world, &helper("bob", "c"), "").await;
    bob.send(&json!({ "type": "agent_joined" })).await;
    let handover = guest.hears("handover").await;
    assert_eq!(handover["data"]["to"], "human");
    guest.say("anybody?", "USER").await;
    bob.say("me", "ASSISTANT").await;
    assert_eq!(guest.words_until("me").await, ["anybody?", "me"]);
    // customers do not bring the machine back
    guest.send(&json!({ "type": "release" })).await;
    assert_eq!(guest.next().await["error"], "Not allowed");
    bob.send(&json!({ "type": "release" })).await;
    assert_eq!(guest.hears("handover").await["data"]["to"], "agent");
    guest.say("and now?", "USER").await;
    assert_eq!(
        guest.words_until("I am Ann.").await,
        ["and now?", "I am Ann."]
    );
}

#[tokio::test]
async fn a_customer_may_ask_for_a_person_without_a_word_to_the_machine() {
    let world = world("say: I am Ann.").await;
    let mut guest = Guest::enter(&world, &customer("guest", "c"), "&events=handover").await;
    let mut bob = Guest::enter(&world, &helper("bob", "c"), "").await;
    guest
        .send(&json!({ "type": "hand_over", "reason": "it is urgent" }))
        .await;
    let told = guest.hears("handover").await;
    assert_eq!(
        (&told["data"]["to"], &told["data"]["reason"]),
        (&json!("human"), &json!("it is urgent"))
    );
    guest.say("anybody?", "USER").await;
    bob.say("me", "ASSISTANT").await;
    assert_eq!(guest.words_until("me").await, ["anybody?", "me"]);
}

#[tokio::test]
async fn it_hands_over_when_it_is_asked_for_a_person() {
    let world = world("say: I am Ann.").await;
    let mut guest = Guest::enter(&world, &customer("guest", "c"), "&events=handover").await;
    // the scripted model calls a function that is mentioned
    guest.say("please hand over to human", "USER").await;
    let handover = guest.hears("handover").await;
    assert_eq!(handover["data"]["to"], "human");
    guest.say("hello?", "USER").await;
    let mut bob = Guest::enter(&world, &helper("bob", "c"), "").await;
    bob.say("here I am", "ASSISTANT").await;
    assert_eq!(
        guest.words_until("here I am").await,
        ["hello?", "here I am"]
    );
}
