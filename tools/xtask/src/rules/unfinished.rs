//! Rule `unfinished`: real or absent. No stub, no switched-off test, no test that waits for time to pass.
//! Run over every source file.
//! It never excuses a file: a test that cannot run here is taken out, not ignored.

use crate::finding::Finding;
use crate::tree::{Tree, code, extension, file_name, is_test};

/// What must not stand anywhere. The words are spelled in two halves so that this file does not match itself.
const NOWHERE: [(&str, &str); 9] = [
    (concat!("to", "do!("), "a stub"),
    (concat!("unimpl", "emented!("), "a stub"),
    (concat!("FIX", "ME"), "an unfinished place"),
    (concat!("#[ign", "ore"), "a test that is switched off"),
    (concat!("assert!(", "true)"), "a test that cannot fail"),
    (concat!("test.sk", "ip("), "a test that is switched off"),
    (concat!("it.sk", "ip("), "a test that is switched off"),
    (concat!("describe.sk", "ip("), "a test that is switched off"),
    (
        concat!("pytest.mark.sk", "ip"),
        "a test that is switched off",
    ),
];

/// What must not stand in tests: time is an argument there, or paused.
const IN_TESTS: [&str; 4] = [
    concat!("thread::sl", "eep("),
    concat!("time::sl", "eep("),
    concat!("time.sl", "eep("),
    concat!("waitFor", "Timeout("),
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.files() {
        if !matches!(
            extension(path),
            "rs" | "ts" | "js" | "mjs" | "py" | "sh" | "html"
        ) {
            continue;
        }
        let rust = extension(path) == "rs";
        // With the clock paused a sleep takes no time: it moves the clock.
        let paused = text.contains("start_paused = true");
        // In Python a test is a file `test_*.py`; what starts a server for it may poll until it answers.
        let mut in_tests = match extension(path) {
            "py" => file_name(path).starts_with("test_"),
            _ => is_test(path),
        };
        for (index, line) in text.lines().enumerate() {
            in_tests = in_tests || (rust && line.trim() == "#[cfg(test)]");
            for (word, what) in NOWHERE {
                if line.contains(word) {
                    let message = format!("`{word}` is {what}; real or absent");
                    findings.push(Finding::line("unfinished", path, index, message));
                }
            }
            let code = if rust { code(line) } else { line };
            if in_tests && !paused && IN_TESTS.iter().any(|word| code.contains(word)) {
                let message = "a test that sleeps; wait for the event, or pause the clock";
                findings.push(Finding::line("sleeps", path, index, message));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stubs_and_switched_off_tests_are_found() {
        let stub = concat!("fn later() { to", "do!() }\n");
        let off = concat!("#[ign", "ore]\nfn t() {}\n");
        let tree = Tree::of(&[
            ("a/src/x.rs", stub),
            ("a/tests/y.rs", off),
            ("a/z.md", stub),
        ]);
        let places: Vec<String> = check(&tree).into_iter().map(|found| found.place).collect();
        assert_eq!(places, ["a/src/x.rs", "a/tests/y.rs"]);
    }

    #[test]
    fn a_sleep_is_found_in_tests_unless_the_clock_is_paused() {
        let sleeps = concat!("tokio::time::sl", "eep(d).await;\n");
        let inline = format!("fn a() {{}}\n{sleeps}#[cfg(test)]\n{sleeps}");
        let paused = format!("#[tokio::test(start_paused = true)]\n{sleeps}");
        let tree = Tree::of(&[
            ("a/src/inline.rs", &inline),
            ("a/tests/live.rs", sleeps),
            ("a/tests/paused.rs", &paused),
        ]);
        let found = check(&tree);
        let lines: Vec<_> = found
            .iter()
            .map(|found| (found.place.as_str(), found.line))
            .collect();
        assert_eq!(
            lines,
            [("a/src/inline.rs", Some(4)), ("a/tests/live.rs", Some(1))]
        );
    }

    #[test]
    fn a_python_test_may_not_sleep_but_its_server_may_be_awaited() {
        let sleeps = concat!("time.sl", "eep(1)\n");
        let tree = Tree::of(&[("tests/test_a.py", sleeps), ("tests/server.py", sleeps)]);
        let places: Vec<String> = check(&tree).into_iter().map(|found| found.place).collect();
        assert_eq!(places, ["tests/test_a.py"]);
    }
}
