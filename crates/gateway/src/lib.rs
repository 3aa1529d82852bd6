//! Who comes in and what they get: `http → auth → edge → session`, with `api`, `observe` and `portal` beside;
//! `remote` and `worker` are the two ends of the work queue.
//! Run by the binary ([`run`]) and by the integration tests.
//! Never decides what a conversation does: that is `engine`.

pub mod agents;
mod api;
pub mod app;
pub mod audit;
pub mod auth;
pub mod calls;
pub mod clock;
pub mod config;
pub mod dialler;
pub mod edge;
pub mod http;
mod jobs;
pub mod lifecycle;
pub mod mail;
pub mod metering;
pub mod observe;
pub mod outbox;
mod portal;
pub mod presence;
pub mod quota;
pub mod recording;
pub mod registry;
pub mod remote;
pub mod retention;
mod run;
pub mod secrets;
pub mod session;
pub mod survey;
pub mod tenants;
pub mod webhooks;
pub mod worker;

pub use app::App;
pub use config::{Config, ConfigError};
pub use http::docs::{asyncapi_json, openapi_json};
pub use run::{RunError, Server, run};
