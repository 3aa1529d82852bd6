//! One story for every carrier: it proves itself, asks, streams, is spoken to, is interrupted exactly, presses keys, and hangs up.
//! What carriers do differently is in `carrier`; the buffer that they play out of is one and the same.
//! Nothing here waits for a second to pass: the clock is put forward where a carrier takes its time.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::carrier::leg::{Leg, Playing, speech};
use crate::carrier::{Brand, CALLER, Call, LINE, TOKEN};
use crate::phone::{texts, the_call, the_end, world};
use crate::redis_servers::until;
use crate::world::World;

const GREETING: &str = "Hi, this is an AI assistant.";

/// Reads until words of this length were heard.
async fn hears(world: &World, leg: &mut Leg, brand: Brand, characters: usize) {
    let from = leg.played;
    hears_from(world, leg, (brand, from), characters).await;
}

/// The same behind what was played of the call before.
async fn hears_from(
    world: &World,
    leg: &mut Leg,
    (brand, from): (Brand, usize),
    characters: usize,
) {
    leg.until("the first of it", |leg| leg.played > from).await;
    let ms = characters * brand.ms_per_char();
    if brand.ms_per_char() > 10 {
        world.app().clock.advance(Duration::from_millis(ms as u64));
    }
    leg.until("all of it", |leg| leg.played >= from + 8 * ms)
        .await;
    if brand.ms_per_char() > 10 {
        // what is ahead of its playing is played, too
        world.app().clock.advance(Duration::from_millis(ms as u64));
    }
    leg.settle().await;
}

/// How many characters of an answer to `words` are spoken at least: the scripted model says them back.
fn answer_to(words: &str) -> usize {
    format!("You said: {words}.What else can I do for you?").len() - 1
}

/// A whole call: two turns, the second answer of which is spoken over.
async fn two_turns_and_a_barge_in(brand: Brand) {
    let world = world(brand).await;
    let call = Call::new(&world, brand, 1);
    let document = call.answer().await;
    let verbs: &[&str] = match brand {
        Brand::Plivo => &["Stream", "Redirect"],
        Brand::Exotel => &["Stream"],
        Brand::Vonage => &["connect"],
        Brand::Genesys => &[],
        _ => &["Connect", "Stream"],
    };
    assert_eq!(document.verbs[..verbs.len()], *verbs);
    let has_bearer = matches!(brand, Brand::SignalWire | Brand::Vonage);
    assert_eq!(document.bearer.is_some(), has_bearer);
    if brand != Brand::Genesys {
        // the carrier asks twice: it is the same call
        let again = call.answer().await;
        assert_eq!(again.parameter("callId"), document.parameter("callId"));
    }
    let mut leg = Leg::start(&call, &document).await;
    // some of it may have been played before the carrier knew that its stream is open
    hears_from(&world, &mut leg, (brand, 0), GREETING.len()).await;
    let status = document.status_callback.as_deref();
    if brand != Brand::Genesys {
        let answered = call.report(status, "in-progress", 2).await;
        let answered: Value = answered.json().await.unwrap();
        assert_eq!(answered, json!({ "success": true }));
    }
    leg.say(&speech()).await;
    leg.pause(900).await;
    hears(&world, &mut leg, brand, answer_to("what is new")).await;
    // the second answer is held in the carrier's buffer, and played a little
    leg.set(Playing::Held).await;
    leg.say(&speech()).await;
    leg.pause(900).await;
    let most = if brand == Brand::Exotel { 700 } else { 300 };
    leg.until("the second answer", |leg| leg.waiting() > 8 * most)
        .await;
    match brand {
        // two of its frames
        Brand::Exotel => leg.play(8 * 800).await,
        // nobody is told what was played
        Brand::Genesys => world.app().clock.advance(Duration::from_millis(1500)),
        _ => leg.play(8 * 200).await,
    }
    // more of it is sent as time passes
    leg.until("more of it", |leg| leg.waiting() > 0).await;
    let clears = leg.clears;
    leg.say(&speech()[..8 * 1000]).await;
    leg.until("clear", |leg| leg.clears == clears + 1).await;
    assert!(leg.cleared > 0);
    leg.set(Playing::AtOnce).await;
    leg.hang_up().await;
    let closed = leg.answers.last().is_some_and(|last| last == "closed");
    assert_eq!(closed, brand == Brand::Genesys, "{:?}", leg.answers);
    assert_eq!(leg.marks > 0, brand.has_marks());

    // reports come late, twice and in the wrong order
    if brand != Brand::Genesys {
        for (word, sequence) in [("completed", 3), ("ringing", 1), ("completed", 3)] {
            let taken = call.report(status, word, sequence).await;
            assert_eq!(taken.status(), StatusCode::OK);
        }
    }
    if let Some(after) = &document.action {
        let next = call.post(after, &call.fields("in-progress")).await;
        let next = next.text().await.unwrap();
        assert!(next.contains("<Hangup"), "{next}");
    }
    let ended = the_end(&world).await;
    is_of_the_call(&ended, brand);
    once(&world, &ended).await;
    let metrics = world.app().metrics.text();
    for line in [
        // as often as the carrier was told to be silent
        format!(
            "antiphon_tel_barge_in_total{{carrier=\"{}\"}} {}\n",
            brand.name(),
            leg.clears
        ),
        "antiphon_tel_calls_processed_total 1".to_owned(),
        "antiphon_tel_active_connections 0".to_owned(),
    ] {
        assert!(metrics.contains(&line), "{line} is missing in\n{metrics}");
    }
}

