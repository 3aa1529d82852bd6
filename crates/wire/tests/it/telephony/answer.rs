//! Answer documents: what a parser reads out of them, and what is refused.

use proptest::prelude::*;
use roxmltree::Document;
use serde_json::{Value, json};
use wire::telephony::Format;
use wire::telephony::answer::{
    Conference, Dial, Markup, Reject, Relay, Role, Speech, Step, Stream, Unwritable, document,
    exotel, ncco,
};

const TWILIO_LIKE: [Markup; 3] = [Markup::Twilio, Markup::SignalWire, Markup::Telnyx];
const ALL: [Markup; 4] = [
    Markup::Twilio,
    Markup::SignalWire,
    Markup::Telnyx,
    Markup::Plivo,
];

const STREAM: Stream<'_> = Stream {
    url: "wss://example.com/telephony/x",
    parameters: &[("callId", "c1"), ("token", "0a1b")],
    format: Format::Mulaw8k,
    status_callback: Some("https://example.com/status?a=1&b=2"),
    action: Some("https://example.com/after"),
    bearer: None,
};

fn written(markup: Markup, steps: &[Step<'_>]) -> String {
    document(markup, steps).unwrap_or_else(|error| panic!("{markup:?}: {error}"))
}

#[test]
fn a_two_way_stream_is_a_connect() {
    let url = "<Connect action=\"https://example.com/after\"><Stream url=\"wss://example.com/telephony/x\"";
    let rest = " statusCallback=\"https://example.com/status?a=1&amp;b=2\">\
        <Parameter name=\"callId\" value=\"c1\"/><Parameter name=\"token\" value=\"0a1b\"/></Stream></Connect></Response>";
    let head = r#"<?xml version="1.0" encoding="UTF-8"?><Response>"#;
    for markup in [Markup::Twilio, Markup::SignalWire] {
        let text = written(markup, &[Step::Stream(STREAM)]);
        assert_eq!(text, format!("{head}{url}{rest}"));
    }
    let telnyx = r#" codec="PCMU" bidirectionalMode="rtp" bidirectionalCodec="PCMU""#;
    let text = written(Markup::Telnyx, &[Step::Stream(STREAM)]);
    assert_eq!(text, format!("{head}{url}{telnyx}{rest}"));
    let plivo = "<Stream bidirectional=\"true\" keepCallAlive=\"true\" contentType=\"audio/x-mulaw;rate=8000\" \
        streamTimeout=\"86400\" statusCallbackUrl=\"https://example.com/status?a=1&amp;b=2\" \
        extraHeaders=\"callId=c1,token=0a1b\">wss://example.com/telephony/x</Stream>\
        <Redirect>https://example.com/after</Redirect></Response>";
    let text = written(Markup::Plivo, &[Step::Stream(STREAM)]);
    assert_eq!(text, format!("{head}{plivo}"));
}

#[test]
fn every_step_is_a_verb_of_its_carrier() {
    let steps = [
        Step::Say(Speech {
            text: "one <two> & \"three\"",
            voice: Some("Polly.Joanna"),
            language: Some("en-US"),
        }),
        Step::Play("https://example.com/a.wav"),
        Step::Keys("ww12#"),
        Step::Pause(3),
        Step::Dial(Dial {
            to: "+15550100",
            caller_id: Some("+15550101"),
            timeout_s: Some(20),
            action: Some("https://example.com/dialled"),
        }),
        Step::Conference(Conference {
            name: "room 1",
            role: Role::Host,
            wait_url: Some("https://example.com/wait"),
        }),
        Step::Redirect("https://example.com/next"),
        Step::Reject(Reject::Busy),
        Step::Hangup,
    ];
    let names = |text: &str| -> Vec<String> {
        let parsed = Document::parse(text).expect("XML");
        let children = parsed.root_element().children();
        children
            .map(|node| node.tag_name().name().to_owned())
            .collect()
    };
    let twilio = [
        "Say", "Play", "Play", "Pause", "Dial", "Dial", "Redirect", "Reject", "Hangup",
    ];
    for markup in [Markup::Twilio, Markup::SignalWire] {
        assert_eq!(names(&written(markup, &steps)), twilio);
    }
    let keys = Unwritable::NoSuchStep;
    assert_eq!(document(Markup::Telnyx, &steps), Err(keys));
    let without: Vec<Step<'_>> = steps
        .into_iter()
        .filter(|step| !matches!(step, Step::Keys(_)))
        .collect();
    assert_eq!(names(&written(Markup::Telnyx, &without)).len(), 8);
    let plivo = [
        "Speak",
        "Play",
        "DTMF",
        "Wait",
        "Dial",
        "Conference",
        "Redirect",
        "Hangup",
        "Hangup",
    ];
    let text = written(Markup::Plivo, &steps);
    assert_eq!(names(&text), plivo);
    let parsed = Document::parse(&text).expect("XML");
    let spoken = parsed.root_element().first_child().expect("a verb");
    assert_eq!(spoken.text(), Some("one <two> & \"three\""));
}

#[test]
fn text_mode_and_watching_have_their_documents() {
    let relay = Step::Relay(Relay {
        url: "wss://example.com/telephony/relay",
        parameters: &[("callId", "c1")],
        welcome: Some("Hello!"),
        language: Some("en-US"),
        voice: Some(("Google", "en-US-Journey-O")),
        transcription: Some(("Deepgram", "nova-3")),
        hints: Some("antiphon, call"),
        action: Some("https://example.com/after"),
    });
    for markup in TWILIO_LIKE {
        let text = written(markup, &[relay]);
        let parsed = Document::parse(&text).expect("XML");
        let relay = parsed
            .descendants()
            .find(|node| node.has_tag_name("ConversationRelay"))
            .expect("the noun");
        assert_eq!(relay.attribute("welcomeGreeting"), Some("Hello!"));
        assert_eq!(relay.attribute("speechModel"), Some("nova-3"));
        assert_eq!(relay.children().count(), 1);
    }
    assert_eq!(
        document(Markup::Plivo, &[relay]),
        Err(Unwritable::NoSuchStep)
    );
    for markup in ALL {
        let text = written(markup, &[Step::Watch(STREAM)]);
        assert!(text.contains("both"), "{text}");
        assert!(!text.contains("Connect"), "{text}");
        assert!(!text.contains("keepCallAlive"), "{text}");
    }
}

#[test]
fn what_a_carrier_cannot_hold_is_refused() {
    let long = "x".repeat(495);
    let long = [("callId", long.as_str())];
    let twice = [("a", "1"), ("a", "2")];
    let unnamed = [("", "1")];
    let dotted = [("token", "a.b")];
    let with = |parameters| {
        Step::Stream(Stream {
            parameters,
            ..STREAM
        })
    };
    let too_long = Unwritable::ParameterSize {
        size: 501,
        limit: 500,
        unit: "characters",
    };
    for markup in TWILIO_LIKE {
        assert_eq!(document(markup, &[with(&long)]), Err(too_long));
        assert!(document(markup, &[with(&dotted)]).is_ok());
    }
    for markup in ALL {
        assert_eq!(
            document(markup, &[with(&twice)]),
            Err(Unwritable::ParameterText)
        );
        assert_eq!(
            document(markup, &[with(&unnamed)]),
            Err(Unwritable::ParameterText)
        );
    }
    assert_eq!(
        document(Markup::Plivo, &[with(&dotted)]),
        Err(Unwritable::ParameterText)
    );
    let much = "x".repeat(506);
    let fault = document(Markup::Plivo, &[with(&[("callId", &much)])]);
    assert!(
        matches!(fault, Err(Unwritable::ParameterSize { limit: 512, .. })),
        "{fault:?}"
    );
}

#[test]
fn addresses_numbers_and_keys_are_checked() {
    let stream = |url| Step::Stream(Stream { url, ..STREAM });
    let bad = [
        "https://example.com",
        "ws://example.com",
        "ws://127.0.0.1.example.com",
        "wss://",
        "wss:///path",
        "wss://example.com/a b",
        "wss://example.com/#f",
        "wss://example.com/\n",
        "",
    ];
    for url in bad {
        for markup in ALL {
            assert_eq!(
                document(markup, &[stream(url)]),
                Err(Unwritable::Url),
                "{url}"
            );
        }
    }
    for url in ["ws://127.0.0.1:8080/x", "ws://localhost/x", "ws://[::1]:1"] {
        assert!(document(Markup::Twilio, &[stream(url)]).is_ok(), "{url}");
    }
    let query = stream("wss://example.com/x?a=1");
    for markup in [Markup::Twilio, Markup::SignalWire] {
        assert_eq!(document(markup, &[query]), Err(Unwritable::Url));
    }
    assert!(document(Markup::Telnyx, &[query]).is_ok());
    for to in [
        "",
        "+",
        "12",
        "1234567890123456",
        "555-0100",
        "sip:a@b",
        "+15550100;x",
    ] {
        let dial = Step::Dial(Dial {
            to,
            ..Dial::default()
        });
        assert_eq!(
            document(Markup::Twilio, &[dial]),
            Err(Unwritable::Number),
            "{to}"
        );
    }
    for keys in ["", "1 2", "x", "1;2"] {
        let pressed = document(Markup::Twilio, &[Step::Keys(keys)]);
        assert_eq!(pressed, Err(Unwritable::Keys), "{keys}");
    }
    let script = Step::Redirect("javascript:alert(1)");
    assert_eq!(document(Markup::Twilio, &[script]), Err(Unwritable::Url));
}

#[test]
fn formats_and_bearers_are_for_who_has_them() {
    let with = |format| Step::Stream(Stream { format, ..STREAM });
    let can = |markup, format| document(markup, &[with(format)]);
    for format in Format::ALL {
        let carriers: Vec<Markup> = ALL
            .into_iter()
            .filter(|markup| can(*markup, format).is_ok())
            .collect();
        let expected: &[Markup] = match format {
            Format::Mulaw8k => &ALL,
            Format::Alaw8k => &[Markup::Telnyx],
            Format::L16At8k => &[Markup::Plivo],
            Format::L16At16k => &[Markup::SignalWire, Markup::Plivo],
            Format::L16At24k => &[Markup::SignalWire],
        };
        assert_eq!(carriers, expected, "{format:?}");
    }
    let bearer = Step::Stream(Stream {
        bearer: Some("b"),
        ..STREAM
    });
    for markup in ALL {
        let allowed = document(markup, &[bearer]).is_ok();
        assert_eq!(allowed, markup == Markup::SignalWire, "{markup:?}");
    }
}

#[test]
fn vonage_gets_actions() {
    let stream = Stream {
        format: Format::L16At16k,
        action: None,
        bearer: Some("b"),
        ..STREAM
    };
    let steps = [
        Step::Say(Speech {
            text: "hi",
            ..Speech::default()
        }),
        Step::Stream(stream),
        Step::Dial(Dial {
            to: "+15550100",
            caller_id: Some("+15550101"),
            ..Dial::default()
        }),
        Step::Hangup,
        Step::Play("https://example.com/never"),
    ];
    let actions: Value = serde_json::from_str(&ncco(&steps).expect("written")).expect("JSON");
    let expected = json!([
        {"action": "talk", "text": "hi"},
        {
            "action": "connect",
            "eventUrl": ["https://example.com/status?a=1&b=2"],
            "endpoint": [{
                "type": "websocket",
                "uri": "wss://example.com/telephony/x",
                "content-type": "audio/l16;rate=16000",
                "headers": {"callId": "c1", "token": "0a1b"},
                "authorization": {"type": "custom", "value": "Bearer b"},
            }],
        },
        {
            "action": "connect",
            "from": "15550101",
            "endpoint": [{"type": "phone", "number": "15550100"}],
        },
    ]);
    assert_eq!(actions, expected);
    let shadow = Step::Stream(Stream {
        parameters: &[("event", "x")],
        ..stream
    });
    assert_eq!(ncco(&[shadow]), Err(Unwritable::ParameterText));
    let long = "x".repeat(600);
    let much = ncco(&[Step::Stream(Stream {
        parameters: &[("a", &long)],
        ..stream
    })]);
    assert!(
        matches!(much, Err(Unwritable::ParameterSize { .. })),
        "{much:?}"
    );
    let mulaw = Step::Stream(STREAM);
    assert_eq!(ncco(&[mulaw]), Err(Unwritable::Format));
    assert_eq!(
        ncco(&[Step::Reject(Reject::Busy)]),
        Err(Unwritable::NoSuchStep)
    );
}

#[test]
fn exotel_gets_an_address() {
    let plain = Stream {
        format: Format::L16At16k,
        status_callback: None,
        action: None,
        parameters: &[("callId", "c 1&x"), ("token", "0a1b")],
        ..STREAM
    };
    let answer: Value = serde_json::from_str(&exotel(&plain).expect("written")).expect("JSON");
    let url = "wss://example.com/telephony/x?sample-rate=16000&callId=c+1%26x&token=0a1b";
    assert_eq!(answer, json!({ "url": url }));
    let four = [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")];
    let long = "x".repeat(260);
    let long = [("a", long.as_str())];
    for (parameters, limit) in [(&four[..], 3), (&long[..], 256)] {
        let fault = exotel(&Stream {
            parameters,
            ..plain
        });
        let size = matches!(fault, Err(Unwritable::ParameterSize { limit: l, .. }) if l == limit);
        assert!(size, "{fault:?}");
    }
    assert_eq!(exotel(&STREAM), Err(Unwritable::Format));
}

fn is_xml(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

proptest! {
    /// Any text comes back from an XML parser as it went in, or is refused for a character that XML does not have.
    #[test]
    fn text_survives_a_parser(
        text in prop_oneof![
            3 => "[\\PC\t\r\n&<>\"'\\]]{0,64}",
            1 => prop::collection::vec(any::<char>(), 0..16).prop_map(String::from_iter),
        ],
        short in "[\\PC\t\r\n&<>\"']{0,24}",
    ) {
        let parameters = [("p", short.as_str())];
        let steps = [
            Step::Say(Speech { text: &text, voice: Some(&short), language: None }),
            Step::Stream(Stream { parameters: &parameters, ..STREAM }),
        ];
        match document(Markup::Twilio, &steps) {
            Ok(xml) => {
                let parsed = Document::parse(&xml).expect("well formed");
                let say = parsed.root_element().first_child().expect("a verb");
                prop_assert_eq!(say.text().unwrap_or_default(), &text);
                prop_assert_eq!(say.attribute("voice"), Some(short.as_str()));
                let parameter = parsed.descendants().find(|node| node.has_tag_name("Parameter"));
                let value = parameter.and_then(|node| node.attribute("value"));
                prop_assert_eq!(value, Some(short.as_str()));
                prop_assert!(text.chars().chain(short.chars()).all(is_xml));
            }
            Err(Unwritable::Character(character)) => {
                prop_assert!(!is_xml(character));
                prop_assert!(text.contains(character) || short.contains(character));
            }
            Err(other) => return Err(TestCaseError::fail(other.to_string())),
        }
    }
}
