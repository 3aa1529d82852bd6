//! Writes the files that are made from code: API documents, configuration, metrics.
//! Run by `cargo xtask generate`; its tests run in CI and compare what is committed.
//! It never starts a server: every document is a function of the gateway.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use gateway::Config;
use serde_json::Value;

#[cfg(test)]
mod tests;

fn main() -> Result<()> {
    let root = root();
    for (path, text) in documents()? {
        let full = root.join(path);
        if std::fs::read_to_string(&full).is_ok_and(|present| present == text) {
            continue;
        }
        if let Some(folder) = full.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("make the folder of {path}"))?;
        }
        std::fs::write(&full, text).with_context(|| format!("write {path}"))?;
        eprintln!("wrote {path}");
    }
    Ok(())
}

/// Every generated file: its path from the repository root, and its text.
fn documents() -> Result<[(&'static str, String); 5]> {
    Ok([
        ("config.default.toml", Config::default_toml()),
        (
            "docs/generated/asyncapi.json",
            line(gateway::asyncapi_json()),
        ),
        (
            "docs/generated/config.schema.json",
            pretty(&Config::schema_json())?,
        ),
        (
            "docs/generated/metrics.md",
            gateway::observe::metrics_markdown(),
        ),
        ("docs/generated/openapi.json", line(gateway::openapi_json())),
    ])
}

/// JSON as a reviewer reads it in a diff.
fn pretty(document: &Value) -> Result<String> {
    Ok(line(serde_json::to_string_pretty(document)?))
}

/// A document that ends in a line feed, as text files do.
fn line(mut text: String) -> String {
    text.push('\n');
    text
}

/// The repository root: two levels above this crate.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