/// What is kept of the call.
fn is_of_the_call(ended: &Value, brand: Brand) {
    assert_eq!(ended["direction"], "inbound");
    assert_eq!(ended["provider"], brand.provider());
    assert_eq!(
        (&ended["from"], &ended["to"]),
        (&json!(CALLER), &json!(LINE))
    );
    assert_eq!(ended["hangup_reason"], "caller_hangup", "{ended}");
    assert_eq!(ended["hangup_by"], "caller");
    assert_eq!(ended["status"], "completed");
    assert!(ended["session_id"].as_str().unwrap().starts_with("sess_"));
    let texts = texts(ended);
    assert_eq!(texts[0].1, GREETING);
    assert!(
        texts.contains(&("caller".to_owned(), "what is new".to_owned(), false)),
        "{texts:?}"
    );
    let of_agent = |cut: bool| {
        let fits = move |(role, _, interrupted): &&(String, String, bool)| {
            role == "agent" && *interrupted == cut
        };
        texts.iter().filter(fits)
    };
    assert!(of_agent(false).count() >= 2, "{texts:?}");
    let cut: Vec<_> = of_agent(true).collect();
    assert!(
        cut.len() == 1 && cut[0].1.starts_with("You") && !cut[0].1.contains("What else"),
        "{texts:?}"
    );
}

/// The call was dealt with once.
async fn once(world: &World, ended: &Value) {
    let id = ended["id"].as_str().unwrap();
    let sql = &world.app().store.sql;
    until("it is dealt with", async || {
        let found = sql.find_call("default", id).await.unwrap().unwrap();
        found.finalized_at.is_some()
    })
    .await;
    let now = world.app().clock.utc();
    let again = sql.finalize_call(("default", id, 1), None, &[], now).await;
    assert!(!again.unwrap(), "once");
}

#[tokio::test]
async fn a_call_over_twilio_has_two_turns_and_is_interrupted_exactly() {
    two_turns_and_a_barge_in(Brand::Twilio).await;
}

#[tokio::test]
async fn a_call_over_signalwire_has_two_turns_and_is_interrupted_exactly() {
    two_turns_and_a_barge_in(Brand::SignalWire).await;
}

#[tokio::test]
async fn a_call_over_telnyx_has_two_turns_and_is_interrupted_exactly() {
    two_turns_and_a_barge_in(Brand::Telnyx).await;
}

#[tokio::test]
async fn a_call_over_plivo_has_two_turns_and_is_interrupted_exactly() {
    two_turns_and_a_barge_in(Brand::Plivo).await;
}

#[tokio::test]
async fn a_call_over_exotel_has_two_turns_and_is_interrupted_exactly() {
    two_turns_and_a_barge_in(Brand::Exotel).await;
}

#[tokio::test]
async fn a_call_over_vonage_has_two_turns_and_is_interrupted_exactly() {
    two_turns_and_a_barge_in(Brand::Vonage).await;
}

/// Carriers that stream sound.
pub(crate) const STREAMING: [Brand; 7] = [
    Brand::Twilio,
    Brand::SignalWire,
    Brand::Telnyx,
    Brand::Plivo,
    Brand::Exotel,
    Brand::Vonage,
    Brand::Genesys,
];

