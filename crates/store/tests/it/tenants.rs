//! Tenants and their projects: made, changed, suspended, deleted; on every database.

use chrono::{DateTime, Utc};
use serde_json::json;
use store::{
    Act, Creation, NewApiKey, Place, Project, Removal, Sql, StoredAgent, Tenant, TenantLimits,
    TenantStatus,
};

use crate::backend::{Backend, act, make_tenant};
use crate::conversations::{begun, put, said, session, write};

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000 + second, 123_456_000).unwrap()
}

fn changed(seen: &Tenant, second: i64, change: impl FnOnce(&mut Tenant)) -> (Tenant, Act) {
    let mut tenant = seen.clone();
    tenant.updated_at = at(second);
    change(&mut tenant);
    (tenant, act(at(second)))
}

fn project(id: &str, second: i64) -> Project {
    Project {
        id: id.to_owned(),
        name: "Shop".to_owned(),
        environment: "staging".to_owned(),
        created_at: at(second),
        updated_at: at(second),
    }
}

async fn put_agent(sql: &Sql, place: Place<'_>) {
    let agent = StoredAgent {
        name: "ann".to_owned(),
        spec: json!({}),
        created_at: at(0),
        updated_at: at(0),
    };
    let made = sql.create_agent(place, &agent, 9, &act(at(0))).await;
    assert_eq!(made.unwrap(), Creation::Done);
}

async fn the_operators_own_tenant_is_there_from_the_beginning(on: Backend) {
    let own = on.sql.find_tenant("default").await.unwrap().unwrap();
    assert_eq!(own.status, TenantStatus::Active);
    assert_eq!(own.limits, TenantLimits::default());
    let projects = on.sql.list_projects("default").await.unwrap();
    assert_eq!(projects.len(), 1);
    assert_eq!(projects[0].id, "default");
}

async fn a_tenant_is_made_with_a_project_and_a_key_and_once(on: Backend) {
    let sql = &on.sql;
    let acme = make_tenant(sql, "acme", at(0)).await;
    assert_eq!(sql.find_tenant("acme").await.unwrap().unwrap(), acme);
    assert_eq!(sql.list_projects("acme").await.unwrap().len(), 1);
    let keys = sql.list_keys("acme").await.unwrap();
    assert_eq!((keys.len(), keys[0].project.as_str()), (1, "default"));

    let key = NewApiKey {
        id: "k9",
        tenant: "acme",
        project: "default",
        name: "eve",
        scopes: &[],
        hash: "",
        created_at: at(1),
        expires_at: None,
    };
    assert!(!sql.create_tenant(&acme, &key, &act(at(1))).await.unwrap());
    assert_eq!(sql.find_key("k9").await.unwrap(), None);
    assert_eq!(sql.find_tenant("none").await.unwrap(), None);

    make_tenant(sql, "bravo", at(2)).await;
    let ids = |tenants: Vec<Tenant>| tenants.into_iter().map(|t| t.id).collect::<Vec<_>>();
    let listed = sql.list_tenants("", 2).await.unwrap();
    assert_eq!(ids(listed), ["acme", "bravo"]);
    assert_eq!(
        ids(sql.list_tenants("bravo", 2).await.unwrap()),
        ["default"]
    );
}

async fn a_tenant_is_changed_by_one_at_a_time(on: Backend) {
    let sql = &on.sql;
    let acme = make_tenant(sql, "acme", at(0)).await;
    let (pro, why) = changed(&acme, 5, |tenant| {
        tenant.plan = String::from("enterprise");
        tenant.limits.concurrent_sessions = Some(7);
    });
    assert!(sql.update_tenant(&acme, &pro, &why).await.unwrap());
    assert_eq!(sql.find_tenant("acme").await.unwrap().unwrap(), pro);
    let (late, why) = changed(&acme, 6, |tenant| tenant.name = String::from("Late"));
    assert!(!sql.update_tenant(&acme, &late, &why).await.unwrap());
    assert_eq!(sql.find_tenant("acme").await.unwrap().unwrap(), pro);

    let since = |second| sql.tenants_changed(at(second));
    let found = since(5).await.unwrap();
    assert!(found.contains(&pro), "{found:?}");
    assert!(!since(6).await.unwrap().contains(&pro));
}

