//! What of a text is read aloud: no markup, no addresses, no pictures.
//! Called by the session for every piece before it goes to the voice.
//! It never changes the text that is stored or shown; the mapping is piece to piece.

/// What an address is read as.
const LINK: &str = "link";

/// The spoken form of a piece: markdown marks, emoji and code fences are dropped, an address
/// becomes "link", `[text](address)` its text, and white space collapses. Empty when there is
/// nothing to say, which includes punctuation alone.
pub fn spoken(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let line = strip_block_marks(line.trim());
        for word in without_targets(line).split_whitespace() {
            speak_word(word, &mut out);
        }
    }
    if out.chars().any(char::is_alphanumeric) {
        out
    } else {
        String::new()
    }
}

/// Heading, quotation and bullet marks at the beginning of a line, fences and rules.
fn strip_block_marks(line: &str) -> &str {
    if line.starts_with("```") || line.starts_with("~~~") {
        return "";
    }
    let mut line = line;
    loop {
        let rest = line.trim_start_matches(['#', '>']).trim_start();
        let rest = ["- ", "* ", "+ ", "• "]
            .iter()
            .find_map(|mark| rest.strip_prefix(mark))
            .unwrap_or(rest)
            .trim_start();
        if rest.len() == line.len() {
            return line;
        }
        line = rest;
    }
}

/// Drops the target of every `[text](target)`; the brackets go with the other marks.
fn without_targets(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((text, target)) = rest.split_once("](") {
        out.push_str(text);
        // an address may hold one pair of brackets itself
        let mut depth = 1_u32;
        let end = target.char_indices().find(|&(_, c)| {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        rest = end.map_or("", |(at, _)| &target[at + 1..]);
    }
    out.push_str(rest);
    out
}

/// Appends one word between blanks, preceded by a space where one belongs.
fn speak_word(word: &str, out: &mut String) {
    let start = out.len();
    if let Some(address) = address_in(word) {
        out.push_str(&word[..address.start]);
        out.push_str(LINK);
        out.push_str(&word[address.end..]);
    } else {
        out.push_str(word);
    }
    let kept = strip_inline_marks(&out[start..]);
    out.truncate(start);
    if kept.is_empty() {
        return;
    }
    // a mark that stood alone may leave a comma or stop, which belongs to the word before
    let attaches = kept
        .chars()
        .all(|c| matches!(c, '.' | ',' | ';' | ':' | '!' | '?'));
    if start > 0 && !attaches {
        out.push(' ');
    }
    out.push_str(&kept);
}

/// Where in a word an address lies, without the punctuation around it.
fn address_in(word: &str) -> Option<std::ops::Range<usize>> {
    let start = ["https://", "http://", "www.", "mailto:"]
        .iter()
        .filter_map(|scheme| word.find(scheme))
        .min()?;
    let length = word[start..]
        .trim_end_matches([
            '.', ',', ';', ':', '!', '?', ')', ']', '}', '>', '"', '\'', '*', '_',
        ])
        .len();
    Some(start..start + length)
}

fn strip_inline_marks(word: &str) -> String {
    let edges: &[char] = &['_', '.', ',', ';', ':', '!', '?', '"', '(', ')'];
    let inner = word.trim_matches(edges);
    let mut kept = String::with_capacity(word.len());
    for c in word.chars() {
        match c {
            // snake_case is two words, _emphasis_ is one
            '_' if inner.contains('_') && !inner.starts_with(c) && !kept.ends_with(' ') => {
                kept.push(' ');
            }
            // "C#" is a name, "# Title" is not
            '#' if kept.ends_with(char::is_alphanumeric) => kept.push(c),
            '*' | '_' | '`' | '~' | '#' | '[' | ']' | '|' | '\\' | '<' | '>' | '{' | '}' => {}
            c if is_picture(c) => {}
            c => kept.push(c),
        }
    }
    kept.truncate(kept.trim_end().len());
    let lead = kept.len() - kept.trim_start().len();
    kept.drain(..lead);
    kept
}

/// Emoji, dingbats, arrows, box drawing and what joins them.
fn is_picture(c: char) -> bool {
    matches!(
        u32::from(c),
        0x200B..=0x200F | 0x20E3 | 0x2190..=0x21FF | 0x2300..=0x23FF | 0x2500..=0x27BF
            | 0x2900..=0x297F | 0x2B00..=0x2BFF | 0x3030 | 0x303D | 0xFE00..=0xFE0F | 0xFEFF
            | 0x1_F000..=0x1_FAFF | 0xE_0000..=0xE_007F
    )
}
