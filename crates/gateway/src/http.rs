//! The HTTP side: accept loop, router, errors, limits, headers.
//! Put together by [`crate::run`]; the routes themselves are in `api`, `edge`, `observe` and `portal`.
//! Never knows what a conversation is.

pub mod accept;
pub mod cors;
pub mod docs;
mod docs_page;
pub mod error;
pub mod json;
pub mod router;
pub mod trace;

pub use error::ApiError;
pub use json::Json;
