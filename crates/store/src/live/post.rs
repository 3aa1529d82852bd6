//! Letters from one gateway to another, by the name of the gateway.
//! Written by a gateway whose client comes back from another, read by one task of each gateway.
//! Never waits for an answer, and never keeps more than the last thousand letters for a minute.

use std::sync::LazyLock;
use std::time::Duration;

use super::link::{Away, Link, Script, Waiting};
use super::work::read;

/// Letters kept for a gateway, at least.
const LETTERS_MAX: u32 = 1000;
/// How long they wait for a gateway, in ms; one that reads nothing for so long is dead.
const KEPT_MS: u32 = 60_000;
/// Letters read at once.
const AT_ONCE: usize = 100;
/// Between two attempts to read after a failure.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

static WRITE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'm', ARGV[3]) \
         return redis.call('PEXPIRE', KEYS[1], ARGV[2])",
    )
});

/// The way to other gateways; clones share it.
#[derive(Debug, Clone)]
pub struct Post {
    link: Option<Link>,
}

impl Post {
    /// There are no other gateways.
    pub const fn none() -> Self {
        Self { link: None }
    }

    /// Through Redis.
    pub const fn redis(link: Link) -> Self {
        Self { link: Some(link) }
    }

    /// Writes to the gateway `node`.
    ///
    /// # Errors
    /// [`Away`]; also where there are no other gateways.
    pub async fn write(&self, node: &str, letter: &str) -> Result<(), Away> {
        let link = self.link.as_ref().ok_or(Away)?;
        let arguments = [
            LETTERS_MAX.to_string(),
            KEPT_MS.to_string(),
            letter.to_owned(),
        ];
        let _: u64 = link.run(&WRITE, &[inbox(link, node)], &arguments).await?;
        Ok(())
    }

    /// What is written to the gateway `node` from its first letter on: its name is its own and new.
    pub fn letters(&self, node: &str) -> Letters {
        let place = self
            .link
            .as_ref()
            .map(|link| (link.clone(), inbox(link, node)));
        Letters {
            place,
            connection: None,
            after: "0-0".to_owned(),
        }
    }
}

fn inbox(link: &Link, node: &str) -> String {
    link.key(&format!("node:{node}"), "letters")
}

/// The letters of one gateway.
#[derive(Debug)]
pub struct Letters {
    place: Option<(Link, String)>,
    connection: Option<Waiting>,
    after: String,
}

impl Letters {
    /// The next letters; waits for them, also while Redis is away. For ever where there are no other gateways.
    pub async fn next(&mut self) -> Vec<String> {
        let Some((link, inbox)) = self.place.clone() else {
            return std::future::pending().await;
        };
        loop {
            match self.read(&link, &inbox).await {
                Ok(letters) if !letters.is_empty() => return letters,
                Ok(_) => {}
                Err(Away) => {
                    self.connection = None;
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
            }
        }
    }

    async fn read(&mut self, link: &Link, inbox: &str) -> Result<Vec<String>, Away> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(link.waiting().await?),
        };
        let entries = read::behind(connection, inbox, &self.after, AT_ONCE).await?;
        if let Some(last) = entries.last() {
            self.after.clone_from(&last.id);
        }
        Ok(entries.iter().map(|entry| entry.text("m")).collect())
    }
}
