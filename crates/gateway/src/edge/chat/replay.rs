//! What somebody missed in a room: from its stream, and where that no longer has it, from the database.
//! Asked when a client comes back with `since`.
//! Never tells anything that is gone in a moment, such as that somebody types.

use store::ChatPage;
use store::live::rooms::After;
use wire::chat::{ChatServerMessage, text};

use super::keeper::HISTORY_MOST;
use crate::App;

/// What was missed.
#[derive(Debug, Default)]
pub(super) struct Missed {
    /// What clients were told, in order.
    pub(super) texts: Vec<String>,
    /// What they are known by: those are not told again.
    pub(super) keys: Vec<String>,
    /// Whether that is all.
    pub(super) complete: bool,
}

/// What was told in `room` behind the message `since`.
pub(super) async fn missed(app: &App, room: &str, since: &str) -> Missed {
    let key = format!("m:{since}");
    let behind = app.store.live.rooms.behind(room, After::Key(&key)).await;
    let lately = behind.unwrap_or_default();
    if !lately.complete
        && let Some(own) = app.chat.keeper.own()
        && let Ok((messages, more)) = own.read(room, ChatPage::Behind(since), HISTORY_MOST).await
        && is_known(app, room, since).await
    {
        return Missed {
            keys: messages.iter().map(|it| format!("m:{}", it.id)).collect(),
            texts: messages
                .into_iter()
                .map(|data| {
                    let timestamp = data.timestamp.clone();
                    text(&ChatServerMessage::Message { data, timestamp })
                })
                .collect(),
            complete: !more,
        };
    }
    let complete = lately.complete;
    let (keys, texts) = lately.told.into_iter().map(|it| (it.key, it.text)).unzip();
    Missed {
        texts,
        keys,
        complete,
    }
}

/// Whether the database has the message itself: behind one that it does not have, it finds nothing.
async fn is_known(app: &App, room: &str, id: &str) -> bool {
    let Some(own) = app.chat.keeper.own() else {
        return false;
    };
    let found = own.sql.chat_message(&own.tenant, room, id).await;
    matches!(found, Ok(Some(_)))
}
