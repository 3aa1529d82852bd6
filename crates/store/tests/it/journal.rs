//! Nothing that was kept is lost: the database away, the process killed, the disk full.

use std::future::pending;
use std::io::BufRead as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use store::seal::{KeySource, Ring};
use store::{
    Change, Delivery, Entry, Journal, JournalError, JournalOptions, SessionKey, Settings, Sql,
};
use tempfile::TempDir;

use crate::backend::as_application;
use crate::conversations::{begun, put, said, session};
use crate::postgres::{OWNER, Server};
use crate::redis_servers::until;

pub(crate) const MANY: u64 = 1 << 30;

async fn open(folder: &Path, limit_bytes: u64) -> (Journal, Delivery) {
    let options = JournalOptions {
        folder: folder.to_owned(),
        limit_bytes,
        keys: None,
    };
    Journal::open(options).await.unwrap()
}

async fn file(folder: &TempDir) -> Sql {
    let file = folder.path().join("antiphon.db");
    let url = format!("sqlite:{}", file.display());
    Sql::open(&Settings::at(url)).await.unwrap()
}

/// Names of the journal's files.
fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder.join("0"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "lock" && name != "applied")
        .collect();
    names.sort();
    names
}

pub(crate) async fn delivered(journal: &Journal) {
    until("everything is delivered", || async {
        journal.state().waiting == 0
    })
    .await;
}

pub(crate) async fn talk(journal: &Journal, here: &SessionKey, items: i64) {
    journal.append(&begun(here, 1, "{}")).await.unwrap();
    for n in 1..=items {
        let entry = put(here, n + 1, &format!("item_{n}"), n);
        journal.append(&entry).await.unwrap();
    }
}

pub(crate) async fn ids(sql: &Sql, here: &SessionKey) -> Vec<String> {
    let items = sql.last_items(here, 10_000).await.unwrap();
    items.into_iter().map(|item| item.id).collect()
}

pub(crate) fn expected(items: i64) -> Vec<String> {
    (1..=items).map(|n| format!("item_{n}")).collect()
}

