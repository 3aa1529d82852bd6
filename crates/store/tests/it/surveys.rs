//! Question sets and what was answered, on every database; codes and dialogues, there and in Redis.

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use serde_json::json;
use store::live::surveys::{Checked, Sent, Surveys};
use store::{Added, Counted, Live, LiveOptions, NewResponse, NewSet, QuestionSet, Sql};

use crate::backend::{Backend, act};
use crate::call_queue::at;
use crate::live::Gateways;

pub(crate) fn set(id: &str, active: bool, created: i64) -> QuestionSet {
    QuestionSet {
        id: id.to_owned(),
        name: "Poll".to_owned(),
        questions: json!([{ "text": "Well?", "kind": "yes_no" }]),
        active,
        created_at: at(created),
        responses: 0,
    }
}

async fn create(sql: &Sql, tenant: &str, set: &QuestionSet) -> NewSet {
    let act = act(set.created_at);
    sql.create_question_set(tenant, set, 3, &act).await.unwrap()
}

async fn active(sql: &Sql, tenant: &str) -> Option<String> {
    let found = sql.find_question_set(tenant, None).await.unwrap();
    found.map(|set| set.id)
}

async fn one_set_of_a_tenant_is_asked_at_a_time(on: Backend) {
    let sql = &on.sql;
    assert_eq!(active(sql, "acme").await, None);
    assert_eq!(
        create(sql, "acme", &set("one", true, 1)).await,
        NewSet::Stored
    );
    assert_eq!(
        create(sql, "acme", &set("one", true, 2)).await,
        NewSet::Taken
    );
    assert_eq!(
        create(sql, "acme", &set("two", true, 2)).await,
        NewSet::Stored
    );
    assert_eq!(
        create(sql, "acme", &set("three", false, 3)).await,
        NewSet::Stored
    );
    assert_eq!(
        create(sql, "acme", &set("four", true, 4)).await,
        NewSet::Full
    );
    assert_eq!(
        create(sql, "rival", &set("one", true, 1)).await,
        NewSet::Stored
    );
    assert_eq!(active(sql, "acme").await.as_deref(), Some("two"));
    let change = |id, active| {
        let act = act(at(5));
        async move {
            sql.activate_question_set("acme", (id, active), &act)
                .await
                .unwrap()
        }
    };
    assert!(change("three", true).await);
    assert!(!change("none", true).await);
    assert!(!change("no\0ne", true).await);
    assert_eq!(active(sql, "acme").await.as_deref(), Some("three"));
    // one that is not asked takes nothing from the one that is
    assert!(change("one", false).await);
    assert_eq!(active(sql, "acme").await.as_deref(), Some("three"));
    assert!(change("three", false).await);
    assert_eq!(active(sql, "acme").await, None);
    assert_eq!(active(sql, "rival").await.as_deref(), Some("one"));
    let listed = sql.list_question_sets("acme").await.unwrap();
    let ids: Vec<&str> = listed.iter().map(|it| &*it.id).collect();
    assert_eq!(ids, ["three", "two", "one"]);
    assert_eq!(listed[0].questions, set("x", false, 0).questions);
}

pub(crate) fn response<'a>(
    id: &'a str,
    person: &'a str,
    answers: &'a [Counted],
) -> NewResponse<'a> {
    NewResponse {
        id,
        question_set: "one",
        person,
        content: r#"{"email":"ann@example.com"}"#,
        answers,
        completed_at: at(10),
    }
}

