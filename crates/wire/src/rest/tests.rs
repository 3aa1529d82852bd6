use serde_json::{Value, json};

use super::error::{ApiErrorKind, ErrorEnvelope};
use super::speech::{SpeechEvent, SpeechFormat, SpeechUsage, StreamFormat};
use super::transcription::{Segment, TranscriptEvent, Transcription, TranscriptionFormat};
use super::*;
use crate::realtime::server::TranscriptionUsage;
use crate::realtime::session::SessionKind;
use crate::realtime::{AudioBytes, ErrorBody};

/// Code and parameter of a refusal.
fn refusal<T>(result: Result<T, crate::realtime::decode::DecodeError>) -> (String, String) {
    let Err(refused) = result else {
        panic!("the body should be refused");
    };
    let (code, param) = (refused.error.code, refused.error.param);
    (code.unwrap_or_default(), param.unwrap_or_default())
}

fn pair(code: &str, param: &str) -> (String, String) {
    (code.to_owned(), param.to_owned())
}

#[test]
fn a_client_secret_request_is_checked() {
    let bare = client_secrets::decode(&json!({})).expect("accepted");
    assert_eq!(bare.lifetime_s, 600);
    assert_eq!(bare.session, None);
    let full = client_secrets::decode(&json!({
        "expires_after": {"anchor": "created_at", "seconds": 7200},
        "session": {"type": "realtime", "instructions": "Be kind."}}))
    .expect("accepted");
    assert_eq!(full.lifetime_s, 7_200);
    let session = full.session.expect("session");
    assert_eq!(session.instructions.as_deref(), Some("Be kind."));
    for (body, code, param) in [
        (
            json!({"expires_after": {"anchor": "created_at", "seconds": 9}}),
            "invalid_value",
            "expires_after.seconds",
        ),
        (
            json!({"expires_after": {"anchor": "now"}}),
            "invalid_value",
            "expires_after.anchor",
        ),
        (
            json!({"session": {}}),
            "missing_required_parameter",
            "session.type",
        ),
        (
            json!({"session": {"type": "realtime", "voice": "x"}}),
            "unknown_parameter",
            "session.voice",
        ),
        (json!({"ttl": 5}), "unknown_parameter", "ttl"),
        (json!([]), "invalid_value", ""),
    ] {
        assert_eq!(
            refusal(client_secrets::decode(&body)),
            pair(code, param),
            "{body}"
        );
    }
}

#[test]
fn a_flat_session_request_is_checked() {
    let body = json!({"model": "gpt-4o-realtime-preview", "modalities": ["audio", "text"],
        "voice": "verse", "turn_detection": null, "temperature": 0.8});
    let update = sessions::decode(body, SessionKind::Realtime).expect("accepted");
    assert_eq!(update.kind, Some(SessionKind::Realtime));
    assert_eq!(update.model.as_deref(), Some("gpt-4o-realtime-preview"));
    assert_eq!(update.turn_detection, Some(None));
    let body = json!({"input_audio_format": "pcm16", "input_audio_transcription": null});
    let update = sessions::decode(body, SessionKind::Transcription).expect("accepted");
    assert_eq!(update.kind, Some(SessionKind::Transcription));
    let body = json!({"turn_detection": {"type": "server_vad", "threshold": 2}});
    let refused = sessions::decode(body, SessionKind::Realtime);
    assert_eq!(
        refusal(refused),
        pair("invalid_value", "turn_detection.threshold")
    );
    let refused = sessions::decode(json!({"voices": "x"}), SessionKind::Realtime);
    let error = refused.expect_err("refused").error;
    assert_eq!(error.message, "Unknown parameter: 'voices'.");
}

#[test]
fn a_speech_request_is_checked() {
    let request = speech::decode(
        &json!({"input": "Hello", "model": "tts-1", "voice": "alloy",
        "lang_code": "en"}),
    )
    .expect("accepted");
    assert_eq!(request.response_format, None);
    assert_eq!(request.stream_format, StreamFormat::Audio);
    assert!((request.speed - 1.0).abs() < f32::EPSILON);
    let request = speech::decode(
        &json!({"input": "Hello", "model": "m", "voice": {"id": "v"},
        "response_format": "pcm", "stream_format": "sse", "speed": 0.25, "instructions": null}),
    )
    .expect("accepted");
    assert_eq!(request.voice.name(), "v");
    assert_eq!(request.response_format, Some(SpeechFormat::Pcm));
    for (body, code, param) in [
        (
            json!({"model": "m", "voice": "v"}),
            "missing_required_parameter",
            "input",
        ),
        (
            json!({"input": "", "model": "m", "voice": "v"}),
            "invalid_value",
            "input",
        ),
        (
            json!({"input": "x".repeat(4097), "model": "m", "voice": "v"}),
            "invalid_value",
            "input",
        ),
        (
            json!({"input": "x", "voice": "v"}),
            "missing_required_parameter",
            "model",
        ),
        (
            json!({"input": "x", "model": "m"}),
            "missing_required_parameter",
            "voice",
        ),
        (
            json!({"input": "x", "model": "m", "voice": "v", "response_format": "midi"}),
            "invalid_value",
            "response_format",
        ),
        (
            json!({"input": "x", "model": "m", "voice": "v", "speed": 5}),
            "invalid_value",
            "speed",
        ),
    ] {
        assert_eq!(refusal(speech::decode(&body)), pair(code, param), "{body}");
    }
}

