//! Whisper's vocabulary: token ids to text and back, byte-level BPE as in GPT-2.
//! The decoder reads text with it; prompts (vocabulary bias) are encoded with it.
//! It never decides which token comes next.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;

use crate::LocalError;

const MODEL: &str = "whisper-tiny-en";

/// Ids of the special tokens, read from `tokenizer.json` by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Special {
    /// `<|endoftext|>`: the transcript is complete.
    pub(crate) end: u32,
    /// `<|startoftranscript|>`.
    pub(crate) start: u32,
    /// `<|startofprev|>`: what follows is earlier text.
    pub(crate) previous: u32,
    /// `<|nocaptions|>`: no speech.
    pub(crate) no_speech: u32,
    /// `<|notimestamps|>`.
    pub(crate) no_timestamps: u32,
    /// `<|0.00|>`; later times follow in steps of 20 ms.
    pub(crate) first_time: u32,
}

/// The vocabulary, compact: all token texts in one buffer.
pub(crate) struct Vocabulary {
    bytes: Vec<u8>,
    /// Token `i` is `bytes[ends[i - 1]..ends[i]]`.
    ends: Vec<u32>,
    /// Ids sorted by their bytes, for encoding.
    sorted: Vec<u32>,
    pub(crate) special: Special,
}

#[derive(Deserialize)]
struct File {
    model: Model,
    added_tokens: Vec<Added>,
}

#[derive(Deserialize)]
struct Model {
    vocab: BTreeMap<String, u32>,
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
}

impl Vocabulary {
    /// Reads `tokenizer.json` at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self, LocalError> {
        let json = fs::read(path).map_err(|error| LocalError::open(MODEL, path, error))?;
        let damaged = |reason: String| LocalError::damaged(MODEL, path, reason);
        let file: File = serde_json::from_slice(&json).map_err(|e| damaged(e.to_string()))?;
        let special = special(&file.added_tokens).map_err(damaged)?;

        let count = file
            .model
            .vocab
            .values()
            .max()
            .map_or(0, |last| *last as usize + 1);
        let mut texts = vec![Vec::new(); count];
        for (text, id) in &file.model.vocab {
            // special tokens have no text of their own
            if *id < special.end {
                texts[*id as usize] = text.chars().filter_map(byte_of).collect();
            }
        }
        let mut bytes = Vec::new();
        let mut ends = Vec::with_capacity(count);
        for text in texts {
            bytes.extend(text);
            ends.push(bytes.len() as u32);
        }
        let mut vocabulary = Self {
            bytes,
            ends,
            sorted: Vec::new(),
            special,
        };
        let mut sorted: Vec<u32> = (0..special.end.min(count as u32)).collect();
        sorted.sort_unstable_by(|a, b| vocabulary.token(*a).cmp(vocabulary.token(*b)));
        vocabulary.sorted = sorted;
        Ok(vocabulary)
    }

    /// The bytes of a token; empty for special tokens and times.
    pub(crate) fn token(&self, id: u32) -> &[u8] {
        let id = id as usize;
        let Some(end) = self.ends.get(id) else {
            return &[];
        };
        let start = if id == 0 { 0 } else { self.ends[id - 1] };
        &self.bytes[start as usize..*end as usize]
    }

    /// The text of a token sequence; special tokens and times are left out.
    pub(crate) fn text(&self, ids: &[u32]) -> String {
        let bytes: Vec<u8> = ids.iter().flat_map(|id| self.token(*id)).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The tokens of `text`.
    pub(crate) fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        for word in pieces(text) {
            self.merge(word.as_bytes(), &mut ids);
        }
        ids
    }

    fn id(&self, bytes: &[u8]) -> Option<u32> {
        let at = self
            .sorted
            .binary_search_by(|id| self.token(*id).cmp(bytes))
            .ok()?;
        self.sorted.get(at).copied()
    }

    /// Byte pair merging. In this vocabulary a lower id was merged earlier, so the pair whose
    /// concatenation has the lowest id is the next merge.
    fn merge(&self, word: &[u8], ids: &mut Vec<u32>) {
        let mut cuts: Vec<usize> = (0..=word.len()).collect();
        while let Some((_, at)) = (0..cuts.len().saturating_sub(2))
            .filter_map(|at| Some((self.id(&word[cuts[at]..cuts[at + 2]])?, at)))
            .min()
        {
            cuts.remove(at + 1);
        }
        ids.extend(
            cuts.windows(2)
                .filter_map(|cut| self.id(&word[cut[0]..cut[1]])),
        );
    }
}

fn special(added: &[Added]) -> Result<Special, String> {
    let find = |content: &str| {
        added
            .iter()
            .find(|token| token.content == content)
            .map(|token| token.id)
            .ok_or_else(|| format!("no token {content}"))
    };
    let no_timestamps = find("<|notimestamps|>")?;
    Ok(Special {
        end: find("<|endoftext|>")?,
        start: find("<|startoftranscript|>")?,
        previous: find("<|startofprev|>")?,
        no_speech: find("<|nocaptions|>").or_else(|_| find("<|nospeech|>"))?,
        no_timestamps,
        // the 1501 times are not listed; they follow the last special token
        first_time: no_timestamps + 1,
    })
}

/// The byte a character of the file stands for. Printable Latin-1 stands for itself, every other
/// byte for a character from U+0100 on, in order (GPT-2, `bytes_to_unicode`).
fn byte_of(character: char) -> Option<u8> {
    let code = character as u32;
    if code < 0x100 {
        return Some(code as u8);
    }
    (0..=u8::MAX)
        .filter(|byte| !is_printable(*byte))
        .nth(code as usize - 0x100)
}

fn is_printable(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff)
}

/// Cuts text as GPT-2 does before merging: contractions, words, numbers and runs of other
/// characters, each with at most one leading space, and runs of white space.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(piece_length(rest));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

fn piece_length(text: &str) -> usize {
    for contraction in ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"] {
        if text.starts_with(contraction) {
            return contraction.len();
        }
    }
    let space = usize::from(text.starts_with(' '));
    let body = &text[space..];
    let kinds: [fn(char) -> bool; 3] = [char::is_alphabetic, char::is_numeric, |c| {
        !c.is_alphabetic() && !c.is_numeric() && !c.is_whitespace()
    }];
    for kind in kinds {
        let run: usize = body
            .chars()
            .take_while(|c| kind(*c))
            .map(char::len_utf8)
            .sum();
        if run > 0 {
            return space + run;
        }
    }
    // white space: the last one is left to the word that follows, if any
    let run: usize = text
        .chars()
        .take_while(|c| c.is_whitespace())
        .map(char::len_utf8)
        .sum();
    let last = text[..run].chars().next_back().map_or(0, char::len_utf8);
    if run < text.len() && run > last {
        run - last
    } else {
        run
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_into_the_pieces_that_merging_expects() {
        assert_eq!(
            pieces("It's 42  dogs!\n"),
            ["It", "'s", " 42", " ", " dogs", "!", "\n"]
        );
        assert_eq!(pieces("naïve—yes"), ["naïve", "—", "yes"]);
        assert!(pieces("").is_empty());
    }

    #[test]
    fn characters_of_the_file_stand_for_every_byte_once() {
        let mut seen: Vec<u8> = (0x21u32..0x200)
            .filter_map(char::from_u32)
            .filter(|c| (*c as u32) >= 0x100 || is_printable(*c as u8))
            .filter_map(byte_of)
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..=u8::MAX).collect::<Vec<_>>());
        assert_eq!(byte_of('Ġ'), Some(b' '));
    }
}
