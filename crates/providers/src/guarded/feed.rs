//! Hands a voice its pieces one by one, each when it has taken the one before, and counts what it took.
//! Kept by an attempt to speak.
//! Never keeps a voice waiting: how many pieces it works at is its own business, the next is there when it has room.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use crate::ports::Piece;

/// Pieces on their way to a voice.
pub(super) struct Feed {
    /// Absent when there is nothing more to hand over, or the voice takes no more.
    pieces: Option<mpsc::Sender<Piece>>,
    waiting: VecDeque<Piece>,
    /// The piece that was handed over last, if the voice may not have taken it: its number and its characters.
    offered: Option<(u32, u64)>,
}

impl Feed {
    /// Hands `waiting` over, and what is pushed behind it.
    pub(super) fn new(pieces: mpsc::Sender<Piece>, waiting: VecDeque<Piece>) -> Self {
        Self {
            pieces: Some(pieces),
            waiting,
            offered: None,
        }
    }

    /// Another piece; one that the voice takes no more is dropped.
    pub(super) fn push(&mut self, piece: Piece) {
        if self.pieces.is_some() {
            self.waiting.push_back(piece);
        }
    }

    /// Whether [`Self::advance`] has anything to wait for.
    pub(super) fn is_busy(&self) -> bool {
        self.pieces.is_some() && (self.offered.is_some() || !self.waiting.is_empty())
    }

    /// No piece will be pushed any more: the voice is told when it has taken the last.
    pub(super) fn end(&mut self) {
        if !self.is_busy() {
            self.pieces = None;
        }
    }

    /// Waits until the voice has taken what it was handed, and hands it the next piece. The number of characters that
    /// it has taken.
    pub(super) async fn advance(&mut self) -> u64 {
        let Some(pieces) = &self.pieces else {
            return 0;
        };
        // all places are free when nothing is left to be taken
        if let Ok(mut places) = pieces.reserve_many(pieces.max_capacity()).await {
            let taken = self.offered.take();
            if let Some(piece) = self.waiting.pop_front()
                && let Some(place) = places.next()
            {
                self.offered = Some((piece.index, characters(&piece)));
                place.send(piece);
            }
            return taken.map_or(0, |(_, characters)| characters);
        }
        // what it still says is all there will be
        self.waiting.clear();
        self.pieces = None;
        0
    }

    /// The voice speaks this piece, so it has taken it: the characters that [`Self::advance`] has not counted yet.
    pub(super) fn speaks(&mut self, piece: u32) -> u64 {
        let taken = self.offered.take_if(|(offered, _)| *offered <= piece);
        taken.map_or(0, |(_, characters)| characters)
    }
}

/// What a voice is paid for.
pub(super) fn characters(piece: &Piece) -> u64 {
    piece.text.chars().count() as u64
}
