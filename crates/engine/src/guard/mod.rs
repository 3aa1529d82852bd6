//! What to do when a provider does not do its part: when to leave it alone, and how another takes over mid-sentence.
//! Called by the providers that guard others; time is an argument.
//! It never asks anybody: it says who may be asked, and what of an answer is new.

pub mod breaker;
pub mod continuation;

pub use breaker::{Admission, Breaker, BreakerPolicy};
pub use continuation::Continuation;