async fn a_suspended_tenants_keys_say_so_and_work_again_afterwards(on: Backend) {
    let sql = &on.sql;
    let acme = make_tenant(sql, "acme", at(0)).await;
    let standing = async || {
        let found = sql.key_standing("first_of_acme", at(9)).await.unwrap();
        found.map(|standing| (standing.key_works, standing.status, standing.plan))
    };
    let active = (true, TenantStatus::Active, "pro".to_owned());
    assert_eq!(standing().await, Some(active.clone()));
    let (closed, why) = changed(&acme, 1, |tenant| {
        tenant.status = TenantStatus::Suspended;
        tenant.reason = Some("invoice".to_owned());
    });
    assert!(sql.update_tenant(&acme, &closed, &why).await.unwrap());
    let suspended = (true, TenantStatus::Suspended, "pro".to_owned());
    assert_eq!(standing().await, Some(suspended));
    let (open, why) = changed(&closed, 2, |tenant| tenant.status = TenantStatus::Active);
    assert!(sql.update_tenant(&closed, &open, &why).await.unwrap());
    assert_eq!(standing().await, Some(active));
    assert_eq!(sql.key_standing("none", at(9)).await.unwrap(), None);
}

async fn a_deleted_tenant_leaves_its_record_and_its_log_and_nothing_else(on: Backend) {
    let sql = &on.sql;
    let acme = make_tenant(sql, "acme", at(0)).await;
    make_tenant(sql, "rival", at(0)).await;
    let here = |tenant: &'static str| Place {
        tenant,
        project: "default",
    };
    put_agent(sql, here("acme")).await;
    put_agent(sql, here("rival")).await;
    for tenant in ["acme", "rival"] {
        let key = session(tenant, "sess_1");
        write(sql, &[begun(&key, 1, "{}"), put(&key, 2, "item_1", 0)]).await;
    }
    let (gone, why) = changed(&acme, 1, |tenant| tenant.status = TenantStatus::Deleted);
    assert!(sql.update_tenant(&acme, &gone, &why).await.unwrap());
    assert!(sql.list_agents(here("acme")).await.unwrap().is_empty());
    assert!(sql.list_projects("acme").await.unwrap().is_empty());
    assert!(said(sql, &session("acme", "sess_1"), 9).await.is_empty());
    assert_eq!(said(sql, &session("rival", "sess_1"), 9).await.len(), 1);
    // what its last conversation wrote afterwards goes as well
    write(sql, &[begun(&session("acme", "sess_2"), 1, "{}")]).await;
    assert_eq!(sql.delete_sessions("acme").await.unwrap(), 1);
    let keys = sql.list_keys("acme").await.unwrap();
    assert_eq!(keys[0].revoked_at, Some(at(1)));
    assert_eq!(sql.find_tenant("acme").await.unwrap().unwrap(), gone);
    assert_eq!(sql.audit_entries("acme", None, 9).await.unwrap().len(), 3);
    // nobody comes back from there
    let (back, why) = changed(&gone, 2, |tenant| tenant.status = TenantStatus::Active);
    assert!(!sql.update_tenant(&gone, &back, &why).await.unwrap());
    let listed = sql.list_tenants("", 9).await.unwrap();
    assert!(listed.iter().all(|tenant| tenant.id != "acme"));

    assert_eq!(sql.list_agents(here("rival")).await.unwrap().len(), 1);
    assert_eq!(sql.list_keys("rival").await.unwrap()[0].revoked_at, None);
}

