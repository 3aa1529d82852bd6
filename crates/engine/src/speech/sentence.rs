//! Cuts a stream of language model tokens into pieces a voice can speak.
//! Called by the session for every token of a reply.
//! It never cuts inside a word, never changes a byte, and never depends on how tokens are cut.
//!
//! The first piece is short, because nobody hears anything before it is synthesised: the first
//! clause, or a few words when there is no punctuation. Later pieces grow to whole sentences,
//! because those sound better and there is audio playing meanwhile.

use std::ops::Range;

use super::boundary::{
    Around, Boundary, ends_unit, is_unspaced, judge, opens_clause, opens_phrase,
};

/// How few words the first piece holds when it is cut before "and", "but", "because".
const WORDS_BEFORE_CLAUSE: usize = 4;

/// How long pieces are. Counts are in words; in scripts without spaces every character is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutRules {
    /// The first piece may end at a comma or another clause end from this many words on, default 2.
    /// A whole sentence may be shorter ("Yes.").
    pub first_min_words: usize,
    /// The first piece ends after this many words even without punctuation, default 5: with a small
    /// model on two cores every word costs about 25 ms before anything is heard.
    pub first_max_words: usize,
    /// A later sentence shorter than this is spoken together with the next one, default 3.
    pub min_words: usize,
    /// The second piece may end at a clause end from this many words on, default 5.
    pub clause_words: usize,
    /// How many words more each further piece needs before a clause end may end it, default 4.
    pub growth_words: usize,
    /// A later piece ends after this many words even without punctuation, default 30: about ten
    /// seconds of speech.
    pub max_words: usize,
}

impl Default for CutRules {
    fn default() -> Self {
        Self {
            first_min_words: 2,
            first_max_words: 5,
            min_words: 3,
            clause_words: 5,
            growth_words: 4,
            max_words: 30,
        }
    }
}

/// A stretch of the reply that is synthesised in one go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The text, unchanged; white space before it belongs to it. All pieces of a reply together
    /// are the whole text.
    pub text: String,
    /// Where it lies in the whole text, in bytes.
    pub range: Range<usize>,
    /// Its place in the reply, from 0.
    pub index: usize,
}

/// Tokens in, pieces out.
#[derive(Debug, Clone, Default)]
pub struct Cutter {
    rules: CutRules,
    pending: String,
    // bytes of the reply that left in pieces, and how many pieces
    sent_bytes: usize,
    sent_pieces: usize,
    scan: Scan,
}

/// How far into `pending` the search for a cut has come. All positions are bytes of `pending`.
#[derive(Debug, Clone, Copy, Default)]
struct Scan {
    /// The end of the last unit judged.
    at: usize,
    /// Words before `at`.
    words: usize,
    /// Where the unit after `at` is known to go on, to look at every byte once.
    looked: usize,
    /// The best clause end and phrase end seen, for the moment the piece is full.
    clause_end: Option<usize>,
    phrase_end: Option<usize>,
    /// Whether the next unit may count a list: it opens the piece or its line, or follows a colon.
    opens_list: bool,
}

impl Scan {
    fn start() -> Self {
        Self {
            opens_list: true,
            ..Self::default()
        }
    }
}

impl Cutter {
    /// A cutter at the beginning of a reply.
    pub fn new(rules: CutRules) -> Self {
        Self {
            rules,
            scan: Scan::start(),
            ..Self::default()
        }
    }

    /// Takes the next token and appends the pieces that are complete to `out`.
    pub fn push(&mut self, token: &str, out: &mut Vec<Piece>) {
        self.pending.push_str(token);
        self.cut_all(false, out);
    }

    /// Ends the reply: appends what is left to `out`, and starts over for the next reply. The last
    /// piece may be white space alone.
    pub fn finish(&mut self, out: &mut Vec<Piece>) {
        self.cut_all(true, out);
        if !self.pending.is_empty() {
            self.cut(self.pending.len(), out);
        }
        *self = Self::new(self.rules);
    }

    /// The text that waits for its piece to be complete.
    pub fn pending(&self) -> &str {
        &self.pending
    }

    fn cut_all(&mut self, last: bool, out: &mut Vec<Piece>) {
        while let Some(at) = self.find(last) {
            self.cut(at, out);
        }
    }

