//! The client edits the conversation and the session.

use engine::session::Policy;
use serde_json::{Value, json};
use wire::realtime::SessionKind;
use wire::realtime::client::ClientAction;

use crate::ladder;
use crate::world::{Answer, World};

fn create(world: &mut World, id: &str, previous: Value) {
    world.client(
        json!({"type": "conversation.item.create", "previous_item_id": previous,
        "event_id": "evt", "item": {"id": id, "type": "message", "role": "user",
        "content": [{"type": "input_text", "text": id}]}}),
    );
}

#[test]
fn items_go_where_they_are_told() {
    let mut world = World::new();
    create(&mut world, "a", Value::Null);
    create(&mut world, "b", Value::Null);
    create(&mut world, "root", json!("root"));
    create(&mut world, "middle", json!("a"));
    ladder::check(&world);
    assert_eq!(
        world.last("conversation.item.done")["previous_item_id"],
        "a"
    );
    create(&mut world, "lost", json!("nowhere"));
    assert_eq!(
        world.last_error()["code"],
        "item_create_invalid_previous_item_id"
    );
    create(&mut world, "a", Value::Null);
    let error = world.last_error();
    assert_eq!(error["code"], "item_create_duplicate_item_id");
    assert_eq!(
        error["message"],
        "Error adding item: an item with id 'a' already exists."
    );
    assert_eq!(error["event_id"], "evt");
    world.client(json!({"type": "response.create"}));
    let order = format!("{:?}", world.asked[0].messages);
    let at = |word: &str| order.find(&format!("\"{word}\"")).unwrap();
    assert!(at("root") < at("a") && at("a") < at("middle") && at("middle") < at("b"));
}

#[test]
fn items_are_retrieved_with_their_audio_and_deleted_once() {
    let mut world = World::new();
    world.speak(800);
    world.silence(1000);
    world.settle();
    let id = world.last("input_audio_buffer.committed")["item_id"].clone();
    world.client(json!({"type": "conversation.item.retrieve", "item_id": id}));
    let part = world.last("conversation.item.retrieved")["item"]["content"][0].clone();
    assert_eq!(part["transcript"], "hello there.");
    let bytes = part["audio"].as_str().unwrap().len() * 3 / 4;
    assert!(bytes > 800 * 48, "the whole utterance, got {bytes} bytes");
    world.client(json!({"type": "conversation.item.delete", "item_id": id}));
    assert_eq!(world.count("conversation.item.deleted"), 1);
    world.action(ClientAction::ItemDelete {
        item_id: id.as_str().unwrap().to_owned(),
    });
    assert_eq!(world.last_error()["code"], "item_delete_invalid_item_id");
    world.action(ClientAction::ItemRetrieve {
        item_id: "nope".to_owned(),
    });
    assert_eq!(world.last_error()["code"], "item_retrieve_invalid_item_id");
    assert_eq!(
        world.last_error()["message"],
        "Error retrieving item: the item with id 'nope' does not exist."
    );
}

