//! Answers that go on after their connection was lost: what is repeated of them is cut away, in words and in sound.
//! Used when a model joins anew, and for what it says then.
//! Never lets a sentence be heard twice; of the word in which the connection broke, part may be lost.

use bytes::Bytes;

use super::super::Session;
use super::super::input::ReplyId;
use super::super::reply::{Calling, Reply, Stage};
use crate::guard::Continuation;
use crate::speech::unspoken;

/// Length of a character of speech in ms, where only its words are known: about 15 characters a second.
const MS_PER_CHAR: u64 = 65;

/// An answer that goes on after its connection was lost.
#[derive(Debug)]
pub(in super::super) struct Resumed {
    /// Keeps the transcript from being repeated.
    words: Continuation,
    /// Keeps the sound from being repeated, which may be behind the words.
    sound: Continuation,
    /// Sound that may be a repetition.
    held: Vec<Bytes>,
    /// Bytes of text that came since.
    heard: usize,
    open: bool,
}

impl Session {
    /// Answers that are under way go on after the joining; returns what was heard of the one that was being spoken.
    pub(super) fn resume_replies(&mut self) -> Option<String> {
        let mut said = None;
        let (chars, ms) = self.duplex.as_ref().map_or((0, 0), |duplex| duplex.pace);
        let pace = ms.checked_div(chars).filter(|pace| *pace > 0);
        let pace = pace.unwrap_or(MS_PER_CHAR);
        for reply in &mut self.replies {
            if reply.stage != Stage::Asked || reply.finish.is_some() {
                continue;
            }
            // what it was calling is called anew
            reply.wanted.clear();
            reply.calling = Calling::Client;
            if reply.text.is_empty() {
                continue;
            }
            let rest = unspoken(&reply.text, reply.audio_ms(), pace).len();
            let end = if reply.speaks() {
                reply.text.len() - rest
            } else {
                reply.text.len()
            };
            let heard = reply.text.get(..end).unwrap_or_default().to_owned();
            reply.resumed = Some(Resumed {
                words: Continuation::new(&reply.text),
                sound: Continuation::new(&heard),
                held: Vec::new(),
                heard: 0,
                open: false,
            });
            if reply.response.conversation_id.is_some() && !heard.trim().is_empty() {
                said = Some(heard.trim().to_owned());
            }
        }
        said
    }

    /// What of an answer's text is new, where it goes on after a loss; opens the way for its sound.
    pub(in super::super) fn new_words(&mut self, id: ReplyId, text: String) -> String {
        let reply = self.replies.iter_mut().find(|reply| reply.id == id);
        let Some((reply, resumed)) =
            reply.and_then(|reply| reply.resumed.take().map(|resumed| (reply, resumed)))
        else {
            return text;
        };
        let mut resumed = resumed;
        resumed.heard += text.len();
        let new = resumed.words.push(&text);
        let unheard = resumed.sound.push(&text);
        if !unheard.is_empty() && !resumed.open {
            // what was held back is a repetition where not all of the text is new
            resumed.release(reply, unheard.trim_start().len());
        }
        reply.resumed = Some(resumed);
        new
    }

    /// How fast the model speaks is known better with every answer that came to its end.
    pub(in super::super) fn note_pace(&mut self, reply: &Reply) {
        if let Some(duplex) = &mut self.duplex
            && reply.speaks()
        {
            duplex.pace.0 += reply.text.chars().count() as u64;
            duplex.pace.1 += reply.audio_ms();
        }
    }

    /// An answer that goes on has ended: what was held back and is new, is shown.
    pub(super) fn settle_resumed(&mut self, id: ReplyId) {
        let reply = self.replies.iter_mut().find(|reply| reply.id == id);
        let Some(reply) = reply else { return };
        let Some(mut resumed) = reply.resumed.take() else {
            return;
        };
        let rest = resumed.words.finish();
        let unheard = resumed.sound.finish();
        if !resumed.open {
            resumed.release(reply, unheard.trim_start().len());
        }
        let mut work = Vec::new();
        reply.push_text(&rest, &mut work);
    }
}

impl Resumed {
    /// Whether sound that comes may be a repetition.
    pub(super) fn holds(&self) -> bool {
        !self.open
    }

    pub(super) fn hold(&mut self, audio: Bytes) {
        self.held.push(audio);
    }

    /// Lets sound through from here on, and with it as much of what was held back as is new.
    fn release(&mut self, reply: &mut Reply, new_bytes: usize) {
        self.open = true;
        let held = std::mem::take(&mut self.held);
        if new_bytes + 1 < self.heard {
            return;
        }
        for audio in held {
            reply.push_voice(audio);
        }
    }
}
