//! Free space on a disk.
//! `doctor` and `models pull` ask before they trust it with anything.
//! It never writes.

use std::path::Path;

use anyhow::Context as _;

/// Bytes that an ordinary user may still write where `path` lies, or would lie once it is made.
pub(crate) fn free_bytes(path: &Path) -> anyhow::Result<u64> {
    let existing = path
        .ancestors()
        .find(|it| it.exists())
        .unwrap_or_else(|| Path::new("."));
    let found = rustix::fs::statvfs(existing)
        .with_context(|| format!("cannot ask for the free space of {}", existing.display()))?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// A number of bytes for people, in decimal units as download pages count them.
pub(crate) fn megabytes(bytes: u64) -> String {
    if bytes < 100_000 {
        format!("{:.1} kB", bytes as f64 / 1e3)
    } else {
        format!("{:.1} MB", bytes as f64 / 1e6)
    }
}
