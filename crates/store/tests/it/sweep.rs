//! What is over goes in small steps: work that was done or given up, requests that were answered, calls with what was said
//! in them; on every database.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use store::{
    AfterFailure, CallTurn, Cuts, NewEffect, Receipt, Request, Retention, Retries, Speaker,
    StoredCall, Swept,
};

use crate::backend::Backend;
use crate::conversations::at;

const DAY: i64 = 24 * 3600;

/// At day 100: done work is kept for 7 days, dead work for 30, requests for 7.
fn cuts(rows: u64) -> Cuts {
    Cuts {
        outbox_done: at(93 * DAY),
        outbox_dead: at(70 * DAY),
        inbox: at(93 * DAY),
        rows,
    }
}

fn retention(tenants: &[(&str, u32)]) -> Retention {
    let tenants = tenants.iter().map(|(id, days)| ((*id).to_owned(), *days));
    Retention {
        days: 90,
        tenants: tenants.collect(),
    }
}

fn effect(id: String) -> NewEffect {
    NewEffect {
        id,
        topic: "webhook".to_owned(),
        payload: "{}".to_owned(),
        due_at: at(0),
    }
}

/// Puts one effect in that comes to its end on a day.
async fn ended_on(on: &Backend, id: &str, day: i64, state: &str) {
    let sql = &on.sql;
    let put = [effect(format!("{state} {id}"))];
    sql.put_effects("acme", &put, at(0)).await.unwrap();
    let until = at(day * DAY) + TimeDelta::seconds(60);
    let claimed = sql.claim_effects(("webhook", "me"), at(day * DAY), until, 1);
    let claimed = claimed.await.unwrap();
    if state == "done" {
        assert!(
            sql.effect_done(&claimed[0], "me", at(day * DAY))
                .await
                .unwrap()
        );
    } else {
        let once = Retries {
            first: TimeDelta::seconds(1),
            longest: TimeDelta::seconds(1),
            tries: 1,
        };
        let failed = sql.effect_failed((&claimed[0], "me"), "no", at(day * DAY), once);
        assert_eq!(failed.await.unwrap(), AfterFailure::Dead);
    }
}

async fn work_that_is_over_goes_and_work_to_be_done_stays(on: Backend) {
    let sql = &on.sql;
    for day in [60, 80, 92, 94] {
        ended_on(&on, &day.to_string(), day, "done").await;
        ended_on(&on, &day.to_string(), day, "dead").await;
    }
    let waiting = [effect("waiting".to_owned())];
    sql.put_effects("acme", &waiting, at(0)).await.unwrap();

    let swept = sql.sweep(&retention(&[]), &cuts(9), at(100 * DAY)).await;
    let expected = Swept {
        outbox: 4,
        left: 5,
        ..Swept::default()
    };
    assert_eq!(swept.unwrap(), expected);
    let dead = sql.dead_effects("acme", 9).await.unwrap();
    let dead: Vec<&str> = dead.iter().map(|effect| &*effect.id).collect();
    assert_eq!(dead, ["dead 80", "dead 92", "dead 94"]);
    let claimed = sql.claim_effects(("webhook", "me"), at(100 * DAY), at(101 * DAY), 9);
    assert_eq!(claimed.await.unwrap()[0].id, "waiting");
}

