//! A tenant whose key cannot be had waits by itself: nobody else does, nothing of it is lost or out of order.

use std::future::pending;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use store::seal::{Keeper, KeyError, KeySource};
use store::{Change, Delivery, Journal, JournalError, JournalOptions, Sql};

use crate::conversations::{begun, put, session};
use crate::journal::{MANY, delivered, expected, ids, talk};
use crate::redis_servers::until;
use crate::sealing::{OLD, Place, ring};

const BREAK: &str = "UPDATE data_keys SET wrapped = 'broken ' || wrapped WHERE tenant = 'acme'";
const MEND: &str = "UPDATE data_keys SET wrapped = substr(wrapped, 8) WHERE tenant = 'acme'";

async fn journal(folder: &Path, limit_bytes: u64) -> (Journal, Delivery) {
    let options = JournalOptions {
        folder: folder.to_owned(),
        limit_bytes,
        keys: Some(ring(&[OLD])),
    };
    Journal::open(options).await.unwrap()
}

/// A database in which acme has a key that does not open, as a process finds it that has not opened it yet.
async fn with_a_broken_key(place: &Place) -> Sql {
    let sql = place.open(Some(ring(&[OLD]))).await;
    let first = begun(&session("acme", "sess_0"), 1, "{}");
    sql.write_changes("acme", &[&first]).await.unwrap();
    place.by_hand(BREAK).await;
    place.open(Some(ring(&[OLD]))).await
}

fn held_files(folder: &Path) -> usize {
    let files = std::fs::read_dir(folder.join("0")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|kind| kind == "held"))
        .count()
}

#[tokio::test]
async fn a_tenant_without_its_key_waits_and_nobody_else() {
    for place in Place::both() {
        let sql = with_a_broken_key(&place).await;
        let folder = tempfile::tempdir().unwrap();
        let (journal, delivery) = journal(folder.path(), MANY).await;
        tokio::spawn(delivery.run(sql.clone(), pending()));
        let (here, there) = (session("acme", "sess_1"), session("rival", "sess_1"));
        talk(&journal, &here, 30).await;
        talk(&journal, &there, 30).await;
        until("everybody else is delivered", || async {
            let state = journal.state();
            (state.waiting, state.held, state.held_tenants) == (31, 31, 1)
        })
        .await;
        assert_eq!(ids(&sql, &there).await, expected(30));
        assert_eq!(journal.state().failing, None);
        assert_eq!(held_files(folder.path()), 1);
        // what comes later waits behind it, also what needs no key
        for n in 31..=40 {
            let entry = put(&here, n + 1, &format!("item_{n}"), n);
            journal.append(&entry).await.unwrap();
        }
        let more = put(&there, 32, "item_31", 31);
        journal.append(&more).await.unwrap();
        until("the next are sorted", || async {
            let state = journal.state();
            (state.waiting, state.held) == (41, 41)
        })
        .await;
        assert_eq!(ids(&sql, &there).await, expected(31));
        assert_eq!(sql.find_session("acme", "sess_1").await.unwrap(), None);

        place.by_hand(MEND).await;
        delivered(&journal).await;
        assert_eq!(ids(&sql, &here).await, expected(40));
        until("nothing is left of its line", || async {
            journal.state().held_tenants == 0
        })
        .await;
        assert_eq!(held_files(folder.path()), 0);
        let state = journal.state();
        assert_eq!(state.held + state.refused + state.rejected, 0);
        // and goes the way of all others again
        let last = put(&here, 42, "item_41", 41);
        journal.append(&last).await.unwrap();
        delivered(&journal).await;
        assert_eq!(ids(&sql, &here).await, expected(41));
    }
}

