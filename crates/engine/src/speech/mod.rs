//! The arithmetic of speech: cutting text into speakable pieces, and finding what was heard of it.
//! Called by the session between the language model and the voice.
//! It never synthesises and never changes the text that goes into the conversation.

pub mod align;
mod boundary;
pub mod sentence;
pub mod spoken;

pub use align::{Heard, heard_bytes, unspoken};
pub use sentence::{CutRules, Cutter, Piece};
pub use spoken::spoken;
