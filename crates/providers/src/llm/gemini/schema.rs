//! Turns a JSON Schema into the kind of schema that Gemini takes
//! (<https://ai.google.dev/api/caching#Schema>: a subset of OpenAPI 3.0's).
//! Called once per function on offer, by both protocols of Gemini.
//! Never keeps a keyword that is not known: one is enough for the whole question to be refused.

use serde_json::{Map, Value, json};

/// Levels of a schema that are followed; real ones have fewer, references may form circles.
const DEPTH: usize = 24;

/// Keywords that are taken as they are.
const PLAIN: [&str; 14] = [
    "title",
    "description",
    "nullable",
    "default",
    "example",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
    "minProperties",
    "maxProperties",
    "pattern",
];

/// Formats that are taken; any other is refused.
const FORMATS: [&str; 6] = ["float", "double", "int32", "int64", "enum", "date-time"];

/// The schema of a function's arguments; `None` where there are none, which the vendor wants unsaid.
pub(crate) fn parameters(schema: &Value) -> Option<Value> {
    let written = write(schema, schema, DEPTH);
    let has_properties = written["properties"]
        .as_object()
        .is_some_and(|properties| !properties.is_empty());
    has_properties.then_some(written)
}

fn write(schema: &Value, root: &Value, depth: usize) -> Value {
    let mut written = Map::new();
    let Some(left) = depth.checked_sub(1) else {
        return Value::Object(written);
    };
    let Some(schema) = resolved(schema, root) else {
        return Value::Object(written);
    };
    // what has to hold at once is written as if it stood in one place
    for part in schema["allOf"].as_array().into_iter().flatten() {
        if let Value::Object(part) = write(part, root, left) {
            merge(&mut written, part);
        }
    }
    let keys = schema.as_object().into_iter().flatten();
    for (key, value) in keys.filter(|(key, _)| PLAIN.contains(&key.as_str())) {
        written.insert(key.clone(), value.clone());
    }
    write_type(&schema["type"], &mut written);
    if let Some(format) = schema["format"].as_str()
        && FORMATS.contains(&format)
    {
        written.insert("format".to_owned(), json!(format));
    }
    write_enum(schema, &mut written);
    if schema["items"].is_object() {
        let items = write(&schema["items"], root, left);
        written.insert("items".to_owned(), items);
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(choices) = schema[key].as_array() {
            let null = |choice: &Value| choice["type"] == "null";
            let real = choices.iter().filter(|choice| !null(choice));
            let choices: Vec<Value> = real.map(|choice| write(choice, root, left)).collect();
            written.insert("anyOf".to_owned(), Value::Array(choices));
            if schema[key]
                .as_array()
                .is_some_and(|all| all.iter().any(null))
            {
                written.insert("nullable".to_owned(), json!(true));
            }
        }
    }
    write_properties(schema, root, left, &mut written);
    Value::Object(written)
}

/// Follows a reference inside the schema; one that leads elsewhere, or in a circle, leads nowhere.
fn resolved<'a>(schema: &'a Value, root: &'a Value) -> Option<&'a Value> {
    let mut schema = schema;
    for _ in 0..DEPTH {
        let Some(reference) = schema["$ref"].as_str() else {
            return Some(schema);
        };
        schema = root.pointer(reference.strip_prefix('#')?)?;
    }
    None
}

fn merge(into: &mut Map<String, Value>, part: Map<String, Value>) {
    for (key, value) in part {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => old.extend(new),
            (Some(Value::Array(old)), Value::Array(new)) => old.extend(new),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

/// One type and whether it may be null, where JSON Schema lists types.
fn write_type(kind: &Value, written: &mut Map<String, Value>) {
    let kinds: Vec<&str> = match kind {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return,
    };
    if kinds.contains(&"null") {
        written.insert("nullable".to_owned(), json!(true));
    }
    if let Some(kind) = kinds.into_iter().find(|kind| *kind != "null") {
        written.insert("type".to_owned(), json!(kind));
    }
}

/// Only words can be listed.
fn write_enum(schema: &Value, written: &mut Map<String, Value>) {
    let values = match (schema["enum"].as_array(), schema.get("const")) {
        (Some(values), _) => values.clone(),
        (None, Some(value)) => vec![value.clone()],
        (None, None) => return,
    };
    let words: Vec<Value> = values.into_iter().filter(Value::is_string).collect();
    let kind = written.get("type").and_then(Value::as_str);
    if !words.is_empty() && matches!(kind, None | Some("string")) {
        written.insert("type".to_owned(), json!("string"));
        written.insert("enum".to_owned(), Value::Array(words));
    }
}

fn write_properties(schema: &Value, root: &Value, left: usize, written: &mut Map<String, Value>) {
    if let Some(properties) = schema["properties"].as_object() {
        let properties: Map<String, Value> = properties
            .iter()
            .map(|(name, property)| (name.clone(), write(property, root, left)))
            .collect();
        merge(
            written,
            Map::from_iter([("properties".to_owned(), Value::Object(properties))]),
        );
    }
    let known = |name: &Value| {
        let name = name.as_str().unwrap_or_default();
        written
            .get("properties")
            .is_some_and(|properties| properties.get(name).is_some())
    };
    let required: Vec<Value> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|name| known(name))
        .cloned()
        .collect();
    if !required.is_empty() {
        merge(
            written,
            Map::from_iter([("required".to_owned(), Value::Array(required))]),
        );
    }
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