#[test]
fn events_are_framed_for_a_stream() {
    let audio = AudioBytes(vec![1, 2, 3].into());
    let text = sse(&SpeechEvent::Delta { audio }).expect("JSON");
    assert_eq!(
        text,
        "data: {\"type\":\"speech.audio.delta\",\"audio\":\"AQID\"}\n\n"
    );
    let usage = SpeechUsage {
        input_tokens: 1,
        output_tokens: 2,
        total_tokens: 3,
    };
    let done = json!(SpeechEvent::Done { usage });
    let expected = json!({"type": "speech.audio.done",
        "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}});
    assert_eq!(done, expected);
    let text = "line\nbreak".to_owned();
    let event = TranscriptEvent::Done {
        text,
        usage: None,
        logprobs: None,
    };
    let framed = sse(&event).expect("JSON");
    assert_eq!(
        framed,
        "data: {\"type\":\"transcript.text.done\",\"text\":\"line\\nbreak\"}\n\n"
    );
}

#[test]
fn transcriptions_leave_out_what_was_not_asked_for() {
    let usage = Some(TranscriptionUsage::Duration { seconds: 1.5 });
    let body = json!(Transcription {
        text: "hi".into(),
        usage,
        logprobs: None
    });
    assert_eq!(
        body,
        json!({"text": "hi", "usage": {"type": "duration", "seconds": 1.5}})
    );
    assert_eq!(
        TranscriptionFormat::parse("vtt"),
        Ok(TranscriptionFormat::Vtt)
    );
    let refused = refusal(TranscriptionFormat::parse("doc"));
    assert_eq!(refused, pair("invalid_value", "response_format"));
}

#[test]
fn subtitles_follow_their_syntax() {
    let segment = |start: f64, end: f64, text: &str| Segment {
        id: 0,
        seek: 0,
        start,
        end,
        text: text.to_owned(),
        tokens: vec![],
        temperature: 0.0,
        avg_logprob: -0.2,
        compression_ratio: 1.1,
        no_speech_prob: 0.01,
    };
    let segments = [
        segment(0.0, 1.25, " Hello\n\nthere "),
        segment(3_661.999_6, 3_662.5, "a --> b < c"),
    ];
    assert_eq!(
        subtitles::srt(&segments),
        "1\n00:00:00,000 --> 00:00:01,250\nHello there\n\n\
         2\n01:01:02,000 --> 01:01:02,500\na -> b < c\n\n"
    );
    assert_eq!(
        subtitles::vtt(&segments),
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.250\nHello there\n\n\
         01:01:02.000 --> 01:01:02.500\na -> b &lt; c\n\n"
    );
}

#[test]
fn every_error_body_has_its_four_keys() {
    let error = ErrorEnvelope::new(
        ApiErrorKind::AuthenticationError,
        "invalid_api_key",
        "no key",
    );
    let expected = json!({"error": {"message": "no key", "type": "authentication_error",
        "param": null, "code": "invalid_api_key"}});
    assert_eq!(json!(error), expected);
    let from: ErrorEnvelope = ErrorBody::invalid("invalid_value", "m").at("speed").into();
    let expected = json!({"error": {"message": "m", "type": "invalid_request_error",
        "param": "speed", "code": "invalid_value"}});
    assert_eq!(json!(from), expected);
}

#[test]
fn a_new_key_is_shown_and_never_logged() {
    let new: keys::NewKey = serde_json::from_value(json!({"name": "ci"})).expect("accepted");
    assert_eq!(new.scopes, ["realtime:connect"]);
    assert!(serde_json::from_value::<keys::NewKey>(json!({"name": "ci", "scope": "x"})).is_err());
    let created = keys::CreatedKey {
        record: keys::Key {
            project: "default".to_owned(),
            id: "k".into(),
            name: "ci".into(),
            scopes: new.scopes,
            created_at: 1,
            last_used_at: None,
            revoked_at: None,
            expires_at: None,
        },
        key: "ap_secret".into(),
    };
    assert!(!format!("{created:?}").contains("ap_secret"));
    let body = json!(created);
    assert_eq!(body["key"], "ap_secret");
    assert_eq!(body["id"], "k");
    assert_eq!(body["last_used_at"], Value::Null);
}

#[test]
fn a_server_is_ready_when_every_check_passes() {
    let check = |ok: bool| status::Check {
        name: "models".into(),
        ok,
        detail: (!ok).then(|| "run `antiphon models pull`".to_owned()),
    };
    let ready = json!(status::Readiness::of(vec![check(true)], vec![]));
    let expected =
        json!({"ready": true, "status": "ready", "checks": [{"name": "models", "ok": true}]});
    assert_eq!(ready, expected);
    let of = |needed, useful| status::Readiness::of(vec![check(needed)], vec![check(useful)]);
    assert!(of(true, false).ready && !of(false, true).ready);
    assert_eq!(of(true, false).status, status::ReadyStatus::Degraded);
    assert_eq!(of(false, false).status, status::ReadyStatus::NotReady);
    assert_eq!(of(true, false).checks.len(), 2);
}
