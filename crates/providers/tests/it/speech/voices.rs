//! What all voices behind a vendor must do, whoever the vendor is; its own contract has a file of its own.
//! Run once per vendor against its fake.
//! Knows no protocol: the fakes hold every message against their vendor's contract.

use std::{sync::Arc, time::Duration};

use providers::{
    Kind, ProviderError, Vendor, http,
    ports::{Tts, TtsEvent},
    tts::{
        cartesia::CartesiaTts, deepgram::DeepgramTts, elevenlabs::ElevenLabsTts, openai::OpenAiTts,
    },
};
use tokio::time::{Instant, advance};

use super::{STATUSES, begin, failed_reply, nobody, vendor};
use crate::{
    conformance::{self, speak_options, speech},
    fakes::{
        self, Fault,
        wire::{Fake, KEY, Manners, Mischief, Seen},
    },
};

/// A vendor under test.
pub(crate) struct Voice {
    pub(crate) manners: Manners,
    /// Where its base address leads.
    pub(crate) path: &'static str,
    pub(crate) open: fn(reqwest::Client, Vendor) -> Result<Arc<dyn Tts>, ProviderError>,
    /// Whether a vendor without a key is no vendor.
    needs_key: bool,
    /// How fast it can speak; 1 is the natural speed.
    fastest: f32,
}

/// A vendor that speaks over a WebSocket.
struct Wire {
    voice: Voice,
    /// Whether a connection serves more than one reply.
    reuses: bool,
    /// Whether it has been told to stop.
    stopped: fn(&Seen) -> bool,
}

macro_rules! voice {
    ($manners:expr, $path:expr, $tts:ident, needs_key: $needs_key:expr, fastest: $fastest:expr) => {
        Voice {
            manners: $manners,
            path: $path,
            open: |client, vendor| Ok(Arc::new($tts::new(client, vendor)?)),
            needs_key: $needs_key,
            fastest: $fastest,
        }
    };
}

pub(crate) const DEEPGRAM: Voice =
    voice!(fakes::deepgram::MANNERS, "/v1", DeepgramTts, needs_key: true, fastest: 2.0);
pub(crate) const ELEVENLABS: Voice =
    voice!(fakes::elevenlabs::MANNERS, "/v1", ElevenLabsTts, needs_key: true, fastest: 1.2);
pub(crate) const CARTESIA: Voice =
    voice!(fakes::cartesia::MANNERS, "", CartesiaTts, needs_key: true, fastest: 2.0);
pub(crate) const OPENAI: Voice =
    voice!(fakes::openai_audio::MANNERS, "/v1", OpenAiTts, needs_key: false, fastest: 2.0);
const DEEPGRAM_WIRE: Wire = Wire {
    voice: DEEPGRAM,
    reuses: true,
    stopped: |seen| seen.texts.iter().any(|text| text["type"] == "Clear"),
};
const ELEVENLABS_WIRE: Wire = Wire {
    voice: ELEVENLABS,
    reuses: false,
    stopped: |seen| seen.closed.len() == 1,
};
const CARTESIA_WIRE: Wire = Wire {
    voice: CARTESIA,
    reuses: true,
    stopped: |seen| seen.texts.iter().any(|text| text["cancel"] == true),
};

impl Voice {
    pub(crate) async fn start(&self) -> Fake {
        Fake::start(self.manners).await
    }

    pub(crate) fn open(&self, fake: &Fake) -> Arc<dyn Tts> {
        (self.open)(http::client().unwrap(), vendor(fake, self.path)).unwrap()
    }

    pub(crate) async fn pair(&self) -> (Fake, Arc<dyn Tts>) {
        let fake = self.start().await;
        let tts = self.open(&fake);
        (fake, tts)
    }
}

