//! `POST /v1/audio/speech`.
//! Called by SDKs; the sound is sent as it is made.
//! Never sends a format it does not make: what is missing is a typed error.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use engine::ask::SpeakOptions;
use engine::audio::{pcm, wav};
use engine::session::settings;
use futures_util::{Stream, StreamExt as _, stream};
use providers::ProviderError;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use wire::realtime::AudioBytes;
use wire::rest::error::ErrorEnvelope;
use wire::rest::speech::{
    SpeechEvent, SpeechFormat, SpeechRequest, SpeechUsage, StreamFormat, decode,
};

use super::voice::{RATE, Voice};
use crate::App;
use crate::api::v1::asking::{account, admit, as_event_stream, billed, catalog, failed, sse};
use crate::auth::Caller;
use crate::http::{ApiError, Json};
use crate::metering::{Attached, Billed};
use crate::quota;

/// Characters of text that count as one token, and audio that counts as one, in samples (50 ms): the rates at
/// which the realtime sessions of this server count as well.
const CHARACTERS_PER_TOKEN: usize = 4;
const SAMPLES_PER_TOKEN: usize = 1200;

/// Speak a text.
#[utoipa::path(
    post,
    path = "/v1/audio/speech",
    tag = "audio",
    request_body = SpeechRequest,
    responses(
        (status = 200, description = "Sound, 24 kHz 16-bit mono, as it is made; with `stream_format: sse`, events",
            content((Vec<u8> = "audio/wav"), (Vec<u8> = "audio/pcm"), (SpeechEvent = "text/event-stream"))),
        (status = 400, description = "A field is invalid, or the format is not made here; `param` names it"),
        (status = 401, description = "No usable key"),
        (status = 404, description = "No model has this name"),
        (status = 429, description = "A limit is used up; `code` names it and `Retry-After` says when to come back"),
        (status = 503, description = "The models are loading or busy"),
    )
)]
pub(in crate::api::v1) async fn create(
    Caller(principal): Caller,
    State(app): State<Arc<App>>,
    Json(body): Json<Value>,
) -> Result<Response, ApiError> {
    let wanted = decode(&body)?;
    let format = format(wanted.response_format)?;
    let characters = wanted.input.chars().count();
    let limit = app.config.limits.speech_characters;
    if characters > limit {
        let message =
            format!("Invalid 'input': expected at most {limit} characters, but got {characters}.");
        return Err(ApiError::invalid_value("input", message));
    }
    let place = admit(&app)?;
    let session = account(&app);
    let counted = quota::sound(&app, &principal, &session).await?;
    let catalog = catalog(&app).await?;
    let pipeline = catalog
        .speech(&wanted.model)
        .ok_or_else(|| ApiError::model_not_found(&wanted.model, &catalog))?;
    let billed = billed(&app, &principal, &session, &wanted.model, &pipeline);
    let known = pipeline.tts.voice_names();
    settings::check_voice(&wanted.voice, known.as_deref(), "voice")?;
    let options = SpeakOptions {
        session,
        turn: 0,
        voice: wanted.voice.name().to_owned(),
        speed: wanted.speed,
        preferred_rate_hz: RATE.hz(),
    };
    let mut voice = Voice::start(pipeline.tts.as_ref(), &wanted.input, options)
        .await
        .map_err(|error| failed(&app, error))?;
    // a failure before the first sound is an honest status; later ones break the stream
    let first = voice
        .next()
        .await
        .transpose()
        .map_err(|error| failed(&app, error))?;
    // behind the voice: what that has used is told when it is dropped
    let sound = sound(voice, first, (counted, billed, place));
    Ok(match wanted.stream_format {
        StreamFormat::Audio => as_bytes(app, sound, format),
        StreamFormat::Sse => as_events(app, sound, format, characters),
    })
}

