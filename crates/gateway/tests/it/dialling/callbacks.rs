//! Calls that are placed over each carrier, end to end: the carrier is asked by REST, tells what becomes of the call at the
//! addresses it was given, signed as it signs, asks for the answer document, and opens its stream.
//! REST interfaces are those in `carriers`, sockets and signatures those in `carrier`, reports in `out`.
//! Exotel says nothing of machines: its calls have no such story.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;

use super::out::{News, Out, PLACING, world};
use super::{EXTERNAL, TO, becomes, place, placed, stored, wanted};
use crate::carrier::Brand;
use crate::carrier::leg::Leg;
use crate::carriers::Fault;

#[tokio::test]
async fn a_person_answers_and_is_spoken_to() {
    for brand in PLACING {
        let (world, fake) = world(brand).await;
        let id = place(&world, &wanted()).await;
        let out = Out::new(&world, brand, placed(&world, &fake, 1).await);
        becomes(&world, &id, |call| call.carrier_call_id.is_some()).await;
        out.tells(News::Ringing).await;
        out.tells(News::Answered).await;
        let document = out.document().await;
        let proof = out.call.proof_of_upgrade(&document, out.secret());
        let leg = Leg::connect_with(&out.call, &document, &proof).await;
        let mut leg = leg.unwrap_or_else(|status| panic!("{brand:?}: {status}"));
        leg.say_start(&document).await;
        leg.greeting().await;
        out.tells(News::Human).await;
        let live = becomes(&world, &id, |call| call.state == "live").await;
        assert_eq!(
            (live.state.as_str(), live.direction.as_str()),
            ("live", "outbound"),
            "{brand:?}"
        );
        let known = (brand != Brand::Exotel).then_some("human");
        assert_eq!(live.answered_by.as_deref(), known, "{brand:?}");
        // who hangs up at once has declined; this one talks for a while
        world.app().clock.advance(Duration::from_secs(15));
        leg.hang_up().await;
        out.tells(News::Completed).await;
        let over = becomes(&world, &id, |call| call.finalized_at.is_some()).await;
        assert_eq!(
            over.hangup_reason.as_deref(),
            Some("caller_hangup"),
            "{brand:?}"
        );
        assert_eq!((over.attempt_number, over.state.as_str()), (1, "ended"));
        let turns = world
            .app()
            .store
            .sql
            .call_turns("default", &id)
            .await
            .unwrap();
        assert!(!turns.is_empty(), "{brand:?}: the greeting was heard");
        fake.only_call();
        fake.was_content();
    }
}

#[tokio::test]
async fn a_machine_answers_and_is_hung_up_on() {
    for brand in PLACING.into_iter().filter(|brand| *brand != Brand::Exotel) {
        let (world, fake) = world(brand).await;
        let id = place(&world, &wanted()).await;
        let out = Out::new(&world, brand, placed(&world, &fake, 1).await);
        becomes(&world, &id, |call| call.carrier_call_id.is_some()).await;
        out.tells(News::Ringing).await;
        fake.becomes(&out.placed.id, "in-progress");
        out.tells(News::Answered).await;
        out.tells(News::Machine).await;
        let next = becomes(&world, &id, |call| call.attempt_number == 2).await;
        assert_eq!(next.state, "scheduled", "{brand:?}");
        let pause = next.due_at.unwrap() - world.app().clock.utc();
        assert!(
            (239..=265).contains(&pause.num_minutes()),
            "{brand:?}: {pause}"
        );
        let call = fake.only_call();
        assert!(
            call.is_over() && call.done.len() == 1,
            "{brand:?}: {call:?}"
        );
        // its own report of the end comes late, and twice
        out.tells(News::Completed).await;
        out.tells(News::Completed).await;
        assert_eq!(stored(&world, &id).await.attempt_number, 2, "{brand:?}");
        let attempts = world
            .app()
            .store
            .sql
            .call_attempts("default", &id)
            .await
            .unwrap();
        assert_eq!(
            attempts[0].outcome.as_deref(),
            Some("voicemail"),
            "{brand:?}"
        );
        fake.was_content();
    }
}

#[tokio::test]
async fn nobody_answers_twice_and_the_line_is_busy_once() {
    for brand in PLACING {
        let (world, fake) = world(brand).await;
        let id = place(&world, &wanted()).await;
        for (attempt, news) in (1..).zip([News::NoAnswer, News::Busy, News::NoAnswer]) {
            let out = Out::new(&world, brand, placed(&world, &fake, attempt).await);
            becomes(&world, &id, |call| call.carrier_call_id.is_some()).await;
            out.tells(News::Ringing).await;
            out.tells(news).await;
            out.tells(news).await;
            if attempt < 3 {
                let waits = becomes(&world, &id, |call| call.state == "scheduled").await;
                assert_eq!(waits.attempt_number, attempt as i64 + 1, "{brand:?}");
                world.app().clock.advance(Duration::from_secs(8000));
                fake.with(|book| {
                    book.now = world.app().clock.utc() + chrono::TimeDelta::seconds(30);
                });
            }
        }
        let over = becomes(&world, &id, |call| call.finalized_at.is_some()).await;
        assert_eq!(over.outcome.as_deref(), Some("no_answer"), "{brand:?}");
        let attempts = world
            .app()
            .store
            .sql
            .call_attempts("default", &id)
            .await
            .unwrap();
        let outcomes: Vec<_> = attempts.iter().map(|it| it.outcome.as_deref()).collect();
        assert_eq!(
            outcomes,
            [Some("no_answer"), Some("busy"), Some("no_answer")],
            "{brand:?}"
        );
        fake.was_content();
    }
}

