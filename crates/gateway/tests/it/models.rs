//! `GET /v1/models` and `GET /v1/models/{id}`.

use reqwest::StatusCode;
use serde_json::Value;

use crate::world::World;

#[tokio::test]
async fn every_listed_model_can_be_shown() {
    let world = World::start(|_| {}).await;
    let list: Value = world
        .get("/v1/models")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(list["object"], "list");
    let models = list["data"].as_array().unwrap();
    assert!(models.iter().any(|model| model["id"] == "gpt-realtime"));
    for model in models {
        assert_eq!(model["object"], "model");
        let path = format!("/v1/models/{}", model["id"].as_str().unwrap());
        let shown: Value = world.get(&path).send().await.unwrap().json().await.unwrap();
        assert_eq!(&shown, model);
    }
}

#[tokio::test]
async fn an_unknown_model_is_not_found() {
    let world = World::start(|_| {}).await;
    let response = world.get("/v1/models/no-such-model").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["error"]["code"], "model_not_found");
    assert_eq!(body["error"]["type"], "invalid_request_error");
}