/// The format to answer in; WAV when the request leaves it open.
fn format(wanted: Option<SpeechFormat>) -> Result<SpeechFormat, ApiError> {
    match wanted {
        None => Ok(SpeechFormat::Wav),
        Some(format @ (SpeechFormat::Wav | SpeechFormat::Pcm)) => Ok(format),
        Some(_) => Err(ApiError {
            param: Some("response_format".to_owned()),
            ..ApiError::invalid(
                "unsupported_format",
                "This server makes 'wav' and 'pcm'. Set response_format to one of them, or leave it out for 'wav'.",
            )
        }),
    }
}

type Sound = Result<Vec<i16>, ProviderError>;

fn sound(
    voice: Voice,
    first: Option<Vec<i16>>,
    held: (Option<Attached>, Billed, OwnedSemaphorePermit),
) -> impl Stream<Item = Sound> + Send + 'static {
    let rest = stream::unfold((voice, held), |(mut voice, held)| async move {
        voice.next().await.map(|sound| (sound, (voice, held)))
    });
    stream::iter(first.map(Ok)).chain(rest)
}

/// What comes before the first sample.
fn head(format: SpeechFormat) -> Bytes {
    match format {
        SpeechFormat::Wav => Bytes::copy_from_slice(&wav::streaming_header(RATE)),
        _ => Bytes::new(),
    }
}

fn bytes(samples: &[i16]) -> Bytes {
    let mut out = Vec::with_capacity(samples.len() * 2);
    pcm::write_le(samples, &mut out);
    out.into()
}

fn as_bytes(
    app: Arc<App>,
    sound: impl Stream<Item = Sound> + Send + 'static,
    format: SpeechFormat,
) -> Response {
    let chunks = sound.map(move |sound| {
        let sound = sound.inspect_err(|error| {
            failed(&app, error.clone());
        });
        sound.map(|samples| bytes(&samples))
    });
    let head = stream::iter(Some(head(format)).filter(|head| !head.is_empty()).map(Ok));
    let mut response = Response::new(Body::from_stream(head.chain(chunks)));
    let kind = HeaderValue::from_static(format.content_type());
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn as_events(
    app: Arc<App>,
    sound: impl Stream<Item = Sound> + Send + 'static,
    format: SpeechFormat,
    characters: usize,
) -> Response {
    let counting = Counting {
        app,
        samples: 0,
        characters,
        sound: Box::pin(sound),
        over: false,
    };
    let head = Some(head(format))
        .filter(|head| !head.is_empty())
        .map(delta);
    let events = stream::unfold(counting, |mut counting| async move {
        counting.next().await.map(|event| (event, counting))
    });
    let body = stream::iter(head)
        .chain(events)
        .map(Ok::<_, std::convert::Infallible>);
    as_event_stream(Response::new(Body::from_stream(body)))
}

fn delta(audio: Bytes) -> Bytes {
    sse(&SpeechEvent::Delta {
        audio: AudioBytes(audio),
    })
}

/// Sound on its way into events, with the bill that comes last.
struct Counting<S> {
    app: Arc<App>,
    samples: usize,
    characters: usize,
    sound: std::pin::Pin<Box<S>>,
    over: bool,
}

impl<S: Stream<Item = Sound> + Send> Counting<S> {
    async fn next(&mut self) -> Option<Bytes> {
        if self.over {
            return None;
        }
        match self.sound.next().await {
            Some(Ok(samples)) => {
                self.samples += samples.len();
                Some(delta(bytes(&samples)))
            }
            Some(Err(error)) => {
                self.over = true;
                Some(sse(&ErrorEnvelope::from(failed(&self.app, error))))
            }
            None => {
                self.over = true;
                let input_tokens = self.characters.div_ceil(CHARACTERS_PER_TOKEN) as u32;
                let output_tokens = self.samples.div_ceil(SAMPLES_PER_TOKEN) as u32;
                let total_tokens = input_tokens + output_tokens;
                Some(sse(&SpeechEvent::Done {
                    usage: SpeechUsage {
                        input_tokens,
                        output_tokens,
                        total_tokens,
                    },
                }))
            }
        }
    }
}
