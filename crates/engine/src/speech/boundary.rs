//! What kind of place for a cut lies between two stretches of text.
//! Called by the cutter for every unit (a word with its punctuation) and by the alignment.
//! It never looks further than one word back and one character ahead.

/// How good a place for a cut is. The order is from worst to best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Boundary {
    /// Something that must stay together: "Dr." and the name, "March 3," and the year.
    Bound,
    /// Between two words.
    Word,
    /// After a clause: comma, semicolon, colon, dash, ellipsis.
    Clause,
    /// After a sentence, or at the end of a line.
    Sentence,
}

/// What lies around the end of a unit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around<'a> {
    /// The unit: text without white space.
    pub(super) unit: &'a str,
    /// The white space after it; empty inside scripts without spaces and after a dash.
    pub(super) gap: &'a str,
    /// The first character after the white space; none at the end of the text.
    pub(super) next: Option<char>,
    /// Whether the unit opens its line or follows a colon, where "1." counts a list.
    pub(super) opens_list: bool,
}

/// Never followed by the end of a sentence: the word it belongs to comes next.
const BEFORE_NAME: &[&str] = &[
    "adm", "approx", "arch", "art", "bzw", "ca", "capt", "cf", "ch", "cmdr", "col", "dr", "e.g",
    "eq", "esp", "fig", "ft", "gen", "gov", "hon", "hr", "i.e", "lt", "m", "maj", "messrs", "mlle",
    "mme", "mr", "mrs", "ms", "mt", "mx", "no", "nos", "nr", "p", "pp", "pres", "prof", "rep",
    "rev", "sec", "sen", "sgt", "sr", "sra", "st", "str", "v", "vol", "vs", "z.b",
];

/// May end a sentence: it does when a capital letter follows.
const MAYBE_LAST: &[&str] = &[
    "a.m", "al", "apr", "aug", "ave", "b.c", "blvd", "bros", "co", "corp", "dec", "dept", "est",
    "etc", "feb", "hrs", "inc", "jan", "jr", "jul", "jun", "ltd", "mar", "min", "mon", "nov",
    "oct", "oz", "p.m", "ph.d", "rd", "sat", "sep", "sept", "sun", "thu", "thur", "tue", "tues",
    "usw", "wed",
];

/// What may stand between the end of a sentence and the white space after it.
fn is_closer(c: char) -> bool {
    matches!(
        c,
        '"' | '\''
            | '”'
            | '’'
            | ')'
            | ']'
            | '}'
            | '»'
            | '›'
            | '*'
            | '_'
            | '`'
            | '~'
            | '」'
            | '』'
            | '）'
            | '】'
            | '》'
            | '〉'
            | '］'
    )
}

fn is_opener(c: char) -> bool {
    matches!(
        c,
        '"' | '\'' | '“' | '‘' | '(' | '[' | '{' | '«' | '‹' | '*' | '_' | '`' | '¿' | '¡'
    )
}

fn is_wide_stop(c: char) -> bool {
    matches!(c, '。' | '！' | '？' | '｡' | '．' | '…')
}

fn is_wide_pause(c: char) -> bool {
    matches!(c, '、' | '，' | '；' | '：' | '､')
}

/// A character of a script that writes words without spaces between them: Han, kana, Thai, Lao,
/// Burmese, Khmer.
pub(super) fn is_unspaced(c: char) -> bool {
    matches!(
        u32::from(c),
        0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x3005..=0x3007 | 0x3041..=0x30FF
            | 0x31F0..=0x31FF | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF
            | 0xFF66..=0xFF9F | 0x20000..=0x3_FFFF
    )
}

/// A character that belongs to the one before it: combining marks, vowel signs of the unspaced
/// scripts, variation selectors, joiners, small kana and the long vowel mark.
fn clings(c: char) -> bool {
    matches!(
        u32::from(c),
        0x0300..=0x036F | 0x0E31 | 0x0E33..=0x0E3A | 0x0E45..=0x0E4E | 0x0EB1 | 0x0EB3..=0x0EBC
            | 0x0EC8..=0x0ECE | 0x102B..=0x103E | 0x1056..=0x109D | 0x17B4..=0x17D3
            | 0x200C | 0x200D | 0x3005 | 0x3041 | 0x3043 | 0x3045 | 0x3047 | 0x3049 | 0x3063
            | 0x3083 | 0x3085 | 0x3087 | 0x3099..=0x309A | 0x30A1 | 0x30A3 | 0x30A5 | 0x30A7
            | 0x30A9 | 0x30C3 | 0x30E3 | 0x30E5 | 0x30E7 | 0x30FC | 0xFE00..=0xFE0F
    )
}

/// Whether a unit ends between `before` and `after`.
pub(super) fn ends_unit(before: char, after: char) -> bool {
    if after.is_whitespace() {
        return true;
    }
    if is_closer(after) || is_wide_stop(after) || is_wide_pause(after) || clings(after) {
        return false;
    }
    match before {
        '—' => after != '—' && !after.is_ascii_punctuation(),
        // punctuation of unspaced scripts ends a unit by itself; what closes was handled above
        '。' | '！' | '？' | '｡' | '、' | '，' | '；' | '：' | '､' | '」' | '』' | '）' | '】'
        | '》' | '〉' | '］' => true,
        '「' | '『' | '（' | '【' | '《' | '〈' | '［' => false,
        _ if is_opener(before) => false,
        _ => is_unspaced(after) || (is_unspaced(before) && after.is_alphanumeric()),
    }
}

