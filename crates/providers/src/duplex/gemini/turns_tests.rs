use super::*;

fn all(items: &[DuplexItem]) -> Vec<Value> {
    let mut calls = Calls::new();
    let turns = items.iter();
    turns
        .flat_map(|item| of(item, Format::Pcm24k, &mut calls))
        .collect()
}

#[test]
fn calls_are_told_in_words_with_what_they_returned() {
    let call = |id: &str| {
        DuplexItem::Message(LlmMessage::ToolCall {
            call_id: id.to_owned(),
            name: "weather".to_owned(),
            arguments: "{}".to_owned(),
        })
    };
    let output = |id: &str| {
        DuplexItem::Message(LlmMessage::ToolOutput {
            call_id: id.to_owned(),
            output: "rain".to_owned(),
        })
    };
    let told = all(&[call("a"), call("b"), output("a"), output("lost")]);
    assert_eq!(told, [user("(the function weather({}) returned: rain)")]);
}

#[test]
fn turns_have_one_of_two_speakers_and_something_to_say() {
    let picture = |uri: &str| {
        DuplexItem::Message(LlmMessage::User {
            text: String::new(),
            images: vec![uri.to_owned()],
        })
    };
    let items = [
        DuplexItem::Message(LlmMessage::System("Be kind.".to_owned())),
        DuplexItem::Message(LlmMessage::Assistant(" ".to_owned())),
        DuplexItem::Message(LlmMessage::Assistant("hello".to_owned())),
        picture("data:image/png;base64,AAAA"),
        picture("https://example.com/cat.png"),
        DuplexItem::Speech(vec![1, 0, 2, 0].into()),
    ];
    let image = json!({ "mimeType": "image/png", "data": "AAAA" });
    let sound = json!({ "mimeType": "audio/pcm;rate=24000", "data": "AQACAA==" });
    let expected = [
        user("<system>\nBe kind.\n</system>"),
        json!({ "role": "model", "parts": [{ "text": "hello" }] }),
        json!({ "role": "user", "parts": [{ "inlineData": image }] }),
        user(UNSEEN),
        json!({ "role": "user", "parts": [{ "inlineData": sound }] }),
    ];
    assert_eq!(all(&items), expected);
}

#[test]
fn a_long_history_goes_in_several_messages_of_which_the_last_is_complete() {
    let long = "x".repeat(MESSAGE / 2);
    let turns: Vec<Value> = (0..4).map(|_| user(&long)).collect();
    let sent = contents(turns, true);
    let complete: Vec<bool> = sent
        .iter()
        .map(|text| {
            let message: Value = serde_json::from_str(text).unwrap();
            message["clientContent"]["turnComplete"].as_bool().unwrap()
        })
        .collect();
    assert_eq!(complete, [false, false, false, true]);
    assert!(contents(Vec::new(), false).is_empty());
    assert!(contents(Vec::new(), true)[0].contains(GO_ON));
}

#[test]
fn outputs_are_objects() {
    assert_eq!(output(r#"{"sky":"blue"}"#), json!({ "sky": "blue" }));
    for plain in ["rain", "[1]", "7"] {
        assert_eq!(output(plain), json!({ "output": plain }));
    }
}
