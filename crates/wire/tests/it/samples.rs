//! One server event of every type, with each optional field both set and unset.
//! Used by the tests of this binary and by the example that feeds the event validator.
//! Never checks anything itself.

use serde_json::json;
use wire::realtime::item::{ContentPart, ItemBody, Role};
use wire::realtime::response::{
    Part, RateLimit, Response, ResponseAudio, ResponseAudioOutput, StatusDetails, StatusError,
    Usage,
};
use wire::realtime::server::{LogProb, ServerEvent, TranscriptionError, TranscriptionUsage};
use wire::realtime::session::{
    AudioInput, AudioOutput, MaxTokens, Modality, Session, SessionKind, Tool, ToolChoice,
    Transcription, Truncation, TurnDetection, Voice,
};
use wire::realtime::{AudioBytes, AudioFormat, ErrorBody, Item, ItemStatus, ResponseStatus};

pub(crate) fn session(kind: SessionKind) -> Box<Session> {
    Box::new(Session {
        id: "sess_1".into(),
        kind,
        model: "gpt-realtime".into(),
        output_modalities: Modality::Audio,
        instructions: "Be brief.".into(),
        tools: vec![Tool::Function {
            name: "get_time".into(),
            description: None,
            parameters: Some(json!({"type": "object", "properties": {}})),
        }],
        tool_choice: ToolChoice::Auto,
        parallel_tool_calls: None,
        reasoning: None,
        max_output_tokens: MaxTokens::Inf,
        truncation: Truncation::Auto,
        tracing: None,
        prompt: None,
        include: None,
        expires_at: 1_700_000_000,
        input: AudioInput {
            format: AudioFormat::PCM,
            transcription: Some(Transcription {
                model: Some("whisper-1".into()),
                ..Transcription::default()
            }),
            noise_reduction: None,
            turn_detection: Some(TurnDetection::ServerVad {
                threshold: 0.2,
                prefix_padding_ms: 300,
                silence_duration_ms: 500,
                idle_timeout_ms: None,
                create_response: true,
                interrupt_response: true,
            }),
        },
        output: AudioOutput {
            format: AudioFormat::Pcmu,
            voice: Voice::Name("alloy".into()),
            speed: 1.1,
        },
    })
}

pub(crate) fn response(status: ResponseStatus) -> Box<Response> {
    let running = status == ResponseStatus::InProgress;
    let details = |reason: Option<&str>, error: Option<StatusError>| {
        Some(StatusDetails {
            kind: status,
            reason: reason.map(str::to_owned),
            error,
        })
    };
    Box::new(Response {
        object: "realtime.response",
        id: "resp_1".into(),
        status,
        status_details: match status {
            ResponseStatus::InProgress | ResponseStatus::Completed => None,
            ResponseStatus::Cancelled => details(Some("turn_detected"), None),
            ResponseStatus::Incomplete => details(Some("max_output_tokens"), None),
            ResponseStatus::Failed => details(
                None,
                Some(StatusError::from(&ErrorBody::server("server_error", "no"))),
            ),
        },
        output: if running { vec![] } else { items() },
        conversation_id: (!running).then(|| "conv_1".into()),
        output_modalities: Modality::Audio,
        max_output_tokens: MaxTokens::Limit(100),
        audio: ResponseAudio {
            output: ResponseAudioOutput {
                format: AudioFormat::PCM,
                voice: Voice::Name("alloy".into()),
            },
        },
        usage: (!running).then(Usage::default),
        metadata: (!running).then(|| [("k".to_owned(), "v".to_owned())].into()),
    })
}

fn message(role: Role, content: Vec<ContentPart>) -> Item {
    Item::new(
        "item_1",
        ItemStatus::Completed,
        ItemBody::Message { role, content },
    )
}

