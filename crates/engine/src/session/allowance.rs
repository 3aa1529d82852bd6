//! How much may still be had: the limits of whoever pays, as the gateway tells, and the caller's bytes in a minute.
//! Asked by `respond` before a response begins and by `listen` before audio is heard; told through [`super::Input::Limits`].
//! Never counts for others: between two tellings it only takes off what this session has used.

use wire::realtime::response::RateLimit;
use wire::realtime::{ErrorBody, ServerEvent, SessionKind};

use super::input::ReplyId;
use super::output::Output;
use super::respond::End;
use super::{Session, reply::Reply};
use crate::guard::{Rate, Standing};

/// A limit, and how it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// How much there is of it.
    pub limit: u64,
    /// What is left.
    pub standing: Standing,
}

/// The limits of whoever pays for a session; of several on one measure the tightest. `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Requests within a minute.
    pub requests: Option<Limit>,
    /// Tokens of language models within a minute.
    pub tokens: Option<Limit>,
    /// Seconds of audio, heard and spoken, within a day.
    pub audio_s: Option<Limit>,
}

impl Limits {
    fn numbers(&self) -> [Option<u64>; 3] {
        [self.requests, self.tokens, self.audio_s].map(|limit| limit.map(|limit| limit.limit))
    }

    /// How far the audio of the day is used up: 0, from 80 % on 1, with nothing left 2.
    pub fn audio_band(&self) -> u8 {
        let Some(audio) = self.audio_s else {
            return 0;
        };
        match audio.standing.remaining {
            0 => 2,
            left if left.saturating_mul(5) <= audio.limit => 1,
            _ => 0,
        }
    }
}

/// What was told last, and when.
#[derive(Debug, Default)]
pub(super) struct Told {
    limits: Option<Limits>,
    at_ms: u64,
    /// Tokens that this session has used since.
    spent: u64,
}

impl Told {
    fn limits(&self) -> Limits {
        self.limits.unwrap_or_default()
    }

    /// Until any of `limit` may be had again, in ms; 0 when some may.
    fn wait_ms(&self, limit: Option<Limit>, now_ms: u64) -> u64 {
        let wait_ms = limit.map_or(0, |limit| limit.standing.wait_ms);
        (self.at_ms + wait_ms).saturating_sub(now_ms)
    }

    fn report(&self, name: &str, limit: Limit, spent: u64, now_ms: u64) -> RateLimit {
        let left_ms = (self.at_ms + limit.standing.reset_ms).saturating_sub(now_ms);
        let left = if left_ms == 0 {
            limit.limit
        } else {
            limit.standing.remaining
        };
        RateLimit {
            name: name.to_owned(),
            limit: limit.limit,
            remaining: left.saturating_sub(spent),
            reset_seconds: left_ms as f64 / 1000.0,
        }
    }
}

impl Session {
    /// The gateway says how the limits stand. The client is told at once when they are others than before, or when the
    /// audio of the day comes to its end.
    pub(super) fn learn_limits(&mut self, limits: Limits, out: &mut Vec<Output>) {
        let before = self.told.limits;
        let changed = before.is_some_and(|before| before.numbers() != limits.numbers());
        let band = before.map_or(0, |before| before.audio_band());
        self.told = Told {
            limits: Some(limits),
            at_ms: self.now_ms,
            spent: 0,
        };
        if changed || limits.audio_band() > band {
            self.report_limits(out);
        }
    }

    pub(super) fn report_limits(&mut self, out: &mut Vec<Output>) {
        let (told, now_ms) = (&self.told, self.now_ms);
        let limits = told.limits();
        let mut tokens = self.tokens.report(now_ms);
        if let Some(limit) = limits.tokens {
            let of_payer = told.report("tokens", limit, told.spent, now_ms);
            if of_payer.remaining <= tokens.remaining {
                tokens = of_payer;
            }
        }
        let requests = limits
            .requests
            .map(|l| told.report("requests", l, 0, now_ms));
        let audio = limits
            .audio_s
            .map(|l| told.report("audio_seconds", l, 0, now_ms));
        out.push(Output::Send(ServerEvent::RateLimitsUpdated {
            rate_limits: requests.into_iter().chain([tokens]).chain(audio).collect(),
        }));
    }

    /// Why no response may begin now.
    pub(super) fn refusal(&mut self) -> Option<ErrorBody> {
        if self.tokens.exhausted(self.now_ms) {
            let message = "This session has used its tokens for the minute; see rate_limits.updated for the time it resets.";
            return Some(ErrorBody::invalid("rate_limit_exceeded", message));
        }
        let limits = self.told.limits();
        let wait_ms = self.told.wait_ms(limits.tokens, self.now_ms);
        if wait_ms > 0 {
            let seconds = wait_ms.div_ceil(1000);
            let message = format!(
                "The tokens of the minute are used up. Try again in {seconds} s; rate_limits.updated tells how the limits stand."
            );
            return Some(ErrorBody::invalid("rate_limit_exceeded", message));
        }
        self.audio_refusal()
    }

    fn audio_refusal(&self) -> Option<ErrorBody> {
        let wait_ms = self.told.wait_ms(self.told.limits().audio_s, self.now_ms);
        (wait_ms > 0).then(|| {
            let seconds = wait_ms.div_ceil(1000);
            let message = format!(
                "The audio minutes of the day are used up. Try again in {seconds} s, or ask the operator for more."
            );
            ErrorBody::invalid("quota_exceeded", message)
        })
    }

    /// Counts the caller's audio; why it may not be heard.
    pub(super) fn too_much_audio(&mut self, bytes: usize) -> Option<ErrorBody> {
        // who only wants to be transcribed gets no response that could be refused
        if self.settings.kind == SessionKind::Transcription
            && let Some(error) = self.audio_refusal()
        {
            return Some(error);
        }
        let limit = self.policy.bytes_per_minute;
        if limit == 0 {
            return None;
        }
        let taken = self
            .heard
            .take(Rate::per_minute(limit), bytes as u64, self.now_ms);
        let refusal = taken.err()?;
        let when = refusal.retry_after_ms.map_or_else(
            || "Send shorter appends.".to_owned(),
            |ms| format!("Try again in {} s.", ms.div_ceil(1000)),
        );
        let message = format!(
            "A session may send {limit} bytes of audio within a minute, and this append is beyond that. {when}"
        );
        Some(ErrorBody::invalid("rate_limit_exceeded", message).at("audio"))
    }

    /// Somebody's tokens are used up: the response fails, without the words for a provider that is missing.
    pub(super) fn refuse(&mut self, id: ReplyId, error: ErrorBody, out: &mut Vec<Output>) {
        if !self.drop_held(id, out) {
            self.finish(id, End::Failed(error), out);
        }
    }

    /// Takes off what a response has used, until the gateway tells.
    pub(super) fn spend(&mut self, reply: &Reply, total_tokens: u32) {
        self.tokens.spend(total_tokens, self.now_ms);
        self.told.spent += if reply.speaks_by_itself() {
            u64::from(total_tokens)
        } else {
            // the audio of other models is no tokens of theirs
            u64::from(reply.usage.input_tokens) + u64::from(reply.usage.output_tokens)
        };
    }
}
