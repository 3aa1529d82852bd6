//! The repository as a value: every text file that is, or is about to be, under version control.
//! The rules read it; their tests build small ones by hand.
//! It never looks at what `.gitignore` names and never holds binary files' contents.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Paths from the repository root (with `/`), each with its text; binary files have empty text.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    files: BTreeMap<String, String>,
}

impl Tree {
    /// Reads the tree that contains `root`.
    ///
    /// # Errors
    /// When git cannot list the files or one of them cannot be read.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let listing = Command::new("git")
            .args([
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ])
            .current_dir(root)
            .output()
            .context("list the files with git")?;
        ensure!(
            listing.status.success(),
            "git ls-files failed in {}",
            root.display()
        );
        let mut files = BTreeMap::new();
        for path in String::from_utf8(listing.stdout)?.split_terminator('\0') {
            let full = root.join(path);
            // A file that is deleted but not yet committed is still listed.
            if !full.is_file() {
                continue;
            }
            let bytes = std::fs::read(&full).with_context(|| format!("read {path}"))?;
            files.insert(
                path.to_owned(),
                String::from_utf8(bytes).unwrap_or_default(),
            );
        }
        Ok(Self { files })
    }

    /// A tree made of the given paths and texts, for tests of the rules.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let files = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        Self {
            files: files.collect(),
        }
    }

    /// Every file, in path order.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The files below a folder; `folder` ends in `/`.
    pub(crate) fn under<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.files()
            .filter(move |(path, _)| path.starts_with(folder))
    }

    /// The text of one file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Whether a file, or a folder with a file in it, has this path.
    pub(crate) fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let folder = format!("{path}/");
        path.is_empty()
            || self.files.contains_key(path)
            || self.files.keys().any(|known| known.starts_with(&folder))
    }
}

/// The part of a path after its last dot, or nothing.
pub(crate) fn extension(path: &str) -> &str {
    file_name(path).rsplit_once('.').map_or("", |(_, ext)| ext)
}

/// The last component of a path.
pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// Whether a path holds tests, by the places where this project puts them.
pub(crate) fn is_test(path: &str) -> bool {
    path.split('/')
        .any(|part| part == "tests" || part == "e2e" || part == "fuzz_targets")
        || matches!(file_name(path), "tests.rs" | "conftest.py")
        || file_name(path).starts_with("test_")
        || file_name(path).ends_with("_tests.rs")
        || path.contains(".test.")
}

/// The code of a Rust line: what stands before a `//` that is not inside a string.
pub(crate) fn code(line: &str) -> &str {
    let mut in_string = false;
    let mut previous = ' ';
    for (at, character) in line.char_indices() {
        match character {
            '"' if previous != '\\' => in_string = !in_string,
            '/' if previous == '/' && !in_string => return &line[..at - 1],
            _ => {}
        }
        previous = character;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_not_code() {
        assert_eq!(code("let a = 1; // Mutex"), "let a = 1; ");
        assert_eq!(code("/// RwLock"), "");
        assert_eq!(
            code(r#"let url = "http://x"; // y"#),
            r#"let url = "http://x"; "#
        );
    }

    #[test]
    fn folders_exist_when_they_hold_a_file() {
        let tree = Tree::of(&[("docs/decisions/0001-x.md", "")]);
        assert!(tree.has("docs/decisions/"));
        assert!(tree.has("docs"));
        assert!(!tree.has("doc"));
    }

    #[test]
    fn tests_are_known_by_their_place() {
        for path in [
            "crates/a/src/tests.rs",
            "crates/a/tests/it/main.rs",
            "tests/clients/x.py",
        ] {
            assert!(is_test(path), "{path}");
        }
        assert!(!is_test("crates/a/src/attest.rs"));
    }
}
