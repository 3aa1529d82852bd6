//! What all ears behind a vendor must do, whoever the vendor is; its own contract has a file of its own.
//! Run once per vendor against its fake.
//! Knows no protocol: the fakes hold every message against their vendor's contract.

use std::{sync::Arc, time::Duration};

use engine::ask::SttOptions;
use providers::{
    Kind, ProviderError, Vendor, http,
    ports::{Stt, SttCommand, SttEvent},
    stt::{assemblyai::AssemblyAiStt, deepgram::DeepgramStt, openai::OpenAiStt},
};
use serde_json::Value;
use tokio::time::{Instant, advance};

use super::{STATUSES, counting, nobody, rest, tell, utterance, vendor};
use crate::{
    conformance::{self, stt_options},
    fakes::{
        self, Fault,
        wire::{Fake, KEY, Manners, Mischief},
    },
};

/// A vendor under test.
pub(crate) struct Ear {
    pub(crate) manners: Manners,
    /// Where its base address leads.
    pub(crate) path: &'static str,
    pub(crate) open: fn(reqwest::Client, Vendor) -> Result<Arc<dyn Stt>, ProviderError>,
    /// Whether a vendor without a key is no vendor.
    needs_key: bool,
    /// The text of 16 000 samples with a pause in the middle.
    paused: &'static str,
}

/// A vendor that listens over a WebSocket.
struct Wire {
    ear: Ear,
    /// What a handshake has without a language, and with `en`.
    handshakes: [&'static [&'static str]; 2],
    /// What asks for a transcript, and what says goodbye.
    words: [&'static str; 2],
}

macro_rules! ear {
    ($manners:expr, $path:expr, $stt:ident, needs_key: $needs_key:expr, paused: $paused:expr) => {
        Ear {
            manners: $manners,
            path: $path,
            open: |client, vendor| Ok(Arc::new($stt::new(client, vendor)?)),
            needs_key: $needs_key,
            paused: $paused,
        }
    };
}

/// Text of two turns.
const TURNS: &str = "1-8000 8001-16000";
pub(crate) const DEEPGRAM: Ear =
    ear!(fakes::deepgram::MANNERS, "/v1", DeepgramStt, needs_key: true, paused: TURNS);
pub(crate) const ASSEMBLYAI: Ear =
    ear!(fakes::assemblyai::MANNERS, "/v3", AssemblyAiStt, needs_key: true, paused: TURNS);
pub(crate) const OPENAI: Ear =
    ear!(fakes::openai_audio::MANNERS, "/v1", OpenAiStt, needs_key: false, paused: "1-16000");
const DEEPGRAM_WIRE: Wire = Wire {
    ear: DEEPGRAM,
    handshakes: [&["model=nova-3&", "language=multi"], &["language=en"]],
    words: ["Finalize", "CloseStream"],
};
const ASSEMBLYAI_WIRE: Wire = Wire {
    ear: ASSEMBLYAI,
    handshakes: [
        &["speech_model=universal-streaming-multilingual"],
        &["speech_model=universal-streaming-english"],
    ],
    words: ["ForceEndpoint", "Terminate"],
};

impl Ear {
    pub(crate) async fn start(&self) -> Fake {
        Fake::start(self.manners).await
    }

    pub(crate) fn open(&self, fake: &Fake) -> Arc<dyn Stt> {
        (self.open)(http::client().unwrap(), vendor(fake, self.path)).unwrap()
    }

    pub(crate) async fn pair(&self) -> (Fake, Arc<dyn Stt>) {
        let fake = self.start().await;
        let stt = self.open(&fake);
        (fake, stt)
    }
}

suite! {
    [deepgram: DEEPGRAM, assemblyai: ASSEMBLYAI, openai: OPENAI]
    [
        the_conformance_suite_passes
        a_status_says_who_must_act
        a_wrong_key_is_told_without_any_part_of_it
        every_fault_has_its_kind
        a_server_that_answers_nobody_is_a_timeout
    ]
}
suite! {
    [deepgram_wire: DEEPGRAM_WIRE, assemblyai_wire: ASSEMBLYAI_WIRE]
    [
        the_utterances_of_a_session_share_a_connection
        an_utterance_given_up_leaves_nothing_to_the_next
        a_lost_connection_is_opened_again_and_hears_everything
        a_connection_that_nobody_uses_is_closed_politely
        noise_is_no_transcript
        a_connection_that_stalls_serves_nobody_else
    ]
}

