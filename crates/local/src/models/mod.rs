//! Which models there are, whether they are on this disk, and how a package becomes one.
//! `antiphon models` and `antiphon doctor` call it; [`LocalModels`](crate) opens what it installed.
//! It never speaks HTTP: fetching the packages is the binary's business.

mod digest;
mod install;
mod manifest;
mod state;
mod unpack;

#[cfg(test)]
mod tests;

pub use digest::sha256_of_file;
pub use install::{Staging, record};
pub use manifest::{Download, Manifest, Model, ModelFile, PackageKind, Piece, platform};
pub use state::{Depth, State, check, require};
pub use unpack::{Wanted, extract};
