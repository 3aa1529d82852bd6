use super::*;

#[test]
fn keywords_that_are_refused_are_left_out_at_every_level() {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "city": {
                "type": ["string", "null"], "minLength": 1, "format": "uri", "examples": ["Bern"],
                "$comment": "x"
            },
            "days": {
                "type": "array", "uniqueItems": true,
                "items": { "type": "integer", "exclusiveMinimum": 0, "maximum": 7, "format": "int32" }
            },
            "unit": { "const": "celsius" },
            "size": { "type": "integer", "enum": [1, 2] },
            "where": { "oneOf": [
                { "type": "string", "contentEncoding": "base64" }, { "type": "null" }
            ] }
        },
        "patternProperties": { "^x": {} },
        "required": ["city", "gone"]
    });
    assert_eq!(
        parameters(&schema).unwrap(),
        json!({
            "type": "object",
            "properties": {
                "city": { "type": "string", "nullable": true, "minLength": 1 },
                "days": {
                    "type": "array",
                    "items": { "type": "integer", "maximum": 7, "format": "int32" }
                },
                "unit": { "type": "string", "enum": ["celsius"] },
                "size": { "type": "integer" },
                "where": { "anyOf": [{ "type": "string" }], "nullable": true }
            },
            "required": ["city"]
        })
    );
}

#[test]
fn references_are_followed_and_circles_end() {
    let schema = json!({
        "type": "object",
        "properties": {
            "home": { "$ref": "#/$defs/place" },
            "odd": { "$ref": "https://elsewhere/x" },
            "both": { "allOf": [
                { "$ref": "#/$defs/place" },
                { "type": "object", "properties": { "zip": { "type": "string" } } }
            ] },
            "loop": { "$ref": "#/$defs/loop" }
        },
        "$defs": {
            "place": {
                "type": "object", "properties": { "name": { "type": "string" } }, "required": ["name"]
            },
            "loop": { "$ref": "#/$defs/loop" },
        }
    });
    let written = parameters(&schema).unwrap();
    let properties = &written["properties"];
    assert_eq!(
        properties["home"],
        json!({
            "type": "object", "properties": { "name": { "type": "string" } }, "required": ["name"]
        })
    );
    assert_eq!(properties["odd"], json!({}));
    assert_eq!(properties["loop"], json!({}));
    assert_eq!(
        properties["both"]["properties"],
        json!({ "name": { "type": "string" }, "zip": { "type": "string" } })
    );

    let tree = json!({
        "type": "object",
        "properties": { "child": { "$ref": "#" } }
    });
    let mut depth = 0;
    let mut at = &parameters(&tree).unwrap();
    while at["properties"]["child"].is_object() {
        at = &at["properties"]["child"];
        depth += 1;
    }
    assert!((2..=DEPTH).contains(&depth), "{depth}");
}

#[test]
fn a_function_without_arguments_has_no_schema() {
    for schema in [
        json!({}),
        json!(null),
        json!({ "type": "object" }),
        json!({ "type": "object", "properties": {} }),
    ] {
        assert_eq!(parameters(&schema), None, "{schema}");
    }
}
