//! Sessions of the app voice socket: written over as they go on, said once, one user's own; on every database.

use chrono::{DateTime, TimeDelta, Utc};
use store::sql::voice::MIRROR;
use store::{VoiceMessage, VoiceSession};

use crate::backend::{Backend, as_application};
use crate::postgres::{APPLICATION, OWNER, Server};

/// A time in whole microseconds, which is all that the gateway's clock and PostgreSQL have.
fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000 + second, 123_456_000).unwrap()
}

pub(crate) fn session(id: &str, user: &str) -> VoiceSession {
    VoiceSession {
        session_id: id.to_owned(),
        session: format!("sess_{id}"),
        project: "default".to_owned(),
        user_id: user.to_owned(),
        tier: "studio".to_owned(),
        conversation_id: Some("c1".to_owned()),
        start_time: at(0),
        end_time: None,
        duration_ms: 1000,
        status: "listening".to_owned(),
        stt_requests: 1,
        stt_duration_ms: 60_000,
        llm_tokens_input: 1000,
        llm_tokens_output: 500,
        llm_latency_ms: 300,
        tts_characters: 1000,
        tts_latency_ms: 100,
        total_latency_ms: 400,
        stt_micros: 4_300,
        llm_micros: 875,
        tts_micros: 15_000,
        total_micros: 20_175,
        error_message: None,
        error_count: 0,
        client_info: "{}".to_owned(),
        created_at: at(0),
        updated_at: at(1),
    }
}

fn line(id: &str, session: &str, role: &str, second: i64) -> VoiceMessage {
    VoiceMessage {
        id: id.to_owned(),
        session_id: session.to_owned(),
        conversation_id: Some("c1".to_owned()),
        user_id: "u1".to_owned(),
        role: role.to_owned(),
        content: format!("said {id}"),
        confidence: (role == "user").then_some(0.75),
        created_at: at(second),
    }
}

async fn a_session_is_written_over_as_it_goes_on(on: Backend) {
    let sql = &on.sql;
    let mut row = session("s1", "u1");
    sql.put_voice_session("acme", &row, false).await.unwrap();
    let (read, usage) = sql.voice_session("acme", "s1").await.unwrap().unwrap();
    assert_eq!(read, row);
    assert_eq!((usage.tokens_used, usage.cost_micros), (1500, 20_175));
    assert_eq!(usage.tier, "studio");
    row.status = String::from("ended");
    row.end_time = Some(at(60));
    row.total_micros = 40_350;
    row.error_message = Some("STT error: the line is bad".to_owned());
    row.error_count = 1;
    row.updated_at = at(60);
    sql.put_voice_session("acme", &row, false).await.unwrap();
    let (read, usage) = sql.voice_session("acme", "s1").await.unwrap().unwrap();
    assert_eq!((&read, usage.cost_micros), (&row, 40_350));
    assert_eq!(sql.voice_session("rival", "s1").await.unwrap(), None);
    // what a user has spent is everything since, and nobody else's
    for (user, since, expected) in [("u1", at(0), 40_350), ("u1", at(61), 0), ("u2", at(0), 0)] {
        let spent = sql.voice_spent("acme", user, since).await.unwrap();
        assert_eq!(spent, expected, "{user}");
    }
}

async fn what_was_said_is_kept_once_and_read_in_order(on: Backend) {
    let sql = &on.sql;
    sql.put_voice_session("acme", &session("s1", "u1"), false)
        .await
        .unwrap();
    for (id, role, second) in [("m2", "assistant", 2), ("m1", "user", 1), ("m3", "user", 3)] {
        let line = line(id, "s1", role, second);
        for _ in 0..2 {
            sql.add_voice_message("acme", &line, false).await.unwrap();
        }
        let read = sql.voice_message("acme", id).await.unwrap().unwrap();
        assert_eq!(read, line);
    }
    let said = sql.voice_messages("acme", "s1").await.unwrap();
    let said: Vec<&str> = said.iter().map(|it| it.content.as_str()).collect();
    assert_eq!(said, ["said m1", "said m2", "said m3"]);
    let last = sql.voice_history("acme", "u1", "c1", 2).await.unwrap();
    let last: Vec<String> = last.unwrap().into_iter().map(|it| it.id).collect();
    assert_eq!(last, ["m2", "m3"]);
    // a conversation of somebody else's is not told from one that is not there, except that it is refused
    assert_eq!(
        sql.voice_history("acme", "u2", "c1", 9).await.unwrap(),
        None
    );
    let none = sql.voice_history("acme", "u2", "c2", 9).await.unwrap();
    assert_eq!(none, Some(Vec::new()));
    let orphan = line("m4", "s9", "user", 4);
    assert!(sql.add_voice_message("acme", &orphan, false).await.is_err());
}