#[tokio::test]
async fn what_is_told_without_a_signature_changes_nothing() {
    for brand in PLACING {
        let (world, fake) = world(brand).await;
        let id = place(&world, &wanted()).await;
        let out = Out::new(&world, brand, placed(&world, &fake, 1).await);
        becomes(&world, &id, |call| call.carrier_call_id.is_some()).await;
        let url = match brand {
            Brand::Telnyx => out.address("webhook_url"),
            Brand::Vonage => out.address("event_url"),
            Brand::Plivo => out.address("hangup_url"),
            // what holds there is the address alone
            Brand::Exotel => format!("{EXTERNAL}/telephony/exotel/status"),
            _ => out.address("StatusCallback"),
        };
        let (kind, body) = if brand == Brand::Telnyx {
            let body = out.telnyx(News::Busy).to_string();
            let forged = out
                .call
                .post_json(&url, body.clone(), "another token")
                .await;
            assert_eq!(forged.status(), StatusCode::FORBIDDEN, "{brand:?}");
            ("application/json", body)
        } else {
            let (_, fields) = out.form(News::Busy).unwrap();
            let forged = out.call.post_under(&url, &fields, "another token").await;
            assert_eq!(forged.status(), StatusCode::FORBIDDEN, "{brand:?}");
            let form = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs(&fields)
                .finish();
            ("application/x-www-form-urlencoded", form)
        };
        let unsigned = out.call.send(&url, (kind, body), Vec::new()).await;
        assert_eq!(unsigned.status(), StatusCode::FORBIDDEN, "{brand:?}");
        assert_eq!(stored(&world, &id).await.state, "dialing", "{brand:?}");
    }
}

#[tokio::test]
async fn who_is_put_on_the_list_while_a_call_waits_is_not_rung_again() {
    for brand in PLACING {
        let (world, fake) = world(brand).await;
        let id = place(&world, &wanted()).await;
        let out = Out::new(&world, brand, placed(&world, &fake, 1).await);
        becomes(&world, &id, |call| call.carrier_call_id.is_some()).await;
        out.tells(News::NoAnswer).await;
        becomes(&world, &id, |call| call.state == "scheduled").await;
        let listed = world.post("/v1/do_not_call", &json!({ "number": TO }));
        assert_eq!(listed.send().await.unwrap().status(), StatusCode::CREATED);
        world.app().clock.advance(Duration::from_secs(8000));
        let over = becomes(&world, &id, |call| call.state == "blocked").await;
        assert_eq!(over.blocked_by.as_deref(), Some("blocked_dnc"), "{brand:?}");
        fake.only_call();
    }
}

/// A carrier that answers the request for a call with this status is asked again, and rings once.
async fn asked_again_after(status: u16) {
    for brand in PLACING {
        let (world, fake) = world(brand).await;
        fake.fault(Fault::Status(status));
        let id = place(&world, &wanted()).await;
        let mut turns = 0;
        let mut looks = tokio::time::interval(Duration::from_millis(20));
        while fake.with(|book| book.calls.is_empty()) {
            turns += 1;
            let call = stored(&world, &id).await;
            assert!(turns < 100, "{brand:?} {status}: {call:?}");
            looks.tick().await;
            world.app().clock.advance(Duration::from_secs(10));
            let ahead = chrono::TimeDelta::seconds(30);
            fake.with(|book| book.now = world.app().clock.utc() + ahead);
            world.app().dialler.wake();
        }
        let call = becomes(&world, &id, |call| call.carrier_call_id.is_some()).await;
        assert_eq!(call.finalized_at, None, "{brand:?} {status}");
        fake.only_call();
    }
}

#[tokio::test]
async fn a_carrier_that_knows_no_such_thing_is_asked_again_and_rings_once() {
    asked_again_after(404).await;
}

#[tokio::test]
async fn a_carrier_that_is_asked_too_fast_is_asked_again_and_rings_once() {
    asked_again_after(429).await;
}

#[tokio::test]
async fn a_carrier_that_fails_is_asked_again_and_rings_once() {
    asked_again_after(500).await;
}

#[tokio::test]
async fn a_machine_is_noted_though_the_carrier_does_not_hang_up_when_it_is_asked_to() {
    for status in [404, 429, 500] {
        let (world, fake) = world(Brand::Twilio).await;
        let id = place(&world, &wanted()).await;
        let out = Out::new(&world, Brand::Twilio, placed(&world, &fake, 1).await);
        becomes(&world, &id, |call| call.carrier_call_id.is_some()).await;
        fake.becomes(&out.placed.id, "in-progress");
        out.tells(News::Answered).await;
        fake.fault(Fault::Status(status));
        out.tells(News::Machine).await;
        let next = becomes(&world, &id, |call| call.attempt_number == 2).await;
        assert_eq!(next.state, "scheduled", "{status}");
    }
}
