//! Telephone numbers in the form of E.164, and which of them may be called.
//! Asked by the gateway before a call is stored, and again before it is placed.
//! Never shows a number in `Debug`: it is personal.

use std::fmt;

use super::zones;

/// Fewest and most digits of a number with its country code (E.164; the shortest in use have seven).
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// Area codes of the North American plan that are not of the United States, Canada or Puerto Rico, and those whose
/// calls cost extra. Somebody who allows `+1` does not mean these: they are what toll fraud lives on.
const NOT_MEANT_BY_1: [&str; 32] = [
    "1242", "1246", "1264", "1268", "1284", "1340", "1345", "1441", "1473", "1500", "1649", "1658",
    "1664", "1670", "1671", "1684", "1700", "1721", "1758", "1767", "1784", "1809", "1829", "1849",
    "1868", "1869", "1876", "1900", "1976", "1710", "1600", "1521",
];

/// A number in international form.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct E164 {
    /// With its plus.
    text: String,
}

impl fmt::Debug for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("E164(+…)")
    }
}

/// Why a text is no number that can be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// No plus.
    #[error(
        "the number must be in international form: + and the country code first, as in +14155550100"
    )]
    NoPlus,
    /// Something else than digits.
    #[error("the number must be + and digits only, as in +14155550100")]
    NotDigits,
    /// A zero in brackets, which people dial within their country only.
    #[error("leave out the (0): it is not dialled after the country code, as in +442079460958")]
    TrunkZero,
    /// Too few or too many digits.
    #[error("the number must have 7 to 15 digits after the +, the country code included")]
    Length,
    /// No country has this code.
    #[error(
        "no country has the code that the number begins with; write the country code after the +"
    )]
    Country,
    /// A number of the North American plan that cannot exist.
    #[error(
        "after +1 the number must have ten digits, and neither its area code nor what follows may begin with 0 or 1"
    )]
    NorthAmerican,
}

impl E164 {
    /// The number that `text` is. Spaces, dots, dashes and brackets between digits are passed over.
    ///
    /// # Errors
    /// [`NumberError`] says what to write instead. `+44 (0)20…` is refused: with the zero it would be another number.
    pub fn parse(text: &str) -> Result<Self, NumberError> {
        let rest = text.trim().strip_prefix('+').ok_or(NumberError::NoPlus)?;
        if has_bracketed_zero(rest) {
            return Err(NumberError::TrunkZero);
        }
        let mut number = String::with_capacity(1 + DIGITS.end());
        number.push('+');
        for letter in rest.chars() {
            match letter {
                '0'..='9' if number.len() <= *DIGITS.end() => number.push(letter),
                '0'..='9' => return Err(NumberError::Length),
                ' ' | '-' | '.' | '(' | ')' => {}
                _ => return Err(NumberError::NotDigits),
            }
        }
        let digits = &number[1..];
        if !DIGITS.contains(&digits.len()) {
            return Err(NumberError::Length);
        }
        if let Some(national) = digits.strip_prefix('1') {
            let national = national.as_bytes();
            if national.len() != 10 || national[0] < b'2' || national[3] < b'2' {
                return Err(NumberError::NorthAmerican);
            }
        }
        if !zones::is_known(digits) {
            return Err(NumberError::Country);
        }
        Ok(Self { text: number })
    }

    /// With its plus.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Without its plus.
    pub fn digits(&self) -> &str {
        &self.text[1..]
    }
}

/// Whether there is `(0)` in `text`, with spaces or without.
fn has_bracketed_zero(text: &str) -> bool {
    let mut brackets = text.split('(').skip(1);
    brackets.any(|inner| {
        inner
            .split_once(')')
            .is_some_and(|(inner, _)| inner.trim() == "0")
    })
}

/// Which numbers may be called, by what they begin with. The longest beginning that fits decides; a number that none
/// fits may not be called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prefixes {
    /// Digits without plus, sorted, and whether they may be called.
    rules: Vec<(String, bool)>,
}

