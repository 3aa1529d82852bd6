//! The HTTP side: accept loop, router, errors, limits, headers.
//! Put together by [`crate::run`]; the routes themselves are in `api`, `edge`, `observe` and `portal`.
//! Never knows what a conversation is.

pub mod accept;
mod client_ip;
pub mod cors;
pub mod docs;
mod docs_page;
pub mod error;
pub mod json;
mod query;
pub mod router;
pub mod trace;

pub(crate) use client_ip::{client_ip, is_from_proxy};
pub use error::ApiError;
pub use json::Json;
pub use query::Query;
