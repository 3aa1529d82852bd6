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
    /// What a call that was placed had sent along, where the carrier repeats it (Telnyx).
    pub(crate) client_state: Option<String>,
    /// Whether it is only tried whether somebody answers (Genesys).
    pub(crate) probe: bool,
}

const VERBS: [&str; 14] = [
    "ConversationRelay",
    "Redirect",
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
            let (tag, content) = tag.split_once('>').unwrap();
            let tag = tag.trim_end_matches('/');
            if tag.starts_with('/') {
                continue;
            }
            let (verb, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
            assert!(VERBS.contains(&verb), "no carrier knows <{verb}>: {text}");
            let get = |name: &str| attribute(attributes, name);
            match verb {
                "Response" => continue,
                "Connect" => document.action = get("action"),
                "Stream" | "ConversationRelay" => {
                    // Plivo has the address between the tags
                    document.url = get("url").unwrap_or_else(|| plain(content));
                    assert!(!document.url.contains('?'), "a query is error 31920");
                    let status = get("statusCallback").or_else(|| get("statusCallbackUrl"));
                    document.status_callback = status;
                    document.bearer = get("authBearerToken");
                    let headers = get("extraHeaders").unwrap_or_default();
                    for pair in headers.split(',').filter_map(|it| it.split_once('=')) {
                        document
                            .parameters
                            .push((pair.0.to_owned(), pair.1.to_owned()));
                    }
                    if text.contains("extraHeaders") {
                        assert!(headers.len() <= 512, "extraHeaders has at most 512 bytes");
                    }
                }
                "Redirect" => document.action = Some(plain(content)),
                "Parameter" => {
                    let pair = (get("name").unwrap(), get("value").unwrap());
                    assert!(pair.0.len() + pair.1.len() <= 500);
                    document.parameters.push(pair);
                }
                "Reject" | "Hangup" => document.reason = get("reason"),
                _ => {}
            }
            document.verbs.push(verb.to_owned());
        }
        document
    }

    /// What Exotel's applet and Vonage are answered: JSON.
    pub(crate) fn of_json(text: &str) -> Self {
        let body: serde_json::Value = serde_json::from_str(text).unwrap();
        let mut document = Self::default();
        if let Some(url) = body["url"].as_str() {
            assert!(
                url.len() <= 600,
                "an address of Exotel's has 600 characters"
            );
            let (_, query) = url.split_once('?').unwrap();
            let pairs = url::form_urlencoded::parse(query.as_bytes()).into_owned();
            document.parameters = pairs.filter(|(name, _)| name != "sample-rate").collect();
            assert!(document.parameters.len() <= 3, "three parameters");
            document.url = url.to_owned();
            document.verbs.push("Stream".to_owned());
        }
        for action in body.as_array().into_iter().flatten() {
            document
                .verbs
                .push(action["action"].as_str().unwrap().to_owned());
            let endpoint = &action["endpoint"][0];
            assert_eq!(endpoint["type"], "websocket", "{action}");
            assert_eq!(endpoint["content-type"], "audio/l16;rate=16000");
            document.url = endpoint["uri"].as_str().unwrap().to_owned();
            let bearer = endpoint["authorization"]["value"].as_str().unwrap();
            document.bearer = bearer.strip_prefix("Bearer ").map(str::to_owned);
            let status = action["eventUrl"][0].as_str();
            document.status_callback = status.map(str::to_owned);
            for (name, value) in endpoint["headers"].as_object().unwrap() {
                let pair = (name.clone(), value.as_str().unwrap().to_owned());
                document.parameters.push(pair);
            }
        }
        document
    }

    /// The address that a carrier was given by hand, because it asks for none.
    pub(crate) fn fixed(url: String) -> Self {
        Self {
            url,
            ..Self::default()
        }
    }

    /// The value of a parameter.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        let found = self.parameters.iter().find(|(own, _)| own == name);
        &found.unwrap().1
    }
}

fn attribute(attributes: &str, name: &str) -> Option<String> {
    let (_, rest) = attributes.split_once(&format!("{name}=\""))?;
    Some(plain(rest.split('"').next()?))
}

/// Text without its escapes.
fn plain(text: &str) -> String {
    text.replace("&quot;", "\"")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}
