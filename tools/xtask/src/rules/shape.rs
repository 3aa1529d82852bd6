//! Rule `size`: a source file has at most 500 lines, tests included.
//! Run over everything a person writes; generated and vendored files are data.
//! It never counts Markdown: long documents are judged by their readers.

use crate::finding::Finding;
use crate::tree::{Tree, extension};

/// 300 lines are comfortable, 500 is the wall (style principle 5).
const MAX_LINES: usize = 500;
const COUNTED: [&str; 8] = ["rs", "ts", "js", "mjs", "py", "sh", "css", "html"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.files()
        .filter(|(path, _)| COUNTED.contains(&extension(path)) && !path.contains("/generated/"))
        .filter_map(|(path, text)| {
            let lines = text.lines().count();
            (lines > MAX_LINES).then(|| {
                let message = format!("{lines} lines; split it, {MAX_LINES} is the wall");
                Finding::file("size", path, message)
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_five_hundred_and_first_line_is_one_too_many() {
        let full = "x\n".repeat(500);
        let over = "x\n".repeat(501);
        let tree = Tree::of(&[
            ("a/full.rs", &full),
            ("a/over.rs", &over),
            ("portal/over.css", &over),
            ("docs/generated/over.js", &over),
            ("docs/over.md", &over),
        ]);
        let places: Vec<String> = check(&tree).into_iter().map(|found| found.place).collect();
        assert_eq!(places, ["a/over.rs", "portal/over.css"]);
    }
}
