//! Cutting a reply into pieces: what stays together, what is cut early, what never happens.

use engine::speech::{CutRules, Cutter, Piece};
use proptest::prelude::*;

fn cut(text: &str) -> Vec<Piece> {
    let mut cutter = Cutter::new(CutRules::default());
    let mut pieces = Vec::new();
    cutter.push(text, &mut pieces);
    cutter.finish(&mut pieces);
    pieces
}

/// The pieces of a text, trimmed, with everything but sentence ends switched off.
fn sentences(text: &str) -> Vec<String> {
    let rules = CutRules {
        first_min_words: usize::MAX,
        first_max_words: usize::MAX,
        min_words: 1,
        clause_words: usize::MAX,
        growth_words: 0,
        max_words: usize::MAX,
    };
    let mut cutter = Cutter::new(rules);
    let mut pieces = Vec::new();
    // a first piece that is out of the way of what is tested
    cutter.push("Yes.", &mut pieces);
    cutter.push(&format!(" {text}"), &mut pieces);
    cutter.finish(&mut pieces);
    pieces[1..]
        .iter()
        .map(|piece| piece.text.trim().to_owned())
        .collect()
}

#[track_caller]
fn one(text: &str) {
    assert_eq!(sentences(text), [text]);
}

#[test]
fn what_belongs_together_stays_together() {
    one("Pi is 3.14 or so.");
    one("Dr. Smith met Mrs. Jones and Prof. Lee.");
    one("Bring fruit, e.g. apples, i.e. food.");
    one("The U.S. Army and the U.K. Government agreed.");
    one("Come at 5 p.m. or at 10:30 a.m. tomorrow.");
    one("See https://example.com/a.b?c=d.e for more.");
    one("J. K. Rowling wrote it.");
    one("Well... let me think.");
    one("Wait… what is that.");
    one("Version 1.2.3 costs $4.50 at most.");
    one("He said \"Stop!\" and ran.");
    one("St. Louis is near Mt. Vernon.");
    one("Take no. 5 and vol. 2.");
    one("Mail me at a.b@example.com today.");
    one("It was approx. five o'clock.");
    one("1. Flour");
    one("The file main.rs holds it.");
}

#[test]
fn sentences_end_where_they_end() {
    assert_eq!(sentences("It is done. We go."), ["It is done.", "We go."]);
    assert_eq!(
        sentences("It was 2024. Then it rained."),
        ["It was 2024.", "Then it rained."]
    );
    assert_eq!(
        sentences("We met at 5 p.m. Then we ate."),
        ["We met at 5 p.m.", "Then we ate."]
    );
    assert_eq!(sentences("Really?! Yes! So?"), ["Really?!", "Yes!", "So?"]);
    assert_eq!(
        sentences("\"Go.\" \"No!\" (Now.) End."),
        ["\"Go.\"", "\"No!\"", "(Now.)", "End."]
    );
    assert_eq!(
        sentences("The answer is no. We stay."),
        ["The answer is no.", "We stay."]
    );
    assert_eq!(
        sentences("See www.example.com. Then call."),
        ["See www.example.com.", "Then call."]
    );
    assert_eq!(sentences("**Bold.** Next one."), ["**Bold.**", "Next one."]);
    assert_eq!(sentences("Great! 😀 Next one."), ["Great!", "😀 Next one."]);
    assert_eq!(
        sentences("1. Flour\n2. Milk\n- Eggs"),
        ["1. Flour", "2. Milk", "- Eggs"]
    );
    assert_eq!(sentences("Title\n\nBody text"), ["Title", "Body text"]);
}

#[test]
fn scripts_without_spaces_are_cut_at_their_own_marks() {
    assert_eq!(
        sentences("今日は晴れです。明日は雨でしょう！"),
        ["今日は晴れです。", "明日は雨でしょう！"]
    );
    assert_eq!(
        sentences("他说：「你好。」然后走了。"),
        ["他说：「你好。」", "然后走了。"]
    );
    assert_eq!(sentences("क्या हाल है। मैं ठीक हूँ।"), ["क्या हाल है।", "मैं ठीक हूँ।"]);
    assert_eq!(sentences("كيف حالك؟ أنا بخير."), ["كيف حالك؟", "أنا بخير."]);
    let pieces = cut("你好，我是你的助手，今天能帮你做什么？");
    assert_eq!(pieces[0].text, "你好，");
    // without any mark it is cut by length, and never before a small kana or a vowel mark
    let long = "チョコレートケーキ".repeat(20);
    for piece in &cut(&long)[1..] {
        let first = piece.text.chars().next().unwrap();
        assert!(!"ョーッャュ".contains(first), "{}", piece.text);
    }
    assert!(cut(&long).len() > 4);
}

fn first(text: &str) -> String {
    cut(text)[0].text.clone()
}

#[test]
fn the_first_piece_comes_early() {
    assert_eq!(first("Sure. I can help you."), "Sure.");
    assert_eq!(first("Sure, I can help, of course."), "Sure, I can help,");
    assert_eq!(first("Of course, the train leaves at nine."), "Of course,");
    assert_eq!(
        first("The shop is open now and it closes at nine."),
        "The shop is open now"
    );
    assert_eq!(
        first("I would like to tell you something about the history of Rome."),
        "I would like"
    );
    assert_eq!(
        first("One two three four five six seven eight nine ten"),
        "One two three four five"
    );
    assert_eq!(
        first("On March 3, 2024 we, finally, opened."),
        "On March 3, 2024 we,"
    );
    assert_eq!(first("Two words—and a dash."), "Two words—");
    assert_eq!(
        first("It costs 1,000 dollars, no more."),
        "It costs 1,000 dollars,"
    );
    assert_eq!(first("Meet at 10:30, please."), "Meet at 10:30,");
}