async fn an_answer_counts_once(on: Backend) {
    let sql = &on.sql;
    create(sql, "acme", &set("one", true, 1)).await;
    create(sql, "rival", &set("one", true, 1)).await;
    let person = sql.person("ann@example.com").await.unwrap();
    assert!(person.len() == 32 && person != sql.person("bob@example.com").await.unwrap());
    assert!(!sql.has_answered("acme", "one", &person).await.unwrap());
    let choice = |text: &str| Counted::Choice(text.to_owned());
    let answers = [choice("yes"), Counted::Number(3.5), Counted::Words];
    let add =
        async |tenant: &str, new: &NewResponse<'_>| sql.add_response(tenant, new).await.unwrap();
    let first = response("r1", &person, &answers);
    assert_eq!(add("acme", &first).await, Added::Stored);
    // its sender did not hear that it was stored
    assert_eq!(add("acme", &first).await, Added::Stored);
    let second = response("r2", &person, &answers);
    assert_eq!(add("acme", &second).await, Added::AnsweredBefore);
    assert_eq!(add("rival", &second).await, Added::Stored);
    let lost = NewResponse {
        question_set: "gone",
        ..second.clone()
    };
    assert_eq!(add("acme", &lost).await, Added::NoSet);
    assert!(sql.has_answered("acme", "one", &person).await.unwrap());
    let other = [choice("no"), Counted::Number(1.5), Counted::Words];
    let bob = sql.person("bob@example.com").await.unwrap();
    assert_eq!(
        add("acme", &response("r3", &bob, &other)).await,
        Added::Stored
    );

    let counts = sql.count_answers("acme", "one").await.unwrap();
    let counts: Vec<(i64, Option<&str>, i64)> = counts
        .iter()
        .map(|it| (it.question, it.choice.as_deref(), it.count))
        .collect();
    assert_eq!(
        counts,
        [
            (0, Some("no"), 1),
            (0, Some("yes"), 1),
            (1, None, 2),
            (2, None, 2)
        ]
    );
    let sums = sql.sum_answers("acme", "one").await.unwrap();
    assert_eq!(sums.len(), 1);
    assert_eq!(
        (sums[0].question, sums[0].min, sums[0].max, sums[0].mean),
        (1, 1.5, 3.5, 2.5)
    );
    let page = sql.list_responses("acme", "one", None, 1).await.unwrap();
    assert_eq!(
        (&*page[0].id, &*page[0].content),
        ("r1", first.content.as_bytes())
    );
    let after = Some((page[0].completed_at, "r1"));
    let page = sql.list_responses("acme", "one", after, 9).await.unwrap();
    assert_eq!((page.len(), &*page[0].id), (1, "r3"));
    let found = sql.find_question_set("acme", Some("one")).await.unwrap();
    assert_eq!(found.unwrap().responses, 2);

    assert!(
        sql.delete_question_set("acme", "one", &act(at(20)))
            .await
            .unwrap()
    );
    assert!(
        !sql.delete_question_set("acme", "one", &act(at(20)))
            .await
            .unwrap()
    );
    assert!(
        sql.list_responses("acme", "one", None, 9)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(sql.count_answers("acme", "one").await.unwrap().is_empty());
    assert!(sql.has_answered("rival", "one", &person).await.unwrap());
}

async fn without_redis_the_database_keeps_codes_and_dialogues(on: Backend) {
    let live = Live::open(&LiveOptions::memory(1)).await.unwrap();
    let one = Surveys::new(on.sql.clone(), &live);
    let again = on.opened_again().await.unwrap_or_else(|| on.sql.clone());
    let other = Surveys::new(again, &live);
    codes_and_dialogues(&one, &other).await;
}

async fn no_answer_is_left_without_its_set(on: Backend) {
    let sql = &on.sql;
    create(sql, "acme", &set("one", true, 1)).await;
    let first = response("r1", "ann", &[Counted::Words]);
    assert_eq!(
        sql.add_response("acme", &first).await.unwrap(),
        Added::Stored
    );
    // another process has looked for the set, and stores its answer when the set is gone
    assert!(
        sql.delete_question_set("acme", "one", &act(at(20)))
            .await
            .unwrap()
    );
    if !matches!(on.kind, crate::backend::Kind::Memory) {
        let late = on
            .by_hand(
                "INSERT INTO survey_responses (tenant, question_set, person, id, content, completed_at) \
                 VALUES ('acme', 'one', 'bob', 'r2', '', '2026-01-01T00:00:00Z')",
            )
            .await;
        let refused = late.unwrap_err().to_lowercase();
        assert!(refused.contains("foreign key"), "{refused}");
    }
    create(sql, "acme", &set("one", true, 30)).await;
    assert!(!sql.has_answered("acme", "one", "ann").await.unwrap());
    assert!(sql.count_answers("acme", "one").await.unwrap().is_empty());
}

async fn answers_are_removed_when_their_time_is_over(on: Backend) {
    let sql = &on.sql;
    create(sql, "default", &set("one", true, 1)).await;
    for (id, person, day) in [("r1", "ann", 1), ("r2", "bob", 20)] {
        let new = NewResponse {
            completed_at: at(0) + TimeDelta::days(day),
            ..response(id, person, &[Counted::Words])
        };
        assert_eq!(
            sql.add_response("default", &new).await.unwrap(),
            Added::Stored
        );
    }
    let cuts = store::Cuts {
        outbox_done: at(0),
        outbox_dead: at(0),
        inbox: at(0),
        rows: 100,
    };
    let retention = store::Retention {
        tenants: [("default".to_owned(), 10)].into(),
        days: 90,
    };
    let now = at(0) + TimeDelta::days(21);
    let swept = sql.sweep(&retention, &cuts, now).await.unwrap();
    assert_eq!((swept.responses, swept.left), (1, 99));
    let left = sql.list_responses("default", "one", None, 9).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].id, "r2");
    let counts = sql.count_answers("default", "one").await.unwrap();
    assert_eq!(counts[0].count, 1);
}

