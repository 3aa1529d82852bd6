//! The vendors of speech, each against a fake that keeps its documented contract.

/// Every test of a suite, for every subject.
macro_rules! suite {
    ([$($vendor:ident: $subject:expr),*] $tests:tt) => {$(
        mod $vendor {
            use super::*;
            suite!(@tests $subject, $tests);
        }
    )*};
    (@tests $subject:expr, [$($test:ident)*]) => {$(
        #[tokio::test(start_paused = true)]
        async fn $test() {
            super::super::walk();
            super::$test(&$subject).await;
        }
    )*};
}

mod assemblyai;
mod cartesia;
mod deepgram_stt;
mod deepgram_tts;
pub(crate) mod ears;
mod elevenlabs;
mod openai_stt;
mod openai_tts;
pub(crate) mod voices;

use std::{sync::Arc, time::Duration};

use engine::ask::SpeakOptions;
use providers::{
    Kind, ProviderError, Vendor,
    ports::{Piece, Stt, SttCommand, SttEvent, SttStream, Tts, TtsEvent, TtsStream},
};

use crate::{
    conformance::{speak_options, stt_options},
    fakes::wire::{Fake, KEY},
};

/// What statuses ask for, whoever answers with them.
const STATUSES: [(u16, Kind); 8] = [
    (400, Kind::Rejected),
    (401, Kind::Unauthorized),
    (402, Kind::Unauthorized),
    (403, Kind::Unauthorized),
    (413, Kind::Rejected),
    (429, Kind::RateLimited),
    (500, Kind::Unavailable),
    (503, Kind::Unavailable),
];

/// Lets a paused clock walk where it would jump, a hundred times as fast as the real one: what is on its way between two
/// sockets arrives before anybody's patience ends.
pub(crate) fn walk() {
    tokio::spawn(async {
        let mut step = tokio::time::interval(Duration::from_millis(10));
        step.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            step.tick().await;
            std::thread::park_timeout(Duration::from_micros(20));
        }
    });
}

/// Somebody who takes connections and says nothing.
async fn nobody(path: &str) -> (tokio::net::TcpListener, Vendor) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}{path}", listener.local_addr().unwrap());
    let silent = Vendor {
        api_key: Some(KEY.into()),
        ..Vendor::new("acme", base_url.parse().unwrap())
    };
    (listener, silent)
}

/// A fake's vendor with the right key.
pub(crate) fn vendor(fake: &Fake, path: &str) -> Vendor {
    Vendor {
        api_key: Some(KEY.into()),
        ..Vendor::new("acme", format!("{}{path}", fake.base_url).parse().unwrap())
    }
}

/// Samples that count up from 1: every one is told from every other, and none is silence.
pub(crate) fn counting(samples: usize) -> Arc<[i16]> {
    (1..=i16::try_from(samples).unwrap()).collect()
}

async fn tell(stream: &SttStream, command: SttCommand) {
    stream.commands.send(command).await.unwrap();
}

/// The rest of an utterance: what was told on the way, and its end.
async fn rest(stream: &mut SttStream) -> (Vec<String>, Result<(String, u64), ProviderError>) {
    let mut partials = Vec::new();
    loop {
        match stream.events.recv().await.expect("no last event") {
            SttEvent::Partial { text } => partials.push(text),
            SttEvent::EndOfTurn { .. } => panic!("nobody asked"),
            SttEvent::Final { text, audio_ms, .. } => return (partials, Ok((text, audio_ms))),
            SttEvent::Failed(error) => return (partials, Err(error)),
        }
    }
}

/// One utterance, spoken in slices of 20 ms and ended.
pub(crate) async fn utterance(stt: &dyn Stt, audio: &[i16]) -> Result<String, ProviderError> {
    let mut stream = stt.open(stt_options()).await.unwrap();
    for slice in audio.chunks(320) {
        tell(&stream, SttCommand::Audio(slice.into())).await;
    }
    tell(&stream, SttCommand::End).await;
    let (_, last) = rest(&mut stream).await;
    let (text, audio_ms) = last?;
    assert_eq!(audio_ms, audio.len() as u64 / 16);
    Ok(text)
}

/// A reply that begins with these pieces; more may follow.
pub(crate) async fn begin(tts: &dyn Tts, options: SpeakOptions, texts: &[&str]) -> TtsStream {
    let stream = tts.open(options).await.unwrap();
    for (index, text) in texts.iter().enumerate() {
        let piece = Piece {
            index: index as u32,
            text: (*text).to_owned(),
        };
        stream.pieces.send(piece).await.unwrap();
    }
    stream
}

/// A reply that ends with a failure: the samples heard, and the failure.
pub(crate) async fn failed_reply(tts: &dyn Tts, text: &str) -> (usize, ProviderError) {
    let mut stream = begin(tts, speak_options("alloy"), &[text]).await;
    let mut heard = 0;
    loop {
        match stream.events.recv().await.expect("no last event") {
            TtsEvent::Audio { samples, .. } => heard += samples.len(),
            TtsEvent::PieceDone { .. } => panic!("{text:?} was spoken"),
            TtsEvent::Another(voice) => panic!("{voice:?}"),
            TtsEvent::Failed(error) => return (heard, error),
        }
    }
}
