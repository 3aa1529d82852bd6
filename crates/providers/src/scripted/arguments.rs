//! Makes up arguments that satisfy a function's JSON Schema.
//! Used by the script when a function is called and the caller gave no arguments.
//! Never validates a schema: keywords it does not know are ignored.

use serde_json::{Map, Value, json};

/// Levels of nesting that are filled in; below it only the simplest value of a type is given.
const MAX_DEPTH: usize = 6;

/// JSON text of an object that satisfies `schema`; `{}` without a schema.
pub(super) fn example(schema: Option<&Value>) -> String {
    match schema {
        Some(schema) => match value(schema, schema, 0) {
            Value::Object(object) => Value::Object(object).to_string(),
            _ => "{}".to_owned(),
        },
        None => "{}".to_owned(),
    }
}

fn value(schema: &Value, root: &Value, depth: usize) -> Value {
    if let Some(given) = given(schema) {
        return given;
    }
    if depth > MAX_DEPTH {
        return simplest(kind(schema));
    }
    if let Some(target) = reference(schema, root) {
        return value(target, root, depth + 1);
    }
    for keyword in ["anyOf", "oneOf", "allOf"] {
        if let Some(first) = schema
            .get(keyword)
            .and_then(Value::as_array)
            .and_then(|list| list.first())
        {
            return value(first, root, depth + 1);
        }
    }
    match kind(schema) {
        "object" => object(schema, root, depth),
        "array" => array(schema, root, depth),
        "integer" | "number" => number(schema),
        "string" => string(schema),
        other => simplest(other),
    }
}

/// A value that the schema itself names.
fn given(schema: &Value) -> Option<Value> {
    for keyword in ["const", "default"] {
        if let Some(value) = schema.get(keyword) {
            return Some(value.clone());
        }
    }
    ["enum", "examples"]
        .iter()
        .find_map(|keyword| schema.get(keyword)?.as_array()?.first().cloned())
}

/// `{"$ref": "#/$defs/X"}` within the same schema.
fn reference<'a>(schema: &Value, root: &'a Value) -> Option<&'a Value> {
    root.pointer(schema.get("$ref")?.as_str()?.strip_prefix('#')?)
}

fn kind(schema: &Value) -> &str {
    let named = match schema.get("type") {
        Some(Value::String(kind)) => Some(kind.as_str()),
        Some(Value::Array(kinds)) => kinds
            .iter()
            .filter_map(Value::as_str)
            .find(|kind| *kind != "null"),
        _ => None,
    };
    named.unwrap_or(if schema.get("properties").is_some() {
        "object"
    } else {
        "string"
    })
}

fn simplest(kind: &str) -> Value {
    match kind {
        "object" => json!({}),
        "array" => json!([]),
        "integer" | "number" => json!(1),
        "boolean" => json!(true),
        "null" => Value::Null,
        _ => json!("example"),
    }
}

/// The required properties; all of them where none is required.
fn object(schema: &Value, root: &Value, depth: usize) -> Value {
    let empty = Map::new();
    let properties = schema
        .get("properties")
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let names: Vec<&str> = if required.is_empty() {
        properties.keys().map(String::as_str).collect()
    } else {
        required
    };
    let filled = names.into_iter().map(|name| {
        let property = properties
            .get(name)
            .map_or_else(|| json!("example"), |schema| value(schema, root, depth + 1));
        (name.to_owned(), property)
    });
    Value::Object(filled.collect())
}

fn array(schema: &Value, root: &Value, depth: usize) -> Value {
    let least = schema
        .get("minItems")
        .and_then(Value::as_u64)
        .unwrap_or(1)
        .min(16);
    let item = schema
        .get("items")
        .map_or_else(|| json!("example"), |items| value(items, root, depth + 1));
    Value::Array(vec![item; least as usize])
}

fn number(schema: &Value) -> Value {
    let whole = kind(schema) == "integer";
    let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    let step = if whole { 1.0 } else { 0.5 };
    let least = bound("minimum").or_else(|| bound("exclusiveMinimum").map(|above| above + step));
    let most = bound("maximum").or_else(|| bound("exclusiveMaximum").map(|below| below - step));
    let wanted = least.unwrap_or(1.0);
    let wanted = most.map_or(wanted, |most| wanted.min(most));
    if whole {
        json!(wanted.ceil() as i64)
    } else {
        json!(wanted)
    }
}

fn string(schema: &Value) -> Value {
    let text = match schema.get("format").and_then(Value::as_str) {
        Some("date") => "2026-11-21",
        Some("time") => "12:00:00Z",
        Some("date-time") => "2026-11-21T12:00:00Z",
        Some("email") => "caller@example.com",
        Some("uri" | "url") => "https://example.com/",
        Some("uuid") => "00000000-0000-4000-8000-000000000000",
        _ => "example",
    };
    let least = schema
        .get("minLength")
        .and_then(Value::as_u64)
        .unwrap_or(0)
        .min(1000) as usize;
    let most = schema
        .get("maxLength")
        .and_then(Value::as_u64)
        .unwrap_or(u64::MAX) as usize;
    let mut text = text.to_owned();
    while text.len() < least {
        text.push('x');
    }
    text.truncate(most);
    json!(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(schema: &Value) -> Value {
        serde_json::from_str(&example(Some(schema))).unwrap()
    }

    #[test]
    fn required_properties_are_filled_by_their_type() {
        let schema = json!({
            "type": "object",
            "properties": {
                "city": { "type": "string" },
                "unit": { "type": "string", "enum": ["celsius", "fahrenheit"] },
                "days": { "type": "integer", "minimum": 3, "maximum": 9 },
                "share": { "type": "number", "exclusiveMaximum": 1 },
                "tags": { "type": "array", "items": { "type": "boolean" }, "minItems": 2 },
                "when": { "type": ["null", "string"], "format": "date" },
                "unused": { "type": "string" }
            },
            "required": ["city", "unit", "days", "share", "tags", "when"]
        });
        assert_eq!(
            of(&schema),
            json!({
                "city": "example", "unit": "celsius", "days": 3, "share": 0.5,
                "tags": [true, true], "when": "2026-11-21"
            })
        );
    }

    #[test]
    fn references_and_alternatives_are_followed_and_recursion_ends() {
        let schema = json!({
            "type": "object",
            "properties": { "node": { "$ref": "#/$defs/node" } },
            "required": ["node"],
            "$defs": { "node": {
                "type": "object",
                "properties": {
                    "value": { "anyOf": [{ "type": "integer" }, { "type": "null" }] },
                    "next": { "$ref": "#/$defs/node" }
                },
                "required": ["value", "next"]
            } }
        });
        let made = of(&schema);
        assert_eq!(made["node"]["value"], json!(1));
        assert!(made["node"]["next"].is_object());
    }

    #[test]
    fn optional_properties_are_filled_when_none_is_required() {
        let schema = json!({ "properties": { "name": { "type": "string", "minLength": 10 } } });
        assert_eq!(of(&schema), json!({ "name": "examplexxx" }));
        assert_eq!(example(None), "{}");
        assert_eq!(example(Some(&json!({ "type": "string" }))), "{}");
    }
}