async fn the_conformance_suite_passes(ear: &Ear) {
    let (fake, stt) = ear.pair().await;
    assert_eq!(stt.name(), "acme");
    let text = conformance::stt_answers_without_judging(&*stt, counting(16_000)).await;
    assert_eq!(text, ear.paused);
    conformance::stt_keeps_what_it_said_at_the_pause(&*stt, counting(8_000)).await;
    conformance::stt_tells_nothing_from_given_up(&*stt).await;
    assert_eq!(stt.check().await, Ok(()));
    fake.is_content();
    assert!(fake.handshakes() <= 1);
}

async fn a_status_says_who_must_act(ear: &Ear) {
    for (status, kind) in STATUSES {
        let (fake, stt) = ear.pair().await;
        fake.misbehave(Mischief::Status(status)).await;
        for error in [
            utterance(&*stt, &counting(900)).await.unwrap_err(),
            stt.check().await.unwrap_err(),
        ] {
            assert_eq!(error.kind, kind, "{status}");
            let wait = (status == 429).then_some(Duration::from_secs(2));
            assert_eq!(error.retry_after, wait);
            assert!(!format!("{error:?}").contains(KEY));
        }
    }
}

async fn a_wrong_key_is_told_without_any_part_of_it(ear: &Ear) {
    let fake = ear.start().await;
    for key in [None, Some(""), Some("sk-wrong-key")] {
        let keyed = Vendor {
            api_key: key.map(Into::into),
            ..vendor(&fake, ear.path)
        };
        let missing = key.is_none_or(str::is_empty) && ear.needs_key;
        let errors = match (ear.open)(http::client().unwrap(), keyed) {
            Ok(_) if missing => panic!("nobody asked for a key"),
            Ok(stt) => vec![
                stt.check().await.unwrap_err(),
                utterance(&*stt, &counting(900)).await.unwrap_err(),
            ],
            Err(error) => vec![error],
        };
        for error in errors {
            assert_eq!(error.kind, Kind::Unauthorized);
            assert_eq!(error.message.contains("providers.acme.api_key"), missing);
            assert!(!format!("{error:?}").contains("sk-wrong-key"));
        }
    }
}

async fn every_fault_has_its_kind(ear: &Ear) {
    for fault in Fault::ALL {
        let (fake, stt) = ear.pair().await;
        fake.misbehave(fault).await;
        let since = Instant::now();
        let error = utterance(&*stt, &counting(30_000)).await.unwrap_err();
        let expected = match fault {
            Fault::Unauthorized => Kind::Unauthorized,
            Fault::RateLimited => Kind::RateLimited,
            Fault::Refuse | Fault::Broken | Fault::CloseMidway => Kind::Unavailable,
            Fault::StallBefore | Fault::StallMidway | Fault::Trickle => Kind::Timeout,
            Fault::Garbage => Kind::Protocol,
        };
        assert_eq!(error.kind, expected, "{fault:?}");
        assert!(!error.to_string().contains("html"));
        assert!(since.elapsed() < Duration::from_secs(16), "{fault:?}");
        fake.behave().await;
        let text = utterance(&*stt, &counting(900)).await.unwrap();
        assert_eq!(text, "1-900", "after {fault:?}");
    }
}

async fn a_server_that_answers_nobody_is_a_timeout(ear: &Ear) {
    let (_listener, silent) = nobody(ear.path).await;
    let stt = (ear.open)(http::client().unwrap(), silent).unwrap();
    let error = utterance(&*stt, &counting(500)).await.unwrap_err();
    assert_eq!(error.kind, Kind::Timeout);
}

