use proptest::prelude::*;

use super::*;

const FRAME: usize = 160;

fn ledger() -> Ledger {
    Ledger::new(Marks::Sent, 8000)
}

fn send(ledger: &mut Ledger, item: &str, ms: usize) -> String {
    match ledger.audio((item, 0), ms * 8, 0) {
        Sent::Play(Some(mark)) => mark.to_string(),
        other => panic!("{other:?}"),
    }
}

fn cut(ledger: &mut Ledger, now_ms: u64) -> Vec<(String, u64)> {
    let mut cuts = Vec::new();
    let clear = ledger.interrupt(now_ms, &mut cuts);
    assert_eq!(clear, !cuts.is_empty());
    cuts.into_iter()
        .map(|cut| (cut.item, cut.heard_ms))
        .collect()
}

#[test]
fn what_was_heard_is_the_last_mark_and_a_little_more() {
    let mut ledger = ledger();
    let marks: Vec<String> = (0..10).map(|_| send(&mut ledger, "a", 100)).collect();
    assert_eq!(ledger.mark(&marks[2]), Echo::Played);
    assert_eq!(ledger.mark(&marks[1]), Echo::Known);
    assert_eq!(ledger.mark(&marks[2]), Echo::Known);
    assert_eq!(ledger.unplayed_ms(0), 700);
    assert_eq!(cut(&mut ledger, 0), [("a".to_owned(), 350)]);
    // and only once
    assert_eq!(cut(&mut ledger, 0), []);
    assert_eq!(ledger.audio(("a", 0), FRAME, 0), Sent::Late);
}

#[test]
fn marks_that_come_back_because_of_a_clear_say_nothing() {
    let mut ledger = ledger();
    let old = send(&mut ledger, "a", 1000);
    assert_eq!(cut(&mut ledger, 0), [("a".to_owned(), 50)]);
    let new = send(&mut ledger, "b", 400);
    assert_eq!(ledger.mark(&old), Echo::Cleared);
    assert_eq!(ledger.unplayed_ms(0), 400);
    assert_eq!(ledger.mark(&new), Echo::Played);
    assert!(ledger.is_quiet(0));
    // nothing plays: nothing is cleared
    assert_eq!(cut(&mut ledger, 0), []);
}

#[test]
fn items_that_had_not_begun_were_not_heard() {
    let mut ledger = ledger();
    let first = send(&mut ledger, "a", 300);
    send(&mut ledger, "b", 300);
    send(&mut ledger, "c", 300);
    assert_eq!(ledger.mark(&first), Echo::Played);
    assert_eq!(
        cut(&mut ledger, 0),
        [("b".to_owned(), 50), ("c".to_owned(), 0)]
    );
}

#[test]
fn a_mark_of_a_later_item_has_played_those_before() {
    let mut ledger = ledger();
    send(&mut ledger, "a", 300);
    let second = send(&mut ledger, "b", 300);
    assert_eq!(ledger.mark(&second), Echo::Played);
    assert!(ledger.is_quiet(0));
}

#[test]
fn never_more_than_was_sent_is_cut() {
    let mut ledger = ledger();
    send(&mut ledger, "a", 20);
    assert_eq!(cut(&mut ledger, 9_999), [("a".to_owned(), 20)]);
}

#[test]
fn marks_of_others_are_unknown() {
    let mut ledger = ledger();
    send(&mut ledger, "a", 20);
    for name in [
        "",
        "x",
        "g0q9i0s160",
        "g1q0i0s160",
        "g0q0i7s160",
        "gqis",
        "g0q0i0s-1",
    ] {
        assert_eq!(ledger.mark(name), Echo::Unknown, "{name}");
    }
    // more than was sent is as much as was sent
    assert_eq!(ledger.mark("g0q0i0s99999"), Echo::Played);
    assert!(ledger.is_quiet(0));
}

