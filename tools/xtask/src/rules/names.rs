//! Rule `names`: no file or folder has a name that says nothing.
//! Run over every path, because the tree is the documentation.
//! It never looks at names inside files; clippy and readers do.

use crate::finding::Finding;
use crate::tree::Tree;

const GRAB_BAGS: [&str; 8] = [
    "util", "utils", "helper", "helpers", "common", "misc", "manager", "stuff",
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let grab_bag = |part: &str| {
        let stem = part.split_once('.').map_or(part, |(stem, _)| stem);
        GRAB_BAGS.contains(&stem.to_lowercase().as_str())
    };
    tree.files()
        .filter(|(path, _)| path.split('/').any(grab_bag))
        .map(|(path, _)| {
            Finding::file(
                "names",
                path,
                "a grab-bag name; name it after what is inside",
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grab_bags_are_found_as_files_and_folders() {
        let tree = Tree::of(&[
            ("crates/a/src/utils.rs", ""),
            ("portal/src/helpers/x.ts", ""),
            ("tests/common/mod.rs", ""),
            ("crates/a/src/utility_bill.rs", ""),
        ]);
        assert_eq!(check(&tree).len(), 3);
    }
}
