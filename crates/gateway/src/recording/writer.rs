//! The writer of one recording: takes what comes in order, puts both sides beside each other, and writes a WAV file.
//! Started by [`super::Recorder`]; a task of its own, so that a slow disk holds up no call.
//! Never keeps more in memory than [`stereo::KEPT_MS`] of sound, and leaves no half a file behind that looks like a whole one.

use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::audio::{Decoder, SampleRate, wav};
use engine::call::stereo::Stereo;
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _, BufWriter};
use tokio::sync::mpsc;
use wire::telephony::Format;

use super::Piece;
use super::kept::{self, Made};
use crate::App;
use crate::calls::CallKey;
use crate::edge::telephony::linear;

/// Bytes that are written at once: 2 s.
const BLOCK: usize = 64 * 1024;

/// A recording that grows.
struct Growing {
    stereo: Stereo,
    /// From the carrier's format to samples at 8 kHz.
    caller: Decoder,
    agent: Decoder,
    samples: Vec<i16>,
    settled: Vec<i16>,
    bytes: Vec<u8>,
    left_out: u64,
    paused: bool,
}

impl Growing {
    fn new(format: Format) -> Self {
        let decoder = || Decoder::to_rate(linear(format), SampleRate::HZ_8K);
        Self {
            stereo: Stereo::new(),
            caller: decoder(),
            agent: decoder(),
            samples: Vec::new(),
            settled: Vec::new(),
            bytes: Vec::new(),
            left_out: 0,
            paused: false,
        }
    }

    /// Takes a piece; true when it is the last one.
    fn take(&mut self, piece: Piece) -> bool {
        self.samples.clear();
        let (now_ms, fits) = match piece {
            Piece::Caller(now_ms, sound) => {
                self.caller.push(&sound, &mut self.samples);
                let fits = self.paused || self.stereo.caller(now_ms, &self.samples);
                (now_ms, fits)
            }
            Piece::Agent(now_ms, sound) => {
                self.agent.push(&sound, &mut self.samples);
                let fits = self.paused || self.stereo.agent(now_ms, &self.samples);
                (now_ms, fits)
            }
            Piece::Cut(now_ms) => {
                self.stereo.cut(now_ms);
                (now_ms, true)
            }
            Piece::Pause(now_ms, paused) => {
                self.paused = paused;
                self.stereo.cut(now_ms);
                (now_ms, true)
            }
            Piece::End(now_ms) => {
                self.stereo.finish(now_ms, &mut self.settled);
                return true;
            }
        };
        self.left_out += u64::from(!fits);
        self.stereo.settle(now_ms, &mut self.settled);
        false
    }

    /// What is final, as bytes of the file.
    fn settled(&mut self) -> &[u8] {
        self.bytes.clear();
        for sample in self.settled.drain(..) {
            self.bytes.extend_from_slice(&sample.to_le_bytes());
        }
        &self.bytes
    }
}

/// Writes what comes until the call is over.
pub(super) async fn write(
    app: Arc<App>,
    call: CallKey,
    format: Format,
    pieces: mpsc::Receiver<Piece>,
) {
    let id = wire::ids::Ids::seeded(app.seed()).next("rec");
    let written = async {
        let path = kept::path(&app, &call.tenant, &id);
        let half = path.with_extension("part");
        let made = grow(&half, format, pieces).await;
        match made {
            Ok((duration_ms, bytes, left_out)) => {
                tokio::fs::rename(&half, &path).await?;
                Ok((path, duration_ms, bytes, left_out))
            }
            Err(error) => {
                let _ = tokio::fs::remove_file(&half).await;
                Err(error)
            }
        }
    };
    let (path, duration_ms, bytes, left_out): (PathBuf, _, _, _) = match written.await {
        Ok(made) => made,
        Err(error) => {
            app.metrics.calls().recorded("failed");
            tracing::error!(call = call.id, %error, "a call cannot be recorded");
            return;
        }
    };
    if left_out > 0 {
        app.metrics.calls().not_recorded(left_out);
    }
    let made = Made {
        id,
        path,
        duration_ms,
        bytes,
    };
    kept::keep(&app, &call, made).await;
}

/// Writes the file; its length in ms and in bytes, and how many pieces were left out.
async fn grow(
    path: &Path,
    format: Format,
    mut pieces: mpsc::Receiver<Piece>,
) -> std::io::Result<(u64, u64, u64)> {
    if let Some(folder) = path.parent() {
        tokio::fs::create_dir_all(folder).await?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    options.mode(0o600);
    let mut file = BufWriter::with_capacity(BLOCK, options.open(path).await?);
    file.write_all(&wav::header_of(SampleRate::HZ_8K, 2, 0))
        .await?;
    let mut growing = Growing::new(format);
    let mut data: u64 = 0;
    // whoever holds the call may be cut off: what came is kept
    while let Some(piece) = pieces.recv().await {
        let last = growing.take(piece);
        let settled = growing.settled();
        data += settled.len() as u64;
        file.write_all(settled).await?;
        if last {
            break;
        }
    }
    file.flush().await?;
    let mut file: File = file.into_inner();
    file.seek(SeekFrom::Start(0)).await?;
    let size = u32::try_from(data).unwrap_or(u32::MAX);
    let header = wav::header_of(SampleRate::HZ_8K, 2, size);
    file.write_all(&header).await?;
    file.sync_all().await?;
    let bytes = data + header.len() as u64;
    Ok((growing.stereo.settled_ms(), bytes, growing.left_out))
}
