//! Phrases that tell a caller why nothing is said: a function of the server takes its time.
//! Due when a reply has been silent for so long; asked for by the session's clock.
//! Never speaks into a sentence that is still being heard, and never to people who read.

use super::Session;
use super::output::Output;
use super::present::push_work;
use super::reply::Joint;
use crate::ask::FILLER;

/// Said when a function goes on and on; the first time it is the function's own phrase.
const STILL: &str = "I am still working on it.";
/// From one such phrase to the next, in ms.
const STILL_EVERY_MS: u64 = 7000;
/// Silence after what the caller is still hearing, before a phrase that fills it, in ms.
const FILLER_GAP_MS: u64 = 600;

impl Session {
    /// When a phrase is due that tells the caller that something takes its time, in ms.
    pub(super) fn filler_due_ms(&self) -> Option<u64> {
        let due = self.replies.iter().filter_map(|reply| {
            let (at, _) = reply.filler.as_ref()?;
            reply.may_fill().then_some(*at)
        });
        due.min()
    }

    /// Says what is due; not into a sentence that is still being heard.
    pub(super) fn fill_silence(&mut self, out: &mut Vec<Output>) {
        let (now_ms, quiet_from) = (self.now_ms, self.playback_end_ms());
        let Some(at) = self.replies.iter().position(|reply| {
            let due = reply.filler.as_ref().is_some_and(|(at, _)| *at <= now_ms);
            due && reply.may_fill()
        }) else {
            return;
        };
        let reply = &mut self.replies[at];
        let Some((due, phrase)) = &mut reply.filler else {
            return;
        };
        if quiet_from > now_ms {
            *due = quiet_from + FILLER_GAP_MS;
            return;
        }
        // a phrase of the agent's own is in the language of its callers
        let said = phrase.clone();
        if said == FILLER {
            STILL.clone_into(phrase);
        }
        *due = now_ms + STILL_EVERY_MS;
        let id = reply.id;
        let mut work = Vec::new();
        reply.joint = Joint::behind(&reply.text);
        reply.push_text(&said, &mut work);
        reply.flush_text(&mut work);
        push_work(&self.replies[at], work, out);
        self.advance(id, out);
    }
}
