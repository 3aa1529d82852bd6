//! Written text made speakable: marks that would be read aloud go, money becomes words, and the rest
//! is cut at punctuation, which the phoneme library drops and the voices need.
//! `phonemes` calls it; it never spells out plain numbers (the phoneme library does) and never logs.

/// A run of words and the punctuation that ends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clause {
    /// The words, without the mark; never empty.
    pub words: String,
    /// The mark that ends the run, one of `, ; : . ! ? … —`; `None` at an open end.
    pub mark: Option<char>,
}

impl Clause {
    /// Whether the mark ends a sentence.
    pub(crate) fn ends_sentence(&self) -> bool {
        matches!(self.mark, Some('.' | '!' | '?' | '…'))
    }
}

/// Words after which a full stop belongs to the word. English, lower case, without the stop.
const ABBREVIATIONS: [&str; 22] = [
    "mr", "mrs", "ms", "dr", "prof", "sr", "jr", "st", "mt", "vs", "etc", "no", "fig", "approx",
    "dept", "inc", "ltd", "co", "gen", "sgt", "e.g", "i.e",
];

/// Cuts `text` into clauses in order. Text without anything to say gives none.
pub(crate) fn clauses(text: &str) -> Vec<Clause> {
    let text: Vec<char> = plain(text).chars().collect();
    let mut clauses: Vec<Clause> = Vec::new();
    let mut words = String::new();
    for (at, &c) in text.iter().enumerate() {
        let next = text.get(at + 1).copied();
        match mark(c, next, &words) {
            Some(mark) => close(&mut clauses, &mut words, mark),
            None => words.push(c),
        }
    }
    if has_words(&words) {
        clauses.push(Clause {
            words: single_spaced(&words),
            mark: None,
        });
    }
    clauses
}

fn has_words(text: &str) -> bool {
    text.chars().any(char::is_alphanumeric)
}

fn single_spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The punctuation `c` stands for when it ends a clause at this place.
fn mark(c: char, next: Option<char>, words: &str) -> Option<char> {
    let at_word_end = next.is_none_or(|n| !n.is_alphanumeric());
    match c {
        '!' | '?' | '…' | '—' | ';' => Some(c),
        '。' | '．' | '\n' => Some('.'),
        '，' | '、' | '–' | '(' | ')' => Some(','),
        '！' => Some('!'),
        '？' => Some('?'),
        // 1,000 and 10:30 stay whole
        ',' | ':' if at_word_end => Some(c),
        '.' if at_word_end && !is_abbreviation(words) => Some('.'),
        _ => None,
    }
}

fn is_abbreviation(words: &str) -> bool {
    let last = words.rsplit(char::is_whitespace).next().unwrap_or_default();
    let mut letters = last.chars();
    let initial = matches!((letters.next(), letters.next()), (Some(c), None) if c.is_uppercase());
    // "I." ends a sentence far more often than it abbreviates a name
    (initial && last != "I") || ABBREVIATIONS.contains(&last.to_lowercase().as_str())
}

fn close(clauses: &mut Vec<Clause>, words: &mut String, mark: char) {
    if has_words(words) {
        clauses.push(Clause {
            words: single_spaced(words),
            mark: Some(mark),
        });
    } else if let Some(last) = clauses.last_mut() {
        // a run such as "?!" or ")." keeps the mark that says most
        if last.mark.is_none_or(|old| rank(mark) > rank(old)) {
            last.mark = Some(mark);
        }
    }
    words.clear();
}

fn rank(mark: char) -> u8 {
    match mark {
        '?' => 4,
        '!' => 3,
        '.' | '…' => 2,
        ':' | ';' | '—' => 1,
        _ => 0,
    }
}

