//! Events of ours for those who ask for them: pieces of speech behind their sound, and what is heard so far.

use engine::session::{Input, SttNews};
use serde_json::json;
use wire::realtime::ServerEvent;
use wire::realtime::extra::{ExtraEvent, ExtraEvents};

use crate::ladder;
use crate::world::{Answer, World};

fn ask(world: &mut World) {
    let content = json!([{ "type": "input_text", "text": "Tell me." }]);
    let item = json!({ "type": "message", "role": "user", "content": content });
    world.client(json!({ "type": "conversation.item.create", "item": item }));
    world.client(json!({ "type": "response.create" }));
}

#[test]
fn pieces_follow_their_sound_and_add_up_to_what_was_said() {
    for asked in [
        ExtraEvents::default(),
        ExtraEvents::of([ExtraEvent::SpeechPiece]),
    ] {
        let mut world = World::new();
        world.session.tell_also(asked);
        world
            .answers
            .push_back(Answer::Say("Yes, I can. It is 3.5 km away. Good bye!"));
        ask(&mut world);
        world.settle();
        ladder::check(&world);
        let mut sound = 0;
        let mut pieces = Vec::new();
        for (_, event) in &world.log {
            match event {
                ServerEvent::OutputAudioDelta { delta, .. } => sound += delta.0.len(),
                ServerEvent::SpeechPiece { text, .. } => {
                    assert!(sound > 0, "{text} has sound of its own");
                    sound = 0;
                    pieces.push(text.as_str());
                }
                _ => {}
            }
        }
        if asked == ExtraEvents::default() {
            assert!(pieces.is_empty());
            continue;
        }
        assert_eq!(sound, 0, "nothing is left over");
        assert!(pieces.len() > 1, "{pieces:?}");
        let said = pieces.concat();
        assert_eq!(said.trim(), "Yes, I can. It is 3.5 km away. Good bye!");
    }
}

#[test]
fn what_is_heard_so_far_is_told_while_the_caller_speaks() {
    for asked in ["", "transcript.partial"] {
        let mut world = World::new();
        world.session.tell_also(ExtraEvents::parse(asked).unwrap());
        world.transcripts.push_back(Ok("what is the time"));
        world.speak(400);
        // the first utterance is number 1; a stream may tell of it before there is a pause
        for heard in ["what", "", "what is the"] {
            world.input(Input::Stt(1, SttNews::Partial(heard.to_owned())));
        }
        world.silence(900);
        world.settle();
        let told: Vec<&str> = world
            .log
            .iter()
            .filter_map(|(_, event)| match event {
                ServerEvent::TranscriptPartial { text, .. } => Some(text.as_str()),
                _ => None,
            })
            .collect();
        if asked.is_empty() {
            assert!(told.is_empty(), "{told:?}");
        } else {
            assert_eq!(told[..2], ["what", "what is the"], "{told:?}");
            assert_eq!(told.last(), Some(&"what is the time"));
        }
        // nothing is said of an utterance that is over
        let before = world.log.len();
        world.input(Input::Stt(1, SttNews::Partial("late".to_owned())));
        assert_eq!(world.log.len(), before);
    }
}
