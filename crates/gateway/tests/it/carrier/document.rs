//! An answer document as the carrier reads it.
//! Used by the fake carrier.
//! Never forgives what a carrier would not: an unknown verb fails the story.

/// What there is to do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Document {
    /// Verbs in order.
    pub(crate) verbs: Vec<String>,
    /// Where to stream to.
    pub(crate) url: String,
    /// What to send along.
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) action: Option<String>,
    pub(crate) status_callback: Option<String>,
    pub(crate) bearer: Option<String>,
    pub(crate) reason: Option<String>,
}

const VERBS: [&str; 12] = [
    "Response",
    "Connect",
    "Start",
    "Stream",
    "Parameter",
    "Say",
    "Hangup",
    "Reject",
    "Dial",
    "Number",
    "Pause",
    "Play",
];

impl Document {
    pub(crate) fn parse(text: &str) -> Self {
        let mut document = Self::default();
        let body = text.split_once("?>").map_or(text, |(_, body)| body);
        for tag in body.split('<').skip(1) {
            let tag = tag.split('>').next().unwrap().trim_end_matches('/');
            if tag.starts_with('/') {
                continue;
            }
            let (verb, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
            assert!(VERBS.contains(&verb), "no carrier knows <{verb}>: {text}");
            let get = |name: &str| attribute(attributes, name);
            match verb {
                "Response" => continue,
                "Connect" => document.action = get("action"),
                "Stream" => {
                    document.url = get("url").unwrap();
                    assert!(!document.url.contains('?'), "a query is error 31920");
                    document.status_callback = get("statusCallback");
                    document.bearer = get("authBearerToken");
                }
                "Parameter" => {
                    let pair = (get("name").unwrap(), get("value").unwrap());
                    assert!(pair.0.len() + pair.1.len() <= 500);
                    document.parameters.push(pair);
                }
                "Reject" => document.reason = get("reason"),
                _ => {}
            }
            document.verbs.push(verb.to_owned());
        }
        document
    }

    /// The value of a parameter.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        let found = self.parameters.iter().find(|(own, _)| own == name);
        &found.unwrap().1
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
