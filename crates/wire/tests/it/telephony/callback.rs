//! What carriers report over HTTP: every carrier's words, and words that nobody knows.

use proptest::prelude::*;
use wire::telephony::Dialect;
use wire::telephony::callback::{
    AnsweredBy, CallStatus, Callback, Ended, Fields, StreamState, Unreadable,
};

fn form(dialect: Dialect, body: &str) -> Callback {
    let fields = Fields::form(body.as_bytes()).expect("a form");
    Callback::read(dialect, &fields)
}

fn json(dialect: Dialect, body: &str) -> Callback {
    let kind = "application/json; charset=utf-8";
    let fields = Fields::body(kind, body.as_bytes()).expect("JSON");
    Callback::read(dialect, &fields)
}

#[test]
fn twilio_statuses_are_read() {
    let words = [
        ("queued", CallStatus::Queued),
        ("initiated", CallStatus::Initiated),
        ("ringing", CallStatus::Ringing),
        ("in-progress", CallStatus::InProgress),
        ("completed", CallStatus::Completed),
        ("busy", CallStatus::Busy),
        ("no-answer", CallStatus::NoAnswer),
        ("failed", CallStatus::Failed),
        ("canceled", CallStatus::Canceled),
    ];
    for (word, status) in words {
        for dialect in [Dialect::Twilio, Dialect::SignalWire, Dialect::Telnyx] {
            let report = form(dialect, &format!("CallSid=CA1&CallStatus={word}"));
            assert_eq!(report.status.as_ref(), Some(&status));
            assert_eq!(report.call_id.as_deref(), Some("CA1"));
            assert_eq!(status.word(), word);
        }
    }
    let report = form(
        Dialect::Twilio,
        "CallSid=CA1&CallStatus=completed&CallDuration=17&SequenceNumber=3&Timestamp=Mon%2C+01+Jan\
         &From=%2B15550100&To=%2B15550101&CallbackSource=call-progress-events&RecordingUrl=",
    );
    assert_eq!(report.duration_s, Some(17));
    assert_eq!(report.sequence, Some(3));
    assert_eq!(report.at.as_deref(), Some("Mon, 01 Jan"));
    assert_eq!(report.from.as_deref(), Some("+15550100"));
    assert_eq!(report.recording_url, None);
    let debug = format!("{report:?}");
    assert!(!debug.contains("1555"), "{debug}");
}

