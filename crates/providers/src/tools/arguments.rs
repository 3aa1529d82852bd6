//! Arguments that a model wrote, held against the JSON Schema of the function.
//! Used before anything is sent anywhere.
//! Never loads a schema from another address: references stay inside the schema.

use engine::ask::ToolOutcome;
use serde_json::Value;

/// Complaints that a model is told at once; a third one teaches nothing new.
const COMPLAINTS: usize = 3;

/// A schema that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SchemaError(String);

/// The arguments of a function, as its schema wants them.
#[derive(Debug)]
pub struct Arguments(Option<jsonschema::Validator>);

impl Arguments {
    /// Arguments that fit `schema`, or any object without one.
    ///
    /// # Errors
    /// When it is no JSON Schema, or refers to another document.
    pub fn new(schema: Option<&Value>) -> Result<Self, SchemaError> {
        let compiled = schema.map(jsonschema::validator_for).transpose();
        compiled
            .map(Self)
            .map_err(|error| SchemaError(error.to_string()))
    }

    /// Reads what a model wrote.
    ///
    /// # Errors
    /// What the model must be told to do better.
    pub fn read(&self, written: &str) -> Result<Value, ToolOutcome> {
        let written = if written.trim().is_empty() {
            "{}"
        } else {
            written
        };
        let value: Value = serde_json::from_str(written).map_err(|error| {
            ToolOutcome::Failed(format!(
                "the arguments are not JSON ({error}); call it again"
            ))
        })?;
        if !value.is_object() {
            let told = "the arguments are not a JSON object; call it again";
            return Err(ToolOutcome::Failed(told.to_owned()));
        }
        let Some(schema) = &self.0 else {
            return Ok(value);
        };
        let complaints: Vec<String> = schema
            .iter_errors(&value)
            .take(COMPLAINTS)
            .map(|error| {
                let place = error.instance_path().to_string();
                let place = if place.is_empty() { "/" } else { &place };
                format!("{place}: {error}")
            })
            .collect();
        if complaints.is_empty() {
            return Ok(value);
        }
        let complaints = complaints.join("; ");
        Err(ToolOutcome::Failed(format!(
            "the arguments do not fit the schema: {complaints}; call it again"
        )))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(schema: &Value, written: &str) -> String {
        match Arguments::new(Some(schema)).unwrap().read(written) {
            Err(ToolOutcome::Failed(told)) => told,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_fits_is_read_and_what_does_not_is_explained() {
        let schema = json!({ "type": "object", "required": ["city"], "additionalProperties": false,
            "properties": { "city": { "type": "string" }, "days": { "type": "integer", "maximum": 7 } } });
        let arguments = Arguments::new(Some(&schema)).unwrap();
        assert_eq!(
            arguments.read("{\"city\":\"Paris\",\"days\":3}").unwrap(),
            json!({ "city": "Paris", "days": 3 })
        );
        assert!(told(&schema, "{\"days\":9}").contains("\"city\" is a required property"));
        assert!(told(&schema, "{\"city\":\"Paris\",\"days\":9}").contains("/days"));
        assert!(told(&schema, "{\"city\":").contains("not JSON"));
        assert!(told(&schema, "[]").contains("not a JSON object"));
        assert!(told(&schema, "").contains("required"));
        assert_eq!(Arguments::new(None).unwrap().read("").unwrap(), json!({}));
    }

    #[test]
    fn a_schema_that_is_none_or_lives_elsewhere_is_refused() {
        assert!(Arguments::new(Some(&json!({ "type": "nothing" }))).is_err());
        let elsewhere = json!({ "$ref": "http://127.0.0.1:1/schema.json" });
        assert!(Arguments::new(Some(&elsewhere)).is_err());
    }
}
