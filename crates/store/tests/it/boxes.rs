//! What goes out because something changed, and what comes in more than once; on every database.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use store::{AfterFailure, Effect, NewEffect, Receipt, Request, Retries, Sql};

use crate::backend::Backend;
use crate::conversations::at;

const RETRIES: Retries = Retries {
    first: TimeDelta::seconds(10),
    longest: TimeDelta::seconds(15),
    tries: 3,
};

fn effect(id: &str, second: i64) -> NewEffect {
    NewEffect {
        id: id.to_owned(),
        topic: "webhook".to_owned(),
        payload: format!(r#"{{"n":"{id}"}}"#),
        due_at: at(second),
    }
}

async fn claim(sql: &Sql, owner: &str, second: i64, limit: u32) -> Vec<Effect> {
    let lease = at(second) + TimeDelta::seconds(60);
    let claimed = sql.claim_effects(("webhook", owner), at(second), lease, limit);
    claimed.await.unwrap()
}

fn ids(effects: &[Effect]) -> Vec<&str> {
    let mut ids: Vec<&str> = effects.iter().map(|effect| &*effect.id).collect();
    ids.sort_unstable();
    ids
}

async fn work_is_done_once_by_whoever_claims_it(on: Backend) {
    let sql = &on.sql;
    let put = [effect("a", 0), effect("b", 0), effect("later", 100)];
    for _ in 0..2 {
        sql.put_effects("acme", &put, at(0)).await.unwrap();
    }
    let rivals = [effect("a", 0)];
    sql.put_effects("rival", &rivals, at(0)).await.unwrap();
    assert!(
        sql.claim_effects(("email", "x"), at(9), at(99), 9)
            .await
            .unwrap()
            .is_empty()
    );

    let first = claim(sql, "one", 1, 2).await;
    assert_eq!(first.len(), 2);
    assert!(
        first
            .iter()
            .all(|effect| effect.tries == 1 && effect.problem.is_none())
    );
    let second = claim(sql, "two", 1, 9).await;
    assert_eq!((first.len(), second.len()), (2, 1));
    assert!(claim(sql, "three", 1, 9).await.is_empty());
    for (effects, owner) in [(&first, "one"), (&second, "two")] {
        for effect in effects {
            assert!(
                !sql.effect_done(effect, "somebody else", at(2))
                    .await
                    .unwrap()
            );
            assert!(sql.effect_done(effect, owner, at(2)).await.unwrap());
            assert!(!sql.effect_done(effect, owner, at(2)).await.unwrap());
        }
    }
    let late = claim(sql, "one", 100, 9).await;
    assert_eq!(ids(&late), ["later"]);
    assert_eq!(late[0].payload, r#"{"n":"later"}"#);
    // what was done is remembered for a while, so that it is not put in again
    sql.put_effects("acme", &put[..1], at(100)).await.unwrap();
    assert!(claim(sql, "one", 100, 9).await.is_empty());
}

async fn a_tenant_with_much_to_do_delays_nobody(on: Backend) {
    let sql = &on.sql;
    let much: Vec<NewEffect> = (0..20).map(|at| effect(&format!("a{at:02}"), 0)).collect();
    sql.put_effects("acme", &much, at(0)).await.unwrap();
    let theirs = |effects: &[Effect]| {
        let mut tenants: Vec<String> = effects.iter().map(|it| it.tenant.clone()).collect();
        tenants.sort_unstable();
        tenants
    };
    sql.put_effects("rival", &[effect("b1", 5)], at(5))
        .await
        .unwrap();
    let first = claim(sql, "one", 6, 3).await;
    assert_eq!(theirs(&first), ["acme", "acme", "rival"]);
    // whoever has claimed work that takes its time waits behind those who have none
    sql.put_effects("rival", &[effect("b2", 7)], at(7))
        .await
        .unwrap();
    let done = first
        .iter()
        .find(|effect| effect.tenant == "rival")
        .unwrap();
    assert!(sql.effect_done(done, "one", at(7)).await.unwrap());
    let next = claim(sql, "one", 8, 1).await;
    assert_eq!(theirs(&next), ["rival"]);
    assert_eq!(claim(sql, "two", 8, 99).await.len(), 18);
}

async fn who_does_not_come_back_loses_it_to_the_next(on: Backend) {
    let sql = &on.sql;
    sql.put_effects("acme", &[effect("a", 0)], at(0))
        .await
        .unwrap();
    let lost = claim(sql, "one", 0, 9).await;
    assert!(claim(sql, "two", 59, 9).await.is_empty());
    let taken = claim(sql, "two", 60, 9).await;
    assert_eq!((ids(&taken), taken[0].tries), (vec!["a"], 2));
    assert!(!sql.effect_done(&lost[0], "one", at(61)).await.unwrap());
    let told = sql.effect_failed((&lost[0], "one"), "too late", at(61), RETRIES);
    assert_eq!(told.await.unwrap(), AfterFailure::NotOurs);
    // nor does the same owner's first claim count after its second
    let again = claim(sql, "two", 120, 9).await;
    assert!(!sql.effect_done(&taken[0], "two", at(121)).await.unwrap());
    assert!(sql.effect_done(&again[0], "two", at(121)).await.unwrap());
}

async fn work_that_fails_is_tried_again_and_at_last_given_up(on: Backend) {
    let sql = &on.sql;
    sql.put_effects("acme", &[effect("a", 0)], at(0))
        .await
        .unwrap();
    let mut now = 0;
    for pause in [10, 15] {
        let claimed = claim(sql, "one", now, 9).await;
        let failed = sql.effect_failed((&claimed[0], "one"), "status 500", at(now), RETRIES);
        let again = at(now + pause);
        assert_eq!(failed.await.unwrap(), AfterFailure::Again(again));
        assert!(claim(sql, "one", now + pause - 1, 9).await.is_empty());
        now += pause;
    }
    let last = claim(sql, "one", now, 9).await;
    assert_eq!(last[0].problem.as_deref(), Some("status 500"));
    let failed = sql.effect_failed((&last[0], "one"), "status 410", at(now), RETRIES);
    assert_eq!(failed.await.unwrap(), AfterFailure::Dead);
    assert!(claim(sql, "one", now + 1000, 9).await.is_empty());
    let dead = sql.dead_effects("acme", 9).await.unwrap();
    assert_eq!(dead[0].problem.as_deref(), Some("status 410"));
    assert!(sql.dead_effects("rival", 9).await.unwrap().is_empty());
    assert!(!sql.revive_effect("rival", "a", at(now)).await.unwrap());
    assert!(sql.revive_effect("acme", "a", at(now)).await.unwrap());
    let revived = claim(sql, "one", now, 9).await;
    assert_eq!(revived[0].tries, 1);
    assert!(sql.effect_done(&revived[0], "one", at(now)).await.unwrap());
}

async fn many_who_claim_at_once_never_get_the_same(on: Backend) {
    let sql = &on.sql;
    let put: Vec<_> = (0..200).map(|n| effect(&format!("e{n}"), 0)).collect();
    sql.put_effects("acme", &put, at(0)).await.unwrap();
    let mut claiming = tokio::task::JoinSet::new();
    for worker in 0..8 {
        let sql = sql.clone();
        claiming.spawn(async move {
            let owner = format!("w{worker}");
            let mut got = Vec::new();
            loop {
                let claimed = claim(&sql, &owner, 1, 7).await;
                if claimed.is_empty() {
                    return got;
                }
                got.extend(claimed.into_iter().map(|effect| effect.id));
            }
        });
    }
    let got: Vec<String> = claiming.join_all().await.into_iter().flatten().collect();
    let different: HashSet<&String> = got.iter().collect();
    assert_eq!(different.len(), got.len());
    // PostgreSQL may pass over what another has just locked, until that one has it
    assert_eq!(got.len(), 200);
}

fn request<'a>(key: &'a str, print: &'a str) -> Request<'a> {
    Request {
        tenant: "acme",
        source: "stripe",
        key,
        print,
    }
}

async fn receive(sql: &Sql, request: Request<'_>, owner: &str, now: DateTime<Utc>) -> Receipt {
    let lease = now + TimeDelta::seconds(30);
    sql.receive(request, owner, now, lease).await.unwrap()
}

async fn the_first_writer_wins_and_its_answer_is_kept(on: Backend) {
    let sql = &on.sql;
    let asked = request("evt_1", "p1");
    assert_eq!(receive(sql, asked, "one", at(0)).await, Receipt::Fresh);
    assert_eq!(receive(sql, asked, "two", at(1)).await, Receipt::Running);
    assert!(!sql.answer(asked, "two", "mine").await.unwrap());
    assert!(sql.answer(asked, "one", r#"{"ok":1}"#).await.unwrap());
    assert!(!sql.answer(asked, "one", "another").await.unwrap());
    let kept = Receipt::Answered(r#"{"ok":1}"#.to_owned());
    for second in [2, 1000] {
        assert_eq!(receive(sql, asked, "two", at(second)).await, kept);
    }
    let other = request("evt_1", "p2");
    assert_eq!(receive(sql, other, "two", at(3)).await, Receipt::Different);
    // of another tenant, and from another source, it is another request
    let elsewhere = Request {
        tenant: "rival",
        ..asked
    };
    assert_eq!(receive(sql, elsewhere, "two", at(3)).await, Receipt::Fresh);
    let from_another = Request {
        source: "paypal",
        ..asked
    };
    assert_eq!(
        receive(sql, from_another, "two", at(3)).await,
        Receipt::Fresh
    );
    assert!(
        sql.receive(request("a\0", "p"), "one", at(0), at(1))
            .await
            .is_err()
    );
}

async fn who_dies_over_a_request_does_not_block_it(on: Backend) {
    let sql = &on.sql;
    let asked = request("evt_1", "p1");
    assert_eq!(receive(sql, asked, "one", at(0)).await, Receipt::Fresh);
    assert_eq!(receive(sql, asked, "two", at(29)).await, Receipt::Running);
    assert_eq!(receive(sql, asked, "two", at(30)).await, Receipt::Fresh);
    assert!(!sql.answer(asked, "one", "late").await.unwrap());
    assert!(!sql.give_back(asked, "one").await.unwrap());
    assert!(sql.give_back(asked, "two").await.unwrap());
    assert_eq!(receive(sql, asked, "three", at(31)).await, Receipt::Fresh);
    assert!(sql.answer(asked, "three", "done").await.unwrap());
    assert!(!sql.give_back(asked, "three").await.unwrap());
}

stories!(
    work_is_done_once_by_whoever_claims_it,
    a_tenant_with_much_to_do_delays_nobody,
    who_does_not_come_back_loses_it_to_the_next,
    work_that_fails_is_tried_again_and_at_last_given_up,
    many_who_claim_at_once_never_get_the_same,
    the_first_writer_wins_and_its_answer_is_kept,
    who_dies_over_a_request_does_not_block_it,
);
