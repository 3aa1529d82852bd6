//! The XML dialects of answer documents: Twilio's, those of `SignalWire` and Telnyx that follow it, and Plivo's.
//! Called by the gateway through [`document`].
//! Never emits a verb that the carrier does not know.

use super::super::format::Format;
use super::super::limits::{PLIVO_HEADERS_BYTES, TWIML_PARAMETER_CHARS};
use super::xml::Xml;
use super::{
    Conference, Dial, Relay, Role, Speech, Step, Stream, Unwritable, fits, keys, number,
    parameter_names, socket_url, web_url,
};

/// Whose XML.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Markup {
    /// Twilio's `TwiML`.
    Twilio,
    /// `SignalWire`'s `cXML`.
    SignalWire,
    /// Telnyx' `TeXML`.
    Telnyx,
    /// Plivo XML.
    Plivo,
}

/// The document that makes a carrier take `steps` one after another. Serve it as `text/xml`, never cached.
///
/// # Errors
/// A step that the carrier does not have, an address, number or key that is none, parameters beyond its limits, or a
/// character that XML does not have.
pub fn document(markup: Markup, steps: &[Step<'_>]) -> Result<String, Unwritable> {
    let mut xml = Xml::new("Response");
    for step in steps {
        if markup == Markup::Plivo {
            plivo(&mut xml, step)?;
        } else {
            twiml(&mut xml, markup, step)?;
        }
    }
    Ok(xml.finish())
}

fn twiml(xml: &mut Xml, markup: Markup, step: &Step<'_>) -> Result<(), Unwritable> {
    match step {
        Step::Stream(stream) => {
            xml.open("Connect");
            xml.optional("action", stream.action.map(web_url).transpose()?)?;
            twiml_stream(xml, markup, stream, None)?;
            xml.close();
        }
        Step::Watch(stream) => {
            xml.open("Start");
            twiml_stream(xml, markup, stream, Some("both_tracks"))?;
            xml.close();
        }
        Step::Relay(conversation) => relay(xml, conversation)?,
        Step::Say(speech) => say(xml, "Say", speech)?,
        Step::Play(url) => element(xml, "Play", web_url(url)?)?,
        // TeXML's pages do not say that its Play presses keys; call control does
        Step::Keys(_) if markup == Markup::Telnyx => return Err(Unwritable::NoSuchStep),
        Step::Keys(pressed) => {
            xml.open("Play");
            xml.attribute("digits", keys(pressed)?)?;
            xml.close();
        }
        Step::Pause(seconds) => {
            xml.open("Pause");
            xml.attribute("length", &seconds.to_string())?;
            xml.close();
        }
        Step::Dial(call) => dial(xml, call)?,
        Step::Conference(room) => {
            xml.open("Dial");
            conference(
                xml,
                room,
                ["startConferenceOnEnter", "endConferenceOnExit", "waitUrl"],
            )?;
            xml.close();
        }
        Step::Redirect(url) => element(xml, "Redirect", web_url(url)?)?,
        Step::Hangup => {
            xml.open("Hangup");
            xml.close();
        }
        Step::Reject(why) => {
            xml.open("Reject");
            xml.attribute("reason", why.word())?;
            xml.close();
        }
    }
    Ok(())
}

fn twiml_stream(
    xml: &mut Xml,
    markup: Markup,
    stream: &Stream<'_>,
    track: Option<&str>,
) -> Result<(), Unwritable> {
    let url = socket_url(stream.url)?;
    // Twilio answers a query with error 31920; Telnyx passes it on
    if url.contains('?') && markup != Markup::Telnyx {
        return Err(Unwritable::Url);
    }
    xml.open("Stream");
    xml.attribute("url", url)?;
    xml.optional("track", track)?;
    match (markup, stream.format) {
        (_, Format::Mulaw8k) if markup != Markup::Telnyx => {}
        (Markup::SignalWire, Format::L16At16k) => xml.attribute("codec", "L16@16000h")?,
        (Markup::SignalWire, Format::L16At24k) => xml.attribute("codec", "L16@24000h")?,
        (Markup::Telnyx, Format::Mulaw8k) => telnyx_codec(xml, "PCMU", track)?,
        (Markup::Telnyx, Format::Alaw8k) => telnyx_codec(xml, "PCMA", track)?,
        _ => return Err(Unwritable::Format),
    }
    let status = stream.status_callback.map(web_url).transpose()?;
    xml.optional("statusCallback", status)?;
    match stream.bearer {
        Some(_) if markup != Markup::SignalWire => return Err(Unwritable::NoSuchStep),
        bearer => xml.optional("authBearerToken", bearer)?,
    }
    twiml_parameters(xml, stream.parameters)?;
    xml.close();
    Ok(())
}

/// Without rtp mode Telnyx would expect MP3, one message a second (spec/telephony §3.1).
fn telnyx_codec(xml: &mut Xml, codec: &str, track: Option<&str>) -> Result<(), Unwritable> {
    xml.attribute("codec", codec)?;
    if track.is_none() {
        xml.attribute("bidirectionalMode", "rtp")?;
        xml.attribute("bidirectionalCodec", codec)?;
    }
    Ok(())
}

fn twiml_parameters(xml: &mut Xml, parameters: &[(&str, &str)]) -> Result<(), Unwritable> {
    parameter_names(parameters)?;
    for (name, value) in parameters {
        let size = name.chars().count() + value.chars().count();
        fits(size, TWIML_PARAMETER_CHARS, "characters")?;
        xml.open("Parameter");
        xml.attribute("name", name)?;
        xml.attribute("value", value)?;
        xml.close();
    }
    Ok(())
}

fn relay(xml: &mut Xml, conversation: &Relay<'_>) -> Result<(), Unwritable> {
    let url = socket_url(conversation.url)?;
    xml.open("Connect");
    xml.optional("action", conversation.action.map(web_url).transpose()?)?;
    xml.open("ConversationRelay");
    xml.attribute("url", url)?;
    xml.optional("welcomeGreeting", conversation.welcome)?;
    xml.optional("language", conversation.language)?;
    if let Some((vendor, voice)) = conversation.voice {
        xml.attribute("ttsProvider", vendor)?;
        xml.attribute("voice", voice)?;
    }
    if let Some((vendor, model)) = conversation.transcription {
        xml.attribute("transcriptionProvider", vendor)?;
        xml.attribute("speechModel", model)?;
    }
    xml.optional("hints", conversation.hints)?;
    xml.attribute("dtmfDetection", "true")?;
    twiml_parameters(xml, conversation.parameters)?;
    xml.close();
    xml.close();
    Ok(())
}

fn say(xml: &mut Xml, verb: &'static str, speech: &Speech<'_>) -> Result<(), Unwritable> {
    xml.open(verb);
    xml.optional("voice", speech.voice)?;
    xml.optional("language", speech.language)?;
    xml.content(speech.text)?;
    xml.close();
    Ok(())
}

fn dial(xml: &mut Xml, call: &Dial<'_>) -> Result<(), Unwritable> {
    xml.open("Dial");
    xml.optional("callerId", call.caller_id.map(number).transpose()?)?;
    let timeout = call.timeout_s.map(|seconds| seconds.to_string());
    xml.optional("timeout", timeout.as_deref())?;
    xml.optional("action", call.action.map(web_url).transpose()?)?;
    element(xml, "Number", number(call.to)?)?;
    xml.close();
    Ok(())
}

/// `words` are the carrier's names for: begins with them, ends with them, what is played meanwhile.
fn conference(xml: &mut Xml, room: &Conference<'_>, words: [&str; 3]) -> Result<(), Unwritable> {
    let host = if room.role == Role::Host {
        "true"
    } else {
        "false"
    };
    xml.open("Conference");
    xml.attribute(words[0], host)?;
    xml.attribute(words[1], host)?;
    xml.optional(words[2], room.wait_url.map(web_url).transpose()?)?;
    xml.content(room.name)?;
    xml.close();
    Ok(())
}

fn element(xml: &mut Xml, name: &'static str, text: &str) -> Result<(), Unwritable> {
    xml.open(name);
    xml.content(text)?;
    xml.close();
    Ok(())
}

fn plivo(xml: &mut Xml, step: &Step<'_>) -> Result<(), Unwritable> {
    match step {
        Step::Stream(stream) => {
            plivo_stream(xml, stream, "true")?;
            // its streams know no action; the document goes on behind them, which comes to the same
            if let Some(action) = stream.action {
                element(xml, "Redirect", web_url(action)?)?;
            }
        }
        Step::Watch(stream) => plivo_stream(xml, stream, "false")?,
        Step::Relay(_) => return Err(Unwritable::NoSuchStep),
        Step::Say(speech) => say(xml, "Speak", speech)?,
        Step::Play(url) => element(xml, "Play", web_url(url)?)?,
        Step::Keys(pressed) => element(xml, "DTMF", keys(pressed)?)?,
        Step::Pause(seconds) => {
            xml.open("Wait");
            xml.attribute("length", &seconds.to_string())?;
            xml.close();
        }
        Step::Dial(call) => dial(xml, call)?,
        Step::Conference(room) => conference(
            xml,
            room,
            ["startConferenceOnEnter", "endConferenceOnExit", "waitSound"],
        )?,
        Step::Redirect(url) => element(xml, "Redirect", web_url(url)?)?,
        Step::Hangup => {
            xml.open("Hangup");
            xml.close();
        }
        Step::Reject(why) => {
            xml.open("Hangup");
            xml.attribute("reason", why.word())?;
            xml.close();
        }
    }
    Ok(())
}

fn plivo_stream(xml: &mut Xml, stream: &Stream<'_>, two_way: &str) -> Result<(), Unwritable> {
    let url = socket_url(stream.url)?;
    // two of the vendor's pages disagree about the default, so that it is always said (spec/telephony §3.3)
    let content_type = match stream.format {
        Format::Mulaw8k => "audio/x-mulaw;rate=8000",
        Format::L16At8k => "audio/x-l16;rate=8000",
        Format::L16At16k => "audio/x-l16;rate=16000",
        Format::Alaw8k | Format::L16At24k => return Err(Unwritable::Format),
    };
    if stream.bearer.is_some() {
        return Err(Unwritable::NoSuchStep);
    }
    xml.open("Stream");
    xml.attribute("bidirectional", two_way)?;
    if two_way == "true" {
        xml.attribute("keepCallAlive", "true")?;
    } else {
        xml.attribute("audioTrack", "both")?;
    }
    xml.attribute("contentType", content_type)?;
    xml.attribute("streamTimeout", "86400")?;
    let status = stream.status_callback.map(web_url).transpose()?;
    xml.optional("statusCallbackUrl", status)?;
    if !stream.parameters.is_empty() {
        xml.attribute("extraHeaders", &plivo_headers(stream.parameters)?)?;
    }
    xml.content(url)?;
    xml.close();
    Ok(())
}

fn plivo_headers(parameters: &[(&str, &str)]) -> Result<String, Unwritable> {
    parameter_names(parameters)?;
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if parameters
        .iter()
        .any(|(name, value)| !plain(name) || !plain(value))
    {
        return Err(Unwritable::ParameterText);
    }
    let pairs: Vec<String> = parameters
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let text = pairs.join(",");
    fits(text.len(), PLIVO_HEADERS_BYTES, "bytes")?;
    Ok(text)
}
