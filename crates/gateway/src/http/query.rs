//! Query strings whose mistakes answer in the interface's own error shape.
//! Used by the handlers of `api/v1`.
//! Never repeats a query string in an answer: keys travel there.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::ApiError;

/// What stands behind the question mark.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let read = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        read.map(|axum::extract::Query(value)| Self(value))
            .map_err(|_| {
                ApiError::invalid(
                    "invalid_value",
                    "Invalid query string: a parameter stands there twice, or is no number where one is expected.",
                )
            })
    }
}
