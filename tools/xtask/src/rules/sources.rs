//! Rule `sources`: what is downloaded comes from public addresses, and no path of one machine is in the tree.
//! Run over scripts, lock files and manifests, where addresses are acted upon; prose may cite what it likes.
//! It never opens a connection.

use crate::finding::Finding;
use crate::tree::{Tree, extension, file_name};

/// Hosts that a script, manifest or lock file may name. Loopback and documentation names come on top.
const HOSTS: [&str; 14] = [
    "pypi.org",
    "files.pythonhosted.org",
    "registry.npmjs.org",
    "huggingface.co",
    "onnxruntime.ai",
    "github.com",
    "crates.io",
    "static.crates.io",
    "index.crates.io",
    "rustup.rs",
    "sh.rustup.rs",
    "nexte.st",
    "deb.debian.org",
    "api.openai.com",
];

/// Folders of a particular machine, in two halves so that this file does not match itself.
const PLACES: [&str; 2] = [concat!("/ro", "ot/"), concat!("/wo", "rk/")];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.files() {
        for (index, line) in text.lines().enumerate() {
            if PLACES.iter().any(|place| names_place(line, place)) {
                let message =
                    "a path of one machine; use an environment variable or a relative path";
                findings.push(Finding::line("places", path, index, message));
            }
            if !acted_upon(path) {
                continue;
            }
            for host in hosts(line).filter(|host| !public(host)) {
                let message =
                    format!("`{host}` is not a public source this project downloads from");
                findings.push(Finding::line("sources", path, index, message));
            }
        }
    }
    findings
}

/// Whether addresses in this file are fetched by a tool.
fn acted_upon(path: &str) -> bool {
    // a price list says where its numbers are from, and nobody fetches it
    if file_name(path) == "prices.toml" {
        return false;
    }
    matches!(extension(path), "sh" | "lock" | "toml")
        || matches!(
            file_name(path),
            "Makefile" | "run" | "package-lock.json" | ".npmrc"
        )
        || (file_name(path).starts_with("requirements") && extension(path) == "txt")
}

/// Whether the line names the folder itself, not a longer path that ends like it.
fn names_place(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line[..at].chars().next_back().unwrap_or(' ');
        !(before.is_ascii_alphanumeric()
            || matches!(before, '.' | '-' | '_' | '/' | '}' | '~' | '*'))
    })
}

/// The hosts of the addresses in a line.
fn hosts(line: &str) -> impl Iterator<Item = &str> {
    line.split("://").skip(1).filter_map(|rest| {
        let authority = rest
            .split(['/', '"', '\'', ' ', '`', ')', '>', ',', ';'])
            .next()?;
        let host = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        let host = host.split(':').next()?;
        (!host.is_empty() && !host.contains(['$', '{', '%'])).then_some(host)
    })
}

fn public(host: &str) -> bool {
    HOSTS.contains(&host)
        || matches!(host, "127.0.0.1" | "localhost" | "0.0.0.0" | "[")
        // Names that are reserved for documentation and tests (RFC 2606).
        || matches!(host.rsplit('.').next(), Some("example" | "test" | "invalid"))
        // npm lock files name where a package's authors take donations.
        || matches!(host, "opencollective.com" | "tidelift.com" | "www.patreon.com" | "paypal.me")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_registry_in_a_lock_file_is_found() {
        let private = r#""resolved": "https://mirror.internal/npm/ws.tgz""#;
        let official = r#""resolved": "https://registry.npmjs.org/ws/-/ws-8.tgz""#;
        let tree = Tree::of(&[
            ("tests/clients/node/package-lock.json", private),
            ("portal/package-lock.json", official),
            ("docs/x.md", private),
        ]);
        let found = check(&tree);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].place, "tests/clients/node/package-lock.json");
    }

    #[test]
    fn a_machine_path_is_found_and_a_relative_one_is_not() {
        let absolute = concat!("cp /ro", "ot/model.bin .\n");
        let relative = concat!("cp \"$cache\"/ro", "ot2/x ./wo", "rk/y\n");
        let tree = Tree::of(&[("scripts/a.sh", absolute), ("scripts/b.sh", relative)]);
        let found = check(&tree);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].rule, found[0].place.as_str()),
            ("places", "scripts/a.sh")
        );
    }
}
