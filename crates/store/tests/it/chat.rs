//! Chat rooms that are kept, on every database: once, page by page, for one tenant, for their time.

use chrono::{DateTime, Utc};
use store::{ChatPage, Cuts, NewChatMessage, Retention, StoreError};

use crate::backend::Backend;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap()
}

fn message<'a>(id: &'a str, content: &'a str) -> NewChatMessage<'a> {
    NewChatMessage {
        chat: "c",
        id,
        role: "USER",
        sender: "ann",
        content,
    }
}

async fn said(on: &Backend, count: i64) {
    for number in 0..count {
        let id = format!("m{number}");
        let new = message(&id, "{}");
        on.sql
            .add_chat_message("acme", new, at(number))
            .await
            .unwrap();
    }
}

async fn ids(on: &Backend, tenant: &str, page: ChatPage<'_>, limit: u32) -> (Vec<String>, bool) {
    let read = on.sql.chat_messages(tenant, "c", page, limit).await;
    let (messages, more) = read.unwrap();
    (messages.into_iter().map(|it| it.id).collect(), more)
}

async fn a_message_is_kept_once(on: Backend) {
    let sql = &on.sql;
    let (kept, new) = sql
        .add_chat_message("acme", message("m", r#"{"a":1}"#), at(1))
        .await
        .unwrap();
    assert!(new && kept.created_at == at(1) && kept.content == br#"{"a":1}"#);
    let (again, new) = sql
        .add_chat_message("acme", message("m", r#"{"b":2}"#), at(2))
        .await
        .unwrap();
    assert_eq!((again, new), (kept.clone(), false));
    assert_eq!(
        sql.chat_message("acme", "c", "m").await.unwrap(),
        Some(kept)
    );
    assert_eq!(sql.chat_message("rival", "c", "m").await.unwrap(), None);
    let nul = sql
        .add_chat_message("acme", message("n", "a\0b"), at(3))
        .await;
    assert!(matches!(nul, Err(StoreError::Nul)));
    let room = sql.chat_room("acme", "c").await.unwrap().unwrap();
    assert_eq!((&*room.status, &*room.answered_by), ("active", "agent"));
    assert_eq!((room.created_at, room.updated_at), (at(1), at(2)));
}

async fn rooms_are_read_page_by_page(on: Backend) {
    said(&on, 5).await;
    let page = |names: &[&str], more| {
        (
            names.iter().map(|&it| it.to_owned()).collect::<Vec<_>>(),
            more,
        )
    };
    assert_eq!(
        ids(&on, "acme", ChatPage::Newest, 2).await,
        page(&["m3", "m4"], true)
    );
    assert_eq!(
        ids(&on, "acme", ChatPage::Before("m3"), 2).await,
        page(&["m1", "m2"], true)
    );
    assert_eq!(
        ids(&on, "acme", ChatPage::Before("m1"), 2).await,
        page(&["m0"], false)
    );
    assert_eq!(
        ids(&on, "acme", ChatPage::Behind("m1"), 2).await,
        page(&["m2", "m3"], true)
    );
    assert_eq!(
        ids(&on, "acme", ChatPage::Behind("m4"), 2).await,
        page(&[], false)
    );
    assert_eq!(
        ids(&on, "acme", ChatPage::Behind("unknown"), 2).await,
        page(&[], false)
    );
    assert_eq!(
        ids(&on, "rival", ChatPage::Newest, 9).await,
        page(&[], false)
    );
}

async fn only_the_sender_changes_a_message(on: Backend) {
    said(&on, 1).await;
    let sql = &on.sql;
    let change = async |tenant, sender| {
        let place = ("c", "m0", sender);
        sql.change_chat_message(tenant, place, r#"{"new":1}"#, at(9))
            .await
            .unwrap()
    };
    assert_eq!(change("acme", "bob").await, None);
    assert_eq!(change("rival", "ann").await, None);
    let changed = change("acme", "ann").await.unwrap();
    assert_eq!(
        (changed.updated_at, &*changed.content),
        (Some(at(9)), &br#"{"new":1}"#[..])
    );
}

async fn who_has_read_further_has_not_read_less(on: Backend) {
    said(&on, 3).await;
    let sql = &on.sql;
    let read = async |message| {
        sql.read_chat("acme", ("c", "bob", message), at(50))
            .await
            .unwrap()
    };
    assert!(read("m1").await);
    assert!(!read("m1").await && !read("m0").await && !read("unknown").await);
    assert!(read("m2").await);
    let reads = sql.chat_reads("acme", "c").await.unwrap();
    assert_eq!(
        (reads.len(), &*reads[0].reader, &*reads[0].message),
        (1, "bob", "m2")
    );
    assert!(sql.chat_reads("rival", "c").await.unwrap().is_empty());
}

async fn a_room_knows_who_answers(on: Backend) {
    let sql = &on.sql;
    let answer = async |by, person| {
        sql.answer_chat("acme", ("c", by, person), at(1))
            .await
            .unwrap()
    };
    assert!(answer("human", Some("bob")).await);
    assert!(!answer("human", Some("bob")).await);
    assert!(answer("human", Some("eve")).await);
    let room = sql.chat_room("acme", "c").await.unwrap().unwrap();
    assert_eq!(
        (&*room.answered_by, room.assigned_to.as_deref()),
        ("human", Some("eve"))
    );
    assert!(answer("agent", None).await);
    let room = sql.chat_room("acme", "c").await.unwrap().unwrap();
    assert_eq!(
        (&*room.answered_by, room.assigned_to, room.assigned_at),
        ("agent", None, None)
    );
    assert_eq!(sql.chat_room("rival", "c").await.unwrap(), None);
}

async fn what_has_outlived_its_time_goes(on: Backend) {
    const DAY: i64 = 86_400;
    let sql = &on.sql;
    for (id, day) in [("old", 0), ("new", 20)] {
        sql.add_chat_message("acme", message(id, "{}"), at(day * DAY))
            .await
            .unwrap();
    }
    let retention = Retention {
        days: 10,
        tenants: [("acme".to_owned(), 10)].into(),
    };
    let cuts = |now| Cuts {
        outbox_done: now,
        outbox_dead: now,
        inbox: now,
        rows: 100,
    };
    let swept = sql
        .sweep(&retention, &cuts(at(0)), at(25 * DAY))
        .await
        .unwrap();
    assert_eq!((swept.chat_messages, swept.chat_rooms), (1, 0));
    assert_eq!(ids(&on, "acme", ChatPage::Newest, 9).await.0, ["new"]);
    let swept = sql
        .sweep(&retention, &cuts(at(0)), at(40 * DAY))
        .await
        .unwrap();
    assert_eq!((swept.chat_messages, swept.chat_rooms), (1, 1));
    assert_eq!(sql.chat_room("acme", "c").await.unwrap(), None);
}

async fn tokens_of_an_installation_have_one_key(on: Backend) {
    let key = on.sql.chat_token_key().await.unwrap();
    assert_eq!(
        (key.len(), on.sql.chat_token_key().await.unwrap()),
        (32, key.clone())
    );
    if let Some(other) = on.opened_again().await {
        assert_eq!(other.chat_token_key().await.unwrap(), key);
    }
}

stories!(
    a_message_is_kept_once,
    rooms_are_read_page_by_page,
    only_the_sender_changes_a_message,
    who_has_read_further_has_not_read_less,
    a_room_knows_who_answers,
    what_has_outlived_its_time_goes,
    tokens_of_an_installation_have_one_key,
);
