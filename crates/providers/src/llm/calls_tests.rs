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
    calls.take(0, part("a", "", false), &mut events).unwrap();
    calls
        .take(1, part("b", "{\"x\":", false), &mut events)
        .unwrap();
    calls.take(0, part("", "{}", false), &mut events).unwrap();
    assert_eq!(shape(&events), ["a", "+{}"]);
    calls.take(0, part("", "", true), &mut events).unwrap();
    assert_eq!(shape(&events[2..]), ["b", "+{\"x\":"]);
    calls.take(1, part("", "1}", true), &mut events).unwrap();
    assert_eq!(shape(&events[4..]), ["+1}"]);
    calls.end(&mut events);
    assert_eq!(events.len(), 5);
}

#[test]
fn a_call_without_arguments_has_an_empty_object() {
    let (mut calls, mut events) = (Calls::default(), Vec::new());
    calls.take(0, part("a", "", true), &mut events).unwrap();
    calls.take(1, part("b", "", false), &mut events).unwrap();
    calls.take(2, part("c", "", false), &mut events).unwrap();
    calls.end(&mut events);
    assert_eq!(shape(&events), ["a", "+{}", "b", "+{}", "c", "+{}"]);
}

#[test]
fn what_belongs_to_no_call_is_dropped() {
    let (mut calls, mut events) = (Calls::default(), Vec::new());
    calls
        .take(
            3,
            Call {
                ended: true,
                ..Call::default()
            },
            &mut events,
        )
        .unwrap();
    calls
        .take(
            4,
            Call {
                arguments: "{}".to_owned(),
                ..Call::default()
            },
            &mut events,
        )
        .unwrap();
    calls.end(&mut events);
    assert_eq!(events, []);
}

/// A call that ends at once.
fn whole(arguments: &str) -> Call {
    part("next", arguments, true)
}

#[test]
fn only_so_many_calls_wait_and_those_are_handed_on() {
    let (mut calls, mut events) = (Calls::default(), Vec::new());
    calls
        .take(0, part("first", "", false), &mut events)
        .unwrap();
    for index in 1..=128 {
        calls.take(index, whole("{}"), &mut events).unwrap();
    }
    let more = calls.take(129, whole("{}"), &mut events);
    assert_eq!(more, Err(BadEvent::Malformed));
    // but more may come of those that wait
    let more = part("", "", true);
    assert_eq!(calls.take(1, more, &mut events), Ok(()));
    calls.end(&mut events);
    assert_eq!(events.len(), 2 * 129);
}

#[test]
fn only_so_many_bytes_wait() {
    let half = "x".repeat(EVENT_BYTES / 2);
    let first = || part("first", "", false);
    // of one call, and of several
    for indices in [[1, 1, 1], [1, 2, 3]] {
        let (mut calls, mut events) = (Calls::default(), Vec::new());
        calls.take(0, first(), &mut events).unwrap();
        let taken = indices.map(|index| calls.take(index, part("", &half, false), &mut events));
        // the id takes its room as well
        assert_eq!(
            taken,
            [Ok(()), Err(BadEvent::Malformed), Err(BadEvent::Malformed)]
        );
    }
    // what is handed on waits no more
    let (mut calls, mut events) = (Calls::default(), Vec::new());
    for index in 0..10 {
        calls.take(index, first(), &mut events).unwrap();
        let next = part("next", &half, false);
        calls.take(index + 1, next, &mut events).unwrap();
        calls.take(index, part("", "", true), &mut events).unwrap();
    }
}
