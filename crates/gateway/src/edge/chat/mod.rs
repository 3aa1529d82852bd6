//! Chat rooms: clients of the original's protocol, and what it promised (spec/chat-voice-survey, part B).
//! Mounted at `/chat`, and at every path of a listener of its own; put together by the app.
//! Never a server of its own: tokens, limits, stores and the clock are those of everybody.

mod agent;
mod allowance;
mod backend;
mod connection;
mod desk;
mod following;
mod health;
mod hub;
mod identity;
mod keeper;
mod later;
mod listening;
mod member;
mod presence;
mod replay;
mod room;
mod times;
mod token;
mod upgrade;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use store::{ChatPage, Store};
use wire::chat::Posted;

use self::agent::Answering;
use self::backend::Backend;
use self::hub::{Hub, HubSettings};
use self::keeper::{Keeper, Own};
use self::token::Tokens;
use crate::App;
use crate::auth::lockout::Lockout;
use crate::clock::Clock;
use crate::config::{self, ChatRoles, Config};
use crate::lifecycle::Lifecycle;
use crate::observe::Metrics;

pub(crate) use self::identity::is_usable;
pub use self::token::TokensError;

/// Bad tokens of one network address within a minute, after which it is answered before the upgrade.
const BAD_TOKENS: u64 = 10;
/// For how long, in s.
const BAD_TOKENS_FOR_S: u64 = 30;
/// Messages that may wait for Redis.
const UNTOLD_MESSAGES: usize = 10_000;

/// The chat rooms of one server.
#[derive(Debug)]
pub struct Chat {
    hub: Hub,
    keeper: Keeper,
    pub(crate) tokens: Tokens,
    answering: Answering,
    roles: ChatRoles,
    /// Sockets that are open.
    open: AtomicUsize,
    /// Who knocks with bad tokens.
    knocks: Lockout,
}

/// The chat rooms cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// The address or the secret of the application cannot be used.
    #[error("cannot use chat.backend_url with this chat.backend_secret")]
    Backend,
    /// Tokens cannot be read.
    #[error("cannot read chat tokens")]
    Tokens(#[from] TokensError),
}

impl Chat {
    /// Puts the parts together; [`start`] gives them life.
    ///
    /// # Errors
    /// [`ChatError`].
    pub(crate) async fn open(
        config: &Config,
        store: &Store,
        (clock, metrics, lifecycle): (&Clock, &Metrics, &Lifecycle),
        seed: u128,
    ) -> Result<Self, ChatError> {
        let chat = &config.chat;
        let settings = HubSettings {
            channel_prefix: chat.channel_prefix.clone(),
            namespace: config.redis.namespace.clone(),
            typing_s: chat.typing_s,
            untold_messages: UNTOLD_MESSAGES,
        };
        let around = (clock.clone(), metrics.clone());
        Ok(Self {
            hub: Hub::new(store.live.rooms.clone(), settings, around, seed),
            keeper: keeper(chat, store)?,
            tokens: Tokens::open(chat, &store.sql, (clock, lifecycle)).await?,
            answering: Answering::default(),
            roles: chat.roles,
            open: AtomicUsize::new(0),
            knocks: Lockout::new(BAD_TOKENS, BAD_TOKENS_FOR_S),
        })
    }
}

impl Chat {
    /// Messages of a room, oldest first, and whether there are more; `None` where this server does not keep them.
    ///
    /// # Errors
    /// In words, when they cannot be read.
    pub(crate) async fn read(
        &self,
        room: &str,
        page: ChatPage<'_>,
        limit: u32,
    ) -> Option<Result<(Vec<Posted>, bool), String>> {
        let read = self.keeper.own()?.read(room, page, limit).await;
        Some(read.map_err(|why| why.0))
    }
}

fn keeper(chat: &config::Chat, store: &Store) -> Result<Keeper, ChatError> {
    if let (Some(url), Some(secret)) = (&chat.backend_url, &chat.backend_secret) {
        let within = Duration::from_millis(chat.backend_timeout_ms);
        let backend = Backend::new(url, secret, within).ok_or(ChatError::Backend)?;
        return Ok(Keeper::Backend(backend));
    }
    if !chat.keep {
        return Ok(Keeper::Nobody);
    }
    Ok(Keeper::Own(Own {
        sql: store.sql.clone(),
        tenant: chat.tenant.as_str().into(),
    }))
}

/// Begins to listen to other servers and to watch the rooms.
pub(crate) fn start(app: &Arc<App>) {
    let hub = &app.chat.hub;
    let lifecycle = &app.lifecycle;
    if app.store.live.rooms.is_shared() {
        lifecycle.spawn_beside(listening::listen(hub.clone()));
        lifecycle.spawn_beside(later::publish(hub.clone()));
        let (hub, soft) = (hub.clone(), lifecycle.soft().clone());
        lifecycle.spawn(async move {
            soft.cancelled().await;
            presence::leave(&hub).await;
        });
    }
    let tells = app.config.chat.presence == config::ChatPresence::Told;
    lifecycle.spawn_beside(presence::watch(hub.clone(), tells));
}

/// A socket among those that are open.
struct Entered(Arc<App>);

impl Entered {
    /// `None` where there are as many as this server takes.
    fn new(app: &Arc<App>) -> Option<Self> {
        let most = app.config.chat.hard_connections;
        let open = &app.chat.open;
        let more = |open: usize| (open < most).then_some(open + 1);
        let before = open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        let before = before.ok()?;
        app.metrics.chat().open(before + 1);
        if before + 1 == app.config.chat.soft_connections {
            tracing::warn!(
                connections = before + 1,
                "as many chat connections are open as one server should have: add another"
            );
        }
        Some(Self(Arc::clone(app)))
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let before = self.0.chat.open.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.chat().open(before.saturating_sub(1));
    }
}

/// The routes on the main address.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/chat", any(upgrade::upgrade))
        .route("/chat/", any(upgrade::upgrade))
        .route("/chat/health", any(upgrade::upgrade))
}

/// The routes of a listener of its own: a client dials any path.
pub fn listener_routes() -> Router<Arc<App>> {
    Router::new().fallback(any(upgrade::upgrade))
}
