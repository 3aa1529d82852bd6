//! One suite for the REST interfaces of all carriers, on real sockets, against fakes that refuse what is not documented.

mod faults;

use chrono::{DateTime, TimeDelta, Utc};
use providers::carrier::{
    ANSWER_LIMIT, Account, Carrier, HungUp, Lost, Machines, NewDial, Trouble,
};
use secrecy::SecretString;
use wire::telephony::Dialect;

use engine::call::state::CarrierStatus;

use crate::fakes::carriers::{ACCOUNT, BAD_NUMBER, Fake, SECRET, private_key};

/// The carriers that place calls.
const CARRIERS: [Dialect; 6] = [
    Dialect::Twilio,
    Dialect::SignalWire,
    Dialect::Telnyx,
    Dialect::Plivo,
    Dialect::Exotel,
    Dialect::Vonage,
];
const TO: &str = "+14155550100";
const FROM: &str = "+14155550199";

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).unwrap()
}

fn account(fake: &Fake) -> Account {
    let secret = match fake.dialect {
        Dialect::Vonage => private_key(),
        _ => SECRET.to_owned(),
    };
    Account {
        carrier: fake.dialect,
        id: ACCOUNT.to_owned(),
        secret: SecretString::from(secret),
        api_key: None,
        space: None,
        base_url: Some(fake.base.parse().unwrap()),
        limit: ANSWER_LIMIT,
    }
}

fn reach(account: Account) -> Carrier {
    Carrier::new(account, providers::http::client().unwrap()).unwrap()
}

fn call<'a>(to: &'a str, correlation: &'a str) -> NewDial<'a> {
    NewDial {
        to,
        from: FROM,
        answer_url: "https://voice.example/telephony/x/answer?call=call_1",
        status_url: "https://voice.example/telephony/x/status?call=call_1",
        machine_url: "https://voice.example/telephony/x/status?call=call_1&machine=1",
        stream_url: "wss://voice.example/telephony/x",
        correlation,
        ring_s: 30,
        limit_s: 300,
        machines: Machines::Detect,
    }
}

fn lost(correlation: &str) -> Lost<'_> {
    Lost {
        to: TO,
        from: FROM,
        correlation,
        since: now(),
    }
}

/// A carrier of each kind, with its fake.
async fn each(story: impl AsyncFn(&Fake, &Carrier)) {
    for dialect in CARRIERS {
        let fake = Fake::start(dialect, now()).await;
        let carrier = reach(account(&fake));
        story(&fake, &carrier).await;
        fake.was_content();
    }
}

#[tokio::test]
async fn a_call_is_placed_with_what_the_carrier_documents() {
    each(async |fake, carrier| {
        let dialed = carrier.dial(&call(TO, "call_1.1"), now()).await.unwrap();
        let placed = fake.only_call();
        assert_eq!(placed.id, dialed.call_id);
        let digits = |number: &str| number.trim_start_matches('+').to_owned();
        assert_eq!(digits(&placed.to), digits(TO), "{:?}", fake.dialect);
        assert_eq!(digits(&placed.from), digits(FROM));
        let sent = format!("{:?}", placed.fields);
        assert!(sent.contains("/status?call=call_1"), "{sent}");
        assert!(sent.contains("30") && sent.contains("300"), "{sent}");
        let machines = match fake.dialect {
            Dialect::Twilio | Dialect::SignalWire => placed.field("MachineDetection") == "Enable",
            Dialect::Telnyx => placed.field("answering_machine_detection") == "detect",
            Dialect::Plivo => placed.field("machine_detection") == "true",
            Dialect::Vonage => placed
                .field("advanced_machine_detection")
                .contains("continue"),
            _ => true,
        };
        assert!(machines, "{sent}");
    })
    .await;
}

#[tokio::test]
async fn a_number_that_cannot_be_called_says_so_and_rings_nobody() {
    each(async |fake, carrier| {
        let refused = carrier.dial(&call(BAD_NUMBER, "call_1.1"), now()).await;
        let error = refused.unwrap_err();
        assert_eq!(error.trouble, Trouble::BadNumber, "{error}");
        assert!(!error.may_have_dialed());
        assert!(!error.to_string().contains("5005550001"), "{error}");
        fake.with(|book| assert!(book.calls.is_empty()));
    })
    .await;
}

