use proptest::prelude::*;

use super::*;

fn apply(words: &[&str]) -> Progress {
    words.iter().fold(Progress::queued(), |progress, word| {
        let status = CarrierStatus::parse(word).unwrap();
        progress.after(status.step(1)).unwrap_or(progress)
    })
}

#[test]
fn a_late_word_changes_nothing() {
    let done = apply(&["initiated", "ringing", "in-progress", "completed"]);
    assert_eq!(done.state, CallState::Ended);
    for late in [
        "initiated",
        "ringing",
        "in-progress",
        "completed",
        "busy",
        "failed",
    ] {
        let status = CarrierStatus::parse(late).unwrap();
        assert_eq!(done.after(status.step(1)), None, "{late}");
    }
    assert_eq!(CarrierStatus::parse("machine"), None);
}

#[test]
fn carrier_words_end_as_the_table_says() {
    for (word, outcome, legacy) in [
        ("completed", None, "completed"),
        ("busy", Some(Outcome::Busy), "no_answer"),
        ("no-answer", Some(Outcome::NoAnswer), "no_answer"),
        ("rejected", Some(Outcome::Declined), "declined"),
        ("failed", Some(Outcome::Failed), "failed"),
        ("canceled", Some(Outcome::Failed), "failed"),
    ] {
        let ended = apply(&["ringing", word]);
        assert_eq!(
            (ended.state, ended.outcome),
            (CallState::Ended, outcome),
            "{word}"
        );
        assert_eq!(legacy_status(ended.state, ended.outcome), legacy, "{word}");
    }
}

#[test]
fn whoever_says_first_why_it_ends_is_believed() {
    let ours = Step::to(1, CallState::Ending).because(HangupReason::MaxDuration, Party::System);
    let ending = apply(&["in-progress"]).after(ours).unwrap();
    let ended = ending.after(CarrierStatus::Completed.step(1)).unwrap();
    assert_eq!(
        ended.ended_by,
        Some((HangupReason::MaxDuration, Party::System))
    );
    assert_eq!(apply(&["completed"]).ended_by.unwrap().1, Party::Caller);
}

#[test]
fn it_is_called_off_before_it_is_placed_or_not_at_all() {
    let off = Step::to(1, CallState::Cancelled);
    assert!(Progress::queued().after(off).is_some());
    assert_eq!(apply(&["initiated"]).after(off), None);
    let blocked = Progress::queued()
        .after(Step::to(1, CallState::Blocked))
        .unwrap();
    assert_eq!(blocked.after(CarrierStatus::Ringing.step(2)), None);
    assert_eq!(legacy_status(blocked.state, None), "cancelled");
}

#[test]
fn another_attempt_begins_anew_and_an_earlier_one_is_past() {
    let busy = apply(&["initiated", "busy"]);
    let again = busy.after(Step::to(2, CallState::Scheduled)).unwrap();
    assert_eq!(
        (again.attempt, again.state, again.outcome),
        (2, CallState::Scheduled, None)
    );
    assert_eq!(again.after(CarrierStatus::Completed.step(1)), None);
    let ringing = again.after(CarrierStatus::Ringing.step(2)).unwrap();
    assert_eq!(ringing.state, CallState::Ringing);
    // neither a person on the line nor an attempt that was left out is passed over, and no attempt begins in its middle
    let live = apply(&["in-progress"]);
    for (progress, step) in [
        (live, Step::to(2, CallState::Scheduled)),
        (busy, Step::to(3, CallState::Scheduled)),
        (busy, Step::to(2, CallState::Live)),
    ] {
        assert_eq!(progress.after(step), None, "{step:?}");
    }
}

#[test]
fn every_word_is_read_as_it_is_written() {
    for state in CallState::ALL {
        assert_eq!(CallState::parse(state.name()), Some(*state));
        assert_eq!(
            serde_json::to_string(state).unwrap(),
            format!("\"{}\"", state.name())
        );
    }
    for reason in HangupReason::ALL {
        assert_eq!(HangupReason::parse(reason.name()), Some(*reason));
        assert_eq!(
            serde_json::to_string(reason).unwrap(),
            format!("\"{}\"", reason.name())
        );
    }
    for outcome in Outcome::ALL {
        assert_eq!(Outcome::parse(outcome.name()), Some(*outcome));
    }
    assert_eq!(Party::parse("nobody"), None);
    let legacy = [
        (CallState::Queued, "queued"),
        (CallState::Scheduled, "scheduled"),
        (CallState::Dialing, "initiating"),
        (CallState::Ringing, "ringing"),
        (CallState::Live, "in_progress"),
        (CallState::Ending, "in_progress"),
        (CallState::Cancelled, "cancelled"),
    ];
    for (state, word) in legacy {
        assert_eq!(legacy_status(state, None), word);
    }
    let transferred = legacy_status(CallState::Ended, Some(Outcome::Transferred));
    assert_eq!(transferred, "completed");
}

proptest! {
    /// However a carrier's words are mixed up and repeated, the call ends the same way and never goes back.
    #[test]
    fn order_and_repetition_make_no_difference(
        order in Just(vec!["initiated", "ringing", "in-progress", "completed"])
            .prop_flat_map(|words| proptest::collection::vec(proptest::sample::select(words), 0..20)),
    ) {
        let mut progress = Progress::queued();
        for word in order.iter().chain(&["completed"]) {
            let step = CarrierStatus::parse(word).unwrap().step(1);
            if let Some(next) = progress.after(step) {
                prop_assert!(next.state.rank() > progress.state.rank());
                progress = next;
            }
        }
        prop_assert_eq!(progress, apply(&["completed"]));
    }

    #[test]
    fn a_state_that_is_over_stays(from in 0..CallState::ALL.len(), to in 0..CallState::ALL.len()) {
        let (from, to) = (CallState::ALL[from], CallState::ALL[to]);
        prop_assert!(!(from.is_over() && from.may_become(to)));
        prop_assert!(!from.may_become(from));
    }
}
