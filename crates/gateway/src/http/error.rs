//! The error body of the REST interface and the table from our errors to it.
//! Returned by extractors and handlers; also used by edges that refuse an upgrade.
//! Never shows internal detail: a message here is for the client's developer.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use providers::{Catalog, Kind, ProviderError};
use wire::realtime::decode::DecodeError;
use wire::realtime::{ErrorBody, ErrorKind};
use wire::rest::error::{ApiErrorKind, ErrorEnvelope};

use crate::app::CatalogUnavailable;
use crate::auth::{AuthError, chain};

/// A failed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP status.
    pub status: StatusCode,
    /// Machine-readable code.
    pub code: Option<String>,
    /// What is wrong and what to do.
    pub message: String,
    /// The offending parameter.
    pub param: Option<String>,
    /// When trying again makes sense, in s.
    pub retry_after_s: Option<u64>,
}

impl ApiError {
    /// An error with this status and code.
    pub fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: Some(code.to_owned()),
            message: message.into(),
            param: None,
            retry_after_s: None,
        }
    }

    /// 400 with this code.
    pub fn invalid(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 400 `invalid_value` at `param`.
    pub fn invalid_value(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            param: Some(param.into()),
            ..Self::invalid("invalid_value", message)
        }
    }

    /// 400 `missing_required_parameter`.
    pub fn missing(param: &str) -> Self {
        let message = format!("Missing required parameter: '{param}'.");
        Self {
            param: Some(param.to_owned()),
            ..Self::invalid("missing_required_parameter", message)
        }
    }

    /// 401: no key was given.
    pub fn missing_key() -> Self {
        AuthError::Missing.into()
    }

    /// 404 `not_found`.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// 503 `server_overloaded`: as many conversations are running as may.
    pub fn too_many_sessions() -> Self {
        Self::unavailable(
            "server_overloaded",
            "As many conversations are running as this server takes. Try again in a moment.",
            5,
        )
    }

    /// 429 `concurrent_limit_exceeded`: as many conversations are running as `whose` limit allows.
    pub fn too_many_sessions_of(whose: &str, limit: u64) -> Self {
        Self {
            retry_after_s: Some(5),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "concurrent_limit_exceeded",
                format!(
                    "{limit} conversations at the same time are the limit of {whose}, and they are running. End one, or ask the operator for a higher limit."
                ),
            )
        }
    }

    /// 429 `token_limit_exceeded`: `whose` tokens of the minute are used up.
    pub fn tokens_exceeded(whose: &str, limit: u64, wait_s: u64) -> Self {
        Self {
            retry_after_s: Some(wait_s),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "token_limit_exceeded",
                format!(
                    "{limit} tokens a minute are the limit of {whose}, and they are used up. Try again in {wait_s} s, or ask the operator for a higher limit."
                ),
            )
        }
    }

    /// 429 `quota_exceeded`: a tenant's audio of the day is used up.
    pub fn quota_exceeded(minutes: u64, wait_s: u64) -> Self {
        Self {
            retry_after_s: Some(wait_s),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "quota_exceeded",
                format!(
                    "{minutes} minutes of audio a day are the limit of this tenant, and they are used up. Try again in {wait_s} s, or ask the operator for more."
                ),
            )
        }
    }

    /// 404 `model_not_found`, with what `catalog` has.
    pub fn model_not_found(model: &str, catalog: &Catalog) -> Self {
        let own = catalog.names().join(", ");
        Self {
            param: Some("model".to_owned()),
            ..Self::new(
                StatusCode::NOT_FOUND,
                "model_not_found",
                format!(
                    "The model '{model}' does not exist. This server's own are {own}; GET /v1/models lists every name that works."
                ),
            )
        }
    }

    /// 503 with a time to try again, in s.
    pub fn unavailable(code: &str, message: impl Into<String>, retry_after_s: u64) -> Self {
        Self {
            retry_after_s: Some(retry_after_s),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
        }
    }

    /// 503 `server_shutting_down`: what a new session is told while the server drains.
    pub fn shutting_down() -> Self {
        Self::unavailable(
            "server_shutting_down",
            "The server is shutting down. Try again in a moment.",
            5,
        )
    }

    /// 500 without detail; the log has it.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            "The server failed to answer. The log has the reason under this request's x-request-id.",
        )
    }

    /// The `type` that belongs to the status.
    fn kind(&self) -> ApiErrorKind {
        match self.status.as_u16() {
            401 => ApiErrorKind::AuthenticationError,
            403 => ApiErrorKind::PermissionError,
            429 => ApiErrorKind::RateLimitError,
            500.. => ApiErrorKind::ServerError,
            _ => ApiErrorKind::InvalidRequestError,
        }
    }
}