#[test]
fn twilio_says_who_answered_and_what_streams_do() {
    let words = [
        ("human", AnsweredBy::Human),
        ("machine_start", AnsweredBy::MachineStart),
        ("machine_end_beep", AnsweredBy::MachineBeep),
        ("machine_end_silence", AnsweredBy::MachineSilence),
        ("machine_end_other", AnsweredBy::MachineEnd),
        ("fax", AnsweredBy::Fax),
        ("unknown", AnsweredBy::Unknown),
        ("Marvin", AnsweredBy::Other("Marvin".into())),
    ];
    for (word, who) in words {
        let report = form(Dialect::Twilio, &format!("CallSid=CA1&AnsweredBy={word}"));
        assert_eq!(report.status, None);
        assert_eq!(who.is_machine(), word.starts_with("machine"));
        assert_eq!(who.may_speak(), word.starts_with("machine_end"));
        assert_eq!(report.answered_by, Some(who));
    }
    let report = form(
        Dialect::SignalWire,
        "CallSid=CA1&StreamSid=MZ1&StreamEvent=stream-error&StreamError=codec_error",
    );
    let stream = report.stream.expect("a stream");
    assert_eq!(stream.state, StreamState::Failed);
    assert_eq!(stream.error.as_deref(), Some("codec_error"));
    let report = form(
        Dialect::Relay,
        "CallSid=CA1&SessionId=VX1&SessionStatus=ended&SessionDuration=9&HandoffData=%7B%22a%22%3A1%7D",
    );
    let session = report.session.expect("a session");
    assert_eq!(session.handoff.as_deref(), Some(r#"{"a":1}"#));
    assert!(!format!("{session:?}").contains("\"a\""));
}

#[test]
fn telnyx_events_are_read() {
    let event = |kind: &str, more: &str| {
        let body = format!(
            r#"{{"data":{{"event_type":"{kind}","occurred_at":"2026-01-01T00:00:00Z","payload":{{"call_control_id":"v3:C","from":"+15550100","tags":["a"]{more}}}}},"meta":{{"attempt":1}}}}"#
        );
        json(Dialect::Telnyx, &body)
    };
    let hangup = event(
        "call.hangup",
        r#","hangup_cause":"user_busy","hangup_source":"callee""#,
    );
    assert_eq!(hangup.call_id.as_deref(), Some("v3:C"));
    assert_eq!(hangup.status, Some(CallStatus::Busy));
    assert_eq!(hangup.ended, Some(Ended::Callee));
    assert_eq!(hangup.cause.as_deref(), Some("user_busy"));
    for (cause, status) in [
        ("normal_clearing", CallStatus::Completed),
        ("timeout", CallStatus::NoAnswer),
        ("call_rejected", CallStatus::Rejected),
        ("originator_cancel", CallStatus::Canceled),
        ("not_found", CallStatus::Failed),
    ] {
        let report = event("call.hangup", &format!(r#","hangup_cause":"{cause}""#));
        assert_eq!(report.status, Some(status), "{cause}");
    }
    assert_eq!(
        event("call.initiated", "").status,
        Some(CallStatus::Initiated)
    );
    assert_eq!(
        event("call.answered", "").status,
        Some(CallStatus::InProgress)
    );
    for (kind, result, who) in [
        ("call.machine.detection.ended", "human", AnsweredBy::Human),
        (
            "call.machine.detection.ended",
            "machine",
            AnsweredBy::MachineStart,
        ),
        (
            "call.machine.detection.ended",
            "not_sure",
            AnsweredBy::Unknown,
        ),
        (
            "call.machine.premium.detection.ended",
            "human_business",
            AnsweredBy::Human,
        ),
        (
            "call.machine.premium.detection.ended",
            "fax_detected",
            AnsweredBy::Fax,
        ),
        (
            "call.machine.greeting.ended",
            "beep_detected",
            AnsweredBy::MachineBeep,
        ),
        (
            "call.machine.greeting.ended",
            "ended",
            AnsweredBy::MachineEnd,
        ),
    ] {
        let report = event(kind, &format!(r#","result":"{result}""#));
        assert_eq!(report.answered_by, Some(who), "{kind} {result}");
        assert_eq!(report.status, None);
    }
    let stream = event(
        "streaming.failed",
        r#","stream_id":"S","failure_reason":"connection_failed""#,
    );
    assert_eq!(stream.stream.map(|s| s.state), Some(StreamState::Failed));
    let other = event("call.speak.ended", "");
    assert_eq!(
        (other.status, other.event.as_deref()),
        (None, Some("call.speak.ended"))
    );
}

#[test]
fn plivo_exotel_and_vonage_are_read() {
    let hangup = form(
        Dialect::Plivo,
        "CallUUID=u1&RequestUUID=r1&CallStatus=completed&Event=Hangup&Duration=12&HangupCause=NORMAL_CLEARING\
         &HangupCauseName=Normal+Hangup&HangupSource=Callee",
    );
    assert_eq!(hangup.call_id.as_deref(), Some("u1"));
    assert_eq!(hangup.request_id.as_deref(), Some("r1"));
    assert_eq!(hangup.status, Some(CallStatus::Completed));
    assert_eq!(hangup.ended, Some(Ended::Callee));
    assert_eq!(hangup.cause.as_deref(), Some("Normal Hangup"));
    let machine = form(
        Dialect::Plivo,
        "CallUUID=u1&Event=MachineDetection&Machine=true",
    );
    assert_eq!(machine.answered_by, Some(AnsweredBy::MachineStart));
    let human = form(
        Dialect::Plivo,
        "CallUUID=u1&Event=MachineDetection&Machine=false",
    );
    assert_eq!(human.answered_by, Some(AnsweredBy::Human));
    let dropped = form(
        Dialect::Plivo,
        "CallUUID=u1&Event=DroppedStream&StreamID=s1",
    );
    assert_eq!(dropped.stream.map(|s| s.state), Some(StreamState::Failed));

    let ended =
        "CallSid=e1&Status=no-answer&EventType=terminal&DateUpdated=2026-01-01+00%3A00%3A00";
    assert_eq!(
        form(Dialect::Exotel, ended).status,
        Some(CallStatus::NoAnswer)
    );
    let answered = r#"{"CallSid":"e1","EventType":"answered","RecordingUrl":null}"#;
    assert_eq!(
        json(Dialect::Exotel, answered).status,
        Some(CallStatus::InProgress)
    );

    for (word, status) in [
        ("started", CallStatus::Initiated),
        ("ringing", CallStatus::Ringing),
        ("answered", CallStatus::InProgress),
        ("completed", CallStatus::Completed),
        ("busy", CallStatus::Busy),
        ("cancelled", CallStatus::Canceled),
        ("failed", CallStatus::Failed),
        ("rejected", CallStatus::Rejected),
        ("timeout", CallStatus::NoAnswer),
        ("unanswered", CallStatus::NoAnswer),
    ] {
        let body = format!(r#"{{"uuid":"v1","status":"{word}","duration":"2.7","from":"1"}}"#);
        let report = json(Dialect::Vonage, &body);
        assert_eq!(report.status, Some(status), "{word}");
        assert_eq!(report.duration_s, Some(2));
    }
    let beep = r#"{"uuid":"v1","status":"machine","sub_state":"beep_start"}"#;
    let beep = json(Dialect::Vonage, beep);
    assert_eq!(
        (beep.answered_by, beep.status),
        (Some(AnsweredBy::MachineBeep), None)
    );
    let nothing = form(Dialect::AudioHook, "CallSid=CA1&CallStatus=ringing");
    assert_eq!(nothing, Callback::default());
}

#[test]
fn late_words_never_win() {
    use CallStatus::{Busy, Completed, InProgress, Initiated, Other, Ringing};
    let other = || Other("paused".into());
    assert!(Initiated.yields_to(&Ringing));
    assert!(Ringing.yields_to(&Completed));
    assert!(!Completed.yields_to(&Ringing));
    assert!(!Completed.yields_to(&Busy), "the first end stays");
    assert!(!Ringing.yields_to(&Ringing));
    assert!(!InProgress.yields_to(&other()));
    assert!(other().yields_to(&Ringing));
    assert!(Completed.is_final() && !InProgress.is_final());
}

#[test]
fn unknown_words_are_kept_and_bad_bodies_refused() {
    let odd = form(Dialect::Twilio, "CallSid=CA1&CallStatus=Paused_Now");
    assert_eq!(odd.status, Some(CallStatus::Other("Paused_Now".into())));
    assert_eq!(odd.status.expect("a status").word(), "Paused_Now");
    let control = form(Dialect::Twilio, "CallSid=CA%001&CallStatus=ringing");
    assert_eq!(control.call_id, None);
    for body in ["", "[]", "1", "{", "\"x\""] {
        let read = Fields::json(body.as_bytes());
        assert_eq!(read, Err(Unreadable::NotJson), "{body}");
    }
    let large = vec![b'a'; 300_000];
    assert_eq!(Fields::form(&large), Err(Unreadable::TooLarge(300_000)));
    assert_eq!(Fields::json(&large), Err(Unreadable::TooLarge(300_000)));
    let many = "a=1&".repeat(600);
    assert_eq!(Fields::form(many.as_bytes()), Err(Unreadable::TooMany));
    let fields = Fields::form(b"b=2&a=1&a=3").expect("a form");
    let pairs: Vec<(&str, &str)> = fields
        .pairs()
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(pairs, [("b", "2"), ("a", "1"), ("a", "3")]);
}

proptest! {
    #[test]
    fn any_body_is_borne(body in prop::collection::vec(any::<u8>(), 0..256), text in ".{0,64}") {
        for dialect in Dialect::ALL {
            let bodies = [Fields::form(&body), Fields::json(&body), Fields::form(text.as_bytes())];
            for fields in bodies.iter().flatten() {
                let report = Callback::read(dialect, fields);
                prop_assert!(report.call_id.is_none_or(|id| !id.chars().any(char::is_control)));
            }
        }
    }
}