#[tokio::test]
async fn what_waits_for_a_key_outlives_the_process_and_keeps_its_place() {
    for place in Place::both() {
        let sql = with_a_broken_key(&place).await;
        let folder = tempfile::tempdir().unwrap();
        let (here, there) = (session("acme", "sess_1"), session("rival", "sess_1"));
        for start in 0..2 {
            let (journal, delivery) = journal(folder.path(), MANY).await;
            let left = journal.state();
            assert_eq!((left.held, left.waiting), (start * 11, start * 11));
            let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
            let stopped = async { drop(stopped.await) };
            let run = tokio::spawn(delivery.run(sql.clone(), stopped));
            // each item again and later, as a process that is killed between two files would
            for n in 0..=10_i64 {
                let revision = n + 1 + 20 * start.cast_signed();
                let entry = match n {
                    0 => begun(&here, revision, "{}"),
                    n => put(&here, revision, &format!("item_{n}"), n),
                };
                journal.append(&entry).await.unwrap();
            }
            let other = begun(&there, 1 + start.cast_signed(), "{}");
            journal.append(&other).await.unwrap();
            stop.send(()).unwrap();
            run.await.unwrap();
            assert_eq!(journal.state().held, 11 * (start + 1));
            assert_eq!(held_files(folder.path()), start as usize + 1);
        }
        assert!(sql.find_session("rival", "sess_1").await.unwrap().is_some());
        assert_eq!(sql.find_session("acme", "sess_1").await.unwrap(), None);

        place.by_hand(MEND).await;
        let (journal, delivery) = journal(folder.path(), MANY).await;
        assert_eq!(journal.state().held, 22);
        tokio::spawn(delivery.run(sql.clone(), pending()));
        delivered(&journal).await;
        let items = sql.last_items(&here, 100).await.unwrap();
        assert_eq!(ids(&sql, &here).await, expected(10));
        // the later change counts
        assert!(items.iter().all(|item| item.revision > 20), "{items:?}");
        until("the files are gone", || async {
            held_files(folder.path()) == 0
        })
        .await;
    }
}

