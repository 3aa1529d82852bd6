//! Telephone carriers at the door.
//! Used by the routes under `/telephony`; what carriers say is in `wire::telephony`.
//! Never decides what a call does.

pub mod trust;
