//! The arithmetic of sound.

mod detect;
mod formats;
mod g711;
mod resample;
mod signal;
mod wav;
