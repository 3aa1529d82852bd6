//! How much one socket may say: so many messages a minute, several times as many questions, and more frames of any kind.
//! Held by each socket of [`super::connection`].
//! Never keeps what was refused: who says too much is told when to say it again.

use engine::guard::{Rate, Window};

/// Frames of any kind for each message that is allowed.
const FRAMES: u64 = 10;
/// Questions for what was said before, each of which reads much, for each message that is allowed.
const QUESTIONS: u64 = 3;

/// What a socket may say.
#[derive(Debug, Default)]
pub(super) struct Allowance {
    rate: Option<Rate>,
    frames: Option<Rate>,
    questions: Option<Rate>,
    said: Window,
    sent: Window,
    asked: Window,
}

impl Allowance {
    /// So many messages a minute; 0 is no limit.
    pub(super) fn new(messages_per_minute: u64) -> Self {
        let rate = |limit: u64| (limit > 0).then(|| Rate::per_minute(limit));
        Self {
            rate: rate(messages_per_minute),
            frames: rate(messages_per_minute.saturating_mul(FRAMES)),
            questions: rate(messages_per_minute.saturating_mul(QUESTIONS)),
            ..Self::default()
        }
    }

    /// Whether another frame is looked at.
    pub(super) fn frame(&mut self, now_ms: u64) -> bool {
        self.frames
            .is_none_or(|rate| self.sent.take(rate, 1, now_ms).is_ok())
    }

    /// Counts a message.
    ///
    /// # Errors
    /// In how many s it can be said.
    pub(super) fn message(&mut self, now_ms: u64) -> Result<(), u64> {
        take(self.rate, &mut self.said, now_ms)
    }

    /// Counts a question for what was said before.
    ///
    /// # Errors
    /// In how many s it can be asked.
    pub(super) fn question(&mut self, now_ms: u64) -> Result<(), u64> {
        take(self.questions, &mut self.asked, now_ms)
    }
}

fn take(rate: Option<Rate>, window: &mut Window, now_ms: u64) -> Result<(), u64> {
    let Some(rate) = rate else {
        return Ok(());
    };
    let wait_s = |ms: Option<u64>| ms.unwrap_or_default().div_ceil(1000).max(1);
    let taken = window.take(rate, 1, now_ms);
    taken
        .map(drop)
        .map_err(|refusal| wait_s(refusal.retry_after_ms))
}
