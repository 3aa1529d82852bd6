//! What is published in rooms, by servers of ours and of the original, on its way to the members here.
//! One task of each server that shares rooms with others; it also says which rooms are to be heard.
//! Never lets a gap pass: when the connection broke, or a place is missing, the room's stream is read.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use store::live::link::Away;
use store::live::rooms::{After, Ears, Heard, Heralds, Told};
use tokio::time::{MissedTickBehavior, interval, sleep};
use wire::chat::{ChatExtra, Published, read};

use super::hub::{Hub, LIVE_WITHIN};
use super::room::{Frame, Room, is_behind};

/// Between two attempts to connect.
const AGAIN: Duration = Duration::from_millis(250);
/// How often a quiet connection is asked for a sign of life.
const PING_EVERY: Duration = Duration::from_secs(5);
/// How far the clocks of this server and of Redis may be apart, in ms; who heard that much too early hears it again.
const CLOCKS_MS: i64 = 1000;
/// Rooms asked for at the same time.
const AT_ONCE: usize = 64;

/// Listens for as long as the server runs.
pub(super) async fn listen(hub: Hub) {
    loop {
        if let Ok((ears, heralds)) = hub.0.store.listen().await {
            // rooms that have got listeners are among all rooms
            for id in hub.take_changed() {
                hub.forget(&id);
            }
            let Away = hear(&hub, ears, heralds).await;
        }
        for room in hub.rooms() {
            room.live.send_replace(false);
        }
        sleep(AGAIN).await;
    }
}

/// Hears until the connection breaks.
async fn hear(hub: &Hub, mut ears: Ears, mut heralds: Heralds) -> Away {
    let rooms = hub.rooms();
    if let Err(away) = open(hub, &mut ears, &rooms).await {
        return away;
    }
    let mut pings = interval(PING_EVERY);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            heard = heralds.next() => match heard {
                Some(heard) => {
                    if let Err(away) = receive(hub, heard).await {
                        return away;
                    }
                }
                None => return Away,
            },
            () = hub.0.change.notified() => {
                if let Err(away) = follow_changes(hub, &mut ears).await {
                    return away;
                }
            }
            _ = pings.tick() => {
                if let Err(away) = ears.ping().await {
                    return away;
                }
            }
        }
    }
}

/// Hears the rooms that have got listeners, and those that have lost theirs no more.
async fn follow_changes(hub: &Hub, ears: &mut Ears) -> Result<(), Away> {
    let (mut opened, mut closed) = (Vec::new(), Vec::new());
    for id in hub.take_changed() {
        if hub.forget(&id) {
            closed.extend(channels(hub, &id));
            // had it come back before this, it would not have been empty
            opened.retain(|room: &Arc<Room>| room.id != id);
        } else if let Some(room) = hub.room(&id).filter(|room| !*room.live.borrow()) {
            opened.push(room);
        }
    }
    ears.close(&closed).await?;
    open(hub, ears, &opened).await
}

fn channels(hub: &Hub, room: &str) -> [String; 2] {
    [hub.channel(room), hub.own_channel(room)]
}

/// Hears these rooms, and reads what was told in those that were heard before.
async fn open(hub: &Hub, ears: &mut Ears, rooms: &[Arc<Room>]) -> Result<(), Away> {
    let all: Vec<String> = rooms
        .iter()
        .flat_map(|room| channels(hub, &room.id))
        .collect();
    ears.open(&all).await?;
    for some in rooms.chunks(AT_ONCE) {
        let begun = join_all(some.iter().map(|room| begin(hub, room))).await;
        begun.into_iter().collect::<Result<(), Away>>()?;
    }
    Ok(())
}

async fn begin(hub: &Hub, room: &Arc<Room>) -> Result<(), Away> {
    let cursor = room.cursor();
    if cursor.is_empty() {
        let head = hub.0.store.head(&room.id).await?;
        let waited_ms = hub.0.clock.utc().timestamp_millis() - room.since_ms;
        if u128::from(waited_ms.unsigned_abs()) > LIVE_WITHIN.as_millis() {
            // its members wait no longer: what was told elsewhere since they came is theirs. Clocks are not quite the same
            let since_ms = room.since_ms - CLOCKS_MS;
            catch_up(hub, room, &format!("{since_ms}-0")).await?;
        }
        room.reached(&head);
    } else {
        catch_up(hub, room, &cursor).await?;
    }
    room.live.send_replace(true);
    Ok(())
}

