//! The frames of each dialect, as shapes: what a carrier must say to be understood, and everything that it is told.
//! Made into schemas by the parent module; held against the transcripts of the codecs and against recorded calls by tests.
//! Never says what a frame means: the codecs do.
//!
//! In a shape `"text"` is any text, `"=a|b"` one of these, `"number"` an integer or its digits, `"count"` an integer,
//! `"pairs"` an object, or text in which a carrier has packed one; a member whose name ends in `?` may be absent.

use serde_json::{Value, json};

use crate::telephony::Dialect;

/// Sound in a binary frame.
pub(super) const SOUND: &str = "sound";

type Shapes = Vec<(&'static str, Value)>;

/// What is heard and what is said.
pub(super) fn of(dialect: Dialect) -> (Shapes, Shapes) {
    match dialect {
        Dialect::Twilio => twilio(),
        Dialect::SignalWire => signalwire(),
        Dialect::Telnyx => telnyx(),
        Dialect::Plivo => plivo(),
        Dialect::Exotel => exotel(),
        Dialect::Vonage => vonage(),
        Dialect::AudioHook => (audiohook_heard(), audiohook_said()),
        Dialect::Relay => relay(),
    }
}

fn twilio() -> (Shapes, Shapes) {
    let heard = vec![
        (
            "connected",
            json!({ "event": "=connected", "protocol?": "text", "version?": "text" }),
        ),
        (
            "start",
            json!({ "event": "=start", "sequenceNumber?": "number", "streamSid?": "text", "start": {
                "streamSid?": "text", "callSid": "text", "accountSid?": "text", "tracks?": ["text"], "customParameters?": "pairs",
                "mediaFormat?": { "encoding": "text", "sampleRate": "number", "channels?": "number" } } }),
        ),
        (
            "media",
            json!({ "event": "=media", "sequenceNumber?": "number", "streamSid?": "text", "media": {
                "track?": "text", "chunk?": "number", "timestamp?": "number", "payload": "base64" } }),
        ),
        (
            "mark",
            json!({ "event": "=mark", "sequenceNumber?": "number", "streamSid?": "text", "mark": { "name": "text" } }),
        ),
        (
            "dtmf",
            json!({ "event": "=dtmf", "sequenceNumber?": "number", "streamSid?": "text",
                "dtmf": { "track?": "text", "digit": "text", "duration?": "number" } }),
        ),
        (
            "stop",
            json!({ "event": "=stop", "sequenceNumber?": "number", "streamSid?": "text", "stop?": "any" }),
        ),
    ];
    let said = vec![
        (
            "media",
            json!({ "event": "=media", "streamSid": "text", "media": { "payload": "base64" } }),
        ),
        (
            "mark",
            json!({ "event": "=mark", "streamSid": "text", "mark": { "name": "text" } }),
        ),
        ("clear", json!({ "event": "=clear", "streamSid": "text" })),
    ];
    (heard, said)
}

/// Twilio's, and keys that are pressed.
fn signalwire() -> (Shapes, Shapes) {
    let (heard, mut said) = twilio();
    let keys = json!({ "event": "=dtmf", "streamSid": "text", "dtmf": { "digit": "text" } });
    said.push(("dtmf", keys));
    (heard, said)
}

fn telnyx() -> (Shapes, Shapes) {
    let heard = vec![
        (
            "connected",
            json!({ "event": "=connected", "version?": "text" }),
        ),
        (
            "start",
            json!({ "event": "=start", "sequence_number?": "number", "stream_id?": "text", "start": {
                "call_control_id": "text", "user_id?": "text", "from?": "text", "to?": "text", "client_state?": "any",
                "custom_parameters?": "pairs",
                "media_format?": { "encoding": "text", "sample_rate": "number", "channels?": "number" } } }),
        ),
        (
            "media",
            json!({ "event": "=media", "sequence_number?": "number", "stream_id?": "text", "media": {
                "track?": "text", "chunk?": "number", "timestamp?": "number", "payload": "base64" } }),
        ),
        (
            "mark",
            json!({ "event": "=mark", "stream_id?": "text", "mark": { "name": "text" } }),
        ),
        (
            "dtmf",
            json!({ "event": "=dtmf", "stream_id?": "text", "dtmf": { "digit": "text" } }),
        ),
        (
            "error",
            json!({ "event": "=error", "payload": { "code?": "number", "title?": "text", "detail?": "text" } }),
        ),
        (
            "stop",
            json!({ "event": "=stop", "stream_id?": "text", "stop?": "any" }),
        ),
    ];
    let said = vec![
        (
            "media",
            json!({ "event": "=media", "media": { "payload": "base64" } }),
        ),
        (
            "mark",
            json!({ "event": "=mark", "mark": { "name": "text" } }),
        ),
        ("clear", json!({ "event": "=clear" })),
    ];
    (heard, said)
}

fn plivo() -> (Shapes, Shapes) {
    let heard = vec![
        (
            "start",
            json!({ "event": "=start", "sequenceNumber?": "number", "extra_headers?": "pairs", "start": {
                "callId": "text", "streamId?": "text", "accountId?": "text", "tracks?": ["text"],
                "mediaFormat?": { "encoding": "text", "sampleRate": "number" } } }),
        ),
        (
            "media",
            json!({ "event": "=media", "sequenceNumber?": "number", "streamId?": "text", "media": {
                "track?": "text", "chunk?": "number", "timestamp?": "number", "payload": "base64" } }),
        ),
        (
            "dtmf",
            json!({ "event": "=dtmf", "streamId?": "text", "dtmf": { "digit": "text" } }),
        ),
        (
            "playedStream",
            json!({ "event": "=playedStream", "streamId?": "text", "name": "text" }),
        ),
        (
            "clearedAudio",
            json!({ "event": "=clearedAudio", "streamId?": "text" }),
        ),
        (
            "stop",
            json!({ "event": "=stop", "streamId?": "text", "stop?": "any" }),
        ),
    ];
    let said = vec![
        (
            "playAudio",
            json!({ "event": "=playAudio", "media": { "contentType": "text", "sampleRate": "count", "payload": "base64" } }),
        ),
        (
            "checkpoint",
            json!({ "event": "=checkpoint", "streamId": "text", "name": "text" }),
        ),
        (
            "clearAudio",
            json!({ "event": "=clearAudio", "streamId": "text" }),
        ),
        (
            "sendDTMF",
            json!({ "event": "=sendDTMF", "streamId": "text", "dtmf": "text" }),
        ),
    ];
    (heard, said)
}

fn exotel() -> (Shapes, Shapes) {
    let heard = vec![
        ("connected", json!({ "event": "=connected" })),
        (
            "start",
            json!({ "event": "=start", "sequence_number?": "number", "stream_sid?": "text", "start": {
                "stream_sid?": "text", "call_sid": "text", "account_sid?": "text", "from?": "text", "to?": "text",
                "custom_parameters?": "pairs",
                "media_format?": { "encoding": "text", "sample_rate": "number", "bit_rate?": "text" } } }),
        ),
        (
            "media",
            json!({ "event": "=media", "sequence_number?": "number", "stream_sid?": "text", "media": {
                "chunk?": "number", "timestamp?": "number", "payload": "base64" } }),
        ),
        (
            "mark",
            json!({ "event": "=mark", "stream_sid?": "text", "mark": { "name": "text" } }),
        ),
        (
            "dtmf",
            json!({ "event": "=dtmf", "stream_sid?": "text", "dtmf": { "digit": "text", "duration?": "number" } }),
        ),
        ("clear", json!({ "event": "=clear", "stream_sid?": "text" })),
        (
            "stop",
            json!({ "event": "=stop", "stream_sid?": "text", "stop?": "any" }),
        ),
    ];
    let said = vec![
        (
            "media",
            json!({ "event": "=media", "stream_sid": "text", "media": { "payload": "base64" } }),
        ),
        (
            "mark",
            json!({ "event": "=mark", "stream_sid": "text", "mark": { "name": "text" } }),
        ),
        ("clear", json!({ "event": "=clear", "stream_sid": "text" })),
    ];
    (heard, said)
}

fn vonage() -> (Shapes, Shapes) {
    let heard = vec![
        // the headers of the endpoint are among its members, and one may be called `event`
        (
            "websocket:connected",
            json!({ "event": "text", "content-type?": "text" }),
        ),
        (
            "websocket:dtmf",
            json!({ "event": "=websocket:dtmf", "digit?": "text", "duration?": "number" }),
        ),
        (
            "websocket:cleared",
            json!({ "event": "=websocket:cleared" }),
        ),
        (
            "websocket:notify",
            json!({ "event": "=websocket:notify", "payload": { "mark": "number" } }),
        ),
        ("audio", SOUND.into()),
    ];
    let said = vec![
        (
            "notify",
            json!({ "action": "=notify", "payload": { "mark": "count" } }),
        ),
        ("clear", json!({ "action": "=clear" })),
        ("audio", SOUND.into()),
    ];
    (heard, said)
}

/// What every message of `AudioHook` from the carrier has, around its parameters.
fn of_client(kind: &str, parameters: &Value) -> Value {
    json!({ "version": "=2", "id": "text", "type": format!("={kind}"), "seq": "count", "serverseq?": "count", "position?": "text",
        "parameters": parameters })
}

/// And from us.
fn of_server(kind: &str, parameters: &Value) -> Value {
    json!({ "version": "=2", "id": "text", "type": format!("={kind}"), "seq": "count", "clientseq": "count",
        "parameters": parameters })
}

fn audiohook_heard() -> Shapes {
    let open = json!({ "organizationId?": "text", "conversationId": "text", "participant?": { "ani?": "text", "dnis?": "text" },
        "media": [{ "type?": "text", "format": "text", "channels": ["text"], "rate": "count" }],
        "customConfig?": "any", "inputVariables?": "pairs" });
    let missing = json!({ "discarded?": "text" });
    let error = json!({ "code?": "number", "message?": "text", "retryAfter?": "text" });
    vec![
        ("open", of_client("open", &open)),
        ("ping", of_client("ping", &json!({}))),
        ("update", of_client("update", &json!({}))),
        ("paused", of_client("paused", &json!({}))),
        ("resumed", of_client("resumed", &missing)),
        ("discarded", of_client("discarded", &missing)),
        ("dtmf", of_client("dtmf", &json!({ "digit": "text" }))),
        (
            "playback_started",
            of_client("playback_started", &json!({})),
        ),
        (
            "playback_completed",
            of_client("playback_completed", &json!({})),
        ),
        ("error", of_client("error", &error)),
        ("close", of_client("close", &json!({ "reason?": "text" }))),
        ("audio", SOUND.into()),
    ]
}

fn audiohook_said() -> Shapes {
    let opened = json!({ "startPaused": "flag",
        "media": [{ "type": "=audio", "format": "=PCMU|L16", "channels": ["=external|internal"], "rate": "count" }] });
    let barge_in = json!({ "entities": [{ "type": "=barge_in", "data": {} }] });
    let disconnect = json!({ "reason": "=completed|unauthorized|error", "info?": "text" });
    vec![
        ("opened", of_server("opened", &opened)),
        ("pong", of_server("pong", &json!({}))),
        ("updated", of_server("updated", &json!({}))),
        ("closed", of_server("closed", &json!({}))),
        ("event", of_server("event", &barge_in)),
        ("disconnect", of_server("disconnect", &disconnect)),
        ("audio", SOUND.into()),
    ]
}

fn relay() -> (Shapes, Shapes) {
    let heard = vec![
        (
            "setup",
            json!({ "type": "=setup", "sessionId": "text", "callSid": "text", "accountSid?": "text", "from?": "text", "to?": "text",
                "customParameters?": "pairs" }),
        ),
        (
            "prompt",
            json!({ "type": "=prompt", "voicePrompt?": "text", "lang?": "text", "last?": "any" }),
        ),
        ("dtmf", json!({ "type": "=dtmf", "digit": "text" })),
        (
            "interrupt",
            json!({ "type": "=interrupt", "utteranceUntilInterrupt?": "text", "durationUntilInterruptMs?": "number" }),
        ),
        ("error", json!({ "type": "=error", "description?": "text" })),
    ];
    let said = vec![
        (
            "text",
            json!({ "type": "=text", "token": "text", "last": "flag" }),
        ),
        (
            "play",
            json!({ "type": "=play", "source": "text", "loop": "count" }),
        ),
        (
            "sendDigits",
            json!({ "type": "=sendDigits", "digits": "text" }),
        ),
        (
            "language",
            json!({ "type": "=language", "ttsLanguage?": "text", "transcriptionLanguage?": "text" }),
        ),
        ("end", json!({ "type": "=end", "handoffData?": "text" })),
    ];
    (heard, said)
}
