//! What goes wrong on the way, whoever the vendor is: the session always hears of it, and never of a key.

use std::time::Duration;

use providers::{Kind, ProviderError, Vendor, ports::DuplexEvent};
use tokio::{
    net::TcpListener,
    time::{Instant, advance},
};

use super::{Call, Ended, GEMINI, OPENAI, Subject, options, pcm, vendor};
use crate::fakes::upstream::{Answer, End, KEY, Manner, State, answer};

const BOTH: [Subject; 2] = [OPENAI, GEMINI];

/// How the opening fails.
async fn refused(subject: &Subject, spoil: impl FnOnce(&mut State)) -> ProviderError {
    let fake = subject.fake(&[]).await;
    fake.world.with(spoil);
    lost(subject, vendor(&fake)).await
}

async fn lost(subject: &Subject, vendor: Vendor) -> ProviderError {
    let duplex = (subject.open)(vendor).unwrap();
    let mut stream = duplex.open(options(), Vec::new()).await.unwrap();
    let event = stream.events.recv().await.unwrap();
    let DuplexEvent::Lost(error) = event else {
        panic!("{event:?}")
    };
    assert_eq!(stream.events.recv().await, None);
    let shown = format!("{error:?}");
    assert!(!shown.contains(KEY), "{shown}");
    // nor what servers quote of one that they refuse
    assert!(
        error.kind != Kind::Unauthorized || !shown.contains("sk-"),
        "{shown}"
    );
    error
}

#[tokio::test]
async fn a_refused_handshake_tells_what_to_do() {
    for subject in &BOTH {
        for (status, kind) in [
            (401, Kind::Unauthorized),
            (403, Kind::Unauthorized),
            (404, Kind::Rejected),
            (429, Kind::RateLimited),
            (500, Kind::Unavailable),
            (503, Kind::Unavailable),
        ] {
            let error = refused(subject, |state| state.status = Some(status)).await;
            assert_eq!(error.kind, kind, "{status}");
            let wait = (status == 429).then_some(Duration::from_secs(3));
            assert_eq!(error.retry_after, wait);
        }
    }
}

#[tokio::test]
async fn a_wrong_key_is_told_and_so_is_a_missing_one() {
    for subject in &BOTH {
        let fake = subject.fake(&[]).await;
        let wrong = Vendor {
            api_key: Some("sk-wrong".into()),
            ..vendor(&fake)
        };
        assert_eq!(lost(subject, wrong.clone()).await.kind, Kind::Unauthorized);
        let checked = (subject.open)(wrong).unwrap().check().await;
        assert_eq!(checked.unwrap_err().kind, Kind::Unauthorized);
        assert_eq!(subject.of(&fake).check().await, Ok(()));
    }
    for (subject, base) in [
        (OPENAI, "https://api.openai.com/v1"),
        (GEMINI, "https://generativelanguage.googleapis.com/v1beta"),
    ] {
        let vendor = Vendor::new("acme", base.parse().unwrap());
        let Err(error) = (subject.open)(vendor) else {
            panic!("opened")
        };
        assert!(
            error.to_string().contains("providers.acme.api_key"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn nobody_there_is_told_at_once() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v1beta", nobody.local_addr().unwrap());
    drop(nobody);
    for subject in &BOTH {
        let vendor = Vendor {
            api_key: Some("sk-any".into()),
            ..Vendor::new("acme", base.parse().unwrap())
        };
        assert_eq!(lost(subject, vendor).await.kind, Kind::Unavailable);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_confirms_nothing_is_given_up() {
    for subject in &BOTH {
        let begun = Instant::now();
        let error = refused(subject, |state| state.manner = Manner::Mute).await;
        assert_eq!(error.kind, Kind::Timeout, "{error}");
        assert_eq!(begun.elapsed().as_secs(), 15);
    }
}

/// What came of an answer that ends in this way.
async fn broken(subject: &Subject, end: End) -> (String, Ended) {
    let script = [Answer {
        words: "so far",
        end,
        ..Answer::default()
    }];
    let mut call = Call::begin(subject, &script).await;
    let heard = call.turn(1, "tell me").await;
    call.fake.is_content();
    let (text, ended) = (heard.text.trim().to_owned(), heard.ended.unwrap());
    if matches!(ended, Ended::Lost(_)) {
        assert_eq!(call.stream.events.recv().await, None);
    }
    (text, ended)
}

#[tokio::test]
async fn what_came_before_the_loss_is_heard() {
    for subject in &BOTH {
        for (end, kind) in [
            (End::Break, Kind::Unavailable),
            (End::Expire, Kind::Unavailable),
            (End::Garbage, Kind::Protocol),
        ] {
            let (text, ended) = broken(subject, end).await;
            assert_eq!(text, "so far", "{end:?}");
            let Ended::Lost(error) = ended else {
                panic!("{end:?}: {ended:?}")
            };
            assert_eq!(error.kind, kind, "{end:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_lost_after_half_a_minute() {
    for subject in &BOTH {
        let begun = Instant::now();
        let (text, ended) = broken(subject, End::Silence).await;
        assert_eq!(text, "so far");
        let Ended::Lost(error) = ended else {
            panic!("{ended:?}")
        };
        assert_eq!(error.kind, Kind::Timeout, "{error}");
        assert_eq!(begun.elapsed().as_secs(), 30);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_anything_but_the_answer_is_lost_as_well() {
    for subject in &BOTH {
        let endless = Answer {
            words: "so far",
            end: End::Silence,
            ..Answer::default()
        };
        let mut call = Call::begin(subject, &[endless]).await;
        call.fake.world.with(|state| state.manner = Manner::Noisy);
        let begun = Instant::now();
        let heard = call.turn(1, "tell me").await;
        assert_eq!(heard.lost().kind, Kind::Timeout);
        assert!((30..=31).contains(&begun.elapsed().as_secs()));
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_stays() {
    for subject in &BOTH {
        let mut call = Call::begin(subject, &[answer("still here")]).await;
        // in steps, so that what is asked can be answered
        for _ in 0..300 {
            advance(Duration::from_secs(1)).await;
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(call.turn(1, "hello").await.text.trim(), "still here");
        assert_eq!(call.fake.handshakes(), 1);
    }
}

#[tokio::test]
async fn after_a_loss_the_conversation_goes_on_with_its_history() {
    for subject in &BOTH {
        let script = [answer("one"), answer("two"), answer("three")];
        let mut call = Call::begin(subject, &script).await;
        assert_eq!(call.turn(1, "first").await.text.trim(), "one");
        call.fake
            .world
            .with(|state| state.breaks.push_back(End::Break));
        call.speak(2, &pcm("second")).await;
        call.ask(2).await;
        let heard = call.rest(2).await;
        assert_eq!(heard.text.trim(), "two");
        assert_eq!(heard.lost().kind, Kind::Unavailable);
        let said = [("first", "one"), ("second", "two")];
        let history = said.iter().flat_map(|(user, assistant)| {
            let assistant = engine::ask::LlmMessage::Assistant((*assistant).to_owned());
            [super::user(user), assistant].map(engine::ask::DuplexItem::Message)
        });
        let again = subject.of(&call.fake);
        call.stream = again.open(options(), history.collect()).await.unwrap();
        assert_eq!(call.event().await, DuplexEvent::Ready);
        assert_eq!(call.turn(3, "third").await.text.trim(), "three");
        let lines = [
            "user: first",
            "assistant: one",
            "user: second",
            "assistant: two",
            "user: third",
            "assistant: three",
        ];
        assert_eq!(call.fake.conversation(), lines);
        call.fake.is_content();
    }
}
