//! Rooms in Redis: a stream each, and beside it what is known by its key.
//! Used by [`super::Rooms`].
//! Never does in two steps what another process could come between.

use std::sync::LazyLock;

use redis::Value;

use super::{After, Behind, Place, RoomLimits, Telling, Told};
use crate::live::link::{Away, Link, Script};
use crate::live::work::read;

static TELL: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("tell.lua")));
static BEHIND: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("behind.lua")));
static PASS: LazyLock<Script> =
    LazyLock::new(|| Script::new("return redis.call('PUBLISH', ARGV[1], ARGV[2])"));
static HEAD: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1) \
         return last[1] and last[1][1] or ''",
    )
});

fn stream(link: &Link, room: &str) -> String {
    link.key(&tag(room), "told")
}

/// All that is kept of a room is in one slot.
pub(super) fn tag(room: &str) -> String {
    // a brace would end the hash tag; no two rooms have one tag
    let safe = room
        .replace('%', "%25")
        .replace('{', "%7B")
        .replace('}', "%7D");
    format!("room:{safe}")
}

fn known(link: &Link, room: &str, key: &str) -> String {
    link.key(&tag(room), &format!("known:{key}"))
}

pub(super) async fn tell(
    link: &Link,
    room: &str,
    telling: &Telling,
    limits: RoomLimits,
) -> Result<Place, Away> {
    let keys = [stream(link, room), known(link, room, &telling.key)];
    let [first, second, third] = telling.payload.clone();
    let arguments = [
        telling.text.clone(),
        telling.key.clone(),
        limits.entries.to_string(),
        limits.kept_ms.to_string(),
        telling.channel.clone(),
        first,
        second,
        third,
    ];
    let (cursor, is_new): (String, u8) = link.run(&TELL, &keys, &arguments).await?;
    Ok(Place {
        cursor,
        is_new: is_new == 1,
    })
}

pub(super) async fn pass(
    link: &Link,
    room: &str,
    channel: &str,
    payload: &str,
) -> Result<(), Away> {
    let keys = [stream(link, room)];
    let _: u64 = link.run(&PASS, &keys, &[channel, payload]).await?;
    Ok(())
}

pub(super) async fn head(link: &Link, room: &str) -> Result<String, Away> {
    let nothing: [&str; 0] = [];
    link.run(&HEAD, &[stream(link, room)], &nothing).await
}

pub(super) async fn behind(
    link: &Link,
    room: &str,
    after: After<'_>,
    entries: usize,
) -> Result<Behind, Away> {
    let mut keys = vec![stream(link, room)];
    let cursor = match after {
        After::Cursor(cursor) => cursor,
        After::Key(key) => {
            keys.push(known(link, room, key));
            ""
        }
    };
    let arguments = [cursor.to_owned(), entries.to_string()];
    let (complete, found): (u8, Value) = link.run(&BEHIND, &keys, &arguments).await?;
    let told = read::listed(found).into_iter().map(|entry| Told {
        key: entry.text("k"),
        text: entry.text("t"),
        cursor: entry.id,
    });
    Ok(Behind {
        told: told.collect(),
        complete: complete == 1,
    })
}

#[cfg(test)]
mod tests {
    use super::tag;

    #[test]
    fn every_room_has_a_tag_of_its_own() {
        assert_eq!(tag("c1"), "room:c1");
        let rooms = ["a{b", "a}b", "a_b", "a%7Bb", "a%257Bb"];
        let tags: std::collections::BTreeSet<String> = rooms.iter().map(|it| tag(it)).collect();
        assert_eq!(tags.len(), rooms.len());
        assert!(tags.iter().all(|tag| !tag.contains(['{', '}'])));
    }
}
