//! The configuration as documents: the default file, its JSON Schema, and what is in force.
//! Used by the binary (`--print-config`), xtask (generated files) and tests.
//! Never shows a secret.

use serde_json::{Map, Value, json};
use utoipa::PartialSchema as _;
use utoipa::openapi::{ComponentsBuilder, RefOr, Schema};

use super::{Config, layers, named};

/// JSON Schema of the file, from the doc comments of the sections.
pub(super) fn schema() -> Value {
    let mut parts: Vec<(String, RefOr<Schema>)> = Vec::new();
    <Config as utoipa::ToSchema>::schemas(&mut parts);
    let components = ComponentsBuilder::new().schemas_from_iter(parts).build();
    let root = serde_json::to_value(Config::schema()).unwrap_or_default();
    let definitions = serde_json::to_value(components)
        .map(|mut c| c["schemas"].take())
        .unwrap_or_default();
    let mut document = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Antiphon configuration",
        "$defs": definitions,
    });
    if let (Some(document), Some(root)) = (document.as_object_mut(), root.as_object()) {
        document.extend(root.clone());
    }
    relink(&mut document);
    document
}

/// OpenAPI keeps definitions under `components/schemas`, JSON Schema under `$defs`.
fn relink(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(target)) = map.get_mut("$ref") {
                *target = target.replace("#/components/schemas/", "#/$defs/");
            }
            map.values_mut().for_each(relink);
        }
        Value::Array(list) => list.iter_mut().for_each(relink),
        _ => {}
    }
}

/// The meaning of a section or of a key, from the schema.
fn meaning(schema: &Value, section: &str, key: Option<&str>) -> String {
    let body = match section.split_once('.') {
        None => &schema["properties"][section],
        Some((outer, inner)) => {
            &definition(schema, &schema["properties"][outer])["properties"][inner]
        }
    };
    let own = |body: &Value| body["description"].as_str().map(str::to_owned);
    let found = match key {
        // what a member is says more than where they are
        None if section.contains('.') => own(definition(schema, body)),
        None => own(body),
        Some(key) => own(&definition(schema, body)["properties"][key]),
    };
    found.unwrap_or_default().replace('\n', " ")
}

/// What a property refers to.
fn definition<'a>(schema: &'a Value, body: &Value) -> &'a Value {
    let name = body["$ref"]
        .as_str()
        .or_else(|| body["additionalProperties"]["$ref"].as_str())
        .or_else(|| body["allOf"][0]["$ref"].as_str())
        .or_else(|| body["oneOf"][0]["$ref"].as_str())
        .and_then(|target| target.rsplit('/').next())
        .unwrap_or_default();
    &schema["$defs"][name]
}

/// Every key with its meaning and default, commented out.
pub(super) fn default_toml() -> String {
    let schema = schema();
    let mut text = String::from(
        "# Every setting of Antiphon with its default. A key here loses to ANTIPHON_SECTION__KEY in the environment.\n\
         # Generated: change the doc comments in crates/gateway/src/config/sections.rs instead.\n",
    );
    text.push_str(&format!(
        "\n# {}\n# [[listeners]]\n#   profile = \"all\"\n#   address = \"127.0.0.1:8081\"\n",
        meaning(&schema, "listeners", None)
    ));
    each_section(&layers::defaults(), |section, keys| {
        let member = named::defaults(section);
        let (title, indent, keys) = match member.as_ref().and_then(Value::as_object) {
            // of a section with members there is none yet
            Some(keys) => (format!("# [{section}.NAME]"), "  ", keys),
            None => (format!("[{section}]"), "", keys),
        };
        text.push_str(&format!(
            "\n# {}\n{title}\n",
            meaning(&schema, section, None)
        ));
        for (key, value) in keys {
            let meaning = meaning(&schema, section, Some(key));
            text.push_str(&format!("# {indent}{meaning}\n"));
            match value {
                Value::Null => text.push_str(&format!("# {indent}{key} = \"\"\n")),
                value => text.push_str(&format!("# {indent}{key} = {}\n", inline(value))),
            }
        }
    });
    text
}

/// The configuration in force as TOML; unset keys are comments, secrets are hidden.
pub(super) fn printed(config: &Config) -> String {
    let mut text = String::new();
    let tree = serde_json::to_value(config).unwrap_or_default();
    for (list, entries) in tree.as_object().into_iter().flatten() {
        for entry in entries.as_array().into_iter().flatten() {
            print_keys(&format!("[{list}]"), entry.as_object(), &mut text);
        }
    }
    each_section(&tree, |section, keys| {
        if named::is_named(section) {
            for (name, member) in keys {
                print_keys(&format!("{section}.{name}"), member.as_object(), &mut text);
            }
        } else {
            print_keys(section, Some(keys), &mut text);
        }
    });
    text
}

fn print_keys(title: &str, keys: Option<&Map<String, Value>>, text: &mut String) {
    text.push_str(&format!("[{title}]\n"));
    for (key, value) in keys.into_iter().flatten() {
        match value {
            Value::Null => text.push_str(&format!("# {key} is not set\n")),
            value => text.push_str(&format!("{key} = {}\n", inline(value))),
        }
    }
    text.push('\n');
}

/// A value as TOML: JSON's numbers, booleans, plain strings and lists of these are TOML's as well, its objects are not.
fn inline(value: &Value) -> String {
    match value {
        Value::Object(keys) => {
            let set = keys.iter().filter(|(_, value)| !value.is_null());
            let pairs: Vec<String> = set
                .map(|(key, value)| format!("{key} = {}", inline(value)))
                .collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        Value::Array(list) if list.iter().any(Value::is_object) => {
            let list: Vec<String> = list.iter().map(inline).collect();
            format!("[{}]", list.join(", "))
        }
        value => value.to_string(),
    }
}

/// Every section, and behind it those with members that stand inside it.
fn each_section(tree: &Value, mut visit: impl FnMut(&str, &Map<String, Value>)) {
    for (section, body) in tree.as_object().into_iter().flatten() {
        let Some(keys) = body.as_object() else {
            continue;
        };
        let nested = |key: &str| named::is_named(&format!("{section}.{key}"));
        let (inner, own): (Map<_, _>, Map<_, _>) = keys
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .partition(|(key, _)| nested(key));
        visit(section, &own);
        for (key, members) in &inner {
            if let Some(members) = members.as_object() {
                visit(&format!("{section}.{key}"), members);
            }
        }
    }
}
