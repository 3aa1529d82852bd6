use proptest::prelude::*;

use super::Sign::{
    Beep, Carrier, Conversing, Nothing, SpeechStarted, SpeechStopped, Words, WordsEnded,
};
use super::*;

/// Every verdict with its time; the clock is asked whenever it wants to be, and until `until_ms`.
fn verdicts(signs: &[(u64, Sign<'_>)], until_ms: u64) -> (Vec<(u64, Verdict)>, Detector) {
    let mut detector = Detector::default();
    let mut said = Vec::new();
    let mut rest = signs.iter().peekable();
    loop {
        let sign_ms = rest.peek().map_or(until_ms, |(at, _)| *at);
        match detector.next_ms().filter(|at| *at < sign_ms) {
            Some(at) => {
                let verdict = detector.on(Nothing, at);
                assert!(verdict.is_some(), "nothing at {at}, which it asked for");
                said.extend(verdict.map(|verdict| (at, verdict)));
            }
            None => match rest.next() {
                Some((at, sign)) => {
                    said.extend(detector.on(*sign, *at).map(|verdict| (*at, verdict)));
                }
                None => return (said, detector),
            },
        }
    }
}

fn speech(from: u64, to: u64, words: &str) -> Vec<(u64, Sign<'_>)> {
    vec![
        (from, SpeechStarted),
        (to, SpeechStopped),
        (to + 200, Words(words)),
        (to + 200, WordsEnded),
    ]
}

const GREETING: &str = "Hi, you've reached Bob. I can't take your call, please leave a message.";

#[test]
fn a_person_says_a_word_and_waits() {
    let (said, detector) = verdicts(&speech(800, 1400, "Hello?"), 30_000);
    assert_eq!(said, [(1900, Verdict::Human)]);
    assert_eq!(detector.message_ms(), None);
    // without a transcript it takes a second longer
    let (said, _) = verdicts(&[(800, SpeechStarted), (1400, SpeechStopped)], 30_000);
    assert_eq!(said, [(2900, Verdict::Human)]);
}

#[test]
fn a_machine_says_what_machines_say() {
    let (said, detector) = verdicts(&speech(500, 6500, GREETING), 30_000);
    assert_eq!(said, [(6700, Verdict::Machine)]);
    // no beep is heard: it listens two seconds after its last word
    assert_eq!(detector.message_ms(), Some(8500));
}

#[test]
fn the_beep_is_what_a_message_waits_for() {
    let mut signs = speech(500, 6500, GREETING);
    signs.push((7600, Beep));
    let (said, detector) = verdicts(&signs, 30_000);
    assert_eq!(
        said,
        [(6700, Verdict::Machine), (7600, Verdict::MachineEndBeep)]
    );
    assert_eq!(detector.message_ms(), Some(7600));
    // a beep before anything was said is a machine's too
    let (said, _) = verdicts(&[(3000, Beep)], 30_000);
    assert_eq!(said, [(3000, Verdict::MachineEndBeep)]);
    // one in the background of a person is not
    let mut signs = speech(800, 1400, "Hello?");
    signs.push((5000, Beep));
    assert_eq!(verdicts(&signs, 30_000).0, [(1900, Verdict::Human)]);
}

#[test]
fn a_phrase_in_two_pieces_is_one_phrase() {
    let signs = [
        (100, SpeechStarted),
        (2000, Words("please leave a mess")),
        (2100, Words("age after")),
        (2500, Words(" the tone")),
    ];
    let (said, detector) = verdicts(&signs, 3000);
    assert_eq!(said, [(2100, Verdict::Machine)]);
    // it is still speaking
    assert_eq!(detector.message_ms(), Some(22_100));
}

#[test]
fn silence_and_mumbling_are_called_what_they_are() {
    assert_eq!(verdicts(&[], 30_000).0, [(10_000, Verdict::Silence)]);
    let mumbling = [(500, SpeechStarted), (5000, SpeechStopped)];
    assert_eq!(verdicts(&mumbling, 30_000).0, [(6500, Verdict::Uncertain)]);
    let endless = [(500, SpeechStarted)];
    assert_eq!(verdicts(&endless, 30_000).0, [(20_000, Verdict::Uncertain)]);
    // many words without a pause are a machine's even if it says nothing typical
    let menu = "Thank you for calling the office of Miller and sons today";
    let (said, _) = verdicts(&speech(200, 4000, menu), 30_000);
    assert_eq!(said, [(4200, Verdict::Machine)]);
}

#[test]
fn words_overrule_the_carrier_and_the_carrier_overrules_timing() {
    let hello = |verdict| {
        let mut signs = speech(800, 1400, "Hello?");
        signs.push((4000, Carrier(verdict)));
        verdicts(&signs, 30_000).0
    };
    let human = (1900, Verdict::Human);
    assert_eq!(hello(CarrierVerdict::Human), [human]);
    assert_eq!(hello(CarrierVerdict::Unknown), [human]);
    assert_eq!(
        hello(CarrierVerdict::Machine),
        [human, (4000, Verdict::Machine)]
    );
    let ended = hello(CarrierVerdict::MachineEnded);
    assert_eq!(ended, [human, (4000, Verdict::MachineEndBeep)]);

    let mut signs = speech(500, 6500, GREETING);
    signs.push((7000, Carrier(CarrierVerdict::Human)));
    assert_eq!(verdicts(&signs, 30_000).0, [(6700, Verdict::Machine)]);
    let mut signs = vec![(400, Carrier(CarrierVerdict::Human))];
    signs.extend(speech(500, 6500, GREETING));
    let expected = [(400, Verdict::Human), (6700, Verdict::Machine)];
    assert_eq!(verdicts(&signs, 30_000).0, expected);
}

#[test]
fn what_is_said_in_conversation_is_no_greeting() {
    let mut signs = speech(800, 1400, "Hello?");
    signs.push((4000, Conversing));
    signs.extend(speech(
        5000,
        7000,
        "You could leave a message with my wife.",
    ));
    assert_eq!(verdicts(&signs, 30_000).0, [(1900, Verdict::Human)]);
}

#[test]
fn the_words_of_carriers_are_known() {
    for (word, verdict) in [
        ("human", Some(CarrierVerdict::Human)),
        ("machine_start", Some(CarrierVerdict::Machine)),
        ("fax", Some(CarrierVerdict::Machine)),
        ("machine_end_beep", Some(CarrierVerdict::MachineEnded)),
        ("machine_end_silence", Some(CarrierVerdict::MachineEnded)),
        ("unknown", Some(CarrierVerdict::Unknown)),
        ("", None),
    ] {
        assert_eq!(CarrierVerdict::parse(word), verdict, "{word}");
    }
}

fn sign() -> impl Strategy<Value = Sign<'static>> {
    prop_oneof![
        Just(SpeechStarted),
        Just(SpeechStopped),
        Just(Words("hello ")),
        Just(Words("leave a mess")),
        Just(Words("age ")),
        Just(WordsEnded),
        Just(Beep),
        Just(Carrier(CarrierVerdict::Human)),
        Just(Carrier(CarrierVerdict::Machine)),
        Just(Carrier(CarrierVerdict::MachineEnded)),
        Just(Carrier(CarrierVerdict::Unknown)),
        Just(Conversing),
    ]
}

proptest! {
    #[test]
    fn there_is_a_verdict_in_time_and_it_does_not_waver(steps in proptest::collection::vec((sign(), 0_u64..3000), 0..40)) {
        let mut at = 0;
        let signs: Vec<_> = steps.into_iter().map(|(sign, after)| { at += after; (at, sign) }).collect();
        let (said, detector) = verdicts(&signs, 300_000);
        prop_assert!(!said.is_empty() && said[0].0 <= 20_000);
        // from timing to the carrier to words, and a machine that finishes
        prop_assert!(said.len() <= 5, "{:?}", said);
        prop_assert_eq!(detector.message_ms().is_some(), detector.verdict().unwrap().is_machine());
    }
}
