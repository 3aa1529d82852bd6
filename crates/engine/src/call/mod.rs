//! A telephone call as a value: where it stands, when it may be placed, what was heard in it, when it ends.
//! Driven by the gateway's telephone edge and its dialler; `store` keeps what comes of it.
//! Never awaits, reads a clock or draws a random number: times and chance are arguments.
//!
//! One file a question:
//!
//! | question | answer |
//! |---|---|
//! | where is the call, what came of it, why did it end? | [`state`] |
//! | how much of what we sent has been heard? | [`ledger`], fed by [`pacing`] |
//! | is this a number that may be called? | [`number`] |
//! | may it be called now, and if not, when? | [`window`], with the zones of [`zones`] |
//! | may this person be called at all, now or later? | [`gate`] |
//! | is it tried again? | [`retry`] |
//! | how long may it last, how long may nobody speak? | [`limits`] |
//! | which keys were pressed, how are keys sent? | [`dtmf`] |
//! | did we say that it is a machine that calls? | [`disclosure`] |
//! | did a person answer, or a machine? | [`voicemail`], with the ear of [`beep`] |
//! | what was heard on both sides, and when? | [`stereo`] |
//! | what came of it, in words? | [`summary`] |
//! | where does the lead stand then? | [`lead`] |

pub mod beep;
pub mod disclosure;
pub mod dtmf;
pub mod gate;
pub mod lead;
pub mod ledger;
pub mod limits;
pub mod number;
pub mod pacing;
pub mod retry;
pub mod state;
pub mod stereo;
pub mod summary;
pub mod voicemail;
pub mod window;
mod words;
pub mod zones;
