//! The exported encoder against the same encoder written out in plain f32.

use std::path::Path;

use super::{
    ct2::{Tensor, Weights},
    *,
};
use crate::{
    runtime::{self, SessionConfig},
    whisper::{
        DIRECTORY,
        mel::{BINS, Mel},
    },
};

/// A short clip: the reference takes time by the square of its length.
const FRAMES: usize = 120;

/// Rows of numbers, row-major.
struct Matrix {
    columns: usize,
    data: Vec<f32>,
}

impl Matrix {
    fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.data.chunks_exact(self.columns)
    }

    fn from_rows(columns: usize, rows: impl Iterator<Item = Vec<f32>>) -> Self {
        Self {
            columns,
            data: rows.flatten().collect(),
        }
    }

    fn add(&mut self, other: &Self) {
        for (a, b) in self.data.iter_mut().zip(&other.data) {
            *a += b;
        }
    }
}

struct Reference<'a>(&'a Weights);

impl Reference<'_> {
    fn read(&self, name: &str) -> Tensor {
        self.0.read(name).expect("the model has this variable")
    }

    fn linear(&self, x: &Matrix, name: &str) -> Matrix {
        let weight = self.read(&format!("{name}/weight"));
        let bias = self.read(&format!("{name}/bias")).data;
        Matrix::from_rows(
            bias.len(),
            x.rows().map(|row| {
                weight
                    .data
                    .chunks_exact(x.columns)
                    .zip(&bias)
                    .map(|(w, b)| dot(w, row) + b)
                    .collect()
            }),
        )
    }

    fn norm(&self, x: &Matrix, name: &str) -> Matrix {
        let gamma = self.read(&format!("{name}/gamma")).data;
        let beta = self.read(&format!("{name}/beta")).data;
        Matrix::from_rows(
            x.columns,
            x.rows().map(|row| {
                let mean = row.iter().sum::<f32>() / row.len() as f32;
                let variance =
                    row.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / row.len() as f32;
                let gain = 1.0 / (variance + 1e-5).sqrt();
                row.iter()
                    .zip(gamma.iter().zip(&beta))
                    .map(|(v, (g, b))| (v - mean) * gain * g + b)
                    .collect()
            }),
        )
    }

    /// Kernel 3, padding 1; rows are points in time.
    fn convolution(&self, x: &Matrix, name: &str, stride: usize) -> Matrix {
        let weight = self.read(&format!("{name}/weight")).data;
        let bias = self.read(&format!("{name}/bias")).data;
        let rows: Vec<&[f32]> = x.rows().collect();
        let channels = x.columns;
        Matrix::from_rows(
            bias.len(),
            (0..rows.len() / stride).map(|at| {
                bias.iter()
                    .enumerate()
                    .map(|(out, bias)| {
                        let kernel = &weight[out * channels * 3..][..channels * 3];
                        let mut sum = *bias;
                        for tap in 0..3 {
                            let Some(row) =
                                (at * stride + tap).checked_sub(1).and_then(|i| rows.get(i))
                            else {
                                continue;
                            };
                            for (channel, value) in row.iter().enumerate() {
                                sum += kernel[channel * 3 + tap] * value;
                            }
                        }
                        gelu(sum)
                    })
                    .collect()
            }),
        )
    }

    fn attention(&self, x: &Matrix, block: &str) -> Matrix {
        let stacked = self.linear(x, &format!("{block}/self_attention/linear_0"));
        let rows: Vec<&[f32]> = stacked.rows().collect();
        let mixed = Matrix::from_rows(
            WIDTH,
            rows.iter().map(|row| {
                (0..HEADS)
                    .flat_map(|head| {
                        let part = |row: &[f32], which: usize| {
                            row[which * WIDTH + head * HEAD_WIDTH..][..HEAD_WIDTH].to_vec()
                        };
                        let query = part(row, 0);
                        let scores: Vec<f32> = rows
                            .iter()
                            .map(|other| dot(&query, &part(other, 1)) / 8.0)
                            .collect();
                        let largest = scores.iter().copied().fold(f32::MIN, f32::max);
                        let shares: Vec<f32> = scores.iter().map(|s| (s - largest).exp()).collect();
                        let all: f32 = shares.iter().sum();
                        let mut mix = vec![0f32; HEAD_WIDTH];
                        for (share, other) in shares.iter().zip(&rows) {
                            for (m, v) in mix.iter_mut().zip(part(other, 2)) {
                                *m += share / all * v;
                            }
                        }
                        mix
                    })
                    .collect()
            }),
        );
        self.linear(&mixed, &format!("{block}/self_attention/linear_1"))
    }

    fn encode(&self, mel: &[f32]) -> Matrix {
        let frames = mel.len() / BINS;
        let mel = Matrix::from_rows(
            BINS,
            (0..frames).map(|at| (0..BINS).map(|bin| mel[bin * frames + at]).collect()),
        );
        let x = self.convolution(&mel, "encoder/conv1", 1);
        let mut x = self.convolution(&x, "encoder/conv2", 2);
        let positions = self.read("encoder/position_encodings/encodings").data;
        x.add(&Matrix {
            columns: WIDTH,
            data: positions[..x.data.len()].to_vec(),
        });
        for layer in 0..LAYERS {
            let block = format!("encoder/layer_{layer}");
            let normal = self.norm(&x, &format!("{block}/self_attention/layer_norm"));
            x.add(&self.attention(&normal, &block));
            let normal = self.norm(&x, &format!("{block}/ffn/layer_norm"));
            let mut wide = self.linear(&normal, &format!("{block}/ffn/linear_0"));
            wide.data.iter_mut().for_each(|v| *v = gelu(*v));
            x.add(&self.linear(&wide, &format!("{block}/ffn/linear_1")));
        }
        self.norm(&x, "encoder/layer_norm")
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// x Φ(x), with Φ by Simpson's rule: slow, and independent of any series used elsewhere.
fn gelu(x: f32) -> f32 {
    const STEPS: i32 = 64;
    let density = |t: f32| (-t * t / 2.0).exp() / (2.0 * std::f32::consts::PI).sqrt();
    if x.abs() > 8.0 {
        return x.max(0.0);
    }
    let h = x / STEPS as f32;
    let area: f32 = (0..=STEPS)
        .map(|i| {
            let weight = if i == 0 || i == STEPS {
                1.0
            } else {
                f32::from(2 + 2 * (i % 2) as u8)
            };
            weight * density(i as f32 * h)
        })
        .sum();
    x * (0.5 + area * h / 3.0)
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests have no configuration to take it from"
)]
fn models_dir() -> PathBuf {
    std::env::var_os("ANTIPHON_MODELS_DIR").map(PathBuf::from).expect(
        "ANTIPHON_MODELS_DIR must name the models directory; run `antiphon models pull` to fill it",
    )
}

