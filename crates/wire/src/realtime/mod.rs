//! The OpenAI Realtime protocol in its GA shape: client events, server events, sessions, items.
//! The engine speaks these types; `edge/realtime` turns them into frames, `beta` into the older shape.
//! Never holds state: what an event means is decided in `engine`.

pub mod audio;
pub mod beta;
pub mod client;
pub mod decode;
pub mod error;
pub mod extra;
pub mod fast;
pub mod item;
pub mod response;
pub mod server;
pub mod session;
mod transcription;
mod weight;

pub use audio::{AudioBytes, AudioFormat};
pub use client::ClientEvent;
pub use error::{ErrorBody, ErrorKind};
pub use item::{ContentPart, Item, ItemStatus, Role};
pub use response::{CreateResponse, Response, ResponseStatus, Usage};
pub use server::ServerEvent;
pub use session::{Session, SessionKind, SessionUpdate};
