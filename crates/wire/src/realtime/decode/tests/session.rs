use serde_json::json;

use super::*;
use crate::realtime::AudioFormat;
use crate::realtime::session::{
    Eagerness, MaxTokens, Modality, NamedTool, SessionKind, SessionUpdate, Tool, ToolChoice,
    Truncation, Voice,
};

fn update(session: &Value) -> SessionUpdate {
    match ok(&json!({"type": "session.update", "session": session})) {
        ClientAction::SessionUpdate(update) => *update,
        other => panic!("unexpected {other:?}"),
    }
}

/// Code, parameter and message of the refusal of this session.
fn refused(session: &Value) -> (String, String, String) {
    let error = err(&json!({"type": "session.update", "session": session}));
    let code = error.code.expect("code");
    (code, error.param.expect("param"), error.message)
}

#[test]
fn a_session_update_sets_only_what_is_there() {
    let nothing = SessionUpdate {
        kind: Some(SessionKind::Realtime),
        ..SessionUpdate::default()
    };
    assert_eq!(update(&json!({"type": "realtime"})), nothing);
    let nulls = json!({"type": "realtime", "instructions": null, "model": null, "tools": null,
        "audio": {"input": {"format": null}, "output": null}, "max_output_tokens": null});
    assert_eq!(update(&nulls), nothing);
    let cleared = update(&json!({"type": "realtime", "tracing": null, "prompt": null,
        "include": null, "reasoning": null, "audio": {"input": {"transcription": null,
            "noise_reduction": null, "turn_detection": null}}}));
    assert_eq!(cleared.tracing, Some(None));
    assert_eq!(cleared.prompt, Some(None));
    assert_eq!(cleared.include, Some(None));
    assert_eq!(cleared.reasoning, Some(None));
    assert_eq!(cleared.transcription, Some(None));
    assert_eq!(cleared.noise_reduction, Some(None));
    assert_eq!(cleared.turn_detection, Some(None));
}

#[test]
fn a_full_session_update_is_read() {
    let update = update(&json!({
        "type": "realtime", "model": "gpt-realtime-2.1", "output_modalities": ["text"],
        "instructions": "", "parallel_tool_calls": false, "reasoning": {"effort": "xhigh"},
        "tools": [{"type": "function", "name": "get_time", "description": "d",
                   "parameters": {"type": "object"}},
                  {"type": "mcp", "server_label": "docs", "server_url": "https://example.org",
                   "require_approval": "never", "authorization": null}],
        "tool_choice": {"type": "function", "name": "get_time"}, "max_output_tokens": 4096,
        "truncation": {"type": "retention_ratio", "retention_ratio": 0.8,
                       "token_limits": {"post_instructions": 1000}},
        "tracing": {"workflow_name": "w", "group_id": "g", "metadata": {"a": 1}},
        "prompt": {"id": "p", "version": "2", "variables": {"a": "b"}},
        "include": ["item.input_audio_transcription.logprobs"],
        "audio": {
            "input": {"format": {"type": "audio/pcmu"},
                      "transcription": {"model": "whisper-1", "language": null, "delay": "low"},
                      "noise_reduction": {"type": "near_field"},
                      "turn_detection": {"type": "semantic_vad", "eagerness": "high",
                                         "create_response": true, "interrupt_response": false}},
            "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": {"id": "v1"},
                       "speed": 1.5}}
    }));
    assert_eq!(update.output_modalities, Some(Modality::Text));
    assert_eq!(update.instructions.as_deref(), Some(""));
    assert_eq!(update.max_output_tokens, Some(MaxTokens::Limit(4096)));
    let named = NamedTool::Function {
        name: "get_time".into(),
    };
    assert_eq!(update.tool_choice, Some(ToolChoice::Named(named)));
    assert!(matches!(
        update.truncation,
        Some(Truncation::RetentionRatio(_))
    ));
    assert_eq!(update.input_format, Some(AudioFormat::Pcmu));
    assert_eq!(update.output_format, Some(AudioFormat::PCM));
    assert_eq!(update.voice, Some(Voice::Id { id: "v1".into() }));
    assert_eq!(update.speed, Some(1.5));
    let transcription = update.transcription.flatten().expect("transcription");
    assert_eq!(
        json!(transcription),
        json!({"model": "whisper-1", "delay": "low"})
    );
    let detection = update.turn_detection.flatten().expect("turn detection");
    assert_eq!(detection.semantic, Some(true));
    assert_eq!(detection.eagerness, Some(Eagerness::High));
    assert_eq!(detection.interrupt_response, Some(false));
    assert_eq!(detection.threshold, None);
    let tools = update.tools.expect("tools");
    let Tool::Mcp { server_label, rest } = &tools[1] else {
        panic!("not MCP: {tools:?}");
    };
    assert_eq!(server_label, "docs");
    assert_eq!(rest.len(), 2);
}

