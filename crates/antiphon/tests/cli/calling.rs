//! Telephone calls over real processes: the softphone calls a server, and a server is killed in the middle of a call.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway::config::Secret;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::postgres::{APPLICATION, OWNER, Server as Postgres};
use crate::redis_servers::Servers;
use crate::talking::rest;
use crate::{KEY, Server, antiphon, output, sound};

const LINE: &str = "+14155550100";

/// A file with an account at `carrier` and a number.
fn configured(dir: &Path, carrier: &str) -> String {
    let space = if carrier == "signalwire" {
        "space_url = \"example.signalwire.com\"\n"
    } else {
        ""
    };
    let text = format!(
        "[telephony]\ngreeting = \"Hi, this is an AI assistant.\"\n\n[[telephony.numbers]]\nnumber = \"{LINE}\"\n\n\
         [telephony.accounts.{carrier}]\naccount_id = \"AC1\"\nauth_token = \"token-of-the-account\"\n{space}\
         base_url = \"http://127.0.0.1:9/\"\n\n[dialling]\nsummary_pipeline = \"none\"\n"
    );
    let path = dir.join("antiphon.toml");
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn started(dir: &Path, config: &str, settings: &[(&str, &str)]) -> Server {
    let mut command = antiphon(dir, &["serve", "--config", config]);
    command.env("ANTIPHON_SCRIPTED__SPEECH_MS_PER_CHAR", "10");
    command.envs(settings.iter().copied());
    Server::spawn(command)
}

fn calls_a_server_as(carrier: &str) {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (question, heard) = (dir.join("question.wav"), dir.join("heard.wav"));
    fs::write(&question, sound::question()).unwrap();
    let config = configured(dir, carrier);
    let server = started(dir, &config, &[]);
    let url = format!("http://{}", server.address);
    let mut call = antiphon(dir, &["call", "--config", &config, "--url", &url]);
    call.args(["--carrier", carrier, "--quiet-ms", "600"]);
    call.arg("--wav").arg(&question).arg("--out").arg(&heard);
    let (code, said, complaint) = output(&mut call);
    assert_eq!(code, 0, "{said}\n{complaint}");
    for line in [
        "the agent speaks",
        "the recording is said",
        "mouth to ear",
        "we hung up",
    ] {
        assert!(said.contains(line), "no line {line:?} in\n{said}");
    }
    let bytes = fs::read(&heard).unwrap();
    let sound = engine::audio::wav::read(&bytes, 8000 * 60).unwrap();
    assert_eq!(sound.rate.hz(), 8000);
    assert!(
        sound
            .samples
            .iter()
            .any(|sample| sample.unsigned_abs() > 500)
    );
    // who does not know the secret is not the carrier
    let mut stranger = antiphon(dir, &["call", "--config", &config, "--url", &url]);
    stranger.args(["--carrier", carrier, "--token", "another"]);
    let (code, _, complaint) = output(stranger.arg("--wav").arg(&question));
    assert_eq!(code, 1);
    assert!(complaint.contains("does not believe"), "{complaint}");
    let mut nowhere = antiphon(dir, &["call", "--config", &config, "--url", &url]);
    nowhere.args(["--carrier", carrier, "--to", "+14155550199"]);
    let (code, _, complaint) = output(nowhere.arg("--wav").arg(&question));
    assert_eq!(code, 1);
    assert!(complaint.contains("rejects the call"), "{complaint}");
    assert_eq!(server.stop().0, 0);
}

#[test]
fn the_softphone_calls_as_twilio_and_is_answered() {
    calls_a_server_as("twilio");
}

#[test]
fn the_softphone_calls_as_signalwire_and_is_answered() {
    calls_a_server_as("signalwire");
}

/// Takes webhooks and keeps their bodies.
async fn receiver() -> (String, Arc<Mutex<Vec<Value>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let told: Arc<Mutex<Vec<Value>>> = Arc::default();
    let kept = Arc::clone(&told);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut text = String::new();
            let body = loop {
                let mut part = [0; 4096];
                let read = socket.read(&mut part).await.unwrap_or(0);
                text.push_str(&String::from_utf8_lossy(&part[..read]));
                let whole = text.split_once("\r\n\r\n").and_then(|(head, body)| {
                    let head = head.to_ascii_lowercase();
                    let length = head.split("content-length: ").nth(1)?;
                    let length: usize = length.split("\r\n").next()?.parse().ok()?;
                    (body.len() >= length).then(|| body.to_owned())
                });
                if whole.is_some() || read == 0 {
                    break whole;
                }
            };
            if let Some(body) = body {
                kept.lock()
                    .unwrap()
                    .push(serde_json::from_str(&body).unwrap());
            }
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = socket.write_all(answer).await;
        }
    });
    (url, told)
}

