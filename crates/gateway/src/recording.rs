//! Recordings of calls: whether a call is recorded, what is recorded, where it is kept and for how long.
//! Used by the telephone edge while a call lasts, and by `/v1/calls/{id}/recording`.
//! Never records anybody who has not agreed, and never holds up a frame of sound: what cannot be written in time is left out.
//!
//! | question | answer |
//! |---|---|
//! | may this call be recorded? | [`permitted`] |
//! | how does sound come into the file? | [`Recorder`], written by `writer` |
//! | where is the file, and when does it go? | `kept` |

mod kept;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use store::{StoreError, StoredCall};
use tokio::sync::mpsc;
use wire::rest::calls::{ConsentKind, RecordingPolicy};
use wire::telephony::Format;

use crate::App;
use crate::calls::{CallKey, Details};

pub(crate) use kept::Expiry;
pub use kept::{Kept, find};

/// Pieces that wait for the disk: about 10 s of both sides. Of more, the last are left out and counted.
const PIECES: usize = 1024;
/// How long the end of a call waits for a place among them.
const END_WITHIN: Duration = Duration::from_secs(5);

/// What comes in. Times are in ms of the call.
#[derive(Debug)]
enum Piece {
    /// Of the caller's, in the carrier's format.
    Caller(u64, Bytes),
    /// Of the agent's, as it was sent to the carrier.
    Agent(u64, Bytes),
    /// What the agent was to say from here on was thrown away.
    Cut(u64),
    /// Nothing is kept from here on, where true; everything again, where false.
    Pause(u64, bool),
    /// The call is over.
    End(u64),
}

/// The recorder of one call.
#[derive(Debug)]
pub struct Recorder {
    pieces: mpsc::Sender<Piece>,
    left_out: u64,
    paused: bool,
}

impl Recorder {
    /// Begins to record a call whose sound is `format`, both ways.
    pub fn start(app: &Arc<App>, call: &CallKey, format: Format) -> Self {
        let (pieces, written) = mpsc::channel(PIECES);
        let writing = writer::write(Arc::clone(app), call.clone(), format, written);
        app.lifecycle.spawn(writing);
        Self {
            pieces,
            left_out: 0,
            paused: false,
        }
    }

    /// The caller's sound, that has just come.
    pub fn caller(&mut self, now_ms: u64, sound: &[u8]) {
        if !self.paused {
            self.put(Piece::Caller(now_ms, Bytes::copy_from_slice(sound)));
        }
    }

    /// Sound of the agent's, that has just been sent.
    pub fn agent(&mut self, now_ms: u64, sound: &[u8]) {
        if !self.paused {
            self.put(Piece::Agent(now_ms, Bytes::copy_from_slice(sound)));
        }
    }

    /// The carrier throws away what it has not played.
    pub fn cut(&mut self, now_ms: u64) {
        self.put(Piece::Cut(now_ms));
    }

    /// Keeps nothing from now on, or everything again; false when that was so before.
    pub fn pause(&mut self, now_ms: u64, paused: bool) -> bool {
        if self.paused == paused {
            return false;
        }
        self.paused = paused;
        self.put(Piece::Pause(now_ms, paused));
        true
    }

    fn put(&mut self, piece: Piece) {
        if self.pieces.try_send(piece).is_err() {
            self.left_out += 1;
        }
    }

    /// The call is over: the rest is written, and the recording is there a moment later.
    pub async fn finish(self, app: &App, now_ms: u64) {
        if self.left_out > 0 {
            app.metrics.calls().not_recorded(self.left_out);
            tracing::warn!(
                pieces = self.left_out,
                "a recording has gaps: the disk is too slow"
            );
        }
        let end = self.pieces.send(Piece::End(now_ms));
        let _ = tokio::time::timeout(END_WITHIN, end).await;
    }
}

/// Whether a call is recorded: it was asked for, and whoever is on the other side has agreed.
///
/// # Errors
/// [`StoreError`]; who cannot be asked has not agreed.
pub async fn permitted(app: &App, key: &CallKey, call: &StoredCall) -> Result<bool, StoreError> {
    let details = Details::of(call);
    let outbound = call.direction == "outbound";
    let (wanted, other) = if outbound {
        (
            details.recording == RecordingPolicy::WithConsent,
            &details.to,
        )
    } else {
        (app.config.recordings.inbound, &details.from)
    };
    let (true, Some(number)) = (wanted, other) else {
        return Ok(false);
    };
    let sql = &app.store.sql;
    let callee = sql.callee(number).await?;
    let kind = ConsentKind::Recording.name();
    let now = app.clock.utc();
    let consent = sql.find_consent(&key.tenant, (&callee, kind), now).await?;
    Ok(consent.is_some())
}
