//! Where each carrier's callbacks keep what [`Callback`] holds.
//! Called by [`Callback::read`].
//! Never judges what it reads.

use super::{
    AnsweredBy, CallStatus, Callback, Ended, Fields, SessionReport, StreamReport, StreamState,
};

/// Twilio, and those that follow it; `SignalWire`'s and Telnyx' `TeXML` callbacks among them.
pub(super) fn twilio(fields: &Fields) -> Callback {
    let stream = fields.get("StreamEvent").and_then(|event| {
        Some(StreamReport {
            stream_id: fields.word(&["StreamSid"]),
            state: StreamState::named(event)?,
            error: fields.word(&["StreamError"]),
        })
    });
    let session = fields.word(&["SessionId"]).map(|session_id| SessionReport {
        session_id,
        status: fields.word(&["SessionStatus"]),
        handoff: fields.get("HandoffData").map(str::to_owned),
    });
    Callback {
        call_id: fields.word(&["CallSid"]),
        status: fields.get("CallStatus").map(CallStatus::named),
        answered_by: fields.get("AnsweredBy").map(AnsweredBy::named),
        stream,
        session,
        ended: fields.get("HangupSource").and_then(Ended::named),
        cause: fields.word(&[
            "DialCallStatus",
            "HangupCause",
            "SipResponseCode",
            "ErrorCode",
        ]),
        duration_s: fields.number(&["CallDuration", "Duration"]),
        sequence: fields.number(&["SequenceNumber"]),
        at: fields.word(&["Timestamp"]),
        from: fields.word(&["From"]),
        to: fields.word(&["To"]),
        recording_url: fields.word(&["RecordingUrl"]),
        event: fields.word(&["CallbackSource", "StreamEvent"]),
        ..Callback::default()
    }
}

/// Telnyx call control: <https://developers.telnyx.com/docs/voice/programmable-voice/voice-api-webhooks>.
pub(super) fn telnyx(fields: &Fields) -> Callback {
    let payload = |name: &str| fields.get(&format!("data.payload.{name}"));
    let word = |name: &str| fields.word(&[&format!("data.payload.{name}")]);
    let event = fields.get("data.event_type").unwrap_or_default();
    let cause = word("hangup_cause");
    let status = match event {
        "call.initiated" => Some(CallStatus::Initiated),
        "call.ringing" => Some(CallStatus::Ringing),
        "call.answered" | "call.bridged" => Some(CallStatus::InProgress),
        "call.hangup" => Some(telnyx_end(cause.as_deref().unwrap_or_default())),
        _ => None,
    };
    let answered_by = match (event, payload("result")) {
        ("call.machine.detection.ended" | "call.machine.premium.detection.ended", Some(result)) => {
            Some(AnsweredBy::named(result))
        }
        ("call.machine.greeting.ended" | "call.machine.premium.greeting.ended", result) => {
            Some(match result {
                Some("beep_detected") => AnsweredBy::MachineBeep,
                _ => AnsweredBy::MachineEnd,
            })
        }
        _ => None,
    };
    let stream = StreamState::named(event).map(|state| StreamReport {
        stream_id: word("stream_id"),
        state,
        error: word("failure_reason"),
    });
    Callback {
        call_id: word("call_control_id"),
        status,
        answered_by,
        stream,
        ended: payload("hangup_source").and_then(Ended::named),
        cause,
        duration_s: fields.number(&["data.payload.duration_secs"]),
        at: fields.word(&["data.occurred_at"]),
        from: word("from"),
        to: word("to"),
        event: fields.word(&["data.event_type"]),
        ..Callback::default()
    }
}

/// The causes that the vendor names with `call.hangup`.
fn telnyx_end(cause: &str) -> CallStatus {
    match cause {
        "user_busy" => CallStatus::Busy,
        "timeout" | "no_answer" => CallStatus::NoAnswer,
        "call_rejected" => CallStatus::Rejected,
        "originator_cancel" => CallStatus::Canceled,
        "unallocated_number" | "not_found" | "unspecified" | "service_unavailable" => {
            CallStatus::Failed
        }
        _ => CallStatus::Completed,
    }
}

