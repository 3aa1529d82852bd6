//! The program as people and scripts meet it: commands, output, exit codes, one whole conversation.
//! It runs the built binary in an empty environment; the pipeline is the scripted one.

#![expect(
    clippy::unwrap_used,
    reason = "tests; a failed step ends them with its line"
)]

mod backup;
mod calling;
mod disk_full;
mod killed;
mod killed_calls;
#[path = "../../../store/tests/it/postgres.rs"]
#[expect(
    dead_code,
    reason = "these stories need less of the helper than the store's tests"
)]
mod postgres;
#[path = "../../../store/tests/it/redis_servers.rs"]
#[expect(
    dead_code,
    reason = "these stories need less of the helper than the store's tests"
)]
mod redis_servers;
mod sound;
mod stopped;
mod talking;
mod workers;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread::JoinHandle,
};

use rustix::process::{Pid, Signal, kill_process};

const KEY: &str = "a-bootstrap-key-for-tests";

fn antiphon(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_antiphon"));
    command
        .args(arguments)
        .env_clear()
        .env("ANTIPHON_DATA_DIR", dir)
        .env("ANTIPHON_PIPELINE", "scripted")
        .env("ANTIPHON_LISTEN", "127.0.0.1:0");
    command
}

fn output(command: &mut Command) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// A running server; killed when a test fails before it was stopped.
struct Server {
    child: Child,
    address: String,
    log: Option<JoinHandle<String>>,
}

impl Server {
    fn start(dir: &Path) -> Self {
        Self::start_with(dir, &[])
    }

    /// With more in its environment.
    fn start_with(dir: &Path, settings: &[(&str, &str)]) -> Self {
        let mut command = antiphon(dir, &["serve"]);
        command.envs(settings.iter().copied());
        Self::spawn(command)
    }

    /// By a command of the test's own.
    fn spawn(mut command: Command) -> Self {
        command
            .env("ANTIPHON_BOOTSTRAP_API_KEY", KEY)
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut log = String::new();
        let address = loop {
            assert!(
                lines.read_line(&mut log).unwrap() > 0,
                "ended before it listened:\n{log}"
            );
            if let Some((_, rest)) = log.split_once("listening on http://") {
                break rest.split_whitespace().next().unwrap().to_owned();
            }
        };
        let rest = std::thread::spawn(move || {
            lines.read_to_string(&mut log).unwrap();
            log
        });
        Self {
            child,
            address,
            log: Some(rest),
        }
    }

    /// Ends it as a service manager does; its exit code and everything it logged.
    fn stop(mut self) -> (i32, String) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        (
            status.code().unwrap(),
            self.log.take().unwrap().join().unwrap(),
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // already gone when it was stopped
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_recording_is_answered_and_the_server_ends_cleanly() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (question, answer) = (dir.join("question.wav"), dir.join("answer.wav"));
    fs::write(&question, sound::question()).unwrap();
    let server = Server::start(dir);
    let mut talk = antiphon(dir, &["talk", "--key", KEY, "--silence-ms", "300"]);
    talk.args(["--url", &format!("http://{}", server.address)]);
    talk.arg("--in").arg(&question).arg("--out").arg(&answer);
    let (code, said, complaint) = output(&mut talk);
    assert_eq!(code, 0, "{said}\n{complaint}");
    let line = |start: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(start));
        line.unwrap_or_else(|| panic!("no line {start:?} in\n{said}"))
            .trim()
            .to_owned()
    };
    assert!(!line("you ").is_empty(), "{said}");
    assert!(!line("agent ").is_empty(), "{said}");
    let ms = |stage: &str| {
        line(stage)
            .split_whitespace()
            .next()
            .unwrap()
            .parse::<i64>()
            .unwrap_or_else(|_| {
                panic!("{stage} was not seen in\n{said}");
            })
    };
    assert!(
        ms("turn decided") >= 300,
        "the silence of 300 ms comes first\n{said}"
    );
    assert!(ms("first audio") >= ms("turn decided"), "{said}");
    assert!(ms("answer complete") >= ms("first audio"), "{said}");
    let spoken = engine::audio::wav::read(&fs::read(&answer).unwrap(), 10_000_000).unwrap();
    assert_eq!(spoken.rate, engine::audio::SampleRate::HZ_24K);
    assert!(
        engine::audio::level::peak(&spoken.samples) > 0.01,
        "the answer is silent"
    );

    let mut refused = antiphon(dir, &["talk", "--key", "some-other-key-entirely"]);
    refused
        .args(["--url", &format!("http://{}", server.address)])
        .arg("--in")
        .arg(&question);
    let (code, _, complaint) = output(&mut refused);
    assert_eq!(code, 1);
    assert!(
        complaint.contains("does not accept this API key"),
        "{complaint}"
    );

    let (code, log) = server.stop();
    assert_eq!(code, 0, "{log}");
    assert!(log.contains("stopped"), "{log}");
}

