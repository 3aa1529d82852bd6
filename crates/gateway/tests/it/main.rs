//! Stories over real sockets against a whole server with the scripted pipeline.

mod client_secrets;
mod keys;
mod limits;
mod models;
mod operations;
mod speech;
mod transcriptions;
mod world;
