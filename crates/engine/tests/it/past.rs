//! Clients that go and come back: what was cut off says so, and the conversation goes on where it was.

use engine::ask::LlmMessage;
use engine::session::{OpenResponse, Past, Policy};
use serde_json::{Value, json};
use wire::realtime::item::ItemBody;
use wire::realtime::{Item, ServerEvent, SessionKind};

use crate::ladder;
use crate::tools::ask;
use crate::world::{Answer, World, policy};

/// The items of a world, as they are now.
fn items(world: &World) -> Vec<Item> {
    let mut ids = Vec::new();
    for (_, event) in &world.log {
        if let ServerEvent::ItemAdded { item, .. } = event {
            ids.push(item.id.clone());
        }
    }
    let items = ids.iter().filter_map(|id| world.session.item(id));
    items.cloned().collect()
}

fn past(world: &World, open: Vec<OpenResponse>) -> Past {
    let (conversation, turns) = world.session.so_far();
    Past {
        conversation_id: conversation.to_owned(),
        turns,
        items: items(world),
        open,
    }
}

fn events(world: &World, kind: &str) -> Vec<Value> {
    let of_kind = world.log.iter().filter(|(_, it)| it.type_name() == kind);
    of_kind
        .map(|(_, event)| serde_json::to_value(event).unwrap())
        .collect()
}

/// In the middle of an answer of many words.
fn answering() -> World {
    let mut world = World::new();
    let long = "One sentence was said. Another one will not be heard to its end, because the line is dead.";
    world.answers.push_back(Answer::Say(long));
    ask(&mut world, "tell me something long");
    world.pass(300);
    assert_eq!(world.count("response.created"), 1);
    assert_eq!(world.count("response.done"), 0);
    world
}

#[test]
fn an_answer_whose_listener_has_gone_ends_as_it_is() {
    let mut world = answering();
    world.part();
    let done = world.last("response.done");
    assert_eq!(done["response"]["status"], "incomplete");
    let details = &done["response"]["status_details"];
    assert_eq!(
        details,
        &json!({ "type": "incomplete", "reason": "connection_lost" })
    );
    let said = items(&world);
    let last = serde_json::to_value(&said[said.len() - 1]).unwrap();
    assert_eq!(last["status"], "incomplete");
    let transcript = last["content"][0]["transcript"].as_str().unwrap();
    assert!(transcript.starts_with("One sentence"), "{transcript}");
    ladder::check(&world);
    // nobody listens any more
    let before = world.log.len();
    ask(&mut world, "are you there?");
    world.settle();
    assert_eq!(
        (world.log.len(), world.session.next_deadline()),
        (before, None)
    );
}

#[test]
fn a_turn_that_nobody_waits_for_is_not_answered_by_parting() {
    let mut world = World::new();
    world.update(json!({"audio": {"input": {"turn_detection":
        {"type": "server_vad", "interrupt_response": false}}}}));
    world.answers.push_back(Answer::Endless);
    world.latency.token = 60;
    world.speak(800);
    world.silence(800);
    world.speak(500);
    world.silence(700);
    assert_eq!(world.count("input_audio_buffer.committed"), 2);
    assert_eq!(world.count("response.created"), 1);
    world.part();
    world.settle();
    assert_eq!(world.count("response.created"), 1);
    assert_eq!(world.count("response.done"), 1);
}