/// Drops what must not be read aloud and writes money as words.
fn plain(text: &str) -> String {
    let text = text
        .replace("...", "…")
        .replace(" - ", ", ")
        .replace("--", "—");
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '$' | '€' | '£' | '¥' if chars.peek().is_some_and(char::is_ascii_digit) => {
                let amount = amount(&mut chars);
                out.push_str(&money(c, &amount));
            }
            '’' | '‘' => out.push('\''),
            '*' | '_' | '`' | '#' | '~' | '|' | '<' | '>' | '{' | '}' | '[' | ']' | '\\' | '^'
            | '"' | '“' | '”' | '«' | '»' => out.push(' '),
            '\n' => out.push('\n'),
            c if c.is_control() => out.push(' '),
            c if is_pictograph(c) => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// A number after a currency sign, with the scale word that may follow it.
struct Amount {
    whole: String,
    hundredths: Option<String>,
    scale: Option<&'static str>,
}

fn amount(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Amount {
    let mut whole = digits(chars, true);
    let mut hundredths = None;
    let mut ahead = chars.clone();
    if ahead.next() == Some('.') && ahead.peek().is_some_and(char::is_ascii_digit) {
        *chars = ahead;
        let part = digits(chars, false);
        if part.len() == 2 {
            hundredths = Some(part);
        } else {
            whole = format!("{whole}.{part}");
        }
    }
    let rest: String = chars.clone().take(12).collect::<String>().to_lowercase();
    let scale = ["thousand", "million", "billion", "trillion"]
        .into_iter()
        .find(|word| {
            let after = rest
                .strip_prefix(' ')
                .and_then(|rest| rest.strip_prefix(word));
            after.is_some_and(|after| !after.starts_with(char::is_alphanumeric))
        });
    if let Some(word) = scale {
        chars.nth(word.len());
    }
    Amount {
        whole,
        hundredths,
        scale,
    }
}

fn digits(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, grouped: bool) -> String {
    let mut out = String::new();
    loop {
        let mut ahead = chars.clone();
        match ahead.next() {
            Some(c) if c.is_ascii_digit() => out.push(c),
            Some(',') if grouped && ahead.peek().is_some_and(char::is_ascii_digit) => {}
            _ => return out,
        }
        *chars = ahead;
    }
}

fn money(sign: char, amount: &Amount) -> String {
    let (one, many, part_one, part_many) = match sign {
        '€' => ("euro", "euros", "cent", "cents"),
        '£' => ("pound", "pounds", "penny", "pence"),
        '¥' => ("yen", "yen", "sen", "sen"),
        _ => ("dollar", "dollars", "cent", "cents"),
    };
    let whole = &amount.whole;
    if let Some(scale) = amount.scale {
        let parts = amount
            .hundredths
            .as_ref()
            .map(|part| format!(".{part}"))
            .unwrap_or_default();
        return format!("{whole}{parts} {scale} {many}");
    }
    let unit = if whole == "1" { one } else { many };
    match amount
        .hundredths
        .as_deref()
        .map(|part| part.trim_start_matches('0'))
    {
        None | Some("") => format!("{whole} {unit}"),
        Some(part) => {
            let part_unit = if part == "1" { part_one } else { part_many };
            format!("{whole} {unit} and {part} {part_unit}")
        }
    }
}

/// Emoji and dingbats, which the phoneme library would describe in words.
fn is_pictograph(c: char) -> bool {
    matches!(u32::from(c), 0x1F000..=0x1FAFF | 0x2190..=0x21FF | 0x2600..=0x27BF | 0xFE00..=0xFE0F | 0x200D | 0x20E3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<(String, Option<char>)> {
        clauses(text)
            .into_iter()
            .map(|clause| (clause.words, clause.mark))
            .collect()
    }

    fn same(text: &str, expected: &[(&str, Option<char>)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(words, mark)| ((*words).to_owned(), *mark))
            .collect();
        assert_eq!(cut(text), expected, "{text}");
    }

    #[test]
    fn punctuation_is_kept_and_numbers_stay_whole() {
        same(
            "Hello there, how are you?",
            &[("Hello there", Some(',')), ("how are you", Some('?'))],
        );
        same(
            "It is 3.14, or 1,000 at 10:30.",
            &[("It is 3.14", Some(',')), ("or 1,000 at 10:30", Some('.'))],
        );
        same("open end", &[("open end", None)]);
    }

    #[test]
    fn abbreviations_and_initials_do_not_end_a_sentence() {
        same(
            "Dr. Smith met J. Doe. So did I. Fine.",
            &[
                ("Dr. Smith met J. Doe", Some('.')),
                ("So did I", Some('.')),
                ("Fine", Some('.')),
            ],
        );
    }

    #[test]
    fn runs_of_marks_keep_the_one_that_says_most() {
        same(
            "What?! (really).",
            &[("What", Some('?')), ("really", Some('.'))],
        );
        same("Wait... now", &[("Wait", Some('…')), ("now", None)]);
    }

    #[test]
    fn marks_that_would_be_read_aloud_are_dropped() {
        same("**Bold** `code` 😀 “quoted”", &[("Bold code quoted", None)]);
        same("- one\n- two", &[("- one", Some('.')), ("- two", None)]);
        assert_eq!(cut("  ...!  😀 "), []);
        assert_eq!(cut(""), []);
    }

    #[test]
    fn money_is_said_as_people_say_it() {
        same("$5.99", &[("5 dollars and 99 cents", None)]);
        same("$1", &[("1 dollar", None)]);
        same("£1,250.01!", &[("1250 pounds and 1 penny", Some('!'))]);
        same(
            "€2.50 million, $3.5 billion",
            &[
                ("2.50 million euros", Some(',')),
                ("3.5 billion dollars", None),
            ],
        );
        same("$3.00 millions", &[("3 dollars millions", None)]);
        same("a $ sign", &[("a $ sign", None)]);
    }
}
