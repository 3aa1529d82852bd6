//! The OpenAI Realtime protocol over WebSocket, GA shape, with the beta shape translated at the socket.
//! `upgrade` lets a connection in, `read` and `write` turn frames into events and back.
//! Never keeps conversation state.

mod backlog;
mod converse;
mod read;
mod upgrade;
mod write;

pub(crate) use converse::linger;
pub(in crate::edge) use upgrade::call;
pub use upgrade::routes;

/// Which shape of the protocol a connection speaks (spec/realtime §1.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Ga,
    Beta,
}