fn reply(world: &mut World) -> String {
    world.client(json!({"type": "response.create"}));
    world.settle();
    world.last("response.done")["response"]["output"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn truncate(world: &mut World, id: &str, ms: u64) {
    world.client(
        json!({"type": "conversation.item.truncate", "item_id": id, "content_index": 0,
        "audio_end_ms": ms}),
    );
}

#[test]
fn truncation_removes_audio_and_words_after_the_mark() {
    let mut world = World::new();
    world.answers.push_back(Answer::Say(
        "The first sentence of the answer is this one. The second sentence nobody will hear.",
    ));
    let id = reply(&mut world);
    truncate(&mut world, &id, 900);
    assert_eq!(
        world.last("conversation.item.truncated")["audio_end_ms"],
        900
    );
    world.client(json!({"type": "conversation.item.retrieve", "item_id": id}));
    let part = world.last("conversation.item.retrieved")["item"]["content"][0].clone();
    let said = part["transcript"].as_str().unwrap();
    assert!(
        "The first sentence of the answer is this one. ".starts_with(said),
        "{said}"
    );
    assert_eq!(part["audio"].as_str().unwrap().len() * 3 / 4, 900 * 48);
    truncate(&mut world, &id, 500);
    assert_eq!(world.last_error()["code"], "item_already_truncated");
    world.client(json!({"type": "response.create"}));
    assert!(!format!("{:?}", world.asked[1].messages).contains("nobody"));
}

#[test]
fn truncation_of_what_cannot_be_truncated_changes_nothing() {
    let mut world = World::new();
    let id = reply(&mut world);
    truncate(&mut world, &id, 100_000);
    let error = world.last_error();
    assert_eq!(error["code"], Value::Null);
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .ends_with("is already shorter than 100000ms")
    );
    create(&mut world, "mine", Value::Null);
    truncate(&mut world, "mine", 0);
    assert_eq!(world.last_error()["code"], "unsupported_content_type");
    truncate(&mut world, "nope", 0);
    assert_eq!(world.last_error()["code"], "item_truncate_invalid_item_id");
    assert_eq!(world.count("conversation.item.truncated"), 0);
}

#[test]
fn truncation_and_deletion_while_the_reply_is_still_running() {
    for delete in [false, true] {
        let mut world = World::new();
        world.answers.push_back(Answer::Endless);
        world.client(json!({"type": "response.create"}));
        world.pass(300);
        let id = world.last("response.output_item.added")["item"]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        if delete {
            world.client(json!({"type": "conversation.item.delete", "item_id": id}));
        } else {
            truncate(&mut world, &id, 200);
            assert_eq!(world.count("conversation.item.truncated"), 1);
        }
        world.settle();
        ladder::check(&world);
        assert_eq!(
            world.last("response.done")["response"]["status"],
            "completed"
        );
        world.client(json!({"type": "response.create"}));
        let context = format!("{:?}", world.asked[1].messages);
        assert!(!context.contains("Six more"), "{context}");
    }
}

#[test]
fn an_update_changes_only_what_it_names_and_echoes_all() {
    let mut world = World::new();
    let before = world.last("session.created")["session"].clone();
    world.update(json!({"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}));
    let after = world.last("session.updated")["session"].clone();
    assert_eq!(
        after["audio"]["input"]["turn_detection"],
        json!({"type": "semantic_vad", "eagerness": "auto", "create_response": true,
            "interrupt_response": true})
    );
    let mut expected = before;
    expected["audio"]["input"]["turn_detection"] =
        after["audio"]["input"]["turn_detection"].clone();
    assert_eq!(after, expected);
    world.update(
        json!({"audio": {"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}}}),
    );
    assert_eq!(
        world.last("session.updated")["session"]["audio"]["input"]["transcription"],
        json!({"model": "gpt-4o-mini-transcribe"}),
        "only the keys that were set"
    );
}

#[test]
fn the_voice_is_fixed_once_the_assistant_has_spoken() {
    let mut world = World::new();
    world.update(json!({"audio": {"output": {"voice": "marin"}}}));
    reply(&mut world);
    world.client(
        json!({"type": "session.update", "event_id": "v", "session": {"type": "realtime",
        "instructions": "changed", "audio": {"output": {"voice": "ash"}}}}),
    );
    let error = world.last_error();
    assert_eq!(
        (&error["code"], &error["event_id"]),
        (&json!("cannot_update_voice"), &json!("v"))
    );
    world.update(json!({"audio": {"output": {"voice": "marin"}}}));
    assert_eq!(
        world.last("session.updated")["session"]["instructions"],
        "Be brief."
    );
}

#[test]
fn a_voice_that_nobody_has_is_refused_with_those_there_are() {
    let mut world = World::with(
        SessionKind::Realtime,
        Policy {
            voices: Some(["joe".to_owned(), "alloy".to_owned()].into()),
            ..Policy::default()
        },
    );
    world.client(
        json!({"type": "session.update", "event_id": "v", "session": {"type": "realtime",
        "instructions": "changed", "audio": {"output": {"voice": "jo"}}}}),
    );
    let error = world.last_error();
    assert_eq!(
        (&error["code"], &error["param"], &error["event_id"]),
        (
            &json!("invalid_value"),
            &json!("session.audio.output.voice"),
            &json!("v")
        )
    );
    let told = error["message"].as_str().unwrap();
    assert!(told.contains("there are joe, alloy"), "{told}");

    world.client(
        json!({"type": "response.create", "response": {"audio": {"output": {"voice": "jo"}}}}),
    );
    assert_eq!(world.last_error()["param"], "response.audio.output.voice");

    world.update(json!({"audio": {"output": {"voice": "joe"}}}));
    let session = &world.last("session.updated")["session"];
    assert_eq!(session["audio"]["output"]["voice"], "joe");
    assert_ne!(
        session["instructions"], "changed",
        "a refused update changes nothing"
    );
}

#[test]
fn audio_in_an_item_is_transcribed_for_the_model() {
    let mut world = World::new();
    world.transcripts.push_back(Ok("spoken in an item"));
    let audio = serde_json::to_value(wire::realtime::AudioBytes(world.tone(600, 9000.0))).unwrap();
    world.client(
        json!({"type": "conversation.item.create", "item": {"type": "message",
        "role": "user", "content": [{"type": "input_audio", "audio": audio}]}}),
    );
    assert!(
        world.last("conversation.item.added")["item"]["content"][0]
            .get("audio")
            .is_none()
    );
    world.client(json!({"type": "response.create"}));
    world.settle();
    assert!(format!("{:?}", world.asked[0].messages).contains("spoken in an item"));
}

#[test]
fn g711_in_and_out_keeps_durations() {
    let mut world = World::new();
    world.update(
        json!({"audio": {"input": {"format": {"type": "audio/pcmu"}},
        "output": {"format": {"type": "audio/pcma"}}}}),
    );
    world.answers.push_back(Answer::Say("Exactly."));
    for (ms, byte) in [(400, 0xFF_u8), (0, 0)] {
        world.input(engine::session::Input::Audio(vec![byte; ms * 8].into()));
    }
    world.client(json!({"type": "response.create"}));
    world.settle();
    let bytes: usize = world
        .log
        .iter()
        .filter_map(|(_, e)| match e {
            wire::realtime::ServerEvent::OutputAudioDelta { delta, .. } => Some(delta.0.len()),
            _ => None,
        })
        .sum();
    let spoken: usize = world
        .spoken
        .iter()
        .map(|text| (text.len() * 60 / 100 + 1) * 800)
        .sum();
    assert_eq!(bytes, spoken, "8 bytes a millisecond");
}

#[test]
fn clearing_the_output_needs_a_channel_that_plays() {
    let mut world = World::new();
    world.action(ClientAction::OutputAudioClear);
    assert_eq!(world.last_error()["param"], "type");
}
