//! Smart Turn with its real weights.

use local::{Cancel, LocalError, SmartTurn};

use crate::clips::{PER_MS, models_dir, recording};

fn smart_turn() -> SmartTurn {
    SmartTurn::open(&models_dir()).unwrap_or_else(|error| panic!("smart turn: {error}"))
}

#[test]
fn a_finished_sentence_is_told_from_a_cut_one() {
    let mut turn = smart_turn();
    let cities = recording("two_cities");
    // pauses after "worst of times", "the other way" and the end; then points inside sentences
    for finished_ms in [5_000, 28_700, 43_000, 44_200] {
        let probability = turn
            .complete(&cities[..finished_ms * PER_MS])
            .expect("it judges");
        assert!(
            probability > 0.5,
            "{probability} at {finished_ms} ms, where the sentence is over"
        );
    }
    for cut_ms in [3_400, 7_000, 11_000, 15_400, 30_600, 39_000] {
        let probability = turn
            .complete(&cities[..cut_ms * PER_MS])
            .expect("it judges");
        assert!(
            probability < 0.5,
            "{probability} at {cut_ms} ms, in the middle of a sentence"
        );
    }
}

#[test]
fn only_the_last_eight_seconds_matter() {
    let mut turn = smart_turn();
    let cities = recording("two_cities");
    let all = turn.complete(&cities).expect("it judges");
    let tail = turn
        .complete(&cities[cities.len() - 8_000 * PER_MS..])
        .expect("it judges");
    assert!((all - tail).abs() < 1e-6, "{all} and {tail}");
    assert!(
        turn.complete(&[])
            .is_ok_and(|probability| (0.0..=1.0).contains(&probability))
    );
}

#[test]
fn a_cancelled_question_is_not_answered() {
    let cancel = Cancel::new();
    cancel.cancel();
    let answer = smart_turn().complete_unless(&[0; 160], &cancel);
    assert!(matches!(answer, Err(LocalError::Cancelled)));
}
