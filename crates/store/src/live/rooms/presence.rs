//! Who is in a room, over all processes.
//! Used by [`super::Rooms`].
//! Never remembers a process that has not been heard of for as long as it said.

use std::sync::LazyLock;

use super::redis::tag;
use crate::live::link::{Away, Link, Script};

static HERE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("here.lua")));

pub(super) async fn here(
    link: &Link,
    (room, node): (&str, &str),
    users: &[String],
    kept_ms: u64,
) -> Result<(Vec<String>, bool), Away> {
    let mut arguments = vec![node.to_owned(), kept_ms.to_string()];
    // a line each
    arguments.extend(users.iter().map(|user| user.replace('\n', " ")));
    let keys = [link.key(&tag(room), "here")];
    let (changed, lists): (u8, Vec<String>) = link.run(&HERE, &keys, &arguments).await?;
    let mut all: Vec<String> = lists
        .iter()
        .flat_map(|list| list.lines())
        .map(str::to_owned)
        .collect();
    all.sort_unstable();
    all.dedup();
    Ok((all, changed == 1))
}
