use super::*;

fn part(name: &str, arguments: &str, ended: bool) -> Call {
    Call {
        id: format!("id of {name}"),
        name: name.to_owned(),
        arguments: arguments.to_owned(),
        ended,
    }
}

/// Names of calls, and arguments behind a `+`.
fn shape(events: &[LlmEvent]) -> Vec<String> {
    let events = events.iter().map(|event| match event {
        LlmEvent::ToolCall { name, .. } => name.clone(),
        LlmEvent::ToolArguments(part) => format!("+{part}"),
        other => panic!("{other:?}"),
    });
    events.collect()
}

#[test]
fn a_call_that_ended_lets_the_next_one_be_live() {
    let (mut calls, mut events) = (Calls::default(), Vec::new());
    calls.take(0, part("a", "", false), &mut events);
    calls.take(1, part("b", "{\"x\":", false), &mut events);
    calls.take(0, part("", "{}", false), &mut events);
    assert_eq!(shape(&events), ["a", "+{}"]);
    calls.take(0, part("", "", true), &mut events);
    assert_eq!(shape(&events[2..]), ["b", "+{\"x\":"]);
    calls.take(1, part("", "1}", true), &mut events);
    assert_eq!(shape(&events[4..]), ["+1}"]);
    calls.end(&mut events);
    assert_eq!(events.len(), 5);
}

#[test]
fn a_call_without_arguments_has_an_empty_object() {
    let (mut calls, mut events) = (Calls::default(), Vec::new());
    calls.take(0, part("a", "", true), &mut events);
    calls.take(1, part("b", "", false), &mut events);
    calls.take(2, part("c", "", false), &mut events);
    calls.end(&mut events);
    assert_eq!(shape(&events), ["a", "+{}", "b", "+{}", "c", "+{}"]);
}

#[test]
fn what_belongs_to_no_call_is_dropped() {
    let (mut calls, mut events) = (Calls::default(), Vec::new());
    calls.take(
        3,
        Call {
            ended: true,
            ..Call::default()
        },
        &mut events,
    );
    calls.take(
        4,
        Call {
            arguments: "{}".to_owned(),
            ..Call::default()
        },
        &mut events,
    );
    calls.end(&mut events);
    assert_eq!(events, []);
}

#[test]
fn a_crowd_of_calls_is_handed_on_without_depth() {
    let (mut calls, mut events) = (Calls::default(), Vec::new());
    calls.take(0, part("first", "", false), &mut events);
    for index in 1..=100_000 {
        calls.take(index, part("next", "{}", true), &mut events);
    }
    calls.end(&mut events);
    assert_eq!(events.len(), 200_002);
}
