//! The catalog: names, what replaces what, and what is shown of its configuration.

use std::sync::Arc;

use providers::{
    Catalog, CatalogConfig, CatalogError, Detail, LlmConfig, ModelKind, guarded::Watch,
};
use serde_json::json;

use crate::conformance::{answer, ask, stt_options};

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