async fn rows_are_put_out_with_the_change_that_made_them(on: Backend) {
    let sql = &on.sql;
    let mut row = session("s1", "u1");
    sql.put_voice_session("acme", &row, true).await.unwrap();
    sql.add_voice_message("acme", &line("m1", "s1", "user", 1), true)
        .await
        .unwrap();
    let mut nowhere = line("m2", "s1", "user", 1);
    nowhere.conversation_id = None;
    sql.add_voice_message("acme", &nowhere, true).await.unwrap();
    let waiting = || async {
        let claimed = sql.claim_effects((MIRROR, "me"), at(100), at(100), 9);
        let claimed = claimed.await.unwrap().into_iter();
        claimed.map(|it| it.payload).collect::<Vec<_>>()
    };
    let first = waiting().await;
    assert_eq!(first.len(), 1, "{first:?}");
    assert!(
        first[0].contains("m1") && !first[0].contains("said"),
        "{first:?}"
    );
    row.end_time = Some(at(60));
    row.updated_at = at(60);
    sql.put_voice_session("acme", &row, true).await.unwrap();
    assert_eq!(
        waiting().await.len(),
        3,
        "the session and its usage once it has ended"
    );
}

async fn sessions_that_were_lost_are_ended(on: Backend) {
    let sql = &on.sql;
    for (id, second) in [("old", 1), ("new", 100)] {
        let mut row = session(id, "u1");
        row.updated_at = at(second);
        sql.put_voice_session("acme", &row, false).await.unwrap();
    }
    let ended = sql.end_lost_voice_sessions("acme", at(50)).await.unwrap();
    assert_eq!(ended, 1);
    let (old, _) = sql.voice_session("acme", "old").await.unwrap().unwrap();
    assert_eq!((old.status.as_str(), old.end_time), ("error", Some(at(1))));
    assert_eq!(old.error_count, 1);
    let (new, _) = sql.voice_session("acme", "new").await.unwrap().unwrap();
    assert_eq!(new.end_time, None);
    assert_eq!(
        sql.end_lost_voice_sessions("acme", at(50)).await.unwrap(),
        0
    );
}

stories!(
    a_session_is_written_over_as_it_goes_on,
    what_was_said_is_kept_once_and_read_in_order,
    rows_are_put_out_with_the_change_that_made_them,
    sessions_that_were_lost_are_ended,
);

/// The query by which the original's operators look at what users cost.
const COSTS: &str = "SELECT user_id, SUM(total_cost), COUNT(*), AVG(duration_ms)::int FROM voice_sessions \
     WHERE created_at > now() - interval '100 years' GROUP BY user_id ORDER BY user_id";

#[tokio::test]
async fn costs_are_read_by_raw_sql_and_a_tenant_sees_its_own() {
    let database = Server::shared().database(OWNER);
    let sql = store::Sql::open(&as_application(&database)).await.unwrap();
    for (tenant, id, user) in [
        ("acme", "s1", "u1"),
        ("acme", "s2", "u1"),
        ("rival", "s1", "u9"),
    ] {
        sql.put_voice_session(tenant, &session(id, user), false)
            .await
            .unwrap();
        let mut said = line(&format!("m-{id}"), id, "user", 1);
        said.created_at = at(0) + TimeDelta::seconds(1);
        sql.add_voice_message(tenant, &said, false).await.unwrap();
    }
    sql.close().await;
    let as_tenant = |tenant: &str, text: &str| {
        let text = format!("BEGIN; SET LOCAL antiphon.tenant = '{tenant}'; {text}; COMMIT");
        database.psql(APPLICATION, &text)
    };
    let costs = as_tenant("acme", COSTS).unwrap();
    assert_eq!(costs.trim(), "u1|0.040350|2|1000");
    for table in ["voice_sessions", "messages", "usage_logs"] {
        let tenants = format!("SELECT DISTINCT tenant FROM {table}");
        assert_eq!(
            database.psql(APPLICATION, &tenants).unwrap().trim(),
            "",
            "{table}"
        );
        assert_eq!(
            as_tenant("rival", &tenants).unwrap().trim(),
            "rival",
            "{table}"
        );
        let foreign = format!("UPDATE {table} SET tenant = 'acme'");
        assert!(as_tenant("rival", &foreign).is_err(), "{table}");
    }
    let dollars = "SELECT stt_cost, llm_cost, tts_cost, total_cost, estimated_cost FROM voice_sessions WHERE session_id = 's1'";
    let dollars = as_tenant("acme", dollars).unwrap();
    assert_eq!(
        dollars.trim(),
        "0.004300|0.000875|0.015000|0.020175|0.020175"
    );
}
