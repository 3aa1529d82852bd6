use futures_util::stream;

use super::*;
use crate::llm::openai::Assembly;

/// What came, and how long it took on the paused clock.
struct Outcome {
    text: String,
    last: LlmEvent,
    took: Duration,
}

impl Outcome {
    fn kind(&self) -> Option<Kind> {
        match &self.last {
            LlmEvent::Failed(error) => Some(error.kind),
            _ => None,
        }
    }
}

/// Reads parts that come after so many ms each; the bytes never end by themselves when `open`.
async fn read(parts: Vec<(u64, &'static str)>, ends: bool) -> Outcome {
    let (outbox, mut events) = mpsc::channel(crate::ports::EVENT_BUFFER);
    let start = Instant::now();
    let limits = Limits::default();
    let reading = Reading {
        name: "fake".into(),
        deadline: start + limits.first_event,
        limits,
        framing: Framing::Sse,
        answer: Assembly::default(),
        events: outbox,
    };
    let bytes = stream::iter(parts).then(|(ms, part)| async move {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        Ok::<_, Broken>(Bytes::from_static(part.as_bytes()))
    });
    let tail = if ends {
        stream::empty().left_stream()
    } else {
        stream::pending().right_stream()
    };
    tokio::spawn(reading.run(bytes.chain(tail)));
    let mut outcome = Outcome {
        text: String::new(),
        last: LlmEvent::Text(String::new()),
        took: Duration::ZERO,
    };
    while let Some(event) = events.recv().await {
        if let LlmEvent::Text(text) = &event {
            outcome.text += text;
        }
        outcome.last = event;
        outcome.took = start.elapsed();
    }
    outcome
}

const HELLO: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"hello \"}}]}\n\n";
const STOP: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"completion_tokens\":3}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

#[tokio::test(start_paused = true)]
async fn a_slow_trickle_is_an_answer_as_long_as_events_come() {
    let outcome = read(
        vec![
            (14_000, HELLO),
            (14_000, HELLO),
            (14_000, STOP),
            (1_000, DONE),
        ],
        false,
    )
    .await;
    assert_eq!(outcome.text, "hello hello ");
    assert!(matches!(
        outcome.last,
        LlmEvent::Done {
            finish: Finish::Stop,
            ..
        }
    ));
    assert_eq!(outcome.took, Duration::from_secs(43));
}

#[tokio::test(start_paused = true)]
async fn silence_before_the_first_event_times_out() {
    let outcome = read(vec![(16_000, HELLO)], true).await;
    assert_eq!(outcome.kind(), Some(Kind::Timeout));
    assert_eq!(outcome.took, Duration::from_secs(15));
}

#[tokio::test(start_paused = true)]
async fn comments_keep_no_answer_alive() {
    let comment = ": still thinking\n\n";
    let outcome = read(
        vec![
            (1_000, HELLO),
            (8_000, comment),
            (8_000, comment),
            (8_000, HELLO),
        ],
        true,
    )
    .await;
    assert_eq!(outcome.kind(), Some(Kind::Timeout));
    assert_eq!(outcome.took, Duration::from_secs(16));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_comes_byte_by_byte_is_still_one_event() {
    let bytes: Vec<(u64, &'static str)> = HELLO
        .split_inclusive("")
        .filter(|byte| !byte.is_empty())
        .map(|byte| (100, byte))
        .chain([(0, STOP), (0, DONE)])
        .collect();
    assert_eq!(read(bytes, true).await.text, "hello ");
}

#[tokio::test(start_paused = true)]
async fn counts_behind_the_reason_are_waited_for_but_not_for_long() {
    let counted = read(
        vec![(0, HELLO), (0, STOP), (1_500, USAGE), (0, DONE)],
        false,
    )
    .await;
    let LlmEvent::Done { usage, .. } = counted.last else {
        panic!("{:?}", counted.last)
    };
    assert_eq!(usage.output_tokens, 3);
    let uncounted = read(vec![(0, HELLO), (0, STOP)], false).await;
    assert!(matches!(uncounted.last, LlmEvent::Done { .. }));
    assert_eq!(uncounted.took, AFTER_FINISH);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_early_is_a_failure_and_one_without_an_end_mark_is_not() {
    assert_eq!(
        read(vec![(0, HELLO)], true).await.kind(),
        Some(Kind::Unavailable)
    );
    assert_eq!(read(vec![], true).await.kind(), Some(Kind::Unavailable));
    assert_eq!(read(vec![(0, HELLO), (0, STOP)], true).await.kind(), None);
    assert_eq!(read(vec![(0, HELLO), (0, DONE)], true).await.kind(), None);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_json_is_a_breach_of_the_contract() {
    let outcome = read(
        vec![(0, HELLO), (0, "data: {\"choices\":[{\n\n"), (0, DONE)],
        true,
    )
    .await;
    assert_eq!(outcome.text, "hello ");
    assert_eq!(outcome.kind(), Some(Kind::Protocol));
}

#[tokio::test(start_paused = true)]
async fn an_error_in_the_middle_keeps_its_kind() {
    let error = "data: {\"error\":{\"code\":\"rate_limit_exceeded\"}}\n\n";
    assert_eq!(
        read(vec![(0, HELLO), (0, error)], true).await.kind(),
        Some(Kind::RateLimited)
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_id_gets_one() {
    let call = "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"f\"}}]}}]}\n\n";
    let (outbox, mut events) = mpsc::channel(8);
    let limits = Limits::default();
    let reading = Reading {
        name: "fake".into(),
        deadline: Instant::now() + limits.first_event,
        limits,
        framing: Framing::Sse,
        answer: Assembly::default(),
        events: outbox,
    };
    let bytes = stream::iter([call, STOP, DONE])
        .map(|part| Ok::<_, Broken>(Bytes::from_static(part.as_bytes())));
    reading.run(bytes).await;
    let Some(LlmEvent::ToolCall { call_id, .. }) = events.recv().await else {
        panic!("no call")
    };
    assert!(call_id.starts_with("call_antiphon_"), "{call_id}");
}

/// An answer of which only signs of life come.
struct Pings;

impl Answer for Pings {
    fn take(&mut self, _: &SseEvent, _: &mut Vec<LlmEvent>) -> Result<Taken, BadEvent> {
        Ok(Taken::KeepAlive)
    }

    fn finish(&self) -> Option<Finish> {
        None
    }

    fn usage(&self) -> LlmUsage {
        LlmUsage::default()
    }
}

#[tokio::test(start_paused = true)]
async fn signs_of_life_keep_no_answer_alive() {
    let (outbox, mut events) = mpsc::channel(8);
    let (start, limits) = (Instant::now(), Limits::default());
    let reading = Reading {
        name: "fake".into(),
        deadline: start + limits.first_event,
        limits,
        framing: Framing::Sse,
        answer: Pings,
        events: outbox,
    };
    let pings = stream::repeat(()).then(|()| async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        Ok::<_, Broken>(Bytes::from_static(b"event: ping\ndata: {}\n\n"))
    });
    tokio::spawn(reading.run(pings));
    let Some(LlmEvent::Failed(error)) = events.recv().await else {
        panic!("no failure")
    };
    assert_eq!(error.kind, Kind::Timeout);
    assert_eq!(start.elapsed(), limits.first_event);
}

#[tokio::test(start_paused = true)]
async fn lines_are_parted_wherever_they_were_cut() {
    let lines = "{\"n\":1}\n\n{\"n\":\"ä\"}\r\n{\"n\":3";
    let mut reader = Reader::Lines(Vec::new());
    let mut events = Vec::new();
    for byte in lines.as_bytes() {
        reader.push(&[*byte], &mut events).unwrap();
    }
    let data: Vec<&str> = events.iter().map(|event| event.data.as_str()).collect();
    assert_eq!(data, ["{\"n\":1}", "", "{\"n\":\"ä\"}\r"]);
    let long = vec![b'x'; EVENT_BYTES + 1];
    assert!(reader.push(&long, &mut events).is_err());
}
