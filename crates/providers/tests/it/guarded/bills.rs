//! What providers were made to do is told however it ended: whole, broken off, or given up.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use engine::ask::{DuplexCommand, DuplexItem, DuplexReply, DuplexUsage, Finish, LlmMessage};
use engine::meter::Units;
use engine::session::ReplyId;
use providers::{
    Kind,
    guarded::{Incident, Watch},
    ports::{Duplex as _, DuplexEvent, Llm as _, Piece, Tts as _, TtsEvent},
};

use super::{
    Script,
    duplex::{Joins, watched_row},
    failure,
    llm::{Act, row},
    speech::{Hears, Speaks, transcript, watched_ears, watched_voices},
};
use crate::conformance::{answer, ask, speak_options};
use crate::duplex::{options, user};

/// Provider, turn and units of everything that was used, in the order in which it was told.
type Bills = Arc<Mutex<Vec<(String, u32, Units)>>>;

fn bills() -> (Watch, Bills) {
    let bills: Bills = Arc::default();
    let book = Arc::clone(&bills);
    let watch = Watch::new(move |incident| {
        if let Incident::Used {
            provider,
            turn,
            units,
            ..
        } = *incident
        {
            book.lock()
                .unwrap()
                .push((provider.to_owned(), turn, units));
        }
    });
    (watch, bills)
}

