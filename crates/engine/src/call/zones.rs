//! In which time zones a telephone number may be, by what it begins with.
//! Asked by the gateway before it looks at a calling window, unless the lead's own zone is known.
//! Never narrows a doubt down: a number that may be in several zones is in all of them.
//!
//! `prefixes.txt` is the time-zone table of libphonenumber (Apache-2.0, The Libphonenumber Authors), taken from the Python
//! package `phonenumbers` 9.0.43, less the lines that say what a shorter one says already. A mobile number tells where it was
//! given out and not where its owner is: who knows better gives the zone himself.

use std::sync::LazyLock;

use chrono_tz::Tz;

use super::number::E164;

/// A beginning and its zones, a line.
static TABLE: &str = include_str!("prefixes.txt");

/// Digits of the longest beginning.
const LONGEST: usize = 9;

/// The lines, sorted by beginning as they are in the file.
static LINES: LazyLock<Vec<(&str, &str)>> = LazyLock::new(|| {
    TABLE
        .lines()
        .filter_map(|line| line.split_once(' '))
        .collect()
});

/// The zones in which `number` may be; several when its beginning leaves that open. Where some exchanges of an area code
/// lie in another zone than the rest, an exchange that is not listed may be in either.
pub fn of(number: &E164) -> Vec<Tz> {
    let Some(at) = find(number.digits()) else {
        return Vec::new();
    };
    let beginning = LINES[at].0;
    let lines = LINES[at..].iter();
    let below = lines.take_while(|(known, _)| known.starts_with(beginning));
    let mut names: Vec<&str> = below.flat_map(|(_, names)| names.split(' ')).collect();
    names.sort_unstable();
    names.dedup();
    names.iter().filter_map(|name| name.parse().ok()).collect()
}

/// Whether numbers begin like this anywhere.
pub(super) fn is_known(digits: &str) -> bool {
    find(digits).is_some()
}

/// The line with the longest beginning that fits.
fn find(digits: &str) -> Option<usize> {
    (1..=digits.len().min(LONGEST)).rev().find_map(|length| {
        let beginning = digits.get(..length)?;
        let found = LINES.binary_search_by_key(&beginning, |(known, _)| *known);
        found.ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zones(number: &str) -> Vec<Tz> {
        of(&E164::parse(number).unwrap())
    }

    #[test]
    fn every_line_is_sorted_and_every_zone_is_known() {
        assert!(LINES.len() > 3000);
        assert_eq!(LINES.len(), TABLE.lines().count());
        assert!(LINES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (beginning, names) in LINES.iter() {
            assert!(beginning.len() <= LONGEST && !names.is_empty());
            for name in names.split(' ') {
                assert!(name.parse::<Tz>().is_ok(), "{name}");
            }
        }
    }

    #[test]
    fn a_number_is_where_its_beginning_says() {
        assert_eq!(zones("+12125550100"), [Tz::America__New_York]);
        assert_eq!(zones("+14155550100"), [Tz::America__Los_Angeles]);
        assert_eq!(zones("+16025550100"), [Tz::America__Phoenix]);
        assert_eq!(zones("+18085550100"), [Tz::Pacific__Honolulu]);
        assert_eq!(zones("+4930123456"), [Tz::Europe__Berlin]);
        assert_eq!(zones("+81312345678"), [Tz::Asia__Tokyo]);
        // within an area code the exchange may tell
        assert_eq!(zones("+18502000100"), [Tz::America__Chicago]);
        assert_eq!(zones("+18072230100"), [Tz::America__Winnipeg]);
    }

    #[test]
    fn where_the_beginning_leaves_it_open_it_is_everywhere() {
        assert!(zones("+18005550100").len() > 30);
        // the west of Florida has two
        let florida = [Tz::America__Chicago, Tz::America__New_York];
        assert_eq!(zones("+18505550100"), florida);
    }
}
