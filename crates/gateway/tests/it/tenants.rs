//! Tenants over REST and sockets: made, kept apart, suspended, deleted, and all of it written down.

use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{KEY, World};

/// What a request such as `GET /v1/models` with this key is answered.
pub(crate) async fn ask(world: &World, key: &str, what: &str, body: Value) -> (u16, Value) {
    let (method, path) = what.split_once(' ').unwrap();
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = world.anonymous(method, path).bearer_auth(key);
    if !body.is_null() {
        request = request.json(&body);
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap())
}

pub(crate) async fn operator(world: &World, what: &str, body: Value) -> (u16, Value) {
    ask(world, KEY, what, body).await
}

/// The text of a new tenant's first key.
pub(crate) async fn first_key(world: &World, id: &str) -> String {
    let made = world.tenant(id).await;
    made["api_key"]["key"].as_str().unwrap().to_owned()
}

pub(crate) async fn models(world: &World, key: &str) -> (u16, Value) {
    let (status, body) = ask(world, key, "GET /v1/models", Value::Null).await;
    (status, body["error"]["code"].clone())
}

#[tokio::test]
async fn a_tenant_is_made_listed_changed_and_works() {
    let world = World::start(|_| {}).await;
    let wanted = json!({ "id": "acme", "name": " Acme Ltd ", "plan": "pro", "limits": { "concurrent_sessions": 3 } });
    let (status, made) = operator(&world, "POST /v1/admin/tenants", wanted.clone()).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(
        (&made["name"], &made["status"]),
        (&json!("Acme Ltd"), &json!("active"))
    );
    assert_eq!(made["limits"], json!({ "concurrent_sessions": 3 }));
    let key = made["api_key"]["key"].as_str().unwrap();
    assert_eq!(models(&world, key).await.0, 200);
    let (status, again) = operator(&world, "POST /v1/admin/tenants", wanted).await;
    assert_eq!(
        (status, &again["error"]["code"]),
        (409, &json!("tenant_exists"))
    );
    assert_eq!(
        again["error"]["message"],
        "There is or was a tenant with the id 'acme'."
    );

    let change = json!({ "plan": "free", "limits": {} });
    let (status, changed) = operator(&world, "PATCH /v1/admin/tenants/acme", change).await;
    assert_eq!(
        (status, &changed["plan"], &changed["limits"]),
        (200, &json!("free"), &json!({}))
    );
    let (_, list) = operator(&world, "GET /v1/admin/tenants?limit=1", Value::Null).await;
    assert_eq!(
        (&list["data"][0]["id"], &list["has_more"]),
        (&json!("acme"), &json!(true))
    );
    let (_, list) = operator(&world, "GET /v1/admin/tenants?after=acme", Value::Null).await;
    assert_eq!(
        (&list["data"][0]["id"], &list["has_more"]),
        (&json!("default"), &json!(false))
    );

    let made_up = json!({ "name": "Somebody" });
    let (_, made) = operator(&world, "POST /v1/admin/tenants", made_up).await;
    let id = made["id"].as_str().unwrap();
    assert!(
        id.starts_with("t-") && id.len() == 14 && made["plan"] == "free",
        "{made}"
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_tenant_is_told_by_name() {
    let world = World::start(|_| {}).await;
    for (body, param) in [
        (json!({ "name": "" }), "name"),
        (json!({ "name": "a", "id": "Acme" }), "id"),
        (json!({ "name": "a", "id": "ab" }), "id"),
        (json!({ "name": "a", "plan": "gold" }), "plan"),
        (
            json!({ "name": "a", "limits": { "tokens_per_minute": 100_000_001 } }),
            "limits.tokens_per_minute",
        ),
    ] {
        let (status, error) = operator(&world, "POST /v1/admin/tenants", body).await;
        assert_eq!(
            (status, &error["error"]["param"]),
            (400, &json!(param)),
            "{error}"
        );
    }
    for path in [
        "/v1/admin/tenants/default/suspend",
        "/v1/admin/tenants/nobody/suspend",
    ] {
        let (status, error) = operator(&world, &format!("POST {path}"), Value::Null).await;
        let expected = if path.contains("nobody") {
            (404, "tenant_not_found")
        } else {
            (409, "operators_tenant")
        };
        assert_eq!((status, error["error"]["code"].as_str().unwrap()), expected);
    }
    for (what, body) in [
        ("GET /v1/admin/tenants?limit=many", Value::Null),
        ("GET /v1/admin/audit?before=1&before=2", Value::Null),
        (
            "POST /v1/admin/tenants/acme/suspend",
            json!({ "reason": "a\u{0}b" }),
        ),
    ] {
        let (status, error) = operator(&world, what, body).await;
        let code = &error["error"]["code"];
        assert_eq!((status, code), (400, &json!("invalid_value")), "{what}");
    }
}

/// Another's tenant is to whoever is no operator as one that does not exist: the answers are the same, word for word.
#[tokio::test]
async fn whoever_names_another_tenant_learns_nothing() {
    let world = World::start(|_| {}).await;
    first_key(&world, "acme").await;
    let rival = first_key(&world, "rival").await;
    let named = json!({ "name": "eve", "tenant": "ID" });
    for (what, body) in [
        ("GET /v1/admin/tenants/ID", Value::Null),
        ("PATCH /v1/admin/tenants/ID", json!({ "name": "Eve" })),
        ("GET /v1/admin/projects?tenant=ID", Value::Null),
        (
            "POST /v1/admin/projects?tenant=ID",
            json!({ "name": "Eve" }),
        ),
        ("GET /v1/admin/keys?tenant=ID", Value::Null),
        ("POST /v1/admin/keys", named),
        ("GET /v1/admin/audit?tenant=ID", Value::Null),
    ] {
        let about = async |id: &str| {
            let body = serde_json::from_str(&body.to_string().replace("ID", id)).unwrap();
            let (status, answer) = ask(&world, &rival, &what.replace("ID", id), body).await;
            (status, answer.to_string().replace(id, "ID"))
        };
        let (status, answer) = about("acme").await;
        assert_eq!(status, 404, "{what}: {answer}");
        assert_eq!((status, answer), about("nobody").await, "{what}");
    }
    let (_, own) = ask(&world, &rival, "GET /v1/admin/tenants", Value::Null).await;
    let seen: Vec<&Value> = own["data"].as_array().unwrap().iter().collect();
    assert_eq!((seen.len(), &seen[0]["id"]), (1, &json!("rival")));
}

#[tokio::test]
async fn what_belongs_to_another_tenant_is_not_there() {
    let world = World::start(|_| {}).await;
    let acme = first_key(&world, "acme").await;
    let rival = first_key(&world, "rival").await;
    let mine = |what: &'static str, body| ask(&world, &acme, what, body);
    let shop = json!({ "id": "shop", "name": "Shop" });
    assert_eq!(mine("POST /v1/admin/projects", shop).await.0, 201);
    assert_eq!(
        mine("POST /v1/agents", json!({ "name": "ann" })).await.0,
        201
    );
    let (_, keys) = mine("GET /v1/admin/keys", Value::Null).await;
    let key = keys["data"][0]["id"].as_str().unwrap();

    for what in [
        "GET /v1/admin/projects/shop",
        "DELETE /v1/admin/projects/shop",
        "GET /v1/agents/ann",
        "DELETE /v1/agents/ann",
        "GET /v1/models/agent:ann",
        &format!("DELETE /v1/admin/keys/{key}"),
        &format!("POST /v1/admin/keys/{key}/rotate"),
    ] {
        let (status, answer) = ask(&world, &rival, what, Value::Null).await;
        assert_eq!(status, 404, "{what}: {answer}");
    }
    assert_eq!(mine("GET /v1/agents/ann", Value::Null).await.0, 200);
    assert_eq!(
        mine("GET /v1/admin/projects/shop", Value::Null).await.0,
        200
    );
    assert_eq!(models(&world, &acme).await.0, 200);
}

#[tokio::test]
async fn only_an_operator_decides_on_tenants() {
    let world = World::start(|_| {}).await;
    let acme = first_key(&world, "acme").await;
    let limits = json!({ "limits": { "requests_per_minute": 0 } });
    for (what, body) in [
        ("POST /v1/admin/tenants", json!({ "name": "Eve" })),
        ("POST /v1/admin/tenants/acme/suspend", Value::Null),
        ("POST /v1/admin/tenants/nobody/suspend", Value::Null),
        ("POST /v1/admin/tenants/acme/activate", Value::Null),
        ("DELETE /v1/admin/tenants/acme", Value::Null),
        // nobody raises his own limits
        ("PATCH /v1/admin/tenants/acme", limits),
        (
            "PATCH /v1/admin/tenants/acme",
            json!({ "plan": "enterprise" }),
        ),
    ] {
        let (status, answer) = ask(&world, &acme, what, body).await;
        let code = &answer["error"]["code"];
        assert_eq!((status, code), (403, &json!("operator_required")), "{what}");
    }
    let renamed = json!({ "name": "Acme Ltd" });
    let (status, _) = ask(&world, &acme, "PATCH /v1/admin/tenants/acme", renamed).await;
    assert_eq!(status, 200, "its name is its own");
}

#[tokio::test]
async fn a_project_keeps_its_agents_and_keys_to_itself() {
    let world = World::start(|_| {}).await;
    let acme = first_key(&world, "acme").await;
    let mine = |what: &'static str, body| ask(&world, &acme, what, body);
    let shop = json!({ "id": "shop", "name": "Shop", "environment": "staging" });
    let (_, made) = mine("POST /v1/admin/projects", shop).await;
    assert_eq!(made["environment"], "staging", "{made}");
    let scopes = ["realtime:connect", "tenant:admin"];
    let till = json!({ "name": "till", "project": "shop", "scopes": scopes });
    let (_, key) = mine("POST /v1/admin/keys", till.clone()).await;
    assert_eq!(key["project"], "shop", "{key}");
    let shops = key["key"].as_str().unwrap();
    let made = ask(&world, shops, "POST /v1/agents", json!({ "name": "ann" }));
    assert_eq!(made.await.0, 201);
    let ann = "GET /v1/models/agent:ann";
    assert_eq!(ask(&world, shops, ann, Value::Null).await.0, 200);
    assert_eq!(mine(ann, Value::Null).await.0, 404);

    let remove = || mine("DELETE /v1/admin/projects/shop", Value::Null);
    assert_eq!(remove().await.1["error"]["code"], "project_in_use");
    let gone = ask(&world, shops, "DELETE /v1/agents/ann", Value::Null);
    assert_eq!(gone.await.0, 200);
    assert_eq!(remove().await.1["error"]["code"], "project_in_use");
    let revoke = format!("DELETE /v1/admin/keys/{}", key["id"].as_str().unwrap());
    assert_eq!(ask(&world, &acme, &revoke, Value::Null).await.0, 200);
    assert_eq!(remove().await.0, 200);
    assert_eq!(remove().await.0, 404);
    let (_, error) = mine("POST /v1/admin/keys", till).await;
    assert_eq!(error["error"]["code"], "project_not_found");
    let first = mine("DELETE /v1/admin/projects/default", Value::Null);
    assert_eq!(first.await.0, 409);
}

/// One of everything that administrators do, on `acme`; the text of a key that is made on the way.
async fn do_everything(world: &World) -> String {
    let acme = first_key(world, "acme").await;
    let mine = async |what: &str, body| {
        let (status, answer) = ask(world, &acme, what, body).await;
        assert!(status < 300, "{what}: {answer}");
        answer
    };
    let tool = json!({ "type": "http", "name": "look", "url": "https://example.org/look",
        "headers": { "x-key": "hush-hush" } });
    let ann = json!({ "name": "ann", "instructions": "Be kind.", "tools": [tool] });
    mine("POST /v1/agents", ann).await;
    mine(
        "POST /v1/agents/ann",
        json!({ "instructions": "Be brief." }),
    )
    .await;
    mine("DELETE /v1/agents/ann", Value::Null).await;
    let key = mine("POST /v1/admin/keys", json!({ "name": "till" })).await;
    let path = format!("/v1/admin/keys/{}", key["id"].as_str().unwrap());
    mine(&format!("POST {path}/rotate"), Value::Null).await;
    mine(&format!("DELETE {path}"), Value::Null).await;
    let shop = json!({ "id": "shop", "name": "Shop" });
    mine("POST /v1/admin/projects", shop).await;
    mine("PATCH /v1/admin/projects/shop", json!({ "name": "Store" })).await;
    mine("DELETE /v1/admin/projects/shop", Value::Null).await;
    mine(
        "PATCH /v1/admin/tenants/acme",
        json!({ "name": "Acme Ltd" }),
    )
    .await;
    operator(world, "POST /v1/admin/tenants/acme/suspend", Value::Null).await;
    key["key"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn everything_an_administrator_does_is_written_down_without_secrets() {
    let world = World::start(|_| {}).await;
    let key = do_everything(&world).await;
    let (_, log) = operator(&world, "GET /v1/admin/audit?tenant=acme", Value::Null).await;
    let entries = log["data"].as_array().unwrap();
    let actions = entries
        .iter()
        .rev()
        .map(|it| it["action"].as_str().unwrap());
    assert_eq!(
        actions.collect::<Vec<_>>().join(" "),
        "tenant.create agent.create agent.update agent.delete key.create key.rotate key.revoke \
         project.create project.update project.delete tenant.update tenant.suspend"
    );
    let update = &entries[entries.len() - 3];
    assert_eq!(update["before"]["spec"]["instructions"], "Be kind.");
    assert_eq!(update["after"]["spec"]["instructions"], "Be brief.");
    assert!(update["actor"].as_str().unwrap().starts_with("acme/"));
    assert_eq!(update["ip"], "127.0.0.1");
    assert!(update["request_id"].as_str().unwrap().starts_with("req_"));
    assert_eq!(entries[0]["actor"], "default/bootstrap");
    let text = log.to_string();
    for secret in ["hush-hush", key.as_str(), "argon2"] {
        assert!(!text.contains(secret), "{secret}");
    }
    let page = "GET /v1/admin/audit?tenant=acme&limit=2&before=3";
    let (_, page) = operator(&world, page, Value::Null).await;
    let seq = &page["data"][0]["seq"];
    assert_eq!((seq, &page["has_more"]), (&json!(2), &json!(false)));
    let chain = world.app().store.sql.verify_audit("acme").await.unwrap();
    assert_eq!((chain.entries, chain.fault), (12, None));
}
