//! Twilio `ConversationRelay`, and Telnyx' like it: the carrier hears and speaks, we exchange text (spec/telephony §2.8;
//! <https://www.twilio.com/docs/voice/conversationrelay/websocket-messages>). Used through [`super::Codec`].
//! Never carries audio. Its discriminator is `type`, not `event`.

use bytes::BytesMut;
use serde::Deserialize;

use super::frame::DtmfKeys;
use super::framing::{Delivery, FrameLength};
use super::heard::{Heard, Ignored, Interrupted, Prompt, Refused, Start, Trouble};
use super::lenient::{Number, Parameters, Text, object};
use super::limits::MAX_FRAME_BYTES;
use super::say::{HangUp, Instead, Language, Say, Sent, Unsayable};
use super::stream::{Stream, check_digits, identity, key, optional_identity, party, push_json};

/// One session in text mode.
#[derive(Debug, Default)]
pub struct Relay {
    pub(super) stream: Stream,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Message<'a> {
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    session_id: Text<'a>,
    #[serde(borrow)]
    account_sid: Text<'a>,
    #[serde(borrow)]
    call_sid: Text<'a>,
    #[serde(borrow)]
    from: Text<'a>,
    #[serde(borrow)]
    to: Text<'a>,
    custom_parameters: Parameters,
    #[serde(borrow)]
    voice_prompt: Text<'a>,
    #[serde(borrow)]
    lang: Text<'a>,
    last: Last,
    #[serde(borrow)]
    digit: Text<'a>,
    #[serde(borrow)]
    utterance_until_interrupt: Text<'a>,
    duration_until_interrupt_ms: Number,
    #[serde(borrow)]
    description: Text<'a>,
}

/// A turn is complete unless the carrier says otherwise.
#[derive(Debug, Deserialize)]
#[serde(from = "serde_json::Value")]
struct Last(bool);

impl Default for Last {
    fn default() -> Self {
        Self(true)
    }
}

impl From<serde_json::Value> for Last {
    fn from(value: serde_json::Value) -> Self {
        Self(value != false && value != "false")
    }
}

impl Relay {
    pub(super) fn text<'a>(&mut self, text: &'a str) -> Result<Heard<'a>, Refused> {
        let message: Message<'_> = object(text)?;
        if message.kind.as_str() == "setup" {
            return self.setup(message);
        }
        if let Some(closed) = self.stream.closed_to_events() {
            return Ok(closed);
        }
        Ok(match message.kind.as_str() {
            "prompt" => match message.voice_prompt.given() {
                Some(text) => Heard::Prompt(Prompt {
                    text,
                    language: message.lang.given(),
                    last: message.last.0,
                }),
                None => Heard::Ignored(Ignored::NoPayload),
            },
            "dtmf" => key(&DtmfKeys {
                digit: message.digit,
                duration: Number(None),
            }),
            "interrupt" => Heard::Interrupted(Interrupted {
                heard: message
                    .utterance_until_interrupt
                    .given()
                    .unwrap_or_default(),
                after_ms: message.duration_until_interrupt_ms.0,
            }),
            "error" => Heard::Trouble(Trouble {
                message: message.description.given().unwrap_or_default(),
                ..Trouble::default()
            }),
            _ => Heard::Ignored(Ignored::UnknownEvent),
        })
    }

    fn setup<'a>(&mut self, message: Message<'a>) -> Result<Heard<'a>, Refused> {
        if let Some(closed) = self.stream.closed_to_start() {
            return Ok(closed);
        }
        let start = Start {
            stream_id: identity(message.session_id, "sessionId")?,
            call_id: Some(identity(message.call_sid, "callSid")?),
            account_id: optional_identity(message.account_sid, "accountSid")?,
            from: party(message.from),
            to: party(message.to),
            format: None,
            parameters: message.custom_parameters.checked()?,
            probe: false,
        };
        Ok(self.stream.begin(start))
    }

    pub(super) fn write(say: Say<'_>, out: &mut BytesMut) -> Result<Sent, Unsayable> {
        match say {
            Say::Text(words) => {
                out.extend_from_slice(br#"{"type":"text","token":"#);
                push_text(words.token, out)?;
                out.extend_from_slice(if words.last {
                    br#","last":true}"#
                } else {
                    br#","last":false}"#
                });
            }
            Say::Play(source) => {
                out.extend_from_slice(br#"{"type":"play","source":"#);
                push_text(source, out)?;
                out.extend_from_slice(br#","loop":1}"#);
            }
            Say::Dtmf(digits) => {
                check_digits(digits)?;
                if digits.contains(|digit: char| digit.is_ascii_alphabetic()) {
                    return Err(Unsayable::Digits);
                }
                out.extend_from_slice(br#"{"type":"sendDigits","digits":"#);
                push_json(digits, out);
                out.extend_from_slice(b"}");
            }
            Say::Language(language) => push_language(language, out)?,
            Say::HangUp(HangUp { note, .. }) => {
                out.extend_from_slice(br#"{"type":"end""#);
                if let Some(note) = note {
                    out.extend_from_slice(br#","handoffData":"#);
                    push_text(note, out)?;
                }
                out.extend_from_slice(b"}");
            }
            Say::Audio(_) | Say::Clear => return Err(Unsayable::NoSuchFrame(Instead::Text)),
            Say::Mark(_) => return Err(Unsayable::NoSuchFrame(Instead::Clock)),
        }
        Ok(Sent::Text)
    }

    pub(super) const fn delivery(&self) -> Delivery {
        Delivery {
            frame: FrameLength::any(self.stream.format, 0),
            queue_ms: None,
            rate: None,
        }
    }
}

fn push_language(language: Language<'_>, out: &mut BytesMut) -> Result<(), Unsayable> {
    out.extend_from_slice(br#"{"type":"language""#);
    let tags = [
        (&br#","ttsLanguage":"#[..], language.spoken),
        (&br#","transcriptionLanguage":"#[..], language.heard),
    ];
    for (key, tag) in tags {
        if let Some(tag) = tag {
            out.extend_from_slice(key);
            push_text(tag, out)?;
        }
    }
    out.extend_from_slice(b"}");
    Ok(())
}

fn push_text(text: &str, out: &mut BytesMut) -> Result<(), Unsayable> {
    if text.contains('\0') || text.len() > MAX_FRAME_BYTES / 2 {
        return Err(Unsayable::Text);
    }
    push_json(text, out);
    Ok(())
}
