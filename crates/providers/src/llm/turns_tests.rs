use super::*;

pub(crate) fn call(id: &str) -> LlmMessage {
    LlmMessage::ToolCall {
        call_id: id.to_owned(),
        name: "look".to_owned(),
        arguments: r#"{"a":1}"#.to_owned(),
    }
}

fn output(id: &str, output: &str) -> LlmMessage {
    LlmMessage::ToolOutput {
        call_id: id.to_owned(),
        output: output.to_owned(),
    }
}

fn said(text: &str) -> LlmMessage {
    LlmMessage::User {
        text: text.to_owned(),
        images: Vec::new(),
    }
}

fn shape(turns: &[Turn<'_>]) -> Vec<String> {
    let turns = turns.iter().map(|turn| match turn {
        Turn::System(text) => format!("system {text}"),
        Turn::User { text, .. } => format!("user {text}"),
        Turn::Assistant { text, calls } => {
            let calls: Vec<String> = calls
                .iter()
                .map(|call| format!("{}={}", call.id, call.output))
                .collect();
            format!("assistant {} {}", text.unwrap_or("-"), calls.join(","))
        }
    });
    turns.collect()
}

#[test]
fn calls_of_one_answer_are_one_turn_with_their_outputs() {
    let context = [
        LlmMessage::System("be kind".to_owned()),
        said("look twice"),
        LlmMessage::Assistant("looking".to_owned()),
        call("a"),
        call("b"),
        said("hurry"),
        output("b", "two"),
        output("a", "one"),
    ];
    assert_eq!(
        shape(&turns(&context, Late::Kept)),
        [
            "system be kind",
            "user look twice",
            "assistant looking a=one,b=two",
            "user hurry"
        ]
    );
}

#[test]
fn a_call_without_output_is_answered_and_an_output_without_call_is_left_out() {
    let context = [
        output("gone", "x"),
        call("a"),
        said("and?"),
        call("b"),
        output("b", "y"),
    ];
    let waiting = format!("assistant - a={NO_OUTPUT_YET}");
    assert_eq!(
        shape(&turns(&context, Late::Kept)),
        [waiting.as_str(), "user and?", "assistant - b=y"]
    );
}

#[test]
fn a_call_sent_twice_is_read_once_and_malformed_arguments_are_an_empty_object() {
    let bad = LlmMessage::ToolCall {
        call_id: "a".to_owned(),
        name: "look".to_owned(),
        arguments: "{\"a\":".to_owned(),
    };
    let context = [bad, call("a"), output("a", "1")];
    let turns = turns(&context, Late::Kept);
    assert_eq!(shape(&turns), ["assistant - a=1"]);
    let Turn::Assistant { calls, .. } = &turns[0] else {
        panic!("no calls")
    };
    assert_eq!(calls[0].arguments, "{}");
}

#[test]
fn late_instructions_stay_or_are_told() {
    let context = [
        LlmMessage::System("one".to_owned()),
        LlmMessage::System("two".to_owned()),
        said("hello"),
        LlmMessage::System("three".to_owned()),
    ];
    let kept = shape(&turns(&context, Late::Kept));
    assert_eq!(kept[3], "system three");
    let told = shape(&turns(&context, Late::Told));
    assert_eq!(told[..3], kept[..3]);
    assert_eq!(told[3], "user <system>\nthree\n</system>");
}

fn speakers(dialogue: &Dialogue<'_>) -> Vec<(Speaker, usize)> {
    let messages = dialogue.messages.iter();
    messages
        .map(|(speaker, parts)| (*speaker, parts.len()))
        .collect()
}

#[test]
fn a_dialogue_alternates_begins_and_ends_with_the_user() {
    let context = [
        LlmMessage::System("be kind".to_owned()),
        LlmMessage::Assistant("Hello!".to_owned()),
        LlmMessage::Assistant("How are you?".to_owned()),
        said("fine"),
        said(" "),
        said("and you?"),
        LlmMessage::Assistant("Well.".to_owned()),
    ];
    let dialogue = dialogue(&context, Outputs::WithWords);
    assert_eq!(dialogue.system, ["be kind"]);
    assert_eq!(
        speakers(&dialogue),
        [
            (Speaker::User, 1),
            (Speaker::Model, 2),
            (Speaker::User, 2),
            (Speaker::Model, 1),
            (Speaker::User, 1)
        ]
    );
}

#[test]
fn outputs_stand_in_front_of_words_or_apart() {
    let context = [
        said("look"),
        call("a"),
        call("b"),
        said("and?"),
        output("a", "1"),
    ];
    let with_words = dialogue(&context, Outputs::WithWords);
    assert_eq!(
        speakers(&with_words),
        [(Speaker::User, 1), (Speaker::Model, 2), (Speaker::User, 3)]
    );
    assert!(with_words.messages[2].1[0].is_output());
    assert_eq!(
        speakers(&dialogue(&context, Outputs::Apart)),
        [
            (Speaker::User, 1),
            (Speaker::Model, 2),
            (Speaker::User, 2),
            (Speaker::User, 1)
        ]
    );
}

#[test]
fn instructions_alone_are_a_dialogue_too() {
    let context = [LlmMessage::System("greet".to_owned())];
    assert_eq!(
        speakers(&dialogue(&context, Outputs::Apart)),
        [(Speaker::User, 1)]
    );
}

#[test]
fn data_uris_are_taken_apart() {
    assert_eq!(
        data_uri("data:image/png;base64,AAAA"),
        Some(("image/png", "AAAA"))
    );
    assert_eq!(
        data_uri("data:image/png;name=x;base64,AA"),
        Some(("image/png", "AA"))
    );
    for other in ["data:text/plain,hello", "https://a/b.png", ""] {
        assert_eq!(data_uri(other), None, "{other}");
    }
}
