use serde_json::json;

use super::*;

/// A message of the documented shape, about the seconds `from` to `to`.
fn results(from: f64, to: f64, text: &str, flags: (bool, bool)) -> String {
    json!({
        "type": "Results", "channel_index": [0, 1], "start": from, "duration": to - from,
        "is_final": flags.0, "speech_final": false, "from_finalize": flags.1,
        "channel": { "alternatives": [{ "transcript": text, "confidence": 0.9, "words": [] }] },
        "metadata": { "request_id": "r", "model_uuid": "m", "model_info": {} }
    })
    .to_string()
}

const INTERIM: (bool, bool) = (false, false);
const FINAL: (bool, bool) = (true, false);
const FINALIZED: (bool, bool) = (true, true);

fn hearing(line: &mut Line, seconds: f64) -> Words {
    let mut words = Words::begin(line);
    words.sent(line, (seconds * RATE) as usize);
    words
}

#[test]
fn settled_text_stays_and_interim_text_gives_way() {
    let mut line = Line::default();
    let mut words = hearing(&mut line, 3.0);
    for (message, text) in [
        (results(0.0, 1.0, "hello", INTERIM), "hello"),
        (results(0.0, 2.0, "Hello there.", FINAL), "Hello there."),
        (results(2.0, 2.5, "who", INTERIM), "Hello there. who"),
        (results(2.0, 2.9, "", FINAL), "Hello there."),
    ] {
        assert_eq!(words.take(&message), Ok(Heard::Text));
        assert_eq!(words.text(), text);
    }
}

#[test]
fn the_answer_covers_the_audio_or_says_so() {
    let mut line = Line::default();
    let mut words = hearing(&mut line, 2.0);
    words.asked(&line);
    assert_eq!(words.grace(&line), None);
    let half = results(0.0, 1.0, "One", FINAL);
    assert_eq!(words.take(&half), Ok(Heard::Text));
    assert_eq!(words.grace(&line), None);
    let answer = results(1.0, 1.7, "two", FINALIZED);
    assert_eq!(words.take(&answer), Ok(Heard::Settled));

    // nothing is left to answer where the last results cover everything
    let mut words = hearing(&mut line, 1.0);
    words.asked(&line);
    let all = results(2.0, 3.0, "three", FINAL);
    assert_eq!(words.take(&all), Ok(Heard::Settled));
    assert_eq!(words.text(), "three");
}

#[test]
fn the_answer_to_an_earlier_mark_is_not_taken_for_the_later() {
    let mut line = Line::default();
    let mut words = hearing(&mut line, 1.0);
    words.asked(&line);
    words.sent(&mut line, 16_000);
    words.asked(&line);
    let first = results(0.0, 1.0, "One", FINALIZED);
    assert_eq!(words.take(&first), Ok(Heard::Text));
    let second = results(1.0, 1.8, "two", FINALIZED);
    assert_eq!(words.take(&second), Ok(Heard::Settled));
    assert_eq!(words.text(), "One two");
}

#[test]
fn what_was_said_before_the_utterance_is_not_part_of_it() {
    let mut line = Line::default();
    drop(hearing(&mut line, 2.0));
    let mut words = hearing(&mut line, 1.0);
    for flags in [INTERIM, FINAL, FINALIZED] {
        let late = results(0.5, 2.01, "before", flags);
        assert_eq!(words.take(&late), Ok(Heard::Nothing));
    }
    assert_eq!(words.text(), "");
}

#[test]
fn an_unread_rest_too_small_to_notice_is_waited_for_only_shortly() {
    let mut line = Line::default();
    let mut words = hearing(&mut line, 2.0);
    words.asked(&line);
    let almost = results(0.0, 1.95, "Almost", FINAL);
    assert_eq!(words.take(&almost), Ok(Heard::Text));
    assert_eq!(words.grace(&line), Some(GRACE));
    // and not at all when everything was settled before it was asked for
    let all = results(1.95, 2.0, "", FINAL);
    assert_eq!(words.take(&all), Ok(Heard::Settled));
    words.asked(&line);
    assert_eq!(words.grace(&line), Some(Duration::ZERO));
}

#[test]
fn what_the_contract_does_not_have_is_an_error() {
    let mut line = Line::default();
    let mut words = hearing(&mut line, 1.0);
    for (message, expected) in [
        ("", Err(Kind::Protocol)),
        ("{", Err(Kind::Protocol)),
        ("[]", Err(Kind::Protocol)),
        ("{}", Err(Kind::Protocol)),
        (
            r#"{"type":"Results","is_final":"yes"}"#,
            Err(Kind::Protocol),
        ),
        (r#"{"type":"Results","is_final":true}"#, Err(Kind::Protocol)),
        (
            r#"{"type":"Error","description":"d"}"#,
            Err(Kind::Unavailable),
        ),
        (
            r#"{"type":"Metadata","duration":1.5,"channels":1}"#,
            Ok(Heard::Nothing),
        ),
        (
            r#"{"type":"UtteranceEnd","channel":[0,1]}"#,
            Ok(Heard::Nothing),
        ),
    ] {
        assert_eq!(words.take(message), expected, "{message}");
    }
}
