//! A cursor over parsed JSON that knows its own path, so that every error names its parameter.
//! Used by the other files of `decode` and by `rest`, whose errors must read the same.
//! Never guesses: a value is either what was asked for or an error with the hosted wording.

use std::fmt::Display;
use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value};

use crate::realtime::ErrorBody;
use crate::realtime::session::Clearable;

/// What reading a value gives.
pub(crate) type Read<T> = Result<T, ErrorBody>;

/// Longest excerpt of a client's value in an error message, in characters.
const EXCERPT: usize = 64;

/// A value and where it stands (`session.tools[0].name`).
#[derive(Debug, Clone)]
pub(crate) struct At<'a> {
    /// The value.
    pub(crate) value: &'a Value,
    /// Its path; empty for the event itself.
    pub(crate) path: String,
}

/// An object and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    object: &'a Map<String, Value>,
    path: String,
}

/// `invalid_value` at `path`, with this message.
pub(crate) fn invalid(path: &str, message: impl Into<String>) -> ErrorBody {
    ErrorBody::invalid("invalid_value", message).at(path)
}

/// `missing_required_parameter` for `path`.
pub(crate) fn missing(path: &str) -> ErrorBody {
    let message = format!("Missing required parameter: '{path}'.");
    ErrorBody::invalid("missing_required_parameter", message).at(path)
}

/// `unknown_parameter` for `path`.
pub(crate) fn unknown(path: &str) -> ErrorBody {
    let message = format!("Unknown parameter: '{path}'.");
    ErrorBody::invalid("unknown_parameter", message).at(path)
}

/// The hosted message for a value outside a closed set.
pub(crate) fn unsupported<'n>(
    path: &str,
    value: &str,
    supported: impl IntoIterator<Item = &'n str>,
) -> ErrorBody {
    let names: Vec<String> = supported.into_iter().map(|n| format!("'{n}'")).collect();
    let list = match names.as_slice() {
        [rest @ .., last] if rest.len() > 1 => format!("{}, and {last}", rest.join(", ")),
        few => few.join(" and "),
    };
    let value: String = value.chars().take(EXCERPT).collect();
    invalid(
        path,
        format!("Invalid value: '{value}'. Supported values are: {list}."),
    )
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a decimal",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

impl<'a> At<'a> {
    /// A value at the path `path`.
    pub(crate) fn new(value: &'a Value, path: impl Into<String>) -> Self {
        Self {
            value,
            path: path.into(),
        }
    }

    /// The error for a value of the wrong type.
    pub(crate) fn expected(&self, what: &str) -> ErrorBody {
        let got = kind_of(self.value);
        let message = format!(
            "Invalid type for '{}': expected {what}, but got {got} instead.",
            self.path
        );
        invalid(&self.path, message)
    }

    /// A string.
    pub(crate) fn string(self) -> Read<String> {
        self.text().map(str::to_owned)
    }

    /// A string, borrowed.
    pub(crate) fn text(&self) -> Read<&'a str> {
        self.value.as_str().ok_or_else(|| self.expected("a string"))
    }

    /// A boolean.
    pub(crate) fn boolean(self) -> Read<bool> {
        self.value
            .as_bool()
            .ok_or_else(|| self.expected("a boolean"))
    }

    /// A non-negative integer; `3.0` counts, because some languages write it so.
    pub(crate) fn integer(self) -> Read<u64> {
        let whole = self.value.as_f64().filter(|f| {
            // the largest integer a double holds exactly
            f.fract() == 0.0 && f.abs() <= 9_007_199_254_740_992.0
        });
        match (self.value.as_u64(), whole) {
            (Some(integer), _) => Ok(integer),
            (None, Some(float)) if float >= 0.0 => Ok(float as u64),
            (None, Some(_)) => {
                let message = format!(
                    "Invalid '{}': expected a value >= 0, but got {} instead.",
                    self.path, self.value
                );
                Err(invalid(&self.path, message))
            }
            (None, None) => Err(self.expected("an integer")),
        }
    }

    /// An integer within `range`.
    pub(crate) fn integer_in(self, range: RangeInclusive<u32>) -> Read<u32> {
        let path = self.path.clone();
        let value = self.integer()?;
        u32::try_from(value)
            .ok()
            .filter(|value| range.contains(value))
            .ok_or_else(|| outside(&path, &value, &range))
    }

    /// A non-negative 32-bit integer.
    pub(crate) fn small_integer(self) -> Read<u32> {
        self.integer_in(0..=u32::MAX)
    }

    /// A number within `range`.
    pub(crate) fn number_in(self, range: RangeInclusive<f32>) -> Read<f32> {
        let number = self
            .value
            .as_f64()
            .ok_or_else(|| self.expected("a decimal"))? as f32;
        if range.contains(&number) {
            return Ok(number);
        }
        Err(outside(&self.path, self.value, &range))
    }

    /// One of a closed set of strings.
    pub(crate) fn choice<T: Copy>(self, table: &[(&str, T)]) -> Read<T> {
        let text = self.text()?;
        table
            .iter()
            .find_map(|(name, value)| (*name == text).then_some(*value))
            .ok_or_else(|| unsupported(&self.path, text, table.iter().map(|(name, _)| *name)))
    }

    /// An array, element by element.
    pub(crate) fn each<T>(self, read: impl Fn(At<'a>) -> Read<T>) -> Read<Vec<T>> {
        let Value::Array(values) = self.value else {
            return Err(self.expected("an array"));
        };
        values
            .iter()
            .enumerate()
            .map(|(index, value)| read(At::new(value, format!("{}[{index}]", self.path))))
            .collect()
    }

    /// An array of strings.
    pub(crate) fn strings(self) -> Read<Vec<String>> {
        self.each(At::string)
    }

    /// An object.
    pub(crate) fn object(self) -> Read<Fields<'a>> {
        match self.value {
            Value::Object(object) => Ok(Fields {
                object,
                path: self.path,
            }),
            _ => Err(self.expected("an object")),
        }
    }

    /// Base64 in the standard alphabet, padded.
    pub(crate) fn base64(self) -> Read<Bytes> {
        let text = self.text()?;
        STANDARD.decode(text).map(Bytes::from).map_err(|_| {
            let path = &self.path;
            let message = format!("Invalid '{path}': expected base64-encoded audio bytes.");
            invalid(path, message)
        })
    }

    /// Any JSON, kept as it is.
    #[expect(
        clippy::unnecessary_wraps,
        reason = "the readers are passed by name and share a type"
    )]
    pub(crate) fn json(self) -> Read<Value> {
        Ok(self.value.clone())
    }
}

