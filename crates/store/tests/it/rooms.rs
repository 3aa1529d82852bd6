//! Chat rooms: told once, in one order for everybody, read again by who missed it, on every backend.

use store::live::Rooms;
use store::live::rooms::{After, Place, Telling};

use crate::live::Gateways;

fn telling(room: &str, key: &str) -> Telling {
    Telling {
        channel: format!("chat:{room}"),
        text: format!("text of {key}"),
        payload: ["<".to_owned(), "|".to_owned(), ">".to_owned()],
        key: key.to_owned(),
    }
}

async fn tell(rooms: &Rooms, room: &str, key: &str) -> Place {
    rooms.tell(room, &telling(room, key)).await.unwrap()
}

async fn behind(rooms: &Rooms, room: &str, after: After<'_>) -> (Vec<String>, bool) {
    let behind = rooms.behind(room, after).await.unwrap();
    let keys = behind.told.into_iter().map(|told| {
        assert_eq!(told.text, format!("text of {}", told.key));
        told.key
    });
    (keys.collect(), behind.complete)
}

/// Opens two gateways with keys of their own for a story.
pub(crate) async fn all(open: impl AsyncFn(&'static str) -> Gateways) {
    what_is_told_is_told_once(open("rooms once").await).await;
    who_was_away_reads_what_came_behind(open("rooms behind").await).await;
    who_is_here_is_known_on_both(open("rooms here").await).await;
    what_is_published_is_heard_in_order(open("rooms heard").await).await;
}

async fn what_is_told_is_told_once(Gateways { one, other }: Gateways) {
    let first = tell(&one.rooms, "c", "m:1").await;
    assert!(first.is_new);
    let again = tell(&other.rooms, "c", "m:1").await;
    assert_eq!((again.cursor, again.is_new), (first.cursor.clone(), false));
    let second = tell(&other.rooms, "c", "m:2").await;
    assert!(second.is_new);
    assert_eq!(one.rooms.head("c").await.unwrap(), second.cursor);
    assert_eq!(one.rooms.head("nobody").await.unwrap(), "");
    // another room has messages of its own
    assert!(tell(&one.rooms, "d", "m:1").await.is_new);
    let noted = other.rooms.note("c", "text of m:2", "m:2").await.unwrap();
    assert_eq!(noted.cursor, second.cursor);
}

async fn who_was_away_reads_what_came_behind(Gateways { one, other }: Gateways) {
    let mut places = Vec::new();
    // braces are no hash tags
    for key in ["m:1", "m:2", "u:2:T", "m:3"] {
        places.push(tell(&one.rooms, "{c}", key).await);
    }
    let rooms = &other.rooms;
    let told = |keys: &[&str]| keys.iter().map(|&key| key.to_owned()).collect::<Vec<_>>();
    let all = told(&["m:1", "m:2", "u:2:T", "m:3"]);
    assert_eq!(
        behind(rooms, "{c}", After::Key("m:2")).await,
        (told(&["u:2:T", "m:3"]), true)
    );
    assert_eq!(
        behind(rooms, "{c}", After::Key("m:3")).await,
        (vec![], true)
    );
    assert_eq!(
        behind(rooms, "{c}", After::Key("m:9")).await,
        (all.clone(), false)
    );
    let cursor = After::Cursor(&places[0].cursor);
    assert_eq!(
        behind(rooms, "{c}", cursor).await,
        (all[1..].to_vec(), true)
    );
    assert_eq!(behind(rooms, "{c}", After::Cursor("")).await.0, all);
    assert_eq!(
        behind(rooms, "nobody", After::Key("m:1")).await,
        (vec![], false)
    );
}

async fn who_is_here_is_known_on_both(Gateways { one, other }: Gateways) {
    if !one.rooms.is_shared() {
        return;
    }
    let users = |names: &[&str]| {
        names
            .iter()
            .map(|&name| name.to_owned())
            .collect::<Vec<_>>()
    };
    let here = async |live: &store::Live, node: &str, names: &[&str]| {
        live.rooms
            .here("c", node, &users(names), 60_000)
            .await
            .unwrap()
    };
    assert_eq!(
        here(&one, "n1", &["ann", "bob"]).await,
        (users(&["ann", "bob"]), true)
    );
    assert_eq!(
        here(&one, "n1", &["ann", "bob"]).await,
        (users(&["ann", "bob"]), false)
    );
    assert_eq!(
        here(&other, "n2", &["bob", "eve"]).await,
        (users(&["ann", "bob", "eve"]), true)
    );
    assert_eq!(here(&one, "n1", &[]).await, (users(&["bob", "eve"]), true));
    assert_eq!(here(&other, "n2", &[]).await, (vec![], true));
    // a process that is not heard of counts no more
    one.rooms
        .here("c", "n1", &users(&["ann"]), 1)
        .await
        .unwrap();
    crate::redis_servers::until("the process is forgotten", async || {
        here(&other, "n2", &["eve"]).await.0 == ["eve"]
    })
    .await;
}

async fn what_is_published_is_heard_in_order(Gateways { one, other }: Gateways) {
    if !one.rooms.is_shared() {
        return;
    }
    let (mut ears, mut heralds) = other.rooms.listen().await.unwrap();
    let channels = ["chat:c".to_owned(), "chat:d".to_owned()];
    ears.open(&channels).await.unwrap();
    ears.ping().await.unwrap();
    let mut expected = Vec::new();
    let mut before = String::new();
    for number in 0..20 {
        let Place { cursor, .. } = tell(&one.rooms, "c", &format!("m:{number}")).await;
        expected.push(format!("<{cursor}|{before}>"));
        before = cursor;
    }
    one.rooms
        .pass("c", "chat:d", "gone in a moment")
        .await
        .unwrap();
    expected.push("gone in a moment".to_owned());
    for payload in expected {
        assert_eq!(heralds.next().await.unwrap().payload, payload);
    }
    ears.close(&channels[..1]).await.unwrap();
    tell(&one.rooms, "c", "unheard").await;
    one.rooms.pass("c", "chat:d", "heard").await.unwrap();
    let heard = heralds.next().await.unwrap();
    assert_eq!((&*heard.channel, &*heard.payload), ("chat:d", "heard"));
}
