//! Notices when the decoder loops, which tiny.en does when its window was cut to the clip.
//! The decode loop asks after every token.
//! It never fires on ordinary repetition such as "five five five five".

/// Length of the shortest unit that counts as a loop when it occurs three times.
const SHORTEST_UNIT: usize = 4;

/// How sure the guard must be that the decoder loops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    /// The window was cut to the clip: a whole output said twice is a loop.
    Clip,
    /// The window is as long as in training: a caller may well say one sentence twice.
    Full,
}

/// Where to cut `tokens` (text tokens so far) if the last ones repeat: everything from the returned
/// length on says again what was said. It fires when the whole output so far is one unit said
/// twice ([`Guard::Clip`]), or when a unit of at least four tokens occurs three times in a row.
pub(crate) fn repetition(tokens: &[u32], guard: Guard) -> Option<usize> {
    let length = tokens.len();
    let half = length / 2;
    let may_be_doubled = guard == Guard::Clip && length.is_multiple_of(2) && half >= SHORTEST_UNIT;
    if may_be_doubled && tokens[..half] == tokens[half..] {
        return Some(half);
    }
    (SHORTEST_UNIT..=length / 3).find_map(|unit| {
        let tail = &tokens[length - 3 * unit..];
        let same = tail[..unit] == tail[unit..2 * unit] && tail[..unit] == tail[2 * unit..];
        same.then_some(length - 2 * unit)
    })
}

/// Whether `text` ends with two words or more that were just said, as in "is it open tomorrow? Open
/// tomorrow.", whatever their case and punctuation. A caller may have said so; a cut window often adds it.
pub(crate) fn echoes(text: &str) -> bool {
    let words: Vec<String> = text
        .split(|c: char| !c.is_alphanumeric() && c != '\'')
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let length = words.len();
    (2..=length / 2).any(|unit| words[length - unit..] == words[length - 2 * unit..length - unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_said_twice_is_cut_after_the_first() {
        assert_eq!(
            repetition(&[1, 2, 3, 4, 5, 1, 2, 3, 4, 5], Guard::Clip),
            Some(5)
        );
        assert_eq!(
            repetition(&[1, 2, 3, 4, 5, 1, 2, 3, 4, 5], Guard::Full),
            None
        );
    }

    #[test]
    fn a_unit_said_three_times_after_other_words_is_cut_after_the_first() {
        let tokens = [9, 8, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4];
        assert_eq!(repetition(&tokens, Guard::Clip), Some(6));
        assert_eq!(repetition(&tokens[..10], Guard::Clip), None);
    }

    #[test]
    fn an_ending_that_repeats_the_words_before_it_is_an_echo() {
        assert!(echoes("When does it open tomorrow? Open tomorrow."));
        assert!(echoes("Fail again, fail again."));
        assert!(!echoes("Open tomorrow, and open tomorrow too."));
        assert!(!echoes("No, no."));
        assert!(!echoes(""));
    }

    #[test]
    fn short_words_may_be_repeated() {
        assert_eq!(repetition(&[5, 5], Guard::Clip), None);
        assert_eq!(repetition(&[5, 5, 5, 5, 5, 5], Guard::Clip), None);
        assert_eq!(repetition(&[], Guard::Clip), None);
    }
}
