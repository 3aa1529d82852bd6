//! Endpoints of webhooks, and payloads that lie sealed; on every database.

use store::{Effect, NewEffect, WebhookEndpoint};

use crate::backend::{Backend, act};
use crate::call_queue::at;
use crate::sealing::{OLD, Place, ring};

fn endpoint(id: &str) -> WebhookEndpoint {
    WebhookEndpoint {
        id: id.to_owned(),
        url: "https://example.com/hooks".to_owned(),
        description: String::new(),
        events: r#"["call.ended"]"#.to_owned(),
        enabled: true,
        problem: None,
        secrets: br#"{"current":"whsec_x"}"#.to_vec(),
        created_at: at(1),
        updated_at: at(1),
        version: 0,
    }
}

async fn an_endpoint_is_made_changed_and_forgotten(on: Backend) {
    let sql = &on.sql;
    let made = |tenant: &'static str, id: &'static str| async move {
        let (act, new) = (act(at(1)), endpoint(id));
        let made = sql.create_webhook_endpoint(tenant, &new, 2, &act);
        made.await.unwrap()
    };
    assert!(made("acme", "we_1").await);
    assert!(made("acme", "we_2").await);
    assert!(!made("acme", "we_3").await, "a third of two");
    assert!(made("rival", "we_1").await);
    let listed = sql.webhook_endpoints("acme").await.unwrap();
    assert_eq!(listed, [endpoint("we_1"), endpoint("we_2")]);
    assert!(!format!("{listed:?}").contains("whsec"));

    let mut changed = listed[0].clone();
    changed.enabled = false;
    let act = act(at(2));
    let sure = sql.update_webhook_endpoint("acme", &changed, Some(&act));
    assert!(sure.await.unwrap());
    // whoever has not seen that changes nothing
    let late = sql.update_webhook_endpoint("acme", &listed[0], None);
    assert!(!late.await.unwrap());
    let found = sql.find_webhook_endpoint("acme", "we_1").await.unwrap();
    assert_eq!(
        found.map(|found| (found.enabled, found.version)),
        Some((false, 1))
    );
    let rival = sql.find_webhook_endpoint("rival", "we_1").await.unwrap();
    assert!(rival.is_some_and(|rival| rival.enabled));
    assert_eq!(
        sql.find_webhook_endpoint("acme", "we\0").await.unwrap(),
        None
    );

    for expected in [true, false] {
        let gone = sql.delete_webhook_endpoint("acme", "we_1", &act).await;
        assert_eq!(gone.unwrap(), expected);
    }
    assert_eq!(sql.webhook_endpoints("acme").await.unwrap().len(), 1);
}

async fn without_keys_a_payload_lies_as_it_is(on: Backend) {
    let sql = &on.sql;
    let effect = NewEffect {
        id: "evt_1".to_owned(),
        topic: "webhook".to_owned(),
        payload: r#"{"text":"hello"}"#.to_owned(),
        due_at: at(0),
    };
    let same = sql.sealed_effect("acme", effect.clone()).await.unwrap();
    assert_eq!(same, effect);
    sql.put_effects("acme", &[same], at(0)).await.unwrap();
    let claimed = sql.claim_effects(("webhook", "me"), at(1), at(9), 9).await;
    let payload = sql.effect_payload(&claimed.unwrap()[0]).await.unwrap();
    assert_eq!(payload, effect.payload);
}

stories!(
    an_endpoint_is_made_changed_and_forgotten,
    without_keys_a_payload_lies_as_it_is,
);

#[tokio::test]
async fn with_keys_payloads_and_secrets_lie_sealed() {
    for place in Place::both() {
        let sql = place.open(Some(ring(&[OLD]))).await;
        let effect = NewEffect {
            id: "evt_1".to_owned(),
            topic: "webhook".to_owned(),
            payload: r#"{"text":"hello"}"#.to_owned(),
            due_at: at(0),
        };
        let sealed = sql.sealed_effect("acme", effect.clone()).await.unwrap();
        assert!(!sealed.payload.contains("hello"));
        sql.put_effects("acme", &[sealed], at(0)).await.unwrap();
        let claimed = sql.claim_effects(("webhook", "me"), at(1), at(9), 9).await;
        let claimed = claimed.unwrap().remove(0);
        assert_eq!(sql.effect_payload(&claimed).await.unwrap(), effect.payload);
        // what was sealed for one effect is not another's
        let moved = Effect {
            id: "evt_2".to_owned(),
            ..claimed
        };
        assert!(sql.effect_payload(&moved).await.is_err());
        let act = act(at(1));
        let new = endpoint("we_1");
        assert!(
            sql.create_webhook_endpoint("acme", &new, 2, &act)
                .await
                .unwrap()
        );
        assert_eq!(sql.webhook_endpoints("acme").await.unwrap(), [new]);
        // without the keys nobody reads them
        let blind = place.open(None).await;
        assert!(blind.webhook_endpoints("acme").await.is_err());
    }
}
