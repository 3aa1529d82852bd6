//! Remembers what a model signed its calls with.
//! Filled by answers, read by the requests that carry the calls back.
//! Never grows beyond its limits: what is forgotten is replaced by the mark that the vendor accepts.
//!
//! A model that thinks signs the first call of each step, and refuses a conversation in which such
//! a signature is missing (<https://ai.google.dev/gemini-api/docs/thought-signatures>).

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};

/// Stands for the signature of a call that another model made (same page, "FAQs").
pub(super) const FOREIGN: &str = "skip_thought_signature_validator";
/// Signatures that are kept; those of a turn are needed until the turn has ended.
const KEPT: usize = 1024;
/// Bytes of the longest signature that is kept.
const LONGEST: usize = 64 * 1024;

/// Signatures by the id of their call.
#[derive(Debug, Default)]
pub(super) struct Signatures(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    by_call: HashMap<String, String>,
    /// Oldest first.
    order: VecDeque<String>,
}

impl Signatures {
    /// Keeps the signature of a call.
    pub(super) fn keep(&self, call_id: &str, signature: &str) {
        if signature.len() > LONGEST {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let old = kept
            .by_call
            .insert(call_id.to_owned(), signature.to_owned());
        if old.is_none() {
            kept.order.push_back(call_id.to_owned());
        }
        if kept.order.len() > KEPT
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.by_call.remove(&oldest);
        }
    }

    /// The signature of a call, if it had one.
    pub(super) fn of(&self, call_id: &str) -> Option<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.by_call.get(call_id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_and_what_is_too_long_is_not_kept() {
        let signatures = Signatures::default();
        for number in 0..=KEPT {
            signatures.keep(&format!("call {number}"), "signed");
        }
        assert_eq!(signatures.of("call 0"), None);
        assert_eq!(signatures.of("call 1").as_deref(), Some("signed"));
        signatures.keep("call 1", "again");
        assert_eq!(signatures.of("call 1").as_deref(), Some("again"));
        signatures.keep("long", &"x".repeat(LONGEST + 1));
        assert_eq!(signatures.of("long"), None);
    }
}