#[test]
fn a_transcription_session_has_no_output() {
    let update = update(&json!({"type": "transcription", "audio": {"input": {
        "format": {"type": "audio/pcm", "rate": 24000}, "turn_detection": null,
        "transcription": {"model": "gpt-4o-transcribe", "language": "en", "prompt": ""}}}}));
    assert_eq!(update.kind, Some(SessionKind::Transcription));
    assert_eq!(update.turn_detection, Some(None));
    for (session, param) in [
        (
            json!({"type": "transcription", "audio": {"output": {}}}),
            "session.audio.output",
        ),
        (
            json!({"type": "transcription", "instructions": "x"}),
            "session.instructions",
        ),
    ] {
        let (code, at, _) = refused(&session);
        assert_eq!((code.as_str(), at.as_str()), ("unknown_parameter", param));
    }
}

/// Code, path and session of updates that are refused.
const REFUSED: &str = r#"
missing_required_parameter session.type {"instructions":"x"}
unknown_parameter session.x {"type":"realtime","x":1}
unknown_parameter session.voice {"type":"realtime","voice":"ash"}
invalid_value session.type {"type":"chat"}
invalid_value session.instructions {"type":"realtime","instructions":5}
invalid_value session.output_modalities {"type":"realtime","output_modalities":["audio","text"]}
invalid_value session.output_modalities {"type":"realtime","output_modalities":[]}
invalid_value session.output_modalities[0] {"type":"realtime","output_modalities":["video"]}
invalid_value session.max_output_tokens {"type":"realtime","max_output_tokens":4097}
invalid_value session.max_output_tokens {"type":"realtime","max_output_tokens":0}
invalid_value session.max_output_tokens {"type":"realtime","max_output_tokens":"lots"}
invalid_value session.tool_choice {"type":"realtime","tool_choice":"some"}
missing_required_parameter session.tools[0].name {"type":"realtime","tools":[{"type":"function"}]}
invalid_value session.tools[0].name {"type":"realtime","tools":[{"type":"function","name":"a b"}]}
missing_required_parameter session.tools[0].server_url {"type":"realtime","tools":[{"type":"mcp","server_label":"s"}]}
invalid_value session.truncation {"type":"realtime","truncation":"never"}
invalid_value session.truncation.retention_ratio {"type":"realtime","truncation":{"type":"retention_ratio","retention_ratio":2}}
invalid_value session.tracing {"type":"realtime","tracing":"on"}
invalid_value session.include[0] {"type":"realtime","include":["everything"]}
invalid_value session.reasoning.effort {"type":"realtime","reasoning":{"effort":"max"}}
missing_required_parameter session.prompt.id {"type":"realtime","prompt":{}}
invalid_value session.audio.input.format.rate {"type":"realtime","audio":{"input":{"format":{"type":"audio/pcm","rate":16000}}}}
invalid_value session.audio.input.format {"type":"realtime","audio":{"input":{"format":"pcm16"}}}
invalid_value session.audio.input.turn_detection.threshold {"type":"realtime","audio":{"input":{"turn_detection":{"type":"server_vad","threshold":1.5}}}}
unknown_parameter session.audio.input.turn_detection.threshold {"type":"realtime","audio":{"input":{"turn_detection":{"type":"semantic_vad","threshold":0.5}}}}
unknown_parameter session.audio.input.turn_detection.eagerness {"type":"realtime","audio":{"input":{"turn_detection":{"type":"server_vad","eagerness":"low"}}}}
invalid_value session.audio.input.noise_reduction.type {"type":"realtime","audio":{"input":{"noise_reduction":{"type":"mid_field"}}}}
unknown_parameter session.audio.input.transcription.engine {"type":"realtime","audio":{"input":{"transcription":{"engine":"x"}}}}
invalid_value session.audio.output.speed {"type":"realtime","audio":{"output":{"speed":2}}}
invalid_value session.audio.output.voice {"type":"realtime","audio":{"output":{"voice":""}}}
missing_required_parameter session.audio.output.format.type {"type":"realtime","audio":{"output":{"format":{"rate":24000}}}}
"#;

