//! The policy of deny.toml over the dependency graph: licences, banned crates, double versions, sources.
//! `steps` runs it on every check; the file has cargo-deny's own format, so that tool reads it too.
//! It never looks for advisories: that needs a download, and is left to cargo-deny.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::finding::Finding;
use crate::graph::{Graph, Package};

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The parts of deny.toml that are kept here.
#[derive(Debug, Deserialize)]
pub(crate) struct Policy {
    licenses: Licences,
    bans: Bans,
}

#[derive(Debug, Deserialize)]
struct Licences {
    allow: Vec<String>,
    #[serde(default)]
    exceptions: Vec<Exception>,
}

#[derive(Debug, Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    #[serde(default)]
    deny: Vec<Named>,
    #[serde(default)]
    skip: Vec<Named>,
}

#[derive(Debug, Deserialize)]
struct Named {
    /// A name, or a name and a version as in `syn@2.0.1`.
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

impl Named {
    fn is(&self, package: &Package) -> bool {
        match self.name.split_once('@') {
            Some((name, version)) => {
                let same = package.version == version
                    || package.version.starts_with(&format!("{version}."));
                package.name == name && same
            }
            None => package.name == self.name,
        }
    }
}

impl Policy {
    /// Reads deny.toml.
    ///
    /// # Errors
    /// When it is missing or does not have the form that cargo-deny documents.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(root.join("deny.toml")).context("read deny.toml")?;
        toml::from_str(&text).context("understand deny.toml")
    }

    /// What in the graph breaks the policy.
    pub(crate) fn check(&self, graph: &Graph) -> Vec<Finding> {
        let foreign: Vec<&Package> = graph
            .packages()
            .filter(|package| package.source.is_some())
            .collect();
        let mut findings = Vec::new();
        for package in &foreign {
            let licence = package.license.as_deref().unwrap_or_default();
            if !self.permits(package, licence) {
                let message = format!("licence `{licence}` is not on the list in deny.toml");
                findings.push(Finding::file("licences", &package.name, message));
            }
            if package.source.as_deref() != Some(CRATES_IO) {
                let message = "does not come from crates.io";
                findings.push(Finding::file("sources", &package.name, message));
            }
            if let Some(ban) = self.bans.deny.iter().find(|ban| ban.is(package)) {
                let users = graph.users(&package.id).join(", ");
                let message = format!("banned: {}; dragged in by {users}", ban.reason);
                findings.push(Finding::file("bans", &package.name, message));
            }
        }
        findings.extend(self.duplicates(&foreign, graph));
        findings.extend(self.stale(&foreign));
        findings
    }

    /// Whether one way of reading the licence expression is wholly on the list.
    fn permits(&self, package: &Package, licence: &str) -> bool {
        let exception = self
            .licenses
            .exceptions
            .iter()
            .find(|found| found.name == package.name);
        let allowed = |id: &str| {
            self.licenses.allow.iter().any(|known| known == id)
                || exception.is_some_and(|found| found.allow.iter().any(|known| known == id))
        };
        satisfied(licence, &allowed)
    }

    /// Packages present in more than one version, less those that deny.toml excuses with a reason.
    fn duplicates(&self, foreign: &[&Package], graph: &Graph) -> Vec<Finding> {
        let mut versions: BTreeMap<&str, Vec<&Package>> = BTreeMap::new();
        for package in foreign {
            if !self.bans.skip.iter().any(|skip| skip.is(package)) {
                versions.entry(&package.name).or_default().push(package);
            }
        }
        let doubled = versions.iter().filter(|(_, found)| found.len() > 1);
        doubled
            .map(|(name, found)| {
                let one = |package: &&Package| {
                    format!(
                        "{} for {}",
                        package.version,
                        graph.users(&package.id).join(", ")
                    )
                };
                let list: Vec<String> = found.iter().map(one).collect();
                let message = format!("in {} versions: {}", found.len(), list.join("; "));
                Finding::file("duplicates", name, message)
            })
            .collect()
    }

    /// Excuses that excuse nothing any more.
    fn stale(&self, foreign: &[&Package]) -> Vec<Finding> {
        let unused = self
            .bans
            .skip
            .iter()
            .filter(|skip| !foreign.iter().any(|package| skip.is(package)));
        unused
            .map(|skip| {
                let message = "is excused in deny.toml but not in the tree; take the line out";
                Finding::file("duplicates", &skip.name, message)
            })
            .collect()
    }
}