#[test]
fn a_key_made_on_the_command_line_opens_a_running_server() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let server = Server::start(dir);
    let create = ["keys", "create", "--name", "test", "--json"];
    let (code, made, complaint) = output(&mut antiphon(dir, &create));
    assert_eq!(code, 0, "{complaint}");
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let question = dir.join("question.wav");
    fs::write(&question, sound::question()).unwrap();
    let talk = |key: &str| {
        let mut talk = antiphon(dir, &["talk", "--silence-ms", "300", "--key", key]);
        talk.args(["--url", &format!("ws://{}", server.address)])
            .arg("--in")
            .arg(&question);
        output(&mut talk)
    };
    let (code, said, complaint) = talk(made["key"].as_str().unwrap());
    assert_eq!(code, 0, "{said}\n{complaint}");
    let (code, ..) = output(&mut antiphon(
        dir,
        &["keys", "revoke", made["id"].as_str().unwrap()],
    ));
    assert_eq!(code, 0);
    assert_eq!(server.stop().0, 0);
}

#[test]
fn bad_configuration_is_one_sentence_and_64() {
    let dir = tempfile::tempdir().unwrap();
    let mut serve = antiphon(dir.path(), &["serve"]);
    let (code, _, complaint) = output(serve.env("ANTIPHON_LISTEN", "everywhere"));
    assert_eq!(code, 64, "{complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    for part in ["server.listen", "everywhere", "expected", "ANTIPHON_LISTEN"] {
        assert!(complaint.contains(part), "{part} in {complaint}");
    }
    let short = antiphon(dir.path(), &["serve"])
        .env("ANTIPHON_BOOTSTRAP_API_KEY", "short")
        .output();
    assert_eq!(short.unwrap().status.code(), Some(64));
    let (code, _, complaint) = output(&mut antiphon(dir.path(), &["fly"]));
    assert_eq!(code, 64);
    assert!(complaint.contains("fly"), "{complaint}");
    assert_eq!(output(&mut antiphon(dir.path(), &["--help"])).0, 0);
    assert_eq!(output(&mut antiphon(dir.path(), &["--version"])).0, 0);
}

#[test]
fn what_is_not_configuration_is_1() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let (code, _, complaint) = output(antiphon(dir, &["serve"]).env("ANTIPHON_LISTEN", &listen));
    assert_eq!(code, 1);
    assert!(
        complaint.contains(&format!("cannot listen on {listen}")),
        "{complaint}"
    );
    drop(taken);

    let question = dir.join("question.wav");
    fs::write(&question, sound::question()).unwrap();
    let mut talk = antiphon(
        dir,
        &["talk", "--key", KEY, "--url", &format!("http://{listen}")],
    );
    let (code, _, complaint) = output(talk.arg("--in").arg(&question));
    assert_eq!(code, 1);
    assert!(complaint.contains("is the server running?"), "{complaint}");
}

#[test]
fn the_printed_configuration_hides_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let mut serve = antiphon(dir.path(), &["serve", "--print-config"]);
    let (code, text, _) = output(serve.env("ANTIPHON_BOOTSTRAP_API_KEY", KEY));
    assert_eq!(code, 0);
    assert!(
        text.contains("127.0.0.1:0") && !text.contains(KEY),
        "{text}"
    );
}

#[test]
fn the_interface_documents_are_json() {
    let dir = tempfile::tempdir().unwrap();
    for (command, field) in [("openapi", "openapi"), ("asyncapi", "asyncapi")] {
        let (code, text, _) = output(&mut antiphon(dir.path(), &[command]));
        assert_eq!(code, 0);
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(document[field].is_string(), "{command}");
    }
}

#[test]
fn doctor_is_content_with_a_scripted_server() {
    let dir = tempfile::tempdir().unwrap();
    let (code, text, complaint) = output(&mut antiphon(dir.path(), &["doctor"]));
    assert_eq!(code, 0, "{text}{complaint}");
    assert!(
        text.contains("ok    address") && text.contains("ok    database"),
        "{text}"
    );
}

#[cfg(feature = "local")]
#[test]
fn missing_models_name_the_command() {
    let dir = tempfile::tempdir().unwrap();
    let (code, text, complaint) = output(&mut antiphon(dir.path(), &["models", "verify"]));
    assert_eq!(code, 1);
    assert!(
        text.contains("smart-turn") && text.contains("missing"),
        "{text}"
    );
    assert!(
        complaint.contains("run `antiphon models pull onnxruntime whisper-tiny-en"),
        "{complaint}"
    );
    let (code, text, _) = output(&mut antiphon(dir.path(), &["models", "list"]));
    assert_eq!(code, 0);
    for part in [
        "kokoro",
        "Apache-2.0",
        "https://huggingface.co/",
        "MB",
        "missing",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let (code, _, complaint) = output(&mut antiphon(dir.path(), &["models", "pull", "gpt-5"]));
    assert_eq!(code, 1);
    assert!(
        complaint.contains("no model gpt-5; there are"),
        "{complaint}"
    );
}