/// Judges the place after a unit.
pub(super) fn judge(around: Around<'_>) -> Boundary {
    let Around {
        unit, gap, next, ..
    } = around;
    if gap.contains('\n') {
        return Boundary::Sentence;
    }
    let core = unit.trim_end_matches(is_closer);
    let quoted = core.len() < unit.len();
    let Some(last) = core.chars().next_back() else {
        return Boundary::Word;
    };
    match last {
        '…' => Boundary::Clause,
        _ if is_wide_stop(last) => Boundary::Sentence,
        _ if is_wide_pause(last) || last == '—' => Boundary::Clause,
        _ if gap.is_empty() && next.is_some() => Boundary::Word,
        '!' | '?' | '؟' | '।' | '॥' | '۔' => {
            // "stop!" she said
            if quoted && next.is_some_and(char::is_lowercase) {
                Boundary::Clause
            } else {
                Boundary::Sentence
            }
        }
        '.' => full_stop(core, around),
        ',' | ';' | ':' | '،' | '؛' => {
            let number = core
                .chars()
                .rev()
                .nth(1)
                .is_some_and(|c| c.is_ascii_digit());
            // "March 3, 2024" is one date
            if last == ',' && number && next.is_some_and(|c| c.is_ascii_digit()) {
                Boundary::Bound
            } else {
                Boundary::Clause
            }
        }
        '–' | '-' if core.chars().all(|c| c == '–' || c == '-') => {
            // "5 - 3" is one sum, "- item" opens a list
            if around.opens_list || next.is_some_and(|c| c.is_ascii_digit()) {
                Boundary::Bound
            } else {
                Boundary::Clause
            }
        }
        _ => Boundary::Word,
    }
}

fn full_stop(core: &str, around: Around<'_>) -> Boundary {
    let word = core.trim_start_matches(is_opener);
    if word.ends_with("..") {
        return Boundary::Clause;
    }
    let word = &word[..word.len() - 1];
    // "well-known Dr." and "(Dr." are judged by what follows the last hyphen or bracket
    let word = word.rsplit(['-', '/', '(']).next().unwrap_or(word);
    let capital_follows = !around.next.is_some_and(char::is_lowercase);
    let lower = word.to_lowercase();
    if around.opens_list && !word.is_empty() && word.len() <= 3 {
        // "1. Flour", "a. Eggs", "iv. Milk"
        let counts = word.bytes().all(|b| b.is_ascii_digit())
            || word.len() == 1
            || lower.bytes().all(|b| matches!(b, b'i' | b'v' | b'x'));
        if counts {
            return Boundary::Bound;
        }
    }
    let mut letters = word.chars();
    if let (Some(letter), None) = (letters.next(), letters.next()) {
        // "J. K. Rowling"
        if letter.is_uppercase() && letter != 'I' {
            return if around.next.is_some() {
                Boundary::Bound
            } else {
                Boundary::Sentence
            };
        }
    }
    if around.next.is_none() {
        return Boundary::Sentence;
    }
    if BEFORE_NAME.contains(&lower.as_str()) {
        // "the answer is no. Then" against "no. 5": only a figure makes it "number"
        let is_word = matches!(lower.as_str(), "no" | "art" | "gen" | "sec" | "col" | "hon");
        let title = word.chars().next().is_some_and(char::is_uppercase);
        let figure = around.next.is_some_and(|c| c.is_ascii_digit());
        if !is_word || title || figure {
            return Boundary::Bound;
        }
    } else if MAYBE_LAST.contains(&lower.as_str()) {
        let is_word = matches!(
            lower.as_str(),
            "sat" | "sun" | "mar" | "min" | "dec" | "co" | "al"
        );
        return match (capital_follows, is_word) {
            (true, _) => Boundary::Sentence,
            (false, true) => Boundary::Clause,
            (false, false) => Boundary::Bound,
        };
    } else if initials(word) {
        // "U.S. Army": an initialism is followed by a capital inside a sentence, too
        return Boundary::Bound;
    }
    // a writer who uses no capitals, or an abbreviation we do not know
    if capital_follows {
        Boundary::Sentence
    } else {
        Boundary::Clause
    }
}

/// "U.S", "U.K", "N.Y.C": single letters with stops between them.
fn initials(word: &str) -> bool {
    word.contains('.')
        && word.split('.').all(|part| {
            let mut letters = part.chars();
            letters.next().is_some_and(char::is_alphabetic) && letters.next().is_none()
        })
}

/// A word that opens a new clause: a cut before it sounds like a breath.
pub(super) fn opens_clause(unit: &str) -> bool {
    const WORDS: &[&str] = &[
        "although", "and", "because", "but", "so", "though", "unless", "until", "whereas", "which",
        "while", "who",
    ];
    WORDS.iter().any(|word| unit.eq_ignore_ascii_case(word))
}

/// A word that opens a phrase: a cut before it is better than a cut elsewhere.
pub(super) fn opens_phrase(unit: &str) -> bool {
    const WORDS: &[&str] = &[
        "about", "after", "as", "at", "before", "by", "during", "for", "from", "how", "if", "in",
        "into", "like", "of", "on", "or", "over", "that", "then", "through", "to", "under", "what",
        "when", "where", "with", "without",
    ];
    WORDS.iter().any(|word| unit.eq_ignore_ascii_case(word))
}
