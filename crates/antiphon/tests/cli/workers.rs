//! Real processes: a worker that is killed in the middle of a reply, and what no worker can do.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use engine::ask::SpeakOptions;
use futures_util::{SinkExt as _, StreamExt as _};
use gateway::{
    lifecycle::Lifecycle,
    metering::{self, Meter},
    observe::Metrics,
    remote::{Surroundings, workers},
};
use providers::ports::{Piece, TtsEvent};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use store::live::{Link, WorkLimits};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

use crate::{KEY, antiphon, output, redis_servers::Servers};

/// Longest wait for anything, a worker that takes over among it: a bound on a busy machine, and no measure.
const TAKEOVER: Duration = Duration::from_secs(30);

/// A process, killed when the test ends.
struct Process {
    child: Child,
    address: String,
    _log: std::thread::JoinHandle<()>,
}

impl Process {
    /// Runs until it says where it listens.
    fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut log = String::new();
        let address = loop {
            assert!(lines.read_line(&mut log).unwrap() > 0, "it ended:\n{log}");
            if let Some((_, rest)) = log.split_once(" on http://") {
                break rest.split_whitespace().next().unwrap().to_owned();
            }
        };
        let log = std::thread::spawn(move || {
            // whoever writes must not wait for a reader
            let mut rest = Vec::new();
            let _ = lines.read_to_end(&mut rest);
        });
        Self {
            child,
            address,
            _log: log,
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn worker(dir: &Path, servers: &Servers, kinds: &str) -> Command {
    let mut command = antiphon(dir, &["worker", kinds, "--listen", "127.0.0.1:0"]);
    command
        .env("REDIS_URL", &servers.url)
        .env("ANTIPHON_SCRIPTED__SPEECH_PACE_PERCENT", "300");
    command
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn call(address: &str) -> Socket {
    let url = format!("ws://{address}/v1/realtime?model=workers");
    let mut request = url.into_client_request().unwrap();
    let key = format!("Bearer {KEY}").parse().unwrap();
    request.headers_mut().insert("authorization", key);
    connect_async(request).await.unwrap().0
}

async fn send(socket: &mut Socket, event: Value) {
    socket.send(Message::text(event.to_string())).await.unwrap();
}

/// Asks for a sentence, written.
async fn ask(socket: &mut Socket, text: &str) {
    let content = json!([{ "type": "input_text", "text": format!("say: {text}") }]);
    let item = json!({ "type": "message", "role": "user", "content": content });
    send(
        socket,
        json!({ "type": "conversation.item.create", "item": item }),
    )
    .await;
    send(socket, json!({ "type": "response.create" })).await;
}

async fn next(socket: &mut Socket) -> Value {
    loop {
        let message = tokio::time::timeout(TAKEOVER, socket.next()).await;
        let message = message.unwrap().unwrap();
        if let Message::Text(text) = message.unwrap() {
            let event: Value = serde_json::from_str(&text).unwrap();
            assert_ne!(event["type"], "error", "{event}");
            return event;
        }
    }
}

/// What is heard of a reply: its audio, its words, and its end.
async fn reply(socket: &mut Socket, mut after: impl FnMut(usize)) -> (usize, String, Value) {
    let (mut audio, mut words, mut count) = (0, String::new(), 0);
    loop {
        let event = next(socket).await;
        let delta = event["delta"].as_str().unwrap_or_default();
        match event["type"].as_str().unwrap() {
            "response.output_audio.delta" => {
                audio += STANDARD.decode(delta).unwrap().len();
                count += 1;
                after(count);
            }
            "response.output_audio_transcript.delta" => words.push_str(delta),
            "response.done" => return (audio, words, event["response"].clone()),
            _ => {}
        }
    }
}

const WORDS: &str = "One two three four five six seven. Eight nine ten eleven twelve thirteen.";

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_in_the_middle_of_a_reply_is_not_heard() {
    let (servers, dir) = (Servers::single().await, tempfile::tempdir().unwrap());
    let mut serve = antiphon(dir.path(), &["serve"]);
    serve
        .env("REDIS_URL", &servers.url)
        .env("ANTIPHON_PIPELINE", "workers")
        .env("ANTIPHON_BOOTSTRAP_API_KEY", KEY);
    let server = Process::start(serve);
    let first = Process::start(worker(dir.path(), &servers, "all"));
    let mut socket = call(&server.address).await;
    let none = json!({ "input": { "turn_detection": null } });
    let session = json!({ "type": "realtime", "audio": none });
    send(
        &mut socket,
        json!({ "type": "session.update", "session": session }),
    )
    .await;
    while next(&mut socket).await["type"] != "session.updated" {}
    let mut second = None;
    ask(&mut socket, WORDS).await;
    let (audio, words, done) = reply(&mut socket, |deltas| {
        if deltas == 2 {
            first.signal(Signal::KILL);
            second = Some(Process::start(worker(dir.path(), &servers, "all")));
        }
    })
    .await;
    assert_eq!(done["status"], "completed", "{done}");
    // the same again, by the one that lives
    ask(&mut socket, WORDS).await;
    let (whole, same, done) = reply(&mut socket, |_| {}).await;
    assert_eq!(done["status"], "completed", "{done}");
    assert_eq!(words, same);
    assert_eq!(words.matches("One two").count(), 1, "{words}");
    assert_eq!(audio, whole, "every sample once");
    // the conversation has both questions and both answers
    let items = json!({ "type": "conversation.item.retrieve", "item_id": done["output"][0]["id"] });
    send(&mut socket, items).await;
    while next(&mut socket).await["type"] != "conversation.item.retrieved" {}
    // told to stop, it stops
    let mut second = second.unwrap();
    second.signal(Signal::TERM);
    assert_eq!(second.child.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_worker_can_do_is_shown_tried_again_and_dropped() {
    let (servers, dir) = (Servers::single().await, tempfile::tempdir().unwrap());
    let file = dir.path().join("broken.toml");
    let broken = "pipeline.name = \"broken\"\n[providers.kokoro]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:9/v1\"\n\
                  [pipelines.broken]\nstt = [\"scripted\"]\nllm = [\"scripted\"]\ntts = [\"kokoro\"]\n";
    fs::write(&file, broken).unwrap();
    let mut useless = worker(dir.path(), &servers, "tts");
    useless
        .env_remove("ANTIPHON_PIPELINE")
        .arg("--config")
        .arg(&file);
    let useless = Process::start(useless);
    for secret in ["a secret", "another secret"] {
        fail(&servers, secret).await;
    }
    let dlq = |arguments: &[&str]| {
        let mut command = antiphon(dir.path(), &[&["dlq"], arguments].concat());
        output(command.env("REDIS_URL", &servers.url))
    };
    let list = || {
        let (code, said, complaint) = dlq(&["list", "--json"]);
        assert_eq!(code, 0, "{complaint}");
        assert!(!said.contains("secret"), "{said}");
        let letters: Value = serde_json::from_str(&said).unwrap();
        letters.as_array().unwrap().clone()
    };
    let letters = list();
    assert_eq!(letters.len(), 2, "{letters:?}");
    assert_eq!(
        (&letters[0]["tries"], &letters[0]["can_retry"]),
        (&json!(3), &json!(true))
    );
    let reason = letters[0]["reason"].as_str().unwrap();
    assert!(reason.contains("kokoro"), "{reason}");
    let (newest, oldest) = (
        letters[0]["id"].as_str().unwrap(),
        letters[1]["id"].as_str().unwrap(),
    );
    let (code, _, complaint) = dlq(&["retry", newest]);
    assert_eq!(code, 1);
    assert!(
        complaint.contains("failed again") && complaint.contains("kokoro"),
        "{complaint}"
    );
    assert_eq!(list().len(), 2);
    // the voice is mended
    drop(useless);
    let _useful = Process::start(worker(dir.path(), &servers, "tts"));
    let newest = list()[0]["id"].as_str().unwrap().to_owned();
    let (code, said, complaint) = dlq(&["retry", &newest, "--json"]);
    assert_eq!(code, 0, "{complaint}");
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["outcome"], "done");
    assert!(said["detail"]["bytes"].as_u64() > Some(1000), "{said}");
    assert_eq!(dlq(&["drop", oldest]).0, 0);
    assert_eq!(list(), Vec::<Value>::new());
    let (code, _, complaint) = dlq(&["drop", oldest]);
    assert_eq!(code, 1);
    assert!(complaint.contains("dlq list"), "{complaint}");
    assert_eq!(dlq(&["drop", "nonsense"]).0, 1);
}

/// Asks for speech until it is refused for good.
async fn fail(servers: &Servers, text: &str) {
    let link = Link::open(&servers.url, "antiphon").await.unwrap();
    let (metrics, lifecycle) = (Metrics::default(), Lifecycle::default());
    let around = Surroundings {
        meter: Meter::new(metering::load(None).unwrap(), metrics.clone()),
        metrics,
        lifecycle: lifecycle.clone(),
    };
    let tts = workers(&link, WorkLimits::default(), &around).tts;
    let options = SpeakOptions {
        session: "sess_1".to_owned(),
        turn: 1,
        voice: "alloy".to_owned(),
        speed: 1.0,
        preferred_rate_hz: 24_000,
    };
    let opened = tokio::time::timeout(TAKEOVER, async {
        loop {
            // a moment passes until somebody listens for the answers
            if let Ok(stream) = tts.open(options.clone()).await {
                return stream;
            }
        }
    });
    let mut stream = opened.await.unwrap();
    let text = text.to_owned();
    stream.pieces.send(Piece { index: 0, text }).await.unwrap();
    drop(stream.pieces);
    let answer = tokio::time::timeout(TAKEOVER, stream.events.recv()).await;
    let Some(TtsEvent::Failed(error)) = answer.unwrap() else {
        panic!("nobody could say that");
    };
    assert!(error.message.contains("no worker could do it"), "{error}");
    lifecycle.hard().cancel();
}

#[test]
fn a_worker_without_redis_is_told_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let (code, _, complaint) = output(&mut antiphon(dir.path(), &["worker", "all"]));
    assert_eq!(code, 64, "{complaint}");
    assert!(
        complaint.contains("redis.url") && complaint.contains("REDIS_URL"),
        "{complaint}"
    );
    let mut serve = antiphon(dir.path(), &["serve"]);
    let (code, _, complaint) = output(serve.env("ANTIPHON_PIPELINE", "workers"));
    assert_eq!(code, 64, "{complaint}");
    assert!(complaint.contains("redis.url"), "{complaint}");
}