#[tokio::test]
async fn keys_become_words_and_break_off_what_is_said() {
    for brand in STREAMING {
        let world = world(brand).await;
        let call = Call::new(&world, brand, 1);
        let mut leg = Leg::start(&call, &call.answer().await).await;
        leg.set(Playing::Held).await;
        leg.until("the greeting", |leg| leg.waiting() > 0).await;
        leg.press("42#").await;
        leg.until("clear", |leg| leg.clears == 1).await;
        leg.set(Playing::AtOnce).await;
        hears(&world, &mut leg, brand, answer_to("DTMF: 42")).await;
        leg.hang_up().await;
        let ended = the_end(&world).await;
        let path = format!("/v1/calls/{}/events", ended["id"].as_str().unwrap());
        let events = world.get(&path).send().await.unwrap().text().await.unwrap();
        for part in ["event: dtmf", "42", "event: live", "event: ended"] {
            assert!(
                events.contains(part),
                "{brand:?}: {part} is missing in {events}"
            );
        }
        let said = texts(&ended);
        assert!(
            said.iter().any(|(_, text, _)| text.contains("DTMF")),
            "{brand:?}: {said:?} of {events}"
        );
    }
}

#[tokio::test]
async fn who_is_not_the_carrier_gets_no_answer_and_no_socket() {
    for brand in STREAMING.into_iter().chain([Brand::Relay]) {
        let world = world(brand).await;
        let call = Call::new(&world, brand, 1);
        if brand != Brand::Genesys {
            let fields = call.fields("ringing");
            for path in ["/answer", "/status", "/after"] {
                let url = call.route(path);
                let unsigned = reqwest::Client::new().post(&url).form(&fields);
                let unsigned = unsigned.send().await.unwrap();
                assert_eq!(unsigned.status(), StatusCode::FORBIDDEN, "{brand:?} {path}");
                let body: Value = unsigned.json().await.unwrap();
                assert_eq!(body["error"]["code"], "not_signed");
                let forged = call.post_under(&url, &fields, "another token").await;
                assert_eq!(forged.status(), StatusCode::FORBIDDEN, "{brand:?} {path}");
            }
        }
        let mut document = call.answer().await;
        // nothing is signed there: the parameters of the start are all there is
        if brand == Brand::Plivo {
            let token = document.parameters.iter_mut();
            let (_, token) = token.last().unwrap();
            let first = if token.starts_with('0') { "1" } else { "0" };
            token.replace_range(0..1, first);
            let mut leg = Leg::start(&call, &document).await;
            assert_eq!(leg.until_closed().await, 1008);
            assert_eq!(leg.closed.as_ref().unwrap().1, "wrong_token");
        } else {
            let wrong = Leg::connect(&call, &document, "another token").await;
            assert_eq!(wrong.err(), Some(403), "{brand:?}");
            let none = Leg::connect_with(&call, &document, &[]).await;
            assert_eq!(none.err(), Some(403), "{brand:?}");
        }
        let metrics = world.app().metrics.text();
        let name = brand.name();
        let counted = format!("antiphon_tel_signature_failures_total{{carrier=\"{name}\"");
        assert!(metrics.contains(&counted), "{counted}: {metrics}");
    }
}

#[tokio::test]
async fn what_has_proved_itself_once_does_so_no_second_time() {
    // a start with a token that was used, or a nonce that was: nobody calls twice with one answer
    for brand in STREAMING {
        let world = world(brand).await;
        let call = Call::new(&world, brand, 1);
        let document = call.answer().await;
        let proof = call.proof_of_upgrade(&document, TOKEN);
        let mut first = Leg::connect_with(&call, &document, &proof).await.unwrap();
        first.say_start(&document).await;
        first.until("sound", |leg| leg.played > 0).await;
        if brand == Brand::Genesys {
            let second = Leg::connect_with(&call, &document, &proof).await;
            assert_eq!(second.err(), Some(403), "the nonce was used");
        } else {
            let mut second = Leg::connect_with(&call, &document, &proof).await.unwrap();
            second.say_start(&document).await;
            assert_eq!(second.until_closed().await, 1008, "{brand:?}");
            assert_eq!(second.closed.as_ref().unwrap().1, "used_token");
        }
        // the first has noticed nothing
        assert!(first.closed.is_none());
        first.hang_up().await;
        assert_eq!(the_end(&world).await["hangup_reason"], "caller_hangup");
    }
}

#[tokio::test]
async fn a_line_that_dies_without_a_word_is_an_incomplete_call() {
    for brand in STREAMING {
        let world = world(brand).await;
        let call = Call::new(&world, brand, 1);
        let mut leg = Leg::start(&call, &call.answer().await).await;
        leg.until("sound", |leg| leg.played > 0).await;
        leg.drop_line();
        let ended = the_end(&world).await;
        assert_eq!(ended["hangup_reason"], "stream_lost", "{brand:?}");
        assert_eq!(ended["outcome"], "incomplete", "{brand:?}");
        assert_eq!(the_call(&world).await["hangup_by"], "carrier");
    }
}