impl From<ApiError> for ErrorEnvelope {
    fn from(error: ApiError) -> Self {
        let mut body = Self::new(error.kind(), "", error.message);
        body.error.code = error.code;
        body.error.param = error.param;
        body
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, retry_after_s) = (self.status, self.retry_after_s);
        let mut response = (status, axum::Json(ErrorEnvelope::from(self))).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<ErrorBody> for ApiError {
    /// A refusal of the decoder: the same words, with the status that fits.
    fn from(error: ErrorBody) -> Self {
        let status = match error.kind {
            ErrorKind::InvalidRequestError => StatusCode::BAD_REQUEST,
            ErrorKind::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self {
            status,
            code: error.code,
            message: error.message,
            param: error.param,
            retry_after_s: None,
        }
    }
}

impl From<DecodeError> for ApiError {
    fn from(refused: DecodeError) -> Self {
        refused.error.into()
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        let unauthorized =
            |message: &str| Self::new(StatusCode::UNAUTHORIZED, "invalid_api_key", message);
        match error {
            AuthError::Missing => unauthorized(
                "No API key was given. Send it as the header 'Authorization: Bearer KEY'.",
            ),
            // one text for all of them: which part was wrong is nobody's business
            AuthError::Malformed | AuthError::Wrong | AuthError::Revoked | AuthError::Expired => {
                unauthorized(
                    "Incorrect API key provided. Check the key, or make one with 'antiphon keys create'.",
                )
            }
            AuthError::Suspended => Self::new(
                StatusCode::FORBIDDEN,
                "tenant_suspended",
                "The account of this API key is suspended. Ask whoever runs this server.",
            ),
            AuthError::Spent => unauthorized(
                "The client secret was used, has expired or does not exist. Make a new one with POST /v1/realtime/client_secrets.",
            ),
            AuthError::EphemeralRefused => unauthorized(
                "A client secret only starts realtime connections. Use a server key here.",
            ),
            AuthError::ForeignOrigin => Self::new(
                StatusCode::FORBIDDEN,
                "foreign_origin",
                "A web page of another origin came with a server key. Give the page a client secret instead, or add its origin to http.allowed_origins.",
            ),
            AuthError::LockedOut { retry_after_s } => Self {
                retry_after_s: Some(retry_after_s),
                ..Self::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "too_many_failures",
                    format!(
                        "Too many wrong API keys came from this network address. Try again in {retry_after_s} s with the right one."
                    ),
                )
            },
            AuthError::Scope(scope) => Self::new(
                StatusCode::FORBIDDEN,
                "insufficient_scope",
                format!("The API key lacks the scope {}.", scope.name()),
            ),
            AuthError::Store(
                store::StoreError::Full { .. } | store::StoreError::FullBytes { .. },
            ) => Self::unavailable(
                "too_many_client_secrets",
                "Too many client secrets are waiting to be used. Try again when some have expired.",
                60,
            ),
            AuthError::Store(error) if error.is_storage() => error.into(),
            AuthError::Store(_) | AuthError::Hashing => {
                tracing::error!(error = %chain(&error), "cannot check a key");
                Self::unavailable(
                    "service_unavailable",
                    "The key could not be checked. Try again.",
                    1,
                )
            }
        }
    }
}

impl From<store::StoreError> for ApiError {
    fn from(error: store::StoreError) -> Self {
        tracing::error!(error = %chain(&error), "cannot do what was asked");
        if error.is_storage() {
            return Self::unavailable(
                "storage_full",
                "The disk of the database is full or fails, and nothing was changed. Try again when there is room.",
                30,
            );
        }
        Self::unavailable(
            "service_unavailable",
            "The database did not do it. Try again.",
            1,
        )
    }
}

impl From<CatalogUnavailable> for ApiError {
    fn from(error: CatalogUnavailable) -> Self {
        match error {
            CatalogUnavailable::Loading => Self::unavailable(
                "models_loading",
                "The models are still being loaded. Try again in a moment.",
                2,
            ),
            CatalogUnavailable::Failed(message) => Self::unavailable(
                "models_unavailable",
                format!("The models could not be loaded: {message}."),
                60,
            ),
        }
    }
}

impl From<ProviderError> for ApiError {
    fn from(error: ProviderError) -> Self {
        let status = match error.kind {
            Kind::Unavailable | Kind::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Kind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Kind::Rejected => StatusCode::BAD_REQUEST,
            Kind::Unauthorized | Kind::Protocol => StatusCode::BAD_GATEWAY,
            Kind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        };
        Self {
            retry_after_s: error.retry_after.map(|wait| wait.as_secs().max(1)),
            ..Self::new(status, error.code(), error.message_for_client())
        }
    }
}
