//! A machine answers: the call is ended, or a message is left once the machine listens.

use serde_json::json;

use super::{becomes, place, placed, report, status, stored, wanted, world};

#[tokio::test]
async fn a_machine_is_hung_up_on_and_called_again_four_hours_later() {
    let (world, fake) = world(|_| {}).await;
    let id = place(&world, &wanted()).await;
    let call = placed(&world, &fake, 1).await;
    fake.becomes(&call.id, "in-progress");
    status(&world, &call, "in-progress", 2).await;
    // a person is let be
    report(&world, &call, &[("AnsweredBy", "human")]).await;
    assert_eq!(
        stored(&world, &id).await.answered_by.as_deref(),
        Some("human")
    );
    assert_eq!(stored(&world, &id).await.state, "live");
    report(&world, &call, &[("AnsweredBy", "machine_start")]).await;
    let next = becomes(&world, &id, |call| call.attempt_number == 2).await;
    let pause = next.due_at.unwrap() - world.app().clock.utc();
    assert!((239..=265).contains(&pause.num_minutes()), "{pause}");
    assert_eq!(fake.only_call().done, ["Status=completed"]);
    // its own report of the end comes late
    status(&world, &call, "completed", 3).await;
    assert_eq!(stored(&world, &id).await.attempt_number, 2);
}

#[tokio::test]
async fn a_message_is_left_once_the_machine_listens() {
    let (world, fake) = world(|config| config.dialling.attempts = 1).await;
    let mut body = wanted();
    body["voicemail"] = json!({ "type": "leave_message", "message": "Please call <us> back." });
    let id = place(&world, &body).await;
    let call = placed(&world, &fake, 1).await;
    assert_eq!(call.field("MachineDetection"), "DetectMessageEnd");
    fake.becomes(&call.id, "in-progress");
    status(&world, &call, "in-progress", 2).await;
    report(&world, &call, &[("AnsweredBy", "machine_start")]).await;
    assert!(
        fake.only_call().done.is_empty(),
        "its greeting is still being played"
    );
    report(&world, &call, &[("AnsweredBy", "machine_end_beep")]).await;
    let done = fake.only_call().done;
    assert!(done[0].contains("Please call &lt;us&gt; back."), "{done:?}");
    status(&world, &call, "completed", 3).await;
    let over = becomes(&world, &id, |call| call.finalized_at.is_some()).await;
    assert_eq!(over.outcome.as_deref(), Some("voicemail"));
    assert_eq!(over.answered_by.as_deref(), Some("machine_end_beep"));
}