/// Waits until it is so.
async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    let waiting = async {
        while !so().await {
            looks.tick().await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_mins(1), waiting).await;
    assert!(in_time.is_ok(), "not in time: {what}");
}

/// The call that runs, once somebody has said something twice.
async fn under_way(address: &str) -> Value {
    let mut call = Value::Null;
    until("the call has two turns", async || {
        let (_, list) = rest(address, "/v1/calls", None).await;
        let Some(id) = list["data"][0]["id"].as_str() else {
            return false;
        };
        call = rest(address, &format!("/v1/calls/{id}"), None).await.1;
        call["turns"]
            .as_array()
            .is_some_and(|turns| turns.len() >= 2)
    })
    .await;
    call
}

/// Another server of the same installation, within this process so that its clock can be set.
async fn another(dir: &Path, (application, owner): (&str, &str), redis: &str) -> gateway::Server {
    let mut config = gateway::Config::default();
    "127.0.0.1:0".clone_into(&mut config.server.listen);
    config.server.data_dir = Some(dir.display().to_string());
    "scripted".clone_into(&mut config.pipeline.name);
    config.auth.bootstrap_api_key = Some(Secret::new(KEY));
    config.database.url = Some(Secret::new(application));
    config.database.owner_url = Some(Secret::new(owner));
    config.redis.url = Some(Secret::new(redis));
    config.tools.allowed_hosts = vec!["127.0.0.1".to_owned()];
    config.dialling.summary_pipeline = Some("none".to_owned());
    Box::pin(gateway::Server::start(config)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one story, told in one piece")]
async fn a_call_of_a_server_that_is_killed_is_ended_once_by_another() {
    let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let postgres = Postgres::own();
    let database = postgres.database(OWNER);
    let (application, owner) = (database.url(APPLICATION), database.url(OWNER));
    let servers = Servers::single().await;
    let redis = servers.url.as_str();
    let config = configured(dirs[0].path(), "twilio");
    let hosts = ("ANTIPHON_TOOLS__ALLOWED_HOSTS", "127.0.0.1");
    let shared = [
        ("DATABASE_URL", application.as_str()),
        ("DATABASE_OWNER_URL", owner.as_str()),
        ("REDIS_URL", redis),
        hosts,
    ];
    let mut server = started(dirs[0].path(), &config, &shared);
    let (url, told) = receiver().await;
    let body = json!({ "url": url, "events": ["call.ended"] });
    let (status, made) = rest(&server.address, "/v1/webhook_endpoints", Some(&body)).await;
    assert_eq!(status, 201, "{made}");
    let question = dirs[0].path().join("question.wav");
    fs::write(&question, sound::question()).unwrap();
    let at = format!("http://{}", server.address);
    let mut call = antiphon(dirs[0].path(), &["call", "--config", &config, "--url", &at]);
    call.args(["--quiet-ms", "60000"])
        .arg("--wav")
        .arg(&question);
    let mut call = call
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let before = under_way(&server.address).await;
    let id = before["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/calls/{id}");
    assert_eq!(before["state"], "live");
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    // the carrier sees its stream break
    assert!(!call.wait().unwrap().success());

    let others = [
        another(dirs[1].path(), (&application, &owner), redis).await,
        another(dirs[2].path(), (&application, &owner), redis).await,
    ];
    for other in &others {
        other.app.clock.advance(Duration::from_mins(2));
    }
    let address = others[0].address.to_string();
    until("it is dealt with", async || {
        rest(&address, &path, None).await.1["state"] == "ended"
    })
    .await;
    until("it is told", async || !told.lock().unwrap().is_empty()).await;
    // neither may do it again
    for other in &others {
        let (sql, now) = (&other.app.store.sql, other.app.clock.utc());
        let again = sql.finalize_call(("default", &id, 1), None, &[], now).await;
        assert!(!again.unwrap(), "once");
    }
    let (_, after) = rest(&address, &path, None).await;
    assert_eq!(
        (
            &after["outcome"],
            &after["hangup_reason"],
            &after["hangup_by"]
        ),
        (
            &json!("incomplete"),
            &json!("stream_lost"),
            &json!("system")
        ),
        "{after}"
    );
    assert_eq!(after["turns"], before["turns"], "what was said is kept");
    let told = told.lock().unwrap().clone();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["data"]["outcome"], "incomplete");
    let orphans: u32 = others
        .iter()
        .map(|other| {
            u32::from(
                other
                    .app
                    .metrics
                    .text()
                    .contains("antiphon_tel_orphans_total 1"),
            )
        })
        .sum();
    assert_eq!(orphans, 1, "one of them alone has dealt with it");
    for other in others {
        other.stop(Duration::from_secs(5)).await;
    }
}
