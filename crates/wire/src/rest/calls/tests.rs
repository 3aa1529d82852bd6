use serde_json::json;

use super::leadflip::{CallType, Health, Job, StatusTaken};
use super::webhook::{CallHappening, CallMessage, CallTurn, RecordingNews, SummaryNews};
use super::*;

#[test]
fn a_job_of_leadflip_is_read_as_it_is() {
    let payload = json!({
        "call_id": "0b7e7d0e-0000-4000-8000-000000000001",
        "lead_id": "0b7e7d0e-0000-4000-8000-000000000002",
        "business_id": "0b7e7d0e-0000-4000-8000-000000000003",
        "consumer_id": "user_1",
        "phone_number": "+14155550100",
        "call_type": "confirm_appointment",
        "objective": "Confirm Tuesday at nine",
        "system_prompt": "You are calling for a plumber.",
        "scheduled_time": "2026-03-02T09:00:00.000Z",
        "attempt_number": 2
    });
    let job: Job = serde_json::from_value(payload.clone()).expect("read");
    assert_eq!(serde_json::to_value(&job).expect("written"), payload);
    assert_eq!(
        (job.call_type.name(), job.call_type.priority()),
        ("confirm_appointment", 1)
    );
    assert!(job.request_key().ends_with("000000000001 2"));
    let call = job.into_call(Some(1_772_442_000));
    assert_eq!(call.to, "+14155550100");
    assert_eq!(
        call.instructions.as_deref(),
        Some("You are calling for a plumber.")
    );
    assert_eq!(call.scheduled_at, Some(1_772_442_000));
}

#[test]
fn a_job_may_lack_what_leadflip_may_leave_out() {
    let payload = json!({
        "call_id": "c1", "lead_id": null, "phone_number": "+14155550100",
        "call_type": "qualify_lead", "objective": "Ask what is broken", "extra": 1
    });
    let job: Job = serde_json::from_value(payload).expect("read");
    assert_eq!((job.attempt_number, job.lead_id.as_deref()), (1, None));
    assert_eq!(job.call_type, CallType::QualifyLead);
    assert_eq!(job.into_call(None).instructions, None);
    for (kind, priority) in [("follow_up", 3), ("consumer_callback", 3)] {
        let kind: CallType = serde_json::from_value(json!(kind)).expect("known");
        assert_eq!(kind.priority(), priority);
    }
    assert!(serde_json::from_value::<CallType>(json!("sell")).is_err());
}

#[test]
fn health_and_the_status_answer_are_what_its_scripts_look_for() {
    let health = serde_json::to_string(&Health::healthy(3, 123.456)).expect("written");
    assert_eq!(
        health,
        r#"{"status":"healthy","activeCalls":3,"uptime":123.456}"#
    );
    let taken = serde_json::to_string(&StatusTaken { success: true }).expect("written");
    assert_eq!(taken, r#"{"success":true}"#);
}

#[test]
fn a_new_call_says_what_it_does_not_know() {
    let least = json!({"to": "+14155550100", "objective": "Confirm Tuesday at nine"});
    let call: NewCall = serde_json::from_value(least).expect("read");
    assert_eq!(call.voicemail, VoicemailPolicy::HangUp);
    assert_eq!(call.recording, RecordingPolicy::Never);
    let full = json!({
        "to": "+14155550100", "objective": "Confirm Tuesday at nine", "agent": "ann",
        "voicemail": {"type": "leave_message", "message": "Please call back."},
        "recording": "with_consent", "metadata": {"order": "7"}
    });
    let call: NewCall = serde_json::from_value(full).expect("read");
    let message = "Please call back.".to_owned();
    assert_eq!(call.voicemail, VoicemailPolicy::LeaveMessage { message });
    let wrong = json!({"to": "+1", "objective": "x", "objektive": "y"});
    let error = serde_json::from_value::<NewCall>(wrong).expect_err("refused");
    assert!(error.to_string().contains("objektive"));
}

#[test]
fn webhooks_name_what_happened() {
    let turn = CallTurn {
        seq: 1,
        role: "caller".to_owned(),
        text: "Hello?".to_owned(),
        started_ms: 800,
        ended_ms: 1400,
        interrupted: false,
    };
    let recording = RecordingNews {
        recording_id: "rec_1".to_owned(),
        content_type: "audio/wav".to_owned(),
        channels: 2,
        duration_ms: 60_000,
    };
    let summary = SummaryNews {
        summary_status: "failed".to_owned(),
        summary: None,
        transcript: "AI: Hello.\nUser: Hello?".to_owned(),
    };
    for (event, kind) in [
        (CallHappening::Transcript(turn), "call.transcript"),
        (CallHappening::Recording(recording), "call.recording"),
        (CallHappening::Summary(summary), "call.summary"),
    ] {
        let message = CallMessage {
            id: "evt_1".to_owned(),
            created_at: 1,
            call_id: "call_1".to_owned(),
            event,
        };
        let written = serde_json::to_value(&message).expect("written");
        assert_eq!(written["type"], kind);
        assert_eq!(written["call_id"], "call_1");
        assert!(written["data"].is_object());
    }
}

#[test]
fn lists_and_entries_have_the_shapes_of_the_others() {
    let page = Page::new(vec![1, 2], Some("x".to_owned()));
    let written = serde_json::to_value(&page).expect("written");
    let expected = json!({"object": "list", "data": [1, 2], "has_more": true, "next": "x"});
    assert_eq!(written, expected);
    let entry: DoNotCall = serde_json::from_value(json!({"number": "+14155550100"})).expect("read");
    assert_eq!((entry.source, entry.note), (None, None));
    assert_eq!(ConsentKind::AiCall.name(), "ai_call");
    let kind = serde_json::to_value(ConsentKind::Recording).expect("written");
    assert_eq!(kind, ConsentKind::Recording.name());
}
