//! What goes wrong between us and a carrier: what it means, and whether somebody's telephone may be ringing.

use std::time::Duration;

use providers::carrier::{Account, Trouble};
use secrecy::SecretString;

use super::{CARRIERS, TO, account, call, each, lost, now, reach};
use crate::fakes::carriers::{Fake, Fault};

#[tokio::test]
async fn a_status_says_what_to_do() {
    each(async |fake, carrier| {
        for (fault, trouble, may_ring) in [
            (Fault::Status(401), Trouble::Unauthorized, false),
            (Fault::Status(403), Trouble::Unauthorized, false),
            (Fault::Status(404), Trouble::Gone, false),
            (Fault::Status(400), Trouble::Rejected, false),
            (Fault::Status(500), Trouble::Unavailable, true),
            (Fault::Status(503), Trouble::Unavailable, true),
            (Fault::Status(302), Trouble::Protocol, true),
        ] {
            fake.fault(fault);
            let error = carrier
                .dial(&call(TO, "call_1.1"), now())
                .await
                .unwrap_err();
            assert_eq!(error.trouble, trouble, "{fault:?}: {error}");
            assert_eq!(error.may_have_dialed(), may_ring, "{fault:?}: {error}");
            assert_eq!(error.retry_after, None);
        }
        fake.fault(Fault::Slow(7));
        let error = carrier
            .dial(&call(TO, "call_1.1"), now())
            .await
            .unwrap_err();
        assert_eq!(error.trouble, Trouble::RateLimited);
        assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_is_lost_leaves_a_call_that_is_found() {
    for dialect in CARRIERS {
        for fault in [
            Fault::DoneAnd500,
            Fault::DoneAndGarbage,
            Fault::DoneAndSilent,
        ] {
            let fake = Fake::start(dialect, now()).await;
            let carrier = reach(Account {
                limit: Duration::from_millis(300),
                ..account(&fake)
            });
            fake.fault(fault);
            let error = carrier
                .dial(&call(TO, "call_1.1"), now())
                .await
                .unwrap_err();
            assert!(error.may_have_dialed(), "{dialect:?} {fault:?}: {error}");
            let expected = match fault {
                Fault::DoneAnd500 => Trouble::Unavailable,
                Fault::DoneAndSilent => Trouble::Timeout,
                _ => Trouble::Protocol,
            };
            assert_eq!(error.trouble, expected, "{error}");
            let patient = reach(account(&fake));
            let found = patient.find(&lost("call_1.1"), now()).await.unwrap();
            assert_eq!(found.unwrap().call_id, fake.only_call().id, "{dialect:?}");
        }
    }
}

#[tokio::test]
async fn nobody_listening_rings_nobody() {
    for dialect in CARRIERS {
        let fake = Fake::start(dialect, now()).await;
        let carrier = reach(Account {
            // a port that nobody may listen on
            base_url: Some("http://127.0.0.1:9/base".parse().unwrap()),
            ..account(&fake)
        });
        let error = carrier
            .dial(&call(TO, "call_1.1"), now())
            .await
            .unwrap_err();
        assert_eq!(error.trouble, Trouble::Unavailable, "{error}");
        assert!(!error.may_have_dialed(), "{error}");
    }
}

#[tokio::test]
async fn a_wrong_secret_is_for_the_operator_and_is_not_shown() {
    for dialect in CARRIERS {
        let fake = Fake::start(dialect, now()).await;
        let carrier = reach(Account {
            secret: SecretString::from("another-secret"),
            ..account(&fake)
        });
        let error = carrier
            .dial(&call(TO, "call_1.1"), now())
            .await
            .unwrap_err();
        assert_eq!(error.trouble, Trouble::Unauthorized, "{error}");
        assert!(!format!("{error:?} {carrier:?}").contains("another-secret"));
        fake.with(|book| assert!(book.calls.is_empty()));
    }
}
