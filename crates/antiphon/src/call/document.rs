//! The server's answer document, as far as a softphone follows it: connect with a stream, or be rejected.
//! Used by `call`.
//! Never follows what it does not know: such a document is an error.

use anyhow::{Context as _, bail};

/// What the server wants done with the call.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Document {
    /// Where to stream to.
    pub(super) stream: String,
    /// What to send along.
    pub(super) parameters: Vec<(String, String)>,
    pub(super) status_callback: Option<String>,
    /// For the `Authorization` header of the stream.
    pub(super) bearer: Option<String>,
    /// Why the call is not taken.
    pub(super) rejected: Option<String>,
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// Markup that has no `<Connect><Stream>` and no `<Reject>` as far as it is read.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let mut document = Self::default();
        let body = text.split_once("?>").map_or(text, |(_, body)| body);
        for tag in body.split('<').skip(1) {
            let tag = tag
                .split('>')
                .next()
                .unwrap_or_default()
                .trim_end_matches('/');
            let (verb, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
            let get = |name: &str| attribute(attributes, name);
            match verb {
                "Stream" => {
                    document.stream = get("url").context("<Stream> has no url")?;
                    document.status_callback = get("statusCallback");
                    document.bearer = get("authBearerToken");
                }
                "Parameter" => {
                    let pair = get("name").zip(get("value"));
                    document
                        .parameters
                        .push(pair.context("<Parameter> has no name or no value")?);
                }
                "Reject" => document.rejected = Some(get("reason").unwrap_or_default()),
                "Hangup" if document.stream.is_empty() => {
                    document.rejected = Some("hang up".to_owned());
                }
                _ => {}
            }
        }
        if document.stream.is_empty() && document.rejected.is_none() {
            bail!("it neither connects the call with a stream nor rejects it: {text}");
        }
        Ok(document)
    }

    /// The value of a parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    }
}

fn attribute(attributes: &str, name: &str) -> Option<String> {
    let (_, rest) = attributes.split_once(&format!("{name}=\""))?;
    let value = rest.split('"').next()?;
    let plain = value
        .replace("&quot;", "\"")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&apos;", "'")
        .replace("&amp;", "&");
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_connects_or_rejects() {
        let text = "<?xml version=\"1.0\"?><Response><Connect action=\"https://a.example/x\"><Stream url=\"wss://a.example/t\">\
                    <Parameter name=\"callId\" value=\"call_1&amp;\"/></Stream></Connect></Response>";
        let document = Document::parse(text).unwrap();
        assert_eq!(document.stream, "wss://a.example/t");
        assert_eq!(document.parameter("callId"), Some("call_1&"));
        let rejected = Document::parse("<Response><Reject reason=\"busy\"/></Response>").unwrap();
        assert_eq!(rejected.rejected.as_deref(), Some("busy"));
        assert!(Document::parse("<html>").is_err());
    }
}
