//! The OpenAPI document as one page of plain HTML.
//! Used by `docs` only.
//! Never runs a script.

use std::fmt::Write as _;

use serde_json::Value;

const HEAD: &str = "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>\
<title>Antiphon interface</title><style>\
body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}\
code,pre{font:.9rem/1.4 ui-monospace,monospace}pre{background:#f3f3f3;padding:.75rem;overflow:auto}\
h2{margin-top:2.5rem;border-top:1px solid #ccc;padding-top:1rem}table{border-collapse:collapse}\
td,th{text-align:left;padding:.2rem 1rem .2rem 0;vertical-align:top}\
@media(prefers-color-scheme:dark){body{background:#161616;color:#eee}pre{background:#222}a{color:#9cf}}\
</style>";

/// Renders `document`.
pub(super) fn render(document: &Value) -> String {
    let mut page = String::from(HEAD);
    let info = &document["info"];
    // writing to a String does not fail
    let _ = write!(
        page,
        "<h1>{}</h1><p>{}</p><p><a href=/openapi.json>openapi.json</a> · <a href=/asyncapi.json>asyncapi.json</a></p>",
        escape(text(&info["title"])),
        escape(text(&info["description"])),
    );
    for (path, operations) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in operations.as_object().into_iter().flatten() {
            operation_section(
                &mut page,
                &format!("{} {path}", method.to_uppercase()),
                operation,
            );
        }
    }
    page.push_str("<h2 id=schemas>Schemas</h2>");
    for (name, schema) in document["components"]["schemas"]
        .as_object()
        .into_iter()
        .flatten()
    {
        let body = serde_json::to_string_pretty(schema).unwrap_or_default();
        let _ = write!(
            page,
            "<details id='schema-{0}'><summary><code>{0}</code> {1}</summary><pre>{2}</pre></details>",
            escape(name),
            escape(text(&schema["description"])),
            escape(&body),
        );
    }
    page
}

fn operation_section(page: &mut String, title: &str, operation: &Value) {
    let _ = write!(
        page,
        "<h2><code>{}</code></h2><p><strong>{}</strong></p><p>{}</p>",
        escape(title),
        escape(text(&operation["summary"])),
        escape(text(&operation["description"])),
    );
    let parameters = operation["parameters"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    for parameter in parameters {
        let _ = write!(
            page,
            "<p><code>{}</code> ({}): {}</p>",
            escape(text(&parameter["name"])),
            escape(text(&parameter["in"])),
            escape(text(&parameter["description"])),
        );
    }
    for (kind, body) in operation["requestBody"]["content"]
        .as_object()
        .into_iter()
        .flatten()
    {
        let _ = write!(
            page,
            "<p>Body <code>{}</code>{}</p>",
            escape(kind),
            reference(&body["schema"])
        );
    }
    page.push_str("<table><tr><th>Status<th>Meaning<th>Body");
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        let _ = write!(
            page,
            "<tr><td>{}<td>{}<td>",
            escape(status),
            escape(text(&response["description"]))
        );
        for (kind, body) in response["content"].as_object().into_iter().flatten() {
            let _ = write!(
                page,
                "<code>{}</code>{} ",
                escape(kind),
                reference(&body["schema"])
            );
        }
    }
    page.push_str("</table>");
}

/// A link to the schema, where it has a name.
fn reference(schema: &Value) -> String {
    match schema["$ref"]
        .as_str()
        .and_then(|target| target.rsplit('/').next())
    {
        Some(name) => format!(", <a href='#schema-{0}'>{0}</a>", escape(name)),
        None => String::new(),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        let document = serde_json::json!({
            "info": { "title": "<script>", "description": "a & b" },
            "paths": { "/x": { "get": { "summary": "say \"it\"", "responses": { "200": { "description": "ok" } } } } },
        });
        let page = render(&document);
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"));
        assert!(page.contains("a &amp; b") && page.contains("say &quot;it&quot;"));
        assert!(page.contains("GET /x"));
    }
}