async fn answers_go_with_their_time_and_what_is_being_done_stays(on: Backend) {
    let sql = &on.sql;
    let request = |tenant, key| Request {
        tenant,
        source: "stripe",
        key,
        print: "p",
    };
    let receive = async |tenant, key, day: i64, until: i64| {
        let asked = request(tenant, key);
        let received = sql.receive(asked, "me", at(day * DAY), at(until * DAY));
        received.await.unwrap()
    };
    for tenant in ["acme", "rival", "unknown"] {
        for (key, day, until) in [
            ("answered", 92, 93),
            ("abandoned", 92, 92),
            ("being done", 92, 101),
            ("new", 94, 94),
        ] {
            assert_eq!(receive(tenant, key, day, until).await, Receipt::Fresh);
        }
        let asked = request(tenant, "answered");
        assert!(sql.answer(asked, "me", "{}").await.unwrap());
    }
    let of_two = retention(&[("acme", 30), ("rival", 30)]);
    let swept = sql.sweep(&of_two, &cuts(100), at(100 * DAY)).await.unwrap();
    assert_eq!((swept.inbox, swept.left), (4, 96));
    for (tenant, key, expected) in [
        ("acme", "answered", Receipt::Fresh),
        ("acme", "abandoned", Receipt::Fresh),
        ("acme", "being done", Receipt::Running),
        ("unknown", "answered", Receipt::Answered("{}".to_owned())),
    ] {
        assert_eq!(receive(tenant, key, 100, 101).await, expected, "{key}");
    }
}

async fn calls_go_when_their_tenants_time_is_over(on: Backend) {
    let sql = &on.sql;
    for tenant in ["acme", "rival"] {
        for (id, day) in [("old", 60), ("running", 60), ("new", 80)] {
            let call = StoredCall {
                id: id.to_owned(),
                project: "default".to_owned(),
                provider: "twilio".to_owned(),
                direction: "inbound".to_owned(),
                state: "live".to_owned(),
                attempt_number: 1,
                details: b"{}".to_vec(),
                created_at: at(day * DAY),
                updated_at: at(day * DAY),
                ..StoredCall::default()
            };
            assert!(sql.create_call(tenant, &call, &[]).await.unwrap());
            let said = CallTurn {
                seq: 1,
                speaker: Speaker::Caller,
                item: "item_1",
                started_ms: 0,
                ended_ms: 900,
                interrupted: false,
                source: "stt",
                text: "hello",
            };
            assert!(sql.add_call_turn(tenant, id, &said).await.unwrap());
            if id != "running" {
                let over = sql.finalize_call((tenant, id, 1), None, &[], at(day * DAY + 60));
                assert!(over.await.unwrap());
            }
        }
    }
    let days = retention(&[("acme", 30), ("rival", 90)]);
    let swept = sql.sweep(&days, &cuts(100), at(100 * DAY)).await.unwrap();
    assert_eq!((swept.calls, swept.left), (1, 99));
    assert_eq!(sql.find_call("acme", "old").await.unwrap(), None);
    let turns = sql.call_turns("acme", "old").await.unwrap();
    assert!(turns.is_empty());
    for (tenant, id) in [("acme", "running"), ("acme", "new"), ("rival", "old")] {
        assert!(sql.find_call(tenant, id).await.unwrap().is_some(), "{id}");
    }
}

async fn a_pass_removes_no_more_than_it_may_and_the_next_goes_on(on: Backend) {
    let sql = &on.sql;
    let many: Vec<NewEffect> = (0..1100).map(|n| effect(format!("e{n}"))).collect();
    sql.put_effects("acme", &many, at(0)).await.unwrap();
    let claimed = sql.claim_effects(("webhook", "me"), at(1), at(60), 1100);
    for effect in claimed.await.unwrap() {
        assert!(sql.effect_done(&effect, "me", at(2)).await.unwrap());
    }
    let nobody = Retention {
        days: 1,
        tenants: BTreeMap::new(),
    };
    for (removed, left) in [(1050, 0), (50, 1000)] {
        let swept = sql
            .sweep(&nobody, &cuts(1050), at(100 * DAY))
            .await
            .unwrap();
        assert_eq!((swept.outbox, swept.left), (removed, left));
    }
}

stories!(
    work_that_is_over_goes_and_work_to_be_done_stays,
    answers_go_with_their_time_and_what_is_being_done_stays,
    calls_go_when_their_tenants_time_is_over,
    a_pass_removes_no_more_than_it_may_and_the_next_goes_on,
);
