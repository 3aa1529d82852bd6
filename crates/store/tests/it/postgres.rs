//! PostgreSQL servers for stories: the one of the test run, or one of a story's own that it may stop.
//! Used by the conformance suite here and by the stories of the gateway.
//! Never left behind: `scripts/test-postgres.sh` ends a server with the process it was started for.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Owns the tables.
pub(crate) const OWNER: &str = "antiphon_owner";
/// Works on them.
pub(crate) const APPLICATION: &str = "antiphon";
/// Sees everything.
pub(crate) const SUPERUSER: &str = "postgres";
/// The application's password as an address spells it; on the private socket nobody is asked for one.
pub(crate) const PASSWORD: &str = "pass%2Fword%401";

/// A server with the roles that docs/operate.md names.
#[derive(Debug)]
pub(crate) struct Server {
    folder: PathBuf,
    pub(crate) port: u16,
}

/// An empty database on it.
#[derive(Debug)]
pub(crate) struct Database<'a> {
    server: &'a Server,
    pub(crate) name: String,
}

impl Server {
    /// The server of this test run.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Server> = OnceLock::new();
        #[expect(
            clippy::disallowed_methods,
            reason = "the test runner hands the address over in its environment"
        )]
        SHARED.get_or_init(|| {
            std::env::var("ANTIPHON_TEST_POSTGRES")
                .map_or_else(|_| Self::own(), |place| Self::at(&place))
        })
    }

    /// A server that no other story uses.
    pub(crate) fn own() -> Self {
        Self::at(&script(&["start", &std::process::id().to_string()]))
    }

    fn at(place: &str) -> Self {
        let (folder, port) = place.trim().rsplit_once(' ').unwrap();
        Self {
            folder: PathBuf::from(folder),
            port: port.parse().unwrap(),
        }
    }

    /// Ends it as a crash would.
    pub(crate) fn stop(&self) {
        script(&["stop", self.folder.to_str().unwrap()]);
    }

    /// Brings it back after [`Server::stop`].
    pub(crate) fn start(&self) {
        script(&["again", self.folder.to_str().unwrap()]);
    }

    /// The certificate it shows on its port, good for `localhost`.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.join("server.crt")
    }

    /// A new database that belongs to `owner`.
    pub(crate) fn database(&self, owner: &str) -> Database<'_> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("story_{}_{number}", std::process::id());
        let made = Database {
            server: self,
            name: SUPERUSER.to_owned(),
        };
        made.psql(SUPERUSER, &format!("CREATE DATABASE {name} OWNER {owner}"))
            .unwrap();
        Database { server: self, name }
    }
}

impl Database<'_> {
    /// Its address over the private socket.
    pub(crate) fn url(&self, role: &str) -> String {
        let socket = self.server.folder.to_str().unwrap().replace('/', "%2F");
        format!(
            "postgres://{role}@{socket}:{}/{}",
            self.server.port, self.name
        )
    }

    /// Its address over the port, where the role needs its password.
    pub(crate) fn url_with(&self, user_and_password: &str) -> String {
        let (port, name) = (self.server.port, &self.name);
        format!("postgres://{user_and_password}@localhost:{port}/{name}")
    }

    /// Runs SQL as `role`, the way a person would: rows without decoration, or what the server complains of.
    pub(crate) fn psql(&self, role: &str, sql: &str) -> Result<String, String> {
        run(Command::new("psql")
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--set=ON_ERROR_STOP=1", "--command", sql])
            .args(["--dbname", &self.url(role)]))
    }

    /// Saves everything as `role` into `file`, as docs/operate.md says.
    pub(crate) fn dump(&self, role: &str, file: &Path) -> Result<String, String> {
        run(Command::new("pg_dump")
            .args(["--format=custom", "--file"])
            .arg(file)
            .args(["--dbname", &self.url(role)]))
    }

    /// Brings back what [`Database::dump`] saved.
    pub(crate) fn restore(&self, role: &str, file: &Path) -> Result<String, String> {
        run(Command::new("pg_restore")
            .args(["--exit-on-error", "--dbname", &self.url(role)])
            .arg(file))
    }
}

fn run(command: &mut Command) -> Result<String, String> {
    let done = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if done.status.success() {
        Ok(text(&done.stdout))
    } else {
        Err(text(&done.stderr))
    }
}

fn script(arguments: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/test-postgres.sh");
    let done = Command::new("bash").arg(script).args(arguments).output();
    let done = done.unwrap();
    let complaint = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{complaint}");
    String::from_utf8(done.stdout).unwrap()
}
