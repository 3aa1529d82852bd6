use super::*;

fn all(chunks: &[Value]) -> Result<(Vec<LlmEvent>, Content), BadEvent> {
    let mut content = Content::new(Arc::default());
    let mut out = Vec::new();
    for chunk in chunks {
        let event = SseEvent {
            event: String::new(),
            data: chunk.to_string(),
        };
        assert_eq!(content.take(&event, &mut out)?, Taken::Event);
    }
    Ok((out, content))
}

/// As at <https://ai.google.dev/gemini-api/docs/thought-signatures> ("parallel function calling").
#[test]
fn a_recorded_answer_with_thoughts_words_and_calls_is_understood() {
    let (events, content) = all(&[
        json!({ "candidates": [{ "index": 0, "content": { "role": "model", "parts": [
            { "text": "Two cities.", "thought": true }
        ] } }], "usageMetadata": { "promptTokenCount": 120, "totalTokenCount": 120 } }),
        json!({ "candidates": [{ "index": 0, "content": { "role": "model", "parts": [
            { "text": "One moment. " }
        ] } }] }),
        json!({ "candidates": [{ "index": 0, "content": { "role": "model", "parts": [
            { "functionCall": {
                "id": "fc1", "name": "get_current_temperature", "args": { "location": "Paris" }
            }, "thoughtSignature": "Signature_A" },
            { "functionCall": { "name": "get_current_temperature" } }
        ] } }] }),
        json!({ "candidates": [{ "index": 0, "finishReason": "STOP", "content": {
            "role": "model", "parts": [{ "text": "", "thoughtSignature": "Signature_B" }]
        } }], "usageMetadata": {
            "promptTokenCount": 120, "cachedContentTokenCount": 100, "candidatesTokenCount": 20,
            "thoughtsTokenCount": 30, "totalTokenCount": 170
        } }),
    ])
    .unwrap();
    assert_eq!(events[0], LlmEvent::Text("One moment. ".to_owned()));
    assert_eq!(
        events[1],
        LlmEvent::ToolCall {
            call_id: "fc1".to_owned(),
            name: "get_current_temperature".to_owned()
        }
    );
    assert_eq!(
        events[2],
        LlmEvent::ToolArguments("{\"location\":\"Paris\"}".to_owned())
    );
    let LlmEvent::ToolCall { call_id, .. } = &events[3] else {
        panic!("{:?}", events[3])
    };
    assert!(call_id.starts_with("call_antiphon_"), "{call_id}");
    assert_eq!(events[4], LlmEvent::ToolArguments("{}".to_owned()));
    assert_eq!(events.len(), 5);
    assert_eq!(content.signatures.of("fc1").as_deref(), Some("Signature_A"));
    let usage = LlmUsage {
        input_tokens: 120,
        cached_tokens: 100,
        output_tokens: 50,
    };
    assert_eq!(
        (content.finish(), content.usage()),
        (Some(Finish::Stop), usage)
    );
}

#[test]
fn reasons_for_the_end_are_told_apart() {
    let ended = |reason: &str| {
        let chunk = json!({ "candidates": [{ "finishReason": reason }] });
        all(&[chunk]).map(|(_, content)| content.finish())
    };
    for (reason, expected) in [
        ("STOP", Finish::Stop),
        ("OTHER", Finish::Stop),
        ("MAX_TOKENS", Finish::Length),
        ("SAFETY", Finish::ContentFilter),
        ("PROHIBITED_CONTENT", Finish::ContentFilter),
    ] {
        assert_eq!(ended(reason).unwrap(), Some(expected), "{reason}");
    }
    assert_eq!(
        ended("MALFORMED_FUNCTION_CALL").unwrap_err(),
        BadEvent::Error(Kind::Unavailable)
    );
    let blocked = json!({ "promptFeedback": { "blockReason": "SAFETY" } });
    assert_eq!(
        all(&[blocked]).unwrap().1.finish(),
        Some(Finish::ContentFilter)
    );
}

#[test]
fn errors_and_odd_chunks_are_told_apart() {
    for (error, expected) in [
        (
            json!({ "code": 503, "status": "UNAVAILABLE" }),
            Kind::Unavailable,
        ),
        (
            json!({ "code": 429, "status": "RESOURCE_EXHAUSTED" }),
            Kind::RateLimited,
        ),
    ] {
        let chunk = json!({ "error": error });
        assert_eq!(all(&[chunk]).unwrap_err(), BadEvent::Error(expected));
    }
    assert_eq!(all(&[json!([])]).unwrap_err(), BadEvent::Malformed);
    let odd = [
        json!({}),
        json!({ "candidates": [] }),
        json!({ "candidates": [{ "content": {} }] }),
    ];
    assert_eq!(all(&odd).unwrap().0, []);
}
