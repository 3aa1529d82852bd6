//! Twilio's `ConversationRelay`: the carrier hears and speaks, text goes both ways, and an interruption says itself what was heard.
//! The carrier is the fake in `carrier`; its buffer holds what it has not spoken yet.
//! Never waits for anything to be spoken: the buffer is played when the story says so.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::carrier::leg::{CHAR, Leg, Playing};
use crate::carrier::{Brand, Call};
use crate::phone::{texts, the_call, the_end, world};
use crate::world::World;

/// The caller says something, as the carrier has understood it.
async fn says(leg: &mut Leg, words: &str) {
    let prompt = |last: bool| json!({ "type": "prompt", "voicePrompt": words, "lang": "en-US", "last": last });
    leg.send(&prompt(false)).await;
    leg.send(&prompt(true)).await;
}

async fn begin(world: &World) -> (Call<'_>, crate::carrier::document::Document, Leg) {
    let call = Call::new(world, Brand::Relay, 1);
    let document = call.answer().await;
    assert_eq!(document.verbs[..2], ["Connect", "ConversationRelay"]);
    let mut leg = Leg::start(&call, &document).await;
    leg.until("the greeting", |leg| leg.words.contains("AI assistant."))
        .await;
    (call, document, leg)
}

#[tokio::test]
async fn text_goes_both_ways_and_what_was_cut_off_is_cut_off_in_the_record() {
    let world = world(Brand::Relay).await;
    let (call, document, mut leg) = begin(&world).await;
    says(&mut leg, "what is new").await;
    leg.until("the first answer", |leg| {
        leg.words
            .contains("You said: what is new. What else can I do for you?")
    })
    .await;
    // the second is broken off after "You said: and then."
    leg.settle().await;
    leg.words.clear();
    leg.set(Playing::Held).await;
    says(&mut leg, "and then").await;
    leg.until("the second answer", |leg| leg.words.ends_with("for you?"))
        .await;
    let heard = "You said: and then.";
    leg.play(CHAR * heard.len()).await;
    let rest = leg.empty();
    assert!(rest.is_empty() && leg.cleared > 0);
    leg.send(&json!({ "type": "interrupt", "utteranceUntilInterrupt": heard, "durationUntilInterruptMs": 190 }))
        .await;
    leg.set(Playing::AtOnce).await;
    leg.words.clear();
    says(&mut leg, "stop it").await;
    leg.until("the third answer", |leg| leg.words.contains("stop it"))
        .await;
    leg.words.clear();
    leg.press("7#").await;
    leg.until("an answer to keys", |leg| leg.words.contains("DTMF: 7"))
        .await;
    leg.settle().await;
    // what it does not have is said to it, and what it cannot mean is passed over
    for odd in [
        json!({ "type": "error", "description": "Invalid message received" }),
        json!({ "type": "weather" }),
        json!({ "type": "prompt" }),
        json!({ "type": "dtmf", "digit": "x" }),
        json!({ "type": "setup", "sessionId": "VX1", "callSid": "CA1" }),
        json!({ "event": "media", "media": { "payload": "AAAA" } }),
    ] {
        leg.send(&odd).await;
    }
    leg.send_text("not json".to_owned()).await;
    leg.send_binary(vec![0; 10]).await;
    leg.hang_up().await;
    let mut fields = call.fields("in-progress");
    for (name, value) in [
        ("SessionId", "VX00000000000000000000000000000007"),
        ("SessionStatus", "ended"),
        ("SessionDuration", "12"),
    ] {
        fields.push((name.to_owned(), value.to_owned()));
    }
    let next = call
        .post(document.action.as_deref().unwrap(), &fields)
        .await;
    assert_eq!(next.status(), StatusCode::OK);
    assert!(next.text().await.unwrap().contains("<Hangup"));

    let ended = the_end(&world).await;
    assert_eq!(
        (&ended["provider"], &ended["hangup_reason"]),
        (&json!("twilio"), &json!("caller_hangup"))
    );
    let said = texts(&ended);
    let turn = |role: &str, text: &str, cut: bool| (role.to_owned(), text.to_owned(), cut);
    for expected in [
        turn("agent", "Hi, this is an AI assistant.", false),
        turn("caller", "what is new", false),
        turn(
            "agent",
            "You said: what is new. What else can I do for you?",
            false,
        ),
        turn("caller", "and then", false),
        turn("agent", heard, true),
        turn("caller", "stop it", false),
    ] {
        assert!(
            said.contains(&expected),
            "{expected:?} is missing in {said:?}"
        );
    }
    let metrics = world.app().metrics.text();
    assert!(
        metrics.contains("antiphon_tel_barge_in_total{carrier=\"relay\"} 1"),
        "{metrics}"
    );
}

#[tokio::test]
async fn who_ends_the_call_here_says_so_to_the_carrier() {
    let world = world(Brand::Relay).await;
    let (_, _, mut leg) = begin(&world).await;
    let id = the_call(&world).await["id"].as_str().unwrap().to_owned();
    let body: Value = json!({ "say": "Good-bye then." });
    let path = format!("/v1/calls/{id}/hangup");
    let answer = world.post(&path, &body).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    leg.until("the end", |leg| leg.answers == ["end"]).await;
    assert!(leg.words.ends_with("Good-bye then."), "{}", leg.words);
    leg.until_closed().await;
    let ended = the_end(&world).await;
    assert_eq!(ended["hangup_reason"], "agent_end");
    assert_eq!(texts(&ended).last().unwrap().1, "Good-bye then.");
}
