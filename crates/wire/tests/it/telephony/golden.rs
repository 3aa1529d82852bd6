//! Plays the transcripts of `tests/fixtures/telephony` against the codecs; their format stands in the README there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use serde_json::Value;
use wire::telephony::{
    Codec, Dialect, HangUp, Heard, Incoming, Language, Say, Sent, Start, Unsayable, Words,
};

/// Every dialect and its transcript.
pub(crate) const TRANSCRIPTS: [(Dialect, &str); 8] = [
    (
        Dialect::Twilio,
        include_str!("../../fixtures/telephony/twilio.txt"),
    ),
    (
        Dialect::SignalWire,
        include_str!("../../fixtures/telephony/signalwire.txt"),
    ),
    (
        Dialect::Telnyx,
        include_str!("../../fixtures/telephony/telnyx.txt"),
    ),
    (
        Dialect::Plivo,
        include_str!("../../fixtures/telephony/plivo.txt"),
    ),
    (
        Dialect::Exotel,
        include_str!("../../fixtures/telephony/exotel.txt"),
    ),
    (
        Dialect::Vonage,
        include_str!("../../fixtures/telephony/vonage.txt"),
    ),
    (
        Dialect::AudioHook,
        include_str!("../../fixtures/telephony/genesys.txt"),
    ),
    (
        Dialect::Relay,
        include_str!("../../fixtures/telephony/relay.txt"),
    ),
];

#[test]
fn every_transcript_is_spoken_as_written() {
    for (dialect, transcript) in TRANSCRIPTS {
        let steps = play(dialect, transcript);
        assert!(steps > 10, "{dialect}: only {steps} steps");
    }
}

/// A frame or a word of ours, and what came of it, until the next one.
#[derive(Default)]
struct Socket {
    codec: Option<Codec>,
    heard: Option<String>,
    sent: Option<String>,
    out: BytesMut,
}

fn play(dialect: Dialect, transcript: &str) -> usize {
    let (mut socket, mut steps) = (Socket::default(), 0);
    for (index, line) in transcript.lines().enumerate() {
        let place = format!("{dialect}, line {}: {line}", index + 1);
        let (sign, rest) = line.split_once(' ').unwrap_or((line, ""));
        match sign {
            "#" | "<" | "<*" | "!" => {
                assert_eq!(socket.heard, None, "not expected before {place}");
                assert_eq!(socket.sent, None, "not expected before {place}");
            }
            _ => steps += 1,
        }
        let codec = socket.codec.get_or_insert_with(|| Codec::new(dialect));
        match sign {
            "#" => socket.codec = None,
            "<" => hear(&mut socket, Incoming::Text(rest)),
            "<*" => {
                let noise = vec![0x7F; rest.parse().expect("a length")];
                hear(&mut socket, Incoming::Binary(&noise));
            }
            "=" => assert_eq!(socket.heard.take().as_deref(), Some(rest), "{place}"),
            "!" => {
                let written = write(codec, rest, &mut socket.out);
                socket.sent = Some(match written {
                    Ok(sent) => show_sent(sent, &socket.out),
                    Err(unsayable) => {
                        assert!(socket.out.is_empty(), "{place}");
                        format!(">! {unsayable}")
                    }
                });
            }
            ">" => {
                let sent = socket.sent.take().unwrap_or_default();
                let (sent, wanted) = (sent.strip_prefix("> "), rest);
                assert_eq!(sent.map(json), Some(json(wanted)), "{place}");
            }
            ">*" | ">!" => assert_eq!(socket.sent.take().as_deref(), Some(line), "{place}"),
            _ => panic!("{place}"),
        }
    }
    assert_eq!((socket.heard, socket.sent), (None, None), "{dialect}");
    steps
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn hear(socket: &mut Socket, incoming: Incoming<'_>) {
    let codec = socket.codec.as_mut().expect("a codec");
    socket.heard = Some(match codec.read(incoming) {
        Ok(heard) => show(&heard, codec),
        Err(refused) => {
            let text = format!("{refused:?}");
            let known = text.split(" {").next().unwrap_or(&text);
            format!("refused {known}")
        }
    });
    if let Some(sent) = codec.owed(&mut socket.out) {
        socket.sent = Some(show_sent(sent, &socket.out));
        assert_eq!(codec.owed(&mut socket.out), None, "one answer a frame");
    }
}

fn show(heard: &Heard<'_>, codec: &mut Codec) -> String {
    let or_dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let number = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |n| n.to_string());
    match heard {
        Heard::Connected => "connected".to_owned(),
        Heard::Start(start) => show_start(start),
        Heard::Media(media) => {
            let mut sound = Vec::new();
            if codec.decode(media, &mut sound).is_err() {
                return "bad audio".to_owned();
            }
            let (at, count) = (number(media.timestamp_ms), number(media.sequence));
            let bytes = sound.len();
            format!("media {bytes} at {at} number {count} {:?}", media.track)
        }
        Heard::Dtmf(key) => format!("dtmf {} {}", key.digit, number(key.duration_ms)),
        Heard::Mark(echo) => {
            let fate = if echo.played { "played" } else { "cleared" };
            format!("mark {} {fate}", echo.mark)
        }
        Heard::Cleared => "cleared".to_owned(),
        Heard::Playback(playback) => format!("playback {playback:?}"),
        Heard::Flow(flow) => format!("flow {flow:?}"),
        Heard::Prompt(prompt) => {
            let language = or_dash(prompt.language.as_deref());
            let last = if prompt.last { " last" } else { "" };
            format!("prompt {} {language}{last}", prompt.text)
        }
        Heard::Interrupted(cut) => format!("interrupted {} {}", number(cut.after_ms), cut.heard),
        Heard::Stop(stop) => format!("stop {}", or_dash(stop.reason.as_deref())),
        Heard::Trouble(trouble) => {
            let again = trouble
                .retry_after_ms
                .map_or_else(String::new, |ms| format!(", again in {ms} ms"));
            format!(
                "trouble {} {}{again}",
                number(trouble.code),
                trouble.message
            )
        }
        Heard::Ignored(why) => format!("ignored {why:?}"),
    }
}