    fn cut(&mut self, at: usize, out: &mut Vec<Piece>) {
        let rest = self.pending.split_off(at);
        let text = std::mem::replace(&mut self.pending, rest);
        let range = self.sent_bytes..self.sent_bytes + at;
        out.push(Piece {
            text,
            range,
            index: self.sent_pieces,
        });
        self.sent_bytes += at;
        self.sent_pieces += 1;
        self.scan = Scan::start();
    }

    /// Goes on judging units until a cut is found or the text is exhausted.
    fn find(&mut self, last: bool) -> Option<usize> {
        loop {
            let (start, end) = self.unit(last)?;
            let text = &self.pending;
            let after = text[end..].trim_start();
            let gap = &text[end..text.len() - after.len()];
            // the white space may go on in the next token; only a line end says enough by itself
            if after.is_empty() && !last && !gap.contains('\n') {
                return None;
            }
            let unit = &text[start..end];
            let opens_list = self.scan.opens_list || text[self.scan.at..start].contains('\n');
            let next = after.chars().next();
            let boundary = judge(Around {
                unit,
                gap,
                next,
                opens_list,
            });
            let before = self.scan;
            self.scan = Scan {
                at: end,
                looked: end,
                words: before.words + usize::from(unit.chars().any(char::is_alphanumeric)),
                opens_list: unit.ends_with(':'),
                ..before
            };
            if let Some(cut) = self.decide(boundary, before, (start, end)) {
                return Some(cut);
            }
        }
    }

    /// The next unit after the scan position: where it starts and ends, once its end is certain.
    fn unit(&mut self, last: bool) -> Option<(usize, usize)> {
        let text = &self.pending[self.scan.at..];
        let start = self.pending.len() - text.trim_start().len();
        let from = self.scan.looked.max(start);
        let mut chars = self.pending[from..].char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            match chars.peek() {
                Some(&(next_at, next)) if ends_unit(c, next) => {
                    return Some((start, from + next_at));
                }
                None if last => return Some((start, self.pending.len())),
                Some(_) | None => self.scan.looked = from + at,
            }
        }
        None
    }

    /// Whether to cut after the unit just judged, or at a better place before it.
    fn decide(&mut self, boundary: Boundary, before: Scan, unit: (usize, usize)) -> Option<usize> {
        let (start, end) = unit;
        let words = self.scan.words;
        let first = self.sent_pieces == 0;
        let rules = self.rules;
        let (sentence, clause, max) = if first {
            (1, rules.first_min_words, rules.first_max_words)
        } else {
            let grown = rules.growth_words.saturating_mul(self.sent_pieces - 1);
            (
                rules.min_words,
                rules.clause_words.saturating_add(grown),
                rules.max_words,
            )
        };
        let word = &self.pending[start..end];
        if before.words > 0 && opens_clause(word) {
            if first && before.words >= WORDS_BEFORE_CLAUSE {
                return Some(before.at);
            }
            self.scan.phrase_end = Some(before.at);
        } else if before.words * 2 >= max && opens_phrase(word) {
            self.scan.phrase_end = Some(before.at);
        }
        let enough = match boundary {
            Boundary::Bound | Boundary::Word => usize::MAX,
            Boundary::Clause => clause,
            Boundary::Sentence => sentence,
        };
        if words > 0 && words >= enough {
            return Some(end);
        }
        if words >= max && boundary >= Boundary::Word {
            return Some(self.scan.clause_end.or(self.scan.phrase_end).unwrap_or(end));
        }
        if boundary >= Boundary::Clause && words * 2 >= max {
            self.scan.clause_end = Some(end);
        }
        None
    }
}

/// Where the last whole word before `limit` (a byte of `text`, not necessarily on a character)
/// ends. 0 when there is none.
pub(super) fn word_end_before(text: &str, limit: usize) -> usize {
    let limit = text.floor_char_boundary(limit);
    let mut end = 0;
    let mut before: Option<char> = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        if at > limit {
            break;
        }
        let ends = before.is_some_and(|b| {
            !b.is_whitespace() && (c.is_whitespace() || is_unspaced(b) && ends_unit(b, c))
        });
        if ends {
            end = at;
        }
        before = Some(c);
    }
    end
}