#[test]
fn without_marks_the_clock_tells() {
    let mut ledger = Ledger::new(Marks::Clock, 8000);
    for n in 0..10 {
        let item = if n < 5 { "a" } else { "b" };
        assert_eq!(ledger.audio((item, 0), FRAME * 5, 1000), Sent::Play(None));
    }
    assert_eq!(ledger.unplayed_ms(1100), 900);
    assert_eq!(cut(&mut ledger, 1620), [("b".to_owned(), 120)]);
    // after a pause the next begins when it is sent
    assert_eq!(ledger.audio(("c", 0), 8000, 9000), Sent::Play(None));
    assert_eq!(ledger.audio(("c", 0), 8000, 9100), Sent::Play(None));
    assert_eq!(cut(&mut ledger, 9500), [("c".to_owned(), 500)]);
}

#[test]
fn without_marks_a_pause_between_items_is_no_playing() {
    let mut ledger = Ledger::new(Marks::Clock, 8000);
    ledger.audio(("a", 0), 800, 0);
    assert!(ledger.is_quiet(100));
    ledger.audio(("a", 0), 800, 5000);
    assert_eq!(ledger.unplayed_ms(5040), 60);
}

#[test]
fn a_refused_item_is_never_sent() {
    let mut ledger = ledger();
    ledger.refuse("a");
    assert_eq!(ledger.audio(("a", 0), FRAME, 0), Sent::Late);
}

#[test]
fn many_items_stay_within_bounds() {
    let mut ledger = ledger();
    for n in 0..1000 {
        send(&mut ledger, &format!("item{n}"), 20);
    }
    assert_eq!(ledger.items.len(), ITEMS);
    assert_eq!(cut(&mut ledger, 0).len(), ITEMS);
}

#[derive(Debug, Clone)]
enum Move {
    Send(u8, u16),
    Echo(u8),
    Interrupt,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        4 => (0..4_u8, 1..2000_u16).prop_map(|(item, samples)| Move::Send(item, samples)),
        4 => any::<u8>().prop_map(Move::Echo),
        1 => Just(Move::Interrupt),
    ];
    proptest::collection::vec(one, 0..200)
}

proptest! {
    /// Against a carrier that plays in order and echoes any mark at any time, as often as it likes.
    #[test]
    fn nothing_is_cut_twice_or_behind_its_end(moves in moves()) {
        let mut ledger = ledger();
        let mut names: Vec<String> = Vec::new();
        let mut sent = std::collections::HashMap::<String, u64>::new();
        let mut round = 0;
        let mut dead = std::collections::HashSet::new();
        for step in moves {
            match step {
                Move::Send(item, samples) => {
                    let item = format!("r{round}i{item}");
                    match ledger.audio((&item, 0), usize::from(samples), 0) {
                        Sent::Play(Some(mark)) => {
                            names.push(mark.to_string());
                            *sent.entry(item.clone()).or_default() += u64::from(samples);
                            prop_assert!(!dead.contains(&item));
                        }
                        other => prop_assert!(false, "{:?}", other),
                    }
                }
                Move::Echo(which) if !names.is_empty() => {
                    let name = &names[usize::from(which) % names.len()];
                    let before = ledger.unplayed();
                    let echo = ledger.mark(name);
                    prop_assert_ne!(echo, Echo::Unknown);
                    prop_assert_eq!(ledger.unplayed() < before, echo == Echo::Played);
                }
                Move::Echo(_) => {}
                Move::Interrupt => {
                    let mut cuts = Vec::new();
                    let left = ledger.unplayed();
                    prop_assert_eq!(ledger.interrupt(0, &mut cuts), left > 0);
                    for cut in cuts {
                        prop_assert!(cut.heard_ms <= sent[&cut.item] / 8);
                        dead.insert(cut.item);
                    }
                    if left > 0 {
                        round += 1;
                    }
                    prop_assert_eq!(ledger.unplayed(), 0);
                }
            }
        }
    }
}
