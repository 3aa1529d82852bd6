//! A disk without room, for the database and for the journal: people go on talking, administrators are told, and it works
//! again as soon as there is room.
//!
//! The kernel refuses to let files of the server grow (`RLIMIT_FSIZE`), which needs no rights and is taken back while
//! it runs. What a full disk says instead is another number in the same place.

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;
use store::{SessionKey, Settings, Sql};

use crate::talking::{connect, items, rest, turn};
use crate::{Server, antiphon};

/// Lets no file of the server grow beyond so many bytes.
fn room(server: &Server, bytes: Option<u64>) {
    let limit = Rlimit {
        current: bytes,
        maximum: None,
    };
    prlimit(Some(Pid::from_child(&server.child)), Resource::Fsize, limit).unwrap();
}

async fn metric(address: &str, name: &str) -> u64 {
    let (_, metrics) = rest(address, "/metrics", None).await;
    let start = format!("{name} ");
    let text = metrics.as_str().unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(&start));
    value.unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_full_disk_ends_no_conversation_and_is_survived() {
    let dir = tempfile::tempdir().unwrap();
    // without this the kernel would end the process at the first write, where a full disk only refuses it
    let plain = antiphon(dir.path(), &["serve"]);
    let mut command = std::process::Command::new("sh");
    command.arg("-c").arg("trap '' XFSZ; exec \"$0\" serve");
    command.arg(plain.get_program()).env_clear();
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap());
    }
    let server = Server::spawn(command);
    let address = server.address.clone();
    let mut socket = connect(&address).await;
    let first = turn(&mut socket, "before").await;
    let id = first[0]["session"]["id"].as_str().unwrap().to_owned();
    let agent = |name: &str| json!({ "name": name, "instructions": "Be brief." });
    assert_eq!(
        rest(&address, "/v1/agents", Some(&agent("ann"))).await.0,
        201
    );

    room(&server, Some(1));
    let (status, told) = rest(&address, "/v1/agents", Some(&agent("bob"))).await;
    assert_eq!(status, 503, "{told}");
    assert_eq!(told["error"]["code"], "storage_full", "{told}");
    // what is read is still there, and people go on talking
    assert_eq!(rest(&address, "/v1/agents/ann", None).await.0, 200);
    let unkept = turn(&mut socket, "meanwhile").await;
    assert!(metric(&address, "antiphon_journal_refused_total").await > 0);
    let mut newcomer = connect(&address).await;
    turn(&mut newcomer, "hello").await;

    room(&server, None);
    let refused = metric(&address, "antiphon_journal_refused_total").await;
    let (status, told) = rest(&address, "/v1/agents", Some(&agent("bob"))).await;
    assert_eq!(status, 201, "{told}");
    let last = turn(&mut socket, "afterwards").await;
    assert_eq!(
        metric(&address, "antiphon_journal_refused_total").await,
        refused
    );
    socket.close(None).await.unwrap();
    newcomer.close(None).await.unwrap();
    let (code, log) = server.stop();
    assert_eq!(code, 0, "{log}");
    assert!(
        log.contains("a part of this conversation is not kept"),
        "{log}"
    );

    let url = format!("sqlite:{}", dir.path().join("antiphon.db").display());
    let sql = Sql::open(&Settings::at(url)).await.unwrap();
    let session = sql.find_session("default", &id).await.unwrap().unwrap();
    let key = SessionKey::new("default", &id, session.started_at);
    let kept = sql.last_items(&key, 100).await.unwrap();
    let kept: Vec<String> = kept.into_iter().map(|item| item.id).collect();
    // all that was said while there was room, once and in order, and nothing else
    assert_eq!(kept, [items(&first), items(&last)].concat());
    assert_eq!(items(&unkept).len(), 2);
    assert!(!dir.path().join("journal/0/rejected.log").exists());
}