/// Items that are announced to clients: without audio bytes.
pub(crate) fn items() -> Vec<Item> {
    let call = ItemBody::FunctionCall {
        name: "get_time".into(),
        call_id: "call_1".into(),
        arguments: String::new(),
    };
    let output = ItemBody::FunctionCallOutput {
        call_id: "call_1".into(),
        output: "{}".into(),
    };
    vec![
        message(
            Role::System,
            vec![ContentPart::InputText {
                text: "rules".into(),
            }],
        ),
        message(
            Role::User,
            vec![ContentPart::InputAudio {
                audio: None,
                transcript: None,
            }],
        ),
        message(
            Role::User,
            vec![ContentPart::InputImage {
                image_url: "data:image/png;base64,AA==".into(),
                detail: None,
            }],
        ),
        message(
            Role::Assistant,
            vec![ContentPart::OutputText { text: "hi".into() }],
        ),
        message(
            Role::Assistant,
            vec![ContentPart::OutputAudio {
                audio: None,
                transcript: Some("hi".into()),
            }],
        ),
        Item::new("item_2", ItemStatus::InProgress, call),
        Item::new("item_3", ItemStatus::Completed, output),
    ]
}

fn retrieved() -> Item {
    let audio = Some(AudioBytes(vec![1, 2, 3, 4].into()));
    let transcript = Some("hello".into());
    message(
        Role::User,
        vec![ContentPart::InputAudio { audio, transcript }],
    )
}

/// Every event, some types more than once.
pub(crate) fn events() -> Vec<ServerEvent> {
    let mut events = vec![
        ServerEvent::Error {
            error: ErrorBody::invalid("invalid_value", "no").at("type"),
        },
        ServerEvent::Error {
            error: ErrorBody::server("server_error", "no").without_code(),
        },
        ServerEvent::SessionCreated {
            session: session(SessionKind::Realtime),
        },
        ServerEvent::SessionUpdated {
            session: session(SessionKind::Transcription),
        },
        ServerEvent::SessionResumed {
            session_id: "sess_1".into(),
            replayed: 3,
            complete: false,
            items: items(),
        },
        ServerEvent::TtsDegraded {
            response_id: "resp_1".into(),
            item_id: Some("item_1".into()),
            from: "kokoro".into(),
            to: "piper".into(),
            reason: "provider_unavailable".into(),
        },
        ServerEvent::TtsDegraded {
            response_id: "resp_1".into(),
            item_id: None,
            from: "af_heart".into(),
            to: "joe".into(),
            reason: "model_broken".into(),
        },
        ServerEvent::SpeechPiece {
            response_id: "resp_1".into(),
            item_id: "item_1".into(),
            text: "Hello there.".into(),
        },
        ServerEvent::TranscriptPartial {
            item_id: "item_1".into(),
            text: "What is the".into(),
        },
        ServerEvent::ItemRetrieved { item: retrieved() },
        ServerEvent::ItemDeleted {
            item_id: "item_1".into(),
        },
        ServerEvent::ItemTruncated {
            item_id: "item_1".into(),
            content_index: 0,
            audio_end_ms: 1_500,
        },
    ];
    for (index, item) in items().into_iter().enumerate() {
        let previous_item_id = (index > 0).then(|| "item_0".to_owned());
        events.push(ServerEvent::ItemAdded {
            item: item.clone(),
            previous_item_id: previous_item_id.clone(),
        });
        events.push(ServerEvent::ItemDone {
            item: item.clone(),
            previous_item_id,
        });
        events.push(ServerEvent::OutputItemAdded {
            response_id: "resp_1".into(),
            output_index: 0,
            item: item.clone(),
        });
        events.push(ServerEvent::OutputItemDone {
            response_id: "resp_1".into(),
            output_index: 0,
            item,
        });
    }
    events.extend(input_events());
    events.extend(response_events());
    events
}

