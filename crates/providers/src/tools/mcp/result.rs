//! What a tool of such a server returned, as the model reads it.
//! Called for every result.
//! Never hands on more of it than of any other tool's result, and nothing but text.

use engine::ask::ToolOutcome;
use rmcp::model::CallToolResult;

use crate::tools::{MAX_RESULT, Ran};

/// The words of a result, or of a failure.
pub(super) fn read(result: CallToolResult) -> Ran {
    let mut text = String::new();
    for part in &result.content {
        if text.len() >= MAX_RESULT {
            break;
        }
        if let Some(part) = part.as_text() {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&part.text);
        }
    }
    if let Some(structured) = result.structured_content.filter(|_| text.is_empty()) {
        text = structured.to_string();
    }
    text.truncate(text.floor_char_boundary(MAX_RESULT));
    if result.is_error == Some(true) {
        Ran {
            outcome: ToolOutcome::Failed(text),
            cause: Some("the tool says that it failed".to_owned()),
        }
    } else {
        Ran::returned(text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ran(result: serde_json::Value) -> ToolOutcome {
        read(serde_json::from_value(result).unwrap()).outcome
    }

    #[test]
    fn words_are_joined_and_stand_for_what_is_structured() {
        let content = json!([{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }]);
        let both = json!({ "content": content, "structuredContent": { "c": 1 } });
        assert_eq!(ran(both), ToolOutcome::Returned("a\nb".to_owned()));
        let structured = json!({ "content": [], "structuredContent": { "c": 1 } });
        assert_eq!(
            ran(structured),
            ToolOutcome::Returned("{\"c\":1}".to_owned())
        );
        let failed = json!({ "content": [{ "type": "text", "text": "no" }], "isError": true });
        assert_eq!(ran(failed), ToolOutcome::Failed("no".to_owned()));
    }

    #[test]
    fn a_result_has_a_size() {
        // one byte, so that the cut falls into a character
        let long = format!("x{}", "ä".repeat(MAX_RESULT));
        let part = json!({ "type": "text", "text": long });
        let expected = &long[..MAX_RESULT - 1];
        let one = json!({ "content": [part] });
        assert!(ran(one) == ToolOutcome::Returned(expected.to_owned()));
        let failed = json!({ "content": [part, part], "isError": true });
        assert!(ran(failed) == ToolOutcome::Failed(expected.to_owned()));
        let structured = json!({ "content": [], "structuredContent": { "long": long } });
        assert!(matches!(ran(structured), ToolOutcome::Returned(text) if text.len() == MAX_RESULT));
    }
}
