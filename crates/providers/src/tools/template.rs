//! Addresses with places for arguments: `https://example.org/weather/{city}?days={days}`.
//! Used by HTTP tools.
//! Never lets an argument choose the server, or leave the part of the path that it stands in.

use serde_json::{Map, Value};
use url::Url;
use url::form_urlencoded::byte_serialize;

/// An address with places.
#[derive(Debug, Clone)]
pub(super) struct Template {
    /// Scheme and server, where no argument may stand.
    server: String,
    path: String,
    /// With its question mark, or empty.
    query: String,
}

impl Template {
    /// Reads an address.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        if text.chars().any(char::is_control) {
            return Err("it holds control characters".to_owned());
        }
        let after_scheme = text.find("://").map(|at| at + 3);
        let from = after_scheme.ok_or("it is no http or https address")?;
        let ends_server = |letter| matches!(letter, '/' | '\\' | '?' | '#');
        let end = text[from..].find(ends_server);
        let end = end.map_or(text.len(), |at| from + at);
        let (server, rest) = text.split_at(end);
        if server.len() == from {
            return Err("it names no server".to_owned());
        }
        // what follows a hash is not sent
        let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        if [server, fragment]
            .iter()
            .any(|part| part.contains(['{', '}']))
        {
            return Err("an argument may stand in its path and in its query only".to_owned());
        }
        let (path, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
        let template = Self {
            server: server.to_owned(),
            // a server address with backslashes is read as one with slashes
            path: path.replace('\\', "/"),
            query: query.to_owned(),
        };
        for part in template.path.split('/').chain([query]) {
            check(part)?;
        }
        template.parse(&template.path, &template.query)?;
        Ok(template)
    }

    /// The address as far as it is known without arguments.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn bare(&self) -> Result<Url, String> {
        self.parse(&self.path, &self.query)
    }

    /// The address with the arguments that it names, which are taken out of `arguments`.
    ///
    /// # Errors
    /// What the model must be told to do better.
    pub(super) fn fill(&self, arguments: &mut Map<String, Value>) -> Result<Url, String> {
        let mut used = Vec::new();
        let mut segments = Vec::new();
        for segment in self.path.split('/') {
            let filled = fill(segment, arguments, &mut used)?;
            // the same in other letters: a dot may be written as %2e
            let plain = filled.to_ascii_lowercase().replace("%2e", ".");
            if filled != segment && matches!(plain.as_str(), "" | "." | "..") {
                return Err(format!(
                    "the argument for {segment} may not be empty or dots only; call it again"
                ));
            }
            segments.push(filled);
        }
        let query = fill(&self.query, arguments, &mut used)?;
        arguments.retain(|name, _| !used.contains(name));
        self.parse(&segments.join("/"), &query)
    }

    fn parse(&self, path: &str, query: &str) -> Result<Url, String> {
        let text = format!("{}{path}{query}", self.server);
        Url::parse(&text).map_err(|error| error.to_string())
    }
}

/// Whether every brace of `part` belongs to a place with a name.
fn check(part: &str) -> Result<(), String> {
    let mut rest = part;
    while let Some(at) = rest.find(['{', '}']) {
        let inside = rest[at..].strip_prefix('{');
        let name = inside.and_then(|inside| inside.split_once('}'));
        let named = name.filter(|(name, _)| !name.is_empty() && !name.contains('{'));
        let (_, after) = named.ok_or("a brace in it belongs to no argument")?;
        rest = after;
    }
    Ok(())
}

/// `part` with its arguments, whose names are added to `used`.
fn fill(
    part: &str,
    arguments: &Map<String, Value>,
    used: &mut Vec<String>,
) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = part;
    while let Some((before, inside)) = rest.split_once('{') {
        let (name, after) = inside.split_once('}').unwrap_or((inside, ""));
        let value = arguments.get(name).filter(|value| !value.is_null());
        let value = value.ok_or_else(|| {
            format!("the address needs the argument '{name}', which is missing; call it again")
        })?;
        filled.push_str(before);
        let encoded: String = byte_serialize(plain(value).as_bytes()).collect();
        // the form encoding's plus is a plus in a path
        filled.push_str(&encoded.replace('+', "%20"));
        used.push(name.to_owned());
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// A value as people write it.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filled(template: &str, arguments: Value) -> Result<String, String> {
        let Value::Object(mut arguments) = arguments else {
            panic!("no object");
        };
        let template = Template::new(template).unwrap();
        template.fill(&mut arguments).map(|url| url.to_string())
    }

    #[test]
    fn arguments_stay_in_their_places() {
        let template = "https://example.org/a/{x}/b?q={y}";
        let url = filled(template, json!({ "x": "São/../Paulo?", "y": "1&z=2" })).unwrap();
        assert_eq!(
            url,
            "https://example.org/a/S%C3%A3o%2F..%2FPaulo%3F/b?q=1%26z%3D2"
        );
        let url = filled(template, json!({ "x": "..\\..", "y": "#" })).unwrap();
        assert_eq!(url, "https://example.org/a/..%5C../b?q=%23");
        let url = filled(template, json!({ "x": 7, "y": "" })).unwrap();
        assert_eq!(url, "https://example.org/a/7/b?q=");
    }

    #[test]
    fn no_argument_leaves_its_part_of_the_path() {
        for wrong in ["", ".", ".."] {
            let told = filled("https://example.org/a/{x}/b", json!({ "x": wrong })).unwrap_err();
            assert!(told.contains("{x}") && told.contains("dots"), "{told}");
            let told = filled("https://example.org\\a\\{x}", json!({ "x": wrong })).unwrap_err();
            assert!(told.contains("dots"), "{told}");
        }
        for (template, x) in [
            ("https://example.org/%2E{x}", "."),
            ("https://example.org/.{x}", ""),
        ] {
            assert!(filled(template, json!({ "x": x })).is_err(), "{template}");
        }
        // letters of its own keep a segment what it is
        assert!(filled("https://example.org/v{x}", json!({ "x": ".." })).is_ok());
    }

    #[test]
    fn what_is_missing_is_not_sent() {
        for arguments in [json!({}), json!({ "x": null })] {
            let told = filled("https://example.org/a?q={x}", arguments).unwrap_err();
            assert!(told.contains("'x'") && told.contains("missing"), "{told}");
        }
    }

    #[test]
    fn no_argument_chooses_the_server() {
        for wrong in [
            "https://{host}/",
            "https://example.org:{port}/",
            "{scheme}://example.org/",
            "https:///{host}/",
            "https://example.org/#{x}",
            "https://example.org/{",
            "https://example.org/}",
            "https://example.org/{}",
            "https://example.org/{a/b}",
            "https://example.org/.\n{x}",
            "example.org/{x}",
        ] {
            assert!(Template::new(wrong).is_err(), "{wrong}");
        }
    }
}
