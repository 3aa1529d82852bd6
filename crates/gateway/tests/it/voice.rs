//! The voice loop on the real models of this machine: speech into a real socket, speech out of it.
//! Needs `ANTIPHON_MODELS_DIR`, filled by `antiphon models pull --set all`.
//! Only the language model is the stories' own, so that what is said is known.

use engine::audio::SampleRate;
use local::whisper::Window;
use local::{TranscribeRequest, Whisper};
use serde_json::{Value, json};

use crate::caller::{Caller, resample};
use crate::clips::{self, Clip, word_errors};
use crate::mind;
use crate::world::World;

const CONVERSATION: &str = "/v1/realtime?model=gpt-realtime";
const TRANSCRIPTION: &str = "/v1/realtime?intent=transcription";

async fn world() -> World {
    let llm = mind::start().await;
    World::start(|config| {
        config.pipeline.name = "local".to_owned();
        config.models.dir = Some(clips::models_dir().display().to_string());
        config.llm.base_url = Some(llm);
        config.llm.model = Some("story".to_owned());
    })
    .await
}

/// `words` in a voice of another engine than the one that answers, 24 kHz.
fn spoken(words: &str) -> Vec<i16> {
    let sound = clips::spoken("af_heart", words);
    resample(&sound, SampleRate::HZ_16K, SampleRate::HZ_24K)
}

fn conversation(turn_detection: &Value) -> Value {
    json!({ "type": "realtime", "audio": { "input": {
        "transcription": { "model": "whisper-1" }, "turn_detection": turn_detection,
    } } })
}

/// At most one word in ten may differ.
fn assert_same_words(said: &str, heard: &str) {
    let (wrong, words) = word_errors(said, heard);
    assert!(wrong * 10 <= words, "said {said:?}, heard {heard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_by_voice() {
    let world = world().await;
    let mut ears = Whisper::open(&clips::models_dir()).unwrap();
    ears.set_window(Window::Full);
    a_question_is_understood_and_the_answer_says_what_is_written(&world, &mut ears).await;
    a_caller_who_speaks_up_is_heard(&world).await;
    a_pause_inside_a_sentence_is_no_end(&world).await;
}

async fn a_question_is_understood_and_the_answer_says_what_is_written(
    world: &World,
    ears: &mut Whisper,
) {
    let question = "When does the public library on Market Street open tomorrow?";
    let sound = spoken(question);
    let session = conversation(&json!({ "type": "server_vad" }));
    let mut caller = Caller::call(world, CONVERSATION, &session).await;
    caller.say(&sound).await;
    let done = caller.until("response.done").await;
    assert_same_words(question, &caller.understood());

    assert_eq!(done["response"]["status"], "completed");
    let written = &done["response"]["output"][0]["content"][0]["transcript"];
    assert_eq!(written, mind::SHORT);
    let answer = caller.heard(&done["response"]["id"]);
    let answer = resample(&answer, SampleRate::HZ_24K, SampleRate::HZ_16K);
    assert_same_words(mind::SHORT, &transcribed(ears, &answer));
}

async fn a_caller_who_speaks_up_is_heard(world: &World) {
    let first = spoken("Please tell me a long story.");
    let second = spoken("Stop it now. When does the library open?");
    let session = conversation(&json!({ "type": "server_vad" }));
    let mut caller = Caller::call(world, CONVERSATION, &session).await;
    caller.say(&first).await;
    caller.until("response.output_audio.delta").await;
    caller.say(&second).await;

    let broken_off = caller.until("response.done").await;
    assert_eq!(
        broken_off["response"]["status"], "cancelled",
        "{broken_off}"
    );
    let details = &broken_off["response"]["status_details"];
    assert_eq!(details["reason"], "turn_detected");
    let answered = caller.until("response.done").await;
    assert_eq!(answered["response"]["status"], "completed", "{answered}");
    let story = &broken_off["response"]["id"];
    let last = caller
        .events
        .iter()
        .rposition(|it| it["response_id"] == *story);
    let next = caller
        .events
        .iter()
        .rposition(|it| it["type"] == "response.created");
    assert!(last < next, "sound of a story nobody listens to");
    assert!(caller.understood().to_lowercase().contains("library open"));
}

async fn a_pause_inside_a_sentence_is_no_end(world: &World) {
    let mut sound = spoken("I would like to book a table for");
    sound.extend(vec![0; 24 * 350]);
    sound.extend(spoken("four people on Friday evening."));
    let session = conversation(&json!({ "type": "semantic_vad", "eagerness": "medium" }));
    let mut caller = Caller::call(world, CONVERSATION, &session).await;
    caller.append(&sound).await;
    caller.append(&vec![0; 24 * 4000]).await;
    caller.until("response.done").await;
    let understood = caller.understood().to_lowercase();
    assert!(understood.contains("friday"), "{understood}");
    let kinds = caller.kinds();
    let commits = kinds
        .iter()
        .filter(|it| **it == "input_audio_buffer.committed");
    assert_eq!(commits.count(), 1, "{kinds:?}");
}

fn transcribed(ears: &mut Whisper, audio: &[i16]) -> String {
    let request = TranscribeRequest {
        audio: audio.into(),
        ..TranscribeRequest::default()
    };
    ears.transcribe(&[request]).remove(0).unwrap().text
}

#[tokio::test(flavor = "multi_thread")]
async fn people_and_voices_are_understood_as_well_as_in_the_full_window() {
    let world = world().await;
    let mut ears = Whisper::open(&clips::models_dir()).unwrap();
    ears.set_window(Window::Full);
    let mut clips = clips::human();
    clips.extend(clips::synthetic());
    assert!(clips.len() >= 10);

    let (mut ours, mut reference, mut words) = (0, 0, 0);
    for clip in &clips {
        let heard = over_the_wire(&world, clip).await;
        let (wrong, all) = word_errors(clip.words, &heard);
        ours += wrong;
        words += all;
        reference += word_errors(clip.words, &transcribed(&mut ears, &clip.audio)).0;
        println!("{}: {wrong} of {all} wrong: {heard}", clip.name);
    }
    println!("of {words} words: {ours} wrong over the wire, {reference} in the full window");
    assert!(
        ours.saturating_sub(reference) * 100 <= 2 * words,
        "{ours} and {reference} of {words}"
    );
}

/// What a transcription session makes of a clip.
async fn over_the_wire(world: &World, clip: &Clip) -> String {
    let session = json!({ "type": "transcription", "audio": { "input": {
        "transcription": { "model": "whisper-1" }, "turn_detection": null,
    } } });
    let mut caller = Caller::call(world, TRANSCRIPTION, &session).await;
    let sound = resample(&clip.audio, SampleRate::HZ_16K, SampleRate::HZ_24K);
    caller.append(&sound).await;
    caller
        .send(&json!({ "type": "input_audio_buffer.commit" }))
        .await;
    caller
        .until("conversation.item.input_audio_transcription.completed")
        .await;
    caller.understood()
}
