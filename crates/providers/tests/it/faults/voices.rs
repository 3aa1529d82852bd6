//! Voices: whoever takes over speaks on from the first word that was not said.

use std::{cell::Cell, sync::Arc, time::Duration};

use engine::ask::SpeakOptions;
use providers::{
    Kind,
    guarded::{GuardedTts, Member, Stage, Watch},
    ports::Tts,
};
use tokio::time::Instant;

use super::{Story, endure, walk};
use crate::{
    conformance::{speak_options, speech},
    fakes::{Fault, wire::Fake},
    speech::{
        failed_reply,
        voices::{CARTESIA, DEEPGRAM, ELEVENLABS, OPENAI, Voice},
    },
};

const PIECES: [&str; 2] = ["Good morning to everyone who listens.", "How are you?"];

fn row(
    voices: impl IntoIterator<Item = (&'static str, Arc<dyn Tts>)>,
    watch: &Watch,
) -> GuardedTts {
    let members = voices
        .into_iter()
        .map(|(name, tts)| Arc::new(Member::new(name, Stage::Tts, tts, watch.clone())))
        .collect();
    GuardedTts::new(members, watch.clone())
}

/// Takes what was spoken since the last time.
fn take_spoken(fake: &Fake) -> String {
    let spoken = fake.world.with(|seen| std::mem::take(&mut seen.spoken));
    spoken.join(" ")
}

async fn matrix(voice: &Voice) {
    walk();
    for fault in Fault::ALL {
        let midway = matches!(
            fault,
            Fault::StallMidway | Fault::CloseMidway | Fault::Trickle
        );
        let ((fake, acme), (second, healthy)) = (voice.pair().await, voice.pair().await);
        let (story, session) = (Story::new(Stage::Tts), Cell::new(0));
        let tts = row([("acme", acme), ("second", healthy)], &story.watch);
        endure(&fake, fault, &story, async || {
            take_spoken(&fake);
            let before = story.taken_over();
            // a session of its own: its vendor may limit how much a connection says in a minute
            let options = SpeakOptions {
                session: format!("sess_{}", session.replace(session.get() + 1)),
                ..speak_options("alloy")
            };
            speech(&tts, options, &PIECES).await;
            let (whole, rest) = (PIECES.join(" "), take_spoken(&second));
            let said = whole.strip_suffix(&rest).unwrap_or("all of it again");
            let expected: &[&str] = match story.taken_over() - before {
                0 if rest.is_empty() => &[whole.as_str()],
                // the word in which it broke off is not said again
                1 if midway => &["Good ", "Good morning "],
                _ => &[""],
            };
            assert!(expected.contains(&said), "{fault:?}: {said:?} and {rest:?}");
            if rest.is_empty() {
                assert_eq!(take_spoken(&fake), whole, "{fault:?}");
            }
        })
        .await;
        second.is_content();

        let (fake, acme) = voice.pair().await;
        fake.misbehave(fault).await;
        let alone = row([("acme", acme)], &Watch::default());
        let since = Instant::now();
        let (heard, error) = failed_reply(&alone, &PIECES.concat()).await;
        let kind = match fault {
            Fault::Unauthorized => Kind::Unauthorized,
            Fault::RateLimited => Kind::RateLimited,
            Fault::Refuse | Fault::Broken | Fault::CloseMidway => Kind::Unavailable,
            Fault::StallBefore | Fault::StallMidway | Fault::Trickle => Kind::Timeout,
            Fault::Garbage => Kind::Protocol,
        };
        assert_eq!((error.kind, heard > 0), (kind, midway), "{fault:?}");
        assert!(since.elapsed() < Duration::from_secs(12), "{fault:?}");
        let refusal = alone.usable().err().map(|error| error.message);
        assert_eq!(refusal.is_some(), fault == Fault::Unauthorized);
        assert!(refusal.is_none_or(|told| told.contains("check providers.acme.api_key")));
    }
}

#[tokio::test(start_paused = true)]
async fn deepgram_with_faults() {
    matrix(&DEEPGRAM).await;
}

#[tokio::test(start_paused = true)]
async fn elevenlabs_with_faults() {
    matrix(&ELEVENLABS).await;
}

#[tokio::test(start_paused = true)]
async fn cartesia_with_faults() {
    matrix(&CARTESIA).await;
}

#[tokio::test(start_paused = true)]
async fn openai_with_faults() {
    matrix(&OPENAI).await;
}