fn show_start(start: &Start) -> String {
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let format = start
        .format
        .map_or_else(|| "-".to_owned(), |format| format!("{format:?}"));
    let mut shown = format!(
        "start stream={} call={} account={} format={format}",
        start.stream_id,
        or_dash(&start.call_id),
        or_dash(&start.account_id),
    );
    for (name, value) in &start.parameters {
        assert_eq!(start.parameter(name), Some(value.as_str()));
        shown.push_str(&format!(" {name}={value}"));
    }
    for (there, word) in [
        (start.from.is_some(), " from"),
        (start.to.is_some(), " to"),
        (start.probe, " probe"),
    ] {
        shown.push_str(if there { word } else { "" });
    }
    let debug = format!("{start:?}");
    for secret in start.parameters.iter().map(|(_, value)| value) {
        assert!(
            secret.len() < 3 || !debug.contains(secret.as_str()),
            "{debug}"
        );
    }
    assert!(!debug.contains("+1555"), "{debug}");
    shown
}

fn show_sent(sent: Sent, out: &[u8]) -> String {
    if sent == Sent::Binary {
        return format!(">* {}", out.len());
    }
    let mut frame = json(std::str::from_utf8(out).expect("text frames are UTF-8"));
    if let Some(Value::String(payload)) = frame.pointer_mut("/media/payload") {
        let sound = STANDARD.decode(&*payload).expect("strict base64");
        *payload = format!("{} bytes", sound.len());
    }
    format!("> {frame}")
}

fn write(codec: &mut Codec, order: &str, out: &mut BytesMut) -> Result<Sent, Unsayable> {
    let (word, rest) = order.split_once(' ').unwrap_or((order, ""));
    let sound = vec![0x7F; rest.parse().unwrap_or(0)];
    let say = match word {
        "audio" => Say::Audio(&sound),
        "mark" => Say::Mark(rest.parse().expect("a number")),
        "clear" => Say::Clear,
        "dtmf" => Say::Dtmf(rest),
        "hangup" => Say::HangUp(HangUp::default()),
        "text" | "more" => Say::Text(Words {
            token: rest,
            last: word == "text",
        }),
        "play" => Say::Play(rest),
        "language" => Say::Language(Language {
            spoken: Some(rest),
            heard: Some(rest),
        }),
        _ => panic!("unknown order {order}"),
    };
    codec.write(say, out)
}
