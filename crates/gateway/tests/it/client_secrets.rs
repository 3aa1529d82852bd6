//! `POST /v1/realtime/client_secrets`, `/v1/realtime/sessions`, `/v1/realtime/transcription_sessions`.

use std::time::Duration;

use gateway::auth::{AuthError, Credential, Scope};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::World;

const PATH: &str = "/v1/realtime/client_secrets";

async fn ask(world: &World, path: &str, body: &Value) -> (StatusCode, Value) {
    let response = world.post(path, body).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

async fn make(world: &World, path: &str, body: &Value) -> Value {
    let (status, answer) = ask(world, path, body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer
}

#[tokio::test]
async fn a_secret_carries_its_session_and_starts_one_connection() {
    let world = World::start(|_| {}).await;
    let body = json!({ "session": { "type": "realtime", "model": "gpt-realtime-mini", "instructions": "Be brief." } });
    let answer = make(&world, PATH, &body).await;
    let session = &answer["session"];
    assert_eq!(
        (&session["type"], &session["object"]),
        (&"realtime".into(), &"realtime.session".into())
    );
    assert_eq!(
        (&session["model"], &session["instructions"]),
        (&"gpt-realtime-mini".into(), &"Be brief.".into())
    );
    assert!(session["id"].as_str().unwrap().starts_with("sess_"));
    assert!(session["audio"]["input"]["turn_detection"]["interrupt_response"].is_boolean());

    let secret = answer["value"].as_str().unwrap();
    assert!(secret.starts_with("ek_") && secret.len() >= 46);
    let in_ten_minutes = world.app().clock.unix_s() + 600;
    assert!((in_ten_minutes - answer["expires_at"].as_i64().unwrap()).abs() <= 2);

    let principal = world
        .app()
        .authenticate(&Credential::new(secret))
        .await
        .unwrap();
    assert_eq!(principal.tenant, "default");
    assert!(
        principal.scopes.has(Scope::RealtimeConnect) && !principal.scopes.has(Scope::TenantAdmin)
    );
    let stored = principal.stored_session.unwrap();
    assert_eq!(
        stored,
        json!({ "type": "realtime", "model": "gpt-realtime-mini", "instructions": "Be brief." })
    );
    let second = world.app().authenticate(&Credential::new(secret)).await;
    assert!(matches!(second, Err(AuthError::Spent)));
}

#[tokio::test]
async fn a_secret_ends_when_it_says() {
    let world = World::start(|_| {}).await;
    let body = json!({ "expires_after": { "anchor": "created_at", "seconds": 10 } });
    let answer = make(&world, PATH, &body).await;
    world.app().clock.advance(Duration::from_secs(11));
    let late = world
        .app()
        .authenticate(&Credential::new(answer["value"].as_str().unwrap()))
        .await;
    assert!(matches!(late, Err(AuthError::Spent)));
}

#[tokio::test]
async fn a_transcription_secret_has_no_model_of_its_own() {
    let world = World::start(|_| {}).await;
    let body = json!({ "session": { "type": "transcription" } });
    let answer = make(&world, PATH, &body).await;
    assert_eq!(
        answer["session"]["object"],
        "realtime.transcription_session"
    );
    assert!(answer["session"].get("model").is_none());
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_the_parameter() {
    let world = World::start(|config| config.auth.max_client_secrets = 1).await;
    for (body, param) in [
        (
            json!({ "expires_after": { "anchor": "created_at", "seconds": 9 } }),
            "expires_after.seconds",
        ),
        (
            json!({ "expires_after": { "anchor": "created_at", "seconds": 7201 } }),
            "expires_after.seconds",
        ),
        (
            json!({ "session": { "type": "realtime", "speed": 1 } }),
            "session.speed",
        ),
        (
            json!({ "session": { "instructions": "no type" } }),
            "session.type",
        ),
        (json!({ "wish": 1 }), "wish"),
    ] {
        let (status, answer) = ask(&world, PATH, &body).await;
        assert_eq!(
            (status, &answer["error"]["param"]),
            (StatusCode::BAD_REQUEST, &param.into()),
            "{answer}"
        );
    }
    let voice = json!({ "audio": { "output": { "voice": "nobody-has-this-voice" } } });
    let mut unknown = json!({ "session": voice });
    unknown["session"]["type"] = "realtime".into();
    let (status, answer) = ask(&world, PATH, &unknown).await;
    assert_eq!(
        (status, &answer["error"]["param"]),
        (
            StatusCode::BAD_REQUEST,
            &"session.audio.output.voice".into()
        ),
        "{answer}"
    );
    let told = answer["error"]["message"].as_str().unwrap();
    assert!(told.contains("alloy"), "{told}");
    let unknown = json!({ "session": { "type": "realtime", "model": "no-such-model" } });
    let (status, answer) = ask(&world, PATH, &unknown).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (StatusCode::NOT_FOUND, &"model_not_found".into())
    );
    let told = answer["error"]["message"].as_str().unwrap();
    assert!(told.contains("own are antiphon"), "{told}");

    make(&world, PATH, &json!({})).await;
    let (status, answer) = ask(&world, PATH, &json!({})).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
    assert_eq!(answer["error"]["code"], "too_many_client_secrets");
}

#[tokio::test]
async fn a_secret_opens_no_rest_route_and_is_not_used_up_by_trying() {
    let world = World::start(|_| {}).await;
    let answer = make(&world, PATH, &json!({})).await;
    let secret = answer["value"].as_str().unwrap();
    let tried = world
        .anonymous(Method::POST, PATH)
        .bearer_auth(secret)
        .json(&json!({}))
        .send()
        .await
        .unwrap();
    assert_eq!(tried.status(), StatusCode::UNAUTHORIZED);
    assert!(
        world
            .app()
            .authenticate(&Credential::new(secret))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn pages_of_any_origin_may_ask_under_realtime() {
    let world = World::start(|_| {}).await;
    let preflight = world
        .anonymous(Method::OPTIONS, PATH)
        .header("origin", "https://page.example")
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "authorization,content-type",
        )
        .send()
        .await
        .unwrap();
    assert_eq!(preflight.headers()["access-control-allow-origin"], "*");
    // but the answer to a server key in a page is a refusal it can read
    let request = world
        .post(PATH, &json!({}))
        .header("origin", "https://page.example");
    let refused = request.send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert_eq!(refused.headers()["access-control-allow-origin"], "*");
    let exposed = refused.headers()["access-control-expose-headers"]
        .to_str()
        .unwrap()
        .to_lowercase();
    assert!(exposed.contains("location"), "{exposed}");
}

#[tokio::test]
async fn the_beta_routes_answer_in_the_flat_shape() {
    let world = World::start(|_| {}).await;
    let body =
        json!({ "model": "gpt-4o-realtime-preview", "voice": "verse", "modalities": ["text"] });
    let answer = make(&world, "/v1/realtime/sessions", &body).await;
    assert_eq!(
        (&answer["voice"], &answer["modalities"]),
        (&"verse".into(), &json!(["text"])),
        "{answer}"
    );
    let secret = answer["client_secret"]["value"].as_str().unwrap();
    assert!(
        answer["client_secret"]["expires_at"].as_i64().unwrap() <= world.app().clock.unix_s() + 60
    );
    let stored = world
        .app()
        .authenticate(&Credential::new(secret))
        .await
        .unwrap()
        .stored_session;
    assert_eq!(stored.unwrap()["audio"]["output"]["voice"], "verse");

    let body = json!({ "input_audio_format": "g711_ulaw" });
    let answer = make(&world, "/v1/realtime/transcription_sessions", &body).await;
    assert_eq!(answer["input_audio_format"], "g711_ulaw", "{answer}");
    assert!(
        answer["client_secret"]["value"]
            .as_str()
            .unwrap()
            .starts_with("ek_")
    );

    let (status, answer) = ask(&world, "/v1/realtime/sessions", &json!({ "voice": 7 })).await;
    assert_eq!(
        (status, &answer["error"]["param"]),
        (StatusCode::BAD_REQUEST, &"voice".into()),
        "{answer}"
    );
}

#[tokio::test]
async fn expired_secrets_are_forgotten_though_nobody_asks() {
    let world = World::start(|_| {}).await;
    let body = json!({ "expires_after": { "anchor": "created_at", "seconds": 10 } });
    make(&world, PATH, &body).await;
    let secrets = &world.app().store.live.secrets;
    assert_eq!(secrets.waiting().await.unwrap(), 1);
    world.app().clock.advance(Duration::from_secs(11));
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    let forgotten = async {
        while secrets.waiting().await.unwrap() > 0 {
            tokio::task::yield_now().await;
        }
    };
    // the story's time stands still; only a turn of the purge ends this
    tokio::time::timeout(Duration::from_mins(2), forgotten)
        .await
        .unwrap();
}