suite! {
    [deepgram: DEEPGRAM, elevenlabs: ELEVENLABS, cartesia: CARTESIA, openai: OPENAI]
    [
        the_conformance_suite_passes
        no_sample_is_lost_between_chunks
        a_status_says_who_must_act
        a_wrong_key_is_told_without_any_part_of_it
        every_fault_has_its_kind
        a_server_that_answers_nobody_is_a_timeout
    ]
}
suite! {
    [deepgram_wire: DEEPGRAM_WIRE, elevenlabs_wire: ELEVENLABS_WIRE, cartesia_wire: CARTESIA_WIRE]
    [
        a_reply_that_is_dropped_is_stopped_and_leaves_nothing_to_the_next
        a_connection_lost_before_anything_was_heard_is_opened_again
        a_connection_lost_in_the_middle_of_a_piece_is_not_opened_again
        noise_is_no_speech
        a_connection_that_stalls_serves_nobody_else
    ]
}

async fn the_conformance_suite_passes(voice: &Voice) {
    let (fake, tts) = voice.pair().await;
    assert_eq!(tts.name(), "acme");
    conformance::tts_speaks_in_order(&*tts).await;
    if voice.fastest >= 2.0 {
        conformance::tts_knows_voices_and_speed(&*tts).await;
    }
    assert_eq!(tts.check().await, Ok(()));
    fake.is_content();
}

async fn no_sample_is_lost_between_chunks(voice: &Voice) {
    let (fake, tts) = voice.pair().await;
    for name in ["alloy", "nobody-has-this-voice", ""] {
        let spoken = speech(&*tts, speak_options(name), &["Hello.", "You?"]).await;
        assert_eq!(spoken.pieces, [6 * 1_200, 4 * 1_200]);
        assert_eq!(spoken.rate_hz, 24_000);
    }
    fake.is_content();
}

async fn a_status_says_who_must_act(voice: &Voice) {
    for (status, kind) in STATUSES {
        let (fake, tts) = voice.pair().await;
        fake.misbehave(Mischief::Status(status)).await;
        let (heard, refused) = failed_reply(&*tts, "Hello.").await;
        assert_eq!(heard, 0);
        for error in [refused, tts.check().await.unwrap_err()] {
            assert_eq!(error.kind, kind, "{status}");
            let wait = (status == 429).then_some(Duration::from_secs(2));
            assert_eq!(error.retry_after, wait);
            assert!(!format!("{error:?}").contains(KEY));
        }
    }
}

