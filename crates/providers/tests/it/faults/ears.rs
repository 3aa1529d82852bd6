//! Ears: whoever takes over hears the utterance from its beginning.

use std::{sync::Arc, time::Duration};

use providers::{
    Kind,
    guarded::{GuardedStt, Member, Stage, Watch},
    ports::Stt,
};
use tokio::time::Instant;

use super::{Story, endure, walk};
use crate::{
    fakes::Fault,
    speech::{
        counting,
        ears::{ASSEMBLYAI, DEEPGRAM, Ear, OPENAI},
        utterance,
    },
};

fn row(ears: impl IntoIterator<Item = (&'static str, Arc<dyn Stt>)>, watch: &Watch) -> GuardedStt {
    let members = ears
        .into_iter()
        .map(|(name, stt)| Arc::new(Member::new(name, Stage::Stt, stt, watch.clone())))
        .collect();
    GuardedStt::new(members, watch.clone())
}

async fn matrix(ear: &Ear) {
    walk();
    for fault in Fault::ALL {
        let ((fake, acme), (second, healthy)) = (ear.pair().await, ear.pair().await);
        let story = Story::new(Stage::Stt);
        let stt = row([("acme", acme), ("second", healthy)], &story.watch);
        endure(&fake, fault, &story, async || {
            let text = utterance(&stt, &counting(8_000)).await.unwrap();
            assert_eq!(text, "1-8000", "{fault:?}");
        })
        .await;
        second.is_content();

        let (fake, acme) = ear.pair().await;
        fake.misbehave(fault).await;
        let alone = row([("acme", acme)], &Watch::default());
        let since = Instant::now();
        let error = utterance(&alone, &counting(8_000)).await.unwrap_err();
        let kind = match fault {
            Fault::Unauthorized => Kind::Unauthorized,
            Fault::RateLimited => Kind::RateLimited,
            Fault::Refuse | Fault::Broken | Fault::CloseMidway => Kind::Unavailable,
            Fault::StallBefore | Fault::StallMidway | Fault::Trickle => Kind::Timeout,
            Fault::Garbage => Kind::Protocol,
        };
        assert_eq!(error.kind, kind, "{fault:?}");
        assert!(since.elapsed() < Duration::from_secs(11), "{fault:?}");
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
async fn assemblyai_with_faults() {
    matrix(&ASSEMBLYAI).await;
}

#[tokio::test(start_paused = true)]
async fn openai_with_faults() {
    matrix(&OPENAI).await;
}
