//! What is committed is what the code says, and every configuration key is explained.

use super::*;

#[test]
fn committed_files_are_current() {
    let root = root();
    let stale: Vec<&str> = documents()
        .unwrap()
        .into_iter()
        .filter(|(path, text)| std::fs::read_to_string(root.join(path)).ok().as_ref() != Some(text))
        .map(|(path, _)| path)
        .collect();
    assert!(
        stale.is_empty(),
        "run `cargo xtask generate` and commit: {stale:?}"
    );
}

/// The keys of every section as `(section, key, description)`.
fn keys() -> Vec<(String, String, String)> {
    let schema = Config::schema_json();
    let mut keys = Vec::new();
    for (section, body) in schema["properties"].as_object().unwrap() {
        // a list of tables: its example stands in the file by hand
        if body["type"] == "array" {
            continue;
        }
        let target = body["$ref"]
            .as_str()
            .or_else(|| body["allOf"][0]["$ref"].as_str())
            .or_else(|| body["additionalProperties"]["$ref"].as_str());
        let name = target.unwrap().rsplit('/').next().unwrap();
        for (key, body) in schema["$defs"][name]["properties"].as_object().unwrap() {
            let meaning = body["description"].as_str().unwrap_or_default();
            keys.push((section.clone(), key.clone(), meaning.to_owned()));
        }
    }
    keys
}

#[test]
fn every_configuration_key_has_a_meaning_and_stands_in_the_default_file() {
    let file = Config::default_toml();
    let keys = keys();
    assert!(
        keys.len() > 20,
        "only {} keys were found in the schema",
        keys.len()
    );
    for (section, key, meaning) in keys {
        assert!(!meaning.is_empty(), "{section}.{key} has no doc line");
        let start = file
            .find(&format!("\n[{section}]\n"))
            .or_else(|| file.find(&format!("\n# [{section}.NAME]\n")))
            .expect("each section is in the file");
        let body = &file[start + 1..];
        let body = body.split("\n\n").next().unwrap();
        let named = body.lines().any(|line| {
            let line = line.trim_start_matches(['#', ' ']);
            line.strip_prefix(&key)
                .is_some_and(|rest| rest.trim_start().starts_with('='))
        });
        // A key that holds named tables has a heading of its own.
        let headed = file.contains(&format!("\n# [{section}.{key}.NAME]\n"));
        assert!(
            named || headed,
            "{section}.{key} is not in config.default.toml"
        );
    }
}