/// Tells what was told elsewhere behind `cursor`.
async fn catch_up(hub: &Hub, room: &Arc<Room>, cursor: &str) -> Result<(), Away> {
    let behind = hub.0.store.behind(&room.id, After::Cursor(cursor)).await?;
    for Told { cursor, key, text } in behind.told {
        if read(&text).is_some_and(|told| told.kind.as_deref() == Some("agent_joined")) {
            room.set_human(true);
        }
        let frame = Frame {
            key: Some(key),
            ..Frame::new(text)
        };
        room.tell(&frame);
        room.reached(&cursor);
    }
    Ok(())
}

/// Tells the members of a room what was published there.
///
/// # Errors
/// [`Away`], where something before it cannot be read; it is read itself once that can.
async fn receive(hub: &Hub, heard: Heard) -> Result<(), Away> {
    let own_prefix = hub.own_channel("");
    let shared = heard.channel.strip_prefix(&*hub.0.settings.channel_prefix);
    let (id, is_shared) = match (heard.channel.strip_prefix(&own_prefix), shared) {
        (Some(id), _) => (id, false),
        (None, Some(id)) => (id, true),
        (None, None) => return Ok(()),
    };
    let Some(room) = hub.room(id) else {
        return Ok(());
    };
    let Some(published) = read(&heard.payload) else {
        hub.0.metrics.chat().unreadable();
        return Ok(());
    };
    if is_shared {
        return tell(hub, &room, published).await;
    }
    let name = published.kind.as_deref().unwrap_or_default();
    let extra = ChatExtra::ALL.into_iter().find(|it| it.name() == name);
    let frame = Frame {
        extra,
        except: sender(hub, &published),
        ..Frame::new(published.text.into_owned())
    };
    if extra == Some(ChatExtra::Handover) {
        room.set_human(is_to_human(&frame));
    }
    // what another version of ours says on this channel is for that version
    if extra.is_some() {
        room.tell(&frame);
    }
    Ok(())
}

async fn tell(hub: &Hub, room: &Arc<Room>, published: Published<'_>) -> Result<(), Away> {
    let except = sender(hub, &published);
    if published.kind.as_deref() == Some("typing")
        && let Some((user, types)) = typist(&published.text)
    {
        hub.note_typing(room, (&user, except), types);
    }
    if published.kind.as_deref() == Some("agent_joined") {
        room.set_human(true);
    }
    let place = published.mark.as_ref().map(|mark| mark.cursor.clone());
    if let Some(mark) = published
        .mark
        .as_ref()
        .filter(|mark| !mark.cursor.is_empty())
    {
        let last = room.cursor();
        // something was told between the two that has not been heard here
        let gap = !last.is_empty() && mark.prev != last && is_behind(&mark.prev, &last);
        if gap && let Err(away) = catch_up(hub, room, &last).await {
            tracing::warn!("a gap in a chat room is closed later: redis does not answer");
            return Err(away);
        }
    }
    let frame = Frame {
        key: published.key.clone(),
        except,
        ..Frame::new(published.text.to_string())
    };
    let is_news = room.tell(&frame);
    match (place, published.key) {
        (Some(place), _) if !place.is_empty() => room.reached(&place),
        // of somebody who keeps nothing: kept by us, for those who come back
        (None, Some(key)) if is_news => {
            if let Ok(place) = hub.0.store.note(&room.id, &published.text, &key).await {
                room.reached(&place.cursor);
            }
        }
        _ => {}
    }
    Ok(())
}

/// The socket of this server that it came from.
fn sender(hub: &Hub, published: &Published<'_>) -> Option<u64> {
    let via = &published.mark.as_ref()?.via;
    let (node, number) = via.rsplit_once('.')?;
    let number = number.parse().ok().filter(|number| *number > 0);
    number.filter(|_| node == hub.0.node)
}

fn is_to_human(frame: &Frame) -> bool {
    let value: serde_json::Value = serde_json::from_str(frame.text()).unwrap_or_default();
    value["data"]["to"] == "human"
}

fn typist(text: &str) -> Option<(String, bool)> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    let data = &value["data"];
    Some((
        data["userId"].as_str()?.to_owned(),
        data["isTyping"].as_bool()?,
    ))
}