/// A rising tone with a pulse: something in most bands.
fn mel() -> Vec<f32> {
    let sound: Vec<f32> = (0..FRAMES * 160)
        .map(|i| {
            let t = i as f32 / 16_000.0;
            (t * t * 9000.0).sin() * (0.3 + 0.2 * (t * 40.0).sin())
        })
        .collect();
    let mut out = vec![0.0; BINS * FRAMES];
    Mel::new().compute(&sound, FRAMES, &mut out);
    out
}

#[test]
fn the_encoder_finds_what_plain_arithmetic_finds() {
    let models_dir = models_dir();
    let dir = models_dir.join(DIRECTORY);
    whisper(&dir).unwrap_or_else(|error| panic!("no export: {error}"));
    let weights = Weights::open(&dir.join(SOURCE)).expect("the source opens");
    let reference = Reference(&weights);
    let mel = mel();
    let encoded = reference.encode(&mel);

    let mut session = runtime::session(
        &models_dir,
        MODEL,
        &dir.join(ENCODER),
        SessionConfig::default(),
    )
    .expect("the encoder opens");
    let input = ort::value::Tensor::from_array(([1, BINS, FRAMES], mel)).expect("a tensor");
    let outputs = session
        .run(ort::inputs!["mel" => input])
        .expect("the encoder runs");
    for layer in 0..LAYERS {
        let expected = reference.linear(
            &encoded,
            &format!("decoder/layer_{layer}/attention/linear_1"),
        );
        for (which, name) in ["cross_key", "cross_value"].iter().enumerate() {
            let (shape, found) = outputs[format!("{name}_{layer}")]
                .try_extract_tensor::<f32>()
                .expect("an output of numbers");
            assert_eq!(
                &shape[..],
                [1, HEADS as i64, FRAMES as i64 / 2, HEAD_WIDTH as i64]
            );
            // [head, position, 64] against [position, key and value, head, 64]
            let expected: Vec<f32> = (0..HEADS)
                .flat_map(|head| {
                    let first = which * WIDTH + head * HEAD_WIDTH;
                    expected
                        .rows()
                        .flat_map(move |row| row[first..][..HEAD_WIDTH].to_vec())
                })
                .collect();
            let likeness =
                dot(found, &expected) / (dot(found, found) * dot(&expected, &expected)).sqrt();
            assert!(likeness > 0.99, "{name}_{layer}: cosine {likeness}");
        }
    }
}

#[test]
fn an_export_is_current_until_its_source_or_a_file_changes() {
    let source = models_dir().join(DIRECTORY).join(SOURCE);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let copy = dir.path().join(SOURCE);
    assert!(!is_current(dir.path()));
    fs::copy(&source, &copy).unwrap_or_else(|error| {
        panic!("{}: {error}; run `antiphon models pull`", source.display());
    });
    whisper(dir.path()).expect("the export is written");
    assert!(is_current(dir.path()));
    let size = |name: &str| fs::metadata(dir.path().join(name)).map_or(0, |file| file.len());
    assert!(
        size(DECODER) + size(DECODER_WEIGHTS) < 60_000_000,
        "the embedding is there once"
    );

    fs::remove_file(dir.path().join(ENCODER)).expect("the file was there");
    assert!(!is_current(dir.path()));
    whisper(dir.path()).expect("the export is written again");
    assert!(is_current(dir.path()));
    let left: Vec<_> = fs::read_dir(dir.path())
        .expect("the directory can be read")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| {
            Path::new(name)
                .extension()
                .is_some_and(|end| end == "partial")
        })
        .collect();
    assert!(left.is_empty(), "{left:?}");

    let mut bytes = fs::read(&copy).expect("the copy can be read");
    let last = bytes.len() - 1;
    bytes[last / 2] ^= 1;
    fs::write(&copy, bytes).expect("the copy can be written");
    assert!(!is_current(dir.path()));
}

#[test]
fn a_cut_source_is_called_damaged() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::write(
        dir.path().join(SOURCE),
        b"\x06\0\0\0\x03\0ab\0\x03\0\0\0\x02\0\0\0",
    )
    .expect("writable");
    assert!(matches!(
        whisper(dir.path()),
        Err(LocalError::Damaged { .. })
    ));
    assert!(matches!(
        whisper(&dir.path().join("none")),
        Err(LocalError::Missing { .. })
    ));
}
