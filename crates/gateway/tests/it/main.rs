//! Stories over real sockets against a whole server with the scripted pipeline.

#![expect(
    clippy::unwrap_used,
    clippy::assigning_clones,
    reason = "tests; a failed step ends them with its line, and a configuration is changed field by field"
)]

mod client_secrets;
mod keys;
mod limits;
mod models;
mod operations;
mod speech;
mod transcriptions;
mod world;
