//! A conversation while it lives: the task that owns the engine's session, and the providers it drives.
//! Started by every voice edge; ends when the client goes, the session expires or the server drains.
//! Never shares its state: others send it messages.

mod actor;
mod duplex;
mod prepare;
mod record;
mod resume;
mod running;
mod toolbox;
mod wiring;

pub use actor::{Call, Left, run};
pub(crate) use prepare::Door;
pub use prepare::{Prepared, Wish, prepare};
pub use record::{Entry, Record};
pub(crate) use resume::{Resumed, resume};
pub(crate) use running::Running;
pub use toolbox::Toolbox;
pub(crate) use wiring::broke_off;
