//! What the server does from time to time, nobody having asked.
//! Started by [`crate::Server::start`]; each ends with the drain, but for what running conversations need.
//! Never keeps two of the same kind running at once.

pub(crate) mod calls;
mod clock;
pub(crate) mod closing;
mod conversations;
mod leases;
mod mirror;
mod purge;
mod sweep;

use std::sync::Arc;

use crate::{App, dialler, outbox};

/// Starts them all.
pub(crate) fn start(app: &Arc<App>) {
    app.lifecycle.spawn(purge::run(Arc::clone(app)));
    app.lifecycle.spawn(closing::run(Arc::clone(app)));
    if app.store.live.link().is_some() {
        app.lifecycle.spawn_beside(leases::run(Arc::clone(app)));
    }
    app.lifecycle.spawn(clock::run(Arc::clone(app)));
    app.lifecycle.spawn(conversations::run(Arc::clone(app)));
    app.lifecycle.spawn(sweep::run(Arc::clone(app)));
    if app.config.voice.supabase_mirror {
        app.lifecycle.spawn(mirror::run(Arc::clone(app)));
    }
    app.lifecycle.spawn(calls::run(Arc::clone(app)));
    outbox::start(app);
    dialler::start(app);
    // sessions that finish what they say live on while the server drains
    app.lifecycle.spawn_beside(app.presence.clone().beat());
    app.lifecycle
        .spawn_beside(app.presence.clone().read_letters());
}
