//! What was heard of a reply.

use engine::speech::{Heard, heard_bytes};
use proptest::prelude::*;

fn heard(pieces: &[(&str, u64)], ms: u64) -> String {
    let all: String = pieces.iter().map(|(text, _)| *text).collect();
    let pieces: Vec<Heard<'_>> = pieces
        .iter()
        .map(|&(text, duration_ms)| Heard { text, duration_ms })
        .collect();
    all[..heard_bytes(&pieces, ms)].to_owned()
}

#[test]
fn time_is_rounded_down_to_a_word() {
    // twenty characters in 2 s: one every 100 ms
    let pieces = [("One two, three four.", 2_000)];
    for (ms, text) in [
        (0, ""),
        (299, ""),
        (300, "One"),
        (700, "One"),
        (800, "One two,"),
        (1_399, "One two,"),
        (1_400, "One two, three"),
        (1_999, "One two, three"),
        (2_000, "One two, three four."),
        (9_999, "One two, three four."),
    ] {
        assert_eq!(heard(&pieces, ms), text, "{ms} ms");
    }
}

#[test]
fn whole_pieces_count_whole() {
    let pieces = [
        ("Sure.", 500),
        (" 😀", 0),
        (" I can help you", 1_500),
        (" now.", 400),
    ];
    assert_eq!(heard(&pieces, 499), "");
    assert_eq!(heard(&pieces, 500), "Sure. 😀");
    assert_eq!(heard(&pieces, 1_300), "Sure. 😀 I can");
    assert_eq!(heard(&pieces, 2_000), "Sure. 😀 I can help you");
    assert_eq!(heard(&pieces, 2_400), "Sure. 😀 I can help you now.");
    assert_eq!(heard_bytes(&[], 100), 0);
}

#[test]
fn scripts_without_spaces_are_cut_between_characters() {
    assert_eq!(heard(&[("今日は晴れです。", 800)], 450), "今日は晴");
    assert_eq!(heard(&[("チョコ", 300)], 100), "");
    assert_eq!(heard(&[("チョコ", 300)], 200), "チョ");
}

proptest! {
    #[test]
    fn more_time_never_hears_less(
        texts in prop::collection::vec((".{0,30}", 0_u64..3_000), 0..6),
        times in prop::collection::vec(0_u64..12_000, 2),
    ) {
        let pieces: Vec<Heard<'_>> = texts
            .iter()
            .map(|(text, duration_ms)| Heard { text, duration_ms: *duration_ms })
            .collect();
        let all: String = texts.iter().map(|(text, _)| text.as_str()).collect();
        let (early, late) = (times[0].min(times[1]), times[0].max(times[1]));
        let (less, more) = (heard_bytes(&pieces, early), heard_bytes(&pieces, late));
        prop_assert!(less <= more && all.is_char_boundary(less) && all.is_char_boundary(more));
        let total = texts.iter().map(|(_, ms)| ms).sum::<u64>();
        prop_assert_eq!(heard_bytes(&pieces, total), all.len());
    }
}