fn outside<T: Display>(path: &str, got: &impl Display, range: &RangeInclusive<T>) -> ErrorBody {
    let (low, high) = (range.start(), range.end());
    let message =
        format!("Invalid '{path}': expected a value between {low} and {high}, but got {got}.");
    invalid(path, message)
}

impl<'a> Fields<'a> {
    /// The path of the field `key`.
    pub(crate) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// The keys and values, for objects that are kept as sent.
    pub(crate) fn raw(&self) -> &'a Map<String, Value> {
        self.object
    }

    /// Fails on the first key that is not in one of `lists`.
    pub(crate) fn only(&self, lists: &[&[&str]]) -> Read<()> {
        let known = |key: &str| lists.iter().any(|list| list.contains(&key));
        match self.object.keys().find(|key| !known(key)) {
            Some(key) => Err(unknown(&self.path_of(key))),
            None => Ok(()),
        }
    }

    /// Fails when `key` is set to something.
    pub(crate) fn without(&self, keys: &[&str]) -> Read<()> {
        match keys.iter().find(|key| self.get(key).is_some()) {
            Some(key) => Err(unknown(&self.path_of(key))),
            None => Ok(()),
        }
    }

    /// The field `key`; null counts as absent.
    pub(crate) fn get(&self, key: &str) -> Option<At<'a>> {
        self.object
            .get(key)
            .filter(|value| !value.is_null())
            .map(|value| At::new(value, self.path_of(key)))
    }

    /// The field `key` read with `read`, or nothing when it is absent or null.
    pub(crate) fn read<T>(
        &self,
        key: &str,
        read: impl FnOnce(At<'a>) -> Read<T>,
    ) -> Read<Option<T>> {
        self.get(key).map(read).transpose()
    }

    /// The field `key`, where null means "clear it".
    pub(crate) fn clearable<T>(
        &self,
        key: &str,
        read: impl FnOnce(At<'a>) -> Read<T>,
    ) -> Read<Clearable<T>> {
        match self.object.get(key) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(None)),
            Some(value) => read(At::new(value, self.path_of(key))).map(|value| Some(Some(value))),
        }
    }

    /// The required field `key`.
    pub(crate) fn need<T>(&self, key: &str, read: impl FnOnce(At<'a>) -> Read<T>) -> Read<T> {
        read(self.get(key).ok_or_else(|| missing(&self.path_of(key)))?)
    }
}
