//! `POST /v1/audio/transcriptions`.
//! Called by SDKs with a whole recording.
//! Never keeps the recording, and stops working when the client goes.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::multipart::MultipartRejection;
use axum::extract::{Multipart, State};
use axum::response::Response;
use engine::ask::SttOptions;
use futures_util::StreamExt as _;
use futures_util::stream;
use providers::transcribe::Detail;
use providers::{ProviderError, Transcriber, Transcription};
use tokio::sync::OwnedSemaphorePermit;
use wire::rest::error::ErrorEnvelope;
use wire::rest::transcription::{self as answer, TranscriptionFormat};

use super::form::{self, Form, TranscriptionForm};
use super::{render, sound};
use crate::App;
use crate::api::v1::asking::{account, admit, as_event_stream, billed, catalog, failed, sse};
use crate::auth::Caller;
use crate::http::ApiError;
use crate::metering::{Attached, Billed};
use crate::quota;

/// Transcribe a recording.
#[utoipa::path(
    post,
    path = "/v1/audio/transcriptions",
    tag = "audio",
    request_body(content = TranscriptionForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "The transcript, in the format asked for; with `stream`, server-sent events",
            content(
                (answer::Transcription = "application/json"),
                (answer::VerboseTranscription = "application/json"),
                (String = "text/plain"),
                (answer::TranscriptEvent = "text/event-stream"),
            )),
        (status = 400, description = "A field is invalid, or the file is not WAV; `param` names it"),
        (status = 401, description = "No usable key"),
        (status = 404, description = "No model has this name"),
        (status = 413, description = "The file is too large"),
        (status = 429, description = "A limit is used up; `code` names it and `Retry-After` says when to come back"),
        (status = 503, description = "The models are loading or busy"),
    )
)]
pub(in crate::api::v1) async fn create(
    Caller(principal): Caller,
    State(app): State<Arc<App>>,
    form: Result<Multipart, MultipartRejection>,
) -> Result<Response, ApiError> {
    let multipart = form.map_err(|_| {
        ApiError::invalid(
            "invalid_form",
            "Send the request as multipart/form-data with a boundary.",
        )
    })?;
    // before the upload is read, so that waiting uploads cannot fill the memory
    let place = admit(&app)?;
    let session = account(&app);
    let counted = quota::sound(&app, &principal, &session).await?;
    let form = form::read(multipart, app.config.limits.upload_bytes).await?;
    let catalog = catalog(&app).await?;
    let pipeline = catalog
        .transcription(&form.model)
        .ok_or_else(|| ApiError::model_not_found(&form.model, &catalog))?;
    let file = form.file.clone();
    let audio = tokio::task::spawn_blocking(move || sound::decode(&file))
        .await
        .map_err(|_| ApiError::internal())??;
    let billed = billed(&app, &principal, &session, &form.model, &pipeline);
    let job = Job {
        transcriber: pipeline.transcriber,
        audio,
        options: options(&form, session),
        detail: detail(&form),
        billed,
        _held: (counted, place),
    };
    if form.stream {
        return Ok(streamed(app, job, form.logprobs));
    }
    let transcript = job.run().await.map_err(|error| failed(&app, error))?;
    Ok(render::render(&transcript, form.format, form.logprobs))
}

/// A transcription about to run.
struct Job {
    transcriber: Transcriber,
    audio: Arc<[i16]>,
    options: SttOptions,
    detail: Detail,
    billed: Billed,
    _held: (Option<Attached>, OwnedSemaphorePermit),
}

impl Job {
    async fn run(self) -> Result<Transcription, ProviderError> {
        let Self {
            transcriber,
            audio,
            options,
            detail,
            billed,
            _held,
        } = self;
        let heard = transcriber.transcribe(audio, options, detail).await?;
        if let Some(provider) = transcriber.uncounted() {
            billed.heard(provider, heard.audio_ms);
        }
        Ok(heard)
    }
}

/// Times cost a local model several times as much, so they are asked for only where they are shown.
fn detail(form: &Form) -> Detail {
    match form.format {
        _ if form.stream => Detail::Text,
        TranscriptionFormat::Srt | TranscriptionFormat::Vtt | TranscriptionFormat::VerboseJson => {
            Detail::Segments
        }
        _ => Detail::Text,
    }
}

fn options(form: &Form, session: String) -> SttOptions {
    SttOptions {
        session,
        turn: 0,
        language: form.language.clone(),
        prompt: form.prompt.clone(),
        logprobs: form.logprobs,
        judge_turn: false,
    }
}

/// The head goes out at once, the events when the transcript is there; a failure is an event too.
fn streamed(app: Arc<App>, job: Job, logprobs: bool) -> Response {
    let events = async move {
        let events: Vec<Bytes> = match job.run().await {
            Ok(transcript) => render::events(&transcript, logprobs)
                .iter()
                .map(sse)
                .collect(),
            Err(error) => vec![sse(&ErrorEnvelope::from(failed(&app, error)))],
        };
        stream::iter(events.into_iter().map(Ok::<_, std::convert::Infallible>))
    };
    as_event_stream(Response::new(Body::from_stream(
        stream::once(events).flatten(),
    )))
}
