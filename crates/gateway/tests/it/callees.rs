//! Whom a tenant may call, over REST: `/v1/do_not_call`, `/v1/do_not_call/{number}`, `/v1/consents`,
//! `/v1/consents/{number}/{kind}`.

use axum::http::StatusCode;
use reqwest::Method;
use serde_json::{Value, json};

use crate::webhooks::answer;
use crate::world::World;

const NUMBER: &str = "+14155550100";

async fn status(request: reqwest::RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn who_asks_not_to_be_called_is_on_a_list_until_an_administrator_takes_them_off() {
    let world = World::start(|_| {}).await;
    let body = json!({ "number": "+1 (415) 555-0100", "note": "asked on the phone" });
    for _ in 0..2 {
        let (made, shown) = answer(world.post("/v1/do_not_call", &body)).await;
        assert_eq!(
            (made, &shown["number"]),
            (StatusCode::CREATED, &json!(NUMBER))
        );
    }
    let second = json!({ "number": "+14155550101" });
    answer(world.post("/v1/do_not_call", &second)).await;
    let (_, page) = answer(world.get("/v1/do_not_call?limit=1")).await;
    assert_eq!(
        (page["data"].as_array().unwrap().len(), &page["has_more"]),
        (1, &json!(true))
    );
    let next = format!(
        "/v1/do_not_call?limit=1&after={}",
        page["next"].as_str().unwrap()
    );
    let (_, rest) = answer(world.get(&next)).await;
    assert_eq!(rest["has_more"], false);
    let mut listed: Vec<&str> = [&page, &rest]
        .map(|page| page["data"][0]["number"].as_str().unwrap())
        .to_vec();
    listed.sort_unstable();
    assert_eq!(listed, [NUMBER, "+14155550101"]);
    let path = format!("/v1/do_not_call/{NUMBER}");
    assert_eq!(status(world.request(Method::DELETE, &path)).await, 204);
    assert_eq!(status(world.request(Method::DELETE, &path)).await, 404);
    for (body, param) in [
        (json!({ "number": "4155550100" }), "number"),
        (json!({ "number": "+44 (0)20 7946 0958" }), "number"),
        (json!({ "number": NUMBER, "note": "x".repeat(501) }), "note"),
    ] {
        let (refused, error) = answer(world.post("/v1/do_not_call", &body)).await;
        assert_eq!(
            (refused, &error["error"]["param"]),
            (StatusCode::BAD_REQUEST, &json!(param))
        );
    }
    let (refused, _) = answer(world.get("/v1/do_not_call?limit=0")).await;
    assert_eq!(refused, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_consent_is_in_force_until_it_is_taken_back_and_older_ones_are_not_good_then() {
    let world = World::start(|_| {}).await;
    let now = world.app().clock.unix_s();
    let body = json!({
        "number": NUMBER, "kind": "ai_call", "source": "web_form", "proof": "https://example.com/form/7",
        "granted_at": now - 100,
    });
    let (made, shown) = answer(world.post("/v1/consents", &body)).await;
    assert_eq!(made, StatusCode::CREATED, "{shown}");
    let path = format!("/v1/consents/{NUMBER}/ai_call");
    let (found, shown) = answer(world.get(&path)).await;
    assert_eq!((found, &shown["proof"]), (StatusCode::OK, &body["proof"]));
    assert_eq!(shown["granted_at"], now - 100);
    // of the other kind, and of another kind altogether, there is none
    for other in ["recording", "marketing"] {
        assert_eq!(
            status(world.get(&format!("/v1/consents/{NUMBER}/{other}"))).await,
            404
        );
    }
    assert_eq!(status(world.request(Method::DELETE, &path)).await, 204);
    assert_eq!(status(world.get(&path)).await, 404);
    assert_eq!(status(world.request(Method::DELETE, &path)).await, 404);
    let (late, error) = answer(world.post("/v1/consents", &body)).await;
    assert_eq!(
        (late, &error["error"]["code"]),
        (StatusCode::CONFLICT, &json!("consent_revoked"))
    );
    for (field, value) in [
        ("number", json!("nobody")),
        ("source", json!(" ")),
        ("granted_at", json!(now + 1000)),
    ] {
        let mut wrong = body.clone();
        wrong[field] = value;
        let (refused, error) = answer(world.post("/v1/consents", &wrong)).await;
        assert_eq!(
            (refused, &error["error"]["param"]),
            (StatusCode::BAD_REQUEST, &json!(field))
        );
    }
    let unknown = json!({ "number": NUMBER, "kind": "marketing", "source": "x" });
    let (refused, error): (StatusCode, Value) = answer(world.post("/v1/consents", &unknown)).await;
    assert_eq!(refused, StatusCode::BAD_REQUEST, "{error}");
}
