//! Rules `links` and `commands`: documents point at files that exist, and the README names the commands that work.
//! Run over every Markdown file, the Makefile and `.ci/run`.
//! It never follows links that leave the repository.

use crate::finding::Finding;
use crate::tree::{Tree, extension};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = commands(tree);
    for (path, text) in tree.files().filter(|(path, _)| extension(path) == "md") {
        for (index, line) in text.lines().enumerate() {
            for target in targets(line) {
                let full = resolve(path, target);
                if !tree.has(&full) {
                    let message = format!("links to {target}, which does not exist");
                    findings.push(Finding::line("links", path, index, message));
                }
            }
        }
    }
    findings
}

/// The two commands a newcomer is given must be in the README, the Makefile and CI.
fn commands(tree: &Tree) -> Vec<Finding> {
    let expected = [
        ("README.md", "make run"),
        ("README.md", "make test"),
        ("Makefile", "run:"),
        ("Makefile", "test:"),
        (".ci/run", "make test"),
    ];
    expected
        .iter()
        .filter(|(path, word)| !tree.text(path).is_some_and(|text| text.contains(word)))
        .map(|(path, word)| Finding::file("commands", path, format!("does not name `{word}`")))
        .collect()
}

/// The relative targets of the Markdown links in a line, without their anchors.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| {
        let target = rest.split([')', ' ']).next()?.split('#').next()?;
        let outside = target.contains("://") || target.starts_with("mailto:");
        (!target.is_empty() && !outside).then_some(target)
    })
}

/// A link target as a path from the repository root.
fn resolve(from: &str, target: &str) -> String {
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKING: [(&str, &str); 3] = [
        ("README.md", "`make run` and `make test`"),
        ("Makefile", "run:\ntest:\n"),
        (".ci/run", "make test"),
    ];

    #[test]
    fn a_dead_link_is_found() {
        let mut files = WORKING.to_vec();
        files.push((
            "docs/a.md",
            "see [b](b.md), [top](../README.md#x) and [web](https://a.example/x)",
        ));
        let found = check(&Tree::of(&files));
        assert_eq!(found.len(), 1);
        assert!(found[0].message.contains("b.md"));
        files.push(("docs/b.md", ""));
        assert_eq!(check(&Tree::of(&files)), []);
    }

    #[test]
    fn a_readme_without_its_commands_is_found() {
        let mut files = WORKING.to_vec();
        files[0].1 = "clone it and see";
        assert_eq!(check(&Tree::of(&files)).len(), 2);
    }
}
