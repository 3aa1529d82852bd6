//! Stories of the app voice socket ("Voice V2"): as its app and its test page speak it, over real sockets.

pub(crate) mod app;
mod budgets;
mod calls;
mod door;
mod duplex;
mod fake_supabase;
mod nodes;
mod rows;
mod supabase;