stories!(
    one_set_of_a_tenant_is_asked_at_a_time,
    an_answer_counts_once,
    no_answer_is_left_without_its_set,
    answers_are_removed_when_their_time_is_over,
    without_redis_the_database_keeps_codes_and_dialogues,
);

/// Every story about codes and dialogues, for two gateways that share Redis.
pub(crate) async fn shared(gateways: Gateways) {
    let sql = Backend::in_memory().await.sql;
    let one = Surveys::new(sql.clone(), &gateways.one);
    let other = Surveys::new(sql, &gateways.other);
    codes_and_dialogues(&one, &other).await;
}

async fn codes_and_dialogues(one: &Surveys, other: &Surveys) {
    a_code_opens_once_and_for_its_mailbox(one, other).await;
    a_code_is_burned(one, other).await;
    codes_of_a_mailbox_count_beside_each_other(one, other).await;
    many_guesses_at_once_are_counted_one_by_one(one, other).await;
    a_dialogue_moves(one, other).await;
}

/// Redis forgets after so long, and not at a time: any time will do, in whole milliseconds, which is what it keeps.
fn now() -> DateTime<Utc> {
    at(0).trunc_subsecs(3)
}

const ATTEMPTS: u32 = 3;

fn sent<'a>(mailbox: &'a str, code: &'a str) -> Sent<'a> {
    Sent { mailbox, code }
}

async fn put(on: &Surveys, sent: Sent<'_>, after_s: i64) {
    let made = now() + TimeDelta::seconds(after_s);
    let times = (made, made + TimeDelta::minutes(10));
    on.put_code("acme", sent, times).await.unwrap();
}

async fn check(on: &Surveys, sent: Sent<'_>, after_s: i64) -> Checked {
    let now = now() + TimeDelta::seconds(after_s);
    on.check_code("acme", sent, ATTEMPTS, now).await.unwrap()
}

async fn a_code_opens_once_and_for_its_mailbox(one: &Surveys, other: &Surveys) {
    let (ann, bob) = ("ann@once.example", "bob@once.example");
    assert_eq!(one.find_code("acme", ann, now()).await.unwrap(), None);
    assert_eq!(check(one, sent(ann, "123456"), 0).await, Checked::None);
    put(one, sent(ann, "123456"), 0).await;
    let mailed = other.find_code("acme", ann, now()).await.unwrap().unwrap();
    assert_eq!(
        (mailed.created_at, mailed.expires_at),
        (now(), now() + TimeDelta::minutes(10))
    );
    let late = now() + TimeDelta::minutes(10);
    assert_eq!(other.find_code("acme", ann, late).await.unwrap(), None);
    assert_eq!(other.find_code("rival", ann, now()).await.unwrap(), None);
    put(one, sent(bob, "654321"), 0).await;
    assert_eq!(check(other, sent(ann, "123456"), 600).await, Checked::None);
    put(one, sent(ann, "123456"), 0).await;
    let wrong = check(other, sent(bob, "123456"), 1).await;
    assert_eq!(wrong, Checked::Wrong { left: 2 });
    assert_eq!(check(other, sent(ann, "123456"), 1).await, Checked::Right);
    assert_eq!(check(one, sent(ann, "123456"), 1).await, Checked::None);
    put(one, sent(ann, "111111"), 2).await;
    one.withdraw_code("acme", sent(ann, "111111"))
        .await
        .unwrap();
    assert_eq!(check(one, sent(ann, "111111"), 2).await, Checked::None);
}

