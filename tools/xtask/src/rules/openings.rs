//! Rule `openings`: a Rust module opens by saying what it is for, who calls it and what it never does.
//! Run over the sources of crates and tools; test files explain themselves by their tests' names.
//! It never judges the words, only that the three lines are there.

use crate::finding::Finding;
use crate::tree::{Tree, extension, is_test};

/// For whom, by whom, and what never: three lines (style section 10, prose).
const MIN_LINES: usize = 3;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let source = |path: &str| {
        (path.starts_with("crates/") || path.starts_with("tools/")) && path.contains("/src/")
    };
    tree.files()
        .filter(|(path, _)| extension(path) == "rs" && source(path) && !is_test(path))
        .filter_map(|(path, text)| {
            let opening = text
                .lines()
                .take_while(|line| line.starts_with("//!"))
                .filter(|line| line.trim() != "//!")
                .count();
            (opening < MIN_LINES).then(|| {
                let message = format!(
                    "opens with {opening} of {MIN_LINES} lines: what it is for, who calls it, what it never does"
                );
                Finding::file("openings", path, message)
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_lines_open_a_module() {
        let tree = Tree::of(&[
            (
                "crates/a/src/good.rs",
                "//! For x.\n//!\n//! Called by y.\n//! Never z.\nuse a;\n",
            ),
            ("crates/a/src/short.rs", "//! For x.\nuse a;\n"),
            ("crates/a/src/mute.rs", "use a;\n"),
            ("crates/a/src/tests.rs", "use a;\n"),
        ]);
        let places: Vec<String> = check(&tree).into_iter().map(|found| found.place).collect();
        assert_eq!(places, ["crates/a/src/mute.rs", "crates/a/src/short.rs"]);
    }
}
