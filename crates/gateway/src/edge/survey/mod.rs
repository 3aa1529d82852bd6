//! The text survey's door: a dialogue over a WebSocket, one frame of text for each input, and a few plain routes.
//! Mounted by `http::router` at `/survey`, and at `/` of listeners with this profile; asks `survey` for everything.
//! Never decides what is said: that is `engine::survey`.

mod dialogue;
mod routes;
mod upgrade;

pub use routes::{listener_routes, routes};
