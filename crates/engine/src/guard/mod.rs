//! Whom to leave alone and whom to keep waiting: providers that do not do their part, callers who want too much.
//! Called by the providers that guard others and by the limiter of `store`; time is an argument.
//! It never asks anybody: it says who may be asked, what of an answer is new, and how much may be had when.

pub mod breaker;
pub mod continuation;
pub mod window;

pub use breaker::{Admission, Breaker, BreakerPolicy};
pub use continuation::Continuation;
pub use window::{Rate, Refusal, Reserved, Standing, Window};
