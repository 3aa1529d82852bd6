//! Who must not be called, who has agreed to what, and which numbers are ours; on every database.

use store::{Consent, Line};

use crate::backend::Backend;
use crate::call_queue::at;

const NUMBER: &str = "+14155550100";

async fn a_number_is_known_by_its_print_alone(on: Backend) {
    let sql = &on.sql;
    let callee = sql.callee(NUMBER).await.unwrap();
    assert_eq!(sql.callee(NUMBER).await.unwrap(), callee);
    assert_ne!(sql.callee("+14155550101").await.unwrap(), callee);
    assert!(callee.as_str().len() == 32 && !callee.as_str().contains("4155550100"));
    if let Some(other) = on.opened_again().await {
        assert_eq!(other.callee(NUMBER).await.unwrap(), callee);
    }
}

async fn who_must_not_be_called_is_not_until_that_is_taken_back(on: Backend) {
    let sql = &on.sql;
    let callee = sql.callee(NUMBER).await.unwrap();
    let said = ("call", r#"{"number":"+14155550100"}"#);
    assert!(!sql.is_do_not_call("acme", &callee).await.unwrap());
    assert!(
        sql.add_do_not_call("acme", &callee, said, at(1))
            .await
            .unwrap()
    );
    assert!(
        !sql.add_do_not_call("acme", &callee, said, at(2))
            .await
            .unwrap()
    );
    assert!(sql.is_do_not_call("acme", &callee).await.unwrap());
    assert!(!sql.is_do_not_call("rival", &callee).await.unwrap());
    assert!(!sql.remove_do_not_call("rival", &callee).await.unwrap());
    let list = sql.list_do_not_call("acme", None, 9).await.unwrap();
    assert_eq!((list.len(), &*list[0].content), (1, said.1.as_bytes()));
    assert_eq!((&*list[0].source, list[0].created_at), ("call", at(1)));
    let after = sql
        .list_do_not_call("acme", Some(callee.as_str()), 9)
        .await
        .unwrap();
    assert!(after.is_empty());
    assert!(
        sql.list_do_not_call("rival", None, 9)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(sql.remove_do_not_call("acme", &callee).await.unwrap());
    assert!(!sql.is_do_not_call("acme", &callee).await.unwrap());
}

async fn a_consent_counts_from_its_beginning_to_its_end(on: Backend) {
    let sql = &on.sql;
    let callee = sql.callee(NUMBER).await.unwrap();
    let mut consent = Consent {
        callee: callee.as_str().to_owned(),
        kind: "ai_call".to_owned(),
        source: "web_form".to_owned(),
        content: br#"{"proof":"form 7"}"#.to_vec(),
        granted_at: at(10),
        expires_at: Some(at(20)),
        revoked_at: None,
    };
    assert!(sql.grant_consent("acme", &consent).await.unwrap());
    let ai_call = (&callee, "ai_call");
    let at_second =
        async |tenant: &str, second| sql.find_consent(tenant, ai_call, at(second)).await.unwrap();
    assert_eq!(at_second("acme", 9).await, None);
    assert_eq!(at_second("acme", 10).await, Some(consent.clone()));
    assert_eq!(at_second("acme", 20).await, None);
    assert_eq!(at_second("rival", 15).await, None);
    let recording = sql
        .find_consent("acme", (&callee, "recording"), at(15))
        .await
        .unwrap();
    assert_eq!(recording, None);
    assert!(!sql.revoke_consent("rival", ai_call, at(15)).await.unwrap());
    assert!(sql.revoke_consent("acme", ai_call, at(15)).await.unwrap());
    assert!(!sql.revoke_consent("acme", ai_call, at(16)).await.unwrap());
    assert_eq!(at_second("acme", 15).await, None);
    // what they agreed to before that is no new consent
    assert!(!sql.grant_consent("acme", &consent).await.unwrap());
    assert_eq!(at_second("acme", 15).await, None);
    // who agrees again has agreed
    consent.granted_at = at(30);
    consent.expires_at = None;
    assert!(sql.grant_consent("acme", &consent).await.unwrap());
    assert_eq!(at_second("acme", 999).await, Some(consent));
}

fn line(tenant: &str, agent: &str, second: i64) -> Line {
    Line {
        number: NUMBER.to_owned(),
        tenant: tenant.to_owned(),
        project: "default".to_owned(),
        agent: agent.to_owned(),
        provider: "twilio".to_owned(),
        account: "main".to_owned(),
        created_at: at(second),
        updated_at: at(second),
    }
}

async fn a_call_finds_the_one_whose_number_it_is(on: Backend) {
    let sql = &on.sql;
    assert_eq!(sql.route_call(NUMBER).await.unwrap(), None);
    assert!(sql.put_line(&line("acme", "ann", 1)).await.unwrap());
    assert!(!sql.put_line(&line("rival", "eve", 2)).await.unwrap());
    assert!(sql.put_line(&line("acme", "bob", 3)).await.unwrap());
    let expected = Line {
        created_at: at(1),
        ..line("acme", "bob", 3)
    };
    assert_eq!(
        sql.route_call(NUMBER).await.unwrap(),
        Some(expected.clone())
    );
    assert_eq!(sql.route_call("+1").await.unwrap(), None);
    assert_eq!(sql.route_call("+\0").await.unwrap(), None);
    let found = sql.find_line("acme", NUMBER).await.unwrap();
    assert_eq!(found, Some(expected.clone()));
    assert_eq!(sql.find_line("rival", NUMBER).await.unwrap(), None);
    assert_eq!(sql.list_lines("acme", None, 9).await.unwrap(), [expected]);
    assert!(
        sql.list_lines("acme", Some(NUMBER), 9)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(sql.list_lines("rival", None, 9).await.unwrap().is_empty());
    assert!(!sql.delete_line("rival", NUMBER).await.unwrap());
    assert!(sql.delete_line("acme", NUMBER).await.unwrap());
    assert!(sql.put_line(&line("rival", "eve", 4)).await.unwrap());
}

stories!(
    a_number_is_known_by_its_print_alone,
    who_must_not_be_called_is_not_until_that_is_taken_back,
    a_consent_counts_from_its_beginning_to_its_end,
    a_call_finds_the_one_whose_number_it_is,
);
