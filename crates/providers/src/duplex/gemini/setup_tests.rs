use serde_json::Map;
use wire::realtime::AudioFormat;

use super::*;

fn options(voice: &str) -> DuplexOptions {
    DuplexOptions {
        session: "sess_1".to_owned(),
        instructions: String::new(),
        voice: voice.to_owned(),
        speed: 1.0,
        input_format: AudioFormat::PCM,
        output_format: AudioFormat::PCM,
        language: Some("de".to_owned()),
        tools: vec![
            Tool::Function {
                name: "hang_up".to_owned(),
                description: None,
                parameters: Some(json!({ "type": "object", "additionalProperties": false })),
            },
            Tool::Mcp {
                server_label: "files".to_owned(),
                rest: Map::new(),
            },
        ],
        tool_choice: ToolChoice::Auto,
        max_tokens: None,
    }
}

#[test]
fn a_voice_is_found_or_left_to_the_model() {
    for (own, asked, expected) in [
        (None, "aoede", Some("Aoede")),
        (None, "marin", None),
        (Some("Puck"), "marin", Some("Puck")),
        (Some("Puck"), "Kore", Some("Kore")),
    ] {
        let model = Model::new("gemini-3.8-live", own.map(str::to_owned));
        assert_eq!(model.voice(asked), expected, "{asked}");
        let setup = message(&model, &options(asked), false);
        let speech = &setup["setup"]["generationConfig"]["speechConfig"];
        assert_eq!(speech.is_object(), expected.is_some());
    }
}

#[test]
fn functions_are_declared_as_the_protocol_wants_them() {
    let model = Model::new("models/gemini-3.8-live", None);
    let setup = message(&model, &options("marin"), false);
    let declared = json!([{ "functionDeclarations": [
        { "name": "hang_up", "description": "hang_up", "behavior": "BLOCKING" }
    ] }]);
    assert_eq!(setup["setup"]["tools"], declared);
    assert_eq!(setup["setup"]["model"], "models/gemini-3.8-live");
    let none = DuplexOptions {
        tool_choice: ToolChoice::None,
        ..options("marin")
    };
    assert_eq!(message(&model, &none, false)["setup"]["tools"], Value::Null);
}

#[test]
fn the_second_generation_is_asked_for_less() {
    for (name, new) in [
        ("gemini-3.8-live", true),
        ("gemini-2.5-flash-native-audio-preview-12-2025", false),
        ("gemini-live-2.5-flash-native-audio", false),
    ] {
        let setup = message(&Model::new(name, None), &options(""), true);
        assert_eq!(setup["setup"]["historyConfig"].is_object(), new, "{name}");
        let words = &setup["setup"]["inputAudioTranscription"];
        assert_eq!(words["languageCodes"].is_array(), new, "{name}");
    }
}