#[test]
fn session_errors_name_code_path_and_values() {
    for row in REFUSED.lines().filter(|row| !row.is_empty()) {
        let mut columns = row.splitn(3, ' ');
        let mut column = || columns.next().expect("three columns");
        let (code, param) = (column(), column());
        let session = serde_json::from_str(column()).expect("JSON");
        let (got_code, got_param, _) = refused(&session);
        assert_eq!(
            (got_code.as_str(), got_param.as_str()),
            (code, param),
            "{row}"
        );
    }
    let output = |output: Value| json!({"type": "realtime", "audio": {"output": output}});
    let (_, _, message) = refused(&output(json!({"speed": 2})));
    assert_eq!(
        message,
        "Invalid 'session.audio.output.speed': expected a value between 0.25 and 1.5, but got 2."
    );
    let (_, _, message) = refused(&json!({"type": "realtime", "instructions": 5}));
    assert_eq!(
        message,
        "Invalid type for 'session.instructions': expected a string, but got an integer instead."
    );
}

/// The property names of a schema.
fn described<T: utoipa::PartialSchema>() -> Vec<String> {
    let schema = json!(T::schema());
    let properties = schema["properties"]
        .as_object()
        .expect("an object's schema");
    properties.keys().cloned().collect()
}

#[test]
fn the_documented_fields_are_the_ones_that_are_read() {
    use crate::realtime::client::schema::{
        RealtimeRequestSchema, ResponseRequestSchema, TranscriptionRequestSchema,
    };
    use crate::realtime::decode::session as known;
    let mut read: Vec<&str> = [known::COMMON, known::CONVERSATION].concat();
    read.sort_unstable();
    assert_eq!(described::<RealtimeRequestSchema>(), read);
    let mut read = known::COMMON.to_vec();
    read.sort_unstable();
    assert_eq!(described::<TranscriptionRequestSchema>(), read);
    let mut read = response::FIELDS.to_vec();
    read.sort_unstable();
    assert_eq!(described::<ResponseRequestSchema>(), read);
}

#[test]
fn tools_and_servers_have_a_number_and_labels_an_owner() {
    let refused = |tools: Vec<Value>| {
        let session = json!({ "type": "realtime", "tools": tools });
        let error = session_update(&session, "session").unwrap_err().error;
        (error.param.unwrap_or_default(), error.message)
    };
    let function = |n: usize| json!({ "type": "function", "name": format!("f{n}") });
    let server = |label: &str| json!({ "type": "mcp", "server_label": label, "server_url": "https://example.org" });
    let accepted =
        json!({ "type": "realtime", "tools": (0..128).map(function).collect::<Vec<_>>() });
    session_update(&accepted, "session").unwrap();
    let (param, told) = refused((0..129).map(function).collect());
    assert_eq!(param, "session.tools");
    assert!(told.contains("at most 128 tools"), "{told}");
    let many = (0..9).map(|n| server(&format!("s{n}"))).collect();
    assert!(refused(many).1.contains("at most 8 MCP servers"));
    assert!(
        refused(vec![server("s"), server("s")])
            .1
            .contains("two MCP servers")
    );
    let (param, told) = refused(vec![server("agent/docs")]);
    assert_eq!(param, "session.tools[0].server_label");
    assert!(told.contains("agent/"), "{told}");
}
