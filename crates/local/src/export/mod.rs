//! Turns published weights into graphs for ONNX Runtime, without Python.
//! `antiphon models pull` and the first start of the server call it.
//! It never downloads, and never leaves half an export behind.

pub(crate) mod ct2;
mod decoder;
mod encoder;
mod layers;
mod onnx;
mod quantise;

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

pub(crate) use layers::{HEAD_WIDTH, HEADS, LAYERS, WIDTH};
use quantise::WeightType;

use crate::LocalError;

const MODEL: &str = "whisper-tiny-en";
/// Raised whenever the graphs change, so that older exports are made again.
const EXPORTER: u32 = 2;
const STAMP: &str = "export.json";
/// The published weights an export is made from.
pub(crate) const SOURCE: &str = "model.bin";
pub(crate) const ENCODER: &str = "encoder.onnx";
pub(crate) const DECODER: &str = "decoder.onnx";
const ENCODER_WEIGHTS: &str = "encoder.weights";
const DECODER_WEIGHTS: &str = "decoder.weights";

/// What an export was made from; a differing stamp means: export again.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    exporter: u32,
    /// SHA-256 of `model.bin`, in hex.
    source_sha256: String,
    weight_type: WeightType,
}

/// Writes `encoder.onnx`, `decoder.onnx`, their weights and `export.json` into `dir`, from the
/// `model.bin` (Whisper tiny.en, `CTranslate2` format) there. Does nothing when they are current.
/// Takes a few seconds and about 150 MB.
///
/// Errors: [`LocalError::Missing`] without `model.bin`, [`LocalError::Damaged`] when it is not
/// such a model, [`LocalError::Io`] when the directory cannot be written.
pub fn whisper(dir: &Path) -> Result<(), LocalError> {
    let stamp = stamp(dir)?;
    if read_stamp(dir).is_some_and(|written| written == stamp) && is_complete(dir) {
        return Ok(());
    }
    let weights = ct2::Weights::open(&dir.join(SOURCE))?;
    let kind = stamp.weight_type;
    let written = |source| LocalError::Io {
        tried: "write the export in",
        path: dir.into(),
        source,
    };
    // without its stamp an export does not count, so a crash from here on only means a new export
    remove(&dir.join(STAMP)).map_err(written)?;
    let encoder = encoder::graph(&weights, kind, ENCODER_WEIGHTS)?;
    encoder
        .write(&partial(dir, ENCODER), &partial(dir, ENCODER_WEIGHTS))
        .map_err(written)?;
    let decoder = decoder::graph(&weights, kind, DECODER_WEIGHTS)?;
    decoder
        .write(&partial(dir, DECODER), &partial(dir, DECODER_WEIGHTS))
        .map_err(written)?;
    for name in [ENCODER_WEIGHTS, DECODER_WEIGHTS, ENCODER, DECODER] {
        fs::rename(partial(dir, name), dir.join(name)).map_err(written)?;
    }
    let json = serde_json::to_vec_pretty(&stamp).map_err(|error| written(error.into()))?;
    onnx::write_synced(&partial(dir, STAMP), &json).map_err(written)?;
    fs::rename(partial(dir, STAMP), dir.join(STAMP)).map_err(written)
}

/// Whether `dir` holds an export of its `model.bin` made by this exporter for this processor.
/// Reads all of `model.bin` (75 MB) to compare its hash.
pub fn is_current(dir: &Path) -> bool {
    is_complete(dir)
        && read_stamp(dir).is_some_and(|written| stamp(dir).is_ok_and(|now| now == written))
}

fn is_complete(dir: &Path) -> bool {
    [ENCODER, ENCODER_WEIGHTS, DECODER, DECODER_WEIGHTS]
        .iter()
        .all(|name| dir.join(name).is_file())
}

fn read_stamp(dir: &Path) -> Option<Stamp> {
    serde_json::from_slice(&fs::read(dir.join(STAMP)).ok()?).ok()
}

fn stamp(dir: &Path) -> Result<Stamp, LocalError> {
    let path = dir.join(SOURCE);
    let source_sha256 = sha256(&path).map_err(|error| LocalError::open(MODEL, &path, error))?;
    Ok(Stamp {
        exporter: EXPORTER,
        source_sha256,
        weight_type: WeightType::of_this_processor(),
    })
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut context = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0u8; 1 << 16];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        context.update(&buffer[..read]);
    }
    let mut hex = String::with_capacity(64);
    for byte in context.finish().as_ref() {
        // writing to a string cannot fail
        let _ = write!(hex, "{byte:02x}");
    }
    Ok(hex)
}

/// Two processes may export at once; each writes files of its own, and the results are the same.
fn partial(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.{}.partial", std::process::id()))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
