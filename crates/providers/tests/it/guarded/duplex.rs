//! Speech-to-speech models in a row.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use engine::ask::{DuplexCommand, DuplexItem, DuplexOptions, DuplexUsage, Finish, LlmMessage};
use engine::session::ReplyId;
use providers::{
    Kind, ProviderError,
    guarded::{GuardedDuplex, Member, Stage, Watch},
    ports::{DUPLEX_BEHIND, Duplex, DuplexEvent, DuplexStream, EVENT_BUFFER},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use super::{Script, failure, written};
use crate::{
    duplex::{Call, GEMINI, OPENAI, options, user},
    fakes::upstream::{End, answer},
};

/// What a model does with a conversation.
#[derive(Clone, Copy)]
pub(super) enum Joins {
    /// Answers every question with the number of items of history and the utterances it heard.
    Gladly,
    /// Is never ready.
    Never,
    /// Says why not.
    Not(Kind),
    /// Is lost so long after it was ready.
    For(Duration),
    /// Says this to the first question, and the end without counts to a cancellation.
    Says(fn(ReplyId) -> Vec<DuplexEvent>),
}

struct Model(Arc<Script<Joins>>);

#[async_trait]
impl Duplex for Model {
    fn name(&self) -> &str {
        self.0.name
    }

    async fn open(
        &self,
        _options: DuplexOptions,
        history: Vec<DuplexItem>,
    ) -> Result<DuplexStream, ProviderError> {
        let (commands, mut inbox) = mpsc::channel(DUPLEX_BEHIND);
        let (outbox, events) = mpsc::channel(EVENT_BUFFER);
        let (joins, name) = (*self.0.next(), self.0.name);
        tokio::spawn(async move {
            let lost = |kind| DuplexEvent::Lost(failure(name, kind));
            match joins {
                Joins::Never => return outbox.closed().await,
                Joins::Not(kind) => return drop(outbox.send(lost(kind)).await),
                Joins::Gladly | Joins::For(_) | Joins::Says(_) => {}
            }
            let _ = outbox.send(DuplexEvent::Ready).await;
            if let Joins::For(time) = joins {
                sleep(time).await;
                return drop(outbox.send(lost(Kind::Unavailable)).await);
            }
            let mut utterances = 0;
            while let Some(command) = inbox.recv().await {
                match command {
                    DuplexCommand::Commit(_) => utterances += 1,
                    DuplexCommand::Reply(reply, _) if let Joins::Says(events) = joins => {
                        for event in events(reply) {
                            let _ = outbox.send(event).await;
                        }
                    }
                    DuplexCommand::Reply(reply, _) => {
                        let text = format!("{name} {} {utterances}", history.len());
                        let (finish, usage) = (Finish::Stop, DuplexUsage::default());
                        let text = DuplexEvent::Text { reply, text };
                        let done = DuplexEvent::Done {
                            reply,
                            finish,
                            usage,
                        };
                        for event in [text, done] {
                            let _ = outbox.send(event).await;
                        }
                    }
                    DuplexCommand::Cancel(reply) => {
                        let (finish, usage) = (Finish::Stop, DuplexUsage::default());
                        let done = DuplexEvent::Done {
                            reply,
                            finish,
                            usage,
                        };
                        let _ = outbox.send(done).await;
                    }
                    _ => {}
                }
            }
        });
        Ok(DuplexStream { commands, events })
    }
}

struct Row {
    duplex: GuardedDuplex,
    lines: Arc<std::sync::Mutex<Vec<String>>>,
}

fn row(scripts: &[&Arc<Script<Joins>>]) -> Row {
    let (watch, lines) = written();
    Row {
        duplex: watched_row(scripts, watch),
        lines,
    }
}

pub(super) fn watched_row(scripts: &[&Arc<Script<Joins>>], watch: Watch) -> GuardedDuplex {
    let members = scripts
        .iter()
        .map(|script| {
            let model: Arc<dyn Duplex> = Arc::new(Model(Arc::clone(script)));
            Arc::new(Member::new(
                script.name,
                Stage::Duplex,
                model,
                watch.clone(),
            ))
        })
        .collect();
    GuardedDuplex::new(members, watch)
}

impl Row {
    fn lines(&self) -> String {
        self.lines.lock().unwrap().join(", ")
    }

    /// A conversation of one question; the question is asked before anybody is ready.
    async fn ask(&self) -> Result<String, ProviderError> {
        let history = vec![DuplexItem::Message(user("hello"))];
        let mut stream = self.duplex.open(options(), history).await.unwrap();
        let question = [
            DuplexCommand::Audio(vec![0; 960].into()),
            DuplexCommand::Commit(1),
            DuplexCommand::Reply(1, Box::default()),
        ];
        for command in question {
            stream.commands.send(command).await.unwrap();
        }
        let mut words = String::new();
        loop {
            match stream.events.recv().await.unwrap() {
                DuplexEvent::Text { text, .. } => words.push_str(&text),
                DuplexEvent::Done { .. } => return Ok(words),
                DuplexEvent::Lost(error) => return Err(error),
                _ => {}
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_is_ready_has_the_conversation_from_its_beginning() {
    let second = Script::new("second", vec![Joins::Gladly]);
    for away in [
        Joins::Never,
        Joins::Not(Kind::Unavailable),
        Joins::Not(Kind::Unauthorized),
        Joins::Not(Kind::RateLimited),
    ] {
        let first = Script::new("first", vec![away]);
        let row = row(&[&first, &second]);
        let begun = Instant::now();
        assert_eq!(row.ask().await, Ok("second 1 1".to_owned()));
        assert!(begun.elapsed() <= Duration::from_secs(5));
        assert_eq!(row.lines(), "duplex first -> second");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_failed_too_often_is_left_alone() {
    let first = Script::new("first", vec![Joins::Not(Kind::Unavailable)]);
    let second = Script::new("second", vec![Joins::Gladly]);
    let row = row(&[&first, &second]);
    for _ in 0..8 {
        row.ask().await.unwrap();
    }
    assert_eq!(first.asked(), 5);
    assert!(row.lines().contains("duplex first rests"));
}

#[tokio::test(start_paused = true)]
async fn the_row_is_asked_again_for_a_while() {
    let away = Joins::Not(Kind::Unavailable);
    let only = Script::new("only", vec![away, away, Joins::Gladly]);
    let begun = Instant::now();
    assert_eq!(row(&[&only]).ask().await, Ok("only 1 1".to_owned()));
    assert_eq!(begun.elapsed(), Duration::from_millis(750));
    assert_eq!(only.asked(), 3);

    let only = Script::new("only", vec![away]);
    let begun = Instant::now();
    let lost = row(&[&only]).ask().await.unwrap_err();
    assert!(
        matches!(lost.kind, Kind::Unavailable | Kind::Overloaded),
        "{lost}"
    );
    let waited = begun.elapsed();
    assert!((5..=10).contains(&waited.as_secs()), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn what_asking_again_does_not_help_is_told_at_once() {
    for kind in [Kind::Unauthorized, Kind::Rejected] {
        let only = Script::new("only", vec![Joins::Not(kind)]);
        let begun = Instant::now();
        let row = row(&[&only]);
        assert_eq!(row.ask().await.unwrap_err().kind, kind);
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert_eq!(row.duplex.usable().is_err(), kind == Kind::Unauthorized);
    }
    let only = Script::new("only", vec![Joins::Never]);
    let begun = Instant::now();
    assert_eq!(row(&[&only]).ask().await.unwrap_err().kind, Kind::Timeout);
    assert_eq!(begun.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_lasted_is_no_failure_and_one_that_did_not_is() {
    for (time, rests) in [
        (Duration::from_mins(1), false),
        (Duration::from_secs(1), true),
    ] {
        let only = Script::new("only", vec![Joins::For(time)]);
        let row = row(&[&only]);
        for _ in 0..5 {
            let mut stream = row.duplex.open(options(), Vec::new()).await.unwrap();
            assert_eq!(stream.events.recv().await, Some(DuplexEvent::Ready));
            let lost = stream.events.recv().await;
            assert!(
                matches!(&lost, Some(DuplexEvent::Lost(error)) if error.kind == Kind::Unavailable)
            );
            assert_eq!(stream.events.recv().await, None);
        }
        assert_eq!(row.lines().contains("duplex only rests"), rests, "{time:?}");
    }
}

#[tokio::test]
async fn vendors_stand_in_for_each_other() {
    for (first, second) in [(OPENAI, GEMINI), (GEMINI, OPENAI)] {
        let script = [answer("one"), answer("two"), answer("three")];
        let (broken, sound) = (first.fake(&script).await, second.fake(&script).await);
        let (watch, lines) = written();
        let members = [("first", first.of(&broken)), ("second", second.of(&sound))]
            .into_iter()
            .map(|(name, duplex)| Arc::new(Member::new(name, Stage::Duplex, duplex, watch.clone())))
            .collect();
        let row = GuardedDuplex::new(members, watch);
        let stream = row.open(options(), Vec::new()).await.unwrap();
        let mut call = Call {
            fake: broken,
            stream,
        };
        assert_eq!(call.event().await, DuplexEvent::Ready);
        assert_eq!(call.turn(1, "hello").await.text.trim(), "one");
        // lost in the middle of the second turn, and away from then on
        call.fake.world.with(|state| {
            state.breaks.push_back(End::Break);
            state.status = Some(503);
        });
        let heard = call.turn(2, "and then").await;
        assert_eq!(heard.text.trim(), "two");
        assert_eq!(heard.lost().kind, Kind::Unavailable);
        let history = [
            user("hello"),
            LlmMessage::Assistant("one".to_owned()),
            user("and then"),
            LlmMessage::Assistant("two".to_owned()),
        ];
        let history = history.map(DuplexItem::Message).to_vec();
        call.stream = row.open(options(), history).await.unwrap();
        assert_eq!(call.event().await, DuplexEvent::Ready);
        assert_eq!(call.turn(3, "at last").await.text.trim(), "three");
        assert_eq!(lines.lock().unwrap().join(", "), "duplex first -> second");
        assert_eq!(sound.handshakes(), 1);
        call.fake.is_content();
        sound.is_content();
    }
}
