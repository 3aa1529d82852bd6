use wire::realtime::AudioFormat;

use super::*;

fn options() -> DuplexOptions {
    DuplexOptions {
        session: "sess_1".to_owned(),
        instructions: "Be brief.".to_owned(),
        voice: "marin".to_owned(),
        speed: 1.2,
        input_format: AudioFormat::Pcmu,
        output_format: AudioFormat::PCM,
        language: None,
        tools: Vec::new(),
        tool_choice: ToolChoice::Required,
        max_tokens: Some(9000),
    }
}

fn hosted(own: Option<&str>) -> Voices {
    Voices {
        own: own.map(str::to_owned),
        only_hosted: true,
    }
}

#[test]
fn a_voice_is_found_for_every_name() {
    let elsewhere = Voices {
        only_hosted: false,
        ..hosted(None)
    };
    for (voices, asked, expected) in [
        (hosted(None), "cedar", "cedar"),
        // reads aloud, but does not converse
        (hosted(None), "nova", "marin"),
        (hosted(Some("ash")), "cedar", "cedar"),
        (hosted(Some("ash")), "af_heart", "ash"),
        (elsewhere.clone(), "af_heart", "af_heart"),
        (elsewhere, "", "marin"),
    ] {
        assert_eq!(voices.of(asked), expected, "{asked}");
    }
}

#[test]
fn the_session_is_written_within_its_limits() {
    let written = session(&options(), &hosted(None));
    assert_eq!(written["max_output_tokens"], 4096);
    assert_eq!(written["tool_choice"], "required");
    assert_eq!(
        written["audio"]["input"]["format"],
        json!({ "type": "audio/pcmu" })
    );
    assert_eq!(written["audio"]["output"]["speed"], 1.2);
    let fast = DuplexOptions {
        speed: 9.0,
        ..options()
    };
    assert_eq!(
        session(&fast, &hosted(None))["audio"]["output"]["speed"],
        1.5
    );
    let broken = DuplexOptions {
        speed: f32::NAN,
        ..options()
    };
    assert_eq!(
        session(&broken, &hosted(None))["audio"]["output"]["speed"],
        1.0
    );
}

#[test]
fn changes_are_no_more_than_what_changed() {
    let old = session(&options(), &hosted(None));
    assert_eq!(changes(&old, &old, false), None);
    let other = DuplexOptions {
        voice: "ash".to_owned(),
        ..options()
    };
    let new = session(&other, &hosted(None));
    let voice = json!({ "type": "realtime", "audio": { "output": { "voice": "ash" } } });
    assert_eq!(changes(&old, &new, false), Some(voice));
    // nothing is left of it when the voice cannot change any more
    assert_eq!(changes(&old, &new, true), None);
    let both = DuplexOptions {
        instructions: "Be loud.".to_owned(),
        ..other
    };
    let new = session(&both, &hosted(None));
    let instructions = json!({ "type": "realtime", "instructions": "Be loud." });
    assert_eq!(changes(&old, &new, true), Some(instructions));
}

/// The examples of <https://developers.openai.com/api/reference/resources/realtime/client-events>.
#[test]
fn items_are_those_of_the_reference() {
    let item = |item: &DuplexItem| -> Vec<Value> {
        let events = items(item, Format::Pcm24k);
        let events = events
            .iter()
            .map(|event| serde_json::from_str(event).unwrap());
        events.collect()
    };
    let message = |message| item(&DuplexItem::Message(message));
    let picture = "data:image/png;base64,AAAA".to_owned();
    let huge = "x".repeat(PICTURE + 1);
    let user = LlmMessage::User {
        text: "hi".to_owned(),
        images: vec![picture.clone(), huge],
    };
    let expected = json!({ "type": "conversation.item.create", "item": {
        "type": "message", "role": "user", "content": [
            { "type": "input_text", "text": "hi" }, { "type": "input_image", "image_url": picture }
        ] } });
    assert_eq!(message(user), [expected]);
    let expected = json!({ "type": "conversation.item.create", "item": {
        "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "hello" }] } });
    assert_eq!(
        message(LlmMessage::Assistant("hello".to_owned())),
        [expected]
    );
    let output = LlmMessage::ToolOutput {
        call_id: "call_1".to_owned(),
        output: "rain".to_owned(),
    };
    let expected = json!({ "type": "conversation.item.create", "item": {
        "type": "function_call_output", "call_id": "call_1", "output": "rain" } });
    assert_eq!(message(output), [expected]);
    assert!(message(LlmMessage::Assistant("  ".to_owned())).is_empty());
    // a minute of speech needs more than one message
    let speech = DuplexItem::Speech(vec![0; 48 * 60_000].into());
    let parts = item(&speech);
    assert_eq!(parts.len(), 3);
    assert_eq!(parts[0]["item"]["content"][0]["type"], "input_audio");
    assert_eq!(
        append(&[0, 0, 0]),
        r#"{"type":"input_audio_buffer.append","audio":"AAAA"}"#
    );
}