fn input_events() -> Vec<ServerEvent> {
    let item_id = || "item_1".to_owned();
    let logprob = LogProb {
        token: "hi".into(),
        logprob: -0.25,
        bytes: vec![104, 105],
    };
    let completed = |logprobs: Option<Vec<LogProb>>| ServerEvent::TranscriptionCompleted {
        item_id: item_id(),
        content_index: 0,
        transcript: "hi".into(),
        usage: TranscriptionUsage::Duration { seconds: 1.5 },
        logprobs,
    };
    vec![
        ServerEvent::TranscriptionDelta {
            item_id: item_id(),
            content_index: 0,
            delta: "hi \"there\"\n".into(),
        },
        completed(None),
        completed(Some(vec![logprob])),
        ServerEvent::TranscriptionFailed {
            item_id: item_id(),
            content_index: 0,
            error: TranscriptionError {
                kind: "server_error".into(),
                code: "transcription_failed".into(),
                message: "no".into(),
            },
        },
        ServerEvent::TranscriptionSegment {
            item_id: item_id(),
            content_index: 0,
            id: "seg_1".into(),
            speaker: "A".into(),
            start: 0.0,
            end: 1.25,
            text: "hi".into(),
        },
        ServerEvent::AudioCommitted {
            item_id: item_id(),
            previous_item_id: None,
        },
        ServerEvent::AudioCommitted {
            item_id: item_id(),
            previous_item_id: Some("item_0".into()),
        },
        ServerEvent::AudioCleared,
        ServerEvent::SpeechStarted {
            audio_start_ms: 320,
            item_id: item_id(),
        },
        ServerEvent::SpeechStopped {
            audio_end_ms: 1_420,
            item_id: item_id(),
        },
        ServerEvent::TimeoutTriggered {
            audio_start_ms: 1,
            audio_end_ms: 2,
            item_id: item_id(),
        },
        ServerEvent::DtmfReceived {
            event: "9".into(),
            received_at: 1_700_000_000,
        },
    ]
}

fn response_events() -> Vec<ServerEvent> {
    let (response_id, item_id) = (|| "resp_1".to_owned(), || "item_1".to_owned());
    let mut events = vec![
        ServerEvent::OutputAudioStarted {
            response_id: response_id(),
        },
        ServerEvent::OutputAudioStopped {
            response_id: response_id(),
        },
        ServerEvent::OutputAudioCleared {
            response_id: response_id(),
        },
        ServerEvent::ResponseCreated {
            response: response(ResponseStatus::InProgress),
        },
        ServerEvent::FunctionArgumentsDelta {
            response_id: response_id(),
            item_id: item_id(),
            output_index: 0,
            call_id: "call_1".into(),
            delta: "{}".into(),
        },
        ServerEvent::FunctionArgumentsDone {
            response_id: response_id(),
            item_id: item_id(),
            output_index: 0,
            call_id: "call_1".into(),
            name: "get_time".into(),
            arguments: "{}".into(),
        },
        ServerEvent::RateLimitsUpdated {
            rate_limits: vec![RateLimit {
                name: "tokens".into(),
                limit: 100,
                remaining: 99,
                reset_seconds: 0.5,
            }],
        },
    ];
    for status in [
        ResponseStatus::Completed,
        ResponseStatus::Cancelled,
        ResponseStatus::Failed,
        ResponseStatus::Incomplete,
    ] {
        events.push(ServerEvent::ResponseDone {
            response: response(status),
        });
    }
    events.extend(content_events());
    events
}

/// The events that have a response, an item and both indexes.
fn content_events() -> Vec<ServerEvent> {
    macro_rules! content {
        ($variant:ident $(, $field:ident: $value:expr)?) => {
            ServerEvent::$variant {
                response_id: "resp_1".into(),
                item_id: "item_1".into(),
                output_index: 0,
                content_index: 1,
                $($field: $value,)?
            }
        };
    }
    vec![
        content!(ContentPartAdded, part: Part::Text { text: String::new() }),
        content!(ContentPartAdded, part: Part::Audio { transcript: String::new() }),
        content!(ContentPartDone, part: Part::Text { text: "hi".into() }),
        content!(ContentPartDone, part: Part::Audio { transcript: "hi".into() }),
        content!(OutputTextDelta, delta: "hi".into()),
        content!(OutputTextDone, text: "hi".into()),
        content!(OutputAudioDelta, delta: AudioBytes(vec![0, 255, 7].into())),
        content!(OutputAudioDone),
        content!(OutputTranscriptDelta, delta: "hi".into()),
        content!(OutputTranscriptDone, transcript: "hi".into()),
    ]
}