#[tokio::test]
async fn what_happens_reaches_the_database_and_leaves_no_file_behind() {
    let folder = tempfile::tempdir().unwrap();
    let sql = file(&folder).await;
    let (journal, delivery) = open(folder.path(), MANY).await;
    let delivering = tokio::spawn(delivery.run(sql.clone(), pending()));
    let mut talking = tokio::task::JoinSet::new();
    for n in 0..20 {
        let journal = journal.clone();
        talking.spawn(async move { talk(&journal, &session("acme", &format!("s{n}")), 50).await });
    }
    talking.join_all().await;
    delivered(&journal).await;
    assert_eq!(journal.state().delivered, 20 * 51);
    drop(journal);
    delivering.await.unwrap();
    for n in 0..20 {
        let here = session("acme", &format!("s{n}"));
        assert_eq!(ids(&sql, &here).await, expected(50));
    }
    assert_eq!(files(folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn what_was_said_while_postgres_was_away_is_there_once_when_it_is_back() {
    let server = Server::own();
    let database = server.database(OWNER);
    let mut settings = as_application(&database);
    settings.acquire_within = std::time::Duration::from_millis(200);
    let sql = Sql::open(&settings).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (journal, delivery) = open(folder.path(), MANY).await;
    tokio::spawn(delivery.run(sql.clone(), pending()));
    let (here, there) = (session("acme", "sess_1"), session("rival", "sess_1"));
    talk(&journal, &here, 10).await;
    delivered(&journal).await;

    server.stop();
    talk(&journal, &there, 600).await;
    let late = put(&here, 12, "item_11", 11);
    journal.append(&late).await.unwrap();
    until("delivery fails", || async {
        journal.state().failing.is_some()
    })
    .await;
    assert_eq!(journal.state().waiting, 602);
    assert!(sql.last_items(&there, 9).await.is_err());

    server.start();
    delivered(&journal).await;
    until("nothing fails any more", || async {
        journal.state().failing.is_none()
    })
    .await;
    assert_eq!(ids(&sql, &here).await, expected(11));
    assert_eq!(ids(&sql, &there).await, expected(600));
    assert_eq!(journal.state().refused + journal.state().rejected, 0);
}

#[tokio::test]
async fn a_process_that_is_killed_loses_nothing_it_was_told() {
    const CHILD: &str = "ANTIPHON_TEST_JOURNAL";
    #[expect(
        clippy::disallowed_methods,
        reason = "the test starts itself as the process to be killed"
    )]
    if let Ok(folder) = std::env::var(CHILD) {
        // nobody delivers: everything waits in the journal
        let (journal, _delivery) = open(Path::new(&folder), MANY).await;
        let here = session("acme", "sess_1");
        journal.append(&begun(&here, 1, "{}")).await.unwrap();
        for n in 1.. {
            let entry = put(&here, n + 1, &format!("item_{n}"), n);
            journal.append(&entry).await.unwrap();
            eprintln!("told {n}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "journal::a_process_that_is_killed_loses_nothing_it_was_told",
        ])
        .arg("--nocapture")
        .env(CHILD, folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(child.stderr.take().unwrap()).lines();
    let mut told = 0;
    while told < 500 {
        let line = lines.next().unwrap().unwrap();
        if let Some(number) = line.strip_prefix("told ") {
            told = number.parse().unwrap();
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    for number in lines
        .map_while(Result::ok)
        .filter_map(|line| line.strip_prefix("told ")?.parse().ok())
    {
        told = number;
    }

    let sql = file(&folder).await;
    let (journal, delivery) = open(folder.path(), MANY).await;
    let delivering = tokio::spawn(delivery.run(sql.clone(), pending()));
    drop(journal);
    delivering.await.unwrap();
    let found = ids(&sql, &session("acme", "sess_1")).await;
    // one more may have been written than was told
    assert!(found.len() as i64 >= told, "{} of {told}", found.len());
    assert_eq!(found, expected(found.len() as i64));
    assert_eq!(files(folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn what_was_delivered_before_a_stop_is_not_brought_back() {
    let folder = tempfile::tempdir().unwrap();
    let sql = file(&folder).await;
    let here = session("acme", "sess_1");
    for _ in 0..2 {
        let (journal, delivery) = open(folder.path(), MANY).await;
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let stopped = async { drop(stopped.await) };
        let delivering = tokio::spawn(delivery.run(sql.clone(), stopped));
        talk(&journal, &here, 3).await;
        // the last words before the stop are delivered as well
        stop.send(()).unwrap();
        delivering.await.unwrap();
        assert_eq!(ids(&sql, &here).await, expected(3));
        assert!(sql.delete_session("acme", "sess_1").await.unwrap());
        drop(journal);
    }
    let (journal, delivery) = open(folder.path(), MANY).await;
    drop(journal);
    delivery.run(sql.clone(), pending()).await;
    assert_eq!(sql.find_session("acme", "sess_1").await.unwrap(), None);
}

#[tokio::test]
async fn a_full_journal_says_so_and_takes_more_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let sql = file(&folder).await;
    let (journal, delivery) = open(folder.path(), 2000).await;
    let here = session("acme", "sess_1");
    journal.append(&begun(&here, 1, "{}")).await.unwrap();
    let mut kept = 0;
    let refused = loop {
        let entry = put(&here, kept + 2, &format!("item_{}", kept + 1), kept + 1);
        match journal.append(&entry).await {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, JournalError::Full { limit: 2000 });
    assert!((3..12).contains(&kept), "{kept}");
    assert_eq!(journal.state().refused, 1);
    assert!(journal.state().bytes <= 2000);
    drop(journal);
    delivery.run(sql.clone(), pending()).await;
    assert_eq!(ids(&sql, &here).await, expected(kept));
    let (journal, _delivery) = open(folder.path(), 2000).await;
    journal.append(&begun(&here, 1, "{}")).await.unwrap();
}

#[tokio::test]
async fn what_the_database_refuses_for_good_does_not_hold_up_the_rest() {
    let database = Server::shared().database(OWNER);
    let sql = Sql::open(&as_application(&database)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (journal, delivery) = open(folder.path(), MANY).await;
    let (here, there) = (session("acme", "sess_1"), session("rival", "sess_1"));
    talk(&journal, &here, 40).await;
    for revision in [42, 43] {
        let refused = put(&here, revision, "no\0item", revision);
        journal.append(&refused).await.unwrap();
    }
    for n in 41..=200 {
        let entry = put(&here, n + 3, &format!("item_{n}"), n + 3);
        journal.append(&entry).await.unwrap();
    }
    talk(&journal, &there, 10).await;
    tokio::spawn(delivery.run(sql.clone(), pending()));
    delivered(&journal).await;
    assert_eq!(journal.state().rejected, 2);
    assert_eq!(ids(&sql, &here).await, expected(200));
    assert_eq!(ids(&sql, &there).await, expected(10));
    let aside = std::fs::read_to_string(folder.path().join("0/rejected.log")).unwrap();
    assert_eq!(aside.lines().count(), 2, "{aside}");
    for (line, revision) in aside.lines().zip([42, 43]) {
        assert!(line.contains("sess_1"), "{line}");
        assert!(
            line.contains(&format!(r#""revision":{revision}"#)),
            "{line}"
        );
    }
    assert!(!aside.contains("item 4"), "{aside}");
}

/// A rule of the database that a change breaks is a refusal on SQLite as well.
#[tokio::test]
async fn a_rule_of_a_file_that_one_change_breaks_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let sql = file(&folder).await;
    let url = format!("sqlite:{}", folder.path().join("antiphon.db").display());
    let hand = sqlx::SqlitePool::connect(&url).await.unwrap();
    sqlx::query(
        "CREATE TRIGGER rule BEFORE INSERT ON conversation_items WHEN new.id = 'item_7' \
         BEGIN SELECT RAISE(ABORT, 'not this one'); END",
    )
    .execute(&hand)
    .await
    .unwrap();
    hand.close().await;
    let (journal, delivery) = open(folder.path(), MANY).await;
    let here = session("acme", "sess_1");
    talk(&journal, &here, 300).await;
    tokio::spawn(delivery.run(sql.clone(), pending()));
    delivered(&journal).await;
    assert_eq!(journal.state().rejected, 1);
    let mut others = expected(300);
    others.remove(6);
    assert_eq!(ids(&sql, &here).await, others);
}

#[tokio::test]
async fn with_keys_the_journal_is_sealed_and_opens_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let sql = file(&folder).await;
    let ring = "k1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    let keys = || Some(KeySource::Ring(Arc::new(Ring::parse(ring).unwrap())));
    let options = |keys| JournalOptions {
        folder: folder.path().join("journal"),
        limit_bytes: MANY,
        keys,
    };
    let (journal, delivery) = Journal::open(options(keys())).await.unwrap();
    let here = session("acme", "sess_1");
    talk(&journal, &here, 3).await;
    let first = folder.path().join("journal/0/000000000001.journal");
    let bytes = std::fs::read(&first).unwrap();
    assert!(bytes.len() > 500);
    assert!(
        !bytes
            .windows(6)
            .any(|part| part == b"item_1" || part == b"sess_1")
    );
    drop((journal, delivery));

    // without the keys nothing is thrown away
    let (journal, delivery) = Journal::open(options(None)).await.unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let run = tokio::spawn(delivery.run(sql.clone(), async { drop(stopped.await) }));
    until("it is told why", || async {
        journal
            .state()
            .failing
            .is_some_and(|reason| reason.contains("there are no keys"))
    })
    .await;
    stop.send(()).unwrap();
    run.await.unwrap();
    drop(journal);
    assert!(first.exists());

    let (journal, delivery) = Journal::open(options(keys())).await.unwrap();
    drop(journal);
    delivery.run(sql.clone(), pending()).await;
    assert_eq!(ids(&sql, &here).await, expected(3));
}

#[tokio::test]
async fn an_entry_cut_off_in_the_middle_does_not_hide_those_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let sql = file(&folder).await;
    let (journal, delivery) = open(folder.path(), MANY).await;
    let here = session("acme", "sess_1");
    talk(&journal, &here, 3).await;
    drop((journal, delivery));
    let first = folder.path().join("0/000000000001.journal");
    let bytes = std::fs::read(&first).unwrap();
    std::fs::write(&first, &bytes[..bytes.len() - 5]).unwrap();
    let (journal, delivery) = open(folder.path(), MANY).await;
    talk(&journal, &session("acme", "sess_2"), 3).await;
    drop(journal);
    delivery.run(sql.clone(), pending()).await;
    assert_eq!(ids(&sql, &here).await, expected(2));
    assert_eq!(ids(&sql, &session("acme", "sess_2")).await, expected(3));
    assert_eq!(files(folder.path()), ["000000000001.damaged"]);
}

#[tokio::test]
async fn two_processes_share_a_folder_and_what_one_left_the_next_delivers() {
    let folder = tempfile::tempdir().unwrap();
    let sql = file(&folder).await;
    let (one, one_delivery) = open(folder.path(), MANY).await;
    let (two, two_delivery) = open(folder.path(), MANY).await;
    talk(&one, &session("acme", "sess_1"), 2).await;
    talk(&two, &session("acme", "sess_2"), 2).await;
    assert!(folder.path().join("1/000000000001.journal").exists());
    // both die without delivering
    drop((one, one_delivery, two, two_delivery));
    let (journal, delivery) = open(folder.path(), MANY).await;
    drop(journal);
    delivery.run(sql.clone(), pending()).await;
    for id in ["sess_1", "sess_2"] {
        assert_eq!(ids(&sql, &session("acme", id)).await, expected(2));
    }
    let said = said(&sql, &session("acme", "sess_1"), 1).await;
    assert_eq!(said, [r#"{"said":"item_2 3"}"#]);
}

#[tokio::test]
async fn files_that_are_delivered_are_replaced_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let sql = file(&folder).await;
    let (journal, delivery) = open(folder.path(), MANY).await;
    tokio::spawn(delivery.run(sql.clone(), pending()));
    let here = session("acme", "sess_1");
    journal.append(&begun(&here, 1, "{}")).await.unwrap();
    for n in 1..=40 {
        let change = Change::Put {
            item: format!("item_{n}"),
            position: n,
            created_at: here.started_at(),
            content: "x".repeat(400_000),
        };
        let entry = Entry {
            session: here.clone(),
            revision: n + 1,
            change,
        };
        journal.append(&entry).await.unwrap();
    }
    until("the disk is free again", || async {
        journal.state().waiting == 0 && journal.state().bytes < 1000
    })
    .await;
    assert_eq!(ids(&sql, &here).await, expected(40));
    assert_eq!(files(folder.path()).len(), 1);
}
