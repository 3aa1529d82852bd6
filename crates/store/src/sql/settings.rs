//! Where the database is and how long it may take.
//! Made by the gateway's configuration, which also asks whether an address can be used.
//! Never shows an address: it may hold a password.

use std::time::Duration;

use url::Url;

use crate::seal::KeySource;

/// Where the database is and how long it may take. The limits are those of PostgreSQL; SQLite has its own.
#[derive(Clone)]
pub struct Settings {
    /// `sqlite:PATH`, `sqlite::memory:` or `postgres://…`.
    pub url: String,
    /// `postgres://…` of the role that owns the tables and changes them at start; `url` does it when there is none.
    pub owner_url: Option<String>,
    /// Connections at the same time.
    pub max_connections: u32,
    /// How long work waits for a connection.
    pub acquire_within: Duration,
    /// How long one statement may run.
    pub statement_within: Duration,
    /// What wraps the keys that seal what was said; it is stored plain without.
    pub keys: Option<KeySource>,
}

impl Settings {
    /// The database at `url`, with the usual limits.
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            owner_url: None,
            max_connections: 16,
            acquire_within: Duration::from_secs(5),
            statement_within: Duration::from_secs(10),
            keys: None,
        }
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("max_connections", &self.max_connections)
            .field("acquire_within", &self.acquire_within)
            .field("statement_within", &self.statement_within)
            .finish_non_exhaustive()
    }
}

/// Parameters of an address that the driver reads; of any other it would write the value into the log.
const PARAMETERS: [&str; 12] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

const SSL_MODES: [&str; 6] = [
    "disable",
    "allow",
    "prefer",
    "require",
    "verify-ca",
    "verify-full",
];

const SCHEMES: &str = "sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/DATABASE";
const FORM: &str = "postgres://USER:PASSWORD@HOST:PORT/DATABASE with the characters / ? # @ % of user and password written as %2F %3F %23 %40 %25";
const KNOWN: &str = "no other parameters after ? than sslmode, sslrootcert, sslcert, sslkey, host, hostaddr, port, dbname, user, password, application_name, options";
const MODES: &str = "sslmode=disable, allow, prefer, require, verify-ca or verify-full";

/// Whether `url` is an address that can be opened. A password with a bare `/`, `?` or `#` would end up in the name of
/// a host, of a database or of a parameter, which are shown: such an address is refused.
///
/// # Errors
/// What is expected instead. It has nothing of the address in it.
pub fn check_address(url: &str) -> Result<(), &'static str> {
    if url.starts_with("sqlite:") {
        return Ok(());
    }
    if !is_postgres(url) {
        return Err(SCHEMES);
    }
    let url = Url::parse(url).map_err(|_| FORM)?;
    let database = url.path().strip_prefix('/').unwrap_or_default();
    if database.contains(['@', '/', ':']) || url.fragment().is_some() {
        return Err(FORM);
    }
    for (name, value) in url.query_pairs() {
        if !PARAMETERS.contains(&name.as_ref()) {
            return Err(KNOWN);
        }
        if name == "sslmode" && !SSL_MODES.contains(&value.as_ref()) {
            return Err(MODES);
        }
        if name == "port" && value.parse::<u16>().is_err() {
            return Err(FORM);
        }
    }
    Ok(())
}

/// Whether `url` names a PostgreSQL server.
pub(super) fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_before_a_part_of_a_password_can_be_shown() {
        for good in [
            "sqlite::memory:",
            "postgres://localhost/antiphon",
            "postgresql://u:p%40ss%2Fword@db.example:5433/antiphon?sslmode=verify-full&sslrootcert=/etc/ca.pem",
            "postgres://u@%2Fvar%2Frun%2Fpostgresql/antiphon",
            "postgres:///antiphon?host=/var/run/postgresql",
            "postgres://[::1]/antiphon",
        ] {
            assert_eq!(check_address(good), Ok(()), "{good}");
        }
        for (bad, expected) in [
            ("mysql://u:p@db/x", SCHEMES),
            ("", SCHEMES),
            ("postgres:antiphon", SCHEMES),
            ("postgres://u:p/ss@db/x", FORM),
            ("postgres://u:12/ss@db/x", FORM),
            ("postgres://u:p@s/s@db/x", FORM),
            ("postgres://u:p@s/word:5432/x", FORM),
            ("postgres://u:p@s#s@db/x", FORM),
            ("postgres://u:p@s?s@db/x", KNOWN),
            ("postgres://u:12?ss@db/x", KNOWN),
            ("postgres://db/x?passwd=secret", KNOWN),
            ("postgres://db/x?sslmode=on", MODES),
            ("postgres://db/x?port=secret", FORM),
        ] {
            assert_eq!(check_address(bad), Err(expected), "{bad}");
        }
    }

    #[test]
    fn settings_never_show_an_address() {
        let mut settings = Settings::at("postgres://u:hunter2@db/x");
        settings.owner_url = Some("postgres://o:hunter3@db/x".to_owned());
        let shown = format!("{settings:?}");
        assert!(!shown.contains("hunter") && shown.contains("16"), "{shown}");
    }
}
