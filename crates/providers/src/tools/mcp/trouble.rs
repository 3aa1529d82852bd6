//! What went wrong with a server, in short sentences of ours.
//! Used wherever the protocol's client fails.
//! Never repeats an address, which may hold a key, or what the server sent.

use std::error::Error;

use rmcp::service::{ClientInitializeError, ServiceError};
use rmcp::transport::streamable_http_client::StreamableHttpError;

use crate::tools::OutboundError;

/// JSON-RPC: the method is not known (<https://www.jsonrpc.org/specification#error_object>).
const METHOD_NOT_FOUND: i32 = -32601;
/// JSON-RPC: the arguments do not fit.
const INVALID_PARAMS: i32 = -32602;

/// Why a request was not answered.
pub(super) fn of_service(error: &ServiceError) -> String {
    match error {
        ServiceError::McpError(error) => refused(error.code.0),
        ServiceError::TransportSend(error) => of_transport(error.error.as_ref()),
        ServiceError::TransportClosed => "the connection broke".to_owned(),
        ServiceError::Timeout { .. } => "it did not answer in time".to_owned(),
        ServiceError::Cancelled { .. } => "it was cancelled".to_owned(),
        _ => "its answer is not what the protocol says".to_owned(),
    }
}

/// Why a connection was not made.
pub(super) fn of_start(error: &ClientInitializeError) -> String {
    match error {
        ClientInitializeError::TransportError { error, .. } => of_transport(error.error.as_ref()),
        ClientInitializeError::JsonRpcError(error) => refused(error.code.0),
        ClientInitializeError::ConnectionClosed(_) => "the connection broke".to_owned(),
        ClientInitializeError::NoCompatibleProtocolVersion { .. } => {
            "it speaks another version of the protocol".to_owned()
        }
        ClientInitializeError::LegacyFallbackFailed { fallback, .. } => of_start(fallback),
        _ => "its answer is not what the protocol says".to_owned(),
    }
}

fn refused(code: i32) -> String {
    match code {
        INVALID_PARAMS => "it says that the arguments are wrong".to_owned(),
        METHOD_NOT_FOUND => "it does not know the request".to_owned(),
        code => format!("it refused with error {code}"),
    }
}

fn of_transport(error: &(dyn Error + 'static)) -> String {
    let mut cause = Some(error);
    while let Some(current) = cause {
        if let Some(error) = current.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
            return of_http(error);
        }
        cause = current.source();
    }
    "the server does not take the request".to_owned()
}

fn of_http(error: &StreamableHttpError<reqwest::Error>) -> String {
    match error {
        StreamableHttpError::Client(error) => of_client(error),
        StreamableHttpError::HttpStatus(error) => format!("HTTP {}", error.status),
        StreamableHttpError::AuthRequired(_) | StreamableHttpError::InsufficientScope(_) => {
            "it does not accept the authorization".to_owned()
        }
        StreamableHttpError::ResponseBodyTooLarge { .. } => "its answer is too large".to_owned(),
        StreamableHttpError::Io(_)
        | StreamableHttpError::UnexpectedEndOfStream
        | StreamableHttpError::TransportChannelClosed => "the connection broke".to_owned(),
        _ => "its answer is not what the protocol says".to_owned(),
    }
}

fn of_client(error: &reqwest::Error) -> String {
    if let Some(status) = error.status() {
        return format!("HTTP {}", status.as_u16());
    }
    let mut cause = error.source();
    while let Some(current) = cause {
        if let Some(refused) = current.downcast_ref::<OutboundError>() {
            return refused.to_string();
        }
        cause = current.source();
    }
    let told = if error.is_connect() {
        "the server cannot be reached"
    } else {
        "the connection broke"
    };
    told.to_owned()
}
