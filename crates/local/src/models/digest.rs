//! SHA-256 of files, in the hexadecimal form that manifests and registries use.
//! `state` and `install` call it, and the binary's downloader.
//! It never holds more than one block of a file in memory.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, Read},
    path::Path,
};

use aws_lc_rs::digest::{Context, SHA256};

/// Bytes read at a time: large enough that system calls do not show beside the hashing.
const BLOCK_BYTES: usize = 1 << 18;

/// SHA-256 of the file at `path`, as 64 lower-case hexadecimal digits.
///
/// Errors: those of opening and reading the file.
pub fn sha256_of_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        let read = file.read(&mut block)?;
        if read == 0 {
            return Ok(hash.finish());
        }
        hash.update(&block[..read]);
    }
}

/// A running SHA-256.
pub(super) struct Sha256(Context);

impl Sha256 {
    pub(super) fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The 64 hexadecimal digits.
    pub(super) fn finish(self) -> String {
        let mut hex = String::with_capacity(64);
        for byte in self.0.finish().as_ref() {
            // writing to a String cannot fail
            let _ = write!(hex, "{byte:02x}");
        }
        hex
    }
}