async fn a_deleted_tenant_leaves_nothing_of_what_was_said_at_its_doors(on: Backend) {
    let sql = &on.sql;
    let acme = make_tenant(sql, "acme", at(0)).await;
    make_tenant(sql, "rival", at(0)).await;
    let live = store::Live::open(&store::LiveOptions::memory(1)).await;
    let surveys = store::live::surveys::Surveys::new(sql.clone(), &live.unwrap());
    let code_sent = store::live::surveys::Sent {
        mailbox: "ann@example.com",
        code: "123456",
    };
    for tenant in ["acme", "rival"] {
        let row = crate::voice::session("s1", "u1");
        sql.put_voice_session(tenant, &row, false).await.unwrap();
        let set = crate::surveys::set("one", true, 1);
        sql.create_question_set(tenant, &set, 3, &act(at(1)))
            .await
            .unwrap();
        let new = crate::surveys::response("r1", "ann", &[]);
        sql.add_response(tenant, &new).await.unwrap();
        surveys
            .put_code(tenant, code_sent, (at(0), at(600)))
            .await
            .unwrap();
    }
    let (gone, why) = changed(&acme, 1, |tenant| tenant.status = TenantStatus::Deleted);
    assert!(sql.update_tenant(&acme, &gone, &why).await.unwrap());
    for (tenant, stays) in [("acme", false), ("rival", true)] {
        let session = sql.voice_session(tenant, "s1").await.unwrap();
        assert_eq!(session.is_some(), stays, "{tenant}");
        let sets = sql.list_question_sets(tenant).await.unwrap();
        assert_eq!(!sets.is_empty(), stays, "{tenant}");
        let answered = sql.has_answered(tenant, "one", "ann").await.unwrap();
        assert_eq!(answered, stays, "{tenant}");
        let code = surveys.find_code(tenant, code_sent.mailbox, at(1)).await;
        assert_eq!(code.unwrap().is_some(), stays, "{tenant}");
    }
}

async fn a_project_is_removed_once_it_is_empty(on: Backend) {
    let sql = &on.sql;
    let shop = project("shop", 1);
    let place = Place {
        tenant: "default",
        project: "shop",
    };
    let make = |tenant, limit| {
        let (sql, shop) = (sql.clone(), shop.clone());
        async move { sql.create_project(tenant, &shop, limit, &act(at(1))).await }
    };
    assert!(!make("default", 1).await.unwrap(), "there is one already");
    assert!(make("default", 2).await.unwrap());
    assert!(!make("default", 9).await.unwrap(), "the id is taken");
    assert!(make("other", 9).await.unwrap(), "but not elsewhere");
    let found = sql.find_project("default", "shop").await.unwrap();
    assert_eq!(found, Some(shop.clone()));
    assert_eq!(sql.find_project("nobody", "shop").await.unwrap(), None);

    let mut store = shop.clone();
    (store.name, store.updated_at) = ("Store".to_owned(), at(3));
    let why = act(at(3));
    assert!(
        sql.update_project("default", &shop, &store, &why)
            .await
            .unwrap()
    );
    assert!(
        !sql.update_project("default", &shop, &store, &why)
            .await
            .unwrap()
    );

    put_agent(sql, place).await;
    let remove = || async { sql.delete_project(place, &act(at(4))).await.unwrap() };
    assert_eq!(remove().await, Removal::InUse);
    sql.delete_agent(place, "ann", &act(at(4))).await.unwrap();
    let key = NewApiKey {
        id: "k1",
        tenant: "default",
        project: "shop",
        name: "till",
        scopes: &[],
        hash: "",
        created_at: at(1),
        expires_at: None,
    };
    sql.create_key(&key, &act(at(1))).await.unwrap();
    assert_eq!(remove().await, Removal::InUse);
    sql.revoke_key("default", "k1", &act(at(4))).await.unwrap();
    assert_eq!(remove().await, Removal::Done);
    assert_eq!(remove().await, Removal::Missing);
    let others = sql.find_project("other", "shop").await.unwrap();
    assert_eq!(others, Some(shop));
}

/// No id that was ever given has it; PostgreSQL would not even look.
async fn an_id_with_the_character_zero_is_nobodys(on: Backend) {
    let sql = &on.sql;
    assert_eq!(sql.find_tenant("a\0").await.unwrap(), None);
    assert_eq!(sql.find_project("default", "a\0").await.unwrap(), None);
    assert_eq!(sql.find_key("a\0").await.unwrap(), None);
    assert!(!sql.revoke_key("default", "a\0", &act(at(0))).await.unwrap());
}

stories!(
    an_id_with_the_character_zero_is_nobodys,
    the_operators_own_tenant_is_there_from_the_beginning,
    a_tenant_is_made_with_a_project_and_a_key_and_once,
    a_tenant_is_changed_by_one_at_a_time,
    a_suspended_tenants_keys_say_so_and_work_again_afterwards,
    a_deleted_tenant_leaves_its_record_and_its_log_and_nothing_else,
    a_deleted_tenant_leaves_nothing_of_what_was_said_at_its_doors,
    a_project_is_removed_once_it_is_empty,
);
