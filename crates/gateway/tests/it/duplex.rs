//! Conversations held by a speech-to-speech model: our items, interruptions and bills, whoever speaks.

use gateway::config::{NamedPipeline, Provider, Secret};
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::upstream::{
    self, Answer, End, KEY, Upstream, WORD_MS, answer, openai_realtime, speech, words,
};
use crate::world::World;

/// Bytes of a ms of PCM at 24 kHz.
const PCM: usize = 48;

/// A server whose pipeline `live` is held by `fake`.
async fn world(fake: &Upstream, kind: &str, name: &str) -> World {
    World::start(|config| {
        let provider = Provider {
            kind: Some(kind.to_owned()),
            base_url: Some(fake.base_url.clone()),
            api_key: Some(Secret::new(KEY)),
            ..Provider::default()
        };
        config.providers.insert(name.to_owned(), provider);
        let pipeline = NamedPipeline {
            duplex: vec![name.to_owned()],
            ..NamedPipeline::default()
        };
        config.pipelines.insert("live".to_owned(), pipeline);
    })
    .await
}

fn by_hand() -> Value {
    json!({ "type": "realtime", "audio": {
        "input": { "turn_detection": null, "transcription": { "model": "gpt-4o-mini-transcribe" } } } })
}

/// Speaks these words and asks for the answer; the response's end.
async fn ask(caller: &mut Caller, said: &str) -> Value {
    let sound = speech(said, PCM, 0);
    let samples: Vec<i16> = sound
        .chunks_exact(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    caller.append(&samples).await;
    caller
        .send(&json!({ "type": "input_audio_buffer.commit" }))
        .await;
    caller.send(&json!({ "type": "response.create" })).await;
    caller.until("response.done").await
}

fn transcript(done: &Value) -> String {
    let content = &done["response"]["output"][0]["content"][0];
    let transcript = content["transcript"].as_str().unwrap_or_default();
    transcript.trim().to_owned()
}

/// The words in the sound of a response.
fn heard(caller: &Caller, done: &Value) -> String {
    let samples = caller.heard(&done["response"]["id"]);
    let bytes: Vec<u8> = samples.iter().flat_map(|it| it.to_le_bytes()).collect();
    words(&bytes)
}

#[tokio::test]
async fn a_conversation_is_held_and_both_sides_believe_the_same() {
    let fake = openai_realtime::start().await;
    fake.plays(&[answer("we open at nine"), answer("you are welcome")]);
    let world = world(&fake, "openai_realtime", "openai-realtime").await;
    let mut caller = Caller::call(&world, "/v1/realtime?model=live", &by_hand()).await;
    let done = ask(&mut caller, "when do you open").await;
    assert_eq!(transcript(&done), "we open at nine");
    assert_eq!(heard(&caller, &done), "we open at nine");
    assert_eq!(done["response"]["status"], "completed");
    // the vendor's own counts
    let usage = &done["response"]["usage"];
    assert_eq!(usage["input_token_details"]["audio_tokens"], 13);
    assert_eq!(usage["output_token_details"]["audio_tokens"], 91);
    let done = ask(&mut caller, "thank you").await;
    assert_eq!(transcript(&done), "you are welcome");
    assert_eq!(caller.understood(), "when do you open thank you");
    assert_eq!(
        fake.conversation(),
        [
            "user: when do you open",
            "assistant: we open at nine",
            "user: thank you",
            "assistant: you are welcome"
        ]
    );
    // the caller's sound arrives byte for byte
    let sound = fake.world.with(|state| state.heard.clone());
    assert_eq!(
        sound,
        [
            speech("when do you open", PCM, 0),
            speech("thank you", PCM, 0)
        ]
        .concat()
    );
    let path = format!("/v1/sessions/{}/usage", caller.session_id());
    let bill: Value = world.get(&path).send().await.unwrap().json().await.unwrap();
    let line = &bill["providers"][0];
    assert_eq!(
        (&line["stage"], &line["provider"]),
        (&json!("duplex"), &json!("openai-realtime"))
    );
    assert_eq!(line["units"]["audio_output_tokens"], 2 * 91);
    assert!(
        bill["turns"][0]["cost_micro_dollars"].as_u64() > Some(5_000),
        "{bill}"
    );
    fake.is_content();
}

#[tokio::test]
async fn a_conversation_of_three_minutes_survives_two_disconnects() {
    let fake = openai_realtime::start().await;
    // 24 turns: 3 s of question and 4.8 s of answer each
    let answers: Vec<String> = (0..24)
        .map(|turn| {
            let sentence = |part: &str| format!("turn{turn:02} {part:>6} words which never repeat themselves again, turn{turn:02} {part:>6} ends right here and now.")
                .replace("  ", " ").replace("  ", " ").replace("  ", " ");
            format!("{} {} {}", sentence("first"), sentence("second"), sentence("third"))
        })
        .collect();
    let script: Vec<Answer> = answers
        .iter()
        .map(|words| answer(Box::leak(words.clone().into_boxed_str())))
        .collect();
    fake.plays(&script);
    let world = world(&fake, "openai_realtime", "openai-realtime").await;
    let mut caller = Caller::call(&world, "/v1/realtime?model=live", &by_hand()).await;
    let (mut sound_ms, mut said) = (0, Vec::new());
    for (turn, expected) in answers.iter().enumerate() {
        if turn == 7 || turn == 15 {
            let midway = turn == 7;
            fake.world.with(|state| {
                state.midway = midway;
                state.breaks.push_back(End::Break);
            });
        }
        let question = format!("question number {turn} ").repeat(10);
        let done = ask(&mut caller, &question).await;
        assert_eq!(done["response"]["status"], "completed", "{done}");
        assert_eq!(&transcript(&done), expected, "turn {turn}");
        let heard = heard(&caller, &done);
        for sentence in expected.split_inclusive(". ") {
            let times = heard.matches(sentence.trim()).count();
            assert_eq!(times, 1, "turn {turn}: {sentence:?} in {heard:?}");
        }
        sound_ms +=
            (question.split_whitespace().count() + expected.split_whitespace().count()) * WORD_MS;
        said.push(format!("user: {}", question.trim()));
        said.push(format!("assistant: {expected}"));
    }
    assert!(sound_ms >= 180_000, "{sound_ms} ms");
    assert_eq!(fake.handshakes(), 3);
    // what the last connection was told, and what was said since, is the whole conversation
    let believed = fake.conversation();
    let spoken: Vec<&String> = believed
        .iter()
        .filter(|line| !line.starts_with("system"))
        .collect();
    let expected: Vec<&String> = said.iter().collect();
    // the answer in which the second one broke is in it twice: as far as it was heard, and as the model said it again
    assert_eq!(spoken.len(), expected.len() + 1, "{believed:#?}");
    assert_eq!(spoken[..31], expected[..31]);
    let errors = caller
        .events
        .iter()
        .filter(|event| event["type"] == "error");
    assert_eq!(errors.count(), 0);
    fake.is_content();
}

#[tokio::test]
async fn a_function_of_the_server_is_run_for_it() {
    let fake = openai_realtime::start().await;
    fake.plays(&[Answer {
        words: "",
        call: Some(("reason", "{\"question\":\"what now\"}")),
        then: "here is what I think",
        end: End::Complete,
    }]);
    let world = world(&fake, "openai_realtime", "openai-realtime").await;
    let agent = json!({ "name": "ann", "pipeline": "live", "turn_detection": "none",
        "tools": [{ "type": "reason", "pipeline": "scripted" }] });
    world.post("/v1/agents", &agent).send().await.unwrap();
    let mut caller = Caller::call(
        &world,
        "/v1/realtime?model=agent:ann",
        &json!({ "type": "realtime" }),
    )
    .await;
    let done = ask(&mut caller, "what do you think").await;
    assert_eq!(transcript(&done), "here is what I think");
    assert!(
        fake.conversation()
            .iter()
            .any(|line| line.starts_with("output: ")),
        "{:?}",
        fake.conversation()
    );
    fake.is_content();
}

#[tokio::test]
async fn the_other_vendor_holds_the_same_conversation() {
    let fake = upstream::gemini_live::start().await;
    fake.plays(&[answer("we open at nine"), answer("you are welcome")]);
    let world = world(&fake, "gemini_live", "gemini-live").await;
    let mut caller = Caller::call(&world, "/v1/realtime?model=live", &by_hand()).await;
    let done = ask(&mut caller, "when do you open").await;
    assert_eq!(transcript(&done), "we open at nine");
    assert_eq!(heard(&caller, &done), "we open at nine");
    let done = ask(&mut caller, "thank you").await;
    assert_eq!(transcript(&done), "you are welcome");
    fake.is_content();
}

#[tokio::test]
async fn a_key_that_is_refused_is_told_before_the_session_and_a_model_that_is_away_comes_back() {
    let fake = openai_realtime::start().await;
    fake.plays(&[answer("first answer here"), answer("back again now")]);
    let world = world(&fake, "openai_realtime", "openai-realtime").await;
    let mut caller = Caller::call(&world, "/v1/realtime?model=live", &by_hand()).await;
    ask(&mut caller, "are you there").await;
    // it goes away between two turns, refuses for good, and is let in again
    fake.world.with(|state| {
        state.status = Some(401);
        state.breaks.push_back(End::Break);
    });
    let sound = speech("and now what", PCM, 0);
    let samples: Vec<i16> = sound
        .chunks_exact(2)
        .map(|it| i16::from_le_bytes([it[0], it[1]]))
        .collect();
    caller.append(&samples).await;
    caller
        .send(&json!({ "type": "input_audio_buffer.commit" }))
        .await;
    caller.send(&json!({ "type": "response.create" })).await;
    let told = caller.until("error").await;
    assert_eq!(told["error"]["code"], "llm_degraded", "{told}");
    let done = caller.until("response.done").await;
    assert_eq!(done["response"]["status"], "failed");
    fake.world.with(|state| state.status = None);
    let refused = crate::pipelines::first_event(&world, "live").await;
    assert_eq!(refused["error"]["code"], "provider_unauthorized");
    assert!(
        refused["error"]["message"]
            .as_str()
            .unwrap()
            .contains("providers.openai-realtime.api_key")
    );
}
