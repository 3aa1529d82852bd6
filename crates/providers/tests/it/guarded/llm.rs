//! Language models in a row.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use engine::ask::{Finish, LlmMessage, LlmRequest, LlmUsage};
use providers::{
    Kind, ProviderError,
    guarded::{GuardedLlm, HedgedLlm, Member, Stage, Watch},
    ports::{Llm, LlmEvent, LlmStream},
};
use tokio::{sync::mpsc, time::Instant};

use super::{Script, failure, written};
use crate::conformance::{answer, ask};

/// What a model does with a question.
#[derive(Clone)]
pub(super) enum Act {
    /// Words, so many ms apart, then the end.
    Says(u64, &'static str),
    /// Words, then a failure.
    Breaks(&'static str, Kind),
    /// Words, so many ms apart, then a failure.
    BreaksSlowly(u64, &'static str),
    /// A failure, so many ms after it was asked.
    FailsAfter(u64),
    /// Words, then nothing more.
    Hangs(&'static str),
    /// The beginning of a call, then a failure.
    CallsAndBreaks,
    Refuses(Kind, Option<Duration>),
    /// What it was asked last: shows the context it was given.
    Recites,
}

struct Model(Arc<Script<Act>>);

#[async_trait]
impl Llm for Model {
    fn name(&self) -> &str {
        self.0.name
    }

    async fn ask(&self, request: LlmRequest) -> Result<LlmStream, ProviderError> {
        let act = self.0.next().clone();
        if let Act::Refuses(kind, retry_after) = act {
            return Err(ProviderError {
                retry_after,
                ..failure(self.0.name, kind)
            });
        }
        let (outbox, events) = mpsc::channel(64);
        let name = self.0.name;
        tokio::spawn(async move { play(name, act, &request, outbox).await });
        Ok(LlmStream { events })
    }
}

async fn play(name: &'static str, act: Act, request: &LlmRequest, outbox: mpsc::Sender<LlmEvent>) {
    let last = request.messages.iter().rev().take(2).map(kind_of);
    let recital = last.collect::<Vec<_>>().concat();
    let (pace, words) = match &act {
        Act::Says(pace, words) | Act::BreaksSlowly(pace, words) => (*pace, (*words).to_owned()),
        Act::Breaks(words, _) | Act::Hangs(words) => (1, (*words).to_owned()),
        Act::Recites => (1, recital),
        Act::CallsAndBreaks | Act::Refuses(..) | Act::FailsAfter(_) => (1, String::new()),
    };
    if let Act::FailsAfter(ms) = act {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
    for word in words.split_inclusive(' ') {
        tokio::time::sleep(Duration::from_millis(pace)).await;
        if outbox.send(LlmEvent::Text(word.to_owned())).await.is_err() {
            return;
        }
    }
    let last = match act {
        Act::Says(..) | Act::Recites => LlmEvent::Done {
            finish: Finish::Stop,
            usage: LlmUsage::default(),
        },
        Act::Breaks(_, kind) => LlmEvent::Failed(failure(name, kind)),
        Act::BreaksSlowly(..) | Act::FailsAfter(_) => {
            LlmEvent::Failed(failure(name, Kind::Unavailable))
        }
        Act::CallsAndBreaks => {
            let call = LlmEvent::ToolCall {
                call_id: "call_1".to_owned(),
                name: "look".to_owned(),
            };
            outbox.send(call).await.unwrap();
            LlmEvent::Failed(failure(name, Kind::Unavailable))
        }
        Act::Hangs(_) | Act::Refuses(..) => return outbox.closed().await,
    };
    let _ = outbox.send(last).await;
}

fn kind_of(message: &LlmMessage) -> String {
    match message {
        LlmMessage::System(_) => "[system]".to_owned(),
        LlmMessage::Assistant(text) => format!("[said: {text}]"),
        _ => "[other]".to_owned(),
    }
}

fn member(script: &Arc<Script<Act>>, watch: &Watch) -> Arc<Member<dyn Llm>> {
    let model: Arc<dyn Llm> = Arc::new(Model(Arc::clone(script)));
    Arc::new(Member::new(script.name, Stage::Llm, model, watch.clone()))
}

pub(super) fn row(scripts: &[&Arc<Script<Act>>], watch: &Watch) -> GuardedLlm {
    let members = scripts.iter().map(|script| member(script, watch)).collect();
    GuardedLlm::new(members, watch.clone())
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_breaks_off_is_continued_and_not_repeated() {
    let (watch, lines) = written();
    let breaks = Script::new(
        "first",
        vec![Act::Breaks(
            "The sun rises in the east, and ",
            Kind::Unavailable,
        )],
    );
    for continued in [
        "sets in the west.",
        "east, and sets in the west.",
        "The sun rises in the east, and sets in the west.",
    ] {
        let second = Script::new("second", vec![Act::Says(1, continued)]);
        let llm = row(&[&breaks, &second], &watch);
        let answered = answer(&llm, ask("where?")).await.unwrap();
        assert_eq!(
            answered.text,
            "The sun rises in the east, and sets in the west."
        );
    }
    assert_eq!(lines.lock().unwrap()[0], "llm first -> second");
}

#[tokio::test(start_paused = true)]
async fn whoever_continues_is_told_what_was_said() {
    let first = Script::new("first", vec![Act::Breaks("So far ", Kind::Protocol)]);
    let second = Script::new("second", vec![Act::Recites]);
    let llm = row(&[&first, &second], &Watch::default());
    let answered = answer(&llm, ask("?")).await.unwrap();
    assert_eq!(answered.text, "So far [system][said: So far ]");
}

#[tokio::test(start_paused = true)]
async fn silence_is_handed_over_within_five_seconds_wherever_it_falls() {
    let long = "It is a long story, and when I come to think of it, I ";
    for words in ["", "Well, I ", long] {
        let first = Script::new("first", vec![Act::Hangs(words)]);
        let second = Script::new("second", vec![Act::Says(1, "think so.")]);
        let llm = row(&[&first, &second], &Watch::default());
        let begun = Instant::now();
        let answered = answer(&llm, ask("?")).await.unwrap();
        assert_eq!(answered.text, format!("{words}think so."));
        assert!(begun.elapsed() <= Duration::from_secs(5), "{words}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_trickle_is_no_answer() {
    let first = Script::new("first", vec![Act::Says(4000, "a b c d e f g h i j k")]);
    let second = Script::new("second", vec![Act::Says(1, "d.")]);
    let llm = row(&[&first, &second], &Watch::default());
    let begun = Instant::now();
    let answered = answer(&llm, ask("?")).await.unwrap();
    assert!(answered.text.ends_with(" d."), "{}", answered.text);
    assert!(begun.elapsed() < Duration::from_secs(15));
}

#[tokio::test(start_paused = true)]
async fn five_failures_open_the_breaker_and_one_answer_closes_it() {
    let (watch, lines) = written();
    let mut acts = vec![Act::Refuses(Kind::Unavailable, None); 5];
    acts.push(Act::Says(1, "back."));
    let first = Script::new("first", acts);
    let second = Script::new("second", vec![Act::Says(1, "here.")]);
    let llm = row(&[&first, &second], &watch);
    for _ in 0..8 {
        assert_eq!(answer(&llm, ask("?")).await.unwrap().text, "here.");
    }
    assert_eq!(first.asked(), 5, "it is left alone from then on");
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(answer(&llm, ask("?")).await.unwrap().text, "back.");
    let lines = lines.lock().unwrap();
    assert!(lines.contains(&"llm first rests".to_owned()));
    assert_eq!(lines.last().unwrap(), "llm first is back");
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_is_waited_for_and_is_no_failure() {
    let (watch, lines) = written();
    let retry = Some(Duration::from_secs(7));
    let acts = vec![
        Act::Refuses(Kind::RateLimited, retry),
        Act::Says(1, "first."),
    ];
    let first = Script::new("first", acts);
    let second = Script::new("second", vec![Act::Says(1, "second.")]);
    let llm = row(&[&first, &second], &watch);
    for _ in 0..6 {
        assert_eq!(answer(&llm, ask("?")).await.unwrap().text, "second.");
        assert_eq!(first.asked(), 1);
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(answer(&llm, ask("?")).await.unwrap().text, "first.");
    assert!(
        !lines
            .lock()
            .unwrap()
            .iter()
            .any(|line| line.contains("rests"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_has_begun_is_not_made_again_by_another() {
    let first = Script::new("first", vec![Act::CallsAndBreaks]);
    let second = Script::new("second", vec![Act::Says(1, "no")]);
    let llm = row(&[&first, &second], &Watch::default());
    let answered = answer(&llm, ask("?")).await.unwrap();
    assert_eq!(answered.failure().kind, Kind::Unavailable);
    assert_eq!(second.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn where_all_fail_the_last_failure_is_told_and_where_all_rest_when_to_come_back() {
    let first = Script::new("first", vec![Act::Refuses(Kind::Unavailable, None)]);
    let second = Script::new("second", vec![Act::Refuses(Kind::Protocol, None)]);
    let llm = row(&[&first, &second], &Watch::default());
    for _ in 0..5 {
        let failed = answer(&llm, ask("?")).await.unwrap();
        assert_eq!(failed.failure().kind, Kind::Protocol);
    }
    let resting = answer(&llm, ask("?")).await.unwrap().failure().clone();
    assert_eq!(resting.kind, Kind::Overloaded);
    assert!(resting.retry_after.unwrap() <= Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_refused_is_not_tried_again_for_a_minute() {
    let acts = vec![
        Act::Refuses(Kind::Unauthorized, None),
        Act::Says(1, "first."),
    ];
    let first = Script::new("first", acts);
    let second = Script::new("second", vec![Act::Says(1, "second.")]);
    let alone = row(&[&first], &Watch::default());
    assert!(alone.usable().is_ok(), "nothing is known yet");
    assert_eq!(
        answer(&alone, ask("?")).await.unwrap().failure().kind,
        Kind::Unauthorized
    );
    assert_eq!(alone.usable().unwrap_err().kind, Kind::Unauthorized);
    for _ in 0..3 {
        let refused = answer(&alone, ask("?")).await.unwrap();
        assert_eq!(refused.failure().kind, Kind::Unauthorized);
    }
    assert_eq!(first.asked(), 1);
    assert!(row(&[&first, &second], &Watch::default()).usable().is_ok());
    tokio::time::advance(Duration::from_mins(1)).await;
    assert!(alone.usable().is_ok());
    assert_eq!(answer(&alone, ask("?")).await.unwrap().text, "first.");
}

#[tokio::test(start_paused = true)]
async fn an_answer_nobody_waits_for_leaves_no_mark() {
    let first = Script::new("first", vec![Act::Hangs("Well, ")]);
    let llm = row(&[&first], &Watch::default());
    for _ in 0..10 {
        let mut stream = llm.ask(ask("?")).await.unwrap();
        assert!(stream.events.recv().await.is_some());
        drop(stream);
        tokio::task::yield_now().await;
    }
    assert_eq!(first.asked(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_is_slow_to_begin_races_the_next_one() {
    let hedged = |scripts: &[&Arc<Script<Act>>], watch: &Watch| {
        let members: Vec<_> = scripts.iter().map(|script| member(script, watch)).collect();
        HedgedLlm::new(&members, Duration::from_millis(700), watch.clone()).unwrap()
    };
    for (pace, expected, won) in [
        // begins in time: nobody else is asked
        (500, "first says this.", None),
        // begins late, but before the second
        (900, "first says this.", Some("llm first hedged, first won")),
        // begins too late
        (
            4_000,
            "second says that.",
            Some("llm first hedged, second won"),
        ),
    ] {
        let (watch, lines) = written();
        let first = Script::new("first", vec![Act::Says(pace, "first says this.")]);
        let second = Script::new("second", vec![Act::Says(400, "second says that.")]);
        let llm = hedged(&[&first, &second], &watch);
        let begun = Instant::now();
        let said = answer(&llm, ask("hello")).await.unwrap().text;
        assert_eq!(said, expected, "{pace}");
        assert_eq!(second.asked(), usize::from(won.is_some()));
        assert_eq!(lines.lock().unwrap().last().map(String::as_str), won);
        assert!(
            begun.elapsed() < Duration::from_secs(4),
            "{:?}",
            begun.elapsed()
        );
    }
    // one that fails while the other has not begun is no winner
    let (watch, _) = written();
    let hangs = Script::new("first", vec![Act::Hangs("")]);
    let fails = Script::new("second", vec![Act::Refuses(Kind::Unavailable, None)]);
    let says = Script::new("third", vec![Act::Says(100, "third says so.")]);
    let llm = hedged(&[&hangs, &fails, &says], &watch);
    assert_eq!(
        answer(&llm, ask("hello")).await.unwrap().text,
        "third says so."
    );
    let members = [member(&says, &watch)];
    assert!(HedgedLlm::new(&members, Duration::from_millis(700), watch).is_none());
}

#[tokio::test(start_paused = true)]
async fn nobody_behind_the_first_model_is_asked_by_the_row_and_by_the_hedge_as_well() {
    // when the first fails, in ms; who is asked behind it, and by whom
    for (fails_at, hedges) in [(300, false), (900, true)] {
        let (watch, lines) = written();
        let first = Script::new("first", vec![Act::FailsAfter(fails_at)]);
        let second = Script::new("second", vec![Act::Says(1_500, "second.")]);
        let members = [member(&first, &watch), member(&second, &watch)];
        let llm = HedgedLlm::new(&members, Duration::from_millis(700), watch).unwrap();
        assert_eq!(answer(&llm, ask("?")).await.unwrap().text, "second.");
        assert_eq!(second.asked(), 1, "{fails_at}");
        let lines = lines.lock().unwrap();
        let hedged = lines.iter().any(|line| line.contains("hedged"));
        assert_eq!(hedged, hedges, "{lines:?}");
    }
    // one that rests is not asked at all: the row begins with the second
    let (watch, _) = written();
    let first = Script::new("first", vec![Act::Refuses(Kind::RateLimited, None)]);
    let second = Script::new("second", vec![Act::Says(1_500, "second.")]);
    let members = [member(&first, &watch), member(&second, &watch)];
    let llm = HedgedLlm::new(&members, Duration::from_millis(700), watch).unwrap();
    for questions in 1..=2 {
        assert_eq!(answer(&llm, ask("?")).await.unwrap().text, "second.");
        assert_eq!((first.asked(), second.asked()), (1, questions));
    }
}

#[tokio::test(start_paused = true)]
async fn a_hedge_that_lost_leaves_the_others_to_the_row() {
    // the second is let go when the first begins, and continues what that breaks off
    let (watch, _) = written();
    let first = Script::new("first", vec![Act::BreaksSlowly(900, "So far ")]);
    let acts = vec![Act::Hangs(""), Act::Says(1, "so good.")];
    let second = Script::new("second", acts);
    let members = [member(&first, &watch), member(&second, &watch)];
    let llm = HedgedLlm::new(&members, Duration::from_millis(700), watch).unwrap();
    assert_eq!(
        answer(&llm, ask("?")).await.unwrap().text,
        "So far so good."
    );
    assert_eq!(second.asked(), 2);
    // and so where it failed while the first was still silent
    let (watch, _) = written();
    let first = Script::new("first", vec![Act::FailsAfter(2_000)]);
    let acts = vec![
        Act::Refuses(Kind::Unavailable, None),
        Act::Says(1, "at last."),
    ];
    let second = Script::new("second", acts);
    let members = [member(&first, &watch), member(&second, &watch)];
    let llm = HedgedLlm::new(&members, Duration::from_millis(700), watch).unwrap();
    assert_eq!(answer(&llm, ask("?")).await.unwrap().text, "at last.");
}