/// Plivo: ring, hang-up, machine-detection and stream callbacks, all forms.
pub(super) fn plivo(fields: &Fields) -> Callback {
    let event = fields.get("Event").unwrap_or_default();
    let machine = match (event, fields.get("Machine")) {
        (_, Some(word)) if word.eq_ignore_ascii_case("true") => Some(AnsweredBy::MachineStart),
        ("MachineDetection", Some(word)) if word.eq_ignore_ascii_case("false") => {
            Some(AnsweredBy::Human)
        }
        _ => None,
    };
    let stream = StreamState::named(event).map(|state| StreamReport {
        stream_id: fields.word(&["StreamID", "StreamId"]),
        state,
        error: fields.word(&["StreamError", "Reason"]),
    });
    Callback {
        call_id: fields.word(&["CallUUID", "ALegUUID"]),
        request_id: fields.word(&["RequestUUID", "ALegRequestUUID"]),
        status: fields.get("CallStatus").map(CallStatus::named),
        answered_by: machine,
        stream,
        ended: fields.get("HangupSource").and_then(Ended::named),
        cause: fields.word(&["HangupCauseName", "HangupCause"]),
        duration_s: fields.number(&["Duration"]),
        at: fields.word(&["EndTime", "AnswerTime", "StartTime", "Timestamp"]),
        from: fields.word(&["From"]),
        to: fields.word(&["To"]),
        recording_url: fields.word(&["RecordUrl", "RecordingUrl"]),
        event: fields.word(&["Event"]),
        ..Callback::default()
    }
}

/// Exotel: <https://developer.exotel.com/docs/voice-v1/api-reference/status-callback>.
pub(super) fn exotel(fields: &Fields) -> Callback {
    let status = fields.first(&["Status", "CallStatus"]);
    // it reports an answer by the event alone
    let status = status.or_else(|| fields.get("EventType").filter(|event| *event == "answered"));
    Callback {
        call_id: fields.word(&["CallSid"]),
        status: status.map(CallStatus::named),
        cause: fields.word(&["Cause", "DialCallStatus"]),
        duration_s: fields.number(&["ConversationDuration", "Duration"]),
        at: fields.word(&["DateUpdated"]),
        from: fields.word(&["From", "CallFrom"]),
        to: fields.word(&["To", "CallTo"]),
        recording_url: fields.word(&["RecordingUrl"]),
        event: fields.word(&["EventType"]),
        correlation: fields.word(&["CustomField"]),
        ..Callback::default()
    }
}

/// Vonage: <https://developer.vonage.com/en/voice/voice-api/webhook-reference>. `human` and `machine` are statuses there.
pub(super) fn vonage(fields: &Fields) -> Callback {
    let word = fields.get("status").unwrap_or_default();
    let answered_by = match word {
        "human" => Some(AnsweredBy::Human),
        "machine" if fields.get("sub_state") == Some("beep_start") => Some(AnsweredBy::MachineBeep),
        "machine" => Some(AnsweredBy::MachineStart),
        _ => None,
    };
    let status = match word {
        "" | "human" | "machine" => None,
        known => Some(CallStatus::named(known)),
    };
    Callback {
        call_id: fields.word(&["uuid", "call_uuid"]),
        status,
        answered_by,
        ended: match fields.get("disconnected_by") {
            Some("platform") => Some(Ended::Carrier),
            Some("user") => Some(Ended::Callee),
            _ => None,
        },
        cause: fields.word(&["detail", "reason"]),
        duration_s: fields.number(&["duration"]),
        at: fields.word(&["timestamp"]),
        from: fields.word(&["from"]),
        to: fields.word(&["to"]),
        recording_url: fields.word(&["recording_url"]),
        event: fields.word(&["status"]),
        ..Callback::default()
    }
}
