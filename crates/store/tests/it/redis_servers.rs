//! Real Redis servers for tests: one, three with Sentinel, or a cluster of six.
//! Started by the test that needs them, in its own process, on a loopback address that only this process uses, in a
//! temporary folder; `gateway` includes this file as well.
//! Never left behind: they end with the test, and when the test is killed the kernel ends them (`setpriv`).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tempfile::TempDir;

/// Longest wait for a server to start, to join or to be promoted.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Ports taken in this process; on its own address they meet nobody else's.
static PORTS: AtomicU16 = AtomicU16::new(7000);

/// A loopback address of this process alone: every test may use the same ports.
pub(crate) fn address() -> String {
    let pid = std::process::id();
    let octet = |shift: u32| (pid >> shift) & 255;
    format!("127.{}.{}.{}", 64 + (octet(16) & 63), octet(8), octet(0))
}

/// Asks `question` until it is answered with yes.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, question: impl Fn() -> F) {
    let asked = async {
        let mut turns = tokio::time::interval(Duration::from_millis(20));
        while !question().await {
            turns.tick().await;
        }
    };
    let answered = tokio::time::timeout(DEADLINE, asked).await;
    assert!(answered.is_ok(), "waited too long until {what}");
}

/// One server process.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    program: PathBuf,
    arguments: Vec<String>,
    pub(crate) port: u16,
}

impl Server {
    pub(crate) async fn start(folder: &Path, port: u16, more: &[&str]) -> Self {
        let home = folder.join(port.to_string());
        fs::create_dir_all(&home).unwrap();
        let port_text = port.to_string();
        let mut arguments = Vec::new();
        // Sentinel wants a file of its own that it may write to
        if let [kind @ "--sentinel", settings] = more {
            let file = home.join("sentinel.conf");
            fs::write(&file, settings).unwrap();
            arguments.extend([file.to_str().unwrap().to_owned(), (*kind).to_owned()]);
        } else {
            arguments.extend(["--save", "", "--appendonly", "no"].map(str::to_owned));
            arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        }
        let own = [
            ("--port", port_text.as_str()),
            ("--bind", &address()),
            // or what it connects to would look for it at 127.0.0.1
            ("--bind-source-addr", &address()),
            ("--dir", home.to_str().unwrap()),
            ("--protected-mode", "no"),
            ("--logfile", home.join("log").to_str().unwrap()),
        ]
        .map(|(name, value)| [name.to_owned(), value.to_owned()]);
        arguments.extend(own.into_iter().flatten());
        let program = folder.join("redis-server");
        let server = Self {
            child: spawn(&program, &arguments),
            program,
            arguments,
            port,
        };
        server.answers().await;
        server
    }

    async fn answers(&self) {
        until("redis answers", || async {
            ask::<String>(self.port, &["PING"]).await.is_some()
        })
        .await;
    }

    /// Ends the process at once, as a crash does.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again, with nothing in it.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        self.child = spawn(&self.program, &self.arguments);
        self.answers().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(program: &Path, arguments: &[String]) -> Child {
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL"])
        .arg(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("setpriv of util-linux starts servers that end with the test: {error}")
        })
}

/// Sends one command to the server at `port`; `None` when it does not answer that.
pub(crate) async fn ask<T: redis::FromRedisValue>(port: u16, words: &[&str]) -> Option<T> {
    let client = redis::Client::open(format!("redis://{}:{port}", address())).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.ok()?;
    let mut command = redis::cmd(words[0]);
    for word in &words[1..] {
        command.arg(*word);
    }
    command.query_async(&mut connection).await.ok()
}

/// Servers that belong together, and their folder.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) nodes: Vec<Server>,
    pub(crate) url: String,
    // the last field: removed when all processes have ended
    pub(crate) folder: TempDir,
}

impl Servers {
    pub(crate) fn none() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Debian's redis-tools holds the server under another name: no service of the system is needed
        let found = [
            "/usr/bin/redis-server",
            "/usr/local/bin/redis-server",
            "/usr/bin/redis-check-rdb",
        ]
        .into_iter()
        .find(|path| Path::new(path).exists())
        .unwrap_or_else(|| panic!("redis is missing: apt-get install redis-tools"));
        symlink(found, folder.path().join("redis-server")).unwrap();
        Self {
            nodes: Vec::new(),
            url: String::new(),
            folder,
        }
    }

    pub(crate) fn port() -> u16 {
        PORTS.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) async fn add(&mut self, more: &[&str]) -> u16 {
        let server = Server::start(self.folder.path(), Self::port(), more).await;
        let port = server.port;
        self.nodes.push(server);
        port
    }

    /// One server.
    pub(crate) async fn single() -> Self {
        let mut servers = Self::none();
        let port = servers.add(&[]).await;
        servers.url = format!("redis://{}:{port}", address());
        servers
    }
}
