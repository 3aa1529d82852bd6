//! The dependency graph of the workspace, and which crate may see which.
//! `steps` asks it on every check; `deny` reads the same graph for licences and duplicates.
//! It never resolves anything itself: cargo does, and the lock file is not touched.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use crate::finding::Finding;

/// One package that the workspace builds.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    /// Where it comes from; nothing for the workspace's own.
    pub(crate) source: Option<String>,
}

impl Package {
    /// Name and version as `cargo tree` prints them.
    fn label(&self) -> String {
        format!("{} v{}", self.name, self.version)
    }
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Debug, Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<EdgeKind>,
}

#[derive(Debug, Deserialize)]
struct EdgeKind {
    /// `dev`, `build`, or nothing for an ordinary dependency.
    kind: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
    target_directory: PathBuf,
}

/// The resolved graph: packages by id, and for each the ids of what it builds with.
#[derive(Debug)]
pub(crate) struct Graph {
    packages: BTreeMap<String, Package>,
    shipped: BTreeMap<String, Vec<String>>,
    developed: BTreeMap<String, Vec<String>>,
    /// Where cargo puts what it builds.
    pub(crate) target: PathBuf,
}

/// Our crates and the crates of ours each may use, dependencies pointing one way (DESIGN section 1).
const LAYERS: [(&str, &[&str]); 7] = [
    ("antiphon-wire", &[]),
    ("antiphon-engine", &["antiphon-wire"]),
    ("antiphon-local", &["antiphon-wire", "antiphon-engine"]),
    (
        "antiphon-providers",
        &["antiphon-wire", "antiphon-engine", "antiphon-local"],
    ),
    ("antiphon-store", &["antiphon-wire", "antiphon-engine"]),
    (
        "antiphon-gateway",
        &[
            "antiphon-wire",
            "antiphon-engine",
            "antiphon-local",
            "antiphon-providers",
            "antiphon-store",
        ],
    ),
    (
        "antiphon",
        &[
            "antiphon-wire",
            "antiphon-engine",
            "antiphon-local",
            "antiphon-providers",
            "antiphon-store",
            "antiphon-gateway",
        ],
    ),
];

const HTTP: [&str; 7] = [
    "reqwest",
    "hyper",
    "axum",
    "h2",
    "tungstenite",
    "tokio-tungstenite",
    "ureq",
];

/// What a crate of ours must not have anywhere below it, and why.
const FORBIDDEN: [(&str, &[&str], &str); 5] = [
    (
        "antiphon-wire",
        &["tokio", "sqlx", "redis"],
        "the vocabulary does no input or output",
    ),
    (
        "antiphon-engine",
        &["tokio", "sqlx", "redis"],
        "the conversation is a value",
    ),
    (
        "antiphon-local",
        &["sqlx", "redis"],
        "models on this machine know no storage",
    ),
    (
        "antiphon-providers",
        &["sqlx", "redis", "axum"],
        "vendors are called, not served or stored",
    ),
    (
        "antiphon-store",
        &["axum", "reqwest"],
        "what is remembered does not know who asks",
    ),
];

/// Crates of ours below which no HTTP library may be.
const WITHOUT_HTTP: [&str; 3] = ["antiphon-wire", "antiphon-engine", "antiphon-local"];

impl Graph {
    /// Asks cargo for the graph with every feature on, for the platform that CI builds.
    ///
    /// # Errors
    /// When cargo fails, for example because Cargo.lock does not fit the manifests.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let output = Command::new("cargo")
            .args([
                "metadata",
                "--format-version",
                "1",
                "--locked",
                "--all-features",
            ])
            .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
            .current_dir(root)
            .output()
            .context("run cargo metadata")?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "cargo metadata failed: {complaint}"
        );
        let mut graph = Self::parse(&String::from_utf8(output.stdout)?)?;
        let built = built(root)?;
        graph
            .packages
            .retain(|_, package| built.contains(&package.label()));
        Ok(graph)
    }

    fn parse(json: &str) -> Result<Self> {
        let metadata: Metadata = serde_json::from_str(json).context("read cargo metadata")?;
        let edges = |kept: fn(&EdgeKind) -> bool| {
            let ends = |node: &Node| {
                let kept = node
                    .deps
                    .iter()
                    .filter(|edge| edge.dep_kinds.iter().any(kept));
                (node.id.clone(), kept.map(|edge| edge.pkg.clone()).collect())
            };
            metadata.resolve.nodes.iter().map(ends).collect()
        };
        let shipped = edges(|edge| edge.kind.as_deref() != Some("dev"));
        let developed = edges(|_| true);
        let packages = metadata
            .packages
            .into_iter()
            .map(|package| (package.id.clone(), package))
            .collect();
        Ok(Self {
            packages,
            shipped,
            developed,
            target: metadata.target_directory,
        })
    }

    /// Every package that is built for the workspace, development dependencies included.
    pub(crate) fn packages(&self) -> impl Iterator<Item = &Package> {
        self.developed.keys().filter_map(|id| self.packages.get(id))
    }

    /// The names of the packages that depend directly on `id`.
    pub(crate) fn users(&self, id: &str) -> Vec<&str> {
        self.developed
            .iter()
            .filter(|(_, ends)| ends.iter().any(|end| end == id))
            .filter_map(|(user, _)| self.packages.get(user))
            .map(|package| package.name.as_str())
            .collect()
    }

    /// The crates of ours that are breaking the direction of dependencies, or carry what they must not.
    pub(crate) fn check(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (name, allowed) in LAYERS {
            let Some(own) = self.own(name) else {
                findings.push(Finding::file("layers", name, "is not in the workspace"));
                continue;
            };
            for end in self.developed.get(&own.id).into_iter().flatten() {
                let Some(end) = self.packages.get(end).filter(|end| end.source.is_none()) else {
                    continue;
                };
                if !allowed.contains(&end.name.as_str()) && end.name != name {
                    let message = format!("depends on {}, which lies above it", end.name);
                    findings.push(Finding::file("layers", name, message));
                }
            }
        }
        for (name, forbidden, why) in FORBIDDEN {
            findings.extend(self.below(name, forbidden, why));
        }
        for name in WITHOUT_HTTP {
            findings.extend(self.below(name, &HTTP, "it must not be able to open a connection"));
        }
        findings
    }

    fn own(&self, name: &str) -> Option<&Package> {
        self.packages
            .values()
            .find(|package| package.source.is_none() && package.name == name)
    }

    /// Findings for the forbidden packages in what `name` ships with.
    fn below(&self, name: &str, forbidden: &[&str], why: &str) -> Vec<Finding> {
        let Some(own) = self.own(name) else {
            return Vec::new();
        };
        let below = self.closure(&own.id);
        let found = forbidden.iter().filter(|word| below.contains(**word));
        found
            .map(|word| Finding::file("layers", name, format!("has {word} in its tree, but {why}")))
            .collect()
    }

    /// The names of everything that ships below a package.
    fn closure(&self, id: &str) -> BTreeSet<&str> {
        let mut seen = BTreeSet::from([id]);
        let mut open = vec![id];
        while let Some(next) = open.pop() {
            for end in self.shipped.get(next).into_iter().flatten() {
                if seen.insert(end) {
                    open.push(end);
                }
            }
        }
        seen.remove(id);
        seen.iter()
            .filter_map(|id| self.packages.get(*id))
            .map(|found| found.name.as_str())
            .collect()
    }
}