async fn the_utterances_of_a_session_share_a_connection(wire: &Wire) {
    let (fake, stt) = wire.ear.pair().await;
    stt.prepare(&stt_options());
    stt.prepare(&stt_options());
    // shorter than a message may be, longer than one may be, and in between
    for samples in [100, 30_000, 1_700] {
        let text = utterance(&*stt, &counting(samples)).await.unwrap();
        assert_eq!(text, format!("1-{samples}"));
    }
    assert_eq!(fake.handshakes(), 1);
    // another session has another, whatever it speaks
    let english = SttOptions {
        session: "sess_b".to_owned(),
        language: Some("en".to_owned()),
        ..stt_options()
    };
    let mut stream = stt.open(english).await.unwrap();
    tell(&stream, SttCommand::Audio(counting(900))).await;
    tell(&stream, SttCommand::End).await;
    assert_eq!(rest(&mut stream).await.1.unwrap().0, "1-900");
    let handshakes = fake.world.with(|seen| seen.handshakes.clone());
    assert_eq!(handshakes.len(), 2);
    for (handshake, expected) in handshakes.iter().zip(wire.handshakes) {
        for part in expected {
            assert!(handshake.contains(part), "{handshake}");
        }
    }
    fake.is_content();
}

async fn an_utterance_given_up_leaves_nothing_to_the_next(wire: &Wire) {
    let (fake, stt) = wire.ear.pair().await;
    let mut stream = stt.open(stt_options()).await.unwrap();
    tell(&stream, SttCommand::Audio(counting(5_000))).await;
    assert!(matches!(
        stream.events.recv().await,
        Some(SttEvent::Partial { .. })
    ));
    drop(stream);
    let ends = |text: &Value| text["type"] == wire.words[0];
    fake.world.until(|seen| seen.texts.iter().any(ends)).await;
    assert_eq!(utterance(&*stt, &counting(900)).await.unwrap(), "1-900");
}

async fn a_lost_connection_is_opened_again_and_hears_everything(wire: &Wire) {
    for after in [1, 2] {
        let (fake, stt) = wire.ear.pair().await;
        fake.misbehave(Mischief::Break(after)).await;
        let text = utterance(&*stt, &counting(6_000)).await.unwrap();
        assert_eq!(text, "1-6000", "broken after {after} messages");
        assert_eq!(fake.handshakes(), 2);
        fake.is_content();
    }
    // a connection that is lost again is given up
    let (fake, stt) = wire.ear.pair().await;
    fake.misbehave(Mischief::AlwaysBreak(1)).await;
    let error = utterance(&*stt, &counting(6_000)).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable);
    assert_eq!(fake.handshakes(), 2);
}

async fn a_connection_that_nobody_uses_is_closed_politely(wire: &Wire) {
    let (fake, stt) = wire.ear.pair().await;
    utterance(&*stt, &counting(1_000)).await.unwrap();
    let since = Instant::now();
    fake.world.until(|seen| seen.closed == [1000]).await;
    assert!(since.elapsed() >= Duration::from_mins(1));
    assert_eq!(fake.count(wire.words[1]), 1);
    // and the next utterance has another
    assert_eq!(utterance(&*stt, &counting(500)).await.unwrap(), "1-500");
    assert_eq!(fake.handshakes(), 2);
}

async fn noise_is_no_transcript(wire: &Wire) {
    let (fake, stt) = wire.ear.pair().await;
    fake.misbehave(Mischief::Noise).await;
    let since = Instant::now();
    let error = utterance(&*stt, &counting(30_000)).await.unwrap_err();
    assert_eq!(error.kind, Kind::Timeout);
    assert!(since.elapsed() < Duration::from_secs(16));
}

async fn a_connection_that_stalls_serves_nobody_else(wire: &Wire) {
    for fault in [Fault::StallBefore, Fault::StallMidway] {
        let (fake, stt) = wire.ear.pair().await;
        fake.misbehave(fault).await;
        let stream = stt.open(stt_options()).await.unwrap();
        tell(&stream, SttCommand::Audio(counting(900))).await;
        tell(&stream, SttCommand::End).await;
        fake.world.until(|seen| !seen.texts.is_empty()).await;
        advance(Duration::from_secs(4)).await;
        // as a guard does who has somebody else to ask
        drop(stream);
        fake.behave().await;
        let since = Instant::now();
        fake.world.until(|seen| seen.closed.len() == 1).await;
        assert!(since.elapsed() < Duration::from_secs(30), "{fault:?}");
        assert_eq!(utterance(&*stt, &counting(900)).await.unwrap(), "1-900");
        assert_eq!(fake.handshakes(), 2, "{fault:?}");
    }
}
