//! Rule `changelog`: what changed for the person who runs the server stands in a fragment or in CHANGELOG.md.
//! Run over `changelog.d/`, which a release empties into CHANGELOG.md.
//! It never reads history: a clone without it must pass the same checks.

use crate::finding::Finding;
use crate::tree::{Tree, file_name};

const FOLDER: &str = "changelog.d/";
const KINDS: [&str; 6] = [
    "added",
    "changed",
    "deprecated",
    "removed",
    "fixed",
    "security",
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let fragments: Vec<(&str, &str)> = tree
        .under(FOLDER)
        .filter(|(path, _)| file_name(path) != "README.md")
        .collect();
    let mut findings: Vec<Finding> = fragments
        .iter()
        .filter_map(|(path, text)| {
            fault(file_name(path), text).map(|message| Finding::file("changelog", path, message))
        })
        .collect();
    if fragments.is_empty() && !released(tree) {
        let message = "no fragment, and CHANGELOG.md has no entry for the version in Cargo.toml";
        findings.push(Finding::file("changelog", FOLDER, message));
    }
    findings
}

/// What is wrong with one fragment.
fn fault(name: &str, text: &str) -> Option<String> {
    let parts: Vec<&str> = name.split('.').collect();
    let [_, kind, "md"] = parts[..] else {
        return Some("name it SUBJECT.KIND.md, as in 42.added.md".to_owned());
    };
    if !KINDS.contains(&kind) {
        return Some(format!("`{kind}` is none of {}", KINDS.join(", ")));
    }
    let sentence = text.trim();
    if sentence.is_empty() || !sentence.ends_with('.') {
        return Some("write one sentence for the person who runs the server".to_owned());
    }
    None
}

/// Whether CHANGELOG.md has a heading for the version in Cargo.toml.
fn released(tree: &Tree) -> bool {
    let manifest = tree.text("Cargo.toml").unwrap_or_default();
    let version = manifest
        .lines()
        .find_map(|line| line.strip_prefix("version = \""))
        .map(|rest| rest.trim_end_matches('"'));
    let changelog = tree.text("CHANGELOG.md").unwrap_or_default();
    version.is_some_and(|version| changelog.contains(&format!("## {version}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_needs_a_fragment() {
        let none = Tree::of(&[
            ("Cargo.toml", "version = \"0.2.0\"\n"),
            ("CHANGELOG.md", ""),
        ]);
        assert_eq!(check(&none).len(), 1);
        let released = Tree::of(&[
            ("Cargo.toml", "version = \"0.2.0\"\n"),
            ("CHANGELOG.md", "## 0.2.0 (2026-12-01)\n"),
        ]);
        assert_eq!(check(&released), []);
    }

    #[test]
    fn fragments_have_a_kind_and_a_sentence() {
        let tree = Tree::of(&[
            ("changelog.d/1.added.md", "Something new.\n"),
            ("changelog.d/2.improved.md", "Better.\n"),
            ("changelog.d/3.fixed.md", "\n"),
            ("changelog.d/four.md", "Four.\n"),
            ("changelog.d/README.md", "how to"),
        ]);
        assert_eq!(check(&tree).len(), 3);
    }
}