impl Prefixes {
    /// Rules such as `+1`, `+1 876` or, to forbid, `!+44 70`.
    ///
    /// `+1` alone means the United States, Canada and Puerto Rico without the numbers that cost extra; whoever means another
    /// part of the North American plan names its area code.
    ///
    /// # Errors
    /// [`NumberError::NoPlus`], [`NumberError::NotDigits`] or [`NumberError::Length`] for a rule that is none.
    pub fn new<'a>(rules: impl IntoIterator<Item = &'a str>) -> Result<Self, NumberError> {
        let mut parsed = Vec::new();
        for rule in rules {
            let rule = rule.trim();
            let (rule, allowed) = match rule.strip_prefix('!') {
                Some(rule) => (rule.trim(), false),
                None => (rule, true),
            };
            let digits = rule.strip_prefix('+').ok_or(NumberError::NoPlus)?;
            let digits: String = digits.chars().filter(|letter| *letter != ' ').collect();
            if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
                return Err(NumberError::NotDigits);
            }
            if digits.is_empty() || digits.len() > *DIGITS.end() {
                return Err(NumberError::Length);
            }
            parsed.push((digits, allowed));
        }
        if parsed
            .iter()
            .any(|(digits, allowed)| digits == "1" && *allowed)
        {
            let forbidden = NOT_MEANT_BY_1
                .iter()
                .map(|code| ((*code).to_owned(), false));
            let named: Vec<_> = forbidden
                .filter(|(code, _)| !parsed.iter().any(|(digits, _)| digits == code))
                .collect();
            parsed.extend(named);
        }
        parsed.sort();
        Ok(Self { rules: parsed })
    }

    /// Whether `number` may be called.
    pub fn allow(&self, number: &E164) -> bool {
        let fitting = self
            .rules
            .iter()
            .filter(|(digits, _)| number.digits().starts_with(digits.as_str()));
        // of two rules for the same beginning the one that forbids counts
        fitting
            .max_by_key(|(digits, allowed)| (digits.len(), !allowed))
            .is_some_and(|(_, allowed)| *allowed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> E164 {
        E164::parse(text).unwrap()
    }

    #[test]
    fn numbers_are_read_in_the_ways_people_write_them() {
        for (text, expected) in [
            ("+14155550100", "+14155550100"),
            (" +1 (415) 555-0100 ", "+14155550100"),
            ("+44 20.7946.0958", "+442079460958"),
            ("+390612345678", "+390612345678"),
            ("+2906123", "+2906123"),
        ] {
            assert_eq!(number(text).as_str(), expected);
        }
        assert!(!format!("{:?}", number("+14155550100")).contains("415"));
    }

    #[test]
    fn what_is_no_number_is_told_what_to_do() {
        for (text, expected) in [
            ("", NumberError::NoPlus),
            ("4155550100", NumberError::NoPlus),
            ("0014155550100", NumberError::NoPlus),
            ("+1415555010x", NumberError::NotDigits),
            ("++14155550100", NumberError::NotDigits),
            ("+١٤١٥٥٥٥٠١٠٠", NumberError::NotDigits),
            ("+44 (0)20 7946 0958", NumberError::TrunkZero),
            ("+44( 0 )2079460958", NumberError::TrunkZero),
            ("+123456", NumberError::Length),
            ("+4415555010012345", NumberError::Length),
            ("+1415555010", NumberError::NorthAmerican),
            ("+10155550100", NumberError::NorthAmerican),
            ("+14151550100", NumberError::NorthAmerican),
            ("+21012345678", NumberError::Country),
            ("+0123456789", NumberError::Country),
        ] {
            assert_eq!(E164::parse(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn the_longest_beginning_decides() {
        let rules = Prefixes::new(["+1", "+1876", "+44", "!+44 70", "+4479"]).unwrap();
        for (text, allowed) in [
            ("+14155550100", true),
            ("+16135550100", true),
            ("+17875550100", true),
            // Jamaica, because it was named; the Dominican Republic and premium numbers were not
            ("+18765550100", true),
            ("+18095550100", false),
            ("+19005550100", false),
            ("+442079460958", true),
            ("+447012345678", false),
            ("+447912345678", true),
            ("+4915112345678", false),
        ] {
            assert_eq!(rules.allow(&number(text)), allowed, "{text}");
        }
        assert!(!Prefixes::default().allow(&number("+14155550100")));
        assert_eq!(Prefixes::new(["44"]), Err(NumberError::NoPlus));
        assert_eq!(Prefixes::new(["+"]), Err(NumberError::Length));
        assert_eq!(Prefixes::new(["+4x"]), Err(NumberError::NotDigits));
        let both = Prefixes::new(["+49", "!+49"]).unwrap();
        assert!(!both.allow(&number("+4915112345678")));
    }

    proptest! {
        #[test]
        fn no_text_breaks_it_and_what_it_reads_it_reads_again(text in "\\+?[0-9 ().x-]{0,24}") {
            if let Ok(number) = E164::parse(&text) {
                prop_assert_eq!(E164::parse(number.as_str()), Ok(number.clone()));
                prop_assert!(DIGITS.contains(&number.digits().len()));
            }
        }
    }
}
