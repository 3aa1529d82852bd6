//! The fields of a callback, whether it came as a form, in the query, or as JSON.
//! Made by the gateway from the raw body; the pairs of a form are also what signatures are computed over.
//! Never keeps more than [`MAX_FIELDS`] of them, and reads no body beyond [`MAX_BODY_BYTES`].

use serde_json::Value;

/// Longest body of a callback, in bytes. Those of the carriers have a few kB.
pub const MAX_BODY_BYTES: usize = 256 * 1024;

/// Most fields that are kept of a callback.
pub const MAX_FIELDS: usize = 512;

/// Objects inside objects that are looked into.
const MAX_DEPTH: usize = 8;

/// Why a body cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Longer than [`MAX_BODY_BYTES`].
    #[error("the body has {0} bytes and may have {MAX_BODY_BYTES}")]
    TooLarge(usize),
    /// It says it is JSON and is not, or no object.
    #[error("the body is not a JSON object")]
    NotJson,
    /// It has more than [`MAX_FIELDS`] fields.
    #[error("the body has more than {MAX_FIELDS} fields")]
    TooMany,
}

/// Names and values in the order in which they came. JSON is flattened: `data.payload.state`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Fields {
    pairs: Vec<(String, String)>,
}

impl std::fmt::Debug for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.pairs.iter().map(|(name, _)| name))
            .finish()
    }
}

impl Fields {
    /// Reads a query string or a form.
    ///
    /// # Errors
    /// Too long, or too many fields.
    pub fn form(body: &[u8]) -> Result<Self, Unreadable> {
        if body.len() > MAX_BODY_BYTES {
            return Err(Unreadable::TooLarge(body.len()));
        }
        let mut fields = Self::default();
        for (name, value) in form_urlencoded::parse(body) {
            fields.add(name.into_owned(), value.into_owned())?;
        }
        Ok(fields)
    }

    /// Reads a JSON object. Lists are left out; nothing that we read stands in one.
    ///
    /// # Errors
    /// Too long, no JSON object, or too many fields.
    pub fn json(body: &[u8]) -> Result<Self, Unreadable> {
        if body.len() > MAX_BODY_BYTES {
            return Err(Unreadable::TooLarge(body.len()));
        }
        let value: Value = serde_json::from_slice(body).map_err(|_| Unreadable::NotJson)?;
        if !value.is_object() {
            return Err(Unreadable::NotJson);
        }
        let mut fields = Self::default();
        fields.flatten("", &value, 0)?;
        Ok(fields)
    }

    /// Reads a body by its `content-type`: JSON when it says so, else a form.
    ///
    /// # Errors
    /// As [`Fields::json`] and [`Fields::form`].
    pub fn body(content_type: &str, body: &[u8]) -> Result<Self, Unreadable> {
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case("application/json") {
            Self::json(body)
        } else {
            Self::form(body)
        }
    }

    fn flatten(&mut self, path: &str, value: &Value, depth: usize) -> Result<(), Unreadable> {
        match value {
            Value::Object(map) if depth < MAX_DEPTH => {
                for (key, inner) in map {
                    let path = if path.is_empty() {
                        key.clone()
                    } else {
                        format!("{path}.{key}")
                    };
                    self.flatten(&path, inner, depth + 1)?;
                }
                Ok(())
            }
            Value::String(text) => self.add(path.to_owned(), text.clone()),
            Value::Number(_) | Value::Bool(_) => self.add(path.to_owned(), value.to_string()),
            Value::Object(_) | Value::Array(_) | Value::Null => Ok(()),
        }
    }

    fn add(&mut self, name: String, value: String) -> Result<(), Unreadable> {
        if self.pairs.len() == MAX_FIELDS {
            return Err(Unreadable::TooMany);
        }
        self.pairs.push((name, value));
        Ok(())
    }

    /// The pairs as they came, repeated names among them.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    /// The first value of `name` that is not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// The first of `names` that there is.
    pub(super) fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.get(name))
    }

    /// The first of `names` that there is, without control characters: ids and words.
    pub(super) fn word(&self, names: &[&str]) -> Option<String> {
        self.first(names)
            .filter(|text| text.len() <= 1_024 && !text.chars().any(char::is_control))
            .map(str::to_owned)
    }

    /// A whole number that is not negative; fractions are cut off.
    pub(super) fn number(&self, names: &[&str]) -> Option<u64> {
        let text = self.first(names)?.trim();
        text.split('.').next()?.parse().ok()
    }
}
