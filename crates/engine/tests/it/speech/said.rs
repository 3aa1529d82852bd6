//! What is read aloud.

use engine::speech::spoken;
use proptest::prelude::*;

#[test]
fn marks_are_not_read() {
    for (text, said) in [
        ("## Plan", "Plan"),
        (
            " **Bold** and *soft* and `code`.",
            "Bold and soft and code.",
        ),
        ("- first\n- second", "first second"),
        ("> # Quoted", "Quoted"),
        ("```rust\nlet x\n```", "let x"),
        ("_really_ good", "really good"),
        ("use snake_case here", "use snake case here"),
        ("See https://example.com/a_b?c=d. Now.", "See link. Now."),
        ("a__b__", "a b"),
        ("learn C# and #music", "learn C# and music"),
        ("(www.example.com)", "(link)"),
        ("the [manual](https://a.b/c_(d)) says", "the manual says"),
        ("Great! 😀👩\u{200D}🚀 Go ❤\u{FE0F}.", "Great! Go."),
        ("a → b", "a b"),
        ("  two   words \n", "two words"),
        ("3.14 costs $5 & 10%", "3.14 costs $5 & 10%"),
        ("今日は**晴れ**です。", "今日は晴れです。"),
        ("| a | b |", "a b"),
        ("1. Flour", "1. Flour"),
        ("It's \"fine\".", "It's \"fine\"."),
        ("don't-stop", "don't-stop"),
    ] {
        assert_eq!(spoken(text), said, "{text:?}");
    }
}

#[test]
fn nothing_to_say_is_empty() {
    for text in ["", " \n", "...", "***", "---", "😀", "```", "(!)", "—"] {
        assert_eq!(spoken(text), "", "{text:?}");
    }
}

proptest! {
    #[test]
    fn plain_words_are_read_as_they_are(words in prop::collection::vec("[A-Za-z0-9']{1,8}[,.?!]?", 1..20)) {
        let text = words.join(" ");
        prop_assume!(text.chars().any(char::is_alphanumeric) && !text.contains("www."));
        prop_assert_eq!(spoken(&text), text);
    }

    #[test]
    fn any_text_has_a_tidy_spoken_form(text in "(\\PC|\n){0,120}") {
        let said = spoken(&text);
        prop_assert_eq!(said.trim(), &said);
        prop_assert!(!said.contains("  ") && !said.contains('\n') && !said.contains('*'));
        prop_assert!(said.is_empty() || said.chars().any(char::is_alphanumeric));
    }
}
