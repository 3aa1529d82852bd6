use proptest::prelude::*;

use super::*;

const LIMIT: usize = 256;

fn read(parts: &[&[u8]]) -> Vec<SseEvent> {
    let mut reader = SseReader::new(LIMIT);
    let mut events = Vec::new();
    for part in parts {
        reader.push(part, &mut events).unwrap();
    }
    events
}

fn data(parts: &[&[u8]]) -> Vec<String> {
    read(parts).into_iter().map(|event| event.data).collect()
}

#[test]
fn the_examples_of_the_standard_are_read_as_it_says() {
    let stocks = b"data: YHOO\ndata: +2\ndata: 10\n\n";
    assert_eq!(data(&[stocks]), ["YHOO\n+2\n10"]);
    let four = b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n";
    assert_eq!(data(&[four]), ["first event", "second event"]);
    let empty = b"data\n\ndata\ndata\n\ndata:";
    assert_eq!(data(&[empty]), ["", "\n"]);
    let spaces = b"data:test\n\ndata: test\n\n";
    assert_eq!(data(&[spaces]), ["test", "test"]);
}

#[test]
fn all_three_line_ends_work_even_when_cut_in_the_middle() {
    assert_eq!(
        data(&[b"data: a\r\n\r\ndata: b\r\rdata: c\n\n"]),
        ["a", "b", "c"]
    );
    assert_eq!(
        data(&[
            b"data: a\r",
            b"\n",
            b"\r",
            b"\ndata: b\r",
            b"\rdata: c\n",
            b"\n"
        ]),
        ["a", "b", "c"]
    );
}

#[test]
fn a_byte_order_mark_is_read_over_only_in_front() {
    assert_eq!(data(&[b"\xEF", b"\xBB\xBFdata: a\n\n"]), ["a"]);
    assert_eq!(data(&[b"data: a\n\n\xEF\xBB\xBFdata: b\n\n"]), ["a"]);
}

#[test]
fn the_event_field_names_one_event_only() {
    let events = read(&[b"event: error\ndata: x\n\ndata: y\n\nevent: lost\n\ndata: z\n\n"]);
    let names: Vec<&str> = events.iter().map(|event| event.event.as_str()).collect();
    assert_eq!(names, ["error", "", ""]);
}

#[test]
fn an_event_over_the_limit_is_refused_wherever_it_grows() {
    let mut events = Vec::new();
    let endless_line = vec![b'x'; LIMIT + 1];
    assert_eq!(
        SseReader::new(LIMIT).push(&endless_line, &mut events),
        Err(EventTooLong { limit: LIMIT })
    );
    let mut reader = SseReader::new(LIMIT);
    let many_lines = (0..LIMIT).find(|_| reader.push(b"data: 0123456789\n", &mut events).is_err());
    assert!(many_lines.is_some_and(|lines| lines < LIMIT / 11 + 1));
    assert!(events.is_empty());
}

#[test]
fn bytes_that_are_no_utf_8_are_replaced() {
    assert_eq!(data(&[b"data: a\xFFb\n\n"]), ["a\u{FFFD}b"]);
}

proptest! {
    /// Where the network cuts the bytes makes no difference.
    #[test]
    fn cuts_do_not_matter(
        stream in "(data: ?[a-zé]{0,6}|event:x|:c|id: 1|)(\r\n|\r|\n|\n\n|\r\n\r\n){0,3}(data: [a-z]{0,6}\n\n){0,3}",
        cuts in prop::collection::vec(0usize..80, 0..8),
    ) {
        let bytes = stream.as_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let parts: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        prop_assert_eq!(read(&parts), read(&[bytes]));
    }

    /// Any text comes back as it was written, whichever line end is used.
    #[test]
    fn written_events_are_read_back(
        texts in prop::collection::vec("[^\r\n\u{0}]{0,12}", 1..6),
        end in prop::sample::select(vec!["\n", "\r", "\r\n"]),
    ) {
        let stream = texts.iter().fold(String::new(), |stream, text| stream + "data: " + text + end + end);
        let mut reader = SseReader::new(1 << 16);
        let mut events = Vec::new();
        reader.push(stream.as_bytes(), &mut events).unwrap();
        let read: Vec<String> = events.into_iter().map(|event| event.data).collect();
        prop_assert_eq!(read, texts);
    }

    /// No bytes make it panic or hold more than its limit.
    #[test]
    fn anything_may_come(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..16)) {
        let mut reader = SseReader::new(LIMIT);
        let mut events = Vec::new();
        for part in &parts {
            if reader.push(part, &mut events).is_err() {
                break;
            }
            prop_assert!(reader.line.len() + reader.event.len() + reader.data.len() <= LIMIT + 64);
        }
    }
}
