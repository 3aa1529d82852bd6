//! Finds what belongs to a person in a line: addresses of e-mail, telephone numbers, numbers of cards and of social
//! security.
//! Used by `redact` for every line of the log.
//! Never takes a time, an id or a measurement for one: what is hidden there would be missed by whoever reads the log.

use std::ops::Range;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// Digits of a telephone number that stay, so that two callers can be told apart.
const KEPT_DIGITS: usize = 4;
/// Fewest digits of an international number (ITU-T E.164 allows up to 15 and gives no minimum; the shortest in use
/// have 8 with their country code).
const MIN_PHONE: usize = 8;
/// Most digits of an international number (ITU-T E.164 §6.2.1).
const MAX_PHONE: usize = 15;

/// Where something personal may be. What a pattern cannot say, [`hidden`] checks.
static CANDIDATES: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let email = r"(?<email>[A-Za-z0-9._%+-]{1,64})@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}";
    let phone = r"(?<phone>\+[1-9](?:[ .-]?\(?[0-9]\)?){7,18})";
    let american = r"(?<american>(?:1[.-])?[2-9][0-9]{2}([.-])[2-9][0-9]{2}[.-][0-9]{4}|\([2-9][0-9]{2}\) ?[2-9][0-9]{2}-[0-9]{4})";
    let security = r"(?<security>[0-9]{3}-[0-9]{2}-[0-9]{4})";
    let grouped = r"(?<grouped>[0-9]{4}(?:[ -][0-9]{4}){3}(?:[ -][0-9]{3})?|[0-9]{4}[ -][0-9]{6}[ -][0-9]{4,5})";
    let card = r"(?<card>[0-9]{13,19})";
    Regex::new(&[email, phone, american, security, grouped, card].join("|")).ok()
});

/// The next stretch at or behind `from` that is to be hidden.
pub(super) fn next(text: &str, mut from: usize) -> Option<Range<usize>> {
    let candidates = CANDIDATES.as_ref()?;
    while let Some(found) = candidates.captures_at(text, from) {
        if let Some(range) = hidden(text, &found) {
            return Some(range);
        }
        // another may begin behind the first digits of what this was not
        let start = found.get(0)?.start();
        let rest = &text.as_bytes()[start + 1..];
        let same = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric());
        from = start + 1 + same.count();
    }
    None
}

/// What of a candidate is to be hidden; nothing where it is something else.
fn hidden(text: &str, found: &Captures<'_>) -> Option<Range<usize>> {
    if let Some(name) = found.name("email") {
        return Some(name.range());
    }
    let whole = found.get(0)?;
    let digits = digits(whole.as_str());
    let is_loose = found.name("card").is_some();
    if !stands_alone(text, &whole.range(), is_loose) {
        return None;
    }
    if is_loose || found.name("grouped").is_some() {
        return is_card(&digits).then(|| whole.range());
    }
    if found.name("security").is_some() {
        return is_social_security(&digits).then(|| whole.range());
    }
    if found.name("phone").is_some() && !(MIN_PHONE..=MAX_PHONE).contains(&digits.len()) {
        return None;
    }
    Some(whole.start()..kept_digits(text, &whole.range()))
}

fn digits(text: &str) -> Vec<u8> {
    let digits = text.bytes().filter(u8::is_ascii_digit);
    digits.map(|digit| digit - b'0').collect()
}

/// Whether no letter, digit or longer number touches this stretch. Numbers in groups are parts of ids and dates where a
/// group touches them with a dash; one without groups is too long to be one.
fn stands_alone(text: &str, range: &Range<usize>, is_loose: bool) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80;
    let connects = |byte: u8| byte == b'.' || (!is_loose && matches!(byte, b'-' | b'+'));
    let bytes = text.as_bytes();
    let is_free_before = match &bytes[..range.start] {
        [.., last, between] if connects(*between) => !is_word(*last),
        [.., last] => !is_word(*last),
        [] => true,
    };
    let is_free_behind = match &bytes[range.end..] {
        [between, first, ..] if connects(*between) => !is_word(*first),
        [first, ..] => !is_word(*first),
        [] => true,
    };
    is_free_before && is_free_behind
}

/// Where the digits of a telephone number begin that stay.
fn kept_digits(text: &str, range: &Range<usize>) -> usize {
    let digits = text[range.clone()].char_indices().rev();
    let mut digits = digits.filter(|(_, digit)| digit.is_ascii_digit());
    let first = digits.nth(KEPT_DIGITS - 1);
    range.start + first.map_or(0, |(place, _)| place)
}

/// Whether this is the number of a card: an issuer's range with a length that it uses (ISO/IEC 7812-1 and the issuers'
/// own lists), and the check digit.
fn is_card(digits: &[u8]) -> bool {
    let first = |count: usize| {
        let first = digits.iter().take(count);
        first.fold(0_u32, |number, digit| number * 10 + u32::from(*digit))
    };
    let length = digits.len();
    let fits = match (first(2), first(3), first(4)) {
        (40..=49, ..) => matches!(length, 13 | 16 | 19),
        (51..=55, ..) | (.., 2221..=2720) => length == 16,
        (34 | 37, ..) => length == 15,
        (36 | 38 | 39, ..) | (_, 300..=305, _) => (14..=19).contains(&length),
        (.., 3528..=3589 | 6011) | (62 | 64 | 65, ..) => (16..=19).contains(&length),
        // 12 digits are the end of a UUID more often than a card
        (50 | 56..=58 | 63 | 67, ..) => (13..=19).contains(&length),
        _ => false,
    };
    fits && luhn(digits)
}

/// The check digit of ISO/IEC 7812-1 annex B.
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, u32::from(*digit)) {
            (0, digit) => digit,
            (_, digit) => digit * 2 / 10 + digit * 2 % 10,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Numbers that the Social Security Administration never gives (POMS RM 10201.035) are something else.
fn is_social_security(digits: &[u8]) -> bool {
    let (Some(area), Some(group), Some(serial)) =
        (digits.get(..3), digits.get(3..5), digits.get(5..))
    else {
        return false;
    };
    let is_given = area[0] != 9 && area != [6, 6, 6];
    is_given
        && [area, group, serial]
            .iter()
            .all(|part| part.iter().any(|digit| *digit != 0))
}