async fn a_code_is_burned(one: &Surveys, other: &Surveys) {
    let ann = "ann@burned.example";
    put(one, sent(ann, "123456"), 0).await;
    for (on, expected) in [
        (one, Checked::Wrong { left: 2 }),
        (other, Checked::Wrong { left: 1 }),
        (one, Checked::Burned),
        (one, Checked::None),
    ] {
        assert_eq!(check(on, sent(ann, "000000"), 0).await, expected);
    }
    assert_eq!(check(one, sent(ann, "123456"), 0).await, Checked::None);
}

async fn codes_of_a_mailbox_count_beside_each_other(one: &Surveys, other: &Surveys) {
    let ann = "ann@beside.example";
    put(one, sent(ann, "111111"), 0).await;
    for left in [2, 1] {
        let checked = check(one, sent(ann, "000000"), 0).await;
        assert_eq!(checked, Checked::Wrong { left });
    }
    // a new one has attempts of its own, and the third wrong guess burns the old one
    put(other, sent(ann, "222222"), 1).await;
    let wrong = check(one, sent(ann, "000000"), 1).await;
    assert_eq!(wrong, Checked::Wrong { left: 2 });
    let wrong = check(one, sent(ann, "111111"), 1).await;
    assert_eq!(wrong, Checked::Wrong { left: 1 });
    assert_eq!(check(one, sent(ann, "222222"), 1).await, Checked::Right);
    // the oldest of four counts no more
    for (at, code) in ["111111", "222222", "333333", "444444"].iter().enumerate() {
        put(one, sent(ann, code), at as i64).await;
    }
    let wrong = check(one, sent(ann, "111111"), 5).await;
    assert_eq!(wrong, Checked::Wrong { left: 2 });
    assert_eq!(check(one, sent(ann, "222222"), 5).await, Checked::Right);
}

async fn many_guesses_at_once_are_counted_one_by_one(one: &Surveys, other: &Surveys) {
    let ann = "ann@many.example";
    put(one, sent(ann, "123456"), 0).await;
    let guesses: Vec<_> = (0..20)
        .map(|guess| {
            let on = if guess % 2 == 0 { one } else { other }.clone();
            tokio::spawn(async move { check(&on, sent(ann, "000000"), 0).await })
        })
        .collect();
    let (mut wrong, mut burned) = (0, 0);
    for guess in guesses {
        match guess.await.unwrap() {
            Checked::Wrong { .. } => wrong += 1,
            Checked::Burned => burned += 1,
            Checked::None => {}
            Checked::Right => panic!("a wrong guess was right"),
        }
    }
    assert_eq!((wrong, burned), (2, 1));
}

async fn a_dialogue_moves(one: &Surveys, other: &Surveys) {
    let times = |after_s: i64| {
        let now = now() + TimeDelta::seconds(after_s);
        (now, now + TimeDelta::hours(1))
    };
    let (secret, wrong) = ("a secret of many bits", "another secret");
    let taken = other.take("acme", secret, times(0)).await.unwrap();
    assert_eq!(taken, None);
    let held = one.begin(secret);
    for content in ["1", "2"] {
        assert!(one.keep("acme", &held, content, times(0)).await.unwrap());
    }
    assert_eq!(other.take("acme", wrong, times(1)).await.unwrap(), None);
    assert_eq!(other.take("rival", secret, times(1)).await.unwrap(), None);
    let taken = other.take("acme", secret, times(1)).await.unwrap();
    let (moved, progress) = taken.unwrap();
    assert_eq!(progress.content, "2");
    // who had it is told, and cannot write over it or take it away
    assert!(!one.keep("acme", &held, "3", times(2)).await.unwrap());
    one.forget("acme", &held).await.unwrap();
    assert!(other.keep("acme", &moved, "4", times(2)).await.unwrap());
    let (last, progress) = one.take("acme", secret, times(3)).await.unwrap().unwrap();
    assert_eq!(progress.content, "4");
    one.forget("acme", &last).await.unwrap();
    assert_eq!(one.take("acme", secret, times(4)).await.unwrap(), None);
}
