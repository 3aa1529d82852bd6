//! What a tenant may have: in at all, so many conversations, so many requests.

use gateway::audit::Actor;
use gateway::tenants;
use reqwest::StatusCode;
use serde_json::{Value, json};
use store::TenantStatus;

use crate::admission::knock;
use crate::caller::Caller;
use crate::tenants::{first_key, models, operator};
use crate::world::World;

const CONVERSATION: &str = "/v1/realtime?model=gpt-realtime";

fn session() -> Value {
    json!({ "type": "realtime", "output_modalities": ["text"], "audio": { "input": { "turn_detection": null } } })
}

#[tokio::test]
async fn a_suspended_tenant_is_refused_at_once_and_its_conversations_end() {
    let world = World::start(|_| {}).await;
    let acme = first_key(&world, "acme").await;
    let rival = first_key(&world, "rival").await;
    let mut caller = Caller::call_with(&world, CONVERSATION, &acme, &session()).await;
    let mut other = Caller::call_with(&world, CONVERSATION, &rival, &session()).await;

    let reason = json!({ "reason": "invoice 7" });
    let (status, shown) = operator(&world, "POST /v1/admin/tenants/acme/suspend", reason).await;
    assert_eq!(
        (status, &shown["status"], &shown["reason"]),
        (200, &json!("suspended"), &json!("invoice 7"))
    );
    assert_eq!(
        caller.until("error").await["error"]["code"],
        "tenant_suspended"
    );
    assert_eq!(caller.until_closed().await, 4003);
    world.app().clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(
        models(&world, &acme).await,
        (403, json!("tenant_suspended"))
    );
    let socket = knock(&world, CONVERSATION, &acme).send().await.unwrap();
    assert_eq!(socket.status(), StatusCode::FORBIDDEN);
    // nobody else notices
    other.write("hello").await;
    other.until("response.done").await;

    let (_, shown) = operator(&world, "POST /v1/admin/tenants/acme/activate", Value::Null).await;
    assert_eq!(
        (&shown["status"], &shown["reason"]),
        (&json!("active"), &Value::Null)
    );
    world.app().clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(models(&world, &acme).await.0, 200);
    let again = Caller::call_with(&world, CONVERSATION, &acme, &session()).await;
    again.hang_up().await;
}

#[tokio::test]
async fn a_suspension_on_another_server_ends_conversations_here() {
    let world = World::start(|_| {}).await;
    let acme = first_key(&world, "acme").await;
    let mut caller = Caller::call_with(&world, CONVERSATION, &acme, &session()).await;
    // what another server does: the row changes and nobody tells this one
    let app = world.app();
    let status = (TenantStatus::Suspended, None);
    let now = app.clock.utc();
    tenants::turn(&app.store, "acme", status, &Actor::command_line(), now)
        .await
        .unwrap();
    assert_eq!(
        caller.until("error").await["error"]["code"],
        "tenant_suspended"
    );
    assert_eq!(caller.until_closed().await, 4003);
}

#[tokio::test]
async fn an_answer_that_is_being_given_is_finished_first() {
    let world = World::start(|config| config.scripted.token_ms = 100).await;
    let acme = first_key(&world, "acme").await;
    let mut caller = Caller::call_with(&world, CONVERSATION, &acme, &session()).await;
    caller.write("say: one two three four five six").await;
    caller.until("response.created").await;
    operator(&world, "POST /v1/admin/tenants/acme/suspend", Value::Null).await;
    let done = caller.until("response.done").await;
    assert_eq!(done["response"]["status"], "completed", "{done}");
    assert_eq!(caller.until_closed().await, 4003);
}

#[tokio::test]
async fn a_deleted_tenants_keys_open_nothing_and_its_id_is_not_free() {
    let world = World::start(|_| {}).await;
    let acme = first_key(&world, "acme").await;
    let (status, gone) = operator(&world, "DELETE /v1/admin/tenants/acme", Value::Null).await;
    assert_eq!((status, &gone["deleted"]), (200, &json!(true)));
    world.app().clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(models(&world, &acme).await, (401, json!("invalid_api_key")));
    let path = "GET /v1/admin/tenants/acme";
    assert_eq!(operator(&world, path, Value::Null).await.0, 404);
    assert_eq!(world.tenant("acme").await["error"]["code"], "tenant_exists");
    // what is left is what was done to it
    let log = "GET /v1/admin/audit?tenant=acme";
    let (status, log) = operator(&world, log, Value::Null).await;
    let last = &log["data"][0]["action"];
    assert_eq!((status, last), (200, &json!("tenant.delete")));
}

#[tokio::test]
async fn a_tenant_has_as_many_conversations_as_its_limit_says() {
    let world = World::start(|_| {}).await;
    let acme = first_key(&world, "acme").await;
    let limit = |most: u64| json!({ "limits": { "concurrent_sessions": most } });
    let path = "PATCH /v1/admin/tenants/acme";
    operator(&world, path, limit(1)).await;
    let first = Caller::call_with(&world, CONVERSATION, &acme, &session()).await;
    world.app().clock.advance(std::time::Duration::from_secs(1));
    let refused = knock(&world, CONVERSATION, &acme).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let refused: Value = refused.json().await.unwrap();
    assert_eq!(refused["error"]["code"], "concurrent_limit_exceeded");
    // a higher limit counts within seconds, and nobody is dropped for it
    operator(&world, path, limit(2)).await;
    world.app().clock.advance(std::time::Duration::from_secs(1));
    let second = Caller::call_with(&world, CONVERSATION, &acme, &session()).await;
    first.hang_up().await;
    second.hang_up().await;
}

#[tokio::test]
async fn a_tenants_requests_are_limited_by_its_plan_and_not_by_those_of_others() {
    let world = World::start(|_| {}).await;
    let acme = first_key(&world, "acme").await;
    let rival = first_key(&world, "rival").await;
    let limit = json!({ "limits": { "requests_per_minute": 3 } });
    operator(&world, "PATCH /v1/admin/tenants/acme", limit).await;
    let mut answers = Vec::new();
    for _ in 0..5 {
        answers.push(models(&world, &acme).await.0);
    }
    assert_eq!(answers, [200, 200, 200, 429, 429]);
    assert_eq!(models(&world, &rival).await.0, 200);
}
