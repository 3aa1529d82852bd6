//! From a server's list of tools to what a model is offered: legal names, descriptions and schemas of bounded size.
//! Used when a server is asked what it has.
//! Never trusts the list: whoever runs the server wrote it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use engine::ask::{ServerTool, ToolRunner};
use rmcp::model::Tool;
use serde_json::Value;

use super::McpConfig;
use crate::tools::Arguments;

/// Tools of one server that are offered; a model that has to choose among more chooses badly.
pub(super) const MAX_TOOLS: usize = 128;
/// Characters of a description.
const MAX_DESCRIPTION: usize = 1_000;
/// Bytes of a schema: with a larger one the model would read little else.
const MAX_SCHEMA: usize = 32 * 1024;
/// Characters of a name, the shortest limit among vendors of language models.
const MAX_NAME: usize = 64;

/// A tool of a server.
#[derive(Debug)]
pub(super) struct Known {
    /// Its name there.
    pub(super) name: String,
    /// What it takes.
    pub(super) arguments: Arguments,
}

/// The tools of a list by the names that models see, and what models are offered.
pub(super) fn read(
    listed: Vec<Tool>,
    config: &McpConfig,
) -> (HashMap<String, Arc<Known>>, Vec<ServerTool>) {
    // a legal name is never taken away by one that has to be changed
    let mut taken: HashSet<String> = listed
        .iter()
        .map(|tool| tool.name.to_string())
        .filter(|name| is_legal(name))
        .collect();
    let mut known = HashMap::new();
    let mut offered = Vec::new();
    for tool in listed.into_iter().take(MAX_TOOLS) {
        let own = tool.name.into_owned();
        let name = if is_legal(&own) {
            own.clone()
        } else {
            legal(&own, &mut taken)
        };
        if known.contains_key(&name) {
            continue;
        }
        let parameters = Value::Object((*tool.input_schema).clone());
        let parameters = Some(parameters).filter(|schema| schema.to_string().len() <= MAX_SCHEMA);
        // a server's own schema that cannot be read does not keep its tool from being called
        let arguments = Arguments::new(parameters.as_ref()).or_else(|_| Arguments::new(None));
        let Ok(arguments) = arguments else { continue };
        let entry = Known {
            name: own,
            arguments,
        };
        known.insert(name.clone(), Arc::new(entry));
        offered.push(ServerTool {
            name,
            description: tool
                .description
                .map(|text| text.chars().take(MAX_DESCRIPTION).collect()),
            parameters,
            runner: ToolRunner::Detached,
            filler: config.filler.clone(),
            filler_after_ms: config.filler_after_ms,
        });
    }
    (known, offered)
}

fn is_legal(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && name.chars().all(is_plain)
}

fn is_plain(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_' || letter == '-'
}

/// A legal name like `name`, which nobody else has.
fn legal(name: &str, taken: &mut HashSet<String>) -> String {
    let letters = name.chars().take(MAX_NAME);
    let plain: String = letters
        .map(|letter| if is_plain(letter) { letter } else { '_' })
        .collect();
    let plain = if plain.is_empty() {
        "_"
    } else {
        plain.as_str()
    };
    let mut found = plain.to_owned();
    let mut number = 2;
    while !taken.insert(found.clone()) {
        let end = format!("_{number}");
        let room = plain.len().min(MAX_NAME - end.len());
        found = format!("{}{end}", &plain[..room]);
        number += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn config() -> McpConfig {
        McpConfig {
            label: "docs".to_owned(),
            url: "https://example.org/?key=s3cret".to_owned(),
            headers: vec![("x-key".to_owned(), "s3cret".to_owned())],
            allowed: None,
            limit: Duration::from_secs(1),
            filler: None,
            filler_after_ms: 0,
        }
    }

    fn tool(name: &str, description: &str, schema: &Value) -> Tool {
        serde_json::from_value(
            json!({ "name": name, "description": description, "inputSchema": schema }),
        )
        .unwrap()
    }

    #[test]
    fn names_become_legal_and_are_found_again() {
        let schema = json!({ "type": "object" });
        let long = "x".repeat(100);
        let names = ["a.b", "a_b", "a/b", "ok-1", "", &long, &format!("{long}y")];
        let listed = names.map(|name| tool(name, "", &schema)).to_vec();
        let (known, offered) = read(listed, &config());
        let shown: Vec<&str> = offered.iter().map(|tool| tool.name.as_str()).collect();
        let cut = format!("{}_2", "x".repeat(62));
        assert_eq!(
            shown,
            ["a_b_2", "a_b", "a_b_3", "ok-1", "_", &long[..64], &cut]
        );
        for (shown, own) in shown.iter().zip(names) {
            assert_eq!(known[*shown].name, own);
        }
    }

    #[test]
    fn descriptions_and_schemas_have_a_size() {
        let large = json!({ "type": "object", "description": "x".repeat(MAX_SCHEMA) });
        let listed = vec![tool("x", &"ä".repeat(2_000), &large)];
        let (known, offered) = read(listed, &config());
        assert_eq!(
            offered[0].description.as_ref().unwrap().chars().count(),
            1_000
        );
        assert_eq!(offered[0].parameters, None);
        assert!(known["x"].arguments.read("{\"any\":1}").is_ok());
        let many = (0..300).map(|n| tool(&format!("t{n}"), "", &json!({})));
        assert_eq!(read(many.collect(), &config()).1.len(), MAX_TOOLS);
    }

    #[test]
    fn a_configuration_is_printed_without_its_keys() {
        let printed = format!("{:?}", config());
        assert!(
            printed.contains("docs") && !printed.contains("s3cret"),
            "{printed}"
        );
    }
}
