//! The app voice socket ("Voice V2"): JSON for control, binary frames of 16 kHz PCM up, packed sentences down.
//! `upgrade` takes a connection, `lobby` finds out who is there, `converse` runs the call; `read` and `write` translate.
//! Never decides what a conversation does, and never hears anybody before it knows who it is.

mod begin;
mod book;
mod converse;
mod desk;
mod identity;
mod lobby;
mod read;
mod refusal;
mod renewal;
mod speech;
mod supabase;
mod terms;
mod upgrade;
mod write;

pub use desk::Desk;
pub(crate) use supabase::{Supabase, SupabaseError};
pub use upgrade::{listener_routes, routes};