#[test]
fn a_conversation_goes_on_where_it_was() {
    let greeted = Policy {
        greeting: Some("Hello, this is Ann.".to_owned()),
        ..policy()
    };
    let mut first = World::with(SessionKind::Realtime, greeted.clone());
    first.pass(400);
    first.settle();
    first.answers.push_back(Answer::Say("Your name is Bo."));
    ask(&mut first, "I am Bo, what is my name?");
    first.settle();
    first.part();
    let past = past(&first, Vec::new());
    let known = past.items.clone();
    let mut second = World::going_on(SessionKind::Realtime, greeted, Some(past));
    assert_eq!(second.count("session.created"), 1);
    second.pass(1000);
    second.settle();
    assert_eq!(
        second.count("response.created"),
        0,
        "nobody is greeted twice"
    );
    second.answers.push_back(Answer::Say("Bo, as you said."));
    ask(&mut second, "and again?");
    second.settle();
    let request = second.asked.last().unwrap();
    let said = format!("{:?}", request.messages);
    for part in [
        "Hello, this is Ann.",
        "I am Bo",
        "Your name is Bo.",
        "and again?",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert!(matches!(
        request.messages.last(),
        Some(LlmMessage::User { .. })
    ));
    let created = second.last("response.created");
    assert_eq!(
        created["response"]["conversation_id"],
        first.last("response.created")["response"]["conversation_id"]
    );
    assert_eq!(second.session.so_far().1, first.session.so_far().1 + 1);
    // what was said before can be asked for, removed and written behind
    let old = &known[known.len() - 1].id;
    second.client(json!({"type": "conversation.item.retrieve", "item_id": old}));
    assert_eq!(
        second.last("conversation.item.retrieved")["item"]["id"],
        **old
    );
    let added = events(&second, "conversation.item.added");
    assert_eq!(added[0]["previous_item_id"], **old);
}

#[test]
fn what_a_dead_process_has_left_open_is_closed() {
    let first = answering();
    let created = first.last("response.created");
    let response = created["response"].clone();
    let open = |id: &Value, conversation_id: Option<String>| OpenResponse {
        id: id.as_str().unwrap().to_owned(),
        conversation_id,
        metadata: None,
    };
    let conversation = response["conversation_id"].as_str().map(str::to_owned);
    let beside = open(&json!("resp_beside"), None);
    let past = past(&first, vec![open(&response["id"], conversation), beside]);
    let calls_before = past.items.len();
    let second = World::going_on(SessionKind::Realtime, policy(), Some(past));
    let types: Vec<_> = second.log.iter().map(|(_, it)| it.type_name()).collect();
    assert_eq!(
        types,
        [
            "session.created",
            "conversation.item.done",
            "response.done",
            "response.done"
        ]
    );
    let item = &events(&second, "conversation.item.done")[0];
    assert_eq!(item["item"]["status"], "incomplete");
    assert!(item["previous_item_id"].is_string());
    let done = &events(&second, "response.done")[0]["response"];
    assert_eq!(
        (&done["id"], &done["status"]),
        (&response["id"], &json!("incomplete"))
    );
    assert_eq!(done["status_details"]["reason"], "connection_lost");
    assert_eq!(done["output"], json!([item["item"]]));
    let beside = &events(&second, "response.done")[1]["response"];
    assert_eq!(
        (&beside["id"], &beside["output"]),
        (&json!("resp_beside"), &json!([]))
    );
    assert_eq!(items_of(&second, &first), calls_before);
}

/// How many of the items of `first` are known to `second`, none of them still being written.
fn items_of(second: &World, first: &World) -> usize {
    let known = items(first);
    let known = known
        .iter()
        .filter_map(|item| second.session.item(&item.id));
    known
        .filter(|item| {
            let item = serde_json::to_value(item).unwrap();
            item["status"] != "in_progress"
        })
        .count()
}

#[test]
fn a_call_that_was_cut_off_is_not_run() {
    let mut world = World::new();
    world
        .answers
        .push_back(Answer::CutCall("book", "{\"day\":"));
    ask(&mut world, "book a table");
    world.pass(150);
    world.part();
    let said = items(&world);
    let call = said
        .iter()
        .find(|it| matches!(it.body, ItemBody::FunctionCall { .. }));
    if let Some(call) = call {
        let call = serde_json::to_value(call).unwrap();
        assert_eq!(call["status"], "incomplete");
    }
    assert_eq!(world.count("response.function_call_arguments.done"), 0);
    assert_eq!(
        world.last("response.done")["response"]["status"],
        "incomplete"
    );
}
