//! The answer documents that are JSON: Vonage's call control objects, and the address that Exotel fetches.
//! Called by the gateway.
//! Never puts more into a document than the carrier passes on.

use serde_json::{Map, Value, json};

use super::super::format::Format;
use super::super::limits::{EXOTEL_PARAMETERS, EXOTEL_URL_CHARS, VONAGE_HEADERS_BYTES};
use super::{
    Dial, Role, Step, Stream, Unwritable, fits, number, parameter_names, socket_url, web_url,
};

/// The actions that make Vonage take `steps` one after another; serve them as `application/json`. A call whose actions are
/// over ends, so that [`Step::Hangup`] is the end of the list.
///
/// # Errors
/// As [`super::document`].
pub fn ncco(steps: &[Step<'_>]) -> Result<String, Unwritable> {
    let mut actions = Vec::new();
    for step in steps {
        match step {
            Step::Hangup => break,
            Step::Stream(stream) => actions.push(connect(stream)?),
            Step::Say(speech) => {
                let mut talk = Map::new();
                talk.insert("action".into(), "talk".into());
                talk.insert("text".into(), speech.text.into());
                if let Some(language) = speech.language {
                    talk.insert("language".into(), language.into());
                }
                actions.push(talk.into());
            }
            Step::Play(url) => {
                actions.push(json!({"action": "stream", "streamUrl": [web_url(url)?]}));
            }
            Step::Dial(call) => actions.push(phone(call)?),
            Step::Conference(room) => {
                let host = room.role == Role::Host;
                let mut conversation = json!({
                    "action": "conversation",
                    "name": room.name,
                    "startOnEnter": host,
                    "endOnExit": host,
                });
                if let Some(url) = room.wait_url {
                    conversation["musicOnHoldUrl"] = json!([web_url(url)?]);
                }
                actions.push(conversation);
            }
            Step::Watch(_)
            | Step::Relay(_)
            | Step::Keys(_)
            | Step::Pause(_)
            | Step::Redirect(_)
            | Step::Reject(_) => return Err(Unwritable::NoSuchStep),
        }
    }
    Ok(Value::from(actions).to_string())
}

fn connect(stream: &Stream<'_>) -> Result<Value, Unwritable> {
    let rate = match stream.format {
        Format::L16At8k | Format::L16At16k | Format::L16At24k => stream.format.rate_hz(),
        Format::Mulaw8k | Format::Alaw8k => return Err(Unwritable::Format),
    };
    // nobody is asked afterwards: the actions behind this one follow
    if stream.action.is_some() {
        return Err(Unwritable::NoSuchStep);
    }
    parameter_names(stream.parameters)?;
    let shadows = |(name, _): &(&str, &str)| matches!(*name, "event" | "content-type");
    if stream.parameters.iter().any(shadows) {
        return Err(Unwritable::ParameterText);
    }
    let headers: Map<String, Value> = stream
        .parameters
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Value::from(*value)))
        .collect();
    let headers = Value::from(headers);
    fits(headers.to_string().len(), VONAGE_HEADERS_BYTES, "bytes")?;
    let mut endpoint = json!({
        "type": "websocket",
        "uri": socket_url(stream.url)?,
        "content-type": format!("audio/l16;rate={rate}"),
        "headers": headers,
    });
    if let Some(bearer) = stream.bearer {
        endpoint["authorization"] = json!({"type": "custom", "value": format!("Bearer {bearer}")});
    }
    let mut action = json!({"action": "connect", "endpoint": [endpoint]});
    if let Some(url) = stream.status_callback {
        action["eventUrl"] = json!([web_url(url)?]);
    }
    Ok(action)
}

fn phone(call: &Dial<'_>) -> Result<Value, Unwritable> {
    let digits = |text| number(text).map(|number| number.trim_start_matches('+').to_owned());
    let mut action = json!({
        "action": "connect",
        "endpoint": [{"type": "phone", "number": digits(call.to)?}],
    });
    if let Some(shown) = call.caller_id {
        action["from"] = digits(shown)?.into();
    }
    if let Some(seconds) = call.timeout_s {
        action["timeout"] = seconds.into();
    }
    if let Some(url) = call.action {
        action["eventUrl"] = json!([web_url(url)?]);
        action["eventType"] = "synchronous".into();
    }
    Ok(action)
}

/// What an https address of ours answers to Exotel's Voicebot applet: the address of the socket, with the sample rate and
/// the parameters in its query. The parameters come back in the start.
///
/// # Errors
/// More than three parameters, or too long ones; an address that is none; a format other than linear.
pub fn exotel(stream: &Stream<'_>) -> Result<String, Unwritable> {
    let rate = match stream.format {
        Format::L16At8k | Format::L16At16k | Format::L16At24k => stream.format.rate_hz(),
        Format::Mulaw8k | Format::Alaw8k => return Err(Unwritable::Format),
    };
    if stream.action.is_some() || stream.bearer.is_some() || stream.status_callback.is_some() {
        return Err(Unwritable::NoSuchStep);
    }
    let url = socket_url(stream.url)?;
    if url.contains('?') {
        return Err(Unwritable::Url);
    }
    parameter_names(stream.parameters)?;
    if stream
        .parameters
        .iter()
        .any(|(name, _)| *name == "sample-rate")
    {
        return Err(Unwritable::ParameterText);
    }
    fits(stream.parameters.len(), EXOTEL_PARAMETERS.0, "entries")?;
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(stream.parameters)
        .finish();
    fits(query.len(), EXOTEL_PARAMETERS.1, "characters")?;
    let between = if query.is_empty() { "" } else { "&" };
    let full = format!("{url}?sample-rate={rate}{between}{query}");
    if full.len() > EXOTEL_URL_CHARS {
        return Err(Unwritable::Url);
    }
    Ok(json!({ "url": full }).to_string())
}