/// Labels of what is really built. Cargo's metadata also lists packages that only a weak feature (`name?/feature`)
/// mentions; its tree does not.
fn built(root: &Path) -> Result<BTreeSet<String>> {
    let output = Command::new("cargo")
        .args([
            "tree",
            "--workspace",
            "--locked",
            "--all-features",
            "--prefix",
            "none",
        ])
        .args(["--edges", "normal,build,dev", "--format", "{p}"])
        .args(["--target", "x86_64-unknown-linux-gnu"])
        .current_dir(root)
        .output()
        .context("run cargo tree")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo tree failed: {complaint}");
    let label = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    Ok(String::from_utf8(output.stdout)?
        .lines()
        .map(label)
        .collect())
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// A graph from `(name, licence)` rows, ours having no version suffix, and `(from, to, kind)` edges.
    pub(crate) fn graph(rows: &[(&str, &str)], edges: &[(&str, &str, &str)]) -> Graph {
        let packages: Vec<_> = rows
            .iter()
            .map(|(id, licence)| {
                let (name, version) = id.split_once('@').unwrap_or((id, "0.1.0"));
                let source = id
                    .contains('@')
                    .then_some("registry+https://github.com/rust-lang/crates.io-index");
                json!({"id": id, "name": name, "version": version, "license": licence,
                       "source": source})
            })
            .collect();
        let node = |id: &str| {
            let deps: Vec<_> = edges
                .iter()
                .filter(|(from, _, _)| *from == id)
                .map(|(_, to, kind)| {
                    let kind = (!kind.is_empty()).then_some(*kind);
                    json!({"pkg": to, "dep_kinds": [{"kind": kind}]})
                })
                .collect();
            json!({"id": id, "deps": deps})
        };
        let nodes: Vec<_> = rows.iter().map(|(id, _)| node(id)).collect();
        let metadata =
            json!({"packages": packages, "resolve": {"nodes": nodes}, "target_directory": "t"});
        Graph::parse(&metadata.to_string()).unwrap()
    }

    fn ours() -> Vec<(&'static str, &'static str)> {
        LAYERS
            .iter()
            .map(|(name, _)| (*name, "Apache-2.0"))
            .collect()
    }

    #[test]
    fn the_way_up_is_found() {
        let good = ("antiphon-engine", "antiphon-wire", "");
        assert_eq!(graph(&ours(), &[good]).check(), []);
        let bad = ("antiphon-wire", "antiphon-engine", "dev");
        let found = graph(&ours(), &[good, bad]).check();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].place, "antiphon-wire");
    }

    #[test]
    fn a_runtime_below_the_engine_is_found_however_deep() {
        let mut rows = ours();
        rows.extend([("rubato@5.0.1", "MIT"), ("tokio@1.54.1", "MIT")]);
        let deep = [
            ("antiphon-engine", "rubato@5.0.1", ""),
            ("rubato@5.0.1", "tokio@1.54.1", ""),
        ];
        assert_eq!(graph(&rows, &deep).check().len(), 1);
        let for_tests = [("antiphon-engine", "tokio@1.54.1", "dev")];
        assert_eq!(graph(&rows, &for_tests).check(), []);
    }

    #[test]
    fn sql_below_providers_and_http_below_local_are_found() {
        let mut rows = ours();
        rows.extend([("sqlx@0.9.0", "MIT"), ("hyper@1.0.0", "MIT")]);
        let edges = [
            ("antiphon-providers", "sqlx@0.9.0", ""),
            ("antiphon-providers", "hyper@1.0.0", ""),
            ("antiphon-local", "hyper@1.0.0", ""),
        ];
        let places: Vec<String> = graph(&rows, &edges)
            .check()
            .into_iter()
            .map(|found| found.place)
            .collect();
        assert_eq!(places, ["antiphon-providers", "antiphon-local"]);
    }
}
