//! Who is in which room, over all servers.
//! One task of each server, which looks once a second at the rooms that somebody has come to or left.
//! Never tells more than once a second who is in a room, and never more than the first few of a crowd.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{MissedTickBehavior, interval};
use wire::chat::{ChatExtra, ChatServerMessage, Present};

use super::hub::{Hub, News};
use super::room::Room;
use super::times::iso;

/// How often rooms are looked at.
const EVERY: Duration = Duration::from_secs(1);
/// After so many looks everybody is noted again, so that a server that died is noticed.
const RENEW_AFTER: u32 = 20;
/// How long a server counts that does not note anybody again, in ms.
const KEPT_MS: u64 = 60_000;
/// Users of one server in one room that are told; a crowd is not listed.
const USERS_MOST: usize = 200;
/// Rooms noted at the same time.
const AT_ONCE: usize = 32;

/// Sees for as long as the server runs who comes and goes and who has stopped typing.
pub(super) async fn watch(hub: Hub, tells: bool) {
    let mut looks = interval(EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut look = 0_u32;
    loop {
        looks.tick().await;
        hub.tire(hub.0.clock.now());
        let moved = hub.take_moved();
        if !tells {
            continue;
        }
        look = (look + 1) % RENEW_AFTER;
        let mut rooms: Vec<(Arc<str>, bool)> = moved.into_iter().collect();
        if look == 0 && hub.0.store.is_shared() {
            let all = hub.rooms().into_iter().map(|room| Arc::clone(&room.id));
            let quiet = all.filter(|id| !rooms.iter().any(|(it, _)| it == id));
            let quiet: Vec<_> = quiet.map(|id| (id, false)).collect();
            rooms.extend(quiet);
        }
        for some in rooms.chunks(AT_ONCE) {
            join_all(some.iter().map(|(id, newcomer)| note(&hub, id, *newcomer))).await;
        }
    }
}

/// Notes who of this server is in a room, and tells the room if that is news.
async fn note(hub: &Hub, id: &str, newcomer: bool) {
    let room = hub.room(id);
    let users = room.as_ref().map(|room| room.users(USERS_MOST));
    let node = &hub.0.node;
    let users = users.unwrap_or_default();
    let noted = hub.0.store.here(id, node, &users, KEPT_MS).await;
    let Ok((users, changed)) = noted else {
        return;
    };
    if changed || newcomer {
        tell(hub, id, room, users, changed).await;
    }
}

async fn tell(hub: &Hub, id: &str, room: Option<Arc<Room>>, users: Vec<String>, changed: bool) {
    let message = ChatServerMessage::Presence {
        data: Present { users },
        timestamp: iso(hub.0.clock.utc()),
    };
    let news = News::passing(&message, Some(ChatExtra::Presence));
    match room {
        // others have to hear it as well
        Some(room) if changed => {
            hub.tell(&room, news).await;
        }
        Some(room) => hub.tell_members(&room, &news),
        None => hub.pass_on(id, &news).await,
    }
}

/// Takes everybody of this server out of its rooms; at its end.
pub(super) async fn leave(hub: &Hub) {
    for some in hub.rooms().chunks(AT_ONCE) {
        let gone = some.iter().map(|room| async move {
            let here = hub.0.store.here(&room.id, &hub.0.node, &[], KEPT_MS).await;
            if let Ok((users, true)) = here {
                tell(hub, &room.id, None, users, true).await;
            }
        });
        join_all(gone).await;
    }
}