/// Evaluates an SPDX expression (`OR` binds weaker than `AND`; the old `/` means `OR`).
fn satisfied(expression: &str, allowed: &dyn Fn(&str) -> bool) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    !words.is_empty() && any_of(&words, &mut at, allowed) && at == words.len()
}

fn any_of(words: &[&str], at: &mut usize, allowed: &dyn Fn(&str) -> bool) -> bool {
    let mut result = all_of(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        result |= all_of(words, at, allowed);
    }
    result
}

fn all_of(words: &[&str], at: &mut usize, allowed: &dyn Fn(&str) -> bool) -> bool {
    let mut result = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        result &= one(words, at, allowed);
    }
    result
}

fn one(words: &[&str], at: &mut usize, allowed: &dyn Fn(&str) -> bool) -> bool {
    let Some(word) = words.get(*at) else {
        return false;
    };
    *at += 1;
    if *word == "(" {
        let result = any_of(words, at, allowed);
        let closed = words.get(*at) == Some(&")");
        *at += 1;
        return result && closed;
    }
    if words.get(*at) == Some(&"WITH") {
        let exception = words.get(*at + 1).copied().unwrap_or_default();
        *at += 2;
        return allowed(&format!("{word} WITH {exception}"));
    }
    allowed(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::tests::graph;

    const POLICY: &str = r#"
        [licenses]
        allow = ["MIT", "Apache-2.0"]
        exceptions = [{ crate = "roots", allow = ["CDLA-Permissive-2.0"] }]
        [bans]
        deny = [{ crate = "openssl", reason = "one TLS" }]
        skip = [{ crate = "syn@2", reason = "older macros" }]
    "#;

    fn found(rows: &[(&str, &str)]) -> Vec<String> {
        let policy: Policy = toml::from_str(POLICY).unwrap();
        let excused = ("syn@2.0.9", "MIT");
        let rows: Vec<_> = rows.iter().copied().chain([excused]).collect();
        let findings = policy.check(&graph(&rows, &[]));
        findings
            .iter()
            .map(|found| format!("{} {}", found.rule, found.place))
            .collect()
    }

    #[test]
    fn a_copyleft_crate_is_found() {
        assert_eq!(
            found(&[("a@1.0.0", "MIT OR GPL-3.0"), ("b@1.0.0", "MIT/Apache-2.0")]),
            [""; 0]
        );
        assert_eq!(found(&[("a@1.0.0", "MPL-2.0")]), ["licences a"]);
        assert_eq!(found(&[("a@1.0.0", "MIT AND GPL-3.0")]), ["licences a"]);
        assert_eq!(found(&[("a@1.0.0", "")]), ["licences a"]);
    }

    #[test]
    fn an_exception_holds_for_its_crate_alone() {
        let licence = "CDLA-Permissive-2.0";
        assert_eq!(
            found(&[("roots@1.0.0", licence), ("a@1.0.0", licence)]),
            ["licences a"]
        );
    }

    #[test]
    fn expressions_nest() {
        let allowed = |id: &str| id == "MIT" || id == "Apache-2.0 WITH LLVM-exception";
        assert!(satisfied(
            "(MIT OR X) AND (Y OR Apache-2.0 WITH LLVM-exception)",
            &allowed
        ));
        assert!(!satisfied("(MIT AND X) OR Y", &allowed));
        assert!(!satisfied("(MIT", &allowed));
    }

    #[test]
    fn a_second_version_and_a_banned_crate_are_found() {
        let rows = [
            ("syn@3.0.0", "MIT"),
            ("digest@0.10.1", "MIT"),
            ("digest@0.11.0", "MIT"),
        ];
        assert_eq!(found(&rows), ["duplicates digest"]);
        assert_eq!(found(&[("openssl@0.10.0", "MIT")]), ["bans openssl"]);
    }

    #[test]
    fn an_excuse_for_nothing_is_found() {
        let policy: Policy = toml::from_str(POLICY).unwrap();
        let findings = policy.check(&graph(&[("a@1.0.0", "MIT")], &[]));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].place, "syn@2");
    }
}
