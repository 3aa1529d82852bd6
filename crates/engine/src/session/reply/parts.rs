//! What a reply is made of: its message, its calls, what it asks of synthesis, the pieces it is spoken in.
//! Used by `reply` and by whoever shows one.
//! Never holds a reply's progress.

use super::Reply;

/// The spoken or written message of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Message {
    /// Nothing to show yet.
    Unopened,
    /// Announced under this item id and output index.
    Open(String, u32),
    /// Final.
    Closed,
}

/// A function call of a reply.
#[derive(Debug)]
pub(in super::super) struct Call {
    pub(in super::super) id: String,
    pub(in super::super) name: String,
    pub(in super::super) arguments: String,
    /// Bytes of the arguments already sent.
    pub(in super::super) sent: usize,
    /// Item id and output index once announced.
    pub(in super::super) opened: Option<(String, u32)>,
}

/// Whose function an answer is calling, and so whose its arguments are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Calling {
    /// The client's, or none.
    Client,
    /// The server's.
    Server,
    /// The server's, and nothing more of the answer will come.
    Complete,
}

/// Whether a session ends behind a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Parting {
    /// It goes on.
    Stays,
    /// It ends, but the model has yet to say goodbye in words that it was told.
    OwesFarewell,
    /// It ends.
    Leaves,
}

/// How text joins what was said before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in super::super) enum Joint {
    /// It may continue a word.
    #[default]
    Tight,
    /// It begins a word.
    Loose,
}

impl Joint {
    /// Of something new behind `said`.
    pub(in super::super) fn behind(said: &str) -> Self {
        if said.is_empty() {
            Self::Tight
        } else {
            Self::Loose
        }
    }
}

/// Work a reply wants done by synthesis.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) enum SpeakWork {
    Open,
    Speak(u32, String),
    End,
}

impl Reply {
    /// The text of pieces that were spoken whole and of which nobody was told yet.
    pub(in super::super) fn take_spoken(&mut self) -> Option<String> {
        let waiting = self.pieces.get(self.told..)?;
        let done = waiting.iter().take_while(|piece| piece.done).count();
        if done == 0 || self.speaks_by_itself() {
            return None;
        }
        let bytes = |pieces: &[super::PieceProgress]| {
            let lengths = pieces.iter().map(|piece| piece.text_bytes);
            lengths.sum::<usize>()
        };
        let from = bytes(&self.pieces[..self.told]);
        let until = from + bytes(&waiting[..done]);
        self.told += done;
        self.text.get(from..until).map(str::to_owned)
    }
}