#[tokio::test]
async fn what_waits_for_a_key_is_bounded_and_takes_nobody_elses_room() {
    let place = &Place::both()[0];
    let sql = with_a_broken_key(place).await;
    let folder = tempfile::tempdir().unwrap();
    let (journal, delivery) = journal(folder.path(), 400_000).await;
    tokio::spawn(delivery.run(sql.clone(), pending()));
    let here = session("acme", "sess_1");
    journal.append(&begun(&here, 1, "{}")).await.unwrap();
    let mut kept = 0;
    let refused = loop {
        let mut entry = put(&here, kept + 2, &format!("item_{}", kept + 1), kept + 1);
        if let Change::Put { content, .. } = &mut entry.change {
            *content = format!(r#"{{"said":"{}"}}"#, "x".repeat(4000));
        }
        match journal.append(&entry).await {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
        let told = kept.unsigned_abs() + 1;
        until("it is put aside", || async { journal.state().held == told }).await;
    };
    assert_eq!(refused, JournalError::Held { limit: 200_000 });
    assert!((40..50).contains(&kept), "{kept}");
    assert_eq!(journal.state().refused, 1);
    let there = session("rival", "sess_1");
    talk(&journal, &there, 3).await;
    until("the other is delivered", || async {
        journal.state().waiting == journal.state().held
    })
    .await;
    assert_eq!(ids(&sql, &there).await, expected(3));
    place.by_hand(MEND).await;
    delivered(&journal).await;
    assert_eq!(ids(&sql, &here).await, expected(kept));
    until("nothing is left of its line", || async {
        journal.state().held_tenants == 0
    })
    .await;
    talk(&journal, &session("acme", "sess_2"), 3).await;
}

/// Answers for a key only when it is asked to.
#[derive(Debug)]
struct Silent {
    speaks: AtomicBool,
}

impl Silent {
    async fn waits(&self) {
        if !self.speaks.load(Ordering::Relaxed) {
            pending::<()>().await;
        }
    }
}

#[async_trait]
impl Keeper for Silent {
    async fn wrap(&self, key: &[u8]) -> Result<String, KeyError> {
        self.waits().await;
        let mut wrapped = String::new();
        for byte in key {
            wrapped.push_str(&format!("{:02x}", !byte));
        }
        Ok(wrapped)
    }

    async fn unwrap(&self, wrapped: &str) -> Result<Vec<u8>, KeyError> {
        self.waits().await;
        let byte = |at: usize| u8::from_str_radix(&wrapped[at..at + 2], 16).map(|byte| !byte);
        let bytes = (0..wrapped.len())
            .step_by(2)
            .map(byte)
            .collect::<Result<_, _>>();
        bytes.map_err(|_| KeyError::Damaged)
    }

    async fn renew(&self, _wrapped: &str) -> Result<Option<String>, KeyError> {
        Ok(None)
    }
}

#[tokio::test]
async fn a_keeper_that_says_nothing_holds_up_only_those_who_need_him() {
    for place in Place::both() {
        let keeper = Arc::new(Silent {
            speaks: AtomicBool::new(true),
        });
        let source = KeySource::Keeper(Arc::clone(&keeper) as _);
        let sql = place.open(Some(source)).await;
        let known = session("rival", "sess_1");
        let first = begun(&known, 1, "{}");
        sql.write_changes("rival", &[&first]).await.unwrap();
        keeper.speaks.store(false, Ordering::Relaxed);
        let folder = tempfile::tempdir().unwrap();
        let (journal, delivery) = journal(folder.path(), MANY).await;
        tokio::spawn(delivery.run(sql.clone(), pending()));
        let strangers: Vec<_> = (0..12)
            .map(|n| session(&format!("new{n}"), "sess_1"))
            .collect();
        for stranger in &strangers {
            talk(&journal, stranger, 5).await;
        }
        journal.append(&put(&known, 2, "item_1", 1)).await.unwrap();
        until("all others wait", || async {
            journal.state().held_tenants == 12 && journal.state().waiting == 72
        })
        .await;
        assert_eq!(ids(&sql, &known).await, expected(1));
        keeper.speaks.store(true, Ordering::Relaxed);
        delivered(&journal).await;
        for stranger in &strangers {
            assert_eq!(ids(&sql, stranger).await, expected(5));
        }
    }
}

#[tokio::test]
async fn a_line_that_cannot_be_read_holds_up_nobody_else() {
    for place in Place::both() {
        let sql = with_a_broken_key(&place).await;
        let folder = tempfile::tempdir().unwrap();
        let (here, there) = (session("acme", "sess_1"), session("rival", "sess_1"));
        // a file of each process
        for start in 0..2 {
            let (journal, delivery) = journal(folder.path(), MANY).await;
            let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
            let run = tokio::spawn(delivery.run(sql.clone(), async { drop(stopped.await) }));
            let entry = match start {
                0 => begun(&here, 1, "{}"),
                _ => put(&here, 2, "item_1", 1),
            };
            journal.append(&entry).await.unwrap();
            stop.send(()).unwrap();
            run.await.unwrap();
        }
        let files = std::fs::read_dir(folder.path().join("0")).unwrap();
        let paths = files.map(|file| file.unwrap().path());
        let mut paths: Vec<_> = paths
            .filter(|path| path.extension().is_some_and(|kind| kind == "held"))
            .collect();
        paths.sort();
        let (second, aside) = (&paths[1], folder.path().join("aside"));

        let (journal, delivery) = journal(folder.path(), MANY).await;
        std::fs::rename(second, &aside).unwrap();
        std::fs::create_dir(second).unwrap();
        place.by_hand(MEND).await;
        tokio::spawn(delivery.run(sql.clone(), pending()));
        until("the first file is delivered", || async {
            sql.find_session("acme", "sess_1").await.unwrap().is_some()
        })
        .await;
        talk(&journal, &there, 10).await;
        until("everybody else is delivered", || async {
            journal.state().waiting == 1
        })
        .await;
        assert_eq!(ids(&sql, &there).await, expected(10));

        std::fs::remove_dir(second).unwrap();
        std::fs::rename(&aside, second).unwrap();
        delivered(&journal).await;
        assert_eq!(ids(&sql, &here).await, expected(1));
        assert_eq!(journal.state().held, 0);
    }
}
