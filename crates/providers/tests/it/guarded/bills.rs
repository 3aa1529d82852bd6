//! What providers were made to do is told however it ended: whole, broken off, or given up.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use engine::ask::LlmMessage;
use engine::meter::Units;
use providers::{
    Kind,
    guarded::{Incident, Watch},
    ports::Llm as _,
};

use super::{
    Script,
    llm::{Act, row},
    speech::{Hears, transcript, watched_ears},
};
use crate::conformance::{answer, ask};

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
