//! Rule `routes`: every file below `api/v1` serves a route, and some test calls that route by name.
//! Run over the gateway's REST handlers.
//! It never checks what the test asserts; reviewers do.

use crate::finding::Finding;
use crate::tree::{Tree, extension, file_name, is_test};

const API: &str = "crates/gateway/src/api/v1/";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let tests: Vec<&str> = tree
        .files()
        .filter(|(path, _)| is_test(path))
        .map(|(_, text)| text)
        .collect();
    let mut findings = Vec::new();
    for (path, text) in tree.under(API) {
        if extension(path) != "rs" || file_name(path) == "mod.rs" || is_test(path) {
            continue;
        }
        for route in routes(text) {
            // A path parameter has a value in the test, so only what stands before it must match.
            let fixed = route.split('{').next().unwrap_or(route);
            if !tests.iter().any(|test| test.contains(fixed)) {
                let message = format!("no test names its route {route}");
                findings.push(Finding::file("routes", path, message));
            }
        }
    }
    findings
}

/// The routes a handler file declares: the string literals that start with `/v1/`.
fn routes(text: &str) -> Vec<&str> {
    let mut found: Vec<&str> = text
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|literal| literal.starts_with("/v1/") && !literal.contains(' '))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREATE: &str = r#"#[utoipa::path(post, path = "/v1/keys")] async fn create() {}"#;
    const REVOKE: &str = r#"#[utoipa::path(delete, path = "/v1/keys/{id}")] async fn revoke() {}"#;

    #[test]
    fn a_route_without_a_test_is_found() {
        let tree = Tree::of(&[
            ("crates/gateway/src/api/v1/keys/create.rs", CREATE),
            ("crates/gateway/src/api/v1/keys/revoke.rs", REVOKE),
            (
                "crates/gateway/tests/it/keys.rs",
                r#"client.post("/v1/keys").await;"#,
            ),
        ]);
        let found = check(&tree);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].place, "crates/gateway/src/api/v1/keys/revoke.rs");
    }

    #[test]
    fn a_route_with_a_parameter_is_matched_up_to_it() {
        let tree = Tree::of(&[
            ("crates/gateway/src/api/v1/keys/revoke.rs", REVOKE),
            (
                "crates/gateway/tests/it/keys.rs",
                r#"format!("/v1/keys/{id}")"#,
            ),
        ]);
        assert_eq!(check(&tree), []);
    }
}