/// A question of 40 characters in turn 3.
fn question() -> engine::ask::LlmRequest {
    engine::ask::LlmRequest {
        messages: vec![LlmMessage::System("x".repeat(40))],
        turn: 3,
        ..ask("")
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_broke_off_is_paid_for_as_well_as_the_one_that_followed() {
    let (watch, bills) = bills();
    let first = Script::new(
        "first/model",
        vec![Act::Breaks("eight ch", Kind::Unavailable)],
    );
    let second = Script::new("second", vec![Act::Says(1, "and twelve more.")]);
    let refuses = Script::new("refuses", vec![Act::Refuses(Kind::Overloaded, None)]);
    let row = row(&[&refuses, &first, &second], &watch);
    answer(&row, question()).await.unwrap();
    let bills = bills.lock().unwrap();
    let read: Vec<_> = bills
        .iter()
        .map(|(name, turn, units)| (name.as_str(), *turn, units.output_tokens, units.estimated))
        .collect();
    assert_eq!(read, [("first", 3, 2, true), ("second", 3, 4, true)]);
    assert_eq!(bills[0].2.input_tokens, 10);
    // the second one also read what was said and the wish that it be continued
    assert!(bills[1].2.input_tokens > 10 + 2, "{bills:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_waits_for_any_more_is_paid_for_as_far_as_it_came() {
    let (watch, bills) = bills();
    let hangs = Script::new("first", vec![Act::Hangs("eight ch")]);
    let row = row(&[&hangs], &watch);
    let mut stream = row.ask(question()).await.unwrap();
    stream.events.recv().await.unwrap();
    stream.events.recv().await.unwrap();
    drop(stream);
    tokio::time::sleep(Duration::from_millis(10)).await;
    let bills = bills.lock().unwrap();
    let (name, turn, units) = &bills[0];
    assert_eq!((name.as_str(), *turn, bills.len()), ("first", 3, 1));
    assert_eq!((units.input_tokens, units.output_tokens), (10, 2));
}

#[tokio::test(start_paused = true)]
async fn everybody_who_heard_an_utterance_is_paid_for_what_he_heard() {
    let (watch, bills) = bills();
    let first = Script::new("first", vec![Hears::Hangs]);
    let second = Script::new("second", vec![Hears::All]);
    transcript(&watched_ears(&[&first, &second], watch)).await;
    let bills = bills.lock().unwrap();
    let heard: Vec<_> = bills
        .iter()
        .map(|(name, _, units)| (name.as_str(), units.audio_ms))
        .collect();
    // ten times 100 samples
    assert_eq!(heard, [("first", 62), ("second", 62)]);
}

/// Characters that each voice was paid for when `scripts` had five pieces of ten characters, of which `heard` were
/// listened to.
async fn characters(scripts: &[&Arc<Script<Speaks>>], heard: usize) -> Vec<(String, u64)> {
    let (watch, bills) = bills();
    let (tts, _words) = watched_voices(scripts, watch);
    let mut stream = tts.open(speak_options("alloy")).await.unwrap();
    for index in 0..5 {
        let text = format!("{index} or ab cd");
        stream.pieces.send(Piece { index, text }).await.unwrap();
    }
    drop(stream.pieces);
    // it begins, and waits for whoever listens
    tokio::time::sleep(Duration::from_millis(10)).await;
    let mut done = 0;
    while done < heard {
        let event = stream.events.recv().await.unwrap();
        done += usize::from(matches!(event, TtsEvent::PieceDone { .. }));
    }
    drop(stream.events);
    tokio::time::sleep(Duration::from_millis(10)).await;
    let bills = bills.lock().unwrap();
    let characters = bills
        .iter()
        .map(|(name, _, units)| (name.clone(), units.characters));
    characters.collect()
}

fn of(name: &str, characters: u64) -> (String, u64) {
    (name.to_owned(), characters)
}

#[tokio::test(start_paused = true)]
async fn a_voice_is_paid_for_the_pieces_that_it_took() {
    let all = Script::new("first", vec![Speaks::All]);
    assert_eq!(characters(&[&all], 5).await, [of("first", 50)]);
    // interrupted in the second piece: the others had not reached it
    let slow = Script::new("first", vec![Speaks::Slowly(Duration::from_millis(100))]);
    assert_eq!(characters(&[&slow], 1).await, [of("first", 20)]);
    assert_eq!(characters(&[&slow], 0).await, [of("first", 10)]);
}

#[tokio::test(start_paused = true)]
async fn a_piece_that_did_not_reach_a_voice_is_paid_for_once() {
    let second = Script::new("second", vec![Speaks::All]);
    // it breaks off behind the first of the second piece's four words
    let breaks = Script::new("first", vec![Speaks::BreaksAfter(5)]);
    let paid = characters(&[&breaks, &second], 5).await;
    assert_eq!(paid, [of("first", 20), of("second", 38)]);
    // one that fails before its first word has refused; one that is silent has been asked all the same
    let refuses = Script::new("first", vec![Speaks::BreaksAfter(0)]);
    let paid = characters(&[&refuses, &second], 5).await;
    assert_eq!(paid, [of("second", 50)]);
    let hangs = Script::new("first", vec![Speaks::HangsAfter(0)]);
    let paid = characters(&[&hangs, &second], 5).await;
    assert_eq!(paid, [of("first", 10), of("second", 50)]);
}

/// Eight characters and half a second of speech.
fn part(reply: ReplyId) -> Vec<DuplexEvent> {
    let text = "eight ch".to_owned();
    let audio = Bytes::from(vec![0; 24_000]);
    vec![
        DuplexEvent::Text { reply, text },
        DuplexEvent::Audio { reply, audio },
    ]
}

/// What the vendor of these tests counts, where it does.
fn counts() -> DuplexUsage {
    let mut usage = DuplexUsage::default();
    usage.text.input_tokens = 77;
    usage
}

fn with(mut events: Vec<DuplexEvent>, last: DuplexEvent) -> Vec<DuplexEvent> {
    events.push(last);
    events
}

fn done(reply: ReplyId, usage: DuplexUsage) -> DuplexEvent {
    let finish = Finish::Stop;
    DuplexEvent::Done {
        reply,
        finish,
        usage,
    }
}

fn failed(reply: ReplyId, usage: DuplexUsage) -> DuplexEvent {
    let error = failure("only", Kind::Unavailable);
    DuplexEvent::Failed {
        reply,
        error,
        usage,
    }
}

fn lost() -> DuplexEvent {
    DuplexEvent::Lost(failure("only", Kind::Unavailable))
}

/// What a model says to its first question.
type Says = fn(ReplyId) -> Vec<DuplexEvent>;

/// The bills of a conversation that began with 40 characters, and heard a second of speech before it was asked for
/// the answer of turn 3.
async fn conversation(says: Says, cancels: bool) -> Vec<(u32, Units)> {
    let (watch, bills) = bills();
    let only = Script::new("only", vec![Joins::Says(says)]);
    let history = vec![DuplexItem::Message(user(&"x".repeat(40)))];
    let options = engine::ask::DuplexOptions {
        instructions: String::new(),
        ..options()
    };
    let stream = watched_row(&[&only], watch).open(options, history).await;
    let stream = stream.unwrap();
    let wanted = DuplexReply {
        turn: 3,
        ..DuplexReply::default()
    };
    let mut commands = vec![
        DuplexCommand::Audio(vec![0; 48_000].into()),
        DuplexCommand::Commit(1),
        DuplexCommand::Reply(1, Box::new(wanted)),
    ];
    commands.extend(cancels.then_some(DuplexCommand::Cancel(1)));
    for command in commands {
        stream.commands.send(command).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    drop(stream);
    tokio::time::sleep(Duration::from_millis(10)).await;
    let bills = bills.lock().unwrap();
    let units = bills.iter().map(|(_, turn, units)| (*turn, *units));
    units.collect()
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_a_speech_model_is_paid_for_however_it_ends() {
    let counted = Units {
        input_tokens: 77,
        ..Units::default()
    };
    let estimated = Units {
        input_tokens: 10,
        output_tokens: 2,
        audio_input_tokens: 10,
        audio_output_tokens: 10,
        estimated: true,
        ..Units::default()
    };
    let cases: [(&str, Says, bool, &[Units]); 9] = [
        (
            "done",
            |id| with(part(id), done(id, counts())),
            false,
            &[counted],
        ),
        (
            "failed",
            |id| with(part(id), failed(id, counts())),
            false,
            &[counted],
        ),
        (
            "failed at once",
            |id| vec![failed(id, counts())],
            false,
            &[counted],
        ),
        // nobody has counted
        (
            "done",
            |id| with(part(id), done(id, DuplexUsage::default())),
            false,
            &[estimated],
        ),
        (
            "failed",
            |id| with(part(id), failed(id, DuplexUsage::default())),
            false,
            &[estimated],
        ),
        ("hung up", part, false, &[estimated]),
        ("cancelled", part, true, &[estimated]),
        ("lost", |id| with(part(id), lost()), false, &[estimated]),
        // nothing came: nobody knows whether the question was read
        ("hung up at once", |_| Vec::new(), false, &[]),
    ];
    for (how, says, cancels, expected) in cases {
        let expected: Vec<_> = expected.iter().map(|units| (3, *units)).collect();
        assert_eq!(conversation(says, cancels).await, expected, "{how}");
    }
}
