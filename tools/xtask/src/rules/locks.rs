//! Rule `locks` and `tasks`: one task owns a conversation, and every task is tracked.
//! Run over the gateway, where live sessions are.
//! It never looks at `engine`, which cannot even name a lock usefully: it has no threads.

use crate::finding::Finding;
use crate::tree::{Tree, code, is_test};

const SESSION: &str = "crates/gateway/src/session/";
const GATEWAY: &str = "crates/gateway/src/";
/// The files that may start a task: one hands out the tracker, the other owns the accept loop, which a drain
/// must not wait for, and aborts it.
const SPAWNERS: [&str; 2] = [
    "crates/gateway/src/lifecycle.rs",
    "crates/gateway/src/run.rs",
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.under(GATEWAY).filter(|(path, _)| !is_test(path)) {
        for (index, line) in production_lines(text) {
            let code = code(line);
            if path.starts_with(SESSION) && (code.contains("Mutex") || code.contains("RwLock")) {
                let message = "a lock around session state; send the actor a message instead";
                findings.push(Finding::line("locks", path, index, message));
            }
            if !SPAWNERS.contains(&path)
                && (code.contains("tokio::spawn(") || code.contains("task::spawn("))
            {
                let message = "an untracked task; spawn it on the lifecycle's tracker";
                findings.push(Finding::line("tasks", path, index, message));
            }
        }
    }
    findings
}

/// The numbered lines before a file's inline test module.
fn production_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_in_session_is_found_and_a_comment_about_it_is_not() {
        let tree = Tree::of(&[
            (
                "crates/gateway/src/session/actor.rs",
                "// no Mutex here\nuse std::sync::Mutex;\n#[cfg(test)]\nuse std::sync::RwLock;\n",
            ),
            (
                "crates/gateway/src/auth/api_key.rs",
                "use std::sync::Mutex;\n",
            ),
        ]);
        let found = check(&tree);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].rule, found[0].line), ("locks", Some(2)));
    }

    #[test]
    fn only_the_lifecycle_spawns() {
        let tree = Tree::of(&[
            (
                "crates/gateway/src/edge/mod.rs",
                "tokio::spawn(async {});\n",
            ),
            (
                "crates/gateway/src/lifecycle.rs",
                "tokio::spawn(async {});\n",
            ),
            (
                "crates/gateway/src/edge/tests.rs",
                "tokio::spawn(async {});\n",
            ),
        ]);
        let places: Vec<String> = check(&tree).into_iter().map(|found| found.place).collect();
        assert_eq!(places, ["crates/gateway/src/edge/mod.rs"]);
    }
}