#[tokio::test]
async fn a_second_call_within_the_second_is_too_fast() {
    each(async |fake, carrier| {
        carrier.dial(&call(TO, "call_1.1"), now()).await.unwrap();
        let again = carrier.dial(&call(TO, "call_2.1"), now()).await;
        let error = again.unwrap_err();
        assert_eq!(error.trouble, Trouble::RateLimited, "{error}");
        assert!(!error.may_have_dialed());
        fake.second();
        carrier.dial(&call(TO, "call_2.1"), now()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn hanging_up_ends_a_call_and_is_content_when_it_is_over() {
    each(async |fake, carrier| {
        let dialed = carrier.dial(&call(TO, "call_1.1"), now()).await.unwrap();
        let hang_up = async |id: &str| carrier.hang_up(id, now()).await;
        if fake.dialect == Dialect::Exotel {
            let error = hang_up(&dialed.call_id).await.unwrap_err();
            assert_eq!(error.trouble, Trouble::Unsupported);
            return;
        }
        assert_eq!(hang_up(&dialed.call_id).await, Ok(HungUp::Now));
        assert!(fake.only_call().is_over());
        assert_eq!(hang_up(&dialed.call_id).await, Ok(HungUp::Before));
        assert_eq!(hang_up("nobody").await, Ok(HungUp::Before));
    })
    .await;
}

#[tokio::test]
async fn a_call_that_goes_on_is_redirected_or_transferred_and_keys_are_pressed() {
    each(async |fake, carrier| {
        let dialed = carrier.dial(&call(TO, "call_1.1"), now()).await.unwrap();
        fake.becomes(&dialed.call_id, "in-progress");
        let url = "https://voice.example/next";
        let id = dialed.call_id.as_str();
        let redirected = carrier.redirect(id, url, now()).await;
        let transferred = carrier.transfer(id, ("+14155550111", FROM), 20).await;
        match fake.dialect {
            Dialect::Exotel => {
                assert_eq!(redirected.unwrap_err().trouble, Trouble::Unsupported);
                assert_eq!(transferred.unwrap_err().trouble, Trouble::Unsupported);
            }
            Dialect::Telnyx => {
                assert_eq!(redirected.unwrap_err().trouble, Trouble::Unsupported);
                transferred.unwrap();
                assert!(fake.only_call().done[0].contains("+14155550111"));
            }
            _ => {
                redirected.unwrap();
                assert_eq!(transferred.unwrap_err().trouble, Trouble::Unsupported);
                assert!(fake.only_call().done[0].contains(url));
            }
        }
        let pressed = carrier.press(id, "12#", now()).await;
        let native = [Dialect::Telnyx, Dialect::Plivo, Dialect::Vonage];
        if native.contains(&fake.dialect) {
            pressed.unwrap();
            let done = fake.only_call().done;
            assert!(done.last().unwrap().contains("12#"), "{done:?}");
        } else {
            assert_eq!(pressed.unwrap_err().trouble, Trouble::Unsupported);
        }
    })
    .await;
}

#[tokio::test]
async fn last_words_are_spoken_where_the_interface_does_that() {
    each(async |fake, carrier| {
        let dialed = carrier.dial(&call(TO, "call_1.1"), now()).await.unwrap();
        fake.becomes(&dialed.call_id, "in-progress");
        let words = "Please call <us> back.";
        let said = carrier.say_last(&dialed.call_id, words, now()).await;
        let done = fake.only_call().done;
        match fake.dialect {
            Dialect::Twilio | Dialect::SignalWire => {
                said.unwrap();
                assert!(done[0].contains("Please call &lt;us&gt; back."), "{done:?}");
                assert!(done[0].contains("<Hangup/>"), "{done:?}");
            }
            Dialect::Vonage => {
                said.unwrap();
                assert!(done[0].contains(words), "{done:?}");
            }
            _ => assert_eq!(said.unwrap_err().trouble, Trouble::Unsupported),
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_over_is_not_redirected() {
    each(async |fake, carrier| {
        let dialed = carrier.dial(&call(TO, "call_1.1"), now()).await.unwrap();
        fake.becomes(&dialed.call_id, "completed");
        let id = dialed.call_id.as_str();
        let error = match fake.dialect {
            Dialect::Exotel => return,
            Dialect::Telnyx => carrier.transfer(id, (TO, FROM), 20).await.unwrap_err(),
            _ => {
                let url = "https://voice.example/next";
                carrier.redirect(id, url, now()).await.unwrap_err()
            }
        };
        let expected = match fake.dialect {
            // its answer does not tell
            Dialect::Vonage => Trouble::Rejected,
            _ => Trouble::Gone,
        };
        assert_eq!(error.trouble, expected, "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_call_is_looked_up_and_a_lost_one_is_found_by_what_is_known_of_it() {
    each(async |fake, carrier| {
        assert_eq!(carrier.find(&lost("call_1.1"), now()).await, Ok(None));
        assert_eq!(carrier.look_up("nobody", now()).await, Ok(None));
        let dialed = carrier.dial(&call(TO, "call_1.1"), now()).await.unwrap();
        let id = dialed.call_id.as_str();
        let found = carrier.find(&lost("call_1.1"), now()).await.unwrap();
        assert_eq!(found.map(|found| found.call_id).as_deref(), Some(id));
        fake.becomes(id, "completed");
        let over = carrier.look_up(id, now()).await.unwrap().unwrap();
        assert_eq!(over.status, Some(CarrierStatus::Completed));
        // of those that are over Telnyx lists none: its webhook has told of the end
        let found = carrier.find(&lost("call_1.1"), now()).await.unwrap();
        assert_eq!(found.is_none(), fake.dialect == Dialect::Telnyx);
        // what was made before is another call
        let later = Lost {
            since: now() + TimeDelta::days(1),
            ..lost("call_9.1")
        };
        let known = carrier.find(&later, now()).await.unwrap();
        assert_eq!(known, None, "{:?}", fake.dialect);
    })
    .await;
}

#[tokio::test]
async fn a_request_that_telnyx_gets_twice_is_one_call() {
    let fake = Fake::start(Dialect::Telnyx, now()).await;
    let carrier = reach(account(&fake));
    let first = carrier.dial(&call(TO, "call_1.1"), now()).await.unwrap();
    let second = carrier.dial(&call(TO, "call_1.1"), now()).await.unwrap();
    assert_eq!(first, second);
    fake.only_call();
}

#[tokio::test]
async fn a_call_of_plivo_that_began_before_is_another_one() {
    let fake = Fake::start(Dialect::Plivo, now()).await;
    let carrier = reach(account(&fake));
    let dialed = carrier.dial(&call(TO, "call_1.1"), now()).await.unwrap();
    let later = Lost {
        since: now() + TimeDelta::minutes(1),
        ..lost("call_9.1")
    };
    // it still goes on: whoever takes it for the lost one hangs up on somebody
    assert_eq!(carrier.find(&later, now()).await, Ok(None));
    let same = carrier.find(&lost("call_1.1"), now()).await.unwrap();
    assert_eq!(same.map(|found| found.call_id), Some(dialed.call_id));
    fake.was_content();
}
