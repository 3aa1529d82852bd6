//! Checks of the machine itself: address, disk, database, clock, processor, limits.
//! `doctor` calls them, and its tests.
//! It never leaves anything behind but a database that the server would have made as well.

use std::{io, path::Path, time::Duration};

use rustix::process::{Resource, getrlimit};
use store::{Settings, Sql};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::Finding;
use crate::space::{free_bytes, megabytes};

/// Below this the database and logs of a small server soon have no room.
const SCARCE_BYTES: u64 = 1_000_000_000;
/// Below this nothing can be trusted to be written.
const TOO_LITTLE_BYTES: u64 = 100_000_000;
/// 2026-11-21: no correct clock stands before the day this check was written (Unix time, s).
const WRITTEN_AT_S: i64 = 1_795_219_200;
/// Ten years later, a clock is more likely wrong than this program still in use.
const TOO_LATE_S: i64 = WRITTEN_AT_S + 10 * 366 * 86_400;
/// Files one connection or model may need besides those of the process itself.
const FEW_FILES: u64 = 4096;

/// Whether the server can listen on `listen`.
pub(super) async fn address(listen: &str) -> Finding {
    match TcpListener::bind(listen).await {
        Ok(_) => Finding::ok("address", format!("{listen} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if answers_as_server(listen).await {
                return Finding::ok("address", format!("a server answers on {listen}"));
            }
            Finding::fail(
                "address",
                format!("{listen} is used by another program"),
                "stop that program, or set ANTIPHON_LISTEN to another address",
            )
        }
        Err(error) => Finding::fail(
            "address",
            format!("cannot listen on {listen}: {error}"),
            "set ANTIPHON_LISTEN to an address of this machine and a port above 1023",
        ),
    }
}

/// Whether what listens there answers `GET /health` with 200.
async fn answers_as_server(listen: &str) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(listen.replace("0.0.0.0", "127.0.0.1")).await?;
        let request = b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await?;
        let mut head = [0; 12];
        stream.read_exact(&mut head).await?;
        io::Result::Ok(head.ends_with(b" 200"))
    };
    timeout(Duration::from_secs(2), ask)
        .await
        .is_ok_and(|answer| answer.unwrap_or(false))
}

pub(super) fn disk(data_dir: &Path) -> Finding {
    let place = data_dir.display();
    let advice = "make room, or set ANTIPHON_DATA_DIR to a larger disk";
    match free_bytes(data_dir) {
        Ok(free) => {
            let says = format!("{} free at {place}", megabytes(free));
            match free {
                free if free < TOO_LITTLE_BYTES => Finding::fail("disk", says, advice),
                free if free < SCARCE_BYTES => Finding::warn("disk", says, advice),
                _ => Finding::ok("disk", says),
            }
        }
        Err(error) => Finding::fail(
            "disk",
            format!("{error:#}"),
            "check that the disk is mounted",
        ),
    }
}

pub(super) async fn database(settings: &Settings) -> Finding {
    let opened = async {
        let sql = Sql::open(settings).await?;
        let described = sql.describe().await;
        sql.close().await;
        described
    };
    match opened.await {
        Ok(described) => {
            let says = format!("{described} opens, and its tables are up to date");
            Finding::ok("database", says)
        }
        Err(error) => Finding::fail(
            "database",
            format!("{:#}", anyhow::Error::from(error)),
            "check DATABASE_URL, and for SQLite that the data directory belongs to this user",
        ),
    }
}

pub(super) fn clock(now: chrono::DateTime<chrono::Utc>) -> Finding {
    let says = now.format("it is %Y-%m-%d %H:%M UTC").to_string();
    let advice = "set the clock, best by NTP: keys and certificates depend on it";
    match now.timestamp() {
        ..WRITTEN_AT_S => Finding::fail("clock", says, advice),
        WRITTEN_AT_S..TOO_LATE_S => Finding::ok("clock", says),
        _ => Finding::warn("clock", says, advice),
    }
}

pub(super) fn cores() -> Finding {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let says = format!("{cores} available to this process");
    if cores < 2 {
        let advice = "give the server two cores, or expect the voice to stall while it listens";
        return Finding::warn("cores", says, advice);
    }
    Finding::ok("cores", says)
}

pub(super) fn open_files() -> Finding {
    let limit = getrlimit(Resource::Nofile).current;
    match limit {
        Some(limit) if limit < FEW_FILES => Finding::warn(
            "open files",
            format!("limited to {limit}, about as many connections"),
            "raise it with `ulimit -n 65536` or LimitNOFILE= in the service file",
        ),
        Some(limit) => Finding::ok("open files", format!("up to {limit}")),
        None => Finding::ok("open files", "not limited"),
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::{super::Level, *};

    #[tokio::test]
    async fn an_address_is_free_or_used_or_ours() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listen = silent.local_addr().unwrap().to_string();
        let serving = tokio::spawn(async move {
            for status in ["404", "200"] {
                let (mut stream, _) = silent.accept().await.unwrap();
                let answer = format!("HTTP/1.1 {status} -\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            silent
        });
        let finding = address(&listen).await;
        assert_eq!(finding.level, Level::Fail);
        assert!(finding.advice.contains("ANTIPHON_LISTEN"), "{finding:?}");
        assert_eq!(
            address(&listen).await.level,
            Level::Ok,
            "a running server is no problem"
        );
        drop(serving.await.unwrap());
        assert_eq!(address(&listen).await.level, Level::Ok);
        assert_eq!(address("203.0.113.1:80").await.level, Level::Fail);
    }

    #[tokio::test]
    async fn a_database_that_cannot_be_made_is_a_failure() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let url = format!("sqlite:{}", file.join("below/antiphon.db").display());
        assert_eq!(database(&Settings::at(url)).await.level, Level::Fail);
        let url = format!("sqlite:{}", dir.path().join("new/antiphon.db").display());
        let finding = database(&Settings::at(url)).await;
        assert_eq!(finding.level, Level::Ok);
        assert!(finding.says.starts_with("SQLite"), "{finding:?}");
        let url = "postgres://antiphon:hunter2@127.0.0.1:1/antiphon";
        let finding = database(&Settings::at(url)).await;
        assert_eq!(finding.level, Level::Fail);
        assert!(finding.says.contains("127.0.0.1:1"), "{finding:?}");
        assert!(!format!("{finding:?}").contains("hunter2"), "{finding:?}");
    }

    #[test]
    fn a_clock_before_this_program_is_wrong() {
        let at = |seconds| clock(DateTime::from_timestamp(seconds, 0).unwrap()).level;
        assert_eq!(at(0), Level::Fail);
        assert_eq!(at(WRITTEN_AT_S), Level::Ok);
        assert_eq!(at(TOO_LATE_S), Level::Warn);
        let day = DateTime::from_timestamp(WRITTEN_AT_S, 0).unwrap();
        assert_eq!(day.format("%Y-%m-%d").to_string(), "2026-11-21");
    }

    #[test]
    fn space_is_asked_of_the_nearest_directory_there_is() {
        let dir = tempfile::tempdir().unwrap();
        let finding = disk(&dir.path().join("not/yet"));
        assert!(finding.says.contains("free at"), "{finding:?}");
    }
}
