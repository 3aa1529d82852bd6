//! The multipart form of a transcription request.
//! Read by `create`.
//! Never reads more than the configured size.

use axum::body::Bytes;
use axum::extract::Multipart;
use axum::extract::multipart::{Field, MultipartError};
use axum::http::StatusCode;
use utoipa::ToSchema;
use wire::rest::transcription::TranscriptionFormat;

use crate::http::ApiError;
use crate::http::json::too_large;

/// The fields as documented.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "only its schema is used: the fields are read one by one"
)]
pub(super) struct TranscriptionForm {
    /// The recording: WAV, mono or stereo, any rate, PCM, float or G.711.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// Model name, any alias.
    model: String,
    /// ISO-639-1 code of the language spoken.
    language: Option<String>,
    /// Words and names to expect.
    prompt: Option<String>,
    /// `json`, `text`, `srt`, `verbose_json` or `vtt`.
    response_format: Option<String>,
    /// Accepted, without effect: decoding is deterministic.
    temperature: Option<f32>,
    /// `segment`; with `verbose_json` only.
    #[schema(rename = "timestamp_granularities[]")]
    timestamp_granularities: Option<Vec<String>>,
    /// `logprobs`; with `json` only.
    #[schema(rename = "include[]")]
    include: Option<Vec<String>>,
    /// Answer as server-sent events.
    stream: Option<bool>,
}

/// A checked request.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "two fields of the form are booleans"
)]
pub(super) struct Form {
    pub(super) file: Bytes,
    pub(super) model: String,
    pub(super) language: Option<String>,
    pub(super) prompt: Option<String>,
    pub(super) format: TranscriptionFormat,
    pub(super) logprobs: bool,
    pub(super) stream: bool,
}

#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "two fields of the form are booleans"
)]
struct Fields {
    file: Option<Bytes>,
    model: Option<String>,
    language: Option<String>,
    prompt: Option<String>,
    format: TranscriptionFormat,
    logprobs: bool,
    stream: bool,
}

/// Reads and checks the form; `max_file` is in bytes. Fields nobody knows are skipped, as SDKs add some.
pub(super) async fn read(mut form: Multipart, max_file: usize) -> Result<Form, ApiError> {
    let mut fields = Fields::default();
    while let Some(field) = form.next_field().await.map_err(|error| refusal(&error))? {
        take(&mut fields, field, max_file).await?;
    }
    Ok(Form {
        file: fields.file.ok_or_else(|| ApiError::missing("file"))?,
        model: fields.model.ok_or_else(|| ApiError::missing("model"))?,
        language: fields.language,
        prompt: fields.prompt,
        format: fields.format,
        logprobs: fields.logprobs,
        stream: fields.stream,
    })
}

async fn take(fields: &mut Fields, field: Field<'_>, max_file: usize) -> Result<(), ApiError> {
    let name = field.name().unwrap_or_default().to_owned();
    if name == "file" {
        let file = field.bytes().await.map_err(|error| refusal(&error))?;
        if file.len() > max_file {
            return Err(too_large("The file"));
        }
        fields.file = Some(file);
        return Ok(());
    }
    let text = field.text().await.map_err(|error| refusal(&error))?;
    let set = (!text.is_empty()).then(|| text.clone());
    match name.as_str() {
        "model" => fields.model = set,
        "language" => fields.language = set,
        "prompt" => fields.prompt = set,
        "response_format" => fields.format = format(&text)?,
        "stream" => fields.stream = boolean("stream", &text)?,
        "include" | "include[]" => fields.logprobs |= text == "logprobs",
        "timestamp_granularities" | "timestamp_granularities[]" if text != "segment" => {
            return Err(ApiError::invalid_value(
                "timestamp_granularities[]",
                format!("Invalid value: '{text}'. Supported values are: 'segment'."),
            ));
        }
        _ => {}
    }
    Ok(())
}

fn format(name: &str) -> Result<TranscriptionFormat, ApiError> {
    let format = TranscriptionFormat::parse(name)?;
    if format == TranscriptionFormat::DiarizedJson {
        return Err(ApiError::invalid_value(
            "response_format",
            "This server does not tell speakers apart. Use 'json', 'text', 'srt', 'verbose_json' or 'vtt'.",
        ));
    }
    Ok(format)
}

fn boolean(param: &str, text: &str) -> Result<bool, ApiError> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" | "" => Ok(false),
        _ => Err(ApiError::invalid_value(
            param,
            format!("Invalid value: '{text}'. Supported values are: 'true' and 'false'."),
        )),
    }
}

fn refusal(error: &MultipartError) -> ApiError {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return too_large("The form");
    }
    ApiError::invalid("invalid_form", "The body is not a complete multipart form.")
}
