//! Reads `CTranslate2` model files (`model.bin`), the form in which Whisper weights are published.
//! The export reads whole weights; the decoder reads single embedding rows while it runs.
//! It never holds the file in memory: the header is indexed once, data is read when asked for.
//!
//! Layout, little endian: u32 version, string spec, u32 revision, u32 variable count; per variable
//! string name, u8 rank, u32 per dimension, u8 type, u32 byte count, bytes. A string is a u16
//! length, then that many bytes, the last one NUL. From version 3 on, u32 alias count and pairs of
//! strings follow. (github.com/OpenNMT/CTranslate2, `src/models/model.cc`)

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use crate::LocalError;

const MODEL: &str = "whisper-tiny-en";
/// Type codes of the format that this reader understands.
const TYPE_F32: u8 = 0;
const TYPE_F16: u8 = 4;

struct Variable {
    dims: Vec<usize>,
    kind: u8,
    offset: u64,
    bytes: usize,
}

/// An open `model.bin`: where each variable is, and the file to read it from.
pub(crate) struct Weights {
    path: PathBuf,
    file: File,
    variables: HashMap<String, Variable>,
}

/// One variable as f32, row-major.
pub(crate) struct Tensor {
    pub(crate) dims: Vec<usize>,
    pub(crate) data: Vec<f32>,
}

impl Weights {
    /// Indexes the file at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self, LocalError> {
        let file = File::open(path).map_err(|error| LocalError::open(MODEL, path, error))?;
        let variables = index(&file).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => {
                LocalError::damaged(MODEL, path, error.to_string())
            }
            _ => LocalError::open(MODEL, path, error),
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
            variables,
        })
    }

    /// The whole variable `name`, converted to f32.
    pub(crate) fn read(&self, name: &str) -> Result<Tensor, LocalError> {
        let variable = self.variable(name)?;
        let data = self.values(variable, 0, variable.dims.iter().product())?;
        Ok(Tensor {
            dims: variable.dims.clone(),
            data,
        })
    }

    /// Row `row` of the matrix `name`, converted to f32.
    pub(crate) fn row(&self, name: &str, row: usize) -> Result<Vec<f32>, LocalError> {
        let variable = self.variable(name)?;
        let [rows, columns] = variable.dims[..] else {
            return Err(self.damaged(format!("{name} is not a matrix")));
        };
        if row >= rows {
            return Err(self.damaged(format!("{name} has {rows} rows, row {row} was asked for")));
        }
        self.values(variable, row * columns, columns)
    }

    fn variable(&self, name: &str) -> Result<&Variable, LocalError> {
        self.variables
            .get(name)
            .ok_or_else(|| self.damaged(format!("no variable {name}")))
    }

    fn values(
        &self,
        variable: &Variable,
        first: usize,
        count: usize,
    ) -> Result<Vec<f32>, LocalError> {
        let width = if variable.kind == TYPE_F16 { 2 } else { 4 };
        if (first + count) * width > variable.bytes {
            return Err(self.damaged("a variable is shorter than its shape".to_owned()));
        }
        let mut bytes = vec![0u8; count * width];
        self.file
            .read_exact_at(&mut bytes, variable.offset + (first * width) as u64)
            .map_err(|error| LocalError::open(MODEL, &self.path, error))?;
        Ok(match variable.kind {
            TYPE_F32 => bytes
                .as_chunks::<4>()
                .0
                .iter()
                .map(|value| f32::from_le_bytes(*value))
                .collect(),
            TYPE_F16 => bytes
                .as_chunks::<2>()
                .0
                .iter()
                .map(|value| f32_from_half(u16::from_le_bytes(*value)))
                .collect(),
            other => return Err(self.damaged(format!("weights of type {other} are not supported"))),
        })
    }

    fn damaged(&self, reason: String) -> LocalError {
        LocalError::damaged(MODEL, &self.path, reason)
    }
}

fn index(file: &File) -> io::Result<HashMap<String, Variable>> {
    let length = file.metadata()?.len();
    let mut reader = BufReader::with_capacity(512, file);
    let version = u32_le(&mut reader)?;
    if !(2..=6).contains(&version) {
        return Err(invalid(format!(
            "format version {version} is not supported"
        )));
    }
    string(&mut reader)?;
    u32_le(&mut reader)?;
    let count = u32_le(&mut reader)?;
    let mut variables = HashMap::new();
    for _ in 0..count {
        let name = string(&mut reader)?;
        let rank = byte(&mut reader)?;
        let dims = (0..rank)
            .map(|_| u32_le(&mut reader).map(|dim| dim as usize))
            .collect::<io::Result<_>>()?;
        let kind = byte(&mut reader)?;
        let bytes = u32_le(&mut reader)?;
        let offset = reader.stream_position()?;
        if offset + u64::from(bytes) > length {
            return Err(invalid(format!("{name} reaches past the end of the file")));
        }
        reader.seek_relative(i64::from(bytes))?;
        variables.insert(
            name,
            Variable {
                dims,
                kind,
                offset,
                bytes: bytes as usize,
            },
        );
    }
    reader.seek(SeekFrom::Start(0))?;
    Ok(variables)
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

fn byte(reader: &mut impl Read) -> io::Result<u8> {
    let mut bytes = [0];
    reader.read_exact(&mut bytes)?;
    Ok(bytes[0])
}

fn u32_le(reader: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    reader.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn string(reader: &mut impl Read) -> io::Result<String> {
    let mut length = [0; 2];
    reader.read_exact(&mut length)?;
    let mut bytes = vec![0; usize::from(u16::from_le_bytes(length))];
    reader.read_exact(&mut bytes)?;
    if bytes.pop() != Some(0) {
        return Err(invalid("a name does not end in NUL".to_owned()));
    }
    String::from_utf8(bytes).map_err(|_| invalid("a name is not UTF-8".to_owned()))
}

/// IEEE 754 binary16 to binary32; exact.
pub(crate) fn f32_from_half(half: u16) -> f32 {
    let sign = u32::from(half >> 15) << 31;
    let exponent = u32::from(half >> 10 & 0x1f);
    let fraction = u32::from(half & 0x3ff);
    match exponent {
        // zero and subnormals: fraction * 2^-24
        0 => {
            let magnitude = fraction as f32 * (1.0 / 16_777_216.0);
            f32::from_bits(magnitude.to_bits() | sign)
        }
        0x1f => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "the conversion is exact by definition")]
    fn half_precision_values_convert_exactly() {
        assert_eq!(f32_from_half(0x3c00), 1.0);
        assert_eq!(f32_from_half(0xc000), -2.0);
        assert_eq!(f32_from_half(0x7bff), 65504.0);
        assert_eq!(f32_from_half(0x0001), 2.0f32.powi(-24));
        assert_eq!(f32_from_half(0x3555), 0.333_251_95);
        assert!(f32_from_half(0x7c00).is_infinite());
        assert_eq!(f32_from_half(0x8000).to_bits(), (-0.0f32).to_bits());
    }
}