async fn a_wrong_key_is_told_without_any_part_of_it(voice: &Voice) {
    let fake = voice.start().await;
    for key in [None, Some(""), Some("sk-wrong-key")] {
        let keyed = Vendor {
            api_key: key.map(Into::into),
            ..vendor(&fake, voice.path)
        };
        let missing = key.is_none_or(str::is_empty) && voice.needs_key;
        let errors = match (voice.open)(http::client().unwrap(), keyed) {
            Ok(_) if missing => panic!("nobody asked for a key"),
            Ok(tts) => vec![
                tts.check().await.unwrap_err(),
                failed_reply(&*tts, "Hello.").await.1,
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

async fn every_fault_has_its_kind(voice: &Voice) {
    for fault in Fault::ALL {
        // a single voice may be as slow as it likes: what is to be done about it is its guard's business
        if fault == Fault::Trickle {
            continue;
        }
        let (fake, tts) = voice.pair().await;
        fake.misbehave(fault).await;
        let since = Instant::now();
        let (heard, error) = failed_reply(&*tts, "Good morning to everyone.").await;
        let (begins, expected) = match fault {
            Fault::Unauthorized => (false, Kind::Unauthorized),
            Fault::RateLimited => (false, Kind::RateLimited),
            Fault::Refuse | Fault::Broken => (false, Kind::Unavailable),
            Fault::CloseMidway => (true, Kind::Unavailable),
            Fault::StallBefore => (false, Kind::Timeout),
            Fault::StallMidway | Fault::Trickle => (true, Kind::Timeout),
            Fault::Garbage => (false, Kind::Protocol),
        };
        assert_eq!((heard > 0, error.kind), (begins, expected), "{fault:?}");
        assert!(since.elapsed() < Duration::from_secs(16), "{fault:?}");
        fake.behave().await;
        let spoken = speech(&*tts, speak_options("alloy"), &["Hello."]).await;
        assert_eq!(spoken.pieces, [6 * 1_200], "after {fault:?}");
    }
}

async fn a_server_that_answers_nobody_is_a_timeout(voice: &Voice) {
    let (_listener, silent) = nobody(voice.path).await;
    let tts = (voice.open)(http::client().unwrap(), silent).unwrap();
    let (heard, error) = failed_reply(&*tts, "Hello.").await;
    assert_eq!((heard, error.kind), (0, Kind::Timeout));
}

async fn a_reply_that_is_dropped_is_stopped_and_leaves_nothing_to_the_next(wire: &Wire) {
    let (fake, tts) = wire.voice.pair().await;
    let long = "word ".repeat(400);
    let mut stream = begin(&*tts, speak_options("alloy"), &[&long, &long, &long]).await;
    assert!(matches!(
        stream.events.recv().await,
        Some(TtsEvent::Audio { .. })
    ));
    drop(stream);
    fake.world.until(wire.stopped).await;
    let spoken = speech(&*tts, speak_options("alloy"), &["Hello."]).await;
    assert_eq!(spoken.pieces, [6 * 1_200]);
    assert!(!wire.reuses || fake.handshakes() == 1);
    // two pieces were asked for at most, and one of the next reply
    assert!(fake.world.with(|seen| seen.spoken.len()) <= 3);
}

async fn a_connection_lost_before_anything_was_heard_is_opened_again(wire: &Wire) {
    let (fake, tts) = wire.voice.pair().await;
    fake.misbehave(Mischief::Break(2)).await;
    let spoken = speech(&*tts, speak_options("alloy"), &["Hello.", "You?"]).await;
    assert_eq!(spoken.pieces, [6 * 1_200, 4 * 1_200]);
    assert!(!wire.reuses || fake.handshakes() == 2);
    fake.misbehave(Mischief::AlwaysBreak(1)).await;
    let (heard, error) = failed_reply(&*tts, "Hello.").await;
    assert_eq!((heard, error.kind), (0, Kind::Unavailable));
}

async fn a_connection_lost_in_the_middle_of_a_piece_is_not_opened_again(wire: &Wire) {
    let (fake, tts) = wire.voice.pair().await;
    fake.misbehave(Fault::CloseMidway).await;
    let (heard, error) = failed_reply(&*tts, "Good morning to everyone.").await;
    assert!(heard > 0);
    assert_eq!(error.kind, Kind::Unavailable);
    // said once is said: nothing was asked for again
    assert_eq!(fake.world.with(|seen| seen.spoken.len()), 1);
    assert_eq!(fake.handshakes(), 1);
}

async fn noise_is_no_speech(wire: &Wire) {
    let (fake, tts) = wire.voice.pair().await;
    fake.misbehave(Mischief::Noise).await;
    let since = Instant::now();
    let (heard, error) = failed_reply(&*tts, "Hello.").await;
    assert_eq!((heard, error.kind), (0, Kind::Timeout));
    assert!(since.elapsed() < Duration::from_secs(16));
}

async fn a_connection_that_stalls_serves_nobody_else(wire: &Wire) {
    for fault in [Fault::StallBefore, Fault::StallMidway] {
        let (fake, tts) = wire.voice.pair().await;
        fake.misbehave(fault).await;
        let mut stream = begin(&*tts, speak_options("alloy"), &["Good morning."]).await;
        fake.world.until(|seen| seen.spoken.len() == 1).await;
        if fault == Fault::StallMidway {
            assert!(stream.events.recv().await.is_some());
        }
        advance(Duration::from_secs(4)).await;
        // as a guard does who has somebody else to ask
        drop(stream);
        fake.behave().await;
        let since = Instant::now();
        fake.world.until(|seen| seen.closed.len() == 1).await;
        assert!(since.elapsed() < Duration::from_secs(30), "{fault:?}");
        let spoken = speech(&*tts, speak_options("alloy"), &["Hello."]).await;
        assert_eq!(spoken.pieces, [6 * 1_200], "{fault:?}");
        assert!(fake.handshakes() >= 2);
    }
}
