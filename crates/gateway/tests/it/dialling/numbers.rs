//! Whose numbers are whose: a tenant is called at, and shows, numbers of its own.

use axum::http::StatusCode;
use gateway::config::OwnNumber;
use reqwest::Method;
use serde_json::{Value, json};

use super::{FROM, wanted, world};
use crate::webhooks::answer;
use crate::world::World;

/// Of `[[telephony.numbers]]`, and `acme-1`'s.
const CONFIGURED: &str = "+14155550188";
/// Nobody's yet.
const FREE: &str = "+14155550177";

/// The key of a new tenant, which has an agent.
async fn tenant(world: &World, id: &str) -> String {
    let made = world.tenant(id).await;
    let key = made["api_key"]["key"].as_str().unwrap().to_owned();
    let agent = json!({ "name": "ann", "greeting": "Ann here.", "turn_detection": "none" });
    let (status, made) = with(world, &key, Method::POST, "/v1/agents", &agent).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    key
}

async fn with(
    world: &World,
    key: &str,
    method: Method,
    path: &str,
    body: &Value,
) -> (StatusCode, Value) {
    let request = world.anonymous(method, path).bearer_auth(key).json(body);
    answer(request).await
}

#[tokio::test]
async fn a_tenant_has_and_shows_numbers_of_its_own_alone() {
    let (world, fake) = world(|config| {
        let account = config.telephony.accounts.get_mut("twilio").unwrap();
        account.tenants = vec!["acme-1".to_owned()];
        config.telephony.numbers = vec![OwnNumber {
            number: CONFIGURED.to_owned(),
            tenant: Some("acme-1".to_owned()),
            ..OwnNumber::default()
        }];
    })
    .await;
    let (acme, rival) = (
        tenant(&world, "acme-1").await,
        tenant(&world, "rival-1").await,
    );
    let put = async |key: &str, number: &str, account: Option<&str>| {
        let mut settings = json!({ "agent": "ann", "provider": "twilio" });
        if let Some(account) = account {
            settings["account"] = json!(account);
        }
        let path = format!("/v1/phone_numbers/{number}");
        with(&world, key, Method::PUT, &path, &settings).await
    };
    // an account that it was not given is as one that there is not
    for account in [None, Some("twilio"), Some("other")] {
        let (status, error) = put(&rival, FREE, account).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{account:?}: {error}");
        assert_eq!(error["error"]["param"], "account", "{error}");
    }
    // the account's own number is the operator's, and one of the configuration is whose that says
    for number in [FROM, CONFIGURED] {
        let (status, error) = put(&acme, number, Some("twilio")).await;
        assert_eq!(status, StatusCode::CONFLICT, "{number}: {error}");
    }
    let (status, line) = put(&acme, FREE, None).await;
    assert_eq!(
        (status, &line["account"]),
        (StatusCode::OK, &json!("twilio"))
    );
    // who calls shows a number of theirs
    let call = async |key: &str, from: &str| {
        let mut body = wanted();
        body["from"] = json!(from);
        with(&world, key, Method::POST, "/v1/calls", &body).await
    };
    for from in [FROM, CONFIGURED, FREE] {
        let (status, error) = call(&rival, from).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{from}: {error}");
        assert_eq!(error["error"]["param"], "from", "{error}");
    }
    assert_eq!(call(&acme, FROM).await.0, StatusCode::BAD_REQUEST);
    fake.with(|book| assert!(book.calls.is_empty()));
    for from in [CONFIGURED, FREE] {
        let (status, call) = call(&acme, from).await;
        assert_eq!(status, StatusCode::CREATED, "{call}");
        assert_eq!(call["from"], from);
    }
    let operator = async |from: &str| {
        let mut body = wanted();
        body["from"] = json!(from);
        answer(world.post("/v1/calls", &body)).await.0
    };
    assert_eq!(operator(FROM).await, StatusCode::CREATED);
    assert_eq!(operator(CONFIGURED).await, StatusCode::BAD_REQUEST);
}
