//! The catalog: names, what replaces what, and what is shown of its configuration.

use std::sync::Arc;

use providers::{
    Catalog, CatalogConfig, CatalogError, Detail, Kind, LlmConfig, ModelKind, guarded::Watch,
};
use serde_json::{Value, json};

use crate::conformance::{answer, ask, speak_options, stt_options};

fn scripted() -> CatalogConfig {
    CatalogConfig {
        default: "scripted".to_owned(),
        ..CatalogConfig::default()
    }
}

fn llm(base_url: &str) -> LlmConfig {
    serde_json::from_value(
        json!({ "base_url": base_url, "model": "tiny", "api_key": "hunter2hunter2" }),
    )
    .unwrap()
}

#[test]
fn every_listed_model_is_answered_and_a_stranger_is_not() {
    let catalog = Catalog::open(scripted(), Watch::default()).unwrap();
    for model in catalog.models() {
        let found = match model.kind {
            ModelKind::Realtime => catalog.pipeline(&model.id),
            ModelKind::Transcription => catalog.transcription(&model.id),
            ModelKind::Speech => catalog.speech(&model.id),
            ModelKind::Chat => catalog.chat(&model.id),
        };
        assert_eq!(
            found.map(|pipeline| pipeline.name.to_string()).as_deref(),
            Some("scripted"),
            "{}",
            model.id
        );
    }
    for model in ["", "gpt-4o", "no-such-model", "whisper-1"] {
        assert!(catalog.pipeline(model).is_none(), "{model}");
    }
    assert!(catalog.transcription("gpt-realtime").is_none());
    assert!(catalog.speech("antiphon").is_some());
}

#[test]
fn a_configured_language_model_replaces_the_pipelines_own() {
    let config = CatalogConfig {
        llm: Some(llm("http://127.0.0.1:11434/v1")),
        ..scripted()
    };
    let catalog = Catalog::open(config, Watch::default()).unwrap();
    let pipeline = catalog.pipeline("gpt-realtime").unwrap();
    assert_eq!(
        (
            pipeline.stt.name(),
            pipeline.llm.name(),
            pipeline.tts.name()
        ),
        ("scripted", "openai", "scripted")
    );
    assert_eq!(pipeline.llm_model.as_deref(), Some("tiny"));
    assert!(
        catalog
            .models()
            .iter()
            .any(|model| model.id == "tiny" && model.kind == ModelKind::Chat)
    );
}

#[test]
fn an_address_that_is_no_http_is_refused() {
    let config = CatalogConfig {
        llm: Some(llm("ftp://example.com/v1")),
        ..scripted()
    };
    let Err(error) = Catalog::open(config, Watch::default()) else {
        panic!("opened")
    };
    assert!(matches!(error, CatalogError::Vendor { .. }));
    assert!(error.to_string().contains("http"), "{error}");
}

#[test]
fn a_key_is_never_shown() {
    let config = CatalogConfig {
        llm: Some(llm("http://127.0.0.1/v1")),
        ..scripted()
    };
    let shown = format!("{config:?} {}", serde_json::to_string(&config).unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("(hidden)"), "{shown}");
}

#[test]
fn a_misspelt_key_is_refused() {
    for config in [
        json!({ "pipelines": { "a": { "sst": [] } } }),
        json!({ "scripted": { "stt": 1 } }),
        json!({ "pipeline": "cloud" }),
    ] {
        assert!(
            serde_json::from_value::<CatalogConfig>(config.clone()).is_err(),
            "{config}"
        );
    }
}

fn duplex(pipeline: &Value) -> CatalogConfig {
    let config = json!({
        "default": "talk",
        "providers": {
            "openai-realtime": { "api_key": "hunter2hunter2" },
            "gemini-live": { "api_key": "hunter2hunter2" },
        },
        "pipelines": { "talk": pipeline },
    });
    serde_json::from_value(config).unwrap()
}

#[tokio::test]
async fn a_pipeline_may_be_one_model_for_everything() {
    for names in [
        json!("openai-realtime"),
        json!(["gemini-live/gemini-3.8-live", "openai-realtime"]),
    ] {
        let config = duplex(&json!({ "duplex": names }));
        let catalog = Catalog::open(config, Watch::default()).unwrap();
        let pipeline = catalog.pipeline("talk").unwrap();
        assert!(pipeline.duplex.is_some());
        assert_eq!(pipeline.usable(), Ok(()));
        // what it has not says which setting would bring it
        let stages = [
            pipeline.stt.open(stt_options()).await.map(drop),
            pipeline.llm.ask(ask("hello")).await.map(drop),
            pipeline.tts.open(speak_options("alloy")).await.map(drop),
        ];
        for (stage, refused) in ["stt", "llm", "tts"].into_iter().zip(stages) {
            let error = refused.unwrap_err();
            assert_eq!(error.kind, Kind::Rejected);
            let setting = format!("pipelines.talk.{stage}");
            assert!(error.to_string().contains(&setting), "{error}");
        }
    }
}

#[test]
fn a_model_for_everything_may_have_others_beside_it() {
    let config = duplex(&json!({ "duplex": "gemini-live", "tts": ["scripted"] }));
    let catalog = Catalog::open(config, Watch::default()).unwrap();
    let pipeline = catalog.pipeline("talk").unwrap();
    assert_eq!(pipeline.duplex.unwrap().name(), "gemini-live");
    assert_eq!(pipeline.tts.name(), "scripted");
}

#[test]
fn what_cannot_hold_a_conversation_is_refused() {
    for (pipeline, expected) in [
        (json!({ "duplex": "deepgram" }), "does no speech to speech"),
        (json!({ "duplex": "nobody" }), "openai-realtime"),
        (
            json!({ "stt": ["openai-realtime"], "llm": ["scripted"], "tts": ["scripted"] }),
            "does no speech to text",
        ),
        (json!({ "stt": ["scripted"] }), "no duplex stands in"),
        (json!({}), "gemini-live"),
    ] {
        let Err(error) = Catalog::open(duplex(&pipeline), Watch::default()) else {
            panic!("{pipeline}")
        };
        assert!(error.to_string().contains(expected), "{error}");
    }
    let config = duplex(&json!({ "duplex": "openai-realtime" }));
    let keyless = CatalogConfig {
        providers: std::collections::BTreeMap::new(),
        ..config
    };
    let Err(error) = Catalog::open(keyless, Watch::default()) else {
        panic!("opened")
    };
    assert!(
        error
            .to_string()
            .contains("providers.openai-realtime.api_key"),
        "{error}"
    );
}

#[tokio::test]
async fn recordings_are_transcribed_through_the_pipeline() {
    let pipeline = Catalog::open(scripted(), Watch::default())
        .unwrap()
        .default_pipeline();
    let recording: Arc<[i16]> = vec![0; 16_000].into();
    let transcription = pipeline
        .transcriber
        .transcribe(recording, stt_options(), Detail::Segments)
        .await
        .unwrap();
    assert_eq!(transcription.audio_ms, 1000);
    assert_eq!(transcription.segments[0].text, transcription.text);
    assert!(
        answer(pipeline.llm.as_ref(), ask("hello"))
            .await
            .unwrap()
            .text
            .contains("hello")
    );
}