#[test]
fn later_pieces_grow_to_sentences() {
    let text = "Hello there. I can see three trains, and the first of them leaves at nine, \
                which is early, while the second one, the slow one, leaves at ten. It is late. \
                Bye.";
    let lengths: Vec<usize> = cut(text)
        .iter()
        .map(|piece| piece.text.split_whitespace().count())
        .collect();
    assert_eq!(lengths, [2, 5, 11, 10, 3, 1]);
}

#[test]
fn text_without_punctuation_is_cut_between_words() {
    let text = "word ".repeat(200);
    let pieces = cut(&text);
    for piece in &pieces[1..pieces.len() - 1] {
        assert!(piece.text.split_whitespace().count() <= 30);
        assert!(piece.text.split_whitespace().all(|word| word == "word"));
    }
    assert!(pieces.len() >= 7);
}

#[test]
fn a_piece_leaves_as_soon_as_the_next_word_begins() {
    let mut cutter = Cutter::new(CutRules::default());
    let mut pieces = Vec::new();
    for token in ["Of", " course", ","] {
        cutter.push(token, &mut pieces);
    }
    assert!(pieces.is_empty());
    assert_eq!(cutter.pending(), "Of course,");
    cutter.push(" the", &mut pieces);
    assert_eq!(
        pieces,
        [Piece {
            text: "Of course,".into(),
            range: 0..10,
            index: 0
        }]
    );
    assert_eq!(cutter.pending(), " the");
    cutter.finish(&mut pieces);
    assert_eq!(
        pieces[1],
        Piece {
            text: " the".into(),
            range: 10..14,
            index: 1
        }
    );
    // and it is ready for the next reply
    cutter.push("Yes.", &mut pieces);
    cutter.finish(&mut pieces);
    assert_eq!(
        pieces[2],
        Piece {
            text: "Yes.".into(),
            range: 0..4,
            index: 0
        }
    );
    cutter.finish(&mut pieces);
    assert_eq!(pieces.len(), 3);
}

#[test]
fn a_huge_word_in_tiny_tokens_costs_linear_time() {
    let mut cutter = Cutter::new(CutRules::default());
    let mut pieces = Vec::new();
    for _ in 0..200_000 {
        cutter.push("ab", &mut pieces);
    }
    cutter.finish(&mut pieces);
    assert_eq!((pieces.len(), pieces[0].range.clone()), (1, 0..400_000));
}

/// Text with everything the cutter looks at in it.
fn texts() -> impl Strategy<Value = String> {
    let bits = prop::sample::select(vec![
        "word",
        "Dr.",
        "3.14",
        "e.g.",
        "and",
        "but",
        "to",
        " ",
        " ",
        " ",
        "\n",
        ".",
        ",",
        "!",
        "?",
        ";",
        ":",
        "—",
        "…",
        "...",
        "\"",
        ")",
        "(",
        "“",
        "”",
        "U.S.",
        "p.m.",
        "1.",
        "- ",
        "😀",
        "👩\u{200D}🚀",
        "今日",
        "は",
        "。",
        "、",
        "「",
        "」",
        "チョコ",
        "é",
        "e\u{301}",
        "https://a.b/c.d",
        "10:30",
        "*",
        "**",
        "`",
        "\u{3000}",
        "ไทย",
        "The",
        "i",
    ]);
    prop_oneof![
        3 => prop::collection::vec(bits, 0..120).prop_map(|bits| bits.concat()),
        1 => ".{0,200}",
    ]
}

fn is_unspaced(c: char) -> bool {
    matches!(u32::from(c), 0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x3000..=0x31FF
        | 0x3400..=0x9FFF | 0xF900..=0xFAFF | 0xFF00..=0xFFEF | 0x20000..=0x3FFFF)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn pieces_are_the_text_and_tokens_do_not_matter(
        text in texts(),
        sizes in prop::collection::vec(1_usize..12, 1..9),
    ) {
        let whole = cut(&text);
        let mut at = 0;
        for (index, piece) in whole.iter().enumerate() {
            prop_assert_eq!(piece.index, index);
            prop_assert_eq!(piece.range.start, at);
            prop_assert_eq!(&text[piece.range.clone()], &piece.text[..]);
            prop_assert!(!piece.text.is_empty());
            at = piece.range.end;
        }
        prop_assert_eq!(at, text.len());

        let mut cutter = Cutter::new(CutRules::default());
        let mut pieces = Vec::new();
        let mut characters = text.chars().peekable();
        for size in sizes.iter().cycle() {
            if characters.peek().is_none() {
                break;
            }
            let token: String = characters.by_ref().take(*size).collect();
            cutter.push(&token, &mut pieces);
        }
        cutter.finish(&mut pieces);
        prop_assert_eq!(pieces, whole);
    }

    #[test]
    fn no_cut_inside_a_word(text in texts()) {
        for piece in cut(&text).iter().skip(1) {
            let before = text[..piece.range.start].chars().next_back().unwrap();
            let after = piece.text.chars().next().unwrap();
            prop_assert!(
                !(before.is_alphanumeric() && after.is_alphanumeric())
                    || is_unspaced(before) || is_unspaced(after),
                "between {before:?} and {after:?}"
            );
            let clings = ['\u{301}', '\u{200D}'].contains(&after);
            prop_assert!(!clings, "cut before a mark");
        }
    }

    #[test]
    fn spoken_words_keep_pieces_short(text in "([a-z]{1,9} ){0,300}") {
        for (index, piece) in cut(&text).iter().enumerate() {
            let words = piece.text.split_whitespace().count();
            let max = if index == 0 { 8 } else { 30 };
            prop_assert!(words <= max);
        }
    }
}
